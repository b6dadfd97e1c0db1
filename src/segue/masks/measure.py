"""Areas and boxes of all objects of an index mask, masks of boxes, and the change of size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.utils.arrays import BoolArray, Box, IndexMask


@dataclass(frozen=True, slots=True)
class ObjectExtent:
    """Box and area of an object.

    Attributes:
        area: number of pixels, at least 1.
        box: tight ``(x0, y0, x1, y1)``, exclusive at the far side.
    """

    area: int
    box: Box


MIN_SIDE = 60
"""The smallest object worth following is a square whose side is the image's shorter side by this."""


def min_object_area(size: tuple[int, ...]) -> float:
    """Pixels of the smallest object worth following in images of this height and width."""
    return (min(size[:2]) / MIN_SIDE) ** 2


def iou(one: BoolArray, other: BoolArray) -> float:
    """Intersection over union of two masks of one shape, in [0, 1]; 0 where both are empty."""
    return float((one & other).sum() / max(1, int((one | other).sum())))


def measure(mask: IndexMask, origin: tuple[int, int] = (0, 0)) -> dict[int, ObjectExtent]:
    """Measure all objects of an index mask in one pass.

    Args:
        mask: index mask (H, W).
        origin: column and row of its first pixel, for boxes in the image of which it is a part.

    Returns:
        Area in pixels and box of every id but 0, in ascending order of id.
    """
    if not mask.any():  # most frames of a camera
        return {}
    last = np.ones(mask.shape, np.bool_)  # of a run
    np.not_equal(mask[:, 1:], mask[:, :-1], out=last[:, :-1])
    ends = np.flatnonzero(last)
    values, lengths = mask.ravel()[ends], np.diff(ends, prepend=-1)
    inside = values != 0
    ends, values, lengths = ends[inside], values[inside], lengths[inside]
    rows, columns = np.divmod(ends, max(mask.shape[1], 1))
    ids, firsts, owners = np.unique(values, return_index=True, return_inverse=True)
    areas = np.bincount(owners, lengths, len(ids)).astype(np.intp)
    left, right, bottom = (
        np.full(len(ids), mask.shape[1]),
        np.zeros(len(ids), np.intp),
        np.zeros(len(ids), np.intp),
    )
    np.minimum.at(left, owners, columns - lengths + 1)
    np.maximum.at(right, owners, columns + 1)
    np.maximum.at(bottom, owners, rows + 1)
    boxes = np.stack([left, rows[firsts], right, bottom], axis=1).astype(np.float64) + (origin * 2)
    extents = map(ObjectExtent, areas.tolist(), map(tuple, boxes.tolist()))
    return dict(zip(ids.tolist(), extents, strict=True))


def fill_boxes(boxes: Mapping[int, Box], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Draw filled boxes; later ones cover earlier ones.

    Args:
        boxes: boxes in pixels by id; corners are cut down to whole pixels, as in the STCN report.
        size: height and width of the mask; parts of a box beside it are left out.

    Returns:
        Index mask (H, W), uint8.
    """
    mask = np.zeros(size, np.uint8)
    for number, box in boxes.items():
        x0, y0, x1, y1 = (max(0, int(side)) for side in box)
        mask[y0:y1, x0:x1] = number
    return mask


def resize_mask(mask: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Resize an index mask by the nearest pixel centre; enlarging and reducing again gives the same mask.

    Args:
        mask: index mask (H, W).
        size: new height and width.

    Returns:
        Index mask of this size; ``mask`` itself, not a copy, if it has this size already.
    """
    if mask.shape == size:
        return mask
    rows = _nearest(mask.shape[0], size[0])
    columns = _nearest(mask.shape[1], size[1])
    return np.asarray(mask[rows][:, columns])


def _nearest(old: int, new: int) -> npt.NDArray[np.intp]:
    return (2 * np.arange(new) + 1) * old // (2 * new)
