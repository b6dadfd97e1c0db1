"""Normalise the contrast of images in fog, at dusk and of thermal cameras to that of the training."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from segue.sessions.backgrounds import Background
from segue.sessions.base import checkpointed
from segue.sessions.empty_scene import Scene
from segue.sessions.stages import Change, Stage, WorkFrame

SPREAD = 150.0  # levels between the darkest and the brightest parts of a scene of usual contrast
ENDS = (2, 98)  # percentiles that are those parts
MOST_GAIN = 6.0
MOST_NOISE = 8.0  # standard deviation of the noise up to which it may be raised, in levels
WORTH = 1.25  # smaller gains change nothing
HOLD = 1.2  # a gain stays until another one would be larger or smaller by this factor
MIDDLE = 118.0  # level to which the middle of a scene is brought


@dataclass(frozen=True, slots=True)
class Tone:
    """A gain around a level that becomes :data:`MIDDLE`, the same for all colours."""

    gain: float  # at least 1
    level: float  # middle of the scene, 0 to 255

    def act(self, values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Levels of any shape, uint8, in this tone."""
        levels = (np.arange(256) - self.level) * self.gain + MIDDLE
        table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        return np.asarray(cv2.LUT(values, table), np.uint8)

    def of_scene(self, scene: Scene) -> Scene:
        """Background statistics in this contrast."""
        planes = scene.planes.copy()
        planes[:18] = self.act(planes[:18])
        return Scene(planes)


class Contrast(Stage):
    """Shows the network scenes of low contrast in usual contrast."""

    name = "contrast"
    _tone: Tone | None = checkpointed()
    state_types = (Tone,)

    def __init__(self) -> None:
        self.reset(Change.scene)

    def reset(self, event: Change) -> None:
        self._tone = None
        self._seen: tuple[Scene, Scene] | None = None

    def before(self, frame: WorkFrame, background: Background) -> None:
        assert frame.scene is not None
        frame.scene, frame.tone = self.adapt(frame.scene)

    def adapt(self, scene: Scene) -> tuple[Scene, Tone | None]:
        """A scene in usual contrast, and the tone that makes it so, if it has not."""
        if self._seen is None or self._seen[0] is not scene:
            self._tone = tone_for(scene, self._tone)
            self._seen = scene, scene if self._tone is None else self._tone.of_scene(scene)
        return self._seen[1], self._tone


def tone_for(scene: Scene, before: Tone | None = None) -> Tone | None:
    """The tone in which a scene has usual contrast; None if it has, or is too noisy."""
    grey = cv2.cvtColor(scene.picture, cv2.COLOR_RGB2GRAY)
    low, high = np.percentile(grey[::4, ::4], ENDS)
    gain = min(SPREAD / max(high - low, 1.0), MOST_NOISE / max(noise_of(scene), 0.1), MOST_GAIN)
    if before is not None and before.gain / HOLD < gain < before.gain * HOLD:
        return before
    return Tone(float(gain), float(low + high) / 2) if gain > WORTH else None


def noise_of(scene: Scene) -> float:
    """Standard deviation of the noise in levels, the median over the pixels."""
    if int(scene.planes[20].max()) >= 7 * FRAMES:
        width = scene.planes[6:9, ::4, ::4].astype(np.int16) - scene.planes[0:3, ::4, ::4]
        return float(np.median(width)) / 2.56
    # From a single frame: Immerkaer, Fast Noise Variance Estimation, 1996, equation 6.
    grey = cv2.cvtColor(scene.picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    height, width_ = grey.shape
    if min(height, width_) < 3:
        return 0.0
    found = np.abs(cv2.filter2D(grey, -1, _LAPLACIANS)[1:-1, 1:-1])
    return float(np.sqrt(np.pi / 2) * found.mean() / 6)


FRAMES = 5  # of a pixel's past, from which on its range tells the noise
_LAPLACIANS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
