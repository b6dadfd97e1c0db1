"""Dynamic background: what appears again and again at one place and never goes away from it is the scene.

Objects travel: they go further than they are large, or split off one that did. A branch that sways and a
reflection that comes back do not. Pieces of the mask are followed from frame to frame. Where pieces without
travel have come and gone several times, new ones are held back until they travel. What stands still for long
has travelled before, or comes once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from segue.masks.pieces import Pieces
from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.camera.changes import Change
from segue.sessions.foreground.stages.base import Stage, WorkFrame
from segue.state import checkpointed
from segue.utils.arrays import BoolArray, Float32Array

CELL = 4  # pixels of the side of a place
TIMES = 3.0  # how often pieces without travel must have left a place for it to be the scene
SHARE = 0.6  # of a piece that must lie at such places to be held back
FADE = 600  # frames after which what has happened at a place counts for a third
TRAVELLED = 1.0  # of its own size that the middle of a piece goes, to have travelled
ALIKE = 0.2  # of the smaller of two pieces that they must share, to be one from frame to frame
COUNT_EVERY = 50  # frames after which what a piece without travel has left is counted, while it is there

_NEAR = np.ones((5, 5), np.uint8)


@dataclass(slots=True, eq=False)
class Piece:
    """A piece of the mask on the last frame, and its past.

    Attributes:
        begin: middle (x, y) at which it was first seen, in pixels.
        size: length of the diagonal of its box, the largest so far.
        covers: places that it covers, (h / 4, w / 4).
        left: how often it has left each place, (h / 4, w / 4).
        age: frames since what it has left was counted.
        travelled: it has gone further than its size, or comes from one that did.
    """

    begin: tuple[float, float]
    size: float
    covers: BoolArray
    left: Float32Array
    age: int = 0
    travelled: bool = field(default=False)

    def __post_init__(self) -> None:
        self.covers = self.covers.astype(bool)


class DynamicBackground(Stage):
    """Holds back pieces of the mask at places where pieces come again and again and never go away."""

    name = "dynamic"
    _left: Float32Array | None = checkpointed(None)  # how often pieces without travel have left each place
    _before: npt.NDArray[np.int32] | None = checkpointed(None)  # numbers of the pieces on the last frame
    _pieces: list[Piece] = checkpointed(list)  # the first has number 1
    state_types = (Piece,)

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self._threshold = threshold

    def reset(self, event: Change) -> None:
        if event.is_scene:
            self.restart()
        else:
            self._before, self._pieces = None, []

    def after_segment(self, frame: WorkFrame, background: Background) -> None:
        if frame.pans:
            self.restart()
            return
        found = frame.foreground >= self._threshold
        size = -(-found.shape[0] // CELL), -(-found.shape[1] // CELL)
        if self._left is None or self._left.shape != size:
            self._left = np.zeros(size, np.float32)
        self._left *= np.float32(np.exp(-1 / FADE))
        pieces = Pieces.of(cv2.dilate(found.view(np.uint8), _NEAR) > 0)
        if not len(pieces) and not self._pieces:
            return
        self._follow(pieces, size)
        scene = self._left >= TIMES
        held = np.zeros(len(pieces) + 1, np.bool_)
        for number, piece in enumerate(self._pieces, start=1):
            area = np.count_nonzero(piece.covers)
            held[number] = not piece.travelled and np.count_nonzero(piece.covers & scene) > SHARE * area
        if held.any():
            frame.foreground = np.where(pieces.where(held), np.float32(0), frame.foreground)

    def _follow(self, pieces: Pieces, size: tuple[int, int]) -> None:
        """Take the pieces of a frame as those of the frame before, or as new ones."""
        assert self._left is not None
        numbers = np.zeros(pieces.size, np.int32)
        numbers[pieces.window] = pieces.labels
        now = [self._new(pieces, number, numbers, size) for number in range(1, len(pieces) + 1)]
        shared = self._shared(numbers, len(now))
        gone = [True] * len(self._pieces)
        for number, piece in enumerate(now):
            for earlier in np.flatnonzero(shared[number]):
                gone[earlier] = False
                piece.travelled |= self._pieces[earlier].travelled
            if shared[number].any():
                self._go_on(piece, self._pieces[int(shared[number].argmax())])
        for piece, is_gone in zip(self._pieces, gone, strict=True):
            if is_gone and not piece.travelled:
                self._left += piece.left + piece.covers
        self._before, self._pieces = numbers, now

    def _new(
        self, pieces: Pieces, number: int, numbers: npt.NDArray[np.int32], size: tuple[int, int]
    ) -> Piece:
        left, top, width, height = (int(side) for side in pieces.boxes[number])
        top, left = top + pieces.window[0].start, left + pieces.window[1].start
        rows = slice(top // CELL * CELL, top + height)
        columns = slice(left // CELL * CELL, left + width)
        inside = (numbers[rows, columns] == number).view(np.uint8)
        covers = np.zeros(size, np.bool_)
        parts = (rows.start // CELL, -(-rows.stop // CELL)), (columns.start // CELL, -(-columns.stop // CELL))
        grid = cv2.copyMakeBorder(
            inside, 0, -inside.shape[0] % CELL, 0, -inside.shape[1] % CELL, cv2.BORDER_CONSTANT, value=0
        )
        shape = grid.shape[0] // CELL, CELL, grid.shape[1] // CELL, CELL
        covers[slice(*parts[0]), slice(*parts[1])] = grid.reshape(shape).any(axis=(1, 3))
        middle = left + width / 2, top + height / 2
        return Piece(middle, float(np.hypot(width, height)), covers, np.zeros(size, np.float32))

    def _shared(self, numbers: npt.NDArray[np.int32], count: int) -> npt.NDArray[np.intp]:
        """Pixels that each piece (n) shares with each one of the frame before (m), 0 for few, (n, m)."""
        before = len(self._pieces)
        if self._before is None or self._before.shape != numbers.shape or not count or not before:
            return np.zeros((count, before), np.intp)
        both = (numbers > 0) & (self._before > 0)
        pairs = (numbers[both] - 1) * before + (self._before[both] - 1)
        shared = np.bincount(pairs, minlength=count * before).reshape(count, before)
        areas = np.bincount(numbers.ravel(), minlength=count + 1)[1:, None]
        earlier = np.bincount(self._before.ravel(), minlength=before + 1)[None, 1:]
        return np.where(shared >= ALIKE * np.minimum(areas, earlier), shared, 0)

    def _go_on(self, piece: Piece, before: Piece) -> None:
        """A piece is the one of the frame before."""
        assert self._left is not None
        x, y = piece.begin
        piece.size, piece.begin = max(piece.size, before.size), before.begin
        way = np.hypot(x - before.begin[0], y - before.begin[1])
        piece.travelled |= bool(way > TRAVELLED * piece.size)
        piece.left, piece.age = before.left + (before.covers & ~piece.covers), before.age + 1
        if piece.age >= COUNT_EVERY and not piece.travelled:
            self._left += piece.left
            piece.left, piece.age = np.zeros_like(piece.left), 0
