"""Reduced images for comparing frames of a scene."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from segue.utils.arrays import BoolArray, IndexMask

Part = tuple[slice, slice]
"""Rows and columns of a working image."""

FloatArray = npt.NDArray[np.float32]

WORKING_SIDE = 200
"""Pixels of the longer side of the images that are compared."""


MIN_CONTRAST = 12.0
"""Minimum difference of an object from the background, in levels of its most different colour."""

_BLACK = 8.0
"""Levels added before division, since ratios of dark pixels are mostly noise."""

_UNEVEN = 0.4
"""Maximum logarithm of the ratio by which light around an object varies."""

_MIN_RING = 8
"""Minimum number of pixels around an object for estimating the light."""

_RING_SAMPLES = 400
"""Number of these pixels, evenly spread, that suffice for estimating the light."""


def working_image(image: npt.NDArray[np.uint8]) -> FloatArray:
    """Reduce an image for comparison, (h, w, 3)."""
    height, width = image.shape[:2]
    scale = min(1.0, WORKING_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)


def reduced_labels(mask: IndexMask, size: tuple[int, ...]) -> IndexMask:
    """Reduce an index mask (H, W) to (h, w): the largest id in each pixel."""
    if mask.shape == size[:2]:
        return mask
    height, width = (-(-large // small) for small, large in zip(size, mask.shape, strict=False))
    largest = cv2.dilate(mask, np.ones((height, width), np.uint8), anchor=(0, 0))  # of those below and right
    return np.asarray(cv2.resize(largest, (size[1], size[0]), interpolation=cv2.INTER_NEAREST))


def reduced_mask(mask: BoolArray, size: tuple[int, ...]) -> BoolArray:
    """Reduce a mask (H, W) to (h, w): pixels that contain any of it."""
    return reduced_labels(mask.view(np.uint8), size) > 0


def local_contrast(
    image: FloatArray, background: FloatArray, inside: BoolArray, covered: BoolArray
) -> tuple[Part, FloatArray] | None:
    """Difference of a region from the background after local brightness is removed.

    Args:
        image: working image (H, W, 3).
        background: the same without objects.
        inside: pixels of the object, (H, W).
        covered: pixels of all objects, (H, W).

    Returns:
        The part, and levels (h, w) in the colour that differs most; None where nothing is around the object.
    """
    x, y, width, height = cv2.boundingRect(inside.view(np.uint8))
    margin = max(3, max(width, height) // 4)
    part = slice(max(0, y - margin), y + height + margin), slice(max(0, x - margin), x + width + margin)
    free = grown_mask(inside[part], margin) & ~grown_mask(covered[part], 1)
    if np.count_nonzero(free) < _MIN_RING:
        return None
    levels, empty = image[part] + _BLACK, background[part] + _BLACK
    expected = empty * _light_of(levels, empty, free)
    red, green, blue = np.moveaxis(np.abs(levels - expected), -1, 0)
    return part, np.maximum(np.maximum(red, green), blue)


def _light_of(levels: FloatArray, empty: FloatArray, free: BoolArray) -> FloatArray:
    """Interpolate the brightness gain between two images, (h, w, 3), over a region from its free pixels."""
    rows, columns = np.nonzero(free)
    step = max(1, len(rows) // _RING_SAMPLES)
    rows, columns = rows[::step], columns[::step]
    logs = np.log((levels[rows, columns] / empty[rows, columns]).T)
    middle = np.median(logs, axis=1, keepdims=True)
    logs = np.clip(logs, middle - _UNEVEN, middle + _UNEVEN)
    # Least squares by the normal equations.
    terms = np.stack([np.ones(len(rows)), rows, columns])
    plane = np.linalg.lstsq(terms @ terms.T, terms @ logs.T, rcond=None)[0]
    down = np.exp(plane[0] + np.arange(free.shape[0])[:, None] * plane[1]).astype(np.float32)
    across = np.exp(np.arange(free.shape[1])[:, None] * plane[2]).astype(np.float32)
    return np.asarray(down[:, None] * across)


def grown_mask(mask: BoolArray, pixels: int) -> BoolArray:
    """Dilate a mask by a number of pixels."""
    kernel = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return np.asarray(cv2.dilate(mask.view(np.uint8), kernel) > 0)
