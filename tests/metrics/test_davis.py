"""Scores of sequences and folders by the semi-supervised DAVIS protocol."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(st.permutations([1, 2, 3]))
def test_renaming_the_objects_reorders_their_scores(order: list[int]) -> None:
    truths, names = moving_squares(objects=3), np.array([0, *order], np.uint8)
    predictions = np.roll(truths, 2, axis=2)
    renamed, plain = score(names[predictions], names[truths]), score(predictions, truths)
    np.testing.assert_array_equal(renamed.region_frames[np.array(order) - 1], plain.region_frames)
    np.testing.assert_array_equal(renamed.contour_frames[np.array(order) - 1], plain.contour_frames)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_every_integer_type_gives_the_same_scores(dtype: type[np.integer]) -> None:
    truths = moving_squares()
    predictions = np.roll(truths, 1, axis=2)
    found, expected = score(predictions.astype(dtype), truths), score(predictions, truths)
    np.testing.assert_array_equal(found.region_frames, expected.region_frames)


def test_a_perfect_result_scores_one_without_decay() -> None:
    report = DavisReport((score(moving_squares(), moving_squares()),))
    assert (report.j_and_f, report.region.recall, report.region.decay) == (1.0, 1.0, 0.0)


def test_first_and_last_frame_are_not_scored_and_need_no_prediction() -> None:
    truths = moving_squares()
    accumulator = DavisAccumulator()
    for i, truth in enumerate(truths):
        accumulator.update(None if i in (0, 5) else truth, truth)
    assert accumulator.score().region_frames.shape == (2, 4)


def test_a_scored_frame_without_prediction_is_named() -> None:
    accumulator = DavisAccumulator("bear")
    truths = moving_squares()
    accumulator.update(None, truths[0])
    accumulator.update(None, truths[1])
    with pytest.raises(DatasetError, match="sequence bear, annotated frame 1"):
        accumulator.update(None, truths[2])


def test_masks_may_be_reused_by_the_caller_after_an_update() -> None:
    truths = moving_squares()
    accumulator = DavisAccumulator()
    prediction, truth = np.empty_like(truths[0]), np.empty_like(truths[0])
    for mask in truths:
        prediction[:], truth[:] = mask, mask
        accumulator.update(prediction, truth)
        prediction[:] = truth[:] = 0
    assert accumulator.score().j_and_f == 1.0


def test_foreground_on_void_pixels_is_punished() -> None:
    truths = moving_squares(objects=1)
    predictions = truths.copy()
    predictions[:, 30:39, 30:40] = 1
    truths[:, 30:39, 30:40] = 255
    np.testing.assert_array_equal(score(predictions, truths).region_frames, np.full((1, 4), 0.5))


def test_objects_that_appear_after_the_first_frame_are_not_scored() -> None:
    truths = moving_squares()
    predictions = np.where(truths == 1, truths, 0)
    truths[0] = predictions[0]
    found = score(predictions, truths)
    assert len(found.objects) == 1
    assert found.j_and_f == 1.0


def test_an_object_that_is_never_predicted_scores_zero() -> None:
    truths = moving_squares()
    found = score(np.where(truths == 1, truths, 0), truths)
    assert [item.j_and_f for item in found.objects] == [1.0, 0.0]
    assert found.j_and_f == 0.5


def test_an_id_beyond_the_objects_is_refused_with_sequence_and_frame() -> None:
    truths = moving_squares()
    predictions = truths.copy()
    predictions[2, 0, 0] = 7
    with pytest.raises(
        DatasetError, match=r"sequence bear, annotated frame 2: .* id 7, but the objects are 1 to 2"
    ):
        score(predictions, truths, name="bear")


def test_protocol_2016_scores_all_objects_as_one() -> None:
    truths = moving_squares()
    swapped = np.array([0, 2, 1], np.uint8)[truths]
    assert score(swapped, truths).region.mean == 0.0
    merged = score(swapped, truths, protocol="2016")
    assert (len(merged.objects), merged.j_and_f) == (1, 1.0)


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
    with pytest.raises(DatasetError, match=message):
        score(masks, masks)


def test_masks_of_two_sizes_are_refused() -> None:
    truths = moving_squares()
    with pytest.raises(DatasetError, match=r"frame 1: prediction is \(40, 49\), truth \(40, 50\)"):
        score(truths[:, :, 1:], truths)


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(DatasetError, match="2016-toolkit"):
        DavisAccumulator(protocol="2018")  # type: ignore[arg-type]
