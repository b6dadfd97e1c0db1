"""Scores of a DAVIS evaluation per frame, object, sequence and overall."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from segue.errors import DatasetError

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Statistics:
    """A measure over time or over objects."""

    mean: float  # average, in [0, 1]
    recall: float  # share of the frames above 0.5
    decay: float  # mean of the first quarter minus mean of the last one; positive when quality drops


class _HasStatistics(Protocol):
    @property
    def region(self) -> Statistics: ...
    @property
    def contour(self) -> Statistics: ...


class _Scored:
    """Measures derived from J and F."""

    @property
    def j_and_f(self: _HasStatistics) -> float:
        """Mean of the J mean and the F mean, the main number of the benchmark."""
        return (self.region.mean + self.contour.mean) / 2

    @property
    def measures(self: _HasStatistics) -> dict[str, float]:
        """All statistics by their official names."""
        return {
            "J&F-Mean": (self.region.mean + self.contour.mean) / 2,
            "J-Mean": self.region.mean,
            "J-Recall": self.region.recall,
            "J-Decay": self.region.decay,
            "F-Mean": self.contour.mean,
            "F-Recall": self.contour.recall,
            "F-Decay": self.contour.decay,
        }


@dataclass(frozen=True, slots=True)
class ObjectScore(_Scored):
    """J and F of one object; in the unsupervised task ``id`` is its row, see :class:`SequenceScore`."""

    sequence: str
    id: int
    region: Statistics
    contour: Statistics

    @property
    def name(self) -> str:
        """Name in the official tables: sequence and id."""
        return f"{self.sequence}_{self.id}"


class _HasObjects(Protocol):
    @property
    def objects(self) -> tuple[ObjectScore, ...]: ...


class _Averaged(_Scored):
    """Scores of several objects with equal weight."""

    @property
    def region(self: _HasObjects) -> Statistics:
        """J, averaged over the objects."""
        return _average(item.region for item in self.objects)

    @property
    def contour(self: _HasObjects) -> Statistics:
        """F, averaged over the objects."""
        return _average(item.contour for item in self.objects)


@dataclass(frozen=True)
class SequenceScore(_Averaged):
    """All scores of one sequence."""

    name: str
    region_frames: Scores  # J, (objects, scored frames); row k belongs to ``objects[k]``
    contour_frames: Scores  # F, of the same shape
    objects: tuple[ObjectScore, ...]
    missing: tuple[int, ...] = ()  # ids that the result never shows; scored as empty masks
    match: tuple[tuple[int, int], ...] = ()  # unsupervised: ids of proposal and object of each row


@dataclass(frozen=True)
class DavisReport(_Averaged):
    """Scores of a set of sequences; every object has equal weight.

    Attributes:
        sequences: scores of each.
        region: J, averaged over all objects.
        contour: F, averaged over all objects.
        j_and_f: the benchmark's one number: mean of the J mean and the F mean.
        measures: all statistics by their official names.
    """

    sequences: tuple[SequenceScore, ...]

    @property
    def objects(self) -> tuple[ObjectScore, ...]:
        """All objects, in order of the sequences."""
        return tuple(item for sequence in self.sequences for item in sequence.objects)

    def global_csv(self) -> str:
        """Format the scores of the set as CSV.

        Returns:
            Text of the official ``global_results-<set>.csv``.
        """
        measures = self.measures
        return f"{','.join(measures)}\n{','.join(map(_three_decimals, measures.values()))}\n"

    def per_sequence_csv(self) -> str:
        """Format the scores of each object as CSV.

        Returns:
            Text of the official ``per-sequence_results-<set>.csv``.
        """
        rows = (
            f"{item.name},{_three_decimals(item.region.mean)},{_three_decimals(item.contour.mean)}\n"
            for item in self.objects
        )
        return "Sequence,J-Mean,F-Mean\n" + "".join(rows)


def statistics(values: Scores) -> Statistics:
    """Mean, recall and decay of one object over its scored frames, (frames,), ignoring NaN."""
    count = len(values)
    if count == 0:
        raise DatasetError("no scored frame; statistics need at least one")
    # Quarters share their border frames; the shift makes halves round up, as the official tool does.
    edges = np.round(np.linspace(1, count, 5) + 1e-10).astype(np.int64) - 1
    first, last = values[: edges[1] + 1], values[edges[3] : edges[4] + 1]
    return Statistics(
        mean=mean_of_valid(values),
        recall=float(np.mean(values > 0.5)),
        decay=mean_of_valid(first) - mean_of_valid(last),
    )


def mean_of_valid(values: Scores) -> float:
    """Mean without NaN entries; NaN if there are no others."""
    valid = values[~np.isnan(values)]
    return float(valid.mean()) if valid.size else math.nan


def _average(items: Iterable[Statistics]) -> Statistics:
    table = np.array([(item.mean, item.recall, item.decay) for item in items])
    if table.size == 0:
        raise DatasetError("no object was scored, so there is no average")
    mean, recall, decay = (mean_of_valid(column) for column in table.T)
    return Statistics(mean, recall, decay)


def _three_decimals(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"
