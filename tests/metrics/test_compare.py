"""Comparisons: differences are exact, and intervals are those of the bootstrap's closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from segue.errors import DatasetError
from segue.metrics.compare import compare, paired_interval
from tests.reports.making import evaluation

SCORES = {"a": 0.5, "b": 0.25, "c": math.nan, "d": 1.0}


def test_identical_results_differ_by_nothing() -> None:
    comparison = compare(evaluation(SCORES), evaluation(SCORES))
    for interval in comparison.intervals.values():
        assert (interval.mean, interval.low, interval.high, interval.sequences) == (0, 0, 0, 3)


def test_a_shift_of_all_sequences_has_no_spread() -> None:
    better = {name: score + 0.125 for name, score in SCORES.items()}
    interval = compare(evaluation(SCORES), evaluation(better)).intervals["J&F-Mean"]
    assert (interval.mean, interval.low, interval.high) == (0.125, 0.125, 0.125)


@pytest.mark.parametrize(("count", "ones"), [(10, 3), (40, 20), (200, 30)])
def test_interval_of_zeros_and_ones_is_that_of_the_binomial_law(count: int, ones: int) -> None:
    differences = np.array([1.0] * ones + [0.0] * (count - ones))
    interval = paired_interval(differences)
    assert interval.mean == ones / count
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


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=30), st.integers(0, 2**32))
def test_swapping_the_results_mirrors_the_interval(values: list[float], seed: int) -> None:
    differences = np.array(values)
    there, back = paired_interval(differences, seed=seed), paired_interval(-differences, seed=seed)
    assert back.mean == pytest.approx(-there.mean, abs=1e-12)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=1e-12)
    assert min(values) - 1e-12 <= there.low <= there.high <= max(values) + 1e-12


def test_the_seed_decides() -> None:
    differences = np.random.default_rng(0).normal(size=30)
    assert paired_interval(differences, seed=5) == paired_interval(differences, seed=5)
    assert paired_interval(differences, seed=5) != paired_interval(differences, seed=6)


@pytest.mark.parametrize(("values", "count"), [([], 0), ([math.nan], 0), ([0.5, math.nan], 1)])
def test_one_sequence_has_no_interval(values: list[float], count: int) -> None:
    interval = paired_interval(np.array(values))
    assert interval.sequences == count
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_few_sequences_are_remarked() -> None:
    few = compare(evaluation(SCORES), evaluation(SCORES), names=("old", "new"))
    assert few.remarks[:2] == ("old: something to know", "new: something to know")
    assert "only 3 sequences" in few.remarks[2]
    one = compare(evaluation({"a": 0.5}), evaluation({"a": 0.5}))
    assert "needs at least two" in one.remarks[2]
    many = {f"s{i}": i / 30 for i in range(30)}
    assert len(compare(evaluation(many), evaluation(many)).remarks) == 2


def test_protocols_and_sequences_must_be_the_same() -> None:
    with pytest.raises(DatasetError, match="under one protocol"):
        compare(evaluation(SCORES), evaluation(SCORES, protocol="another"))
    with pytest.raises(DatasetError, match="scores of b, c, d;"):
        compare(evaluation(SCORES), evaluation({"a": 0.5}))
