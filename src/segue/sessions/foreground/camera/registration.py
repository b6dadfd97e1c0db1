"""Register and warp images."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array, Level, UInt8Array

Matrix = npt.NDArray[np.float32]  # (2, 3): a point of the reference, in pixels, to where it lies in the frame
Movement = npt.NDArray[np.floating]  # such a matrix, or a homography, (3, 3)

MAX_STEP = 0.15
"""Maximum motion of a panning camera between frames, as a share of the longer side; farther means another
scene."""

MIN_GAIN = 0.9
"""Maximum ratio of the differences after and before compensation; larger values accept noise."""

_IDENTITY: Matrix = np.eye(2, 3, dtype=np.float32)
_CLIP = 1.0
_CELLS = (8, 6)
_CHANGED = 0.2
_OUTSIDE = -1000.0


def normalised(image: npt.NDArray[Level], sigma: float = 8.0) -> Float32Array:
    """Normalise an image, RGB (H, W, 3) or grey (H, W), to grey with local mean and contrast removed."""
    grey = np.asarray(image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)
    detail = grey - cv2.GaussianBlur(grey, (0, 0), sigma)
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), sigma))
    return np.asarray(detail / (contrast + 8), np.float32)


def warped(
    image: npt.NDArray[Any],
    matrix: Movement,
    border: int,
    outside: float = 0.0,
    *,
    flags: int = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    onto: Image | None = None,
) -> npt.NDArray[Any]:
    """Warp an image by a matrix that leads to it or, without ``WARP_INVERSE_MAP``, from it."""
    height, width = image.shape[:2]
    warp: Any = cv2.warpAffine if len(matrix) == 2 else cv2.warpPerspective
    values = (outside,) * 3
    return np.asarray(
        warp(image, matrix, (width, height), onto, flags=flags, borderMode=border, borderValue=values)
    )


def to_reference(image: Image, matrix: Matrix, fill: Image) -> Image:
    """Warp a frame, (H, W, 3), to the reference; missing pixels come from ``fill``."""
    # Starting from the filling makes OpenCV leave pixels without a source as they are.
    return warped(image, matrix, cv2.BORDER_TRANSPARENT, onto=fill.copy())


def to_frame(values: Float32Array, matrix: Matrix) -> Float32Array:
    """Warp values in the reference, (h, w), to the frame."""
    return warped(values, matrix, cv2.BORDER_REPLICATE, flags=cv2.INTER_LINEAR)


def half_grey(image: Image) -> UInt8Array:
    """Grey image at half size."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    grey = cv2.cvtColor(image[: 2 * height, : 2 * width], cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def shift(reference: Float32Array, view: Float32Array) -> Matrix:
    """Translation by phase correlation; none of images one pixel wide or high."""
    height, width = view.shape
    if min(height, width) < 2:
        return _IDENTITY.copy()
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    # Copies: where the sizes are good for its transform, OpenCV 5.0 writes into what it is given.
    (dx, dy), _ = cv2.phaseCorrelate(reference.copy(), view.copy(), window)
    return np.array([[1, 0, dx], [0, 1, dy]], np.float32)


def residual_of(
    reference: Float32Array, view: Float32Array, matrix: Movement
) -> tuple[Float32Array, npt.NDArray[np.bool_]]:
    """Clipped difference per pixel of the reference, (h, w), and where the frame is visible."""
    aligned = warped(view, matrix, cv2.BORDER_CONSTANT, _OUTSIDE)
    return np.minimum(np.abs(aligned - reference), _CLIP), aligned > _OUTSIDE / 10


def difference(reference: Float32Array, view: Float32Array, matrix: Movement) -> float:
    """Mean clipped difference of two normalised images, (h, w), in their overlap."""
    residual, visible = residual_of(reference, view, matrix)
    return float(residual[visible].mean()) if visible.any() else _CLIP


def support(reference: Float32Array, view: Float32Array, matrix: Movement) -> float:
    """Share of 6 by 8 cells of two normalised images, (h, w), whose change a motion explains."""
    still, visible = residual_of(reference, view, _IDENTITY)
    aligned, is_covered = residual_of(reference, view, matrix)
    visible &= is_covered
    visible_share = np.maximum(
        cv2.resize(visible.astype(np.float32), _CELLS, interpolation=cv2.INTER_AREA), 1e-3
    )
    still_residual = (
        cv2.resize(np.where(visible, still, 0), _CELLS, interpolation=cv2.INTER_AREA) / visible_share
    )
    aligned_residual = (
        cv2.resize(np.where(visible, aligned, 0), _CELLS, interpolation=cv2.INTER_AREA) / visible_share
    )
    differ = (visible_share > 0.5) & (np.maximum(still_residual, aligned_residual) > _CHANGED)
    explained = differ & (aligned_residual < MIN_GAIN * still_residual)
    return float(explained.sum() / max(int(differ.sum()), visible_share.size / 2))


def agree(one: Image, other: Image, levels: int) -> BoolArray:
    """Pixels at which two images, (H, W, 3), differ by at most some levels, (H, W)."""
    return np.asarray(cv2.inRange(cv2.absdiff(one, other), (0, 0, 0), (levels, levels, levels)) > 0)


def sampled(values: npt.NDArray[Level], x: Float32Array, y: Float32Array) -> npt.NDArray[Level]:
    """Sample (H, W) or (H, W, C) bilinearly at positions in pixels; the border is repeated."""
    values_at: Any = cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(values_at, values.dtype)
