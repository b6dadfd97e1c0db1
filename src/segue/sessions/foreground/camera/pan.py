"""Detect a camera that pans, as opposed to one that stands still or shakes."""

from __future__ import annotations

from collections import deque
from functools import partial

import numpy as np

from segue.sessions.foreground.camera.step import CameraStep
from segue.state import Checkpointable, checkpointed

WINDOW = 24  # frames over which a way is looked at
MIN_FRAMES = 6
PANS = 0.12  # a camera that has gone so far in the window, in parts of the image's longer side, pans ...
STRAIGHT = 0.85  # ... if its way was no longer than the distance over this: one that shakes comes back
MIN_FOUND = 0.6  # share of the steps of the window that must have been found
RESTS = 0.02  # one that has gone no farther than this in a whole window has come to rest


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
        elif len(way) >= MIN_FRAMES and distance > PANS:
            straight = distance > STRAIGHT * float(np.hypot(way[:, 0], way[:, 1]).sum())
            self.pans = straight and float((way != 0).any(axis=1).mean()) > MIN_FOUND
        return self.pans

    @property
    def pace(self) -> float:
        """How far the camera usually goes from frame to frame while it moves, in parts of the longer side."""
        steps = [float(np.hypot(*step)) for step in self._steps if any(step)]
        return float(np.median(steps)) if steps else 0.0
