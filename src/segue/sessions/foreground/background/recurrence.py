"""Recurrence of colours at each pixel.

Leaves before the sky show two colours in turn, water shows many: a median has one of them, and a range has
none that a person or a car could not have, too. A model with several modes, as those of MOG2 (Zivkovic, 2004)
and ViBe (Barnich and Van Droogenbroeck, 2011), knows them all. Here the kept frames are the model: a colour
is known by the share of them that show it, and by how often it came back. Beside those, which are spread over
the whole past, stand the last frames: they forget within seconds, as a MOG2 with a short history does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.masks.pieces import Window
from segue.sessions.foreground.camera.changes import SAME_LIGHT, Gains, scaled
from segue.state import Checkpointable, checkpointed
from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array, UInt8Array

TOLERANCE = 10
"""Maximum difference in levels of a colour from its 3 x 3 neighbourhood to be the same."""

VISIT = 16
"""Increment, out of 255, for each recurrence of a colour."""

MOST = 18
"""Number of kept, and of recent, frames that are compared; each costs time on every frame."""

RECENT_SHARE, GOLDEN = 1 / 6, 0.5 * (5**0.5 - 1)
"""One of so many frames is a recent one. The steps between them are 3, 5 and 8 frames (multiples of the
golden ratio): what swings is not met at the same point of its way each time."""

RECENT_FRAMES = 8
"""Minimum number of recent frames for a statement."""

MEMORY, LONG_MEMORY = 150, 600
"""Frames over which the share of foreground decays, and its arrivals."""


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """Past frames at half size, including foreground.

    Attributes:
        frames: kept frames, RGB (ceil(H / 2), ceil(W / 2), 3), uint8, the oldest first; not written to.
        gains: factors of red, green and blue by which the light is another one now.
        recent: the last frames alike, close in time, in the light of now.
        places: what a network found at each place in the course of them, see :class:`RecentPast`,
            (2, ceil(H / 2), ceil(W / 2)), uint8; None where nothing is known.
    """

    frames: Sequence[npt.NDArray[np.uint8]]
    gains: Gains = SAME_LIGHT
    recent: Sequence[npt.NDArray[np.uint8]] = ()
    places: UInt8Array | None = None

    def recurrence(self, image: Image, rows: slice = slice(None), columns: slice = slice(None)) -> UInt8Array:
        """Frequency of an image's colours at their places.

        Args:
            image: RGB (H, W, 3), uint8.
            rows: rows to look at, from an even one on.
            columns: columns to look at, from an even one on.

        Returns:
            Six planes (6, ceil(h / 2), ceil(w / 2)), uint8, at half the size of that part, in three pairs:
            for the kept frames, the share that shows the colour (255 is all) and 16 times the number of its
            returns; both for the recent frames; both for foreground at the place.
        """
        part = halved(image[rows, columns])
        top, left = (0 if side.start is None else side.start // 2 for side in (rows, columns))
        height, width = part.shape[:2]
        at = slice(top, top + height), slice(left, left + width)
        plain = colours_around(part)
        lit = plain if max(self.gains) == min(self.gains) == 1 else colours_around(part, self.gains)
        planes = np.zeros((6, height, width), np.uint8)
        planes[0:2] = _returns([frame[at] for frame in _spread(self.frames)], *lit)
        planes[2:4] = _returns([frame[at] for frame in _spread(self.recent)], *plain)
        if self.places is not None:
            planes[4:6] = self.places[:, *at]
        return planes

    def in_other_light(self, gains: Sequence[float]) -> Past:
        """Scale the kept frames by factors of red, green and blue."""
        return replace(self, gains=scaled(self.gains, gains))


def _spread(frames: Sequence[Image]) -> list[Image]:
    """Select at most :data:`MOST` evenly spread frames, the newest first."""
    if len(frames) <= MOST:
        return list(frames[::-1])
    places = np.linspace(len(frames) - 1, 0, MOST).round().astype(int).tolist()
    return [frames[place] for place in places]


def _returns(frames: Sequence[Image], low: Image, high: Image) -> UInt8Array:
    """Share of frames with colours in a range, and number of their recurrences, (2, h, w)."""
    count, returns = np.zeros((2, *low.shape[:2]), np.uint8)
    previous = np.full_like(count, 255)
    for frame in frames:
        same = np.asarray(cv2.inRange(frame, low, high), np.uint8)
        count -= same  # 255 is -1
        returns -= same & ~previous
        previous = same
    shares = np.minimum(np.arange(256) * 255 // max(1, len(frames)), 255).astype(np.uint8)
    visits = np.minimum(np.arange(256) * VISIT, 255).astype(np.uint8)
    return np.stack([cv2.LUT(count, shares), cv2.LUT(returns, visits)])


class RecentPast(Checkpointable):
    """Background that never stops learning: the last frames with their foreground.

    It holds samples, as ViBe does (Barnich and Van Droogenbroeck, 2011), which can be saved.
    """

    frames: list[Image] = checkpointed(list)  # at half size, the newest last
    _since: int = checkpointed(0)
    _presence: Float32Array | None = checkpointed(None)  # share of foreground, (h, w) at half size
    _arrivals: Float32Array | None = checkpointed(None)  # times that foreground came, which fade
    _before: UInt8Array | None = checkpointed(None)  # 255 where the last frame had foreground
    _count: int = checkpointed(0)  # of frames, at most MEMORY

    @property
    def places(self) -> UInt8Array | None:
        """Share of frames with foreground at each place, and number of arrivals."""
        if self._presence is None or self._arrivals is None:
            return None
        times = cv2.convertScaleAbs(self._arrivals, alpha=VISIT / 255)
        return np.stack([cv2.convertScaleAbs(self._presence), np.asarray(times, np.uint8)])

    def update(self, image: Image, foreground: npt.NDArray[np.generic]) -> None:
        """Update with the next frame, RGB (H, W, 3), and its foreground, (H, W)."""
        if self._since * GOLDEN % 1 < RECENT_SHARE:
            self.frames = [*self.frames[1 - MOST :], halved(image)]
        self._since += 1
        height, width = foreground.shape
        size = -(-width // 2), -(-height // 2)
        mask = np.asarray(foreground != 0).view(np.uint8) * np.uint8(255)
        half = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
        now: UInt8Array = np.asarray(cv2.threshold(half, 127, 255, cv2.THRESH_BINARY)[1]).astype(np.uint8)
        previous = self._before
        if self._presence is None or self._arrivals is None or previous is None:
            self._presence, self._arrivals = np.zeros((2, *now.shape), np.float32)
            previous = np.zeros_like(now)
        self._count = min(self._count + 1, MEMORY)
        cv2.accumulateWeighted(now, self._presence, 1 / self._count)
        self._arrivals *= np.float32(1 - 1 / LONG_MEMORY)
        cv2.accumulate(now & ~previous, self._arrivals)
        self._before = now

    def returns(self, image: Image, times: int, share: float) -> BoolArray:
        """Pixels of an image, RGB (H, W, 3), whose colours recur in such a share of frames."""
        shares, visits = _returns(_spread(self.frames), *colours_around(halved(image)))
        return _doubled((visits >= times * VISIT) & (shares >= share * 255), image.shape[:2])

    def unseen(self, image: Image, share: float, window: Window) -> BoolArray | None:
        """Pixels of an image, RGB (H, W, 3), whose colours occur in less than such a share of frames.

        None before :data:`RECENT_FRAMES` frames are known. ``window``: the part to look at, from even places
        on; nothing is unseen outside of it.
        """
        if len(self.frames) < RECENT_FRAMES:
            return None
        # At half size, with the neighbours of its pixels.
        rows, columns = (slice(max(0, side.start // 2 - 1), side.stop // 2 + 2) for side in window)
        low, high = colours_around(halved(image)[rows, columns])
        count = np.zeros(low.shape[:2], np.uint8)
        frames = _spread(self.frames)
        for frame in frames:
            count -= np.asarray(cv2.inRange(frame[rows, columns], low, high), np.uint8)  # 255 is -1
        seen = next(n for n in range(256) if n * 255 // len(frames) >= share * 255)
        unseen = np.zeros(image.shape[:2], np.bool_)
        part = unseen[window]
        top, left = window[0].start - 2 * rows.start, window[1].start - 2 * columns.start
        doubled = _doubled(count < seen, (top + part.shape[0], left + part.shape[1]))
        part[...] = doubled[top:, left:]
        return unseen

    def arrivals(self, window: Window) -> Float32Array:
        """Decayed number of foreground arrivals at each place of a window, (h, w), from even places on."""
        size = window[0].stop - window[0].start, window[1].stop - window[1].start
        if self._arrivals is None:
            return np.zeros(size, np.float32)
        half = tuple(slice(side.start // 2, -(-side.stop // 2)) for side in window)
        return _doubled(self._arrivals[half] / np.float32(255), size)

    def apply_gain(self, gains: Sequence[float]) -> None:
        """Scale all frames by factors of red, green and blue."""
        table = _table(np.arange(256)[:, None] * np.asarray(gains))
        self.frames = [np.asarray(cv2.LUT(frame, table), np.uint8) for frame in self.frames]


NO_PAST = Past(())
"""Past without frames."""


def halved(image: Image) -> Image:
    """Reduce an image (H, W, 3) to half size, rounded up."""
    height, width = image.shape[:2]
    size = -(-width // 2), -(-height // 2)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def colours_around(image: Image, gains: Sequence[float] = SAME_LIGHT) -> tuple[Image, Image]:
    """Lowest and highest colours in the neighbourhood of each pixel.

    ``gains``: of the image over the frames with which they are compared.
    """
    square = np.ones((3, 3), np.uint8)
    room = np.full_like(image, TOLERANCE)
    low = np.asarray(cv2.subtract(cv2.erode(image, square), room), np.uint8)
    high = np.asarray(cv2.add(cv2.dilate(image, square), room), np.uint8)
    if max(gains) == min(gains) == 1:
        return low, high
    table = _table(np.arange(256)[:, None] / np.maximum(gains, 1e-3))
    return np.asarray(cv2.LUT(low, table), np.uint8), np.asarray(cv2.LUT(high, table), np.uint8)


def _doubled(values: npt.NDArray[Any], size: tuple[int, ...]) -> npt.NDArray[Any]:
    """Enlarge values from half size, rounded up, to full size, (H, W)."""
    plain = values.view(np.uint8) if values.dtype == np.bool_ else values
    height, width = values.shape
    doubled = cv2.resize(plain, (2 * width, 2 * height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(doubled).view(values.dtype)[: size[0], : size[1]]


def _table(levels: npt.NDArray[np.float64]) -> UInt8Array:
    """Lookup table for OpenCV for the levels of three colours, from (256, 3)."""
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)[:, None]
