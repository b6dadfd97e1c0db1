"""Scores by the unsupervised DAVIS protocol."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.errors import DatasetError
from segue.metrics.davis import UnsupervisedAccumulator
from segue.metrics.report import DavisReport, SequenceScore
from tests.golden_arrays import Golden

Masks = npt.NDArray[np.integer]


def moving_squares(frames: int = 4, objects: int = 3) -> npt.NDArray[np.uint8]:
    """Index masks (T, H, W): object k is a square of its own size that moves to the right."""
    masks = np.zeros((frames, 40, 50), np.uint8)
    for t in range(frames):
        for k in range(objects):
            masks[t, 2 + 12 * k : 9 + 12 * k + k, 5 + 3 * t : 15 + 3 * t + k] = k + 1
    return masks


def score(predictions: Masks, truths: Masks, name: str = "clip") -> SequenceScore:
    accumulator = UnsupervisedAccumulator(name)
    for prediction, truth in zip(predictions, truths, strict=True):
        accumulator.update(prediction, truth)
    return accumulator.score()


def test_scores_matches_and_tables_equal_the_official_ones(golden: Callable[[str], Golden]) -> None:
    arrays = golden("davis_unsup")
    scores = []
    for name in arrays["sequences"].tolist():
        found = score(arrays[f"{name}.res"], arrays[f"{name}.gt"], name)
        np.testing.assert_allclose(found.region_frames, arrays[f"{name}.J"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.contour_frames, arrays[f"{name}.F"], rtol=0, atol=1e-12)
        np.testing.assert_array_equal(np.array(found.match) - 1, arrays[f"{name}.match"])
        scores.append(found)
    report = DavisReport(tuple(scores))
    assert [item.name for item in report.objects] == arrays["object_names"].tolist()
    for letter, attribute in (("M", "mean"), ("R", "recall"), ("D", "decay")):
        region = [getattr(item.region, attribute) for item in report.objects]
        contour = [getattr(item.contour, attribute) for item in report.objects]
        np.testing.assert_allclose(region, arrays[f"all.J.{letter}"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(contour, arrays[f"all.F.{letter}"], rtol=0, atol=1e-12)
    assert report.j_and_f == pytest.approx(float(arrays["J&F"]), abs=1e-12)
    assert report.global_csv() == str(arrays["csv_global"])
    assert report.per_sequence_csv() == str(arrays["csv_per_sequence"])


@settings(max_examples=25)
@given(st.permutations(range(1, 21)))
def test_permuting_the_ids_of_the_proposals_changes_no_objects_score(order: list[int]) -> None:
    truths = moving_squares()
    proposals = np.roll(truths, 2, axis=2)
    plain = score(proposals, truths)
    renamed = score(np.array([0, *order], np.uint8)[proposals], truths)
    by_object = [{item: k for k, (_, item) in enumerate(result.match)} for result in (plain, renamed)]
    for item in (1, 2, 3):
        rows = [found[item] for found in by_object]
        np.testing.assert_array_equal(plain.region_frames[rows[0]], renamed.region_frames[rows[1]])
        np.testing.assert_array_equal(plain.contour_frames[rows[0]], renamed.contour_frames[rows[1]])


def test_all_frames_count_the_first_and_the_last_included() -> None:
    truths = moving_squares(objects=1)
    predictions = truths.copy()
    predictions[[0, 3]] = 0
    assert score(predictions, truths).region_frames.tolist() == [[0, 1, 1, 0]]


def test_void_pixels_count_for_nothing() -> None:
    truths = moving_squares(objects=1)
    predictions = truths.copy()
    predictions[:, 30:39, 30:40] = 1
    truths[:, 30:39, 30:40] = 255
    found = score(predictions, truths)
    assert (found.region.mean, found.contour.mean) == (1.0, 1.0)


def test_further_proposals_cost_nothing_and_missing_ones_are_named() -> None:
    truths = moving_squares(objects=2)
    more = moving_squares(objects=3)
    assert score(more, truths).j_and_f == 1.0
    fewer = score(truths, more)
    assert fewer.missing == (3,)
    assert fewer.region.mean == pytest.approx(2 / 3)


def test_an_object_takes_only_one_proposal() -> None:
    """Each half of a square is a proposal: only one of them can be matched."""
    truths = moving_squares(objects=1)
    halves = truths.copy()
    halves[:, :, :10][truths[:, :, :10] == 1] = 2
    found = score(halves, truths)
    assert len(found.match) == 1
    assert found.region.mean < 1


def test_proposals_beyond_the_twentieth_are_refused_with_sequence_and_frame() -> None:
    truths = moving_squares()
    predictions = truths.astype(np.uint16)
    predictions[2, 0, 0] = 21
    with pytest.raises(DatasetError, match=r"sequence bear, annotated frame 2: .* id 21; at most 20"):
        score(predictions, truths, "bear")


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(DatasetError, match="no annotated frame"):
        UnsupervisedAccumulator("bear").score()
    truths = moving_squares()
    with pytest.raises(DatasetError, match=r"frame 0: prediction is \(40, 49\), truth \(40, 50\)"):
        score(truths[:, :, 1:], truths)
    with pytest.raises(DatasetError, match="has no object"):
        score(truths, truths * 0)
    with pytest.raises(DatasetError, match="integer type"):
        score(truths.astype(np.float32), truths)  # type: ignore[arg-type]
