"""The empty scene: quantiles of each pixel over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import BoolArray, UInt8Array
from segue.errors import PromptError
from segue.types import Image

Level = TypeVar("Level", np.uint8, np.float32)

PLANES = 21  # planes of a scene

LOW = 0.1  # the envelope of a pixel reaches from this quantile of its past to the opposite one
DOUBT_FROM = 5  # with fewer kept frames a single one in which a pixel was background is enough

RESTLESS, RESTLESS_FROM = 4, 12
"""A pixel whose mask changes in one of so many kept frames belongs to something that comes and goes, as
leaves do, not to a thing that was put there; with fewer kept frames nobody can tell."""

LATELY = 2  # what was foreground in so many last kept frames has stopped there, however busy the place was

_ROWS, _SORTED_ROWS = 4, 16
"""Rows that are worked on together, to sort in one frame or all: so many stay in the cache of a processor."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Background statistics.

    Attributes:
        planes: (21, H, W), uint8; not written to. Three times red, green and blue: 10 % quantile, median and
            90 % quantile of the frames in which the pixel was background; the same of all frames; shares of
            255: of the frames in which the pixel was foreground, and of the steps from one to the next at
            which it changed sides; and seven times the number of frames.
        image: the median of the background, RGB (H, W, 3), uint8.
    """

    planes: npt.NDArray[np.uint8]
    image: Image = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", np.ascontiguousarray(self.planes[3:6].transpose(1, 2, 0)))

    @classmethod
    def of(cls, image: Image, frames: int = 35) -> Scene:
        """A scene that is known from an image. ``image``: RGB (H, W, 3), uint8."""
        if image.ndim != 3 or image.shape[2] != 3:
            raise PromptError(f"an empty scene is an image (H, W, 3), not an array {image.shape}")
        known = np.tile(image.transpose(2, 0, 1), (6, 1, 1))
        height, width = image.shape[:2]
        count = np.full((1, height, width), min(255, 7 * frames), np.uint8)
        return cls(np.concatenate([known, np.zeros((2, height, width), np.uint8), count]))

    @property
    def range(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Low and high quantile of the background, each (3, H, W)."""
        return self.planes[0:3], self.planes[6:9]

    @property
    def range_of_all(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Low and high quantile of all frames, each (3, H, W)."""
        return self.planes[9:12], self.planes[15:18]

    def in_other_light(self, gains: Sequence[float]) -> Scene:
        """The scene brighter or darker by factors of red, green and blue."""
        planes = self.planes.copy()
        for channel, gain in enumerate(gains):
            planes[channel:18:3] = cv2.LUT(planes[channel:18:3], gain_table(gain))
        return Scene(planes)


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes (height, width) are the same image enlarged or reduced, up to rounding."""
    (height, width), (rows, columns) = size, other
    return abs(height * columns - width * rows) <= max(height, width, rows, columns)


def resized(image: npt.NDArray[Level], size: tuple[int, int]) -> npt.NDArray[Level]:
    """An image or a map, (H, W, 3) or (H, W), at another height and width."""
    if image.shape[:2] == size:
        return image
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), image.dtype)


def gain_table(gain: float) -> npt.NDArray[np.uint8]:
    """Each level after a gain. Returns (256,), uint8."""
    return np.asarray(np.clip(np.rint(np.arange(256) * gain), 0, 255), np.uint8)


