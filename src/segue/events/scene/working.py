"""The small images by which frames of a scene are compared."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from segue.utils.arrays import BoolArray

FloatArray = npt.NDArray[np.float32]

WORKING_SIDE = 200
"""Pixels of the longer side of the images that are compared."""


def working_image(image: npt.NDArray[np.uint8]) -> FloatArray:
    """An image at the size at which scenes are compared, (h, w, 3)."""
    height, width = image.shape[:2]
    scale = min(1.0, WORKING_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)


def reduced_mask(mask: BoolArray, size: tuple[int, ...]) -> BoolArray:
    """The pixels of a working image in which a mask (H, W) has some, (h, w)."""
    reduced = cv2.resize(mask.view(np.uint8), (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(reduced > 0)
