"""Small videos for foreground sessions: a textured scene, and squares that move before it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from segue.types import Frame

Bytes = npt.NDArray[np.uint8]
Place = tuple[int, int]


def wall(seed: int = 0, height: int = 96, width: int = 128, light: float = 1.0) -> Bytes:
    """A scene without anybody: smooth colour noise, (H, W, 3), between 40 and 160."""
    rng = np.random.default_rng(seed)
    noise = rng.random((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4.0) - cv2.GaussianBlur(noise, (0, 0), 24.0)
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return np.asarray(np.clip((40 + 120 * smooth) * light, 0, 255), np.uint8)


def with_squares(scene: Bytes, places: Sequence[Place], side: int = 20, level: int = 250) -> Bytes:
    """The scene with bright squares, whose upper left corners are at these (row, column)."""
    image = scene.copy()
    for row, column in places:
        image[max(row, 0) : max(row + side, 0), max(column, 0) : max(column + side, 0)] = level
    return image


def square_mask(size: tuple[int, int], places: Sequence[Place], side: int = 20) -> npt.NDArray[np.bool_]:
    """Where the squares are, (H, W)."""
    mask = np.zeros((*size, 3), np.uint8)
    return with_squares(mask, places, side)[..., 0] > 0


def video(images: Sequence[Bytes], fps: float = 25.0) -> list[Frame]:
    """Images as frames."""
    return [Frame(t, t / fps, image) for t, image in enumerate(images)]


def overlap(found: npt.NDArray[np.generic], true: npt.NDArray[np.bool_]) -> float:
    """Intersection over union of two masks."""
    both = (found > 0) & true
    return float(both.sum() / max(1, ((found > 0) | true).sum()))
