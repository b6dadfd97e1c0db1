"""Segment small pieces of foreground once more, enlarged, because a network sees large objects better."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import BoolArray, UInt8Array
from segue.sessions.base import Checkpointable, checkpointed

TWICE = 2  # by which the parts that are looked at again are enlarged
FAINT = 0.05  # probability of foreground from which on there may be a piece
SMALL = 0.125  # share of the picture's shorter side up to which the longer side of a piece is small
GROW = 9  # pixels, side of the square by which a piece is grown: its own outline is uncertain, and it moves
LASTS = 3  # frames before on which there was a piece: insects and drops are elsewhere on the next frame
SHARE = 0.1  # of the picture that is looked at again on one frame, at most: less than half a first look
BORDER = 8  # pixels around a piece that are shown with it; the outer half does not count: it lacks the rest
MULTIPLE = 8  # pixels, of which the side of a window is a multiple, so that it fits the network when enlarged
HOLDS = 8  # frames for which a look counts
NEVER = 255  # age, in frames, of what has not been looked at

_SQUARE = np.ones((GROW, GROW), np.uint8)

Part = tuple[slice, slice]
"""Rows and columns of a picture."""

Box = tuple[int, int, int, int]
"""First and last row, first and last column of a picture, the last ones excluded."""

Look = Callable[[list[Box]], npt.NDArray[np.float32]]
"""Gives the probabilities (N, C, 2 h, 2 w) of N parts of a picture of one size, enlarged by :data:`TWICE`."""


class SecondLook(Checkpointable):
    """Gives small pieces that last the mean of two looks.

    A piece has lasted if there has been foreground, or what may be foreground, within a few pixels of it on
    each of the last frames. Small things far away are slow in the picture; insects, drops and noise are
    elsewhere on the next frame.

    Square windows are looked at, never more than :data:`SHARE` of the picture on one frame, but one at least.
    Pieces have their turns, what was looked at longest ago first; what was seen counts until the next turn.
    """

    _streak: UInt8Array | None = checkpointed()
    _near: npt.NDArray[np.float32] | None = checkpointed()
    _age: UInt8Array | None = checkpointed()

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget all frames."""
        self._streak = self._near = self._age = None

    def combine(self, maps: npt.NDArray[np.float32], look: Look) -> npt.NDArray[np.float32]:
        """Take the first look at the next frame.

        Args:
            maps: its probabilities, (C, h, w), float32 in [0, 1], foreground first.
            look: looks at parts of the frame again.

        Returns:
            (C, h, w), float32: means of two looks where small pieces last, else the first look; the same
            array where nothing is small.
        """
        faint = maps[0] >= FAINT
        where, boxes = small_pieces(faint, self._lasting(faint))
        if not boxes:
            self._near = self._age = None
            return maps
        if self._near is None or self._age is None:
            self._near, self._age = maps.copy(), np.full(faint.shape, NEVER, np.uint8)
        else:
            self._age = np.where(self._age < NEVER, self._age + 1, NEVER).astype(np.uint8)
        ages = [float(self._age[part_of(box)].mean()) for box in boxes]
        windows = windows_around([boxes[i] for i in np.argsort(ages, kind="stable")[::-1]], faint.shape)
        for window, found in zip(windows, look(windows), strict=True):
            size = window[3] - window[2], window[1] - window[0]
            near = np.stack([cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in found])
            inner = _inner(window, faint.shape, BORDER // 2)
            rows, columns = part_of(inner)
            top, left = inner[0] - window[0], inner[2] - window[2]
            height, width = inner[1] - inner[0], inner[3] - inner[2]
            self._near[:, rows, columns] = near[:, top : top + height, left : left + width]
            self._age[rows, columns] = 0
        return np.where(where & (self._age <= HOLDS), (self._near + maps) / 2, maps)

    def _lasting(self, faint: BoolArray) -> BoolArray:
        """Where there was a piece on each of the last frames, and is one now, (h, w)."""
        before = np.zeros(faint.shape, np.uint8) if self._streak is None else self._streak
        nearby = cv2.dilate(before, _SQUARE)
        self._streak = np.where(faint, np.minimum(nearby, LASTS) + 1, 0).astype(np.uint8)
        return np.asarray(self._streak > LASTS)


def small_pieces(faint: BoolArray, lasting: BoolArray) -> tuple[BoolArray, list[Box]]:
    """Where there are small pieces, a part of which lasts, grown by a border."""
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(faint.view(np.uint8), connectivity=8)
    longer = stats[:, cv2.CC_STAT_WIDTH : cv2.CC_STAT_HEIGHT + 1].max(axis=1)
    small = (longer <= SMALL * min(faint.shape)) & (np.bincount(pieces[lasting], minlength=count) > 0)
    small[0] = False  # what is no piece
    grown = cv2.dilate(small[pieces].view(np.uint8), _SQUARE) > 0
    boxes = [(y, y + height, x, x + width) for x, y, width, height, _ in stats[small].tolist()]
    return np.asarray(grown & (small[pieces] | ~faint)), boxes


def windows_around(boxes: Sequence[Box], size: tuple[int, ...]) -> list[Box]:
    """Square windows that show small pieces with what is around them, as many as :data:`SHARE` allows."""
    height, width = size
    side = MULTIPLE * math.ceil((SMALL * min(size) + 2 * BORDER) / MULTIPLE)
    high, wide = min(side, height), min(side, width)
    most = max(1, int(SHARE * height * width / (high * wide)))
    windows: list[Box] = []
    for box in boxes:
        if len(windows) == most:
            break
        if any(_contains(_inner(window, size, BORDER), box) for window in windows):
            continue
        top = min(max(0, (box[0] + box[1] - high) // 2), height - high)
        left = min(max(0, (box[2] + box[3] - wide) // 2), width - wide)
        windows.append((top, top + high, left, left + wide))
    return windows


def _inner(window: Box, size: tuple[int, ...], border: int) -> Box:
    """A window without its border, which is kept where the picture ends there."""
    (height, width), (top, bottom, left, right) = size, window
    return (
        top + border * (top > 0),
        bottom - border * (bottom < height),
        left + border * (left > 0),
        right - border * (right < width),
    )


def _contains(outer: Box, inner: Box) -> bool:
    rows = outer[0] <= inner[0] and inner[1] <= outer[1]
    return rows and outer[2] <= inner[2] and inner[3] <= outer[3]


def part_of(box: Box) -> Part:
    """Rows and columns of a box."""
    return slice(box[0], box[1]), slice(box[2], box[3])


def enlarged(picture: UInt8Array, box: Box) -> UInt8Array:
    """A part of a picture or plane, enlarged by :data:`TWICE`."""
    part = picture[part_of(box)]
    return np.asarray(cv2.resize(part, None, fx=TWICE, fy=TWICE, interpolation=cv2.INTER_CUBIC), np.uint8)
