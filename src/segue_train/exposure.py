"""Frames of a camera that is shaken, as a session sees them: aligned, but blurred and skewed.

While the shutter is open the camera moves on its path, and rows are read one after the other. Alignment takes
the movement between frames away; blur and skew stay, other ones in each frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from segue.arrays import Float32Array
from segue.sessions.sharpness import Blur
from segue_train.scenery import rng_at
from segue_train.warp import Picture, Rng, log_uniform

MOST_POSES = 17  # images that are averaged for the longest exposure


@dataclass(frozen=True, slots=True)
class Exposure:
    """Effect of the path of a camera on each frame.

    Attributes:
        reach: spread of the length of the path during an exposure, in pixels.
        turn: spread of the angle by which the camera turns meanwhile, in degrees.
        skew: spread of the shift between the first and the last row, in pixels.
        seed: of the paths of all frames.
    """

    reach: float
    turn: float
    skew: float
    seed: int

    def act(self, picture: Picture, time: int) -> Picture:
        """An image or plane, (H, W, 3) or (H, W), as it is exposed at a time."""
        height, width = picture.shape[:2]
        path, turn, skew = self._path(time)
        poses = int(np.clip(np.ceil(np.hypot(*path)), 1, MOST_POSES))
        middle, total = (width / 2, height / 2), np.zeros(picture.shape, np.float32)
        for part in np.linspace(-0.5, 0.5, poses) if poses > 1 else (0.0,):
            matrix: Any = cv2.getRotationMatrix2D(middle, turn * part, 1)
            matrix[:, 2] += path * part
            # Rows that are read later see the scene further on.
            matrix[0, 1] += skew[0] / height
            matrix[0, 2] -= skew[0] / 2
            matrix[1, 1] += skew[1] / height
            matrix[1, 2] -= skew[1] / 2
            total += cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        return np.asarray(total / poses + 0.5, np.uint8)

    def blur(self, time: int) -> Blur | None:
        """The blur at a time, the same for the whole image, or None for a sharp frame."""
        path, _, _ = self._path(time)
        return Blur(float(path[0]), float(path[1])) if np.hypot(*path) >= 1 else None

    def _path(self, time: int) -> tuple[Float32Array, float, Float32Array]:
        """Path during the exposure in x and y, angle in degrees, and skew in x and y."""
        rng = rng_at(self.seed, time)
        # Half of the frames are taken where the path turns back, and are nearly sharp.
        speed = abs(rng.normal()) if rng.random() < 0.6 else 0.2 * abs(rng.normal())
        angle = rng.uniform(0, 2 * np.pi)
        path = self.reach * speed * np.array([np.cos(angle), np.sin(angle)], np.float32)
        skew = self.skew * speed * rng.normal(0, [1, 0.4])
        return path, float(self.turn * speed * rng.normal()), np.asarray(skew, np.float32)


def draw_exposure(rng: Rng) -> Exposure:
    """A hand-held or wind-shaken camera: blur of up to tens of pixels, little rotation, some skew."""
    return Exposure(
        reach=log_uniform(rng, 1, 14),
        turn=float(rng.uniform(0, 1.2)),
        skew=float(rng.uniform(0, 3)),
        seed=int(rng.integers(1 << 31)),
    )
