"""Masks, boxes and points as callers have them: arrays, tensors, lists, PIL images, paths."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segue.arrays import as_array
from segue.errors import PromptError
from segue.inputs import kind_of
from segue.masks.files import index_values, read_index_mask
from segue.types import Box, IndexMask, Point

EXPECTED = (
    "an index mask (H, W) of whole numbers (0 background, other values ids of objects), a mask (H, W) of "
    "booleans, masks (N, H, W) of N objects, a PIL image, or the path of a mask file"
)


class PromptWarning(UserWarning):
    """A prompt was read in the likely one of two ways; the message names the prompt and the other way."""


def is_mask_like(value: object) -> bool:
    """Whether a value is an array, a tensor, a PIL image or a path, which :func:`as_masks` reads."""
    return isinstance(value, (np.ndarray, Image.Image, str, os.PathLike)) or hasattr(value, "detach")


def as_masks(value: Any, where: str) -> npt.NDArray[Any]:
    """A caller's mask as whole numbers or booleans; of 0 and 255 alone it is one object, with a warning."""
    if isinstance(value, (str, os.PathLike)):
        return read_index_mask(Path(value))
    given = value
    if isinstance(value, Image.Image):
        return index_values(value, where)
    value = as_array(value)
    if not isinstance(value, np.ndarray):
        raise PromptError(f"{where}: {kind_of(given)}; give {EXPECTED}")
    if value.dtype.kind not in "biu":
        hint = (
            "; compare probabilities with a threshold first, as in mask > 0.5"
            if value.dtype.kind == "f"
            else ""
        )
        raise PromptError(f"{where}: {kind_of(given)}; a mask holds whole numbers or booleans{hint}")
    if value.ndim == 3 and value.shape[-1] in (1, 3, 4) and value.shape[0] not in (1, 3, 4):
        hint = "take one channel, mask[..., 0]" if value.shape[-1] == 1 else "that is a colour image"
        raise PromptError(f"{where}: {kind_of(given)}; {hint}. Give {EXPECTED}")
    if value.ndim not in (2, 3) or not value.size:
        raise PromptError(f"{where}: {kind_of(given)}; give {EXPECTED}")
    return value if value.ndim == 3 else one_object(value, where)


def one_object(mask: IndexMask, where: str) -> IndexMask:
    """An index mask (H, W); where its only id is 255, as in images of masks, that object gets the id 1."""
    if mask.dtype.kind == "b" or int(mask.max(initial=0)) != 255:
        return mask
    inside = mask == 255
    if mask[~inside].any():
        return mask
    warnings.warn(
        f"{where}: a mask of 0 and 255 is taken as one object with the id 1; "
        "for an object with the id 255 give MaskPrompt(255, mask)",
        PromptWarning,
        stacklevel=2,
    )
    return np.asarray(inside, np.uint8)


def as_box(value: Any, where: str) -> Box:
    """Four numbers as a box."""
    try:
        numbers = np.asarray(as_array(value), np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (4,):
        raise PromptError(f"{where}: {kind_of(value)}; give four numbers (x0, y0, x1, y1) in pixels")
    x0, y0, x1, y1 = numbers.tolist()
    return x0, y0, x1, y1


def as_points(value: Any, where: str) -> tuple[Point, ...]:
    """One point or several as pairs of numbers."""
    try:
        numbers = np.asarray(as_array(value), np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    numbers = numbers[None] if numbers.shape == (2,) else numbers
    if numbers.ndim != 2 or numbers.shape[1] != 2 or not len(numbers):
        raise PromptError(f"{where}: {kind_of(value)}; give points in pixels, as in [(x, y), (x, y)]")
    return tuple((float(x), float(y)) for x, y in numbers)
