"""Brightness bands of a rolling shutter under mains lighting."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from segue.models.geometry import reduced_to
from segue.sessions.foreground.camera.changes import (
    BRIGHT,
    DARK,
    LONG_SIDE,
    TOUCH,
    farthest,
    medians,
    share_of,
)
from segue.state import Checkpointable, checkpointed
from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array


@dataclass(frozen=True, slots=True)
class FlickerSettings:
    """Settings of :class:`Flicker`; no source of the values is recorded.

    Attributes:
        min_band: logarithm of a row's gain over the image's from which on it is a band.
        min_altered: share of pixels that differ from the previous frame if bands have moved.
        max_unexplained: share of these that row gains may leave unexplained.
        min_count: frames with moved bands, less those without, from which on light flickers: a switched lamp
            lights rows once.
        max_count: bound on that count, and so on the frames until flicker ends.
    """

    min_band: float = 0.04
    min_altered: float = 0.2
    max_unexplained: float = 0.5
    min_count: int = 2
    max_count: int = 8


SETTINGS = FlickerSettings()


class Flicker(Checkpointable):
    """Detects moving bands, and removes them.

    Attributes:
        moved: whether bands are the difference between the last two frames.
    """

    moved = False
    _before: Float32Array | None = checkpointed(None)  # the last frame, very small
    _seen: int = checkpointed(0)

    def update(self, small: Image, last: Image | None) -> Image:
        """Remove bands from the next small frame, RGB (h, w, 3), uint8.

        It is in the light of ``last``, the frame before without bands, where gains of rows or columns are the
        difference.
        """
        now, previous = np.asarray(reduced_to(small, LONG_SIDE), np.float32), self._before
        self._before = now
        same_shape = previous is not None and previous.shape == now.shape
        self.moved = previous is not None and same_shape and row_gains(now, previous) is not None
        self._seen = min(self._seen + 1, SETTINGS.max_count) if self.moved else max(self._seen - 1, 0)
        if self._seen < SETTINGS.min_count or last is None:
            return small
        gains = row_gains(now, np.asarray(reduced_to(last, LONG_SIDE), np.float32))
        if gains is None:
            return small
        resized_gains = cv2.resize(gains, small.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return np.asarray(np.clip(np.rint(small / resized_gains[..., None]), 0, 255), np.uint8)


def row_gains(now: Float32Array, previous: Float32Array) -> Float32Array | None:
    """Gains per row or column of an image over another one, (h, w).

    None if the images differ by at most one global gain, or in another way. Both are reduced, RGB (h, w, 3).
    """
    in_range = (previous > DARK) & (previous < BRIGHT) & (now > DARK) & (now < BRIGHT)
    lit: BoolArray = np.asarray(in_range.all(2))
    logs = np.log(np.maximum(now, 1).sum(2) / np.maximum(previous, 1).sum(2))
    logs[~lit] = np.nan
    if share_of(lit) < 0.5:
        return None
    median_log = float(medians(logs.reshape(-1), 0)[0])
    altered = share_of(farthest(now, previous * np.float32(np.exp(median_log))) > TOUCH)
    if altered < SETTINGS.min_altered:
        return None
    for axis in (1, 0):
        if not np.any(lit, axis=axis).all():
            continue
        along = medians(logs, axis)
        gains = np.broadcast_to(np.exp(along), logs.shape).astype(np.float32)
        left = share_of(farthest(now, previous * gains[..., None]) > TOUCH)
        if np.abs(along - median_log).max() > SETTINGS.min_band and left < SETTINGS.max_unexplained * altered:
            return gains
    return None
