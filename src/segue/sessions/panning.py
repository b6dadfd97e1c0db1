"""Detect a camera that pans, as opposed to one that stands still or shakes."""

from __future__ import annotations

from collections import deque
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import Float32Array
from segue.models.geometry import reduced_to
from segue.sessions.base import Checkpointable, checkpointed
from segue.sessions.registration import MOST_STEP, normalised, shift, support
from segue.types import Image

LONG_SIDE = 96  # images are compared at this longer side, in pixels
WINDOW = 24  # frames over which a way is looked at
LEAST_FRAMES = 6
PANS = 0.12  # a camera that has gone so far in the window, in parts of the image's longer side, pans ...
STRAIGHT = 0.85  # ... if its way was no longer than the distance over this: one that shakes comes back
LEAST_FOUND = 0.6  # share of the steps of the window that must have been found
RESTS = 0.02  # one that has gone no farther than this in a whole window has come to rest
CHANGED_LEVELS, CHANGED_SHARE = 6, 0.05  # where fewer pixels change by more levels, the camera stands still
COMMON = 0.1  # parts of the longer side up to which two images are shifted to be compared

_SUPPORT = 0.5

Small = npt.NDArray[np.uint8]  # a reduced image, RGB (h, w, 3)


class PanDetector(Checkpointable):
    """Adds up the steps of the camera over the last frames."""

    _seen: deque[Small] = checkpointed(partial(deque, maxlen=WINDOW))
    _steps: deque[tuple[float, float]] = checkpointed(partial(deque, maxlen=WINDOW))
    pans: bool = checkpointed(False)
    _view: Float32Array | None = None

    def restart(self) -> None:
        """Another scene."""
        super().restart()
        self._view = None

    @property
    def moved(self) -> bool:
        """Whether the camera went a step to the last frame."""
        return bool(self._steps) and any(self._steps[-1])

    def look(self, image: Image) -> bool:
        """Take the next frame."""
        small = reduced_to(image, LONG_SIDE)
        if self._seen and self._seen[-1].shape != small.shape:
            self.restart()
        self._seen.append(small)
        if len(self._seen) < 2 or min(small.shape[:2]) < 16:
            return self.pans
        self._steps.append(self._step(self._seen[-2], small))
        way = np.array(self._steps)
        distance = float(np.hypot(*way.sum(axis=0)))
        if self.pans:
            self.pans = len(way) < WINDOW or distance > RESTS
        elif len(way) >= LEAST_FRAMES and distance > PANS:
            straight = distance > STRAIGHT * float(np.hypot(way[:, 0], way[:, 1]).sum())
            found = float((way != 0).any(axis=1).mean())
            self.pans = straight and found > LEAST_FOUND and self._fits(way)
        return self.pans

    def _fits(self, way: npt.NDArray[np.float64]) -> bool:
        """Whether the image from which the camera has come a part of the way is here where that leads."""
        gone = np.hypot(*way[::-1].cumsum(axis=0).T)  # from one frame before, from two, ...
        back = min(int((gone < COMMON).sum()) + 1, len(self._seen) - 1)
        one, other = _view(self._seen[-1 - back]), _view(self._seen[-1])
        right, down = way[-back:].sum(axis=0) * max(one.shape)
        led = np.array([[1, 0, right], [0, 1, down]], np.float32)
        return max(support(one, other, matrix) for matrix in (led, shift(one, other))) > _SUPPORT

    def _step(self, before: Small, now: Small) -> tuple[float, float]:
        """To the right and down from one small image to the next, in parts of the longer side."""
        known, self._view = self._view, None
        apart = cv2.absdiff(now, before).max(axis=2)
        if (apart > CHANGED_LEVELS).mean() < CHANGED_SHARE:
            return 0.0, 0.0
        one = _view(before) if known is None else known
        self._view = other = _view(now)
        matrix = shift(one, other)
        longer = max(one.shape)
        right, down = (float(value) / longer for value in matrix[:, 2])
        if max(abs(right), abs(down)) > MOST_STEP or support(one, other, matrix) < _SUPPORT:
            return 0.0, 0.0
        return right, down


def _view(image: Small) -> Float32Array:
    return normalised(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32), sigma=4.0)
