"""Detect global changes: another scene, another light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from segue.models.geometry import reduced_to
from segue.sessions.foreground.camera.step import CameraStep
from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array, Float64Array, UInt8Array

LONG_SIDE = 32
"""Images are compared at this longer side, in pixels, see :func:`segue.models.geometry.reduced_to`: a shaken
camera changes little there."""

STEP = 16.0
"""Minimum difference in levels from the previous frame of a pixel that has jumped."""

TOUCH = 8.0
"""Maximum difference in levels of an unchanged pixel."""

TOUCHED = 0.75
"""Minimum share of changed pixels if the whole image changes."""

JUMPED = 0.55
"""Share of jumped pixels that this needs, too."""

ALTERED = 0.5
"""Share of pixels with another structure: above it the scene is another one, below it the light."""

PART, RELIT = 0.5, 0.7
"""A lamp may leave a part of the image as it was: more than so many pixels have jumped, and so many of
these have kept their structure."""

Levels = npt.NDArray[np.uint8 | np.float32]  # of a reduced image, RGB (h, w, 3), in [0, 255]

LIKENESS = 0.5
"""Minimum correlation of neighbourhoods of a pixel that keeps its structure."""

TEXTURE = 4.0
"""Minimum variance of a structured neighbourhood, in squared levels."""

PLAIN = 0.05
"""Weight of pixels without structure."""

DARK, BRIGHT = 16, 250
"""Levels beyond which a pixel is not used for gains."""

MIN_LIT = 16
"""Minimum number of pixels for measuring a gain."""

Gains = tuple[float, ...]  # of red, green and blue

SAME_LIGHT: Gains = (1.0, 1.0, 1.0)

MIN_SUPPORT = 0.65
"""Share of image parts that a camera step must explain to be no cut."""

MIN_VISIBLE = 0.03
"""Minimum visible share of the background behind a large object."""


class Change(Enum):
    """Global change since the previous frame."""

    none = "none"
    light = "light"
    scene = "scene"
    back = "back"  # a scene that was there before comes back


class Difference(NamedTuple):
    """Global difference between two images.

    Attributes:
        change: another scene, another light, or neither.
        altered: share of the pixels that are of another structure.
        relit: share of the pixels of the same structure in colours that no gain explains.
    """

    change: Change
    altered: float
    relit: float


@dataclass(eq=False)
class Comparison:
    """Two reduced images, RGB (h, w, 3), and the results of comparing them, each computed once."""

    image: Levels
    other: Levels

    @cached_property
    def structure(self) -> tuple[BoolArray, BoolArray]:
        """Masks of equal and of different structure, (h, w) each."""
        return structure(self.image, self.other)

    @cached_property
    def distance(self) -> UInt8Array:
        """Largest difference over colours, (h, w)."""
        return farthest(self.image, self.other)

    @cached_property
    def gains(self) -> Float64Array:
        """Gain of the image over the other one per colour."""
        return gains_between(self.image, self.other, ~self.structure[1])

    def difference(self, step: CameraStep | None = None) -> Difference:
        """Classify the difference.

        ``step``: of the camera from the other image to this one, which may be all that has changed.
        """
        (unchanged, altered), distance = self.structure, self.distance
        lit = np.clip(self.other * self.gains, 0, 255)
        unexplained = farthest(self.image.astype(lit.dtype), lit)
        if unexplained.mean() > distance.mean():  # the gain is that of a part, the rest is clipped
            unexplained = distance
        relit = (unexplained > STEP) & ~altered
        jumped, touched = distance > STEP, share_of(distance > TOUCH)
        share, share_altered = share_of(jumped), share_of(altered)
        everywhere = touched > TOUCHED and share > JUMPED
        partly = share > PART and count_of(unchanged & jumped) > RELIT * count_of(jumped)
        change = Change.none
        if (everywhere or partly) and not (step and any(step.way(MIN_SUPPORT))):
            change = Change.scene if everywhere and share_altered > ALTERED else Change.light
        return Difference(change, share_altered, share_of(relit))

    def visible_shares(self) -> tuple[float, float]:
        """Shares of the images with equal structure, and with equal colours.

        Plain parts count little: a road or the sky looks the same in many views.
        """
        unchanged, altered = self.structure
        close, plain = self.distance <= TOUCH, ~(unchanged | altered)
        num_plain, plain_share = count_of(plain), PLAIN * count_of(plain & close)
        total = plain.size - num_plain + PLAIN * num_plain
        same, same_colours = count_of(unchanged), count_of(unchanged & close)
        return (same + plain_share) / total, (same_colours + plain_share) / total


def structure(one: Levels, other: Levels) -> tuple[BoolArray, BoolArray]:
    """Masks of equal and of different structure in two reduced images, (h, w) each."""
    both = np.array([one, other], np.float32)
    # The mean of the colours; on small images ``mean`` takes four times as long.
    first, second = (both[..., 0] + both[..., 1] + both[..., 2]) / np.float32(3)
    products = first, second, first * first, second * second, first * second
    mean, mean2, square, square2, product = map(
        np.asarray, cv2.split(cv2.GaussianBlur(cv2.merge(products), (0, 0), 1.0))
    )
    variance, variance2 = square - mean * mean, square2 - mean2 * mean2
    covariance = product - mean * mean2
    # One level of noise on top, which also keeps plain surroundings away from zero.
    similar = covariance > LIKENESS * np.sqrt((np.maximum(variance, 0) + 1) * (np.maximum(variance2, 0) + 1))
    textured = np.maximum(variance, variance2) > TEXTURE
    return textured & similar, textured & ~similar


def count_of(mask: BoolArray) -> int:
    """Number of true pixels; faster than ``sum`` for small masks."""
    return int(np.count_nonzero(mask))


def share_of(mask: BoolArray) -> float:
    """Share of true pixels in a mask."""
    return count_of(mask) / mask.size


def farthest(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Largest difference over colours of two images (h, w, 3) of one type, (h, w)."""
    differences = cv2.absdiff(one, other)  # on small images ``max`` takes ten times as long
    return np.asarray(np.maximum(np.maximum(differences[..., 0], differences[..., 1]), differences[..., 2]))


