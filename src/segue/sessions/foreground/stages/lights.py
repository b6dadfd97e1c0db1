"""Suppress moving light on a dark scene, such as headlights."""

from __future__ import annotations

import cv2
import numpy as np

from segue.masks.pieces import Pieces
from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.background.quantiles import Scene, once_per_scene
from segue.sessions.foreground.stages.base import Stage, WorkFrame
from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array, UInt8Array

SMOOTH = 1.5  # pixels (sigma) over which differences to the scene are averaged, for the noise of the night
AROUND = np.ones((9, 9), np.uint8)  # by which a piece grows: an edge of an object lies there

DARK = 80.0  # median level of the scene around a piece below which a lamp can light it up
MIN_LEVELS = 10.0  # levels by which it must be brighter than the scene
BRIGHTER = 0.99  # share of its pixels and those around that must not be darker than the scene, but for ...
NOISE = 5.0  # ... so many levels
FLAT = 2.0  # levels a pixel up to which the scene has no edge of its own, which light would lift
ENOUGH = 30  # pixels without one that are needed to judge
BRIGHTEST = 98.0  # percentile of the brightness that counts: light is brightest in its middle, ...
SHARPEST = 95.0  # ... and of the steepness
SOFT = 0.15  # steepness by brightness, a pixel: an edge of an object rises within three or four pixels
ROUND = 1.3  # the same by which a small light falls off over its own radius, which is ...
SHARP = 0.24  # ... never as steep as a sharp edge, averaged as above: 1 / (sqrt(2 pi) SMOOTH) = 0.27


class Lights(Stage):
    """Takes light on a dark scene out of the foreground."""

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
    """Probabilities (h, w) without the pieces that are light on a dark scene.

    ``empty``: smoothed brightness of the empty scene, (h, w), float32 in [0, 255].
    """
    pieces = Pieces.of(foreground >= threshold)
    lights = np.zeros(len(pieces) + 1, np.bool_)
    for number in range(1, len(lights)):
        part, piece = pieces.dilate(number, len(AROUND))
        lights[number] = _is_light(piece, image[part], empty[part])
    if not lights.any():
        return foreground
    return np.where(pieces.where(lights), np.float32(0), foreground)


def _is_light(piece: BoolArray, image: Image, empty: Float32Array) -> bool:
    """Whether a piece, (h, w), is brighter than the scene and has no edge that the scene has not."""
    # Quick rejection of most pieces of a bright scene: half of the pixels around one must be dark.
    if 2 * np.count_nonzero(empty < DARK) < np.count_nonzero(piece):
        return False
    surroundings = cv2.dilate(piece.view(np.uint8), AROUND) > 0
    if float(np.median(empty[surroundings])) >= DARK:
        return False
    brighter = brightness(image) - empty
    level = float(np.percentile(brighter[piece], BRIGHTEST))
    if level < MIN_LEVELS or float((brighter[surroundings] > -NOISE).mean()) < BRIGHTER:
        return False
    flat = surroundings & (steepness(empty) < FLAT)
    if np.count_nonzero(flat) < ENOUGH:
        return False
    radius = float(np.sqrt(np.count_nonzero(piece) / np.pi))
    soft = max(SOFT, min(SHARP, ROUND / radius))
    return float(np.percentile(steepness(brighter)[flat], SHARPEST)) < soft * level


@once_per_scene
def _brightness_of(scene: Scene) -> Float32Array:
    return brightness(scene.image)


def brightness(image: Image) -> Float32Array:
    """Smoothed brightness of an RGB image (h, w, 3), uint8; returns (h, w), float32 in [0, 255]."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), SMOOTH), np.float32)


def steepness(levels: Float32Array | UInt8Array) -> Float32Array:
    """Magnitude of the Sobel gradient."""
    right, down = (cv2.Sobel(levels, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    return np.asarray(np.hypot(right, down), np.float32)
