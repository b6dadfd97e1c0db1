"""Detect panning, as opposed to a still or shaking camera."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial

import numpy as np

from segue.sessions.foreground.camera.step import CameraStep
from segue.state import Checkpointable, checkpointed


@dataclass(frozen=True, slots=True)
class PanSettings:
    """Settings of :class:`PanDetector`; no source of the values is recorded.

    Attributes:
        window: frames over which motion is added up.
        min_frames: frames before a pan can be detected.
        min_distance: distance in longer sides of the image from which on the camera pans.
        min_straight: distance by length of the way; smaller values take shake for a pan.
        min_moving: share of steps that move.
        max_rest: distance in a whole window below which the pan has ended.
    """

    window: int = 24
    min_frames: int = 6
    min_distance: float = 0.12
    min_straight: float = 0.85
    min_moving: float = 0.6
    max_rest: float = 0.02


SETTINGS = PanSettings()


class PanDetector(Checkpointable):
    """Accumulates camera motion over the last frames."""

    _steps: deque[tuple[float, float]] = checkpointed(partial(deque, maxlen=SETTINGS.window))
    pans: bool = checkpointed(False)

    def update(self, step: CameraStep) -> bool:
        """Add the motion to the next frame."""
        if not step.is_comparable:
            return self.pans
        self._steps.append(step.way())
        way = np.array(self._steps)
        distance = float(np.hypot(*way.sum(axis=0)))
        if self.pans:
            self.pans = len(way) < SETTINGS.window or distance > SETTINGS.max_rest
        elif len(way) >= SETTINGS.min_frames and distance > SETTINGS.min_distance:
            straight = distance > SETTINGS.min_straight * float(np.hypot(way[:, 0], way[:, 1]).sum())
            self.pans = straight and float((way != 0).any(axis=1).mean()) > SETTINGS.min_moving
        return self.pans

    @property
    def pace(self) -> float:
        """Usual camera motion per frame while it moves, in parts of the longer side."""
        steps = [float(np.hypot(*step)) for step in self._steps if any(step)]
        return float(np.median(steps)) if steps else 0.0
