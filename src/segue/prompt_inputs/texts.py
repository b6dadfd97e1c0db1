"""Prompts from the command line, as text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from segue.errors import PromptError
from segue.prompt_types import (
    BoxPrompt,
    MaskPrompt,
    PointPrompt,
    Prompt,
    RemovePrompt,
    ScribblePrompt,
)
from segue.utils.arrays import check_id

_VALUE = r"(?:[0-9]{1,40}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,3})?"
"""A number above 0 as Python and JSON print it."""
_NUMBER = rf"\s*([+-]?{_VALUE})\s*"
_POSITIVE = rf"\s*({_VALUE})\s*"

_AT = re.compile(r"([0-9]{1,15})@(.+)", re.DOTALL)

_Typed = tuple[int | None, int | None, list[str]]
"""Frame, id and values of a text; None if missing."""


@dataclass(frozen=True)
class PromptForm:
    """Syntax of one kind of prompt on the command line.

    Attributes:
        pattern: syntax after the frame: id and values.
        text: the form as errors show it.
        read: parses all texts of the kind; it is also told whether boxes are filled.
    """

    pattern: str
    text: str
    read: Callable[[list[_Typed], bool], Iterator[Prompt]]


def _typed_masks(typed: list[_Typed], fill: bool) -> Iterator[Prompt]:
    """Masks with their ids; a single mask of a frame uses the ids of its values."""
    frames = [frame for frame, _, _ in typed]
    for (frame, given_id, (path,)), id in zip(typed, _ids(typed), strict=True):
        yield MaskPrompt(id if given_id or frames.count(frame) > 1 else 0, path, frame=frame)


def _typed_boxes(typed: list[_Typed], fill: bool) -> Iterator[Prompt]:
    for (frame, _, (x0, y0, x1, y1)), id in zip(typed, _ids(typed), strict=True):
        yield BoxPrompt(id, (float(x0), float(y0), float(x1), float(y1)), fill, frame=frame)


def _typed_points(typed: list[_Typed], fill: bool) -> Iterator[Prompt]:
    for frame, given_id, (sign, x, y) in typed:
        on, off = ((), ((float(x), float(y)),)) if sign == "-" else (((float(x), float(y)),), ())
        yield PointPrompt(given_id or 1, on, off, frame=frame)


def _typed_strokes(typed: list[_Typed], fill: bool) -> Iterator[Prompt]:
    for frame, given_id, (text,) in typed:
        points = [tuple(map(float, point.split(","))) for point in text.split()]
        yield ScribblePrompt(given_id or 1, [points], frame=frame)


def _typed_removals(typed: list[_Typed], fill: bool) -> Iterator[Prompt]:
    return (RemovePrompt(id or 0, frame=frame) for frame, id, _ in typed)


PROMPT_FORMS: Mapping[str, PromptForm] = {
    "mask": PromptForm(r"(?:(\d{1,9})=)?(.+)", "PATH or id=PATH", _typed_masks),
    "box": PromptForm(
        r"\s*(?:(\d{1,9}):)?" + ",".join([_NUMBER] * 4), "x0,y0,x1,y1 or id:x0,y0,x1,y1", _typed_boxes
    ),
    "point": PromptForm(
        rf"\s*(?:(\d{{1,9}}):)?\s*([+-]?){_POSITIVE},{_POSITIVE}",
        "x,y, +x,y, -x,y or id:+x,y",
        _typed_points,
    ),
    "scribble": PromptForm(
        rf"\s*(?:(\d{{1,9}}):)?\s*({_VALUE},{_VALUE}(?:\s+{_VALUE},{_VALUE}){{1,10000}})\s*",
        "x,y x,y ... or id:x,y x,y ...",
        _typed_strokes,
    ),
    "remove": PromptForm(r"\s*(\d{1,9})\s*", "FRAME@ID, for example 120@2", _typed_removals),
}
"""Typed forms of prompts by kind; a kind is an option of ``segue track``."""


def typed_prompts(texts: Mapping[str, Iterable[str]], *, fill: bool = False) -> tuple[Prompt, ...]:
    """Parse prompts from the command line by kind; without a frame they are for the first one.

    Masks and boxes without an id get the smallest ids of their frame that are free, in their order. A single
    mask of a frame has the ids of its values.
    """
    return tuple(
        prompt
        for kind, form in PROMPT_FORMS.items()
        for prompt in form.read(list(_typed(kind, texts.get(kind, ()))), fill)
    )


def _typed(kind: str, texts: Iterable[str]) -> Iterator[_Typed]:
    form = PROMPT_FORMS[kind]
    for text in texts:
        at = _AT.fullmatch(text)
        match = re.fullmatch(form.pattern, text if at is None else at[2], re.DOTALL)
        if match is None:
            raise PromptError(f"{kind} '{text}' is not of the form {form.text}")
        id, *values = match.groups()
        yield None if at is None else int(at[1]), None if id is None else check_id(int(id)), values


def split_mask(text: str) -> tuple[str, str]:
    """Split ``[FRAME@][ID=]PATH`` into prefix and path."""
    at = _AT.fullmatch(text)
    typed = text if at is None else at[2]
    match = re.fullmatch(PROMPT_FORMS["mask"].pattern, typed, re.DOTALL)
    path = typed if match is None else match[2]
    return text[: len(text) - len(path)], path


def _ids(typed: Iterable[_Typed]) -> Iterator[int]:
    """Id of each text, or the smallest free one on its frame."""
    used_ids = {(frame, id) for frame, id, _ in typed}
    for frame, given_id, _ in typed:
        id = given_id or next(number for number in itertools.count(1) if (frame, number) not in used_ids)
        used_ids.add((frame, id))
        yield id
