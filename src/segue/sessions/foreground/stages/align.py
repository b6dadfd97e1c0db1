"""Align the frames of a shaken camera to a fixed reference, only where it helps."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.camera.changes import Change
from segue.sessions.foreground.camera.registration import (
    MIN_GAIN,
    Matrix,
    difference,
    half_grey,
    normalised,
    residual_of,
    support,
    to_frame,
    to_reference,
    warped,
)
from segue.sessions.foreground.camera.step import CameraStep
from segue.sessions.foreground.stages.base import Stage, WorkFrame
from segue.state import Checkpointable, checkpointed
from segue.types import Image
from segue.utils.arrays import Float32Array

CHECK_EVERY = 25
"""Frames after which the position is checked although the camera is at rest."""

STILL = 0.4
"""Sum of steps, in pixels at half size, up to which the camera is at rest."""

STICKY = 50
"""Frames after a clear movement that are aligned whenever that reduces the difference."""

SMALLEST = 32
"""Short side in pixels below which images are not aligned."""

_IDENTITY: Matrix = np.eye(2, 3, dtype=np.float32)
_CENTRE = np.full(2, 0.5, np.float32)
_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 12, 1e-4)
_FINAL_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 8, 1e-4)
_MIN_MOVE = 1.5
_LARGEST_MOVE = 0.2
_OUTLIERS = 0.2
_SUPPORT = 0.5


class Aligner(Checkpointable):
    """Finds how a shaken camera has moved against the first frame of the scene."""

    _reference: Float32Array | None = checkpointed(None)  # half size, normalised, (h, w)
    _way: Matrix = checkpointed(_IDENTITY)  # to the last frame at half size: refined, or added up
    _seen: int = checkpointed(0)
    _since: int = checkpointed(STICKY)

    def find(self, image: Image, step: CameraStep) -> Matrix | None:
        """Find the camera's motion to the next frame, RGB (H, W, 3), uint8; None if it needs no alignment.

        ``step``: camera motion from the previous frame.
        """
        num_frames, self._seen = self._seen, self._seen + 1
        height, width = image.shape[:2]
        if min(height, width) < SMALLEST:
            return None
        if self._reference is None:
            self._reference = _view_of(image)
            return None
        idle = self._since >= STICKY
        if not idle or any(step.way()):  # else objects have moved, and a camera at rest has not
            self._way = self._way + step.matrix((height // 2, width // 2)) - _IDENTITY
        if idle and num_frames % CHECK_EVERY and np.abs(self._way[:, 2]).max() < STILL:
            return None
        movement = self._movement(self._reference, _view_of(image))
        self._since += 1
        return None if movement is None else _doubled(movement)

    def refer_to(self, image: Image) -> None:
        """Use an image of the scene, RGB (H, W, 3), uint8, as the reference in place of the next frame."""
        if min(image.shape[:2]) >= SMALLEST:
            self._reference = _view_of(image)

    def _movement(self, reference: Float32Array, view: Float32Array) -> Matrix | None:
        movement = self._search(reference, view)
        if movement is None:
            return None
        still, moved_residual = (difference(reference, view, matrix) for matrix in (_IDENTITY, movement))
        distance = _distance(movement, view)
        if distance >= _LARGEST_MOVE * view.shape[1] or moved_residual >= still:
            return None
        # Half size: a pixel here is two there.
        if 2 * distance > _MIN_MOVE and support(reference, view, movement) < _SUPPORT:
            return None
        if moved_residual < MIN_GAIN * still and 2 * distance > _MIN_MOVE:
            self._since = 0
        return movement if self._since < STICKY else None

    def _search(self, reference: Float32Array, view: Float32Array) -> Matrix | None:
        begin = min((self._way, _IDENTITY), key=lambda matrix: difference(reference, view, matrix))
        self._way = begin
        try:
            first = _refined(reference, view, begin, _STEPS)
            # Far from counting on a camera that has stood still.
            if self._since >= STICKY and 4 * _distance(first, view) < _MIN_MOVE:
                self._way = first
                return None
            mask = _well_matched(reference, view, first)
            self._way = _refined(reference, view, first, _FINAL_STEPS, mask)
        except cv2.error:  # nothing to hold on to: a plain wall, or images that have nothing in common
            return None
        return self._way


class Alignment(Stage):
    """Warps the frames of a shaken camera onto the reference for the network, and masks back."""

    name = "align"
    _aligner: Aligner = checkpointed(Aligner)

    _returns: bool = checkpointed(False)  # to a scene whose background is known

    def reset(self, event: Change) -> None:
        if event is not Change.light:
            self._aligner.restart()
            self._returns = event is Change.back

    def on_frame(self, frame: WorkFrame, background: Background) -> None:
        if self._returns and background.image is not None:
            self._aligner.refer_to(background.image)
        self._returns = False
        matrix = frame.matrix = None if frame.pans else self._aligner.find(frame.image, frame.step)
        if matrix is None:
            return
        image, plane = background.image, frame.input.plane
        frame.replace_image(to_reference(frame.image, matrix, frame.image if image is None else image))
        frame.input.plane = None if plane is None else to_reference(plane, matrix, plane)

    def postprocess(self, frame: WorkFrame, background: Background) -> None:
        if frame.matrix is not None and frame.maps is not None:
            frame.maps = np.stack([to_frame(values, frame.matrix) for values in frame.maps])


def _view_of(image: Image) -> Float32Array:
    """Image at half size, normalised so that large bright objects count by their area, (h, w)."""
    return normalised(np.asarray(cv2.GaussianBlur(half_grey(image), (0, 0), 1.0), np.uint8))


def _doubled(matrix: Matrix) -> Matrix:
    """The same motion at twice the image size; pixel centres lie at halves."""
    turn, move = matrix[:, :2], matrix[:, 2]
    return np.column_stack([turn, 2 * move + _CENTRE - turn @ _CENTRE]).astype(np.float32)


def _refined(
    reference: Float32Array,
    view: Float32Array,
    start: Matrix,
    steps: tuple[int, int, float],
    mask: npt.NDArray[np.uint8] | None = None,
) -> Matrix:
    estimated: Any = cv2.findTransformECC(reference, view, start.copy(), cv2.MOTION_EUCLIDEAN, steps, mask, 1)  # type: ignore[arg-type]
    return np.asarray(estimated[1], np.float32)


def _distance(matrix: Matrix, view: Float32Array) -> float:
    """Largest shift of a corner along one axis, in pixels at half size."""
    height, width = view.shape
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], np.float32)
    return float(np.abs(corners @ matrix.T - corners[:, :2]).max())


def _well_matched(reference: Float32Array, view: Float32Array, matrix: Matrix) -> npt.NDArray[np.uint8]:
    """Mask of the frame's pixels that fit the reference, 0 or 255, (h, w)."""
    residual, visible = residual_of(reference, view, matrix)
    place = round((1 - _OUTLIERS) * residual.size)
    bad = (residual > np.partition(residual, place, axis=None)[place]) | ~visible
    grown = cv2.dilate(bad.astype(np.uint8), np.ones((3, 3), np.uint8))
    good = np.where(grown, 0, 255).astype(np.uint8)
    return warped(good, matrix, cv2.BORDER_CONSTANT, flags=cv2.INTER_NEAREST)
