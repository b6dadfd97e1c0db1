"""From probabilities at the working size to the result of a frame, whose pieces keep their ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.errors import ArgumentError, PromptError
from segue.masks import measure, resize_mask
from segue.sessions.align import Matrix
from segue.sessions.association import next_id
from segue.sessions.base import Checkpointable, checkpointed
from segue.sessions.empty_scene import same_shape
from segue.sessions.segmenters import Maps
from segue.sessions.sharpness import Blur
from segue.types import Box, Image, ObjectInfo, Segmentation

FOREGROUND, SHADOW = 1, 2  # ids in a mask without single objects

PATIENCE_SECONDS = 1.0  # an object that is out of sight for longer has left
PATIENCE_FROM = 3  # an object that was seen on fewer frames is not waited for
REACH = 1.0  # a lost object may come back this many times its own size away from where it was

Mask = npt.NDArray[np.bool_]
Plane = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint16]


class ForegroundMasks(Checkpointable):
    """Makes masks and objects of probabilities.

    Args:
        threshold: a pixel is foreground, or shadow, from this probability on; None takes that of the model,
            see :meth:`settle`.
        roi: (H, W), true or non-zero where there can be foreground; None for everywhere. At another size of
            frames of the same shape it is resized.
        min_area: connected pieces with fewer pixels are left out.
        objects: give every connected piece an id of its own; else all foreground is object 1, and shadow
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
        min_area: int = 0,
        objects: bool = False,
        shadows: bool = False,
    ) -> None:
        if threshold is not None and not 0 < threshold < 1:
            raise ArgumentError(f"threshold is {threshold}, but must lie between 0 and 1")
        if min_area < 0:
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

    def settle(self, threshold: float) -> None:
        """Take the threshold of a model, if none was given."""
        self._threshold = threshold if self._given is None else self._given

    def check(self, size: tuple[int, int]) -> None:
        """See that the region of interest fits frames of this height and width.

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
        """The result of a frame of a height and width, from maps at the working size."""
        inside = partial(_inside, size=size, roi=self._roi)
        foreground = inside(maps[0])
        mask = without_small(foreground >= self._threshold, self._min_area)
        if self._tracker is not None:
            labels, objects = self._tracker.update(mask, time, foreground)
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
        """The result of a frame on which nothing is looked for yet."""
        return Segmentation(index, time, np.zeros(size, np.uint8))


def _inside(values: Plane, size: tuple[int, int], roi: Mask | None) -> Plane:
    """Probabilities (h, w) at the size of the frame, 0 outside the region of interest."""
    if values.shape != size:
        values = np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    return values if roi is None else np.asarray(values * resize_mask(roi, size), np.float32)


def _summary(mask: npt.NDArray[np.uint8], scores: list[Plane]) -> tuple[ObjectInfo, ...]:
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


def _of_classes(inside: Callable[[Plane], Plane], maps: Maps) -> Maps:
    """Background, foreground and perhaps shadow, which sum to one: shadow is what is not foreground."""
    foreground, *rest = map(inside, maps)
    shadows = [shadow * (1 - foreground) for shadow in rest]
    return np.stack([1 - foreground - sum(shadows), foreground, *shadows]).astype(np.float32)


def _of_objects(
    inside: Callable[[Plane], Plane], values: Plane, labels: npt.NDArray[Any], objects: Sequence[ObjectInfo]
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


class ComponentTracker(Checkpointable):
    """Gives every connected piece of foreground an id that stays the same.

    A piece takes the id of the object that it overlaps most with in the frame before, and an object passes
    its id to the piece that overlaps it most. A piece without an id takes that of the nearest object that
    has been out of sight for a second at most; else it is a new object. Ids are given in order and begin
    again at 1 after 65535.
    """

    _before: Labels | None = checkpointed()
    _tracks: dict[int, _Track] = checkpointed()
    _last_id: int = checkpointed()
    state_types = (_Track,)

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.restart()
        self._last_id = 0

    def restart(self) -> None:
        """Forget all objects; their ids are not given again."""
        self._before = None
        self._tracks = {}

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
        self._last_id = next_id(self._last_id, self._tracks)
        return self._last_id


def _box(row: npt.NDArray[np.int32]) -> Box:
    left, top, width, height = (float(value) for value in row[:4])
    return left, top, left + width, top + height


def _distances(ones: list[Box], others: list[Box]) -> npt.NDArray[np.float64]:
    """Distances of the centres of boxes, each measured in the longest side of its two boxes, (n, m)."""
    first, second = np.array(ones)[:, None], np.array(others)[None]
    centres = (first[..., :2] + first[..., 2:] - second[..., :2] - second[..., 2:]) / 2
    sides = [(boxes[..., 2:] - boxes[..., :2]).max(axis=2) for boxes in (first, second)]
    return np.asarray(np.hypot(centres[..., 0], centres[..., 1]) / np.maximum(*sides))


@dataclass(frozen=True, slots=True)
class Pending:
    """A frame whose result is still due."""

    index: int
    time: float
    size: tuple[int, int]
    image: Image  # at the working size, as seen from the reference
    matrix: Matrix | None  # from the reference to the frame, or None where both are the same
    blur: Blur | None = None  # by which the frame is less sharp than the empty scene
