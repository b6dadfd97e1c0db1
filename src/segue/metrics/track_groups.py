"""Groups of tracks by official size classes, by motion and by change of shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from segue.masks.tracks import RleTrack
from segue.utils.arrays import Float64Array

Property = Literal["area", "stillness", "aspect_change"]


@dataclass(frozen=True, slots=True)
class Group:
    """Tracks with a property within inclusive bounds: mean area, stillness or aspect change."""

    name: str
    of: Property
    low: float
    high: float


ALL = Group("all", "area", 0.0, 1e10)

SIZES = (
    Group("small", "area", 0.0, 128.0**2),
    Group("medium", "area", 128.0**2, 256.0**2),
    Group("large", "area", 256.0**2, 1e10),
)
"""Groups of the official evaluation."""

MOTIONS = (
    Group("slow", "stillness", 0.9, 1.0),
    Group("moving", "stillness", 0.7, 0.9),
    Group("fast", "stillness", 0.0, 0.7),
)
"""Bounds of Zhu et al., "Flow-Guided Feature Aggregation for Video Object Detection", ICCV 2017."""

SHAPES = (
    Group("of steady shape", "aspect_change", 1.0, 1.5),
    Group("of changing shape", "aspect_change", 1.5, np.inf),
)
"""Groups by shape; segue chose the bound."""

GROUPS = (ALL, *SIZES, *MOTIONS, *SHAPES)
"""All groups; first the area ranges of the official evaluation, in its order."""


def stillness(masks: RleTrack) -> float:
    """Mean IoU of an object's boxes on neighbouring frames; 1 without neighbours."""
    boxes, frames = _boxes(masks)
    both = np.flatnonzero(np.diff(frames) == 1)
    if not len(both):
        return 1.0
    first, second = boxes[both], boxes[both + 1]
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    shared = np.clip(sides, 0, None).prod(1)
    areas = [(box[:, 2:] - box[:, :2]).prod(1) for box in (first, second)]
    return float((shared / (areas[0] + areas[1] - shared)).mean())


def aspect_change(masks: RleTrack) -> float:
    """Ratio of the largest to the smallest aspect of an object's box; at least 1."""
    boxes, frames = _boxes(masks)
    if not len(frames):
        return 1.0
    sides = boxes[:, 2:] - boxes[:, :2]
    aspects = sides[:, 0] / sides[:, 1]
    return float(aspects.max() / aspects.min())


def outside(areas: Sequence[float], tracks: Sequence[RleTrack]) -> npt.NDArray[np.bool_]:
    """Whether tracks lie outside each group, (groups, tracks)."""
    values = {
        "area": np.array(areas, np.float64),
        "stillness": np.array([stillness(track) for track in tracks], np.float64),
        "aspect_change": np.array([aspect_change(track) for track in tracks], np.float64),
    }
    return np.stack([(values[group.of] < group.low) | (values[group.of] > group.high) for group in GROUPS])


def _boxes(masks: RleTrack) -> tuple[Float64Array, npt.NDArray[np.int64]]:
    """Boxes x0, y0, x1, y1, (N, 4), and indices, (N,), of the frames that show an object."""
    frames = np.flatnonzero(masks.areas)
    if not len(frames):
        return np.zeros((0, 4)), frames
    boxes = np.asarray(coco_mask.toBbox([masks.rle(t) for t in frames.tolist()]), np.float64)
    boxes[:, 2:] += boxes[:, :2]
    return boxes, frames
