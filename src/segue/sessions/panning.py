"""Detect a camera that pans, as opposed to one that stands still or shakes."""

from __future__ import annotations

from collections import deque
from functools import cached_property, partial

import cv2
import numpy as np

from segue.arrays import Float32Array
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
LEAST_SIDE = 16  # pixels below which no step is looked for
SUPPORT = 0.5  # share of the parts of an image in which a movement must explain what has changed


class PanDetector(Checkpointable):
    """Adds up the steps of the camera over the last frames."""

    _steps: deque[tuple[float, float]] = checkpointed(partial(deque, maxlen=WINDOW))
    pans: bool = checkpointed(False)

    def look(self, step: CameraStep) -> bool:
        """Take the step to the next frame."""
        if not step.known:
            return self.pans
        self._steps.append(step.way())
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


class CameraStep:
    """The way of the camera from one frame to the next, estimated once, by whoever asks first.

    Args:
        before: the frame before, RGB (h, w, 3), reduced to :data:`VIEW_SIDE`; None for the first one.
        now: the frame, in the same size.
    """

    def __init__(self, before: Image | None, now: Image) -> None:
        self._before, self._now = before, now
        self.known = before is not None and before.shape == now.shape

    def way(self, least: float = SUPPORT) -> tuple[float, float]:
        """The way to the right and down, in parts of the longer side; zeros where there is none.

        ``least``: share of the parts of the image that a movement must explain.
        """
        right, down, explained = self._motion
        return (right, down) if explained >= least else (0.0, 0.0)

    @cached_property
    def _motion(self) -> tuple[float, float, float]:
        """The way, and the share of the parts of the image that it explains."""
        if self._before is None or not self.known or min(self._now.shape[:2]) < LEAST_SIDE:
            return 0.0, 0.0, 0.0
        before, now = view_of(self._before), view_of(self._now)
        matrix = shift(before, now)
        right, down = (float(value) / max(now.shape) for value in matrix[:, 2])
        if max(abs(right), abs(down)) > MOST_STEP:
            return 0.0, 0.0, 0.0
        return right, down, support(before, now, matrix)


def view_of(small: Image) -> Float32Array:
    """A small image, RGB (h, w, 3), normalised, (h, w), for :func:`shift`."""
    return normalised(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32), sigma=4.0)
