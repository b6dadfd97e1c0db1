"""The motion of a plane, such as a wall or a screen: a homography through points that are followed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from segue.errors import FlowError
from segue.types import Image
from segue.utils.arrays import Float64Array

MAX_POINTS = 300
"""Points that are followed at once."""

MIN_POINTS = 6
"""Points on which a homography stands at least; a similarity takes half of them."""

MAX_ROUND_TRIP = 0.7
"""A point that is followed forth and back comes to within so many pixels of where it was."""

INLIER = 2.5
"""Pixels between a point and where the motion has it."""

MIN_POINT_SHARE = 0.5
"""Where less of the points is left, new ones are looked for."""


def plane_motion(images: Iterable[Image], outline: Float64Array) -> Iterator[Float64Array]:
    """The motion of what an outline encloses on the first image.

    Args:
        images: RGB, (H, W, 3), uint8, one after the other.
        outline: corners on the first image, (N, 2), x before y.

    Yields:
        For each image after the first the homography from the first, (3, 3).

    Raises:
        FlowError: too few points of the plane can be followed any more.
    """
    total = np.eye(3)
    previous: np.ndarray | None = None
    origins = points = np.zeros((0, 2), np.float32)
    start = 0
    for image in images:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if previous is not None:
            if len(points) < max(MIN_POINTS, MIN_POINT_SHARE * start):
                points = _points(previous, cv2.perspectiveTransform(outline[None], total)[0])
                origins = _projected(points, np.asarray(np.linalg.inv(total), np.float64))
                start = len(points)
            points, is_tracked = _followed(previous, grey, points)
            points, origins = points[is_tracked], origins[is_tracked]
            fitted = _fitted(origins, points)
            if fitted is None:
                raise FlowError("too few points of the surface can be followed")
            total, is_inlier = fitted
            points, origins = points[is_inlier], origins[is_inlier]
            yield total
        previous = grey


def _points(grey: np.ndarray, outline: Float64Array) -> np.ndarray:
    """Points within an outline that can be told from their neighbours, (N, 2), float32."""
    inside = np.zeros(grey.shape, np.uint8)
    cv2.fillPoly(inside, [np.round(outline).astype(np.int32)], 1)
    corners = cv2.goodFeaturesToTrack(grey, MAX_POINTS, 0.005, 4, mask=inside)
    return np.zeros((0, 2), np.float32) if corners is None else np.asarray(corners, np.float32).reshape(-1, 2)


def _projected(points: np.ndarray, homography: Float64Array) -> np.ndarray:
    if not len(points):
        return points
    return np.asarray(cv2.perspectiveTransform(points[None].astype(np.float64), homography)[0], np.float32)


def _followed(previous: np.ndarray, grey: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points are on the next image, and for which of them the way back ends where they were."""
    if not len(points):
        return points, np.zeros(0, np.bool_)
    starts = points[:, None]
    forth, forward_status, _ = cv2.calcOpticalFlowPyrLK(previous, grey, starts, np.empty_like(starts))
    backward, backward_status, _ = cv2.calcOpticalFlowPyrLK(grey, previous, forth, np.empty_like(starts))
    error = np.linalg.norm(backward[:, 0] - points, axis=1)
    return forth[:, 0], (forward_status[:, 0] > 0) & (backward_status[:, 0] > 0) & (error < MAX_ROUND_TRIP)


def _fitted(origins: np.ndarray, points: np.ndarray) -> tuple[Float64Array, np.ndarray] | None:
    """The motion through most points, and which these are: a homography, or of few points a similarity."""
    if len(points) >= 2 * MIN_POINTS:
        matrix, inliers = cv2.findHomography(origins, points, cv2.RANSAC, INLIER)
        if matrix is not None and np.count_nonzero(inliers) >= MIN_POINTS:
            return np.asarray(matrix, np.float64), inliers[:, 0] > 0
    if len(points) >= MIN_POINTS // 2:
        matrix, inliers = cv2.estimateAffinePartial2D(origins, points, ransacReprojThreshold=INLIER)
        if matrix is not None and np.count_nonzero(inliers) >= MIN_POINTS // 2:
            return np.vstack([matrix, [0, 0, 1]]), inliers[:, 0] > 0
    return None
