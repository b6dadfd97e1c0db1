"""Check prompts against a frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.entries.formats import SQUARE
from segue.errors import PromptError
from segue.masks import resize_mask
from segue.prompt_types import (
    ImagePrompts,
    Prompt,
)
from segue.types import (
    Box,
    Point,
)
from segue.utils.arrays import check_id

_DEGREES = ("0°", "90° to the left", "180°", "90° to the right")


def check_frame(prompts: Iterable[Prompt], index: int) -> None:
    """Raise PromptError for prompts that name another frame."""
    for prompt in prompts:
        if prompt.frame not in (None, index):
            raise PromptError(
                f"object {prompt.id}: the prompt is for frame {prompt.frame}, but was given on frame {index}"
            )


@contextmanager
def errors_name(what: object) -> Iterator[None]:
    """Prefix errors raised inside with their subject."""
    try:
        yield
    except PromptError as error:
        raise PromptError(f"{what}: {error}") from None


def check_ids(ids: Any) -> frozenset[int]:
    """Convert one id or several to a checked set."""
    several = isinstance(ids, Iterable) and not isinstance(ids, (str, bytes))
    return frozenset(map(check_id, ids if several else (ids,)))


def fit_mask(
    mask: npt.NDArray[Any], size: tuple[int, int], fit: bool, turns: int = 0, pixel_aspect: Fraction = SQUARE
) -> npt.NDArray[Any]:
    """Bring a mask, (h, w), to ``size`` (H, W); another size is only allowed with ``fit``.

    A mask of the image as stored is turned as metadata turn the image. Another shape than that of the frame,
    as stored or as shown with pixels of ``pixel_aspect``, is refused.
    """
    if mask.ndim != 2:
        raise PromptError(f"a mask has two dimensions (height, width), not shape {mask.shape}")
    if mask.shape == size:
        return mask
    sizes = f"the mask is {mask.shape[1]}x{mask.shape[0]} pixels, the frame {size[1]}x{size[0]}"
    display_size = (size[0], size[1] * float(pixel_aspect))
    if not _same_shape(mask.shape, size) and not _same_shape(mask.shape, display_size):
        if turns % 2 and _same_shape(mask.shape[::-1], size):
            if fit:
                return resize_mask(np.ascontiguousarray(np.rot90(mask, turns)), size)
            raise PromptError(
                f"{sizes}: metadata of the source turn its images by {_DEGREES[turns % 4]}, and the mask is "
                "not turned; use fit=True to turn the mask, too"
            )
        raise PromptError(
            f"{sizes}: another shape, so that it is of another image or a part; draw it on the frame"
        )
    if not fit:
        raise PromptError(f"{sizes}; use fit=True to resize the mask")
    return resize_mask(mask, size)


def _same_shape(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two sizes have the same aspect, up to rounding to whole pixels."""
    (height, width), (tall, wide) = one, other
    scale = min(height / tall, width / wide)
    return max(abs(height - tall * scale), abs(width - wide * scale)) <= max(1.0, scale, 0.02 * max(one))


def check_pixels(prompt: Prompt) -> None:
    """Raise PromptError if coordinates look normalised: all in 0 to 1."""
    marks = prompt.to_image(ImagePrompts())
    places = [*marks.points, *marks.negative, *(point for stroke in marks.scribble for point in stroke)]
    values = [float(value) for place in (marks.box or (), *places) for value in place]
    # A click on the corner of an image is one in pixels.
    shares = marks.box is not None or any(value % 1 for value in values)
    if values and shares and all(0 <= value <= 1 for value in values):
        coordinates = ", ".join(f"{value:g}" for value in values[:4])
        what = "box" if marks.box else "scribble" if marks.scribble else "point"
        raise PromptError(f"{what} ({coordinates}): these are shares of the image; give pixels")


def check_points(points: Sequence[Point], size: tuple[int, int]) -> None:
    """Raise PromptError unless all points lie in an image of ``size`` (H, W)."""
    height, width = size
    for x, y in points:
        if not (0 <= x < width and 0 <= y < height):
            raise PromptError(f"point ({x:g}, {y:g}) is outside the {width}x{height} image")


def clip_box(box: Box, size: tuple[int, int]) -> Box:
    """Round a box to whole pixels and clip it to an image of ``size`` (H, W)."""
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
