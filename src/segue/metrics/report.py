"""What a DAVIS evaluation finds: scores per frame, statistics per object, per sequence and over all."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segue.errors import DatasetError

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Statistics:
    """A measure over time or over objects.

    Attributes:
        mean: average, in [0, 1].
        recall: share of the frames above 0.5.
        decay: mean of the first quarter minus mean of the last one; positive when quality drops.
    """

    mean: float
    recall: float
    decay: float


@dataclass(frozen=True, slots=True)
class ObjectScore:
    """J and F statistics of one object.

    Attributes:
        sequence: name of its sequence.
        id: its index in the ground truth.
        region: region similarity J.
        contour: contour accuracy F.
    """

    sequence: str
    id: int
    region: Statistics
    contour: Statistics

    @property
    def name(self) -> str:
        """Name in the official tables: sequence and id."""
        return f"{self.sequence}_{self.id}"

    @property
    def j_and_f(self) -> float:
        """Mean of the J mean and the F mean."""
        return (self.region.mean + self.contour.mean) / 2


@dataclass(frozen=True)
class SequenceScore:
    """All scores of one sequence.

    Attributes:
        name: name of the sequence.
        region_frames: J, (objects, scored frames), float64; row k belongs to object k + 1.
        contour_frames: F, of the same shape.
        objects: statistics of each object, in the order of the ids.
    """

    name: str
    region_frames: Scores
    contour_frames: Scores
    objects: tuple[ObjectScore, ...]

    @property
    def region(self) -> Statistics:
        """J, averaged over the objects."""
        return _average(item.region for item in self.objects)

    @property
    def contour(self) -> Statistics:
        """F, averaged over the objects."""
        return _average(item.contour for item in self.objects)

    @property
    def j_and_f(self) -> float:
        """Mean of the J mean and the F mean."""
        return (self.region.mean + self.contour.mean) / 2


@dataclass(frozen=True)
class DavisReport:
    """Scores of a set of sequences; every object counts the same, however long or crowded its sequence is."""

    sequences: tuple[SequenceScore, ...]

    @property
    def objects(self) -> tuple[ObjectScore, ...]:
        """All objects, in the order of the sequences."""
        return tuple(item for sequence in self.sequences for item in sequence.objects)

    @property
    def region(self) -> Statistics:
        """J, averaged over all objects."""
        return _average(item.region for item in self.objects)

    @property
    def contour(self) -> Statistics:
        """F, averaged over all objects."""
        return _average(item.contour for item in self.objects)

    @property
    def j_and_f(self) -> float:
        """The benchmark's one number: mean of the J mean and the F mean."""
        return (self.region.mean + self.contour.mean) / 2

    def global_csv(self) -> str:
        """Text of the official ``global_results-<set>.csv``."""
        region, contour = self.region, self.contour
        values = (
            self.j_and_f,
            *(region.mean, region.recall, region.decay),
            *(contour.mean, contour.recall, contour.decay),
        )
        header = "J&F-Mean,J-Mean,J-Recall,J-Decay,F-Mean,F-Recall,F-Decay"
        return f"{header}\n{','.join(map(_three_decimals, values))}\n"

    def per_sequence_csv(self) -> str:
        """Text of the official ``per-sequence_results-<set>.csv``: one row for each object."""
        rows = (
            f"{item.name},{_three_decimals(item.region.mean)},{_three_decimals(item.contour.mean)}\n"
            for item in self.objects
        )
        return "Sequence,J-Mean,F-Mean\n" + "".join(rows)


def statistics(values: Scores) -> Statistics:
    """Mean, recall and decay of one object over its scored frames, (frames,); NaN is a frame without a value.

    Raises:
        DatasetError: there is no frame.
    """
    count = len(values)
    if count == 0:
        raise DatasetError("no scored frame; statistics need at least one")
    # Quarters share their border frames; the shift makes halves round up, as the official tool does.
    edges = np.round(np.linspace(1, count, 5) + 1e-10).astype(np.int64) - 1
    first, last = values[: edges[1] + 1], values[edges[3] : edges[4] + 1]
    return Statistics(
        mean=_mean(values), recall=float(np.mean(values > 0.5)), decay=_mean(first) - _mean(last)
    )


def _mean(values: Scores) -> float:
    """Mean without the NaN entries; NaN if nothing else is there."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _average(items: Iterable[Statistics]) -> Statistics:
    """Unweighted mean of each statistic."""
    table = np.array([(item.mean, item.recall, item.decay) for item in items])
    if table.size == 0:
        raise DatasetError("no object was scored, so there is no average")
    mean, recall, decay = (_mean(column) for column in table.T)
    return Statistics(mean, recall, decay)


def _three_decimals(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"
