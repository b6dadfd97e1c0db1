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

CLOSE = 0.4
"""Pixels between a point and where a motion has it that explains the point."""

MIN_EXPLAINED = 0.9
"""Share of the points of the best motion that a simpler one explains to be taken: perspective that few points
tell is none."""

MIN_COVERED = 0.3
"""Share of the surface that points cover of which a homography is told."""

MIN_POINT_SHARE = 0.5
"""Where less of the points is left, new ones are looked for."""

MAX_STEP = 1.5
"""Factor by which the area of a surface changes from one image to the next at most."""

VIEW, CELLS = 96, 8
"""Side of the view of a surface that is compared with its first one, in pixels, and cells of that side."""

TEXTURE, MAX_DIFFERENCE = 6.0, 30.0
"""Levels of grey: deviation of a cell that tells something, and difference of the means of the same cell."""

MIN_CORRELATION, MIN_SAME = 0.3, 0.4
"""Correlation of a cell with the first view of it, and share of cells that are the same; else it is lost."""


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
    first: np.ndarray | None = None
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
            fitted = _fitted(origins, points, outline)
            if fitted is None:
                raise FlowError("too few points of the surface can be followed")
            motion, is_inlier = fitted
            if not _is_steady(outline, total, motion) or not _is_same(first, _view(grey, outline, motion)):
                raise FlowError("the surface does not look as it did")
            total = motion
            points, origins = points[is_inlier], origins[is_inlier]
            yield total
        else:
            first = _view(grey, outline, total)
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


def _fitted(
    origins: np.ndarray, points: np.ndarray, outline: Float64Array
) -> tuple[Float64Array, np.ndarray] | None:
    """The simplest motion that explains the points, from a similarity on, and which points follow it."""
    motions: list[tuple[Float64Array, np.ndarray]] = []
    for fit, minimum in (
        (_similarity, MIN_POINTS // 2),
        (_affinity, MIN_POINTS),
        (_homography, 2 * MIN_POINTS),
    ):
        if len(points) < minimum or (fit is _homography and not _covers(origins, outline)):
            continue
        matrix = fit(origins, points)
        if matrix is None:
            continue
        errors = np.linalg.norm(_projected(origins, matrix) - points, axis=1)
        if np.count_nonzero(errors < INLIER) >= minimum:
            motions.append((matrix, errors))
    if not motions:
        return None
    counts = [np.count_nonzero(errors < CLOSE) for _, errors in motions]
    place = next(i for i, count in enumerate(counts) if count >= MIN_EXPLAINED * max(counts))
    matrix, errors = motions[place]
    return matrix, errors < INLIER


def _similarity(origins: np.ndarray, points: np.ndarray) -> Float64Array | None:
    matrix, _ = cv2.estimateAffinePartial2D(origins, points, ransacReprojThreshold=INLIER)
    return None if matrix is None else np.vstack([matrix, [0, 0, 1]])


def _affinity(origins: np.ndarray, points: np.ndarray) -> Float64Array | None:
    matrix, _ = cv2.estimateAffine2D(origins, points, ransacReprojThreshold=INLIER)
    return None if matrix is None else np.vstack([matrix, [0, 0, 1]])


def _homography(origins: np.ndarray, points: np.ndarray) -> Float64Array | None:
    matrix, _ = cv2.findHomography(origins, points, cv2.RANSAC, INLIER)
    return None if matrix is None else np.asarray(matrix, np.float64)


def _covers(points: np.ndarray, outline: Float64Array) -> bool:
    """Whether points lie on a large part of a surface."""
    hull, surface = (cv2.convexHull(np.asarray(each, np.float32)) for each in (points, outline))
    return cv2.contourArea(hull) >= MIN_COVERED * cv2.contourArea(surface)


def _is_steady(outline: Float64Array, previous: Float64Array, motion: Float64Array) -> bool:
    """Whether a surface lies before the camera and its size changes no more than that of surfaces."""
    depths = np.concatenate([outline, np.ones((len(outline), 1))], axis=1) @ motion[2]
    if depths.min() <= 0:
        return False
    one, other = (
        cv2.contourArea(np.asarray(cv2.perspectiveTransform(outline[None], each)[0], np.float32))
        for each in (previous, motion)
    )
    return one > 0 and 1 / MAX_STEP <= other / one <= MAX_STEP


def _view(grey: np.ndarray, outline: Float64Array, motion: Float64Array) -> np.ndarray:
    """What is seen of a surface as it lay at first, (VIEW, VIEW), float32; NaN where it is not seen."""
    low, high = outline.min(axis=0), outline.max(axis=0)
    x, y = np.maximum(high - low, 1) / VIEW
    place = np.array([[x, 0, low[0]], [0, y, low[1]], [0, 0, 1]])
    to_image, size = motion @ place, (VIEW, VIEW)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    view = cv2.warpPerspective(cv2.GaussianBlur(grey, (0, 0), 1.0), to_image, size, flags=flags)
    visible = cv2.warpPerspective(np.ones_like(grey), to_image, size, flags=cv2.WARP_INVERSE_MAP)
    inside = np.zeros(size, np.uint8)
    cv2.fillPoly(inside, [np.round((outline - low) / (x, y)).astype(np.int32)], 1)
    return np.where((visible > 0) & (inside > 0), view, np.nan).astype(np.float32)


def _is_same(first: np.ndarray | None, view: np.ndarray) -> bool:
    """Whether enough cells of a view look as they did at first, be the light another one."""
    if first is None:
        return True
    both = np.isfinite(first) & np.isfinite(view)
    if not both.any():
        return False
    shift = np.median(view[both] - first[both])
    side = VIEW // CELLS
    same = compared = 0
    for top in range(0, VIEW, side):
        for left in range(0, VIEW, side):
            cell = slice(top, top + side), slice(left, left + side)
            if both[cell].mean() < 0.5:
                continue
            one, other = first[cell][both[cell]], view[cell][both[cell]] - shift
            compared += 1
            is_plain = min(one.std(), other.std()) < TEXTURE
            is_alike = is_plain or np.corrcoef(one, other)[0, 1] > MIN_CORRELATION
            same += bool(is_alike and abs(one.mean() - other.mean()) < MAX_DIFFERENCE)
    return same >= MIN_SAME * compared
