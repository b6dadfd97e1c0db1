"""Areas and boxes of all objects of an index mask, masks of boxes, and the change of size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segue.types import Box, IndexMask


@dataclass(frozen=True, slots=True)
class ObjectExtent:
    """Where an object is.

    Attributes:
        area: number of pixels, at least 1.
        box: tight ``(x0, y0, x1, y1)``, exclusive at the far side.
    """

    area: int
    box: Box


def measure(mask: IndexMask) -> dict[int, ObjectExtent]:
    """Area and box of every id that occurs in an index mask, (H, W), without 0, in order of id.

    The picture is gone through once for all objects together; ids should be small, because the work
    also grows with the largest of them.
    """
    areas = np.bincount(mask.ravel())
    places = ndimage.find_objects(mask, max_label=max(len(areas) - 1, 0) or 1)
    return {
        int(number): ObjectExtent(int(areas[number]), _box(places[number - 1]))
        for number in np.flatnonzero(areas[1:]) + 1
    }


def _box(place: tuple[slice, slice]) -> Box:
    rows, columns = place
    return float(columns.start), float(rows.start), float(columns.stop), float(rows.stop)


def fill_boxes(boxes: Mapping[int, Box], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Index mask, (H, W), of whole boxes by id; later ones cover earlier ones.

    Corners are cut down to whole pixels, as in the STCN report. What lies beside the picture is left out.

    Args:
        boxes: ``(x0, y0, x1, y1)`` by id, 1 to 255.
        size: height and width of the picture.
    """
    mask = np.zeros(size, np.uint8)
    for number, box in boxes.items():
        x0, y0, x1, y1 = (max(0, int(side)) for side in box)
        mask[y0:y1, x0:x1] = number
    return mask


def resize_mask(mask: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Index mask, (H, W), brought to ``size`` (height, width) by the nearest pixel centre.

    Enlarging and reducing again to the old size gives the old mask back.
    """
    if mask.shape == size:
        return mask
    rows = _nearest(mask.shape[0], size[0])
    columns = _nearest(mask.shape[1], size[1])
    return np.asarray(mask[rows][:, columns])


def _nearest(old: int, new: int) -> npt.NDArray[np.intp]:
    return (2 * np.arange(new) + 1) * old // (2 * new)
