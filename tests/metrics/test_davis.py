"""Scores of sequences and folders by the semi-supervised DAVIS protocol."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from segue.datasets.davis import DavisFolder
from segue.errors import DatasetError
from segue.metrics.davis import (
    DavisAccumulator,
    DavisReport,
    Protocol,
    SequenceScore,
    contour_accuracies,
    contour_accuracy,
    evaluate_folder,
    region_similarities,
    region_similarity,
    statistics,
)

Masks = npt.NDArray[np.uint8]


def moving_squares(frames: int = 6, objects: int = 2) -> Masks:
    """Index masks (T, H, W): object k is a square that moves to the right below object k - 1."""
    masks = np.zeros((frames, 40, 50), np.uint8)
    for t in range(frames):
        for k in range(objects):
            masks[t, 4 + 12 * k : 13 + 12 * k, 5 + 3 * t : 15 + 3 * t] = k + 1
    return masks


def score(
    predictions: Masks, truths: Masks, protocol: Protocol = "2017", name: str = "clip"
) -> SequenceScore:
    accumulator = DavisAccumulator(name, protocol=protocol)
    for prediction, truth in zip(predictions, truths, strict=True):
        accumulator.update(prediction, truth)
    return accumulator.score()


def save_masks(folder: Path, masks: Masks) -> None:
    folder.mkdir(parents=True)
    for i, mask in enumerate(masks):
        Image.fromarray(mask).save(folder / f"{i:05d}.png")


def save_davis(root: Path, sequences: dict[str, Masks]) -> DavisFolder:
    for name, masks in sequences.items():
        save_masks(root / "Annotations" / "480p" / name, masks)
        save_masks(root / "JPEGImages" / "480p" / name, masks)
    return DavisFolder(root)


def test_scores_equal_the_official_ones_on_every_frame(shared: Path) -> None:
    golden = np.load(shared / "golden" / "davis_semi.npz")
    for name in golden["sequences"].tolist():
        found = score(golden[f"{name}.res"], golden[f"{name}.gt"])
        np.testing.assert_allclose(found.region_frames, golden[f"{name}.J"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.contour_frames, golden[f"{name}.F"], rtol=0, atol=1e-12)


def test_report_equals_the_official_statistics_and_tables(shared: Path) -> None:
    golden = np.load(shared / "golden" / "davis_semi.npz")
    report = DavisReport(
        tuple(
            score(golden[f"{name}.res"], golden[f"{name}.gt"], name=name)
            for name in golden["sequences"].tolist()
        )
    )
    assert [item.name for item in report.objects] == golden["object_names"].tolist()
    for letter, attribute in (("M", "mean"), ("R", "recall"), ("D", "decay")):
        region = [getattr(item.region, attribute) for item in report.objects]
        contour = [getattr(item.contour, attribute) for item in report.objects]
        np.testing.assert_allclose(region, golden[f"all.J.{letter}"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(contour, golden[f"all.F.{letter}"], rtol=0, atol=1e-12)
    assert report.j_and_f == pytest.approx(float(golden["J&F"]), abs=1e-12)
    assert report.global_csv() == str(golden["csv_global"])
    assert report.per_sequence_csv() == str(golden["csv_per_sequence"])


def test_scores_equal_the_official_ones_on_real_masks(shared: Path) -> None:
    root = shared / "data" / "vos" / "davis2016_480p"
    if not root.is_dir():
        pytest.skip(f"no real masks at {root}")
    reference = json.loads((root / "Results_osvos" / "reference_JF.json").read_text())
    davis = DavisFolder(root)
    toolkit = evaluate_folder(root / "Results_osvos", davis, reference, protocol="2016-toolkit")
    current = evaluate_folder(root / "Results_osvos", davis, reference)
    for all_frames, inner, expected in zip(
        toolkit.sequences, current.sequences, reference.values(), strict=True
    ):
        np.testing.assert_allclose(all_frames.region_frames[0], expected["J_per_frame"], rtol=0, atol=1e-6)
        np.testing.assert_allclose(all_frames.contour_frames[0], expected["F_per_frame"], rtol=0, atol=1e-6)
        assert inner.region.mean == pytest.approx(expected["J_mean_without_first_last"], abs=1e-6)
        assert inner.contour.mean == pytest.approx(expected["F_mean_without_first_last"], abs=1e-6)


def test_statistics_equal_the_official_ones_for_short_and_long_sequences(shared: Path) -> None:
    golden = np.load(shared / "golden" / "davis_units.npz")
    names = [key.removesuffix(".v") for key in golden.files if key.startswith("stat") and key.endswith(".v")]
    assert len(names) >= 10
    for name in names:
        found = statistics(golden[f"{name}.v"])
        np.testing.assert_allclose(
            [found.mean, found.recall, found.decay], golden[f"{name}.MRD"], rtol=0, atol=1e-12
        )


@given(
    arrays(np.uint8, (9, 11), elements=st.integers(0, 4)),
    arrays(np.uint8, (9, 11), elements=st.integers(0, 4)),
)
def test_measures_of_all_objects_equal_those_of_each_alone(prediction: Masks, truth: Masks) -> None:
    alone = [(prediction == k, truth == k) for k in range(1, 5)]
    region, contour = (measure(prediction, truth, 4) for measure in (region_similarities, contour_accuracies))
    np.testing.assert_array_equal(region, [region_similarity(*pair) for pair in alone])
    np.testing.assert_array_equal(contour, [contour_accuracy(*pair) for pair in alone])


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


def test_more_than_fifteen_objects_are_told_apart() -> None:
    truth = np.arange(1, 201, dtype=np.uint8).reshape(10, 20).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(region_similarities(truth, truth, 200), np.ones(200))
    half = np.where(truth % 2 == 0, truth, 0)
    np.testing.assert_array_equal(region_similarities(half, truth, 200), np.tile([0.0, 1.0], 100))


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


def test_result_folders_score_as_their_arrays_do(tmp_path: Path) -> None:
    truths = {"goat": moving_squares(), "bear": moving_squares(frames=5, objects=3)}
    davis = save_davis(tmp_path / "davis", truths)
    results = {name: np.roll(masks, 2, axis=2) for name, masks in truths.items()}
    for name, masks in results.items():
        save_masks(tmp_path / "results" / name, masks)
    report = evaluate_folder(tmp_path / "results", davis)
    assert [sequence.name for sequence in report.sequences] == ["bear", "goat"]
    for sequence in report.sequences:
        expected = score(results[sequence.name], truths[sequence.name], name=sequence.name)
        np.testing.assert_array_equal(sequence.region_frames, expected.region_frames)
        np.testing.assert_array_equal(sequence.contour_frames, expected.contour_frames)
        assert sequence.objects == expected.objects


def test_several_processes_find_the_same_scores(tmp_path: Path) -> None:
    truths = {"bear": moving_squares(), "goat": moving_squares(frames=4)}
    davis = save_davis(tmp_path / "davis", truths)
    for name, masks in truths.items():
        save_masks(tmp_path / "results" / name, np.roll(masks, 1, axis=1))
    serial, parallel = (evaluate_folder(tmp_path / "results", davis, workers=n) for n in (1, 2))
    assert serial.objects == parallel.objects


@pytest.mark.parametrize("value", [1, 255])
def test_binary_results_fit_binary_annotations_in_either_notation(tmp_path: Path, value: int) -> None:
    truths = moving_squares(objects=1)
    davis = save_davis(tmp_path / "davis", {"bear": truths * 255})
    save_masks(tmp_path / "results" / "bear", truths * np.uint8(value))
    assert evaluate_folder(tmp_path / "results", davis).j_and_f == 1.0


def test_missing_results_are_named(tmp_path: Path) -> None:
    davis = save_davis(tmp_path / "davis", {"bear": moving_squares()})
    with pytest.raises(DatasetError, match="no results of sequence bear"):
        evaluate_folder(tmp_path / "results", davis)
    save_masks(tmp_path / "results" / "bear", moving_squares())
    for name in ("00000", "00003", "00005"):
        (tmp_path / "results" / "bear" / f"{name}.png").unlink()
    with pytest.raises(DatasetError, match=r"lacks 00003\.png$"):
        evaluate_folder(tmp_path / "results", davis)


def test_an_unknown_sequence_is_refused(tmp_path: Path) -> None:
    davis = save_davis(tmp_path / "davis", {"bear": moving_squares()})
    with pytest.raises(DatasetError, match=r"no sequence camel .*; there are bear"):
        evaluate_folder(tmp_path / "results", davis, ["camel"])