def gains_between(image: Levels, scene: Levels, where: BoolArray) -> Float64Array:
    """Median gain of one reduced image over another per colour, over some pixels."""
    lit = (scene > DARK) & (image < BRIGHT) & where[..., None]
    ratios = np.divide(image, np.maximum(scene, 1), dtype=np.float32)
    gains = []
    for colour in range(3):  # faster than three columns at once
        values = np.sort(ratios[..., colour][lit[..., colour]])
        middle = values[[(len(values) - 1) // 2, len(values) // 2]] if len(values) > MIN_LIT else np.ones(1)
        gains.append(middle.mean())
    return np.clip(np.array(gains, np.float64), 0.25, 4.0)


def scaled(light: Gains, gains: Sequence[float]) -> Gains:
    """Multiply a light by factors of red, green and blue."""
    return tuple(one * other for one, other in zip(light, gains, strict=True))


def medians(values: Float32Array, axis: int) -> Float32Array:
    """Medians along a kept axis without NaN; faster than NumPy for small images."""
    ordered = np.sort(values, axis=axis)  # NaN comes last
    count = np.count_nonzero(~np.isnan(values), axis=axis, keepdims=True)
    middle = np.concatenate([(count - 1) // 2, count // 2], axis)
    return np.asarray(np.take_along_axis(ordered, middle, axis).mean(axis, keepdims=True), np.float32)


def is_blank(image: Image) -> bool:
    """Whether an image (h, w, 3) has a single colour, as from broken cameras and decoders."""
    tiny = reduced_to(image, LONG_SIDE).reshape(-1, 3)
    return int((tiny.max(0) - tiny.min(0)).max()) <= TOUCH


def is_visible(scene: Image | None, image: Image) -> bool:
    """Whether part of the background is visible, so that an object hides the rest."""
    if scene is None:
        return False
    both = Comparison(reduced_to(image, LONG_SIDE), reduced_to(scene, LONG_SIDE))
    unchanged, altered = both.structure
    return count_of(unchanged & (both.distance <= TOUCH)) > MIN_VISIBLE * count_of(unchanged | altered)
