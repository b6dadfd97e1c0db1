"""Adapt the background to changes of light."""

from __future__ import annotations

import numpy as np

from segue.models.geometry import reduced_to
from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.background.quantiles import Scene, once_per_scene
from segue.sessions.foreground.camera.changes import ALTERED, LONG_SIDE, gains_between, share_of, structure
from segue.sessions.foreground.stages.base import Stage, WorkFrame
from segue.types import Image
from segue.utils.arrays import BoolArray

LEVELS = 2.0
"""Levels by which the light must change for the background to follow."""

MIN_VISIBLE = 0.2
"""Share of an image free of objects that must remain if they are excluded."""


class Exposure(Stage):
    """Makes the background brighter or darker like the frames."""

    name = "exposure"

    def on_frame(self, frame: WorkFrame, background: Background) -> None:
        if background.scene is None or frame.pans:
            return
        gains = exposure(
            reduced_to(frame.image, LONG_SIDE), _reduced_scene(background.scene), _reduced_mask(frame.hidden)
        )
        if gains is not None:
            background.apply_gain(gains)


@once_per_scene
def _reduced_scene(scene: Scene) -> Image:
    return reduced_to(scene.image, LONG_SIDE)


def _reduced_mask(mask: BoolArray | None) -> BoolArray | None:
    """Reduce a mask; a pixel is true if the mask covers any part of it."""
    if mask is None:
        return None
    levels = mask.view(np.uint8) * np.uint8(255)
    return np.asarray(reduced_to(levels, LONG_SIDE) > 0)


def exposure(
    frame: Image, empty: Image, hidden: BoolArray | None = None
) -> tuple[float, float, float] | None:
    """Gain of a frame over the background for red, green and blue; None where the light is the same.

    Args:
        frame: the frame, reduced.
        empty: the background, reduced.
        hidden: pixels (h, w) that objects covered on the previous frame; ignored if enough others remain.
    """
    _, altered = structure(frame, empty)
    if share_of(altered) > ALTERED:
        return None
    visible = ~altered
    if hidden is not None and share_of(visible & ~hidden) > MIN_VISIBLE:
        visible &= ~hidden
    gains = gains_between(frame, empty, visible)
    image, scene = frame[visible].astype(np.float32), empty[visible].astype(np.float32)
    if (np.abs(gains - 1) * scene.mean(axis=0)).max() <= LEVELS:
        return None
    lit = np.clip(scene * gains, 0, 255)
    if np.abs(image - lit).mean() >= np.abs(image - scene).mean():  # it is that of a part alone
        return None
    red, green, blue = gains.tolist()
    return red, green, blue
