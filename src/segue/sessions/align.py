"""Align the frames of a shaken camera to a fixed reference, only where it helps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import Float32Array, UInt8Array
from segue.sessions.base import Checkpointable, checkpointed
from segue.types import Image

Matrix = npt.NDArray[np.float32]  # (2, 3): a point of the reference, in pixels, to where it lies in the frame
Movement = npt.NDArray[np.floating]  # such a matrix, or a homography, (3, 3)

IDLE_EVERY = 4  # while the camera stands still, only every so many frames is looked at ...
ALERT_SHARE, ALERT_LEVELS = (
    0.05,
    6,
)  # ... unless so many pixels of a small picture jump by more levels than that
FIRST_LOOKS = 12  # so many frames are looked at in any case: the camera may shake from the first one on
REFERENCE_FRAMES = 12  # frames whose median is the reference ...
REFERENCE_EVERY = 5  # ... and their distance
STICKY = 50  # after a clear movement, this many frames are aligned whenever that makes the difference smaller
SMALLEST = 32  # pictures with a shorter side than this many pixels are taken as they are

_IDENTITY: Matrix = np.eye(2, 3, dtype=np.float32)
_CENTRE = np.full(2, 0.5, np.float32)
_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 25, 1e-4)
_FINAL_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 8, 1e-4)
_LEAST_MOVE = 1.5
_LARGEST_MOVE = 0.2
_LEAST_GAIN = 0.9
_CLIP = 1.0
_OUTLIERS = 0.2
_CELLS = (8, 6)
_CHANGED = 0.2
_SUPPORT = 0.5
_OUTSIDE = -1000.0


@dataclass(frozen=True, slots=True)
class _View:
    """A frame as it is compared: half size, grey."""

    grey: Float32Array  # (h, w), float32, 0 to 255, smoothed
    local: Float32Array  # normalised, so that a large bright object counts no more than its area
    small: Float32Array  # the latter at half of its size, to begin with; at its own size where it is small

    @classmethod
    def of(cls, grey: Float32Array) -> _View:
        local = normalised(grey)
        height, width = (side // 2 for side in local.shape)
        if min(height, width) < SMALLEST:
            return cls(grey, local, local)
        shown = local[: 2 * height, : 2 * width]
        return cls(grey, local, np.asarray(cv2.resize(shown, (width, height), interpolation=cv2.INTER_AREA)))


class Aligner(Checkpointable):
    """Finds how a shaken camera has moved against the first frames of the scene.

    Euclidean ECC from the best of three starts (no movement, phase correlation, the last movement), first
    over all pixels of pictures of half the size, then without the fifth of the pixels that fits worst, which
    is where things move by themselves. A movement counts if it makes the mean difference clearly smaller, in
    half of the picture at least and not only where one thing moves, and moves a corner by 1.5 pixels at least
    and a fifth of the width at most; right after one that counts, smaller ones do as well. On a camera that
    stands still nothing counts, and the frames stay as they are.
    """

    _reference: _View | None = checkpointed()
    _kept: list[Float32Array] = checkpointed()
    _seen: int = checkpointed()
    _since: int = checkpointed()
    _last: Matrix | None = checkpointed()
    _tiny: npt.NDArray[np.uint8] | None = checkpointed()
    state_types = (_View,)

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self._reference = None
        self._kept = []
        self._seen = 0
        self._since = STICKY
        self._last = None
        self._tiny = None

    def find(self, image: Image) -> Matrix | None:
        """Movement of the next frame, RGB (H, W, 3), uint8, or None where it is taken as it is."""
        seen, self._seen = self._seen, self._seen + 1
        collects = len(self._kept) < REFERENCE_FRAMES and seen % REFERENCE_EVERY == 0
        idle = self._since >= STICKY
        if min(image.shape[:2]) < SMALLEST:
            return None
        jumped = self._jumped(image)
        rests = seen % IDLE_EVERY and seen >= FIRST_LOOKS and not collects and not jumped
        if self._reference is not None and idle and rests:
            return None
        view = _View.of(np.asarray(cv2.GaussianBlur(half_grey(image), (0, 0), 1.0), np.float32))
        if self._reference is None:
            self._reference = view
        else:
            self._last = self._movement(self._reference, view)
        self._since += 1
        if collects:
            self._collect(view)
        return None if self._last is None else _doubled(self._last)

    def _jumped(self, image: Image) -> bool:
        """Whether much of the picture is not as on the frame before, as when the camera begins to move."""
        before, size = self._tiny, (max(1, image.shape[1] // 8), max(1, image.shape[0] // 8))
        self._tiny = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        if before is None or before.shape != self._tiny.shape:
            return False
        apart = cv2.absdiff(self._tiny, before).max(axis=2)
        return bool((apart > ALERT_LEVELS).mean() > ALERT_SHARE)

    def _movement(self, reference: _View, view: _View) -> Matrix | None:
        found = self._search(reference, view)
        if found is None:
            return None
        still, moved = (difference(reference.local, view.local, matrix) for matrix in (_IDENTITY, found))
        distance, width = _distance(found, view), view.grey.shape[1]
        if distance >= _LARGEST_MOVE * width or moved >= still:
            return None
        if 2 * distance > _LEAST_MOVE and support(reference.local, view.local, found) < _SUPPORT:
            return None
        # Half size: a pixel here is two there.
        if moved < _LEAST_GAIN * still and 2 * distance > _LEAST_MOVE:
            self._since = 0
        return found if self._since < STICKY else None

    def _search(self, reference: _View, view: _View) -> Matrix | None:
        try:
            first = _begun(reference, view, self._last)
            if self._since >= STICKY and 4 * _distance(first, view) < _LEAST_MOVE:  # far from counting
                return None
            mask = _well_matched(reference.local, view.local, first)
            return _refine(reference.local, view.local, first, _FINAL_STEPS, mask)
        except cv2.error:  # nothing to hold on to: a plain wall, or pictures that have nothing in common
            return None

    def _collect(self, view: _View) -> None:
        grey = view.grey if self._last is None else warped(view.grey, self._last, cv2.BORDER_REPLICATE)
        self._kept.append(grey)
        if len(self._kept) > 2:
            self._reference = _View.of(np.median(self._kept, axis=0).astype(np.float32))


def normalised(grey: Float32Array, sigma: float = 8.0) -> Float32Array:
    """A grey picture, (H, W), float32, without the mean and the contrast of its surroundings."""
    detail = grey - cv2.GaussianBlur(grey, (0, 0), sigma)
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), sigma))
    return np.asarray(detail / (contrast + 8), np.float32)


def warped(
    picture: npt.NDArray[Any],
    matrix: Movement,
    border: int,
    outside: float = 0.0,
    *,
    flags: int = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    onto: Image | None = None,
) -> npt.NDArray[Any]:
    """A picture moved by a matrix that leads to it or, without ``WARP_INVERSE_MAP``, from it.

    Args:
        picture: (H, W) or (H, W, C).
        matrix: 2 x 3 or 3 x 3.
        border: OpenCV's kind of border.
        outside: value outside the picture, where the border is constant.
        flags: OpenCV's interpolation and direction.
        onto: picture whose pixels stay where the moved one shows nothing; None takes the border.

    Returns:
        The moved picture, of the same size.
    """
    height, width = picture.shape[:2]
    warp: Any = cv2.warpAffine if len(matrix) == 2 else cv2.warpPerspective
    values = (outside,) * 3
    return np.asarray(
        warp(picture, matrix, (width, height), onto, flags=flags, borderMode=border, borderValue=values)
    )


def to_reference(image: Image, matrix: Matrix, fill: Image) -> Image:
    """A frame, (H, W, 3), as seen from the reference; pixels that it does not show come from ``fill``.

    Args:
        image: RGB (H, W, 3), uint8.
        matrix: movement between both.
        fill: RGB (H, W, 3), uint8, of the reference.

    Returns:
        RGB (H, W, 3), uint8.
    """
    # Starting from the filling makes OpenCV leave pixels without a source as they are.
    return warped(image, matrix, cv2.BORDER_TRANSPARENT, onto=fill.copy())


def to_frame(values: Float32Array, matrix: Matrix) -> Float32Array:
    """Values in the reference, (h, w), as seen from the frame."""
    return warped(values, matrix, cv2.BORDER_REPLICATE, flags=cv2.INTER_LINEAR)


def half_grey(image: Image) -> UInt8Array:
    """A grey picture of half the sides."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    grey = cv2.cvtColor(image[: 2 * height, : 2 * width], cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _doubled(matrix: Matrix) -> Matrix:
    """The same movement for the picture at twice the size; centres of pixels lie at halves."""
    turn, move = matrix[:, :2], matrix[:, 2]
    return np.column_stack([turn, 2 * move + _CENTRE - turn @ _CENTRE]).astype(np.float32)


