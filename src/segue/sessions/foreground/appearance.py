"""Appearance of objects, to match those that move by more than their length per frame."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from segue.types import Box, Image
from segue.utils.arrays import Float32Array

SIDE = 8
"""Pixels of the sides of a thumbnail."""

SPREAD = 0.4
"""Difference of two thumbnails, relative to their contrast, at which their likeness is 1 / e."""

NOISE = 4.0
"""Levels added to the contrast, since the contrast of a plain object is mostly noise."""


def thumbnail(image: Image | None, size: tuple[int, ...], box: Box) -> Float32Array:
    """Thumbnail of a box in a frame, (8, 8, 3).

    ``image``: RGB (h, w, 3); None gives equal thumbnails. ``size``: height and width of the frame in whose
    pixels the box is.
    """
    if image is None:
        return np.zeros((SIDE, SIDE, 3), np.float32)
    height, width = image.shape[:2]
    down, across = height / size[0], width / size[1]
    x0, y0, x1, y1 = (round(side * scale) for side, scale in zip(box, (across, down) * 2, strict=True))
    left, top = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
    part = image[top : max(y1, top + 1), left : max(x1, left + 1)]
    return np.asarray(cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)


def likeness(previous: Sequence[Float32Array], current: Sequence[Float32Array]) -> Float32Array:
    """Similarity of thumbnails of two frames, (previous, current), in 0..1."""
    first, second = (
        np.reshape(np.array(each, np.float32), (len(each), SIDE * SIDE, 3)) for each in (previous, current)
    )
    differences = np.abs(first[:, None] - second[None]).mean((2, 3))
    contrasts = (first.std(1).mean(1)[:, None] + second.std(1).mean(1)[None]) / 2 + NOISE
    return np.asarray(np.exp(-differences / (SPREAD * contrasts)), np.float32)
