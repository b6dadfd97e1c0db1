"""Segment small pieces of foreground once more, enlarged, because a network sees large objects better."""

from __future__ import annotations

from collections.abc import Callable

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
CELL = 16  # pixels; what is looked at again consists of squares of this side, so that boxes seldom change

_SQUARE = np.ones((GROW, GROW), np.uint8)

Part = tuple[slice, slice]
"""Rows and columns of a picture."""

Box = tuple[int, int, int, int]
"""First and last row, first and last column of a picture, the last ones excluded."""


class SecondLook(Checkpointable):
    """Gives small pieces that last the mean of two looks.

    A piece has lasted if there has been foreground, or what may be foreground, within a few pixels of it on
    each of the last frames. Small things far away are slow in the picture; insects, drops and noise are
    elsewhere on the next frame.
    """

    _streak: UInt8Array | None = checkpointed()

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget all frames."""
        self._streak = None

    def combine(
        self, maps: npt.NDArray[np.float32], look: Callable[[Box], npt.NDArray[np.float32]]
    ) -> npt.NDArray[np.float32]:
        """Take the first look at the next frame.

        Args:
            maps: its probabilities, (C, h, w), float32 in [0, 1], foreground first.
            look: gives the probabilities of a part of the picture that is enlarged by :data:`TWICE`,
                (C, 2 h', 2 w'), for its box.

        Returns:
            (C, h, w), float32: means of two looks where small pieces last, else the first look; the same
            array where nothing is small.
        """
        faint = maps[0] >= FAINT
        where = small_pieces(faint, self._lasting(faint))
        boxes = boxes_around(where)
        if not boxes:
            return maps
        result: npt.NDArray[np.float32] = maps.copy()
        for box in boxes:
            rows, columns = part_of(box)
            size = box[3] - box[2], box[1] - box[0]
            near = [cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in look(box)]
            first = maps[:, rows, columns]
            result[:, rows, columns] = np.where(where[rows, columns], (np.stack(near) + first) / 2, first)
        return result

    def _lasting(self, faint: BoolArray) -> BoolArray:
        """Where there was a piece on each of the last frames, and is one now, (h, w)."""
        before = np.zeros(faint.shape, np.uint8) if self._streak is None else self._streak
        nearby = cv2.dilate(before, _SQUARE)
        self._streak = np.where(faint, np.minimum(nearby, LASTS) + 1, 0).astype(np.uint8)
        return np.asarray(self._streak > LASTS)


def small_pieces(faint: BoolArray, lasting: BoolArray) -> BoolArray:
    """Where there are small pieces, a part of which lasts, grown by a border.

    Args:
        faint: where there may be foreground, (h, w), bool.
        lasting: which of it has lasted, (h, w), bool.

    Returns:
        (h, w), bool; nothing of other pieces.
    """
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(faint.view(np.uint8), connectivity=8)
    longer = stats[:, cv2.CC_STAT_WIDTH : cv2.CC_STAT_HEIGHT + 1].max(axis=1)
    small = (longer <= SMALL * min(faint.shape)) & (np.bincount(pieces[lasting], minlength=count) > 0)
    small[0] = False  # what is no piece
    grown = cv2.dilate(small[pieces].view(np.uint8), _SQUARE) > 0
    return np.asarray(grown & (small[pieces] | ~faint))


def boxes_around(where: BoolArray) -> list[Box]:
    """Boxes of whole cells, :data:`CELL`, that hold some pixels and the cells around these.

    Args:
        where: (h, w), bool.

    Returns:
        A box for each group of cells that touch; none reaches beyond the picture.
    """
    height, width = where.shape
    rows, columns = -(-height // CELL), -(-width // CELL)
    cells = np.zeros((rows, columns), np.uint8)
    y, x = where.nonzero()
    cells[y // CELL, x // CELL] = 1
    cells = np.asarray(cv2.dilate(cells, np.ones((3, 3), np.uint8)), np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(cells, connectivity=8)
    found = []
    for left, top, across, down, _ in (CELL * stats[1:count]).tolist():
        found.append((top, min(top + down, height), left, min(left + across, width)))
    return found


def part_of(box: Box) -> Part:
    """Rows and columns of a box.

    Args:
        box: see :data:`Box`.

    Returns:
        Two slices.
    """
    return slice(box[0], box[1]), slice(box[2], box[3])


def enlarged(picture: UInt8Array, box: Box) -> UInt8Array:
    """A part of a picture or plane, enlarged by :data:`TWICE`.

    Args:
        picture: (H, W) or (H, W, 3), uint8.
        box: the part.

    Returns:
        (2 h, 2 w) or (2 h, 2 w, 3), uint8.
    """
    part = picture[part_of(box)]
    return np.asarray(cv2.resize(part, None, fx=TWICE, fy=TWICE, interpolation=cv2.INTER_CUBIC), np.uint8)