def _halved(matrix: Matrix) -> Matrix:
    """What :func:`_doubled` would make this movement of."""
    turn, move = matrix[:, :2], matrix[:, 2]
    return np.column_stack([turn, (move - _CENTRE + turn @ _CENTRE) / 2]).astype(np.float32)


def shift(reference: Float32Array, view: Float32Array) -> Matrix:
    """Movement without turning, by phase correlation."""
    height, width = view.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    # Copies: where the sizes are good for its transform, OpenCV 5.0 writes into what it is given.
    (dx, dy), _ = cv2.phaseCorrelate(reference.copy(), view.copy(), window)
    return np.array([[1, 0, dx], [0, 1, dy]], np.float32)


def _begun(reference: _View, view: _View, last: Matrix | None) -> Matrix:
    """Movement found in small pictures, for those of half size."""
    one, other, reduced = reference.small, view.small, view.small is not view.local
    starts = [_IDENTITY, shift(one, other)]
    if last is not None:
        starts.append(_halved(last) if reduced else last)
    start = min(starts, key=lambda matrix: difference(one, other, matrix))
    found = _refine(one, other, start, _STEPS)
    if not reduced:
        return found
    return _doubled(_refine(one, other, found, _FINAL_STEPS, _well_matched(one, other, found)))


def _refine(
    reference: Float32Array,
    view: Float32Array,
    start: Matrix,
    steps: tuple[int, int, float],
    mask: Any = None,
) -> Matrix:
    _, found = cv2.findTransformECC(reference, view, start.copy(), cv2.MOTION_EUCLIDEAN, steps, mask, 1)
    return np.asarray(found, np.float32)


