"""Crops around prompts, and prompts as input planes of a crop."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from segue.types import Box, Point
from segue.utils.arrays import UInt8Array

MAX_ASPECT = 2.0
"""Maximum aspect of a window; longer ones are padded, so that crops are stretched by no more."""


def tight_box(mask: npt.NDArray[np.generic]) -> Box:
    """Smallest box ``(x0, y0, x1, y1)`` in pixels around the non-zero pixels of a mask (H, W)."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def grown(box: Box, margin: float) -> Box:
    """Enlarge a box by ``margin`` times its width and height on each side."""
    x0, y0, x1, y1 = box
    dx, dy = margin * (x1 - x0), margin * (y1 - y0)
    return x0 - dx, y0 - dy, x1 + dx, y1 + dy


def box_window(box: Box, size: tuple[int, int]) -> Box:
    """Window around a box, clipped to an image of ``size`` (H, W) and at most :data:`MAX_ASPECT` long."""
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    width, height = max(width, height / MAX_ASPECT), max(height, width / MAX_ASPECT)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return clipped((x - width / 2, y - height / 2, x + width / 2, y + height / 2), size)


def pixels(window: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Round a window to whole pixels of an image of ``size`` (H, W), at least one."""
    x0, y0 = min(int(window[0]), size[1] - 1), min(int(window[1]), size[0] - 1)
    x1, y1 = min(math.ceil(window[2]), size[1]), min(math.ceil(window[3]), size[0])
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def draw_disk(plane: UInt8Array, point: Point) -> None:
    """Draw a click (x, y) as a disk: radius 2 % of the side of the plane, at least 3 pixels."""
    radius = max(3, round(0.02 * plane.shape[0]))
    cv2.circle(plane, (int(point[0]), int(point[1])), radius, 255, -1)


def draw_stroke(plane: UInt8Array, points: Sequence[Point]) -> None:
    """Draw a stroke along points (x, y): 3 % of the side of the plane wide, at least 3 pixels."""
    line = np.array(points, np.int32).reshape(-1, 1, 2)
    cv2.polylines(plane, [line], False, 255, thickness=max(3, round(0.03 * plane.shape[0])))


def enclosing_box(boxes: Sequence[Box]) -> Box:
    """Smallest box around boxes."""
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return float(min(x0)), float(min(y0)), float(max(x1)), float(max(y1))


def clipped(box: Box, size: tuple[int, int]) -> Box:
    """Clip a box to an image of ``size`` (H, W)."""
    x0, y0, x1, y1 = box
    return max(0.0, x0), max(0.0, y0), min(float(size[1]), x1), min(float(size[0]), y1)
