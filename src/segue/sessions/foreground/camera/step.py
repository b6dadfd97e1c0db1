"""Camera motion between consecutive frames, estimated once per frame."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from segue.models.geometry import reduced_to
from segue.sessions.foreground.camera.registration import MAX_STEP, Matrix, normalised, shift, support
from segue.types import Image

VIEW_SIDE = 96
"""Longer side in pixels to which images are reduced for comparison."""

AROUND = 4.0
"""Standard deviation in these pixels of the local normalisation."""

MIN_SIDE = 16
"""Side in pixels below which no step is estimated."""

SUPPORT = 0.5
"""Minimum share of image parts whose changes a motion explains."""


class CameraStep:
    """Camera motion to the next frame, estimated on first use.

    Cuts and pans take its way where enough of the image supports it. Alignment and following refine its
    matrix.

    Args:
        previous: the frame before, RGB (h, w, 3), reduced to :data:`VIEW_SIDE`; None for the first one.
        now: the frame, at the same size; None to skip the comparison.
    """

    def __init__(self, previous: Image | None = None, now: Image | None = None) -> None:
        self._previous, self._current = previous, now
        self.is_comparable = previous is not None and now is not None and previous.shape == now.shape

    @classmethod
    def between(cls, previous: Image, now: Image) -> CameraStep:
        """Motion between two frames of any size."""
        return cls(reduced_to(previous, VIEW_SIDE), reduced_to(now, VIEW_SIDE))

    def way(self, minimum: float = SUPPORT) -> tuple[float, float]:
        """Motion right and down, in parts of the longer side; zeros if unknown.

        ``minimum``: share of the parts of the image that a movement must explain.
        """
        right, down, explained = self._motion
        return (right, down) if explained >= minimum else (0.0, 0.0)

    def matrix(self, size: tuple[int, int]) -> Matrix:
        """Matrix from points of the previous frame to the frame, for images of a height and width.

        Nothing need support it: those who refine it look themselves.
        """
        right, down, _ = self._motion
        return np.array([[1, 0, right * max(size)], [0, 1, down * max(size)]], np.float32)

    @cached_property
    def _motion(self) -> tuple[float, float, float]:
        """Motion, and the share of the image that it explains."""
        if self._previous is None or self._current is None or not self.is_comparable:
            return 0.0, 0.0, 0.0
        if min(self._current.shape[:2]) < MIN_SIDE:
            return 0.0, 0.0, 0.0
        previous, now = normalised(self._previous, AROUND), normalised(self._current, AROUND)
        matrix = shift(previous, now)
        right, down = (matrix[:, 2].astype(np.float64) / max(now.shape)).tolist()
        if max(abs(right), abs(down)) > MAX_STEP:
            return 0.0, 0.0, 0.0
        return right, down, support(previous, now, matrix)
