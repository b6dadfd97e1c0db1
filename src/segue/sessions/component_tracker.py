"""Moving objects: the pieces of a foreground mask keep their ids from frame to frame."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import BoolArray
from segue.masks import measure
from segue.sessions.association import next_id
from segue.sessions.base import Checkpointable, checkpointed
from segue.types import Box, ObjectInfo

PATIENCE_SECONDS = 1.0  # an object that is out of sight for longer has left
CONFIRMED = 3  # frames in a row on which an object is seen before it gets an id, and is waited for
ABSORBED = 0.25  # what has less than this share of another object's area is taken in by it where they meet
APART = 0.25  # pieces belong together up to a gap of this share of the largest one's longer side
SMOOTH = 0.6  # share of the former speed of an object in the new one
REACH = 1.0  # a lost object may come back this many times its own size away from where it was

Labels = npt.NDArray[np.uint16]
Overlaps = list[tuple[int, int, int]]
"""Ids, pieces, and in how many pixels they overlap, the largest overlap first."""


@dataclass(slots=True)
class _Track:
    """An object that is followed: where and when it was last, on how many frames, and whether it still is."""

    box: Box
    seen: float
    id: int = 0  # that results show; 0 until it is confirmed
    frames: int = 1
    visible: bool = True
    speed: tuple[float, float] = (0.0, 0.0)  # pixels a frame, to the right and down
    shown: Box | None = None  # box of its pixels, where only a part of it differs from others


class ComponentTracker(Checkpointable):
    """Gives every moving object a stable id."""

    _before: Labels | None = checkpointed()
    _tracks: dict[int, _Track] = checkpointed()
    _last_id: int = checkpointed()
    state_types = (_Track,)

    def __init__(self, confirmed: int = CONFIRMED) -> None:
        self._confirmed = confirmed
        self.reset()

    def reset(self) -> None:
        self.restart()
        self._last_id = 0

    def restart(self) -> None:
        """Forget all objects; their ids are not given again."""
        self._before = None
        self._tracks = {}

    def update(
        self, mask: BoolArray, time: float, probability: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[Any], tuple[ObjectInfo, ...]]:
        """Index mask (H, W) and objects of the foreground (H, W) of the next frame."""
        count, labelled = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
        pieces = np.asarray(labelled, np.int32)
        for track in self._tracks.values():
            track.visible = False
        expected = self._expected(mask.shape)
        overlaps = _overlaps(expected, pieces, count)
        count, shared = self._divide(pieces, count, expected, overlaps)
        overlaps = _overlaps(expected, pieces, count)
        names = self._inherit(overlaps, count)
        extents = measure(pieces)
        boxes = [extents[piece].box if piece else (0.0, 0.0, 0.0, 0.0) for piece in range(count)]
        areas = [extents[piece].area if piece else 0 for piece in range(count)]
        self._gather(names, boxes, areas, overlaps)
        self._forget(time)
        self._recognise(names, boxes)
        free = (number for number in itertools.count(1) if number not in self._tracks)
        for piece in range(1, count):
            names[piece] = names[piece] or next(free)
        self._before = tracked = np.asarray(names, np.uint16)[pieces]
        ids = np.zeros(max(*names, *self._tracks, 1) + 1, np.uint16)
        found = {}
        totals = np.bincount(tracked.ravel(), probability.ravel())
        for number, extent in measure(tracked).items():
            self._move(number, extent.box, time, shared=number in shared)
            ids[number] = self._tracks[number].id
            found[number] = float(totals[number] / extent.area), extent.box, extent.area
        objects = sorted(
            (
                ObjectInfo(track.id, None, *found[number])
                if number in found
                else ObjectInfo(track.id, score=0.0)
                for number, track in self._tracks.items()
                if track.id
            ),
            key=lambda item: item.id,
        )
        labels = ids[tracked]
        return (labels.astype(np.uint8) if ids.max() < 256 else labels), tuple(objects)

    def _expected(self, size: tuple[int, ...]) -> Labels | None:
        """The objects of the frame before, each where it should be now; None if there are none."""
        before = self._before
        if before is None or before.shape != size:
            return None
        moves = {
            number: (round(track.speed[1]), round(track.speed[0]))
            for number, track in self._tracks.items()
            if track.frames >= CONFIRMED and (round(track.speed[0]) or round(track.speed[1]))
        }
        if not moves:
            return before
        expected = np.where(np.isin(before, list(moves)), 0, before).astype(np.uint16)
        height, width = before.shape
        for number, (down, right) in moves.items():
            track = self._tracks[number]
            x0, y0, x1, y1 = (int(value) for value in track.shown or track.box)
            rows, columns = (before[y0:y1, x0:x1] == number).nonzero()
            rows, columns = rows + y0 + down, columns + x0 + right
            shown = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
            expected[rows[shown], columns[shown]] = number
        return expected

    def _divide(
        self, pieces: npt.NDArray[np.int32], count: int, expected: Labels | None, overlaps: Overlaps
    ) -> tuple[int, set[int]]:
        """Divide pieces in which objects have met, in place."""
        shared: set[int] = set()
        areas: dict[int, int] = {}
        for number, _, overlap in overlaps:
            areas[number] = areas.get(number, 0) + overlap
        inside: dict[int, list[int]] = {}
        for number, piece, overlap in overlaps:
            track = self._tracks[number]
            if track.frames >= CONFIRMED and overlap > areas[number] / 2:
                inside.setdefault(piece, []).append(number)
        for piece, numbers in inside.items():
            largest = max(areas[number] for number in numbers)
            numbers = [number for number in numbers if areas[number] >= ABSORBED * largest]
            if len(numbers) < 2:
                continue
            assert expected is not None
            shared.update(numbers)
            rows, columns = (pieces == piece).nonzero()
            part = (
                slice(int(rows.min()), int(rows.max()) + 1),
                slice(int(columns.min()), int(columns.max()) + 1),
            )
            own = pieces[part] == piece
            distances = [
                cv2.distanceTransform(((expected[part] != number) | ~own).view(np.uint8), cv2.DIST_L2, 3)
                for number in numbers
            ]
            nearest = np.argmin(distances, axis=0)
            for place in range(1, len(numbers)):
                share = own & (nearest == place)
                if share.any():
                    pieces[part][share] = count
                    count += 1
        return count, shared

    def _inherit(self, overlaps: Overlaps, count: int) -> list[int]:
        """Id of each piece from the frame before, 0 where it overlaps nothing there."""
        names = [0] * count
        for number, piece, _ in overlaps:
            if not names[piece] and not self._tracks[number].visible:
                names[piece] = number
                self._tracks[number].visible = True
        return names

    def _gather(self, names: list[int], boxes: list[Box], areas: list[int], overlaps: Overlaps) -> None:
        """Give pieces of an object its id that lie where it should be, close to its largest piece."""
        largest = {name: piece for piece, name in enumerate(names) if name}
        for number, piece, overlap in overlaps:
            if names[piece] or number not in largest or overlap < areas[piece] / 2:
                continue
            main = boxes[largest[number]]
            if _gap(main, boxes[piece]) <= APART * max(main[2] - main[0], main[3] - main[1]):
                names[piece] = number

    def _move(self, number: int, box: Box, time: float, *, shared: bool) -> None:
        """An object is seen in a box, now; what it shares with others tells only that it is there."""
        known = self._tracks.get(number)
        if known is None:
            known = _Track(box, time, frames=0)
        if not known.id and known.frames + 1 >= self._confirmed:
            self._last_id = next_id(self._last_id, {track.id for track in self._tracks.values()})
            known.id = self._last_id
        speed, shown = known.speed, None
        if shared:
            (right, down), (x0, y0, x1, y1) = speed, known.box
            box, shown = (x0 + right, y0 + down, x1 + right, y1 + down), box
        elif known.visible and known.frames:
            step = [(box[i] + box[i + 2] - known.box[i] - known.box[i + 2]) / 2 for i in (0, 1)]
            right, down = (SMOOTH * old + (1 - SMOOTH) * new for old, new in zip(speed, step, strict=True))
            speed = right, down
        self._tracks[number] = _Track(box, time, known.id, known.frames + 1, True, speed, shown)

    def _forget(self, time: float) -> None:
        for number, track in list(self._tracks.items()):
            gone = track.frames < CONFIRMED or abs(time - track.seen) > PATIENCE_SECONDS
            if gone and not track.visible:
                del self._tracks[number]

    def _recognise(self, names: list[int], boxes: list[Box]) -> None:
        """Give pieces without an id the ids of nearby lost objects, nearest pair first."""
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


def _overlaps(expected: Labels | None, pieces: npt.NDArray[np.int32], count: int) -> Overlaps:
    """Overlaps of objects, (H, W), with a number of pieces, (H, W)."""
    if expected is None or count == 1:
        return []
    both = (expected > 0) & (pieces > 0)
    values, overlaps = np.unique(expected[both].astype(np.int64) * count + pieces[both], return_counts=True)
    order = np.argsort(-overlaps, kind="stable")
    return [(*divmod(int(values[i]), count), int(overlaps[i])) for i in order]


def _gap(one: Box, other: Box) -> float:
    """Pixels between two boxes, in a row or a column; 0 where they overlap."""
    return max(0.0, other[0] - one[2], one[0] - other[2], other[1] - one[3], one[1] - other[3])


def _distances(ones: list[Box], others: list[Box]) -> npt.NDArray[np.float64]:
    """Distances of the centres of boxes, each measured in the longest side of its two boxes, (n, m)."""
    first, second = np.array(ones)[:, None], np.array(others)[None]
    centres = (first[..., :2] + first[..., 2:] - second[..., :2] - second[..., 2:]) / 2
    sides = [(boxes[..., 2:] - boxes[..., :2]).max(axis=2) for boxes in (first, second)]
    return np.asarray(np.hypot(centres[..., 0], centres[..., 1]) / np.maximum(*sides))
