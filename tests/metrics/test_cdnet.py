"""Scores of whole data sets with foreground labels."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from segue.datasets.foreground.cdnet import open_cdnet
from segue.datasets.foreground.sets import open_hofam, open_lasiesta
from segue.errors import DatasetError
from segue.metrics.foreground.cdnet import evaluate_foreground
from segue.metrics.foreground.counts import Empty, ForegroundSettings
from tests.datasets.foreground_videos import Array, drawn_image, save, save_cdnet_video
from tests.golden_arrays import Golden

GOLDEN_VIDEOS = ("baseline/a", "baseline/b", "shadow/c", "shadow/empty")
OFFICIAL_NAMES = ("Re", "Sp", "FPR", "FNR", "PWC", "Pr", "F")

LABELS = np.zeros((6, 8), np.uint8)
LABELS[2:4, 2:6] = 255
HALF = np.zeros((6, 8), np.uint8)
HALF[2:4, 2:4] = 255
EMPTY = np.zeros((6, 8), np.uint8)


def save_golden(golden: Golden, root: Path) -> None:
    """The golden videos as a data set and as results of it."""
    for key in GOLDEN_VIDEOS:
        truth, first_last = golden[f"{key}.gt"], golden[f"{key}.temporal_roi"]
        labels = dict(enumerate(truth, start=1))
        temporal = " ".join(map(str, first_last))
        save_cdnet_video(root / "data" / key, labels, golden[f"{key}.roi"], temporal)
        save_results(root / "results" / key, golden[f"{key}.pred"])


def save_results(folder: Path, masks: Array | list[Array], first: int = 1) -> None:
    for number, values in enumerate(masks, start=first):
        save(folder / f"bin{number:06d}.png", values)


def test_results_that_never_reach_the_value_of_foreground_are_reported(tmp_path: Path) -> None:
    save_cdnet_video(tmp_path / "data" / "baseline" / "a", {1: LABELS}, temporal="1 1")
    save_results(tmp_path / "results" / "baseline" / "a", [LABELS // 255])
    for threshold, score, count in ((255, 0.0, 1), (1, 1.0, 0)):
        evaluation = evaluate_foreground(
            tmp_path / "results", open_cdnet(tmp_path / "data"), settings=ForegroundSettings(threshold)
        )
        assert evaluation.overall["F"] == pytest.approx(score, abs=1e-4)
        assert sum("--threshold" in text for text in evaluation.remarks) == count


def test_counts_equal_the_official_ones_and_measures_to_the_last_digit(
    golden: Callable[[str], Golden], tmp_path: Path
) -> None:
    official = golden("cdnet_eval")
    save_golden(official, tmp_path)
    evaluation = evaluate_foreground(tmp_path / "results", open_cdnet(tmp_path / "data"))
    assert tuple(official["metric_names"]) == OFFICIAL_NAMES
    tables = {f"{key}.metrics": evaluation.sequences[key] for key in GOLDEN_VIDEOS}
    tables |= {f"category.{name}.metrics": values for name, values in evaluation.categories.items()}
    tables["overall.metrics"] = evaluation.overall
    for key, measures in tables.items():
        found = [measures[name] for name in OFFICIAL_NAMES]
        np.testing.assert_allclose(found, official[key], rtol=0, atol=1e-12, err_msg=key)
    for key in GOLDEN_VIDEOS:
        numbers = " ".join(map(str, official[f"{key}.cm"]))
        assert evaluation.files[f"{key}/stats.txt"] == f"cm: {numbers}"
        shadow_errors, shadow = official[f"{key}.cm"][4], official[f"{key}.n_shadow"]
        assert evaluation.sequences[key]["FPR-S"] == pytest.approx(shadow_errors / shadow, abs=1e-12)


def test_texts_hold_the_counts_of_videos_categories_and_all(
    golden: Callable[[str], Golden], tmp_path: Path
) -> None:
    official = golden("cdnet_eval")
    save_golden(official, tmp_path)
    files = evaluate_foreground(tmp_path / "results", open_cdnet(tmp_path / "data")).files
    lines = [line for line in files["stats.txt"].splitlines() if line.startswith("cm")]
    expected = []
    for category in ("baseline", "shadow"):
        for key in (key for key in GOLDEN_VIDEOS if key.startswith(category)):
            expected.append(f"cm video {key.replace('/', ' ')} {_text(official[f'{key}.cm'])}")
        expected.append(f"cm category {category} {_text(official[f'category.{category}.cm'])}")
    assert lines == [*expected, f"cm overall {_text(official['overall.cm'])}"]
    row = "\t".join(f"{value:.10f}" for value in official["category.shadow.metrics"])
    assert files["shadow/stats.txt"].endswith(f"\n{row}")
    assert f"\nshadow :\t{row}\n" in files["stats.txt"]


def _text(counts: np.ndarray) -> str:  # type: ignore[type-arg]
    return " ".join(map(str, counts))


def missing_case(root: Path) -> tuple[Path, Path]:
    """Three labelled frames, the second one without result."""
    save_cdnet_video(root / "data" / "baseline" / "office", {1: LABELS, 2: LABELS, 3: LABELS})
    save_results(root / "results" / "baseline" / "office", [LABELS, LABELS, LABELS])
    (root / "results" / "baseline" / "office" / "bin000002.png").unlink()
    return root / "results", root / "data"


def test_a_frame_without_result_can_be_taken_as_empty_or_left_out(tmp_path: Path) -> None:
    results, data = missing_case(tmp_path)
    empty = evaluate_foreground(results, open_cdnet(data), missing="empty")
    assert empty.files["baseline/office/stats.txt"] == "cm: 16 0 8 120 0"
    assert any("1 frames without result are taken as empty: 000002" in text for text in empty.remarks)
    skipped = evaluate_foreground(results, open_cdnet(data), missing="skip")
    assert skipped.files["baseline/office/stats.txt"] == "cm: 16 0 0 80 0"
    assert "left out" in skipped.protocol
    assert any("1 frames without result are left out" in text for text in skipped.remarks)


def test_a_video_without_any_result_is_missing_with_all_its_frames(tmp_path: Path) -> None:
    results, data = missing_case(tmp_path)
    save_cdnet_video(data / "shadow" / "backdoor", {1: LABELS})
    with pytest.raises(DatasetError, match=re.escape("baseline/office (1), shadow/backdoor (1)")):
        evaluate_foreground(results, open_cdnet(data))
    evaluation = evaluate_foreground(results, open_cdnet(data), missing="empty")
    assert evaluation.sequences["shadow/backdoor"]["Re"] == 0


def test_two_results_of_one_frame_are_an_error(tmp_path: Path) -> None:
    results, data = missing_case(tmp_path)
    save(results / "baseline" / "office" / "in000003.png", LABELS)
    with pytest.raises(DatasetError):
        evaluate_foreground(results, open_cdnet(data), missing="empty")


def test_a_result_of_another_size_is_an_error_that_names_frame_and_video(tmp_path: Path) -> None:
    results, data = missing_case(tmp_path)
    save(results / "baseline" / "office" / "bin000003.png", LABELS.T)
    with pytest.raises(DatasetError, match="frame 000003 of baseline/office"):
        evaluate_foreground(results, open_cdnet(data), missing="empty")


def test_training_frames_are_left_out(tmp_path: Path) -> None:
    save_cdnet_video(tmp_path / "data" / "baseline" / "office", {1: LABELS, 2: LABELS})
    save_results(tmp_path / "results" / "baseline" / "office", [HALF, LABELS])
    videos = open_cdnet(tmp_path / "data")
    evaluation = evaluate_foreground(tmp_path / "results", videos, exclude={"baseline/office": {1}})
    assert evaluation.files["baseline/office/stats.txt"] == "cm: 8 0 0 40 0"
    assert evaluation.protocol == "CDnet2014, training frames left out"
    with pytest.raises(DatasetError):
        evaluate_foreground(tmp_path / "results", videos, exclude={"baseline/office": {1, 2}})


def test_missing_results_are_reported(tmp_path: Path) -> None:
    unlabelled = np.full_like(LABELS, 85)
    save_cdnet_video(tmp_path / "data" / "baseline" / "office", {1: LABELS, 2: unlabelled}, temporal="1 5")
    save_results(tmp_path / "results" / "baseline" / "office", [LABELS, LABELS])
    remarks = evaluate_foreground(tmp_path / "results", open_cdnet(tmp_path / "data")).remarks
    assert any("52 of 53 videos are not among the data: baseline/highway" in text for text in remarks)
    assert any("3 of the frames 1 to 5 have no labels" in text for text in remarks)
    assert any("1 frames are labelled 85" in text for text in remarks)
    settings = ForegroundSettings(ignored=(170, 85))
    evaluation = evaluate_foreground(tmp_path / "results", open_cdnet(tmp_path / "data"), settings=settings)
    assert not any("labelled 85" in text for text in evaluation.remarks)
    assert evaluation.files["baseline/office/stats.txt"] == "cm: 8 0 0 40 0"


@pytest.mark.parametrize(("empty", "expected"), [("official", 1 / 3), ("skip", 2 / 3), ("one", 5 / 6)])
def test_a_video_without_foreground_is_scored_as_the_settings_say(
    tmp_path: Path, empty: Empty, expected: float
) -> None:
    save_cdnet_video(tmp_path / "data" / "x" / "busy", {1: LABELS})
    save_cdnet_video(tmp_path / "data" / "x" / "still", {1: EMPTY})
    save_results(tmp_path / "results" / "x" / "busy", [HALF])
    save_results(tmp_path / "results" / "x" / "still", [EMPTY])
    settings = ForegroundSettings(empty=empty)
    evaluation = evaluate_foreground(tmp_path / "results", open_cdnet(tmp_path / "data"), settings=settings)
    assert evaluation.overall["F"] == pytest.approx(expected, abs=1e-5)


def test_frames_have_their_own_f_and_can_be_looked_at(tmp_path: Path) -> None:
    labels = LABELS.copy()
    labels[0, 0] = 170
    roi = np.full_like(LABELS, 255)
    roi[5] = 0
    save_cdnet_video(tmp_path / "data" / "x" / "a", {7: EMPTY, 8: labels}, roi=roi)
    save_results(tmp_path / "results" / "x" / "a", [EMPTY, HALF], first=7)
    evaluation = evaluate_foreground(tmp_path / "results", open_cdnet(tmp_path / "data"))
    series = evaluation.series["x/a"]["F"]
    assert series.frames == ("000007", "000008")
    assert math.isnan(series.values[0])
    assert series.values[1] == pytest.approx(2 / 3, abs=1e-5)
    assert evaluation.view is not None
    view = evaluation.view("x/a", "000008")
    np.testing.assert_array_equal(view.truth, LABELS > 0)
    np.testing.assert_array_equal(view.result, HALF > 0)
    assert view.ignored[0, 0]
    assert view.ignored[5].all()
    assert view.ignored.sum() == 1 + 8
    assert view.image is not None
    assert view.image.shape == (6, 8, 3)


def test_lasiesta_has_the_static_cameras_for_its_headline_and_the_moving_ones_apart(tmp_path: Path) -> None:
    for name, mask in (("I_SI_01", LABELS), ("I_CA_01", HALF), ("O_SM_01", EMPTY)):
        colours = np.stack([LABELS, np.zeros_like(LABELS), np.zeros_like(LABELS)], axis=2)
        save(tmp_path / "data" / name / f"{name}-1.bmp", drawn_image())
        save(tmp_path / "data" / f"{name}-GT" / f"{name}-GT_1.png", colours)
        save_results(tmp_path / "results" / name, [mask])
    evaluation = evaluate_foreground(tmp_path / "results", open_lasiesta(tmp_path / "data"), "lasiesta")
    assert evaluation.protocol == "LASIESTA, static camera"
    assert evaluation.overall["F"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-5)
    assert evaluation.categories["static camera"] == evaluation.overall
    assert evaluation.categories["moving camera"]["F"] == 0
    assert any("45 of 48 videos are not among the data" in text for text in evaluation.remarks)


def test_hofam_pools_pixels_from_a_low_threshold_and_averages_dice_over_frames(tmp_path: Path) -> None:
    for number, values in ((1, LABELS), (2, EMPTY), (3, LABELS)):
        panels = [drawn_image(), drawn_image(), np.stack([values] * 3, axis=2)]
        save(tmp_path / "demo" / f"test_{number:06d}.png", np.hstack(panels))
    faint = np.where(LABELS > 0, np.uint8(15), np.uint8(14))
    save_results(tmp_path / "results" / "demo", [faint, EMPTY, HALF])
    overall = evaluate_foreground(tmp_path / "results", open_hofam(tmp_path / "demo"), "hofam").overall
    tp, fn, pixels = 8 + 4, 4, 3 * 48
    assert overall == pytest.approx(
        {
            "Mean Dice": (1 + 2 / 3) / 2,
            "Re": tp / (tp + fn),
            "Pr": 1.0,
            "F": 2 * tp / (2 * tp + fn),
            "PWC": 100 * fn / pixels,
            "IoU": tp / (tp + fn),
            "F small": 2 * tp / (2 * tp + fn),
            "F medium": math.nan,
            "F large": math.nan,
        },
        nan_ok=True,
    )


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"empty": "none"}, "empty is 'none'"),
        ({"threshold": 0}, "threshold is 0"),
        ({"alpha": 0.0}, "alpha is 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(DatasetError, match=reason):
        ForegroundSettings(**settings)  # type: ignore[arg-type]
