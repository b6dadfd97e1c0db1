"""From probabilities at the working size to the result of a frame, whose pieces keep their ids."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import BoolArray, Float32Array
from segue.errors import ArgumentError, PromptError
from segue.masks import measure, resize_mask
from segue.masks.measure import least_area
from segue.masks.pieces import Pieces
from segue.sessions.association import next_id
from segue.sessions.base import Checkpointable, checkpointed
from segue.sessions.empty_scene import same_shape
from segue.sessions.segmenters import Maps
from segue.types import Box, ObjectInfo, Segmentation

FOREGROUND, SHADOW = 1, 2  # ids in a mask without single objects

PATIENCE_SECONDS = 1.0  # an object that is out of sight for longer has left
CONFIRMED = 3  # frames in a row on which an object is seen before it gets an id, and is waited for
CROWD = 100  # objects on a frame from which on something other than objects is probably followed
ABSORBED = 0.25  # what has less than this share of another object's area is taken in by it where they meet
APART = 0.25  # pieces belong together up to a gap of this share of the largest one's longer side
SMOOTH = 0.6  # share of the former speed of an object in the new one
REACH = 1.0  # a lost object may come back this many times its own size away from where it was

Labels = npt.NDArray[np.uint16]
Overlaps = list[tuple[int, int, int]]
"""Ids, pieces, and in how many pixels they overlap, the largest overlap first."""


class CrowdWarning(UserWarning):
    """A frame has more objects than is plausible; the message names the frame."""


class ForegroundMasks(Checkpointable):
    """Turns probabilities into masks and objects.

    Args:
        threshold: a pixel is foreground, or shadow, from this probability on; None takes that of the model,
            see :meth:`settle`.
        roi: (H, W), true or non-zero where there can be foreground; None for everywhere. At another size of
            frames of the same shape it is resized.
        min_area: connected components with fewer pixels are left out; None is 0, or with ``objects``
            :func:`segue.masks.measure.least_area`.
        objects: give every moving object an id of its own; else all foreground is object 1, and shadow
            object 2.
        shadows: tell shadows; only without ``objects``.

    Raises:
        ArgumentError: a number is out of range, or both ``objects`` and ``shadows`` are wanted.
    """

    _tracker: ComponentTracker | None = checkpointed()

    def __init__(
        self,
        *,
        threshold: float | None = None,
        roi: npt.NDArray[np.generic] | None = None,
        min_area: int | None = None,
        objects: bool = False,
        shadows: bool = False,
    ) -> None:
        if threshold is not None and not 0 < threshold < 1:
            raise ArgumentError(f"threshold is {threshold}, but must lie between 0 and 1")
        if min_area is not None and min_area < 0:
            raise ArgumentError(f"min_area is {min_area}, but must be at least 0")
        if objects and shadows:
            raise ArgumentError("objects and shadows exclude each other: an id tells either")
        if roi is not None and np.ndim(roi) != 2:
            raise ArgumentError(f"roi has the shape {np.shape(roi)}, but must be (H, W)")
        if roi is not None and not np.any(roi):
            raise ArgumentError("roi is black everywhere, so that nothing could be foreground")
        self._given, self._threshold = threshold, 0.5 if threshold is None else threshold
        self._roi = None if roi is None else np.asarray(roi) != 0
        self._min_area = min_area
        self._shadows = shadows
        self.objects = objects
        self._tracker = ComponentTracker() if objects else None
        self._crowded = False

    def settle(self, threshold: float) -> None:
        """Take the threshold of a model, if none was given.

        Args:
            threshold: probability in (0, 1) from which on a pixel is foreground.
        """
        self._threshold = threshold if self._given is None else self._given

    def check(self, size: tuple[int, int]) -> None:
        """Check that the region of interest fits the frames.

        Args:
            size: height and width of the frames in pixels.

        Raises:
            PromptError: it has another shape.
        """
        if self._roi is not None and not same_shape(size, self._roi.shape):
            (height, width), (rows, columns) = size, self._roi.shape
            raise PromptError(
                f"the region of interest is {columns}x{rows}, but the frames are {width}x{height}"
            )

    def restart(self) -> None:
        """Another scene: all objects have left."""
        if self._tracker is not None:
            self._tracker.restart()

    def reset(self) -> None:
        """Forget everything."""
        if self._tracker is not None:
            self._tracker.reset()

    def result(self, index: int, time: float, size: tuple[int, int], maps: Maps) -> Segmentation:
        """Make the result of a frame from its probability maps.

        Args:
            index: index of the frame in the source.
            time: time stamp of the frame in seconds.
            size: height and width of the result in pixels.
            maps: probability maps (C, h, w) in [0, 1] at the working size: foreground, then shadow if there
                is one.

        Returns:
            Index mask (H, W), uint8 or uint16, with its objects; shadow has the id 2, or is background where
            shadows are not told.
        """
        inside = partial(_inside, size=size, roi=self._roi)
        foreground = inside(maps[0])
        least = self._min_area
        if least is None:
            least = 0 if self._tracker is None else round(least_area(size))
        mask = without_small(foreground >= self._threshold, least)
        if self._tracker is not None:
            labels, objects = self._tracker.update(mask, time, foreground)
            if len(objects) > CROWD and not self._crowded:
                self._crowded = True
                warnings.warn(
                    f"frame {index}: {len(objects)} objects; give a larger min_area, or a region of interest",
                    CrowdWarning,
                    stacklevel=2,
                )
            lazily = partial(_of_objects, inside, maps[0], labels, objects)
            return Segmentation(index, time, labels, objects, lazily)
        maps = maps[: 1 + self._shadows]
        lazily = partial(_of_classes, inside, maps)
        both = mask.astype(np.uint8)
        scores = [foreground, *map(inside, maps[1:])]
        for shadow in scores[1:]:
            both[(shadow >= self._threshold) & ~mask] = SHADOW
        return Segmentation(index, time, both, _summary(both, scores), lazily)

    def nothing(self, index: int, time: float, size: tuple[int, int]) -> Segmentation:
        """Make an empty result, for a frame on which the model still learns.

        Args:
            index: index of the frame in the source.
            time: time stamp of the frame in seconds.
            size: height and width of the result in pixels.

        Returns:
            A black mask (H, W), uint8, without objects.
        """
        return Segmentation(index, time, np.zeros(size, np.uint8))


def _inside(values: Float32Array, size: tuple[int, int], roi: BoolArray | None) -> Float32Array:
    """Probabilities (h, w) at the size of the frame, 0 outside the region of interest."""
    if values.shape != size:
        values = np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    return values if roi is None else np.asarray(values * resize_mask(roi, size), np.float32)


def _summary(mask: npt.NDArray[np.uint8], scores: list[Float32Array]) -> tuple[ObjectInfo, ...]:
    """Foreground and, with two maps, shadow as objects of a mask."""
    extents = measure(mask)
    objects = []
    for number, label, score in zip((FOREGROUND, SHADOW), ("foreground", "shadow"), scores, strict=False):
        if number in extents:
            mean, extent = float(score[mask == number].mean()), extents[number]
            objects.append(ObjectInfo(number, label, mean, extent.box, extent.area))
        else:
            objects.append(ObjectInfo(number, label, score=0.0))
    return tuple(objects)


def _of_classes(inside: Callable[[Float32Array], Float32Array], maps: Maps) -> Maps:
    """Background, foreground and perhaps shadow, which sum to one: shadow is what is not foreground."""
    foreground, *rest = map(inside, maps)
    shadows = [shadow * (1 - foreground) for shadow in rest]
    return np.stack([1 - foreground - sum(shadows), foreground, *shadows]).astype(np.float32)


def _of_objects(
    inside: Callable[[Float32Array], Float32Array],
    values: Float32Array,
    labels: npt.NDArray[Any],
    objects: Sequence[ObjectInfo],
) -> Maps:
    """Background and each object, which has its probability inside its own piece only."""
    foreground = inside(values)
    each = [np.where(labels == item.id, foreground, 0) for item in objects]
    return np.stack([1 - np.where(labels > 0, foreground, 0), *each]).astype(np.float32)


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


def without_small(mask: BoolArray, min_area: int) -> BoolArray:
    """A mask, (H, W), without the connected components that have fewer than ``min_area`` pixels."""
    if min_area <= 1 or not mask.any():
        return mask
    pieces = Pieces.of(mask)
    return pieces.where(pieces.areas >= min_area)


class ComponentTracker(Checkpointable):
    """Gives every moving object a stable id.

    Pieces of foreground are compared with where the objects of the frame before should be now, from their
    motion. A piece takes the id of the object that it overlaps most with, and an object passes its id to the
    piece that overlaps it most. Where objects that were apart meet in one piece, each keeps the part that is
    nearest to it; where an object falls into pieces, these keep its id as long as they stay close together. A
    piece without an id takes that of the nearest object that has been out of sight for a second at most; else
    it is a new object. An object is in the results from the frame on that confirms it. Ids are given in order
    and begin again at 1 after 65535.

    Args:
        confirmed: frames in a row on which an object is seen before it gets an id.
    """

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
        """Take the foreground of the next frame.

        ``mask``: (H, W), bool; ``probability``: of the foreground, (H, W), float32, in [0, 1]; returns index
        mask (H, W), uint8 or uint16, and the objects that are followed.
        """
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
