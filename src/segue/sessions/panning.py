"""Detect a camera that pans, as opposed to one that stands still or shakes."""

from __future__ import annotations

from collections import deque
from functools import partial

import cv2
import numpy as np

from segue.arrays import Float32Array
from segue.models.geometry import reduced_to
from segue.sessions.base import Checkpointable, checkpointed
from segue.sessions.registration import MOST_STEP, normalised, shift, support
from segue.types import Image

VIEW_SIDE = 96  # images are compared at this longer side, in pixels
WINDOW = 24  # frames over which a way is looked at
LEAST_FRAMES = 6
PANS = 0.12  # a camera that has gone so far in the window, in parts of the image's longer side, pans ...
STRAIGHT = 0.85  # ... if its way was no longer than the distance over this: one that shakes comes back
LEAST_FOUND = 0.6  # share of the steps of the window that must have been found
RESTS = 0.02  # one that has gone no farther than this in a whole window has come to rest
SUPPORT = 0.5  # share of the parts of an image in which a movement must explain what has changed


class PanDetector(Checkpointable):
    """Adds up the steps of the camera over the last frames."""

    _before: Float32Array | None = checkpointed(None)  # the last frame, small, grey, normalised, (h, w)
    _steps: deque[tuple[float, float]] = checkpointed(partial(deque, maxlen=WINDOW))
    pans: bool = checkpointed(False)

    def look(self, image: Image) -> bool:
        """Take the next frame."""
        view = view_of(reduced_to(image, VIEW_SIDE))
        if self._before is not None and self._before.shape != view.shape:
            self.restart()
        before, self._before = self._before, view
        if before is None:
            return self.pans
        self._steps.append(camera_step(before, view))
        way = np.array(self._steps)
        distance = float(np.hypot(*way.sum(axis=0)))
        if self.pans:
            self.pans = len(way) < WINDOW or distance > RESTS
        elif len(way) >= LEAST_FRAMES and distance > PANS:
            straight = distance > STRAIGHT * float(np.hypot(way[:, 0], way[:, 1]).sum())
            self.pans = straight and float((way != 0).any(axis=1).mean()) > LEAST_FOUND
        return self.pans

    @property
    def pace(self) -> float:
        """How far the camera usually goes from frame to frame while it moves, in parts of the longer side."""
        steps = [float(np.hypot(*step)) for step in self._steps if any(step)]
        return float(np.median(steps)) if steps else 0.0


def view_of(small: Image) -> Float32Array:
    """A small image, RGB (h, w, 3), normalised, (h, w), for :func:`camera_step`."""
    return normalised(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32), sigma=4.0)


def camera_step(before: Float32Array, now: Float32Array, least: float = SUPPORT) -> tuple[float, float]:
    """The way of the camera from one frame to the next, to the right and down; zeros where there is none.

    Args:
        before: the frame before, from :func:`view_of`.
        now: the frame, in the same size.
        least: share of the parts of the image that a movement must explain.

    Returns:
        The way in parts of the longer side.
    """
    if min(now.shape) < 16:
        return 0.0, 0.0
    matrix = shift(before, now)
    right, down = (float(value) / max(now.shape) for value in matrix[:, 2])
    if max(abs(right), abs(down)) > MOST_STEP or support(before, now, matrix) < least:
        return 0.0, 0.0
    return right, down
