"""Pixel counts and the measures of CDnet2014 on them."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segue.errors import DatasetError
from segue.metrics.foreground.counts import Counts, ForegroundAccumulator

Array = npt.NDArray[np.uint8]

LABELS = np.array([0, 50, 85, 170, 255], np.uint8)
GREYS = np.array([0, 1, 127, 254, 255], np.uint8)

few = settings(max_examples=50, deadline=None)


@st.composite
def videos(draw: st.DrawFn) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Results (T, H, W), labels (T, H, W) and region (H, W)."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 7)))
    picks = arrays(np.uint8, shape, elements=st.integers(0, 4))
    return GREYS[draw(picks)], LABELS[draw(picks)], draw(arrays(np.bool_, shape[1:]))


def count(results: npt.NDArray[Any], labels: Array, **options: Any) -> Counts:
    accumulator = ForegroundAccumulator(**options)
    for result, truth in zip(results, labels, strict=True):
        accumulator.update(result, truth)
    return accumulator.counts


def count_plainly(results: Array, labels: Array, roi: npt.NDArray[np.bool_]) -> Counts:
    """The rules of the comparator, one by one."""
    used = roi & (labels != 170)
    found, true = results == 255, labels == 255
    cases = (found & true, found & ~true, ~found & true, ~found & ~true, found & (labels == 50), labels == 50)
    return Counts(*(int((case & used).sum()) for case in cases))


@few
@given(videos())
def test_counts_are_those_of_the_rules_of_the_comparator(
    video: tuple[Array, Array, npt.NDArray[np.bool_]],
) -> None:
    results, labels, roi = video
    assert count(results, labels, roi=roi) == count_plainly(results, labels, roi)


def test_counts_beyond_32_bits_do_not_overflow() -> None:
    counts = Counts(tp=2**40, fp=2**40, fn=2**40, tn=2**40)
    assert counts.measures()["MCC"] == 0
    assert counts.measures()["F"] == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize(("threshold", "found"), [(255, 1), (254, 2), (127, 3), (15, 3), (1, 4)])
def test_results_are_foreground_from_the_threshold_on(threshold: int, found: int) -> None:
    assert count(GREYS[None, None], np.full((1, 1, 5), 255, np.uint8), threshold=threshold).tp == found


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.int64])
def test_masks_of_0_and_1_count_with_a_threshold_of_1(kind: type[np.generic]) -> None:
    labels = np.array([[[255, 255, 0, 0]]], np.uint8)
    result = np.array([[[1, 0, 1, 0]]]).astype(kind)
    assert astuple(count(result, labels, threshold=1))[:4] == (1, 1, 1, 1)


def test_ignored_labels_count_for_nothing_and_85_is_officially_background() -> None:
    labels, result = LABELS[None, None], np.full((1, 1, 5), 255, np.uint8)
    assert count(result, labels) == Counts(tp=1, fp=3, fn=0, tn=0, se=1, shadow=1)
    assert count(result, labels, ignored=(170, 85)) == Counts(tp=1, fp=2, se=1, shadow=1)
    assert count(result, labels, ignored=(170, 85, 50)) == Counts(tp=1, fp=1)
    assert count(result, labels, ignored=()) == Counts(tp=1, fp=4, se=1, shadow=1)


def test_frames_that_do_not_fit_are_refused() -> None:
    accumulator = ForegroundAccumulator("baseline/office", roi=np.ones((4, 5), np.bool_))
    labels = np.zeros((4, 5), np.uint8)
    with pytest.raises(DatasetError, match=r"baseline/office: .*\(5, 4\)"):
        accumulator.update(labels.T, labels)
    with pytest.raises(DatasetError):
        accumulator.update(labels.T, labels.T)
    with pytest.raises(DatasetError):
        accumulator.update(labels.astype(np.float32), labels)
