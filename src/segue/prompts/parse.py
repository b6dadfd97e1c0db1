"""Prompts as people give them: typed on a command line or as files of masks, and checks of all of them."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.errors import PromptError
from segue.inputs import kind_of, whole_number
from segue.masks import decode_rle, read_index_mask, resize_mask
from segue.masks.files import MAX_ID
from segue.masks.given import as_box, as_points
from segue.types import Box, BoxPrompt, MaskPrompt, Point, PointPrompt, Prompt, RemovePrompt

_NUMBER = r"\s*(-?\d{1,9}(?:\.\d{0,9})?)\s*"
_BOX = re.compile(r"(?:(\d{1,9}):)?" + ",".join([_NUMBER] * 4))
_POINT = re.compile(r"(?:(\d{1,9}):)?\s*([+-]?)\s*(\d{1,9}(?:\.\d{0,9})?)\s*,\s*(\d{1,9}(?:\.\d{0,9})?)\s*")


def parse_box(text: str, *, id: int = 1, fill: bool = False) -> BoxPrompt:
    """Parse ``x0,y0,x1,y1`` or ``id:x0,y0,x1,y1``, in pixels; ``id`` counts where the text names none.

    Args:
        text: four numbers, which may be negative or have decimals, with ``id:`` before them or without.
        id: id of the object where the text names none, 1 to 65535.
        fill: the object is the whole box, not something inside it.

    Returns:
        The prompt, its box ``(x0, y0, x1, y1)`` as floats. Order of the corners and size are not checked.

    Raises:
        PromptError: the text has another form or the id is out of range.
    """
    match = _BOX.fullmatch(text.strip())
    if match is None:
        raise PromptError(f"box '{text}' is not of the form x0,y0,x1,y1 or id:x0,y0,x1,y1")
    x0, y0, x1, y1 = (float(number) for number in match.groups()[1:])
    return BoxPrompt(check_id(int(match[1] or id)), (x0, y0, x1, y1), fill)


def parse_boxes(texts: Iterable[str], *, fill: bool = False) -> list[BoxPrompt]:
    """Parse several boxes; those without an id get the smallest ids that are free, in their order.

    Args:
        texts: boxes as :func:`parse_box` takes them.
        fill: the objects are the whole boxes, not something inside them.

    Returns:
        One prompt for each text, in the same order.

    Raises:
        PromptError: a text has another form or an id is out of range.

    Examples:
        >>> [box.id for box in parse_boxes(["5,5,9,9", "1:0,0,4,4", "7,7,8,8"])]
        [2, 1, 3]
    """
    texts = list(texts)
    named = {int(match[1]) for text in texts if (match := re.match(r"\s*(\d{1,9}):", text))}
    free = (number for number in range(1, len(texts) + len(named) + 1) if number not in named)
    return [parse_box(text, id=1 if ":" in text else next(free), fill=fill) for text in texts]


def parse_point(text: str, *, id: int = 1) -> PointPrompt:
    """Parse ``x,y`` or ``+x,y`` (on the object), ``-x,y`` (not on it), or with ``id:`` before.

    :func:`segue.prompts.resolve_prompts` joins the points of one id, so each may be parsed alone.

    Args:
        text: x and y in pixels, 0 or more; decimals are allowed.
        id: id of the object where the text names none, 1 to 65535.

    Returns:
        A prompt with one point, in ``positive``, or in ``negative`` where the text has a minus.

    Raises:
        PromptError: the text has another form or the id is out of range.
    """
    match = _POINT.fullmatch(text.strip())
    if match is None:
        raise PromptError(f"point '{text}' is not of the form x,y, +x,y, -x,y or id:+x,y")
    point = ((float(match[3]), float(match[4])),)
    number = check_id(int(match[1] or id))
    return PointPrompt(number, (), point) if match[2] == "-" else PointPrompt(number, point)


_NAMED = re.compile(r"(\d{1,9})=(.+)")
_AT = re.compile(r"([0-9]{1,15})@(.+)", re.DOTALL)


def typed_prompts(
    masks: Iterable[str],
    boxes: Iterable[str],
    points: Iterable[str],
    removals: Iterable[str],
    *,
    fill: bool = False,
) -> tuple[Prompt, ...]:
    """Prompts as they are typed, as values; what names no frame is for the first one."""
    found: list[Prompt] = []
    for frame, texts in _by_frame(masks).items():
        for place, text in enumerate(texts, 1 if len(texts) > 1 else 0):
            named = _NAMED.fullmatch(text)
            number, path = (place, text) if named is None else (check_id(int(named[1])), named[2])
            found.append(MaskPrompt(number, path, frame=frame))
    for frame, texts in _by_frame(boxes).items():
        found += (replace(box, frame=frame) for box in parse_boxes(texts, fill=fill))
    for frame, texts in _by_frame(points).items():
        found += (replace(parse_point(text), frame=frame) for text in texts)
    for frame, texts in _by_frame(removals).items():
        for text in texts:
            removed = whole_number(text, MAX_ID)
            if not removed:
                raise PromptError(f"remove '{text}': give FRAME@ID, for example 120@2")
            found.append(RemovePrompt(removed, frame=frame))
    return tuple(found)


def _by_frame(texts: Iterable[str]) -> dict[int | None, list[str]]:
    """Texts without their frames, by these."""
    found: dict[int | None, list[str]] = defaultdict(list)
    for text in texts:
        match = _AT.fullmatch(text)
        found[None if match is None else int(match[1])].append(text if match is None else match[2])
    return found


def read_masks(prompt: MaskPrompt) -> list[MaskPrompt]:
    """Prompts with their masks as arrays, (H, W); an index mask becomes one for each of its objects."""
    if isinstance(prompt.mask, np.ndarray):
        return [prompt]
    if prompt.path is None:
        return [replace(prompt, mask=decode_rle(prompt.mask))]
    mask = read_index_mask(Path(prompt.path))
    if not prompt.id:
        return MaskPrompt.each(mask)
    count = len(np.unique(mask[mask > 0]))
    if count > 1:
        raise PromptError(f"holds {count} objects, but one is expected; give an index mask as the only file")
    return [replace(prompt, mask=mask != 0)]


@contextmanager
def errors_name(what: object) -> Iterator[None]:
    """Errors from within begin with what they are about."""
    try:
        yield
    except PromptError as error:
        raise PromptError(f"{what}: {error}") from None


def check_id(id: int) -> int:
    """The id itself, if an index mask can hold it."""
    if not 1 <= id <= MAX_ID:
        raise PromptError(f"object id {id} is out of range; ids go from 1 to {MAX_ID}")
    return int(id)


def fit_mask(mask: npt.NDArray[Any], size: tuple[int, int], fit: bool) -> npt.NDArray[Any]:
    """A mask at ``size`` (H, W); only with ``fit`` may it have had another one. ``mask``: (h, w)."""
    if mask.ndim != 2:
        raise PromptError(f"a mask has two dimensions (height, width), not shape {mask.shape}")
    if mask.shape != size and not fit:
        raise PromptError(
            f"the mask is {mask.shape[1]}x{mask.shape[0]} pixels, the frame {size[1]}x{size[0]}; "
            "use --fit (fit=True) to resize the mask"
        )
    return resize_mask(mask, size)


def box_of(value: Any, where: str) -> Box:
    """Four numbers of a caller as a box."""
    box = as_box(value)
    if box is None:
        raise PromptError(f"{where}: {kind_of(value)}; give four numbers (x0, y0, x1, y1) in pixels")
    return box


def points_of(value: Any, where: str) -> tuple[Point, ...]:
    """Points of a caller as pairs of numbers; there may be none."""
    return as_points(value, where) if value is not None and len(value) else ()


def check_points(points: Sequence[Point], size: tuple[int, int]) -> None:
    """See that points lie in an image of ``size`` (H, W)."""
    height, width = size
    for x, y in points:
        if not (0 <= x < width and 0 <= y < height):
            raise PromptError(f"point ({x:g}, {y:g}) is outside the {width}x{height} image")


def clip_box(box: Box, size: tuple[int, int]) -> Box:
    """``box`` in whole pixels inside an image of ``size`` (H, W)."""
    name = "box (" + ", ".join(f"{value:g}" for value in box) + ")"
    if len(box) != 4 or not all(math.isfinite(value) for value in box):
        raise PromptError(f"{name} does not have four finite numbers x0, y0, x1, y1")
    if box[2] <= box[0] or box[3] <= box[1]:
        raise PromptError(f"{name} is empty: x1 must be larger than x0, and y1 than y0")
    height, width = size
    x0, x1 = (min(max(round(value), 0), width) for value in (box[0], box[2]))
    y0, y1 = (min(max(round(value), 0), height) for value in (box[1], box[3]))
    if x1 <= x0 or y1 <= y0:
        raise PromptError(f"{name} covers no pixel of the {width}x{height} image")
    return x0, y0, x1, y1
