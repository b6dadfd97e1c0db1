"""What objects look like, by which they are told apart where they move by more than their length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from segue.types import Box, Image
from segue.utils.arrays import Float32Array

SIDE = 8
"""Pixels of the sides of a thumbnail."""

SPREAD = 0.4
"""Difference of two thumbnails, in their contrast, at which their likeness has fallen to 1 / e."""

NOISE = 4.0
"""Levels that are added to the contrast: that of a plain object is mostly noise."""


def thumbnails(image: Image | None, size: tuple[int, ...], boxes: Iterable[Box]) -> list[Float32Array]:
    """What is in boxes.

    Args:
        image: RGB (h, w, 3); without one all look the same.
        size: height and width of the frame in whose pixels the boxes are.
        boxes: parts of the frame.

    Returns:
        A thumbnail (8, 8, 3) of each.
    """
    if image is None:
        return [np.zeros((SIDE, SIDE, 3), np.float32) for _ in boxes]
    height, width = image.shape[:2]
    scale = np.tile((width / size[1], height / size[0]), 2)
    places = (np.rint(np.array(box) * scale).astype(int).tolist() for box in boxes)
    parts = []
    for x0, y0, x1, y1 in places:
        left, top = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
        parts.append(image[top : max(y1, top + 1), left : max(x1, left + 1)])
    sides = SIDE, SIDE
    return [np.asarray(cv2.resize(each, sides, interpolation=cv2.INTER_AREA), np.float32) for each in parts]


def likeness(previous: Sequence[Float32Array], current: Sequence[Float32Array]) -> Float32Array:
    """How alike thumbnails of two frames are, (previous, current), in 0..1."""
    first, second = (
        np.reshape(np.array(each, np.float32), (len(each), SIDE * SIDE, 3)) for each in (previous, current)
    )
    differences = np.abs(first[:, None] - second[None]).mean((2, 3))
    contrasts = (first.std(1).mean(1)[:, None] + second.std(1).mean(1)[None]) / 2 + NOISE
    return np.asarray(np.exp(-differences / (SPREAD * contrasts)), np.float32)
