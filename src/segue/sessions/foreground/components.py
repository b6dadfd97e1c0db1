"""Moving objects: the components of a foreground mask keep their ids from frame to frame."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from operator import attrgetter
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.masks import ObjectExtent, measure
from segue.masks.pieces import Window, window_of
from segue.prompts.planes import grown, tight_box
from segue.sessions.association import (
    REACH,
    SMOOTH,
    assign,
    centre,
    longer_side,
    longer_sides,
    nearness,
    next_id,
    overlaps,
)
from segue.sessions.foreground.appearance import SIDE, likeness, thumbnail
from segue.state import Checkpointable, checkpointed
from segue.types import Box, Image, ObjectInfo
from segue.utils.arrays import BoolArray, Float32Array, Float64Array, id_type

PATIENCE_SECONDS = 1.0  # an object that is out of sight for longer has left
CONFIRMED = 3  # frames in a row on which an object is seen before it gets an id, and is waited for
EVIDENCE = 2.0  # to which its probability, added up over these frames, must come for it, too
ABSORBED = 0.25  # an object with less than this share of another one's area merges with it where they meet
MAX_GAP = 0.25  # components belong together up to a gap of this share of the largest one's sides

JUMP_SECONDS = 0.12  # between two frames from which on objects may move by more than their length
JUMP = 2.5  # times its own size that an object may move of which no speed is known
FAST = 0.4  # times its own size by which an object moves, so that another one may have its place
SIMILAR = 0.4  # least ratio of the areas of the boxes of an object before and after a jump
CLEAR = 0.75
"""Mean probability of an object that counts with fewer frames than CONFIRMED, where others are fast."""

LARGE = 0.01  # share of the image that its box takes from which on it counts with one frame
FAST_CONFIRMED = 2  # frames with which it counts else
DETECTED = 0.5  # IoU with a detected box from which on a fast object counts with one frame
MAX_VOTERS = 50  # objects of a frame that say how objects move

Labels = npt.NDArray[np.uint16]
Components = npt.NDArray[np.int32]
ThumbnailOf = Callable[[Box], Float32Array]
FindBoxes = Callable[[], Sequence[Box]]
"""Runs a detector on the frame."""

Shares = list[list[int]]
"""Track, component and number of shared pixels of each pair, largest overlap first."""


@dataclass(slots=True)
class _Track:
    """A track: last box, last time, and number of frames."""

    box: Box
    seen: float
    id: int = 0  # that results show; 0 until it is confirmed
    frames: int = 0
    evidence: float = 0.0  # mean probability of its pixels, added up over these
    speed: Float64Array = field(default_factory=lambda: np.zeros(2))  # pixels a frame, to the right and down
    is_predicted: bool = False  # it was where objects of its place move to
    thumbnail: Float32Array = field(default_factory=lambda: np.zeros((SIDE, SIDE, 3), np.float32))

    def is_confirmed(self, frames: int = CONFIRMED) -> bool:
        """Whether it was seen on enough frames, with enough evidence."""
        return self.frames >= frames and self.evidence >= EVIDENCE * (frames - 1) / (CONFIRMED - 1)


class ComponentTracker(Checkpointable):
    """Gives every moving object a stable id."""

    _before: Labels | None = checkpointed(None)
    _tracks: dict[int, _Track] = checkpointed(dict)
    _last_id: int = checkpointed(0)
    _time: float | None = checkpointed(None)
    _motion: Float32Array | None = checkpointed(None)  # of objects by place, see _UsualMotion
    state_types = (_Track,)

    def __init__(self, confirmed: int = CONFIRMED, after: int = 0) -> None:
        self._confirmed, self._after = confirmed, after
        self.reset()

    def reset(self) -> None:
        """Start again; the first id is the one after ``after``."""
        super().restart()
        self._last_id = self._after

    def restart(self) -> None:
        """End all tracks; their ids are not used again."""
        self._before = self._motion = self._time = None
        self._tracks = {}

    def fit(self, size: tuple[int, int]) -> None:
        """Scale all tracks to frames of another size and the same shape."""
        if self._before is None or self._before.shape == size:
            return
        scale = size[0] / self._before.shape[0]
        self._before = np.asarray(cv2.resize(self._before, size[::-1], interpolation=cv2.INTER_NEAREST))
        for track in self._tracks.values():
            x0, y0, x1, y1 = (scale * side for side in track.box)
            track.box, track.speed = (x0, y0, x1, y1), scale * track.speed

    def update(
        self,
        mask: BoolArray,
        time: float,
        probability: Float32Array,
        image: Image | None = None,
        find_boxes: FindBoxes | None = None,
    ) -> tuple[npt.NDArray[Any], tuple[ObjectInfo, ...]]:
        """Track the components of a foreground mask (H, W); return the index mask (H, W) and the objects.

        If objects move by more than their length, an image of any size distinguishes them, and boxes, in
        pixels of the mask, confirm new ones. ``find_boxes`` runs only if a fast object has no id yet.
        """
        window = window_of(mask)  # of all that follows
        part, origin = mask[window], (window[1].start, window[0].start)
        components, count = np.zeros((0, 0), np.int32), 1
        if part.size:
            count, labelled = cv2.connectedComponents(part.view(np.uint8), connectivity=8)
            components = np.asarray(labelled, np.int32)
        extents, thumbnail_of = measure(components, origin), cache(partial(thumbnail, image, mask.shape))
        motion = None  # where frames follow so fast that all objects overlap themselves
        if self._time is not None and JUMP_SECONDS <= time - self._time < PATIENCE_SECONDS:
            motion = _UsualMotion(mask.shape, self._motion)
            self._motion = motion.votes
            self._predict(motion, [extent.box for extent in extents.values()], thumbnail_of)
        expected = self._expected(mask.shape, window)
        shares = _shares(expected, components)
        if shared := self._divide(components, count, expected, shares):
            shares, extents = _shares(expected, components), measure(components, origin)
        jumps = {} if motion is None else self._jump(extents, thumbnail_of)
        owners, followed = self._associate(shares, extents, jumps)
        waiting = {
            number: track
            for number, track in self._tracks.items()
            if track.is_confirmed() and abs(time - track.seen) <= PATIENCE_SECONDS
        }
        self._tracks = waiting | {number: self._tracks[number] for number in followed}
        unmatched = [*itertools.filterfalse(followed.__contains__, waiting)]
        if motion is not None:
            unmatched = [
                number for number in unmatched if self._is_in_view(self._tracks[number], mask.shape, time)
            ]
        self._recover(owners, unmatched, extents)
        free = itertools.filterfalse(self._tracks.__contains__, itertools.count(1))
        owners |= {component: next(free) for component in extents if component not in owners}
        table = np.zeros(max(owners, default=0) + 1, np.uint16)
        table[[*owners]] = [*owners.values()]
        tracked = np.take(table, components)  # twice as fast as by an index
        self._before = np.zeros(mask.shape, np.uint16)
        self._before[window] = tracked
        ids = np.zeros(table.max() + 1, np.uint16)
        totals = np.bincount(tracked[part], probability[window][part])
        objects = {track.id: ObjectInfo(track.id, score=0.0) for track in self._tracks.values()}
        for number, extent in _united(extents, owners).items():
            track = self._tracks.setdefault(number, _Track(extent.box, time))
            score = float(totals[number] / extent.area)
            track.evidence += score
            self._move(track, extent.box, time, steady=number in followed, shared=number in shared)
            if motion is not None or self._time is None:
                track.thumbnail = thumbnail_of(track.box)
            self._confirm(track, motion, mask.size, find_boxes)
            ids[number] = track.id
            objects[track.id] = ObjectInfo(track.id, None, score, extent.box, extent.area)
        objects.pop(0, None)  # those that are not confirmed
        self._time = time
        labels = np.zeros(mask.shape, id_type(ids.max()))
        labels[window] = np.take(ids.astype(labels.dtype), tracked)
        return labels, tuple(sorted(objects.values(), key=attrgetter("id")))

    def _predict(self, motion: _UsualMotion, boxes: Sequence[Box], thumbnail_of: ThumbnailOf) -> None:
        """Learn how objects move to the boxes of a frame, and predict the speed of new ones."""
        previous = [track for track in self._tracks.values() if track.seen == self._time]
        appearance = likeness([track.thumbnail for track in previous], [*map(thumbnail_of, boxes)])
        motion.vote([track.box for track in previous], boxes, appearance)
        for track in previous:
            self._expect(track, motion)

    def _expect(self, track: _Track, motion: _UsualMotion) -> None:
        """Predict the speed of a new object by the motion of earlier ones at its place."""
        if track.frames == 1 and (speed := motion.at(track.box)) is not None:
            track.speed = speed
            track.is_predicted = self._is_fast(track)

    def _is_in_view(self, track: _Track, size: tuple[int, ...], time: float) -> bool:
        """Whether a lost track may still be in view: slow, and inside the image by its speed."""
        steps = max(1.0, (time - track.seen) / (time - (self._time or 0.0)))
        x, y = centre(track.box) + track.speed * steps
        return bool(0 <= x < size[1] and 0 <= y < size[0]) and not self._is_fast(track)

    def _is_fast(self, track: _Track) -> bool:
        """Whether an object moves so far between frames that another one may take its place."""
        return float(np.linalg.norm(track.speed)) > FAST * longer_side(track.box)

    def _jump(self, extents: Mapping[int, ObjectExtent], thumbnail_of: ThumbnailOf) -> dict[int, int]:
        """Match components with tracks that may have moved by more than their length."""
        last = [number for number, track in self._tracks.items() if track.seen == self._time]
        if not last or not extents:
            return {}
        tracks, components = [self._tracks[number] for number in last], [*extents]
        boxes, expected = [extent.box for extent in extents.values()], [*map(_expected_box, tracks)]
        has_speed = np.array([track.frames > 1 or bool(track.speed.any()) for track in tracks])
        reach = np.where(has_speed, REACH, JUMP)[:, None] * longer_sides(expected, boxes)
        areas = [*map(_area, expected)], [*map(_area, boxes)]
        similarity = np.minimum.outer(*areas) / np.maximum.outer(*areas)
        appearance = likeness([track.thumbnail for track in tracks], [*map(thumbnail_of, boxes)])
        value = np.maximum(nearness(expected, boxes, reach), 0) * similarity * appearance
        jumps = assign(value, (value > 0) & (similarity >= SIMILAR))
        return {components[column]: last[row] for row, column in jumps.items()}

    def out_of_sight(self) -> tuple[ObjectInfo, ...]:
        """Return the objects for a frame that shows nothing; the tracks do not change."""
        ids = sorted(track.id for track in self._tracks.values() if track.id)
        return tuple(ObjectInfo(number, score=0.0) for number in ids)

    def _expected(self, size: tuple[int, ...], window: Window) -> Labels:
        """Shift the previous index mask by the speed of each track; return a window of it, (h, w)."""
        top, left = window[0].start, window[1].start
        expected = np.zeros((window[0].stop - top, window[1].stop - left), np.uint16)
        if self._before is None or self._before.shape != size:
            return expected
        moves = np.zeros((2, max(self._tracks, default=0) + 1), np.int64)
        for number, track in self._tracks.items():
            moves[:, number] = np.rint(track.speed)
        rows, columns = np.divmod(np.flatnonzero(self._before > 0), size[1])  # faster than nonzero()
        numbers = self._before[rows, columns]
        rows, columns = rows + moves[1, numbers] - top, columns + moves[0, numbers] - left
        height, width = expected.shape
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        expected[rows[inside], columns[inside]] = numbers[inside]
        return expected

    def _divide(self, components: Components, count: int, expected: Labels, shares: Shares) -> set[int]:
        """Split components in which tracks have met, in place; return these tracks."""
        areas = np.bincount(expected[components > 0])
        met: dict[int, list[int]] = defaultdict(list)
        for number, component, share in shares:
            if self._tracks[number].is_confirmed() and share > areas[number] / 2:
                met[component].append(number)
        shared: set[int] = set()
        for component, numbers in met.items():
            numbers = [number for number in numbers if areas[number] >= ABSORBED * max(areas[numbers])]
            if len(numbers) < 2:
                continue
            shared.update(numbers)
            x0, y0, x1, y1 = map(int, tight_box(components == component))
            part = np.s_[y0:y1, x0:x1]
            is_component = components[part] == component
            distances = [
                cv2.distanceTransform(
                    ((expected[part] != number) | ~is_component).view(np.uint8), cv2.DIST_L2, 3
                )
                for number in numbers
            ]
            components[part][is_component] = count + np.argmin(distances, axis=0)[is_component]
            count += len(numbers)
        return shared

    def _associate(
        self, shares: Shares, extents: Mapping[int, ObjectExtent], jumps: Mapping[int, int]
    ) -> tuple[dict[int, int], set[int]]:
        """Match components with tracks by overlap, after ``jumps``; return owners and matched tracks."""
        owners = {**jumps}
        largest = dict(zip(jumps.values(), jumps, strict=True))  # component of each track
        for number, component, share in shares:
            if component in owners:
                continue
            if number not in largest:
                owners[component], largest[number] = number, component
            elif share >= extents[component].area / 2:
                grown_box = grown(extents[largest[number]].box, MAX_GAP)
                if overlaps([grown_box], [extents[component].box])[0, 0]:
                    owners[component] = number
        return owners, {*largest}

    def _recover(
        self, owners: dict[int, int], unmatched: list[int], extents: Mapping[int, ObjectExtent]
    ) -> None:
        """Match components without a track with nearby lost tracks."""
        if not unmatched:
            return
        free = [component for component in extents if component not in owners]
        boxes = [self._tracks[number].box for number in unmatched], [extents[each].box for each in free]
        value = nearness(*boxes, REACH * longer_sides(*boxes))
        owners |= {free[column]: unmatched[row] for row, column in assign(value, value > 0).items()}

    def _confirm(
        self, track: _Track, motion: _UsualMotion | None, pixels: int, find_boxes: FindBoxes | None
    ) -> None:
        """Give a track its id once it is confirmed; ``pixels`` is the area of the image."""
        if motion is not None:
            self._expect(track, motion)
        if track.id:
            return
        is_confirmed = track.is_confirmed(self._num_required(track, pixels))
        if not is_confirmed and motion is not None and find_boxes is not None:
            is_confirmed = self._is_detected(track, find_boxes)
        if is_confirmed:
            self._last_id = track.id = next_id(self._last_id, {each.id for each in self._tracks.values()})

    def _is_detected(self, track: _Track, find_boxes: FindBoxes) -> bool:
        """Whether a fast track with clear evidence overlaps a detected box."""
        if not self._is_fast(track) or track.evidence < CLEAR * track.frames:
            return False
        boxes = find_boxes()
        return bool(boxes) and bool((overlaps([track.box], boxes) >= DETECTED).any())

    def _num_required(self, track: _Track, pixels: int) -> int:
        """Return the number of frames that confirm a track; ``pixels`` is the area of the image."""
        if not track.is_predicted or track.evidence < CLEAR * track.frames:
            return self._confirmed
        is_large = _area(track.box) >= LARGE * pixels
        return min(self._confirmed, 1 if is_large else FAST_CONFIRMED)

    def _move(self, track: _Track, box: Box, time: float, *, steady: bool, shared: bool) -> None:
        """Move a track to its box, or to its predicted box if it shares a component."""
        if shared:
            box = _expected_box(track)
        elif steady:
            step = np.subtract(centre(box), centre(track.box))
            is_first = track.frames == 1 and time - track.seen >= JUMP_SECONDS
            track.speed = step if is_first else SMOOTH * track.speed + (1 - SMOOTH) * step
        track.box, track.seen = box, time
        track.frames += 1


class _UsualMotion:
    """Usual motion by place, in object sizes per frame, from votes of all possible matches.

    Votes of true motions agree and add up; motions between different objects differ.

    Args:
        size: height and width of the image.
        votes: previous votes, (cells down, cells across, steps, steps); None starts without any.
    """

    CELLS = 5  # of the longer side
    FADES = 0.97  # weight of earlier votes, with each frame
    STEP = 0.25  # sizes of an object
    NUMBER = 0.3  # votes from which on a motion counts: one of an object that looks much the same
    LEADS = 1.1  # times as many as any other one has

    def __init__(self, size: tuple[int, ...], votes: Float32Array | None) -> None:
        self._cell = max(size[0], size[1]) / self.CELLS
        steps = 2 * round(JUMP / self.STEP) + 1
        shape = (*(math.ceil(side / self._cell) for side in size[:2]), steps, steps)
        is_other = votes is None or votes.shape != shape
        self.votes = np.zeros(shape, np.float32) if is_other or votes is None else votes.copy()

    def _place(self, box: Box) -> tuple[int, int]:
        rows, columns = self.votes.shape[:2]
        row, column = int((box[1] + box[3]) / 2 / self._cell), int((box[0] + box[2]) / 2 / self._cell)
        return min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)

    def vote(self, previous: Sequence[Box], now: Sequence[Box], appearance: Float32Array) -> None:
        """Add votes of all pairs of boxes on two frames, weighted by their similarity (previous, now)."""
        self.votes *= self.FADES
        for row, box in enumerate(previous[:MAX_VOTERS]):
            size = longer_side(box)
            for column, other in enumerate(now[:MAX_VOTERS]):
                if not SIMILAR * _area(box) <= _area(other) <= _area(box) / SIMILAR:
                    continue
                right, down = np.subtract(centre(other), centre(box)) / size
                if max(abs(right), abs(down)) < JUMP:
                    bins = (round((down + JUMP) / self.STEP), round((right + JUMP) / self.STEP))
                    self.votes[(*self._place(box), *bins)] += appearance[row, column]

    def at(self, box: Box) -> Float64Array | None:
        """Return the usual speed of objects around a box, scaled to its size; None if no motion leads."""
        row, column = self._place(box)
        votes = self.votes[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].sum((0, 1))
        votes = 4 * cv2.GaussianBlur(
            votes, (3, 3), 0, borderType=cv2.BORDER_CONSTANT
        )  # of a bin and those beside it
        down, right = np.unravel_index(int(votes.argmax()), votes.shape)
        highest = float(votes[down, right])
        votes[max(down - 3, 0) : down + 4, max(right - 3, 0) : right + 4] = 0.0
        if highest < self.NUMBER or highest < self.LEADS * float(votes.max()):
            return None
        return np.asarray((np.array((right, down)) * self.STEP - JUMP) * longer_side(box), np.float64)


def _united(extents: Mapping[int, ObjectExtent], owners: Mapping[int, int]) -> dict[int, ObjectExtent]:
    """Join the extents of components by track, in ascending order."""
    united: dict[int, ObjectExtent] = {}
    for component, extent in extents.items():
        one = united.get(owners[component])
        if one is not None:
            (x0, y0, x1, y1), (left, top, right, bottom) = one.box, extent.box
            box = min(x0, left), min(y0, top), max(x1, right), max(y1, bottom)
            extent = ObjectExtent(one.area + extent.area, box)
        united[owners[component]] = extent
    return dict(sorted(united.items()))


def _expected_box(track: _Track) -> Box:
    """The box of a track, moved by its speed."""
    x0, y0, x1, y1 = (np.array(track.box) + np.tile(track.speed, 2)).tolist()
    return x0, y0, x1, y1


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _shares(expected: Labels, components: Components) -> Shares:
    """Count the shared pixels of tracks (H, W) and components (H, W)."""
    both = (expected > 0) & (components > 0)
    pairs = (expected[both].astype(np.int64) << 32) + components[both]
    values, counts = np.unique(pairs, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shares: Shares = np.stack([values >> 32, values & 0xFFFFFFFF, counts], axis=1)[order].tolist()
    return shares