class TemporalQuantileBuffer:
    """The values of each pixel in ascending order: of all frames, and of those in which it was background."""

    def __init__(self, size: tuple[int, int], keep: int) -> None:
        self._height, self._width = size
        # Row by row; what is not there is 255, which comes last.
        self._all = np.full((self._height, keep, 3 * self._width), 255, np.uint8)
        self._visible = np.empty_like(self._all)
        self._spare = np.empty((_ROWS, keep, 3 * self._width), np.uint8)
        # Where nothing was ever hidden both are the same, and one of them is not filled.
        self._differ = np.zeros(self._height, bool)
        self._count = 0
        # Frames in which a pixel was hidden, steps from one to the next at which it changed sides, and last
        # frames in a row in which it was hidden.
        self._covered, self._changes, self._streak = (np.zeros(size, np.uint8) for _ in range(3))
        # Rows that must be sorted anew, because not only a frame was added to their past.
        self.stale = np.ones(self._height, bool)

    def update(
        self, frames: Sequence[UInt8Array], hidden: Sequence[BoolArray], first: int, last: int
    ) -> None:
        """Bring some rows up to date after a frame was added."""
        self._count, rows = len(frames), slice(first, last)
        if self.stale[rows].any():
            self._sort(frames, hidden, first, last)
            self._covered[rows], self._changes[rows], self._streak[rows] = 0, 0, 0
            fresh = len(frames)
        else:
            self._insert(frames[-1], hidden[-1], first, last)
            fresh = 1
        for i in range(len(frames) - fresh, len(frames)):
            self._covered[rows] += hidden[i][rows]
            self._streak[rows] = (self._streak[rows] + np.uint8(1)) * hidden[i][rows]
            if i:
                self._changes[rows] += hidden[i][rows] ^ hidden[i - 1][rows]
        self.stale[rows] = False

    def _sort(self, frames: Sequence[UInt8Array], hidden: Sequence[BoolArray], first: int, last: int) -> None:
        for start in range(first, last, _SORTED_ROWS):
            part = slice(start, min(start + _SORTED_ROWS, last))
            values = [self._rows(frame, part) for frame in frames]
            if any(mask[part].any() for mask in hidden):
                lifted = [_lifted(one, mask[part]) for one, mask in zip(values, hidden, strict=True)]
                self._fill(self._visible[part], lifted)
                self._differ[part] = True
            else:
                self._differ[part] = False
            self._fill(self._all[part], values)

    def _insert(self, frame: UInt8Array, hidden: BoolArray, first: int, last: int) -> None:
        for start in range(first, last, _ROWS):
            part = slice(start, min(start + _ROWS, last))
            values, covered = self._rows(frame, part), hidden[part]
            if covered.any():
                fresh = start + np.flatnonzero(~self._differ[part])
                self._visible[fresh] = self._all[fresh]
                self._differ[part] = True
            if self._differ[part].any():
                self._sort_in(self._visible[part], _lifted(values, covered))
            self._sort_in(self._all[part], values)

    def planes(self, least: int, first: int, out: UInt8Array) -> None:
        """Write what the past tells of the rows from ``first`` on to ``out``, (21, h, W)."""
        count, height = self._count, out.shape[1]
        rows = slice(first, first + height)
        covered, changes = self._covered[rows], self._changes[rows]
        for i, rank in enumerate(ranks(count)):
            found = self._all[rows, rank].reshape(height, 3, self._width).transpose(1, 0, 2)
            out[9 + 3 * i : 12 + 3 * i] = found
            out[3 * i : 3 * i + 3] = out[9 + 3 * i : 12 + 3 * i]
        shown = np.uint8(count) - covered
        partly = (covered > 0) & ~too_few(shown, count, least)
        if count >= RESTLESS_FROM:
            flickers = (changes >= -(-count // RESTLESS)) & (covered >= -(-count // 3))
            partly &= ~flickers | (self._streak[rows] >= LATELY)
        pixels = np.flatnonzero(partly)
        if len(pixels):
            row, column = np.divmod(pixels, self._width)
            keep, step = self._visible.shape[1], 3 * self._width
            begins, values = (first + row) * (keep * step) + column, self._visible.reshape(-1)
            for i, rank in enumerate(ranks(shown.reshape(-1)[pixels].astype(np.intp))):
                places = begins + rank * step
                for channel in range(3):
                    plane = out[3 * i + channel].reshape(-1)  # a view: the rows of a plane lie in one piece
                    plane[pixels] = values.take(places + channel * self._width)
        shares = np.arange(256) * 255
        out[18] = (shares // count).astype(np.uint8)[covered]
        out[19] = (shares // max(1, count - 1)).astype(np.uint8)[changes]
        out[20] = min(255, 7 * count)

    def _rows(self, frame: UInt8Array, part: slice) -> UInt8Array:
        """A copy of rows of a planar frame, (h, 3 W)."""
        return np.array(frame[:, part].transpose(1, 0, 2), order="C").reshape(-1, 3 * self._width)

    def _sort_in(self, stack: UInt8Array, values: UInt8Array) -> None:
        """Put values (h, 3 W) of the last frame into their places in sorted rows, (h, keep, 3 W)."""
        # What is smaller stays, the value comes after it, and the rest moves on by one.
        count, moved = self._count, self._spare[: len(values), : self._count]
        moved[:, 0] = values
        np.maximum(stack[:, : count - 1], values[:, None], out=moved[:, 1:])
        np.minimum(stack[:, :count], moved, out=stack[:, :count])

    def _fill(self, stack: UInt8Array, values: list[UInt8Array]) -> None:
        for place, wire in enumerate(_ordered(values)):
            stack[:, place] = wire
        stack[:, len(values) :] = 255


def scene_planes(frames: UInt8Array, hidden: BoolArray, least: int) -> UInt8Array:
    """Temporal statistics (21, H, W) of frames (n, 3, H, W); see :meth:`TemporalQuantileBuffer.planes`.

    ``hidden``, (n, H, W), is where something was in front of the background.
    """
    count, height, width = hidden.shape
    past, planes = TemporalQuantileBuffer((height, width), count), np.empty((PLANES, height, width), np.uint8)
    past.update(list(frames), list(hidden), 0, height)
    past.planes(least, 0, planes)
    return planes


def ranks(count: Any) -> tuple[Any, Any, Any]:
    """Places of the low quantile, the median and the high quantile among ``count`` values in order."""
    low = (count - 1) // round(1 / LOW)
    return low, count // 2, count - 1 - low


def too_few(visible: npt.NDArray[np.integer], frames: int, least: int) -> BoolArray:
    """Mask (H, W) of pixels that were background in too few of ``frames`` kept frames."""
    return np.asarray(visible < (least if frames >= DOUBT_FROM else 1))


def _lifted(values: UInt8Array, covered: BoolArray) -> UInt8Array:
    """Values (h, 3 W) with 255, which comes last, where something was in front, (h, W)."""
    height, width = covered.shape
    hidden = (covered.view(np.uint8) * np.uint8(255))[:, None]
    return np.asarray(np.maximum(values.reshape(height, 3, width), hidden).reshape(height, -1))


def median_of(arrays: Sequence[npt.NDArray[Level]]) -> npt.NDArray[Level]:
    """Median of arrays of one shape, (H, W) or (H, W, C); of an even number the mean of the middle two."""
    wires, middle = _ordered([each.copy() for each in arrays]), len(arrays) // 2
    if len(wires) % 2:
        return wires[middle]
    return np.asarray((wires[middle - 1] + wires[middle]) / 2, wires[0].dtype)


def _ordered(wires: list[npt.NDArray[Level]]) -> list[npt.NDArray[Level]]:
    """Arrays of one shape, which are used up, in ascending order at each place, by minima and maxima."""
    spare = np.empty_like(wires[0])
    for low, high in _comparators(len(wires)):
        np.minimum(wires[low], wires[high], out=spare)
        np.maximum(wires[low], wires[high], out=wires[high])
        wires[low], spare = spare, wires[low]
    return wires


@lru_cache(maxsize=300)
def _comparators(count: int) -> tuple[tuple[int, int], ...]:
    """Batcher's odd-even merge sort (1968): pairs of places to be put in order, one after the other."""
    found, span = [], 1
    while span < count:
        step = span
        while step:
            for start in range(step % span, count - step, 2 * step):
                for i in range(start, min(start + step, count - step)):
                    if i // (2 * span) == (i + step) // (2 * span):
                        found.append((i, i + step))
            step //= 2
        span *= 2
    return tuple(found)
