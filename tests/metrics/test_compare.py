"""Comparisons: differences are exact, and intervals are those of the bootstrap's closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segue.errors import DatasetError
from segue.metrics.compare import compare, paired_interval
from tests.reports.making import evaluation

SCORES = {"a": 0.5, "b": 0.25, "c": math.nan, "d": 1.0}


def test_identical_results_differ_by_nothing() -> None:
    comparison = compare(evaluation(SCORES), evaluation(SCORES))
    for interval in comparison.intervals.values():
        assert (interval.mean, interval.low, interval.high, interval.sequences) == (0, 0, 0, 3)


@pytest.mark.parametrize(("count", "ones"), [(10, 3), (40, 20), (200, 30)])
def test_interval_of_zeros_and_ones_is_that_of_the_binomial_law(count: int, ones: int) -> None:
    differences = np.array([1.0] * ones + [0.0] * (count - ones))
    interval = paired_interval(differences)
    assert interval.mean == ones / count
    from scipy.stats import binom  # takes half a second, and most processes of the tests do not need it

    low, high = binom.ppf((0.025, 0.975), count, ones / count) / count
    # A quantile of 10,000 draws may fall on the neighbouring value of a discrete law.
    assert interval.low == pytest.approx(low, abs=1.001 / count)
    assert interval.high == pytest.approx(high, abs=1.001 / count)


def test_interval_of_many_sequences_is_that_of_the_normal_law() -> None:
    differences = np.random.default_rng(1).normal(0.02, 0.1, 2000)
    interval = paired_interval(differences)
    half = 1.96 * differences.std() / math.sqrt(len(differences))
    assert interval.low == pytest.approx(interval.mean - half, abs=0.05 * half)
    assert interval.high == pytest.approx(interval.mean + half, abs=0.05 * half)


def test_protocols_and_sequences_must_be_the_same() -> None:
    with pytest.raises(DatasetError):
        compare(evaluation(SCORES), evaluation(SCORES, protocol="another"))
    with pytest.raises(DatasetError, match="scores of b, c, d;"):
        compare(evaluation(SCORES), evaluation({"a": 0.5}))
