"""Two results, or one and the truth: object by object as DAVIS does, or all foreground as CDnet2014 does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from segue.datasets.labels import MOTION, OUTSIDE, SHADOW, STATIC, UNKNOWN
from segue.metrics.foreground import Counts, ForegroundAccumulator
from segue.metrics.measures import contour_accuracy, region_similarity
from segue.types import IndexMask
from segue_web.film import Plane
from segue_web.labels import Labels

LABELS = frozenset({SHADOW, OUTSIDE, UNKNOWN, MOTION})
"""Values of CDnet2014 that a reader of index masks takes for objects."""

MATCHED_FRAMES = 24
"""Frames, spread over the film, on which objects of two results are matched."""


class OfObjects:
    """J and F of DAVIS, means over the frames."""

    columns: tuple[str, ...] = ("J", "F")

    def look(self, index: int, found: Plane, truth: Plane) -> tuple[float, float]:
        """What is kept of an object on a frame."""
        return region_similarity(found, truth), contour_accuracy(found, truth)

    def values(self, looks: Sequence[tuple[float, float]]) -> list[float]:
        """The columns over some frames."""
        means: list[float] = np.mean(looks, axis=0).tolist()
        return means


class OfForeground:
    """Recall, precision and F of CDnet2014, of the pixels of all frames together.

    Where the truth holds labels of CDnet2014, what is unknown or outside does not count.
    """

    columns: tuple[str, ...] = ("Re", "Pr", "F")

    def __init__(self, truth: Labels) -> None:
        self._truth = truth if is_labels(truth) else None

    def look(self, index: int, found: Plane, truth: Plane) -> Counts:
        """What is kept of a frame."""
        labels = np.where(truth, MOTION, STATIC).astype(np.uint8)
        if self._truth is not None and index in self._truth.masks:
            labels = np.asarray(self._truth.masks[index](), np.uint8)
            labels = np.where(labels == 1, MOTION, labels).astype(np.uint8)
        return ForegroundAccumulator(ignored=(UNKNOWN, OUTSIDE)).update(found, labels)

    def values(self, looks: Sequence[Counts]) -> list[float]:
        """The columns over some frames."""
        measures = sum(looks, Counts()).measures()
        return [measures[name] for name in self.columns]


class Comparison:
    """Two results of one film, of which the second may be the truth.

    ``measure`` None takes ``foreground`` for labels of CDnet2014, else ``davis``. ``ids`` are those of the
    second result's objects among the first one's.
    """

    def __init__(self, first: Labels, second: Labels, size: tuple[int, int], measure: str | None) -> None:
        self._measure: Any = OfObjects()
        if (measure or measure_of(second)) == "foreground":
            self._measure = OfForeground(second)
            first, second = foreground_of(first), foreground_of(second)
        self.first, self.second, self._size = first, second, size
        self.ids = self._matched()
        self._scores: dict[int, dict[int, Any]] = {}

    def masks(self, index: int) -> tuple[IndexMask, IndexMask]:
        """Those of both results on a frame."""
        return self.first.mask(index, self._size), self.second.mask(index, self._size)

    def frame_scores(self, index: int) -> dict[int, Any]:
        """What the measure says of the second result's objects on a frame, by the first one's ids."""
        if index not in self._scores:
            one, two = self.masks(index)
            pairs = {mine: (one == mine, two == theirs) for theirs, mine in self.ids.items()}
            self._scores[index] = {i: self._measure.look(index, *pair) for i, pair in pairs.items()}
        return self._scores[index]

    def score(self, index: int) -> dict[str, Any]:
        """A row for each object: on the frame, and on all frames that were looked at so far."""
        here = self.frame_scores(index) if index in self.second.masks else {}
        known = [self._scores[i] for i in sorted(self.second.masks) if i in self._scores]
        rows = [
            {
                "object": i,
                "here": self._measure.values([here[i]]) if i in here else None,
                "all": self._measure.values([scores[i] for scores in known]) if known else None,
            }
            for i in self.ids.values()
        ]
        columns = self._measure.columns
        return {"columns": columns, "rows": rows, "done": len(known), "total": len(self.second.masks)}

    def _matched(self) -> dict[int, int]:
        """The same where all agree, else by overlap; an object without a partner gets an id of its own."""
        ours, theirs = sorted(self.first.names), sorted(self.second.names)
        if set(theirs) <= set(ours) or set(ours) <= set(theirs):
            return {i: i for i in theirs}
        both, either = np.zeros((len(theirs), len(ours))), np.zeros((len(theirs), len(ours)))
        shared = sorted(set(self.first.masks) & set(self.second.masks))
        for index in shared[:: max(1, len(shared) // MATCHED_FRAMES)]:
            one, two = self.masks(index)
            for row, i in enumerate(theirs):
                for column, j in enumerate(ours):
                    both[row, column] += ((two == i) & (one == j)).sum()
                    either[row, column] += ((two == i) | (one == j)).sum()
        overlap = both / np.maximum(either, 1)
        pairs = zip(*linear_sum_assignment(-overlap), strict=True)
        partners = {theirs[row]: ours[column] for row, column in pairs if overlap[row, column] > 0}
        free = iter(range(max(ours, default=0) + 1, 65536))
        return {i: partners.get(i) or next(free) for i in theirs}


def is_labels(labels: Labels) -> bool:
    """Whether what was read for objects are labels of CDnet2014; a frame of 0 and 255 alone reads as 1."""
    return bool(set(labels.names) & LABELS) and set(labels.names) <= LABELS | {1}


def measure_of(truth: Labels) -> str:
    """The measure that suits a truth."""
    return "foreground" if is_labels(truth) else "davis"


def foreground_of(labels: Labels) -> Labels:
    """All foreground as one object: everything but shadow, or of labels of CDnet2014 what moves."""
    shadow = {i for i, name in labels.names.items() if name == "shadow"}
    others = set() if is_labels(labels) else set(labels.names)
    moving = sorted({MOTION, 1} | others - shadow)  # a picture of labels without shadow reads as 1
    masks = {index: partial(_merged, read, moving) for index, read in labels.masks.items()}
    return Labels({1: "foreground"}, masks)


def _merged(read: Callable[[], IndexMask], moving: list[int]) -> IndexMask:
    return np.isin(read(), moving).astype(np.uint8)
