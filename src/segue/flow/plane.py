"""Motion of a plane, such as a wall or a screen: a homography from tracked points."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from segue.errors import FlowError
from segue.types import Image
from segue.utils.arrays import BoolArray, Float64Array

MAX_POINTS = 300
"""Points that are followed at once."""

MIN_POINTS = 6
"""Minimum number of points for a homography; a similarity needs half of them."""

MAX_ROUND_TRIP = 0.7
"""Maximum round-trip error of a tracked point, in pixels."""

INLIER = 2.5
"""Maximum reprojection error of an inlier, in pixels."""

CLOSE, CLOSE_TO_KEY = 0.4, 0.15
"""Maximum reprojection errors of explained points in pixels, from the previous image and from the key."""

MIN_EXPLAINED = 0.9
"""Share of the points of the best motion that a simpler one explains to be taken: perspective that few points
tell is none."""

MIN_COVERED = 0.3
"""Minimum share of the surface covered by points for a homography."""

MIN_POINT_SHARE = 0.5
"""Minimum share of remaining points; with fewer, new ones are detected."""

MAX_STEP = 1.5
"""Maximum factor by which the area of a surface changes between images."""

VIEW, CELLS = 96, 8
"""Side of the view of a surface that is compared with its first one, in pixels, and cells of that side."""

TEXTURE, MAX_DIFFERENCE = 6.0, 30.0
"""Grey levels: minimum deviation of a textured cell, and maximum difference of the means of a cell."""

MIN_CORRELATION, MIN_SAME, MIN_SAME_ALONE = 0.5, 0.25, 0.6
"""Correlation of a cell with the first view of it, and share of cells that are the same; else the surface is
lost. More must be the same where the points of the key are not found."""

MARGIN = 16
"""Margin in pixels around the surface on the key for detecting points."""

MAX_MENDED = 8.0
"""Maximum correction of a surface by the points of the key, in pixels."""

MIN_COMPARED = 0.15
"""Minimum share of visible cells; with fewer, the surface is lost."""

PATCH, MIN_PATCH_CORRELATION = 9, 0.8
"""Side of the patch around a point, in pixels, and its minimum correlation with the key."""


def plane_motion(
    images: Iterable[Image],
    outline: Float64Array,
    *,
    covered: Iterable[BoolArray | None] | None = None,
    key: tuple[Image, BoolArray | None] | None = None,
    motion: Float64Array | None = None,
) -> Iterator[Float64Array]:
    """Estimate the motion of the surface inside an outline on a key frame.

    Points are tracked from each image to the next one (Lucas-Kanade). Points of the key image are then
    matched near their predicted positions and correct the motion, so that errors do not add up.

    Args:
        images: RGB, (H, W, 3), uint8, one after the other.
        outline: corners on the image of the key, (N, 2), x before y.
        covered: for each image the pixels of objects in front, (H, W), bool, which are not of the surface;
            None is none.
        key: the image of the key, and the mask of objects in front; None is the first one.
        motion: the homography, (3, 3), from the image of the key to the first one; None is none.

    Yields:
        For each image after the first the homography from the image of the key, (3, 3).

    Raises:
        FlowError: too little of the plane is seen as on the key, or too few of its points are followed.
    """
    total = np.eye(3) if motion is None else motion
    previous: np.ndarray | None = None
    anchor: _Anchor | None = None
    points = np.zeros((0, 2), np.float32)
    start = 0
    for image, hidden in zip(images, itertools.repeat(None) if covered is None else covered, strict=False):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if previous is None or anchor is None:
            first, covers = (image, hidden) if key is None else key
            anchor = _Anchor(cv2.cvtColor(first, cv2.COLOR_RGB2GRAY), outline, covers)
            previous, previous_hidden = grey, hidden
            continue
        if len(points) < max(MIN_POINTS, MIN_POINT_SHARE * start):
            points = _points(previous, cv2.perspectiveTransform(outline[None], total)[0], previous_hidden)
            start = len(points)
        places, is_tracked = _track_points(previous, grey, points)
        is_tracked &= ~_inside(hidden, places)
        here = cv2.perspectiveTransform(outline[None], total)[0]
        fitted = _fitted(points[is_tracked], places[is_tracked], here)
        if fitted is None:
            raise FlowError("too few points of the surface can be followed")
        step, is_inlier = fitted
        refined, points = step @ total, places[is_tracked][is_inlier]
        mended = anchor.mended(grey, refined, hidden)
        if mended is not None:  # its points are of the surface; others may be of what comes before it
            refined, points = mended
            start = len(points)
        share = MIN_SAME_ALONE if mended is None else MIN_SAME
        if not _is_steady(outline, total, refined) or not anchor.is_same(grey, refined, hidden, share):
            raise FlowError("the surface does not look as it did")
        total = refined
        yield total
        previous, previous_hidden = grey, hidden


class _Anchor:
    """Surface on its key frame: image patch, points and rectified view."""

    def __init__(self, grey: np.ndarray, outline: Float64Array, hidden: BoolArray | None) -> None:
        self.outline = outline
        height, width = grey.shape
        low = np.clip(np.floor(outline.min(axis=0)) - MARGIN, 0, (width - 1, height - 1)).astype(int)
        high = np.clip(np.ceil(outline.max(axis=0)) + MARGIN, low + 1, (width, height)).astype(int)
        self._low, self._size = low, (int(high[0] - low[0]), int(high[1] - low[1]))
        self._grey = np.ascontiguousarray(grey[low[1] : high[1], low[0] : high[0]])
        self._points = _points(grey, outline, hidden)
        self._view = self._rectified(grey, np.eye(3), hidden)

    def _rectified(self, grey: np.ndarray, motion: Float64Array, hidden: BoolArray | None) -> np.ndarray:
        """Rectified view of the surface, NaN where it is covered."""
        view = _view(grey, self.outline, motion)
        if hidden is not None:
            view[_view(hidden.astype(np.uint8) * 255, self.outline, motion) > 0] = np.nan
        return view

    def mended(
        self, grey: np.ndarray, motion: Float64Array, hidden: BoolArray | None
    ) -> tuple[Float64Array, np.ndarray] | None:
        """Motion from points of the key frame, and their positions; None if too few match."""
        if len(self._points) < MIN_POINTS:
            return None
        shift = np.array([[1, 0, self._low[0]], [0, 1, self._low[1]], [0, 0, 1]], np.float64)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpPerspective(grey, motion @ shift, self._size, flags=flags)
        low = self._low.astype(np.float32)
        starts = self._points - low
        places, is_matched = _track_points(self._grey, warped, starts)
        is_matched &= np.linalg.norm(places - starts, axis=1) < MAX_MENDED
        is_matched &= _is_similar(self._grey, warped, starts, places)
        images = _projected(places + low, motion)
        is_matched &= ~_inside(hidden, images) & _within(images, grey.shape)
        origins, ends, images = self._points[is_matched], places[is_matched] + low, images[is_matched]
        if len(origins) < MIN_POINTS:
            return None
        fitted = _fitted(origins, ends, self.outline, CLOSE_TO_KEY)
        if fitted is None or np.count_nonzero(fitted[1]) < MIN_POINTS:
            return None
        return motion @ fitted[0], images[fitted[1]]

    def is_same(self, grey: np.ndarray, motion: Float64Array, hidden: BoolArray | None, share: float) -> bool:
        """Whether enough uncovered cells of the surface look as on the key frame."""
        return _is_same(self._view, self._rectified(grey, motion, hidden), share)


def _is_similar(one: np.ndarray, other: np.ndarray, starts: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Mask of points whose patches still correlate with the original ones."""
    size = (PATCH, PATCH)
    similar = np.zeros(len(starts), np.bool_)
    for i, (start, place) in enumerate(zip(starts, places, strict=True)):
        if not (np.isfinite(place).all() and _within(place[None], other.shape)[0]):
            continue
        patch, moved_patch = (
            cv2.getRectSubPix(image, size, tuple(map(float, at))).astype(np.float32).ravel()
            for image, at in ((one, start), (other, place))
        )
        spread = patch.std() * moved_patch.std()
        covariance = np.mean((patch - patch.mean()) * (moved_patch - moved_patch.mean()))
        similar[i] = spread > 1 and covariance > MIN_PATCH_CORRELATION * spread
    return similar