def _distance(matrix: Matrix, view: _View) -> float:
    """Pixels of half size by which the corner moves that moves most, in a row or a column."""
    height, width = view.grey.shape
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], np.float32)
    return float(np.abs(corners @ matrix.T - corners[:, :2]).max())


def _residual(
    reference: Float32Array, view: Float32Array, matrix: Movement
) -> tuple[Float32Array, npt.NDArray[np.bool_]]:
    """Clipped difference for each pixel of the reference, (h, w), and where the frame shows it."""
    moved = warped(view, matrix, cv2.BORDER_CONSTANT, _OUTSIDE)
    return np.minimum(np.abs(moved - reference), _CLIP), moved > _OUTSIDE / 10


def difference(reference: Float32Array, view: Float32Array, matrix: Movement) -> float:
    """Mean clipped difference of two normalised pictures, (h, w), where both show something."""
    residual, shown = _residual(reference, view, matrix)
    return float(residual[shown].mean()) if shown.any() else _CLIP


def support(reference: Float32Array, view: Float32Array, matrix: Movement) -> float:
    """In what share of the parts of a picture a movement explains what has changed, 0 to 1.

    Two normalised pictures, (h, w), are compared in 6 by 8 parts. What has a clear outline before plain or
    restless ground, as a boat on water, takes a movement that is found over all pixels for itself; but it
    fills few parts. Parts that differ with the movement or without it count, and at least half of all.
    """
    still, shown = _residual(reference, view, _IDENTITY)
    moved, reached = _residual(reference, view, matrix)
    shown &= reached
    seen = np.maximum(cv2.resize(shown.astype(np.float32), _CELLS, interpolation=cv2.INTER_AREA), 1e-3)
    before, after = (
        cv2.resize(np.where(shown, each, 0), _CELLS, interpolation=cv2.INTER_AREA) / seen
        for each in (still, moved)
    )
    differ = (seen > 0.5) & (np.maximum(before, after) > _CHANGED)
    explained = differ & (after < _LEAST_GAIN * before)
    return float(explained.sum() / max(differ.sum(), seen.size / 2))


def _well_matched(reference: Float32Array, view: Float32Array, matrix: Matrix) -> npt.NDArray[np.uint8]:
    """Pixels of the frame that fit the reference, 0 or 255, (h, w)."""
    residual, shown = _residual(reference, view, matrix)
    place = round((1 - _OUTLIERS) * residual.size)
    bad = (residual > np.partition(residual, place, axis=None)[place]) | ~shown
    grown = cv2.dilate(bad.astype(np.uint8), np.ones((3, 3), np.uint8))
    good = np.where(grown, 0, 255).astype(np.uint8)
    return warped(good, matrix, cv2.BORDER_CONSTANT, flags=cv2.INTER_NEAREST)
