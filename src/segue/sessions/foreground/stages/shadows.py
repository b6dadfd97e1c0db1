"""Tell shadow from objects where a network finds shadow more probable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.stages.base import Stage, WorkFrame
from segue.types import Image
from segue.utils.arrays import Float32Array


@dataclass(frozen=True, slots=True)
class ShadowSettings:
    """Settings of :class:`Shadows`; no source of the values is recorded.

    Attributes:
        min_light: share of the background's light in a shadow at least; below it is a dark object.
        max_light: share of the background's light in a shadow at most; above it is noise.
        max_colour: range of these shares over red, green and blue; larger values remove coloured objects.
        offset: levels added before division, since ratios of dark pixels are mostly noise.
        min_level: level of the background's brightest colour that makes a pixel too dark for a shadow;
            without light from the sky, shadows are black.
    """

    min_light: float = 0.3
    max_light: float = 0.85
    max_colour: float = 0.12
    offset: float = 8.0
    min_level: int = 90


SETTINGS = ShadowSettings()


class Shadows(Stage):
    """Removes shadow from the foreground, and adds regions too dark to be shadow.

    The background is not updated in either.
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
    """Correct probabilities of foreground and shadow, (2, h, w), by brightness (Horprasert et al., 1999).

    In shadow, foreground is 0. Regions darker than a shadow, such as a black car, are foreground: there
    shadow is 0.
    """
    foreground, shadow = maps
    places = np.flatnonzero((shadow > foreground) & (foreground + shadow >= threshold))
    if not places.size:
        return maps
    pixels, empty = (
        np.ascontiguousarray(np.take(each.reshape(-1, 3), places, axis=0).T) for each in (image, scene)
    )
    ratios = (pixels + np.float32(SETTINGS.offset)) / (empty + np.float32(SETTINGS.offset))
    light = ratios.mean(axis=0)
    is_shadow = (
        (light > SETTINGS.min_light)
        & (light < SETTINGS.max_light)
        & (np.ptp(ratios, axis=0) < SETTINGS.max_colour)
    )
    is_shadow &= np.take(foreground, places) >= threshold
    too_dark = (light <= SETTINGS.min_light) & (empty.max(axis=0) > SETTINGS.min_level)
    adjusted = maps.reshape(2, -1).copy()
    adjusted[0, places[is_shadow]] = 0
    adjusted[0, places[too_dark]] = adjusted[:, places[too_dark]].sum(axis=0).clip(max=1)
    adjusted[1, places[too_dark]] = 0
    return adjusted.reshape(maps.shape)