def _within(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Mask of points inside an image."""
    height, width = shape[:2]
    inside: np.ndarray = (
        (points[:, 0] >= 0) & (points[:, 1] >= 0) & (points[:, 0] <= width - 1) & (points[:, 1] <= height - 1)
    )
    return inside


def _inside(mask: BoolArray | None, points: np.ndarray) -> np.ndarray:
    """Mask of points inside a mask."""
    if mask is None or not len(points):
        return np.zeros(len(points), np.bool_)
    inside = _within(points, mask.shape)
    x, y = np.round(np.where(inside[:, None], points, 0)).astype(np.int32).T
    inside[inside] = mask[y, x][inside]
    return inside


def _points(grey: np.ndarray, outline: Float64Array, hidden: BoolArray | None = None) -> np.ndarray:
    """Well-textured points inside an outline that nothing hides, (N, 2), float32."""
    inside = np.zeros(grey.shape, np.uint8)
    cv2.fillPoly(inside, [np.round(outline).astype(np.int32)], 1)
    if hidden is not None:
        inside[hidden] = 0
    corners = cv2.goodFeaturesToTrack(grey, MAX_POINTS, 0.005, 4, mask=inside)
    return np.zeros((0, 2), np.float32) if corners is None else np.asarray(corners, np.float32).reshape(-1, 2)


def _projected(points: np.ndarray, homography: Float64Array) -> np.ndarray:
    if not len(points):
        return points
    return np.asarray(cv2.perspectiveTransform(points[None].astype(np.float64), homography)[0], np.float32)


def _track_points(
    previous: np.ndarray, grey: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of points on the next image, and whether tracking back returns to them."""
    if not len(points):
        return points, np.zeros(0, np.bool_)
    starts = points[:, None]
    forth, forward_status, _ = cv2.calcOpticalFlowPyrLK(previous, grey, starts, np.empty_like(starts))
    backward, backward_status, _ = cv2.calcOpticalFlowPyrLK(grey, previous, forth, np.empty_like(starts))
    error = np.linalg.norm(backward[:, 0] - points, axis=1)
    return forth[:, 0], (forward_status[:, 0] > 0) & (backward_status[:, 0] > 0) & (error < MAX_ROUND_TRIP)


def _fitted(
    origins: np.ndarray, points: np.ndarray, outline: Float64Array, close: float = CLOSE
) -> tuple[Float64Array, np.ndarray] | None:
    """Simplest motion that explains the points, from a similarity on, and its inliers."""
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
    counts = [np.count_nonzero(errors < close) for _, errors in motions]
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
    """Whether points cover a large part of a surface."""
    hull, surface = (cv2.convexHull(np.asarray(each, np.float32)) for each in (points, outline))
    return cv2.contourArea(hull) >= MIN_COVERED * cv2.contourArea(surface)


def _is_steady(outline: Float64Array, previous: Float64Array, motion: Float64Array) -> bool:
    """Whether a surface faces the camera and changes its size plausibly."""
    depths = np.concatenate([outline, np.ones((len(outline), 1))], axis=1) @ motion[2]
    if depths.min() <= 0:
        return False
    one, other = (
        cv2.contourArea(np.asarray(cv2.perspectiveTransform(outline[None], each)[0], np.float32))
        for each in (previous, motion)
    )
    return one > 0 and 1 / MAX_STEP <= other / one <= MAX_STEP


def _view(grey: np.ndarray, outline: Float64Array, motion: Float64Array) -> np.ndarray:
    """Rectified view of a surface, (VIEW, VIEW), float32; NaN where it is not visible."""
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


def _is_same(first: np.ndarray, view: np.ndarray, share: float) -> bool:
    """Whether enough cells of a view match the first one, apart from the light."""
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
            is_similar = is_plain or np.corrcoef(one, other)[0, 1] > MIN_CORRELATION
            same += bool(is_similar and abs(one.mean() - other.mean()) < MAX_DIFFERENCE)
    return same >= share * compared and compared >= MIN_COMPARED * CELLS * CELLS
