"""Masks, boxes and points as callers have them: arrays, tensors, lists, PIL images, paths."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segue.arrays import BoolArray, Box, IndexMask, Point, as_array
from segue.errors import PromptError, SourceError
from segue.inputs import kind_of, user_path
from segue.masks.files import index_values, read_index_mask
from segue.masks.values import as_white, is_white

EXPECTED = (
    "an index mask (H, W) of whole numbers (0 background, other values ids of objects), a mask (H, W) of "
    "booleans, masks (N, H, W) of N objects, colours (H, W, 3) of objects on black, a PIL image, or "
    "the path of a mask file"
)


class PromptWarning(UserWarning):
    """A prompt was read in the likely one of two ways; the message names the prompt and the other way."""


def is_mask_like(value: object) -> bool:
    """Whether a value is an array, a tensor, a PIL image or a path, which :func:`as_masks` reads."""
    return isinstance(value, (np.ndarray, Image.Image, str, os.PathLike)) or hasattr(value, "detach")


def as_masks(value: Any, where: str) -> npt.NDArray[Any]:
    """A caller's mask as whole numbers or booleans, by the rules of :func:`segue.masks.read_index_mask`."""
    if isinstance(value, (str, os.PathLike)):
        return read_index_mask(user_path(value))
    given = value
    if isinstance(value, Image.Image):
        return _index_values(value, where)
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
        if value.dtype == np.uint8 and value.shape[-1] > 1 and value.size:
            return _index_values(Image.fromarray(value), where)
        hint = "take one channel, mask[..., 0]" if value.shape[-1] == 1 else "that is a colour image"
        raise PromptError(f"{where}: {kind_of(given)}; {hint}. Give {EXPECTED}")
    if value.ndim not in (2, 3) or not value.size:
        raise PromptError(f"{where}: {kind_of(given)}; give {EXPECTED}")
    return (
        one_object(value, where) if value.ndim == 2 else np.stack([shape_of(plane, where) for plane in value])
    )


def _index_values(image: Image.Image, where: str) -> IndexMask:
    try:
        return index_values(image, where)
    except SourceError as error:
        raise PromptError(str(error)) from None


def shape_of(mask: npt.NDArray[Any], where: str) -> BoolArray:
    """Where a mask (H, W) of one object is not 0; soft edges of a white one are cut at half."""
    white = as_white(mask, where, PromptError)
    return np.asarray((mask if white is None else white) != 0)


def one_object(mask: IndexMask, where: str) -> IndexMask:
    """An index mask (H, W); one white object, as images have them, gets the id 1, with a warning."""
    white = as_white(mask, where, PromptError)
    if white is None:
        return mask
    levels = "0 and 255" if is_white(mask) else f"greys from 0 to {mask.max()}, with soft edges,"
    warnings.warn(
        f"{where}: a mask of {levels} is taken as one object with the id 1; "
        f"for an object with the id {mask.max()} give MaskPrompt({mask.max()}, mask)",
        PromptWarning,
        stacklevel=2,
    )
    return (white > 0).astype(np.uint8)


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
