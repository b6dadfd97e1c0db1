"""Scores of sequences and folders by the semi-supervised DAVIS protocol."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from segue.errors import DatasetError
from segue.metrics.davis import DavisAccumulator, SemiSupervised
from segue.metrics.report import DavisReport, SequenceScore, statistics
from tests.golden_arrays import Golden
from tests.metrics.making import Masks, moving_squares


def score(
    predictions: Masks, truths: Masks, protocol: SemiSupervised = "2017", name: str = "clip"
) -> SequenceScore:
    accumulator = DavisAccumulator(name, protocol=protocol)
    for prediction, truth in zip(predictions, truths, strict=True):
        accumulator.update(prediction, truth)
    return accumulator.score()


def test_scores_equal_the_official_ones_on_every_frame(golden: Callable[[str], Golden]) -> None:
    arrays = golden("davis_semi")
    for name in arrays["sequences"].tolist():
        found = score(arrays[f"{name}.res"], arrays[f"{name}.gt"])
        np.testing.assert_allclose(found.region_frames, arrays[f"{name}.J"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.contour_frames, arrays[f"{name}.F"], rtol=0, atol=1e-12)


def test_report_equals_the_official_statistics_and_tables(golden: Callable[[str], Golden]) -> None:
    arrays = golden("davis_semi")
    report = DavisReport(
        tuple(
            score(arrays[f"{name}.res"], arrays[f"{name}.gt"], name=name)
            for name in arrays["sequences"].tolist()
        )
    )
    assert [item.name for item in report.objects] == arrays["object_names"].tolist()
    for letter, attribute in (("M", "mean"), ("R", "recall"), ("D", "decay")):
        region = [getattr(item.region, attribute) for item in report.objects]
        contour = [getattr(item.contour, attribute) for item in report.objects]
        np.testing.assert_allclose(region, arrays[f"all.J.{letter}"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(contour, arrays[f"all.F.{letter}"], rtol=0, atol=1e-12)
    assert report.j_and_f == pytest.approx(float(arrays["J&F"]), abs=1e-12)
    assert report.global_csv() == str(arrays["csv_global"])
    assert report.per_sequence_csv() == str(arrays["csv_per_sequence"])


def test_statistics_equal_the_official_ones_for_short_and_long_sequences(
    golden: Callable[[str], Golden],
) -> None:
    arrays = golden("davis_units")
    names = [key.removesuffix(".v") for key in arrays.arrays if key.startswith("stat") and key.endswith(".v")]
    assert len(names) >= 10
    for name in names:
        found = statistics(arrays[f"{name}.v"])
        np.testing.assert_allclose(
            [found.mean, found.recall, found.decay], arrays[f"{name}.MRD"], rtol=0, atol=1e-12
        )


def test_a_scored_frame_without_prediction_is_named() -> None:
    accumulator = DavisAccumulator("bear")
    truths = moving_squares()
    accumulator.update(None, truths[0])
    accumulator.update(None, truths[1])
    with pytest.raises(DatasetError, match=r"bear.*frame 1"):
        accumulator.update(None, truths[2])


def test_an_id_beyond_the_objects_is_refused_with_sequence_and_frame() -> None:
    truths = moving_squares()
    predictions = truths.copy()
    assert score(predictions, truths, name="bear").objects
    predictions[2, 0, 0] = 7
    with pytest.raises(DatasetError, match=r"sequence bear, annotated frame 2: .* id 7"):
        score(predictions, truths, name="bear")


def test_the_toolkit_of_2016_averages_over_all_frames_but_recall_and_decay_over_the_inner_ones() -> None:
    truths = moving_squares(frames=6, objects=1)
    predictions = truths.copy()
    predictions[[0, 5]] = 0
    found = score(predictions, truths, protocol="2016-toolkit")
    assert found.region_frames.tolist() == [[0, 1, 1, 1, 1, 0]]
    assert found.region.mean == pytest.approx(4 / 6)
    assert (found.region.recall, found.region.decay) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (moving_squares(frames=2), "2 annotated frames; at least 3"),
        (np.zeros((4, 8, 8), np.uint8), "has no object"),
        (np.full((4, 8, 8), 255, np.uint8), "0/255"),
        (np.ones((4, 8, 8), np.float32), "integer type"),
        (np.full((4, 8, 8), -1), "negative"),
    ],
)
def test_masks_that_cannot_be_scored_are_refused(masks: Masks, message: str) -> None:
    with pytest.raises(DatasetError, match=f"sequence clip.*{message}"):
        score(masks, masks)
