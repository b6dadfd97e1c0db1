"""Tell shadow from objects where a network finds shadow more probable."""

from __future__ import annotations

import numpy as np

from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.stages.base import Stage, WorkFrame
from segue.types import Image
from segue.utils.arrays import Float32Array

DARKEST, LIGHTEST = 0.3, 0.85  # shares of the light of the scene that are left in a shadow
COLOURS = 0.12  # by which these shares differ between red, green and blue at most
BLACK = 8.0  # levels that are added before ratios: those of dark pixels are mostly noise
MIN_LIGHT = 90
"""Level of the brightest colour of the scene from which on a pixel can be too dark for a shadow. Shadows are
black at night, without light from the sky."""


class Shadows(Stage):
    """Takes shadow out of the foreground, and what is too dark for it into the foreground.

    The background learns neither.
    """

    name = "shadows"

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold

    def after_segment(self, frame: WorkFrame, background: Background) -> None:
        if frame.pans or background.scene is None:
            return
        assert frame.maps is not None
        with_shadow = frame.foreground
        frame.maps = without_shadows(frame.maps, self._threshold, frame.image, background.scene.image)
        frame.learned = np.maximum(with_shadow, frame.foreground)


def without_shadows(maps: Float32Array, threshold: float, image: Image, scene: Image) -> Float32Array:
    """Probabilities of foreground and shadow, (2, h, w), as their light allows (Horprasert et al., 1999).

    Foreground is 0 where there is shadow. What leaves less light than a shadow does is foreground, such as a
    black car: there shadow is 0.
    """
    foreground, shadow = maps
    places = np.flatnonzero((shadow > foreground) & (foreground + shadow >= threshold))
    if not places.size:
        return maps
    pixels, empty = (
        np.ascontiguousarray(np.take(each.reshape(-1, 3), places, axis=0).T) for each in (image, scene)
    )
    ratios = (pixels + np.float32(BLACK)) / (empty + np.float32(BLACK))
    light = ratios.mean(axis=0)
    is_shadow = (light > DARKEST) & (light < LIGHTEST) & (np.ptp(ratios, axis=0) < COLOURS)
    is_shadow &= np.take(foreground, places) >= threshold
    too_dark = (light <= DARKEST) & (empty.max(axis=0) > MIN_LIGHT)
    adjusted = maps.reshape(2, -1).copy()
    adjusted[0, places[is_shadow]] = 0
    adjusted[0, places[too_dark]] = adjusted[:, places[too_dark]].sum(axis=0).clip(max=1)
    adjusted[1, places[too_dark]] = 0
    return adjusted.reshape(maps.shape)
