"""Scores by the unsupervised DAVIS protocol."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

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


def test_proposals_beyond_the_twentieth_are_refused_with_sequence_and_frame() -> None:
    truths = moving_squares()
    predictions = truths.astype(np.uint16)
    predictions[2, 0, 0] = 21
    with pytest.raises(DatasetError, match=r"sequence bear, annotated frame 2: .* id 21"):
        score(predictions, truths, "bear")


def test_masks_that_cannot_be_scored_are_refused() -> None:
    with pytest.raises(DatasetError):
        UnsupervisedAccumulator("bear").score()
    truths = moving_squares()
    with pytest.raises(DatasetError):
        score(truths[:, :, 1:], truths)
    with pytest.raises(DatasetError):
        score(truths, truths * 0)
    with pytest.raises(DatasetError):
        score(truths.astype(np.float32), truths)  # type: ignore[arg-type]
