"""Rain and snow before a camera that stands still: tell that they fall, and take them out of the frames.

Drops and flakes brighten a pixel for a frame or two, all over the image, and hardly ever darken one (Garg
and Nayar, Detection and Removal of Rain from Videos, CVPR 2004, section 3). Leaves, water, shaking and
traffic brighten and darken alike, or only in a part of the image.
"""

from __future__ import annotations

from collections import deque
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

LEVELS = 25  # by which a frame must stick out of its neighbours at a pixel to be an impulse there
CELLS = (8, 6)  # parts of the image in which impulses are counted, across and down
WIDEST = 0.05  # of the shorter side: what is wider is an object that passes fast
MIN_SHARE = 0.002  # share of a part that must be impulses, after the dark ones are taken off it
DARK = 3.0  # each dark impulse takes so many bright ones off
CELLS_FROM, CELLS_UNTIL = 0.33, 0.2  # shares of the parts in which it falls, to begin and to end
MEMORY = 24  # frames over which they are counted

PAST = 5  # frames whose median a drop sticks out of
STICKS_OUT = 12  # levels by which it does
LARGEST = 0.004  # share of the image from which on something is no drop
LASTS = 3  # frames on which the pixels of a small object must have been foreground before
LASTING = 0.5  # share of its pixels of which that must be true

_NEAR = np.ones((7, 7), np.uint8)


class Precipitation(Stage):
    """Looks whether it rains or snows, takes drops out of the frames, and the rest of them out of masks."""

    name = "rain"
    _past: deque[Image] = checkpointed(partial(deque, maxlen=PAST))
    _surplus: Float32Array = checkpointed(partial(np.zeros, CELLS[::-1], np.float32))
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
        """Leave out small pieces that were not there before, while it rains or snows."""
        foreground = frame.foreground >= self._threshold
        streak = np.zeros(foreground.shape, np.uint8) if self._streak is None else self._streak
        self._streak = (np.minimum(streak, 254) + np.uint8(1)) * foreground
        if not self.falls or not foreground.any():
            return
        # Pieces that lie close together are one object, through which drops fall.
        pieces = Pieces.of(cv2.dilate(foreground.view(np.uint8), _NEAR) > 0)
        area, old = pieces.count(foreground), pieces.count(foreground & (self._streak > LASTS))
        dropped = (area < LARGEST * foreground.size) & (old < LASTING * area)
        frame.foreground = np.where(pieces.where(dropped), np.float32(0), frame.foreground)

    def _count(self, previous: UInt8Array, middle: UInt8Array, following: UInt8Array) -> None:
        """Count impulses of the middle one of three frames, grey, (H, W)."""
        up = np.minimum(cv2.subtract(middle, previous), cv2.subtract(middle, following))
        down = np.minimum(cv2.subtract(previous, middle), cv2.subtract(following, middle))
        surplus = _shares(up) - np.float32(DARK) * _shares(down)
        self._seen += 1
        self._surplus = self._surplus + (surplus - self._surplus) / np.float32(min(self._seen, MEMORY))
        share = float((self._surplus > MIN_SHARE).mean())
        self.falls = share >= (CELLS_UNTIL if self.falls else CELLS_FROM)

    def _without_drops(self, image: Image, scene: Image, hidden: BoolArray | None) -> Image:
        past = list(self._past)
        usual = np.maximum(scene, median_of((past * PAST)[:PAST] if len(past) < PAST else past))
        drops = cv2.subtract(image, usual).max(axis=2) > STICKS_OUT
        pieces = Pieces.of(drops)
        small = pieces.areas < LARGEST * drops.size
        if hidden is not None:
            small &= pieces.count(hidden) == 0
        # The blurred rim of a drop is fainter than the drop.
        covered = cv2.dilate(pieces.where(small).view(np.uint8), np.ones((3, 3), np.uint8))
        return np.where(covered[..., None] > 0, np.minimum(image, usual), image)


def _grey(image: Image) -> UInt8Array:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def _shares(levels: UInt8Array) -> Float32Array:
    """Shares of the parts of an image, (6, 8), in small pieces that stick out by these levels, (H, W)."""
    is_streak = (levels > LEVELS).view(np.uint8)
    if not cv2.hasNonZero(is_streak):
        return np.zeros(CELLS[::-1], np.float32)
    side = 1 + 2 * round(WIDEST * min(levels.shape) / 2)
    wide = cv2.morphologyEx(is_streak, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    small = np.asarray(is_streak - wide, np.float32)
    return np.asarray(cv2.resize(small, CELLS, interpolation=cv2.INTER_AREA), np.float32)
