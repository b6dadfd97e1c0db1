"""Prompts as they are typed on a command line, as values of a job; imports nothing heavy."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from segue.errors import PromptError
from segue.inputs import whole_number
from segue.jobs.parts import AnyPrompt
from segue.prompts.parse import parse_boxes, parse_point, split_mask
from segue.types import MaskPrompt, RemovePrompt

_AT = re.compile(r"([0-9]{1,15})@(.+)", re.DOTALL)


def typed_prompts(
    masks: Iterable[str],
    boxes: Iterable[str],
    points: Iterable[str],
    removals: Iterable[str],
    *,
    fill: bool = False,
) -> tuple[AnyPrompt, ...]:
    """Prompts as they are typed, as values; what names no frame is for the first one."""
    found: list[AnyPrompt] = []
    files: dict[int | None, list[tuple[int | None, str]]] = defaultdict(list)
    for frame, text in map(_at, masks):
        files[frame].append(split_mask(text))
    for frame, named in files.items():
        for place, (number, path) in enumerate(named, 1 if len(named) > 1 else 0):
            found.append(MaskPrompt(number or place, path, frame=frame))
    by_frame: dict[int | None, list[str]] = defaultdict(list)
    for frame, text in map(_at, boxes):
        by_frame[frame].append(text)
    for frame, texts in by_frame.items():
        found += (replace(box, frame=frame) for box in parse_boxes(texts, fill=fill))
    for frame, text in map(_at, points):
        found.append(replace(parse_point(text), frame=frame))
    for frame, text in map(_at, removals):
        number = whole_number(text, 65535)
        if not number:
            raise PromptError(f"remove '{text}': give FRAME@ID, for example 120@2")
        found.append(RemovePrompt(number, frame=frame))
    return tuple(found)


def _at(text: str) -> tuple[int | None, str]:
    match = _AT.fullmatch(text)
    return (None, text) if match is None else (int(match[1]), match[2])
