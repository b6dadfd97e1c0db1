"""DAVIS scores of results in files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest

from segue.datasets.davis import DavisFolder
from segue.errors import DatasetError
from segue.metrics.davis_results import DavisProtocol, evaluate_davis
from tests.golden_arrays import load_golden
from tests.metrics.making import Masks, moving_squares, save_davis, save_masks


@pytest.fixture
def davis(tmp_path: Path) -> DavisFolder:
    """Two sequences; ``tmp_path / "results"`` holds results of both, two pixels off."""
    truths = {"goat": moving_squares(), "bear": moving_squares(frames=5, objects=3)}
    for name, masks in truths.items():
        save_masks(tmp_path / "results" / name, np.roll(masks, 2, axis=2))
    return save_davis(tmp_path / "davis", truths, "val")


@pytest.mark.parametrize(("name", "protocol"), [("davis_semi", "2017"), ("davis_unsup", "unsupervised")])
def test_golden_results_in_files_give_the_official_files_to_the_byte(
    tmp_path: Path, name: str, protocol: DavisProtocol
) -> None:
    golden = load_golden(name)
    sequences = golden["sequences"].tolist()
    davis = save_davis(tmp_path / "davis", {item: golden[f"{item}.gt"] for item in sequences}, "val")
    for item in sequences:
        save_masks(tmp_path / "results" / item, golden[f"{item}.res"])
    evaluation = evaluate_davis(tmp_path / "results", davis, protocol=protocol)
    assert evaluation.files == {
        "global_results-val.csv": str(golden["csv_global"]),
        "per-sequence_results-val.csv": str(golden["csv_per_sequence"]),
    }
    for item in sequences:
        series = evaluation.series[item]
        assert len(series["J"].frames) == golden[f"{item}.J"].shape[1]
        np.testing.assert_allclose(series["J"].values, golden[f"{item}.J"].mean(axis=0), rtol=0, atol=1e-12)
        np.testing.assert_allclose(series["F"].values, golden[f"{item}.F"].mean(axis=0), rtol=0, atol=1e-12)


def test_scores_equal_the_official_ones_on_real_masks(shared: Path) -> None:
    root = shared / "data" / "vos" / "davis2016_480p"
    if not root.is_dir():
        pytest.skip(f"no real masks at {root}")
    reference = json.loads((root / "Results_osvos" / "reference_JF.json").read_text())
    davis = DavisFolder(root, reference)
    toolkit = evaluate_davis(root / "Results_osvos", davis, protocol="2016-toolkit")
    current = evaluate_davis(root / "Results_osvos", davis)
    for name, expected in reference.items():
        series, inner = toolkit.series[name], current.sequences[name]
        np.testing.assert_allclose(series["J"].values, expected["J_per_frame"], rtol=0, atol=1e-6)
        np.testing.assert_allclose(series["F"].values, expected["F_per_frame"], rtol=0, atol=1e-6)
        assert inner["J-Mean"] == pytest.approx(expected["J_mean_without_first_last"], abs=1e-6)
        assert inner["F-Mean"] == pytest.approx(expected["F_mean_without_first_last"], abs=1e-6)


@pytest.mark.parametrize("protocol", get_args(DavisProtocol))
def test_perfect_results_score_one_under_every_protocol(tmp_path: Path, protocol: DavisProtocol) -> None:
    davis = save_davis(tmp_path, {"bear": moving_squares(), "goat": moving_squares(objects=1)})
    evaluation = evaluate_davis(tmp_path / "Annotations" / "480p", davis, protocol=protocol)
    assert evaluation.overall["J&F-Mean"] == 1.0
    assert evaluation.series["goat"].keys() == {"J", "F"}, (
        "objects have values of their own if there are more"
    )
    frames = evaluation.series["bear"]["J"].frames
    assert len(frames) == (6 if protocol in ("unsupervised", "2016-toolkit") else 4)
    assert evaluation.view is not None
    for frame in frames:
        view = evaluation.view("bear", frame)
        np.testing.assert_array_equal(view.truth, view.result)
        assert view.truth.max() == (1 if protocol.startswith("2016") else 2)


def test_a_zip_archive_scores_as_its_folder_does(tmp_path: Path, davis: DavisFolder) -> None:
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "results")
    packed, plain = (evaluate_davis(tmp_path / name, davis) for name in ("packed.zip", "results"))
    assert packed.overall == plain.overall


def test_several_processes_find_the_same_scores_and_tell_their_progress(
    tmp_path: Path, davis: DavisFolder
) -> None:
    steps: list[tuple[int, int, str]] = []
    serial, parallel = (
        evaluate_davis(tmp_path / "results", davis, workers=n, progress=lambda *step: steps.append(step))
        for n in (1, 2)
    )
    assert serial.objects == parallel.objects
    assert steps[:2] == [(1, 2, "goat"), (2, 2, "bear")]
    assert sorted(step[0] for step in steps[2:]) == [1, 2]
    assert {step[2] for step in steps[2:]} == {"goat", "bear"}


def test_missing_frames_and_sequences_are_listed_and_nothing_is_scored(
    tmp_path: Path, davis: DavisFolder
) -> None:
    for name in ("00000", "00003", "00005"):
        (tmp_path / "results" / "goat" / f"{name}.png").unlink()
    shutil.rmtree(tmp_path / "results" / "bear")
    with pytest.raises(DatasetError, match=r"bear .*: goat 00003"):
        evaluate_davis(tmp_path / "results", davis)


def test_missing_frames_can_be_scored_as_empty_masks_with_a_remark(
    tmp_path: Path, davis: DavisFolder
) -> None:
    (tmp_path / "results" / "goat" / "00003.png").unlink()
    shutil.rmtree(tmp_path / "results" / "bear")
    evaluation = evaluate_davis(tmp_path / "results", davis, missing="empty")
    assert evaluation.sequences["bear"]["J&F-Mean"] == 0
    assert evaluation.series["goat"]["J"].values[2] == 0
    assert (evaluation.series["goat"]["J"].values[[0, 1, 3]] > 0).all()
    assert any("goat 00003; they were scored as empty masks" in remark for remark in evaluation.remarks)
    assert evaluation.view is not None
    assert not evaluation.view("goat", "00003").result.any()


def test_objects_that_are_never_shown_and_results_without_use_are_remarked(
    tmp_path: Path, davis: DavisFolder
) -> None:
    shutil.rmtree(tmp_path / "results" / "goat")
    save_masks(tmp_path / "results" / "goat", moving_squares(objects=1))
    save_masks(tmp_path / "results" / "camel", moving_squares())
    evaluation = evaluate_davis(tmp_path / "results", davis)
    assert evaluation.objects["goat_2"]["J-Mean"] == 0
    assert any(remark.endswith("scored as empty masks: goat_2") for remark in evaluation.remarks)
    assert any(remark.endswith("not used: camel") for remark in evaluation.remarks)


def test_a_view_shows_masks_as_they_are_compared(tmp_path: Path) -> None:
    truths = moving_squares()
    names = np.array([0, 7, 3], np.uint8)
    predictions: Masks = names[truths]
    predictions[:, 38:] = 5
    truths[:, :2] = 255
    davis = save_davis(tmp_path / "davis", {"bear": truths})
    save_masks(tmp_path / "results" / "bear", predictions)
    evaluation = evaluate_davis(tmp_path / "results", davis, protocol="unsupervised")
    assert evaluation.view is not None
    view = evaluation.view("bear", "00000")
    np.testing.assert_array_equal(view.ignored, truths[0] == 255)
    np.testing.assert_array_equal(view.result[2:38], truths[0, 2:38])
    assert (view.result[38:] > 2).all()
    assert view.truth.max() == 2
    assert view.image is not None
    assert view.image.shape == (40, 50, 3)
    with pytest.raises(DatasetError):
        evaluation.view("bear", "77")


def white(masks: Masks, sigma: float) -> Masks:
    """The same objects as 0 and 255, with soft edges where sigma is not 0."""
    whole = np.where(masks > 0, np.uint8(255), np.uint8(0))
    return np.stack([cv2.GaussianBlur(mask, (0, 0), sigma) if sigma else mask for mask in whole])


@pytest.mark.parametrize("sigma", [0, 1])
@pytest.mark.parametrize("protocol", get_args(DavisProtocol))
def test_white_results_are_the_one_object_of_the_truth(
    tmp_path: Path, protocol: DavisProtocol, sigma: float
) -> None:
    truth = moving_squares(objects=1)
    davis = save_davis(tmp_path, {"goat": truth})
    save_masks(tmp_path / "results" / "goat", white(truth, sigma))
    evaluation = evaluate_davis(tmp_path / "results", davis, protocol=protocol)
    assert evaluation.overall["J-Mean"] > 0.95
    assert evaluation.overall["J-Mean"] == 1.0 or sigma
    assert evaluation.view is not None
    view = evaluation.view("goat", "00002")
    assert set(np.unique(view.result)) == {0, 1}


def test_ids_that_the_first_frame_lacks_are_explained(tmp_path: Path) -> None:
    truth = moving_squares(objects=2)
    late = truth.copy()
    late[0][late[0] == 2] = 0
    for name, truths, results, explanation in (
        ("white", truth, white(truth, 0), "one object, not 2"),
        ("late", late, late, "Object 2 appears later"),
    ):
        davis = save_davis(tmp_path / f"{name} truth", {"goat": truths})
        save_masks(tmp_path / name / "goat", results)
        with pytest.raises(DatasetError, match=explanation):
            evaluate_davis(tmp_path / name, davis)


def test_results_whose_names_bear_the_numbers_of_the_frames_are_found(tmp_path: Path) -> None:
    davis = save_davis(tmp_path, {"goat": moving_squares()})
    save_masks(tmp_path / "results" / "goat", moving_squares())
    for path in sorted((tmp_path / "results" / "goat").iterdir()):
        path.rename(path.with_name(f"video7_frame_{path.stem}_png.rf.12ab.png"))
    assert evaluate_davis(tmp_path / "results", davis).overall["J&F-Mean"] == 1.0


def test_masks_without_a_folder_are_scored_as_those_of_the_only_sequence(
    davis: DavisFolder, tmp_path: Path
) -> None:
    named = evaluate_davis(tmp_path / "results", davis.select(["bear"]))
    alone = evaluate_davis(tmp_path / "results" / "bear", davis.select(["bear"]))
    assert alone.overall == named.overall
    shutil.move(tmp_path / "results" / "bear", tmp_path / "masks")
    renamed = evaluate_davis(tmp_path / "masks", davis.select(["bear"]))
    assert renamed.overall == named.overall
    assert any("bear" in remark for remark in renamed.remarks)
    with pytest.raises(DatasetError):
        evaluate_davis(tmp_path / "masks", davis)  # which of two it is cannot be known


def test_results_that_are_numbered_from_another_frame_on_are_refused(tmp_path: Path) -> None:
    """All scored frames have a result, of the frame before: the score would be that of the wrong frames."""
    truth = moving_squares(frames=6)
    davis = save_davis(tmp_path / "davis", {"bear": truth}, "val")
    folder = tmp_path / "results" / "bear"
    save_masks(folder, truth)
    assert not evaluate_davis(tmp_path / "results", davis).remarks
    for number in reversed(range(6)):
        (folder / f"{number:05d}.png").rename(folder / f"{number + 1:05d}.png")
    with pytest.raises(DatasetError, match="bear: results are numbered 1 to 6, its frames 0 to 5; each"):
        evaluate_davis(tmp_path / "results", davis)
    (folder / "00000.png").write_bytes((folder / "00001.png").read_bytes())
    remarks = evaluate_davis(tmp_path / "results", davis).remarks
    assert any("not in the set were not used: bear 00006" in remark for remark in remarks)


def test_an_object_that_appears_later_is_no_matter_of_white_masks(tmp_path: Path) -> None:
    truth = moving_squares(frames=6, objects=1)
    truth[0] = 0
    davis = save_davis(tmp_path / "davis", {"bear": truth}, "val")
    save_masks(tmp_path / "results" / "bear", truth)
    with pytest.raises(DatasetError, match="begin the sequence where the object appears"):
        evaluate_davis(tmp_path / "results", davis)
