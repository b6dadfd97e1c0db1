"""Foreground scores by object size: small, medium and large.

An object is a connected region of foreground in the labels of one frame (8 neighbours). Sizes follow COCO,
with areas in pixels of the labels. Foreground pixels belong to their object. A false positive belongs to a
connected region of the result; the region has the size of the object that it covers most, or its own area if
it covers none. The counts of the three sizes add up to the counts of all pixels.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from segue.utils.arrays import BoolArray

SIZES = ("small", "medium", "large")
BOUNDS = (32**2, 96**2)
"""Minimum areas of medium and large objects, in pixels."""

SizeCounts = npt.NDArray[np.int64]
"""(3, 3): true positives, false positives and false negatives of small, medium and large objects."""

Labelled = tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]


def count_by_size(predicted: BoolArray, moving: BoolArray, used: BoolArray) -> SizeCounts:
    """Count the pixels of one frame by the size of their object."""
    objects, sizes = _regions(moving)
    size_of_pixel = sizes[objects]
    hits, misses = moving & used & predicted, moving & used & ~predicted
    alarms = predicted & used & ~moving
    wrong = np.zeros(len(SIZES), np.int64)
    if alarms.any():
        regions, guilty = _regions(predicted)
        covered = predicted & moving
        pairs, pixels = np.unique(
            regions[covered].astype(np.int64) * len(sizes) + objects[covered], return_counts=True
        )
        order = np.argsort(
            pixels, kind="stable"
        )  # of several objects the one that is covered most comes last
        guilty[pairs[order] // len(sizes)] = sizes[pairs[order] % len(sizes)]
        wrong = _count(guilty[regions[alarms]])
    return np.stack([_count(size_of_pixel[hits]), wrong, _count(size_of_pixel[misses])], axis=1)


def measures_by_size(counts: SizeCounts, alpha: float) -> dict[str, float]:
    """F by the size of objects."""
    values: dict[str, float] = {}
    for size, (hits, alarms, misses) in zip(SIZES, counts.tolist(), strict=True):
        if not hits:
            values[f"F {size}"] = 0.0 if misses else np.nan
            continue
        recall, precision = hits / (hits + misses + alpha), hits / (hits + alarms + alpha)
        values[f"F {size}"] = 2 * recall * precision / (recall + precision + alpha)
    return values


def _regions(mask: BoolArray) -> Labelled:
    """Number of the region of each pixel, (H, W), 0 outside, and the index in SIZES of each region."""
    _, regions, statistics, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    sizes = np.searchsorted(BOUNDS, statistics[:, cv2.CC_STAT_AREA], side="right")
    return cast("npt.NDArray[np.int32]", regions), np.asarray(sizes, np.int64)


def _count(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.bincount(sizes, minlength=len(SIZES))
