"""Pieces of foreground: found in each frame, and the same id for the same piece through time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.masks.files import MAX_ID
from segue.sessions.snapshot import Kept
from segue.types import Box, ObjectInfo

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.uint16]

PATIENCE_SECONDS = 1.0  # an object that is out of sight for longer has left
PATIENCE_FROM = 3  # an object that was seen on fewer frames is not waited for
REACH = 1.0  # a lost object may come back this many times its own size away from where it was


@dataclass(slots=True)
class _Track:
    """An object that is followed: where and when it was last, on how many frames, and whether it still is."""

    box: Box
    seen: float
    frames: int = 1
    visible: bool = True


def without_small(mask: Mask, min_area: int) -> Mask:
    """A mask, (H, W), without the connected pieces that have fewer than ``min_area`` pixels."""
    if min_area <= 1 or not mask.any():
        return mask
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= min_area
    large[0] = False
    return np.asarray(large[labels])


class ComponentTracker(Kept):
    """Gives every connected piece of foreground an id that stays the same.

    A piece takes the id of the object that it overlaps most with in the frame before, and an object passes
    its id to the piece that overlaps it most. A piece without an id takes that of the nearest object that
    has been out of sight for a second at most; else it is a new object. Ids are given in order and begin
    again at 1 after 65535.
    """

    kept = "_before _tracks _next"
    kinds = (_Track,)

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget all objects; their ids are not given again."""
        self._before: Labels | None = None
        self._tracks: dict[int, _Track] = {}
        self._next = getattr(self, "_next", 1)

    def reset(self) -> None:
        self.restart()
        self._next = 1

    def update(
        self, mask: Mask, time: float, probability: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[Any], tuple[ObjectInfo, ...]]:
        """Take the foreground of the next frame, (H, W), its time in seconds, and its probability, (H, W).

        Returns:
            Index mask (H, W), uint8 or uint16, and the objects that are followed.
        """
        count, labelled, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
        pieces = np.asarray(labelled, np.int32)
        boxes = [_box(row) for row in stats]
        for track in self._tracks.values():
            track.visible = False
        names = self._inherit(pieces, count)
        self._forget(time)
        self._recognise(names, boxes)
        for piece in range(1, count):
            names[piece] = names[piece] or self._new_id()
            known = self._tracks.get(names[piece])
            self._tracks[names[piece]] = _Track(boxes[piece], time, 1 if known is None else known.frames + 1)
        self._before = labels = np.asarray(names, np.uint16)[pieces]
        totals = np.bincount(pieces.ravel(), probability.ravel(), minlength=count)
        areas = stats[:, cv2.CC_STAT_AREA]
        found = {names[i]: (float(totals[i] / areas[i]), boxes[i], int(areas[i])) for i in range(1, count)}
        objects = tuple(
            ObjectInfo(number, None, *found[number]) if number in found else ObjectInfo(number, score=0.0)
            for number in sorted(self._tracks)
        )
        return (labels.astype(np.uint8) if max(names) < 256 else labels), objects

    def _inherit(self, pieces: npt.NDArray[np.int32], count: int) -> list[int]:
        """Id of each piece from the frame before, 0 where it overlaps nothing there."""
        names = [0] * count
        before = self._before
        if before is None or before.shape != pieces.shape or count == 1:
            return names
        both = (before > 0) & (pieces > 0)
        pairs = before[both].astype(np.int64) * count + pieces[both]
        values, overlaps = np.unique(pairs, return_counts=True)
        for place in np.argsort(-overlaps, kind="stable"):
            number, piece = divmod(int(values[place]), count)
            if not names[piece] and not self._tracks[number].visible:
                names[piece] = number
                self._tracks[number].visible = True
        return names

    def _forget(self, time: float) -> None:
        for number, track in list(self._tracks.items()):
            gone = track.frames < PATIENCE_FROM or abs(time - track.seen) > PATIENCE_SECONDS
            if gone and not track.visible:
                del self._tracks[number]

    def _recognise(self, names: list[int], boxes: list[Box]) -> None:
        """Give pieces without an id those of lost objects near them, the nearest pair first."""
        lost = {number: track.box for number, track in self._tracks.items() if not track.visible}
        nameless = [piece for piece in range(1, len(names)) if not names[piece]]
        if not lost or not nameless:
            return
        numbers = list(lost)
        distances = _distances(list(lost.values()), [boxes[piece] for piece in nameless])
        rows, columns = np.nonzero(distances < REACH)
        for place in np.argsort(distances[rows, columns], kind="stable"):
            number, piece = numbers[rows[place]], nameless[columns[place]]
            if not names[piece] and number in lost:
                names[piece] = number
                del lost[number]

    def _new_id(self) -> int:
        while self._next in self._tracks:
            self._next = self._next % MAX_ID + 1
        number, self._next = self._next, self._next % MAX_ID + 1
        return number


def _box(row: npt.NDArray[np.int32]) -> Box:
    left, top, width, height = (float(value) for value in row[:4])
    return left, top, left + width, top + height


def _distances(ones: list[Box], others: list[Box]) -> npt.NDArray[np.float64]:
    """Distances of the centres of boxes, each measured in the longest side of its two boxes, (n, m)."""
    first, second = np.array(ones)[:, None], np.array(others)[None]
    centres = (first[..., :2] + first[..., 2:] - second[..., :2] - second[..., 2:]) / 2
    sides = [(boxes[..., 2:] - boxes[..., :2]).max(axis=2) for boxes in (first, second)]
    return np.asarray(np.hypot(centres[..., 0], centres[..., 1]) / np.maximum(*sides))
