"""Appearance of objects, which distinguishes them where they move by more than their length."""

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


class Thumbnails:
    """What is in boxes of a frame, (8, 8, 3) each; made once for each box.

    Args:
        image: RGB (h, w, 3); without one all look the same.
        size: height and width of the frame in whose pixels the boxes are.
    """

    def __init__(self, image: Image | None, size: tuple[int, ...]) -> None:
        self._image, self._size = image, size
        self._thumbnails: dict[Box, Float32Array] = {}

    def of(self, boxes: Iterable[Box]) -> list[Float32Array]:
        """A thumbnail of each box."""
        return [self._of(box) for box in boxes]

    def _of(self, box: Box) -> Float32Array:
        if self._image is None:
            return np.zeros((SIDE, SIDE, 3), np.float32)
        if box not in self._thumbnails:
            height, width = self._image.shape[:2]
            down, across = height / self._size[0], width / self._size[1]
            x0, y0, x1, y1 = (
                round(side * scale) for side, scale in zip(box, (across, down) * 2, strict=True)
            )
            left, top = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
            part = self._image[top : max(y1, top + 1), left : max(x1, left + 1)]
            reduced = cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            self._thumbnails[box] = np.asarray(reduced, np.float32)
        return self._thumbnails[box]


def likeness(previous: Sequence[Float32Array], current: Sequence[Float32Array]) -> Float32Array:
    """How alike thumbnails of two frames are, (previous, current), in 0..1."""
    first, second = (
        np.reshape(np.array(each, np.float32), (len(each), SIDE * SIDE, 3)) for each in (previous, current)
    )
    differences = np.abs(first[:, None] - second[None]).mean((2, 3))
    contrasts = (first.std(1).mean(1)[:, None] + second.std(1).mean(1)[None]) / 2 + NOISE
    return np.asarray(np.exp(-differences / (SPREAD * contrasts)), np.float32)
