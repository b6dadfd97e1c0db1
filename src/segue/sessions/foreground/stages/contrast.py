"""Normalise the contrast of images in fog, at dusk and of thermal cameras to that of training images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.background.quantiles import Scene, once_per_scene
from segue.sessions.foreground.segmenters.base import SegmenterInput
from segue.sessions.foreground.stages.base import Stage, WorkFrame
from segue.types import Image

SPREAD = 150.0
"""Range of levels of a scene with usual contrast."""

ENDS = (2, 98)
"""Percentiles of the levels at its ends."""

MAX_GAIN = 6.0
"""Maximum gain; larger values amplify noise."""

GAIN_STEP = 1.25
"""Smallest gain that is applied, and the step in which gains are reduced."""

MIDDLE = 118.0
"""Level to which the middle of a scene is shifted."""


@dataclass(frozen=True, slots=True)
class ContrastGain:
    """A gain around a level that becomes :data:`MIDDLE`, the same for all colours."""

    gain: float  # at least 1
    level: float  # middle of the scene, 0 to 255

    def act(self, values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Apply the gain to levels of any shape, uint8."""
        if self == PLAIN:
            return values
        levels = (np.arange(256) - self.level) * self.gain + MIDDLE
        table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        # In two dimensions: OpenCV takes the last of three for channels, of which there are 128 at most.
        return np.asarray(cv2.LUT(values.reshape(len(values), -1), table), np.uint8).reshape(values.shape)

    def of_scene(self, scene: Scene) -> Scene:
        """Apply the gain to background statistics."""
        if self == PLAIN:
            return scene
        planes = scene.planes.copy()
        planes[:18] = self.act(planes[:18])
        return Scene(planes)


PLAIN = ContrastGain(1.0, MIDDLE)  # changes nothing


class Contrast(Stage):
    """Raises the contrast of low-contrast scenes for the segmenter; each frame keeps its own gain."""

    name = "contrast"

    def before_segment(self, frame: WorkFrame, background: Background) -> None:
        assert frame.scene is not None
        gain = contrast_gain(frame.scene, frame.image)
        if gain == PLAIN:
            return
        frame.scene = in_contrast(frame.scene, gain)
        frame.input.image = gain.act(frame.image)
        if frame.pans:  # frames that were warped onto this one
            context = frame.context.items()
            frame.context = {offset: SegmenterInput(gain.act(each.image)) for offset, each in context}


def contrast_gain(scene: Scene, image: Image) -> ContrastGain:
    """Gain that brings a scene and an image of it to usual contrast.

    In fog a car is as pale as the road. A plain road in clear air has little contrast, too, but a car on it
    has all of it: there the gain is the geometric mean of that of the scene and that of the image.
    """
    (low, high), (darkest, brightest) = _ends_of_scene(scene), _ends(image)
    gain = min(SPREAD / max(high - low, 1.0), MAX_GAIN)
    excess = gain * (max(high, brightest) - min(low, darkest)) / SPREAD
    if excess > GAIN_STEP:  # in steps: the scene is encoded for each gain
        gain /= GAIN_STEP ** round(0.5 * math.log(min(excess, gain), GAIN_STEP))
    return ContrastGain(gain, (low + high) / 2) if gain > GAIN_STEP else PLAIN


def in_contrast(scene: Scene, gain: ContrastGain) -> Scene:
    """Apply a gain to a scene, cached."""
    scenes = _made_of(scene)
    if gain not in scenes:
        scenes[gain] = gain.of_scene(scene)
    return scenes[gain]


@once_per_scene
def _made_of(_: Scene) -> dict[ContrastGain, Scene]:
    return {}


@once_per_scene
def _ends_of_scene(scene: Scene) -> tuple[float, float]:
    return _ends(scene.image)


def _ends(image: Image) -> tuple[float, float]:
    """Levels of the darkest and brightest parts of an image (H, W, 3)."""
    grey = cv2.cvtColor(np.ascontiguousarray(image[::4, ::4]), cv2.COLOR_RGB2GRAY)
    # ``np.percentile`` takes four times as long.
    below = np.bincount(grey.ravel(), minlength=256).cumsum()
    ranks = np.divide(ENDS, 100) * (grey.size - 1)
    lower, upper = (below.searchsorted(each, "right") for each in (np.floor(ranks), np.ceil(ranks)))
    low, high = (lower + (upper - lower) * (ranks % 1)).tolist()
    return low, high
