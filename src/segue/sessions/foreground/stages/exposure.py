"""Let the background follow the light."""

from __future__ import annotations

import numpy as np

from segue.models.geometry import reduced_to
from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.background.quantiles import Scene, once_per_scene
from segue.sessions.foreground.camera.changes import ALTERED, LONG_SIDE, gains_between, structure
from segue.sessions.foreground.stages.base import Stage, WorkFrame
from segue.types import Image

GAIN = 0.08  # logarithm of the gain beyond which the background follows the exposure


class Exposure(Stage):
    """Makes the background brighter or darker like the frames."""

    name = "exposure"

    def on_frame(self, frame: WorkFrame, background: Background) -> None:
        if background.scene is None or frame.pans:
            return
        gains = exposure(reduced_to(frame.image, LONG_SIDE), _reduced_scene(background.scene))
        if gains is not None:
            background.apply_gain(gains)


@once_per_scene
def _reduced_scene(scene: Scene) -> Image:
    return reduced_to(scene.image, LONG_SIDE)


def exposure(frame: Image, empty: Image) -> tuple[float, float, float] | None:
    """Gain of a frame over the background, both reduced, for red, green and blue."""
    _, altered = structure(frame, empty)
    if altered.mean() > ALTERED:
        return None
    red, green, blue = gains_between(frame, empty, ~altered).tolist()
    return None if np.abs(np.log((red, green, blue))).max() < GAIN else (red, green, blue)
