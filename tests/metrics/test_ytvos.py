"""The local YouTube-VOS score."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from segue.datasets.ytvos import YtvosFolder
from segue.errors import DatasetError
from segue.metrics.measures import contour_accuracy, region_similarity
from segue.metrics.ytvos import evaluate_ytvos
from tests.metrics.making import Masks, moving_squares, save_masks

NAMES = tuple(f"{5 * i:05d}" for i in range(6))


def save_ytvos(
    root: Path, videos: dict[str, Masks], objects: dict[str, dict[str, tuple[str, int]]]
) -> YtvosFolder:
    """A data set; ``objects`` holds category and place of the first frame by video and id."""
    for name, masks in videos.items():
        save_masks(root / "Annotations" / name, masks, step=5)
        save_masks(root / "JPEGImages" / name, masks, step=5)
    meta = {
        name: {
            "objects": {
                id: {"category": category, "frames": list(NAMES[first:])}
                for id, (category, first) in items.items()
            }
        }
        for name, items in objects.items()
    }
    (root / "meta.json").write_text(json.dumps({"videos": meta}))
    return YtvosFolder(root)


@pytest.fixture
def videos() -> dict[str, Masks]:
    """Video ``a``: object 1, and object 4 from the third annotated frame on. Video ``b``: object 1."""
    first = np.array([0, 1, 4], np.uint8)[moving_squares()]
    first[:2][first[:2] == 4] = 0
    return {"a": first, "b": moving_squares(objects=1)}


@pytest.fixture
def ytvos(tmp_path: Path, videos: dict[str, Masks]) -> YtvosFolder:
    objects = {"a": {"1": ("cat", 0), "4": ("yak", 2)}, "b": {"1": ("cat", 0)}}
    return save_ytvos(tmp_path / "data", videos, objects)


def test_objects_are_scored_after_the_frame_in_which_they_are_given(
    tmp_path: Path, ytvos: YtvosFolder, videos: dict[str, Masks]
) -> None:
    shifted = {name: np.roll(masks, 2, axis=2) for name, masks in videos.items()}
    for name, masks in shifted.items():
        save_masks(tmp_path / "results" / name, masks, step=5)
    evaluation = evaluate_ytvos(tmp_path / "results", ytvos, seen={"cat"})
    for name, video, id, first in (("a_1", "a", 1, 0), ("a_4", "a", 4, 2), ("b_1", "b", 1, 0)):
        pairs = [(shifted[video][t] == id, videos[video][t] == id) for t in range(first + 1, 6)]
        assert evaluation.objects[name]["J"] == pytest.approx(np.mean([region_similarity(*p) for p in pairs]))
        assert evaluation.objects[name]["F"] == pytest.approx(np.mean([contour_accuracy(*p) for p in pairs]))
    objects = evaluation.objects
    assert evaluation.overall["J_s"] == pytest.approx((objects["a_1"]["J"] + objects["b_1"]["J"]) / 2)
    assert evaluation.overall["F_u"] == objects["a_4"]["F"]
    parts = [evaluation.overall[key] for key in ("J_s", "J_u", "F_s", "F_u")]
    assert evaluation.overall["G"] == pytest.approx(np.mean(parts))
    assert evaluation.categories["yak"] == objects["a_4"]
    assert evaluation.series["a"]["J_4"].frames == NAMES[1:]
    assert np.isnan(evaluation.series["a"]["J_4"].values).tolist() == [True, True, False, False, False]
    assert evaluation.remarks == ()
    assert evaluation.view is not None
    np.testing.assert_array_equal(evaluation.view("a", "00010").truth, videos["a"][2])


def test_perfect_results_score_one_and_a_split_without_objects_does_not_count(
    tmp_path: Path, ytvos: YtvosFolder
) -> None:
    for seen, empty in ((None, "J_u"), ({"cat", "yak"}, "J_u"), ({"dog"}, "J_s")):
        evaluation = evaluate_ytvos(tmp_path / "data" / "Annotations", ytvos, seen=seen)
        assert evaluation.overall["G"] == 1.0
        assert math.isnan(evaluation.overall[empty])
        assert len(evaluation.remarks) == 1
        assert "G is the mean of" in evaluation.remarks[0]


def test_missing_frames_are_an_error_or_empty_masks(tmp_path: Path, ytvos: YtvosFolder) -> None:
    save_masks(tmp_path / "results" / "a", moving_squares(), step=5)
    (tmp_path / "results" / "a" / "00010.png").unlink()
    with pytest.raises(DatasetError, match="b and 1 frame: a 00010"):
        evaluate_ytvos(tmp_path / "results", ytvos)
    evaluation = evaluate_ytvos(tmp_path / "results", ytvos, missing="empty")
    assert evaluation.objects["b_1"] == {"J": 0, "F": 0}
    assert any("a 00010; they were scored as empty masks" in remark for remark in evaluation.remarks)
    assert any("never show, scored as empty masks: a_4, b_1" in remark for remark in evaluation.remarks)
    assert any("taken as background: a_2" in remark for remark in evaluation.remarks)


def test_an_object_given_in_the_last_frame_is_not_scored(tmp_path: Path) -> None:
    masks = moving_squares(objects=2)
    ytvos = save_ytvos(tmp_path / "data", {"b": masks}, {"b": {"1": ("cat", 0), "2": ("cat", 5)}})
    evaluation = evaluate_ytvos(tmp_path / "data" / "Annotations", ytvos)
    assert math.isnan(evaluation.objects["b_2"]["J"])
    assert evaluation.overall["G"] == 1.0
    assert any("not scored: b_2" in remark for remark in evaluation.remarks)
    last = save_ytvos(tmp_path / "last", {"b": masks}, {"b": {"2": ("cat", 5)}})
    with pytest.raises(DatasetError):
        evaluate_ytvos(tmp_path / "data" / "Annotations", last)


def test_masks_of_another_size_are_refused(tmp_path: Path, ytvos: YtvosFolder) -> None:
    for name in ("a", "b"):
        save_masks(tmp_path / "results" / name, moving_squares()[:, :, 1:], step=5)
    with pytest.raises(DatasetError, match="sequence a, frame 00005"):
        evaluate_ytvos(tmp_path / "results", ytvos)
