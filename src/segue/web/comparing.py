"""How the page compares two results: object by object as DAVIS does, or all foreground as CDnet2014 does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from segue.datasets.labels import MOTION, OUTSIDE, SHADOW, STATIC, UNKNOWN
from segue.metrics.foreground import Counts, ForegroundAccumulator
from segue.metrics.measures import contour_accuracy, region_similarity
from segue.types import IndexMask
from segue.web.labels import Labels

Plane = npt.NDArray[np.bool_]

LABELS = frozenset({SHADOW, OUTSIDE, UNKNOWN, MOTION})
"""Values of CDnet2014 that a reader of index masks takes for objects."""


class Measure(Protocol):
    """Compares an object of two results.

    Attributes:
        columns: names of its values.
    """

    columns: tuple[str, ...]

    def look(self, index: int, found: Plane, truth: Plane) -> Any:
        """What is kept of a frame, of the object's masks on it."""

    def values(self, looks: Sequence[Any]) -> list[float]:
        """The columns over some frames."""


class OfObjects:
    """J and F of DAVIS, means over the frames."""

    columns: tuple[str, ...] = ("J", "F")

    def look(self, index: int, found: Plane, truth: Plane) -> tuple[float, float]:
        """J and F of a frame."""
        return region_similarity(found, truth), contour_accuracy(found, truth)

    def values(self, looks: Sequence[tuple[float, float]]) -> list[float]:
        """Means."""
        means: list[float] = np.mean(looks, axis=0).tolist()
        return means


class OfForeground:
    """Recall, precision and F of CDnet2014, of the pixels of all frames together.

    Args:
        truth: as it was read; where it holds labels of CDnet2014, what is unknown or outside does not count.
    """

    columns: tuple[str, ...] = ("Re", "Pr", "F")

    def __init__(self, truth: Labels) -> None:
        self._truth = truth if is_labels(truth) else None

    def look(self, index: int, found: Plane, truth: Plane) -> Counts:
        """Counts of a frame."""
        labels = np.where(truth, MOTION, STATIC).astype(np.uint8)
        if self._truth is not None and index in self._truth.masks:
            labels = np.asarray(self._truth.masks[index](), np.uint8)
            labels = np.where(labels == 1, MOTION, labels).astype(np.uint8)
        return ForegroundAccumulator(ignored=(UNKNOWN, OUTSIDE)).update(found, labels)

    def values(self, looks: Sequence[Counts]) -> list[float]:
        """Measures of the sum."""
        measures = sum(looks, Counts()).measures()
        return [measures[name] for name in self.columns]


def is_labels(labels: Labels) -> bool:
    """Whether what was read for objects are labels of CDnet2014; a frame of 0 and 255 alone reads as 1."""
    return bool(set(labels.names) & LABELS) and set(labels.names) <= LABELS | {1}


def measure_of(truth: Labels) -> str:
    """The measure that suits a truth."""
    return "foreground" if is_labels(truth) else "davis"


def foreground_of(labels: Labels) -> Labels:
    """All foreground as one object: everything but shadow, or of labels of CDnet2014 what moves."""
    shadow = [i for i, name in labels.names.items() if name == "shadow"]
    others = set() if is_labels(labels) else set(labels.names)
    moving = {MOTION, 1} | others - set(shadow)  # a picture of labels without shadow reads as 1

    def merged(read: Callable[[], IndexMask]) -> Callable[[], IndexMask]:
        return lambda: np.isin(read(), sorted(moving)).astype(np.uint8)

    return Labels({1: "foreground"}, {index: merged(read) for index, read in labels.masks.items()})
