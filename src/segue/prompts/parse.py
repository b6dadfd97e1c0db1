"""Prompts as people give them: typed on a command line or as files of masks, and checks of all of them."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.entries import SQUARE
from segue.errors import PromptError
from segue.masks import decode_rle, read_index_mask, resize_mask
from segue.masks.given import as_points
from segue.masks.values import MAX_ID
from segue.types import Box, BoxPrompt, MaskPrompt, Point, PointPrompt, Prompt, RemovePrompt

_VALUE = r"(?:[0-9]{1,40}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,3})?"
"""A number above 0 as Python and JSON print it."""
_NUMBER = rf"\s*([+-]?{_VALUE})\s*"
_POSITIVE = rf"\s*({_VALUE})\s*"
_DEGREES = ("0°", "90° to the left", "180°", "90° to the right")

_AT = re.compile(r"([0-9]{1,15})@(.+)", re.DOTALL)
_FORMS = {
    "mask": (r"(?:(\d{1,9})=)?(.+)", "PATH or id=PATH"),
    "box": (r"\s*(?:(\d{1,9}):)?" + ",".join([_NUMBER] * 4), "x0,y0,x1,y1 or id:x0,y0,x1,y1"),
    "point": (rf"\s*(?:(\d{{1,9}}):)?\s*([+-]?){_POSITIVE},{_POSITIVE}", "x,y, +x,y, -x,y or id:+x,y"),
    "remove": (r"\s*(\d{1,9})\s*", "FRAME@ID, for example 120@2"),
}
"""What is typed of each kind of prompt after its frame: an id and further values."""


def typed_prompts(
    masks: Iterable[str],
    boxes: Iterable[str],
    points: Iterable[str],
    removals: Iterable[str],
    *,
    fill: bool = False,
) -> tuple[Prompt, ...]:
    """Prompts as they are typed, as values; what names no frame is for the first one.

    Masks and boxes without an id get the smallest ids of their frame that are free, in their order. A single
    mask of a frame has the ids of its values.
    """
    found: list[Prompt] = []
    typed = list(_typed("mask", masks))
    frames = [frame for frame, _, _ in typed]
    for (frame, own, (path,)), id in zip(typed, _ids(typed), strict=True):
        found.append(MaskPrompt(id if own or frames.count(frame) > 1 else 0, path, frame=frame))
    typed = list(_typed("box", boxes))
    for (frame, _, (x0, y0, x1, y1)), id in zip(typed, _ids(typed), strict=True):
        found.append(BoxPrompt(id, (float(x0), float(y0), float(x1), float(y1)), fill, frame=frame))
    for frame, own, (sign, x, y) in _typed("point", points):
        on, off = ((), ((float(x), float(y)),)) if sign == "-" else (((float(x), float(y)),), ())
        found.append(PointPrompt(own or 1, on, off, frame=frame))
    found += (RemovePrompt(id or 0, frame=frame) for frame, id, _ in _typed("remove", removals))
    return tuple(found)


_Typed = tuple[int | None, int | None, list[str]]
"""The frame, the id and the values of a text; None where they are not named."""


def _typed(kind: str, texts: Iterable[str]) -> Iterator[_Typed]:
    pattern, form = _FORMS[kind]
    for text in texts:
        at = _AT.fullmatch(text)
        match = re.fullmatch(pattern, text if at is None else at[2], re.DOTALL)
        if match is None:
            raise PromptError(f"{kind} '{text}' is not of the form {form}")
        id, *values = match.groups()
        yield None if at is None else int(at[1]), None if id is None else check_id(int(id)), values


def _ids(typed: Iterable[_Typed]) -> Iterator[int]:
    """The id of each text, or the smallest one that is free on its frame."""
    taken = {(frame, id) for frame, id, _ in typed}
    for frame, own, _ in typed:
        id = own or next(number for number in itertools.count(1) if (frame, number) not in taken)
        taken.add((frame, id))
        yield id


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


def fit_mask(
    mask: npt.NDArray[Any], size: tuple[int, int], fit: bool, turns: int = 0, pixel_aspect: Fraction = SQUARE
) -> npt.NDArray[Any]:
    """A mask, (h, w), at ``size`` (H, W); only with ``fit`` may it have had another one.

    A mask of the image as stored is turned as metadata turn the image. Another shape than that of the frame,
    as stored or as shown with pixels of ``pixel_aspect``, is refused.
    """
    if mask.ndim != 2:
        raise PromptError(f"a mask has two dimensions (height, width), not shape {mask.shape}")
    if mask.shape == size:
        return mask
    sizes = f"the mask is {mask.shape[1]}x{mask.shape[0]} pixels, the frame {size[1]}x{size[0]}"
    shown = (size[0], size[1] * float(pixel_aspect))
    if not _alike(mask.shape, size) and not _alike(mask.shape, shown):
        if turns % 2 and _alike(mask.shape[::-1], size):
            if fit:
                return resize_mask(np.ascontiguousarray(np.rot90(mask, turns)), size)
            raise PromptError(
                f"{sizes}: metadata of the source turn its images by {_DEGREES[turns % 4]}, and the mask is "
                "not turned; use --fit (fit=True) to turn the mask, too"
            )
        raise PromptError(
            f"{sizes}: another shape, so that it is of another image or a part; draw it on the frame"
        )
    if not fit:
        raise PromptError(f"{sizes}; use --fit (fit=True) to resize the mask")
    return resize_mask(mask, size)


def _alike(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two sizes have one shape, but for rounding to whole pixels."""
    (height, width), (tall, wide) = one, other
    scale = min(height / tall, width / wide)
    return max(abs(height - tall * scale), abs(width - wide * scale)) <= max(1.0, scale, 0.02 * max(one))


def check_pixels(prompt: Prompt) -> None:
    """Refuse a box or points that must be shares of the image: all their values lie in 0 to 1."""
    if isinstance(prompt, BoxPrompt):
        values = [float(value) for value in prompt.box]
        shares = bool(values)
    elif isinstance(prompt, PointPrompt):
        values = [float(value) for point in (*prompt.positive, *prompt.negative) for value in point]
        shares = any(value % 1 for value in values)  # a click on the corner of an image is one
    else:
        return
    if shares and all(0 <= value <= 1 for value in values):
        what = "box" if isinstance(prompt, BoxPrompt) else "point"
        given = ", ".join(f"{value:g}" for value in values[:4])
        raise PromptError(f"{what} ({given}): these are shares of the image; give pixels")


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
