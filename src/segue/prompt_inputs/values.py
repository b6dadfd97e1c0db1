"""Convert masks, boxes and points of a caller to plain arrays and tuples.

They may be arrays, tensors, lists, PIL images or paths.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL.Image import Image as PillowImage
from PIL.Image import fromarray

from segue.errors import PromptError, SourceError
from segue.masks import read_index_mask
from segue.masks.files import index_values
from segue.masks.values import as_white, without_void
from segue.types import (
    Box,
    Point,
)
from segue.utils.arrays import BoolArray, IndexMask, as_array
from segue.utils.inputs import kind_of, user_path
from segue.utils.notices import warn_caller

EXPECTED = (
    "an index mask (H, W) of whole numbers (0 background, other values ids of objects), a mask (H, W) of "
    "booleans, masks (N, H, W) of N objects, colours (H, W, 3) of objects on black, a PIL image, or "
    "the path of a mask file"
)


class PromptWarning(UserWarning):
    """An ambiguous prompt was read in its likely meaning; the message names both meanings."""


def is_mask_like(value: object) -> bool:
    """Whether :func:`as_masks` can read a value: an array, a tensor, a PIL image or a path."""
    if isinstance(value, (np.ndarray, PillowImage, str, os.PathLike)) or hasattr(value, "detach"):
        return True
    return hasattr(type(value), "__array__") and not isinstance(value, np.generic)


def as_masks(value: Any, where: str) -> npt.NDArray[Any]:
    """Convert a mask to whole numbers or booleans, by the rules of :func:`segue.masks.read_index_mask`."""
    if isinstance(value, (str, os.PathLike)):
        return read_index_mask(user_path(value))
    original = value
    if isinstance(value, PillowImage):
        return _index_values(value, where)
    value = as_array(value)
    if not isinstance(value, np.ndarray):
        raise PromptError(f"{where}: {kind_of(original)}; give {EXPECTED}")
    if value.dtype.kind not in "biu":
        hint = (
            "; compare probabilities with a threshold first, as in mask > 0.5"
            if value.dtype.kind == "f"
            else ""
        )
        raise PromptError(f"{where}: {kind_of(original)}; a mask holds whole numbers or booleans{hint}")
    if value.ndim == 3 and value.shape[-1] in (1, 3, 4) and value.shape[0] not in (1, 3, 4):
        if value.dtype == np.uint8 and value.shape[-1] > 1 and value.size:
            return _index_values(fromarray(value), where)
        hint = "take one channel, mask[..., 0]" if value.shape[-1] == 1 else "that is a colour image"
        raise PromptError(f"{where}: {kind_of(original)}; {hint}. Give {EXPECTED}")
    if value.ndim not in (2, 3) or not value.size:
        raise PromptError(f"{where}: {kind_of(original)}; give {EXPECTED}")
    return (
        one_object(value, where) if value.ndim == 2 else np.stack([shape_of(plane, where) for plane in value])
    )


def _index_values(image: PillowImage, where: str) -> IndexMask:
    try:
        return index_values(image, where)
    except SourceError as error:
        raise PromptError(str(error)) from None


def shape_of(mask: npt.NDArray[Any], where: str) -> BoolArray:
    """Convert a mask (H, W) of one object to booleans; soft edges of a white mask are cut at half."""
    white = as_white(mask, where, PromptError)
    return np.asarray((mask if white is None else white) != 0)


def one_object(mask: IndexMask, where: str) -> IndexMask:
    """Check an index mask (H, W); one white object, as images have them, gets the id 1.

    Soft edges of it are cut at half, with a warning.
    """
    white = as_white(mask, where, PromptError)
    if white is None:
        return without_void(mask, where)
    if not np.isin(mask, (0, mask.max())).all():
        warn_caller(
            f"{where}: a mask of greys from 0 to {mask.max()}, with soft edges, is taken as one object with "
            f"the id 1; for an object with the id {mask.max()} give MaskPrompt({mask.max()}, mask)",
            PromptWarning,
        )
    return (white > 0).astype(np.uint8)


def as_box(value: Any, where: str) -> Box:
    """Convert four numbers to a box."""
    try:
        numbers = np.asarray(as_array(value), np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    numbers = numbers[0] if numbers.shape == (1, 4) else numbers
    if numbers.shape != (4,):
        raise PromptError(f"{where}: {kind_of(value)}; give four numbers (x0, y0, x1, y1) in pixels")
    x0, y0, x1, y1 = numbers.tolist()
    return x0, y0, x1, y1


def as_points(value: Any, where: str) -> tuple[Point, ...]:
    """Convert one point or several to pairs of numbers."""
    try:
        numbers = np.asarray(as_array(value), np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    numbers = numbers[None] if numbers.shape == (2,) else numbers
    numbers = numbers[0] if numbers.ndim == 3 and len(numbers) == 1 else numbers  # with a batch, as in SAM
    if numbers.ndim != 2 or numbers.shape[1] != 2 or not len(numbers):
        raise PromptError(f"{where}: {kind_of(value)}; give points in pixels, as in [(x, y), (x, y)]")
    return tuple((float(x), float(y)) for x, y in numbers)


def as_strokes(value: Any, where: str) -> tuple[tuple[Point, ...], ...]:
    """Convert strokes, each of several points, to pairs of numbers."""
    value = as_array(value)
    if not isinstance(value, (Sequence, np.ndarray)) or any(
        np.ndim(as_array(stroke)) < 2 for stroke in value
    ):
        raise PromptError(f"{where}: give strokes, each of several points, as in [[(x, y), (x, y)]]")
    return tuple(as_points(stroke, where) for stroke in value)


def points_of(value: Any, where: str) -> tuple[Point, ...]:
    """Convert points of a caller to pairs of numbers; None is empty."""
    return as_points(value, where) if value is not None and len(value) else ()
