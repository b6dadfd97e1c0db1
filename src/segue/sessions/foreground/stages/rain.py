"""Detect rain and snow before a still camera, and remove them from the frames.

Drops and flakes brighten a pixel for a frame or two, all over the image, and hardly ever darken one (Garg
and Nayar, Detection and Removal of Rain from Videos, CVPR 2004, section 3). Leaves, water, shaking and
traffic brighten and darken alike, or only in a part of the image.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from segue.masks.pieces import Pieces
from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.background.quantiles import median_of
from segue.sessions.foreground.stages.base import Stage, WorkFrame
from segue.state import checkpointed
from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array, UInt8Array


@dataclass(frozen=True, slots=True)
class RainSettings:
    """Settings of :class:`Precipitation`; no source of the values is recorded.

    Attributes:
        min_impulse: levels by which a pixel exceeds both neighbouring frames; larger values miss faint rain.
        cells: parts of the image, across and down, in which impulses are counted.
        max_width: width of a drop in shorter sides of the image; larger values count fast objects as rain.
        min_share: share of impulses in a part, less the dark ones, from which on it rains there.
        dark_weight: bright impulses that each dark one cancels; smaller values take leaves for rain.
        start_share: share of rainy parts from which on it rains.
        stop_share: share of rainy parts below which rain ends; less than ``start_share``, against flicker.
        memory: frames over which impulses are averaged; larger values react later.
        past: frames whose median is compared with the image.
        min_contrast: levels by which a drop exceeds that median; smaller values also remove noise.
        max_area: share of the image from which on a region is no drop.
        min_age: frames for which a pixel of a small object has been foreground.
        min_old_share: share of such pixels in a small object; larger values remove more of them.
    """

    min_impulse: int = 25
    cells: tuple[int, int] = (8, 6)
    max_width: float = 0.05
    min_share: float = 0.002
    dark_weight: float = 3.0
    start_share: float = 0.33
    stop_share: float = 0.2
    memory: int = 24
    past: int = 5
    min_contrast: int = 12
    max_area: float = 0.004
    min_age: int = 3
    min_old_share: float = 0.5


SETTINGS = RainSettings()

_KERNEL = np.ones((7, 7), np.uint8)


class Precipitation(Stage):
    """Detects rain and snow; removes drops from frames, and the remaining ones from masks."""

    name = "rain"
    _past: deque[Image] = checkpointed(partial(deque, maxlen=SETTINGS.past))
    _surplus: Float32Array = checkpointed(partial(np.zeros, SETTINGS.cells[::-1], np.float32))
    _seen: int = checkpointed(0)
    _streak: UInt8Array | None = checkpointed(None)
    falls: bool = checkpointed(False)
    """Whether it rains or snows."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self._threshold = threshold

    def on_frame(self, frame: WorkFrame, background: Background) -> None:
        if frame.pans:
            self.restart()
            return
        self._past.append(frame.image)
        if len(self._past) >= 3:
            self._count(*map(_grey, list(self._past)[-3:]))
        if self.falls and background.image is not None:
            frame.replace_image(self._without_drops(frame.image, background.image, frame.hidden))

    def after_segment(self, frame: WorkFrame, background: Background) -> None:
        """Remove small new pieces of foreground while it rains or snows."""
        foreground = frame.foreground >= self._threshold
        streak = np.zeros(foreground.shape, np.uint8) if self._streak is None else self._streak
        self._streak = np.asarray(cv2.add(streak, 1), np.uint8) * foreground.view(np.uint8)
        if not self.falls or not foreground.any():
            return
        # Pieces that lie close together are one object, through which drops fall.
        pieces = Pieces.of(cv2.dilate(foreground.view(np.uint8), _KERNEL) > 0)
        area, old = pieces.count(foreground), pieces.count(foreground & (self._streak > SETTINGS.min_age))
        dropped = (area < SETTINGS.max_area * foreground.size) & (old < SETTINGS.min_old_share * area)
        frame.foreground = np.where(pieces.where(dropped), np.float32(0), frame.foreground)

    def _count(self, previous: UInt8Array, middle: UInt8Array, following: UInt8Array) -> None:
        """Count impulses in the middle of three grey frames, (H, W)."""
        up = np.minimum(cv2.subtract(middle, previous), cv2.subtract(middle, following))
        down = np.minimum(cv2.subtract(previous, middle), cv2.subtract(following, middle))
        surplus = _shares(up) - np.float32(SETTINGS.dark_weight) * _shares(down)
        self._seen += 1
        self._surplus = self._surplus + (surplus - self._surplus) / np.float32(
            min(self._seen, SETTINGS.memory)
        )
        share = float((self._surplus > SETTINGS.min_share).mean())
        self.falls = share >= (SETTINGS.stop_share if self.falls else SETTINGS.start_share)

    def _without_drops(self, image: Image, scene: Image, hidden: BoolArray | None) -> Image:
        past = list(self._past)
        usual = np.maximum(
            scene, median_of((past * SETTINGS.past)[: SETTINGS.past] if len(past) < SETTINGS.past else past)
        )
        drops = cv2.subtract(image, usual).max(axis=2) > SETTINGS.min_contrast
        pieces = Pieces.of(drops)
        small = pieces.areas < SETTINGS.max_area * drops.size
        if hidden is not None:
            small &= pieces.count(hidden) == 0
        # The blurred rim of a drop is fainter than the drop.
        covered = cv2.dilate(pieces.where(small).view(np.uint8), np.ones((3, 3), np.uint8))
        return np.where(covered[..., None] > 0, np.minimum(image, usual), image)


def _grey(image: Image) -> UInt8Array:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def _shares(levels: UInt8Array) -> Float32Array:
    """Share of each cell of an image, (6, 8), covered by narrow impulses of these levels, (H, W)."""
    is_streak = (levels > SETTINGS.min_impulse).view(np.uint8)
    if not cv2.hasNonZero(is_streak):
        return np.zeros(SETTINGS.cells[::-1], np.float32)
    side = 1 + 2 * round(SETTINGS.max_width * min(levels.shape) / 2)
    wide = cv2.morphologyEx(is_streak, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    small = np.asarray(is_streak - wide, np.float32)
    return np.asarray(cv2.resize(small, SETTINGS.cells, interpolation=cv2.INTER_AREA), np.float32)
