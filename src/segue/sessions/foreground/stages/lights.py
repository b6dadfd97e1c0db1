"""Suppress moving light on a dark scene, such as headlights."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from segue.masks.pieces import Pieces
from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.background.quantiles import Scene, once_per_scene
from segue.sessions.foreground.stages.base import Stage, WorkFrame
from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array, UInt8Array


@dataclass(frozen=True, slots=True)
class LightSettings:
    """Settings of :class:`Lights`; no source of the values is recorded.

    Attributes:
        sigma: standard deviation in pixels of the blur against noise at night.
        max_background: median level of the background around a region that a lamp can light up.
        min_levels: levels by which light is brighter than the background; smaller values remove noise, too.
        min_brighter: share of pixels that are not darker than the background by ``noise``.
        noise: levels by which pixels of light may be darker than the background.
        max_gradient: levels per pixel up to which the background has no edge that light would amplify.
        min_flat: pixels without such an edge that a decision needs.
        brightness_percentile: percentile that measures brightness: light is brightest in its middle.
        gradient_percentile: percentile that measures steepness.
        soft_edge: steepness per brightness and pixel up to which an edge is soft: objects rise within four
            pixels.
        round_edge: the same in radii of a small light.
        sharp_edge: bound on it, below that of a sharp edge after the blur: 1 / (sqrt(2 pi) ``sigma``) =
            0.27.
    """

    sigma: float = 1.5
    max_background: float = 80.0
    min_levels: float = 10.0
    min_brighter: float = 0.99
    noise: float = 5.0
    max_gradient: float = 2.0
    min_flat: int = 30
    brightness_percentile: float = 98.0
    gradient_percentile: float = 95.0
    soft_edge: float = 0.15
    round_edge: float = 1.3
    sharp_edge: float = 0.24


SETTINGS = LightSettings()

GROWTH_KERNEL = np.ones((9, 9), np.uint8)  # by which a piece grows: an edge of an object lies there


class Lights(Stage):
    """Removes light on a dark scene from the foreground."""

    name = "lights"

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold

    def after_segment(self, frame: WorkFrame, background: Background) -> None:
        if frame.pans or background.scene is None:
            return
        empty = _brightness_of(background.scene)
        frame.foreground = without_lights(frame.foreground, self._threshold, frame.image, empty)


def without_lights(
    foreground: Float32Array, threshold: float, image: Image, empty: Float32Array
) -> Float32Array:
    """Remove pieces of foreground, (h, w), that are light on a dark scene.

    ``empty``: smoothed brightness of the empty scene, (h, w), float32 in [0, 255].
    """
    pieces = Pieces.of(foreground >= threshold)
    lights = np.zeros(len(pieces) + 1, np.bool_)
    for number in range(1, len(lights)):
        part, piece = pieces.dilate(number, len(GROWTH_KERNEL))
        lights[number] = _is_light(piece, image[part], empty[part])
    if not lights.any():
        return foreground
    return np.where(pieces.where(lights), np.float32(0), foreground)


def _is_light(piece: BoolArray, image: Image, empty: Float32Array) -> bool:
    """Whether a piece, (h, w), is brighter than the scene and adds no edges."""
    # Quick rejection of most pieces of a bright scene: half of the pixels around one must be dark.
    if 2 * np.count_nonzero(empty < SETTINGS.max_background) < np.count_nonzero(piece):
        return False
    surroundings = cv2.dilate(piece.view(np.uint8), GROWTH_KERNEL) > 0
    if float(np.median(empty[surroundings])) >= SETTINGS.max_background:
        return False
    brighter = brightness(image) - empty
    level = float(np.percentile(brighter[piece], SETTINGS.brightness_percentile))
    if (
        level < SETTINGS.min_levels
        or float((brighter[surroundings] > -SETTINGS.noise).mean()) < SETTINGS.min_brighter
    ):
        return False
    flat = surroundings & (steepness(empty) < SETTINGS.max_gradient)
    if np.count_nonzero(flat) < SETTINGS.min_flat:
        return False
    radius = float(np.sqrt(np.count_nonzero(piece) / np.pi))
    soft = max(SETTINGS.soft_edge, min(SETTINGS.sharp_edge, SETTINGS.round_edge / radius))
    return float(np.percentile(steepness(brighter)[flat], SETTINGS.gradient_percentile)) < soft * level


@once_per_scene
def _brightness_of(scene: Scene) -> Float32Array:
    return brightness(scene.image)


def brightness(image: Image) -> Float32Array:
    """Smoothed brightness of an RGB image (h, w, 3), uint8; returns (h, w), float32 in [0, 255]."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), SETTINGS.sigma), np.float32)


def steepness(levels: Float32Array | UInt8Array) -> Float32Array:
    """Magnitude of the Sobel gradient."""
    right, down = (cv2.Sobel(levels, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    return np.asarray(np.hypot(right, down), np.float32)
