"""Compare two results under one protocol: differences by sequence, with bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segue.errors import DatasetError
from segue.metrics.evaluation import Evaluation
from segue.utils.naming import first_few

RESAMPLES = 10_000
"""Sets of sequences that the bootstrap draws."""

CONFIDENCE = 0.95
"""Share of resampled mean differences inside the interval."""

ENOUGH_SEQUENCES = 20
"""With fewer sequences a percentile interval is noticeably too narrow; comparisons say so."""

_BATCH_VALUES = 1_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """Mean difference of a measure over the sequences that have it in both results.

    Attributes:
        mean: second minus first, every sequence counting the same.
        low: lower end of the bootstrap interval; NaN with fewer than two sequences.
        high: its upper end.
        sequences: number of sequences that took part.
    """

    mean: float
    low: float
    high: float
    sequences: int


@dataclass(frozen=True)
class Comparison:
    """Two evaluations of the same sequences under the same protocol.

    Attributes:
        names: names of the two results.
        first, second: scores of each.
        intervals: mean difference by sequence with its interval, by measure.
        seed: seed of the bootstrap.
        remarks: notes on both results and on the interval.
    """

    names: tuple[str, str]
    first: Evaluation
    second: Evaluation
    intervals: Mapping[str, Interval]
    seed: int
    remarks: tuple[str, ...]


def compare(
    first: Evaluation, second: Evaluation, *, names: tuple[str, str] = ("first", "second"), seed: int = 0
) -> Comparison:
    """Compare two evaluations.

    The interval is a paired percentile bootstrap: sequences are drawn with replacement, each with its scores
    in both results, :data:`RESAMPLES` times; the interval holds the middle :data:`CONFIDENCE` of the mean
    differences (Efron and Tibshirani, "An Introduction to the Bootstrap", chapter 13). It is about the mean
    over sequences; where the protocol averages over something else (objects, classes, categories), the
    difference of the overall numbers is given separately.

    Args:
        first: scores of the first result.
        second: scores of the second result, of the same sequences under the same protocol.
        names: names of the two results.
        seed: seed of the bootstrap, 0 or larger; the same seed gives the same interval.

    Returns:
        Both evaluations, and for each measure of the sequences the mean difference, second minus first, with
        its interval, in the unit of the measure. A sequence without a value in one of them takes no part.

    Raises:
        DatasetError: the protocols or the sequences differ.
    """
    if first.protocol != second.protocol:
        raise DatasetError(
            f"'{first.protocol}' and '{second.protocol}' cannot be compared; score both under one protocol"
        )
    if lonely := first.sequences.keys() ^ second.sequences.keys():
        raise DatasetError(
            f"only one of the two results has scores of {first_few(sorted(lonely))}; score both on one set"
        )
    columns = list(dict.fromkeys(key for measures in first.sequences.values() for key in measures))
    intervals = {key: paired_interval(_differences(first, second, key), seed=seed) for key in columns}
    return Comparison(names, first, second, intervals, seed, _remarks(first, second, names, intervals))


def paired_interval(differences: npt.NDArray[np.float64], *, seed: int = 0) -> Interval:
    """Mean of differences (sequences,) with its bootstrap interval; NaN entries are ignored."""
    valid = differences[~np.isnan(differences)]
    count = len(valid)
    if count < 2:
        return Interval(float(valid[0]) if count else math.nan, math.nan, math.nan, count)
    generator = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    step = max(_BATCH_VALUES // count, 1)  # bounds the memory, however many sequences there are
    for start in range(0, RESAMPLES, step):
        part = means[start : start + step]
        part[:] = valid[generator.integers(count, size=(len(part), count))].mean(axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return Interval(float(valid.mean()), float(low), float(high), count)


def _differences(first: Evaluation, second: Evaluation, key: str) -> npt.NDArray[np.float64]:
    pairs = ((first.sequences[name], second.sequences[name]) for name in first.sequences)
    return np.array([b.get(key, math.nan) - a.get(key, math.nan) for a, b in pairs], np.float64)


def _remarks(
    first: Evaluation, second: Evaluation, names: tuple[str, str], intervals: Mapping[str, Interval]
) -> tuple[str, ...]:
    remarks = [f"{names[0]}: {remark}" for remark in first.remarks]
    remarks += [f"{names[1]}: {remark}" for remark in second.remarks]
    if first.headline in intervals:
        count = intervals[first.headline].sequences
        if count < 2:
            remarks.append(f"{count} sequence with {first.headline} in both: an interval needs at least two")
        elif count < ENOUGH_SEQUENCES:
            remarks.append(
                f"only {count} sequences: the interval is rough and rather too narrow "
                f"({ENOUGH_SEQUENCES} or more make it trustworthy)"
            )
    else:
        remarks.append("the protocol gives no scores by sequence, so there is no interval")
    return tuple(remarks)
