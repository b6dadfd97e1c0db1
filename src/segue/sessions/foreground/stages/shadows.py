"""Suppress cast shadow that a network takes for foreground although it finds shadow more probable."""

from __future__ import annotations

import numpy as np

from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.stages.base import Stage, WorkFrame
from segue.types import Image
from segue.utils.arrays import Float32Array

DARKEST, LIGHTEST = 0.3, 0.85  # shares of the light of the scene that are left in a shadow
COLOURS = 0.12  # by which these shares differ between red, green and blue at most
BLACK = 8.0  # levels that are added before ratios: those of dark pixels are mostly noise


class Shadows(Stage):
    """Takes shadow out of the foreground; the background learns none of it either."""

    name = "shadows"

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold

    def after_segment(self, frame: WorkFrame, background: Background) -> None:
        if frame.pans or background.scene is None:
            return
        assert frame.maps is not None
        frame.learned = frame.foreground
        frame.maps = without_shadows(frame.maps, self._threshold, frame.image, background.scene.image)


def without_shadows(maps: Float32Array, threshold: float, image: Image, scene: Image) -> Float32Array:
    """Probabilities of foreground and shadow, (2, h, w), without the shadow in it (Horprasert et al., 1999).

    Foreground is 0 where there is shadow.
    """
    foreground, shadow = maps
    candidates = (foreground >= threshold) & (shadow > foreground)
    places = np.flatnonzero(candidates)
    if not places.size:
        return maps
    pixels, empty = (
        np.ascontiguousarray(np.take(each.reshape(-1, 3), places, axis=0).T) for each in (image, scene)
    )
    ratios = (pixels + np.float32(BLACK)) / (empty + np.float32(BLACK))
    light = ratios.mean(axis=0)
    is_shadow = (light > DARKEST) & (light < LIGHTEST) & (np.ptp(ratios, axis=0) < COLOURS)
    lit = maps.copy()
    lit[0].reshape(-1)[places[is_shadow]] = 0
    return lit
