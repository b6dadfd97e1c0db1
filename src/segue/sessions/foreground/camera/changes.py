"""Detect changes of the whole image: another scene, another light."""

from __future__ import annotations

from enum import Enum
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.models.geometry import reduced_to
from segue.sessions.foreground.camera.step import CameraStep
from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array, Float64Array

LONG_SIDE = 32  # images are compared at this longer side, in pixels: a shaken camera changes little there
STEP = 16.0  # levels by which a pixel must differ from the frame before to have jumped
TOUCH = 8.0  # levels up to which a pixel counts as it was

TOUCHED = 0.75  # share of the pixels that are not as they were where something happened to the whole image
JUMPED = 0.55  # share of the pixels that must have jumped for it, too
ALTERED = 0.5  # share of the pixels of another structure: from it on another scene, below it another light

PART, RELIT = 0.5, 0.7
"""A lamp may leave a part of the image as it was: more than so many pixels have jumped, and so many of
these have kept their structure."""

LIKENESS = 0.5  # correlation with the surroundings from which on a pixel has kept its structure
TEXTURE = 4.0  # variance of the surroundings, in levels squared, from which on they have a structure

PLAIN = 0.05  # weight of pixels without structure
DARK, BRIGHT = 16, 250  # levels beyond which a pixel tells nothing of a gain
MIN_LIT = 16  # pixels between them that are needed to measure one

MOVED = 0.65  # share of the parts of an image that a step of the camera must explain to be no cut
SHOWN = 0.03  # share of the empty scene from which on an image shows it, behind something large


class Change(Enum):
    """Global change since the previous frame."""

    none = "none"
    light = "light"
    scene = "scene"
    back = "back"  # a scene that was there before comes back

    @property
    def is_scene(self) -> bool:
        """Whether another scene is there."""
        return self in (Change.scene, Change.back)


def change_between(before: Image, now: Image, step: CameraStep) -> Change:
    """Compare a frame with the one before, both small, RGB (h, w, 3); ``step``: that of the camera."""
    change = difference(reduced(now), reduced(before))
    return Change.none if change is not Change.none and any(step.way(MOVED)) else change


def reduced(image: Image) -> Float32Array:
    """An image, (H, W, 3), reduced by averaging to a longer side of at most :data:`LONG_SIDE`."""
    return np.asarray(reduced_to(image, LONG_SIDE), np.float32)


def difference(one: Float32Array, other: Float32Array) -> Change:
    """Compare two reduced images of one size: another scene, another light, or neither."""
    distance = farthest(one, other)
    jumped, touched = distance > STEP, float((distance > TOUCH).mean())
    share = float(jumped.mean())
    everywhere = touched > TOUCHED and share > JUMPED
    kept, altered = structure(one, other)
    if everywhere and altered.mean() > ALTERED:
        return Change.scene
    relit = share > PART and float((kept & jumped).sum()) > RELIT * float(jumped.sum())
    return Change.light if everywhere or relit else Change.none


def structure(one: Float32Array, other: Float32Array) -> tuple[BoolArray, BoolArray]:
    """Masks of equal and of different structure in two reduced images, (h, w) each."""
    first, second = _brightness(one), _brightness(other)
    products = first, second, first * first, second * second, first * second
    mean, mean2, square, square2, product = np.moveaxis(
        cv2.GaussianBlur(np.stack(products, axis=2), (0, 0), 1.0), 2, 0
    )
    variance, variance2 = square - mean * mean, square2 - mean2 * mean2
    both = product - mean * mean2
    # One level of noise on top, which also keeps plain surroundings away from zero.
    alike = both > LIKENESS * np.sqrt((np.maximum(variance, 0) + 1) * (np.maximum(variance2, 0) + 1))
    textured = np.maximum(variance, variance2) > TEXTURE
    return textured & alike, textured & ~alike


def _brightness(image: Float32Array) -> Float32Array:
    """Mean of the colours; on small images ``mean(axis=2)`` takes four times as long."""
    return np.asarray((image[..., 0] + image[..., 1] + image[..., 2]) / np.float32(3))


def farthest(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """By how much two images (h, w, 3) differ in the colour that differs most; see :func:`_brightness`."""
    apart = np.abs(one - other)
    return np.asarray(np.maximum(np.maximum(apart[..., 0], apart[..., 1]), apart[..., 2]))


def seen_share(image: Image, scene: Image) -> tuple[float, float]:
    """Share of what two small images show that is the same, and that has the same colours, too.

    Plain parts count little: a road or the sky looks the same in many views.
    """
    one, other = image.astype(np.float32), scene.astype(np.float32)
    kept, altered = structure(one, other)
    near, plain = farthest(one, other) <= TOUCH, ~(kept | altered)
    shown, total = PLAIN * float((plain & near).sum()), float((~plain).sum()) + PLAIN * float(plain.sum())
    return (float(kept.sum()) + shown) / total, (float((kept & near).sum()) + shown) / total


def gains_between(image: Float32Array, scene: Float32Array, where: BoolArray) -> Float64Array:
    """Median gain of one small image over another for red, green and blue, over some pixels."""
    lit = (scene > DARK) & (image < BRIGHT) & where[..., None]
    shares = image / np.maximum(scene, 1)
    gains = [1.0, 1.0, 1.0]
    for channel in range(3):
        ratios = shares[..., channel][lit[..., channel]]
        if ratios.size > MIN_LIT:
            gains[channel] = _median(ratios)
    return np.asarray(np.clip(gains, 0.25, 4.0))


def _median(values: npt.NDArray[np.floating]) -> float:
    """The median of some values, ten times as fast as NumPy's for a few hundred."""
    middle = len(values) // 2
    low = middle - 1 + len(values) % 2
    found = np.partition(values, (low, middle))
    return float((found[low] + found[middle]) / 2)


def is_shown(scene: Image | None, image: Image) -> bool:
    """Whether a part of the background is seen, so that what hides the rest stands before it."""
    if scene is None:
        return False
    one, other = reduced(image), reduced(scene)
    kept, altered = structure(one, other)
    close = farthest(one, other) <= TOUCH
    return float((kept & close).sum()) > SHOWN * float((kept | altered).sum())
