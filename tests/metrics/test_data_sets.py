"""What the evaluation of a data set opens and how it scores, by what is asked for."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.datasets.instances import DetectedInstance, Instance
from segue.errors import DatasetError
from segue.metrics.data_sets import Request
from segue.metrics.evaluation import Evaluation
from tests.datasets.foreground_videos import save, save_cdnet_video
from tests.metrics.making import moving_squares, save_davis
from tests.metrics.test_ytvos import save_ytvos
from tests.metrics.tracks import Video, rectangle, track, write_results, write_truth


def score(data: Path, results: Path, dataset: str, **options: Any) -> Evaluation:
    return Request(data=data, dataset=dataset, **options).score(results, progress=lambda *_: None)


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    """Two sequences, one of which is in the split val of both years."""
    save_davis(tmp_path, {"bear": moving_squares(), "goat": moving_squares()})
    for year in ("2016", "2017"):
        (tmp_path / "ImageSets" / year).mkdir(parents=True)
        (tmp_path / "ImageSets" / year / "val.txt").write_text("goat\n")
    return tmp_path


@pytest.mark.parametrize(
    ("dataset", "options", "sequences"),
    [
        ("davis", {}, ["goat"]),
        ("davis", {"year": "2016"}, ["goat"]),
        ("davis", {"sequences": ["bear"]}, ["bear"]),
        ("folder", {}, ["bear", "goat"]),
    ],
)
def test_the_part_that_is_scored_is_val_where_davis_lists_parts(
    davis: Path, dataset: str, options: dict[str, Any], sequences: list[str]
) -> None:
    evaluation = score(davis, davis / "Annotations" / "480p", dataset, **options)
    assert list(evaluation.sequences) == sequences
    assert evaluation.overall["J&F-Mean"] == 1


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"task": "unsupervised", "year": "2016"}, "--year"),
        ({"subset": "val", "sequences": ["bear"]}, "--set"),
    ],
)
def test_options_that_davis_lacks_are_refused(davis: Path, options: dict[str, Any], name: str) -> None:
    with pytest.raises(DatasetError, match=name):
        score(davis, davis / "Annotations" / "480p", "davis", **options)


def test_videos_are_scored_from_a_threshold_on_and_without_training_frames(tmp_path: Path) -> None:
    labels = np.zeros((6, 8), np.uint8)
    labels[2:4, 2:6] = 255
    for name in ("office", "highway"):
        save_cdnet_video(tmp_path / "data" / "baseline" / name, {1: labels, 2: labels})
        for number in (1, 2):
            save(tmp_path / "results" / "baseline" / name / f"bin{number:06d}.png", labels // 255)
    lists = tmp_path / "lists@2.json"
    lists.write_text(json.dumps({"baseline": {"office": {"200": [1]}}}))
    asked = {"sequences": ["office"], "threshold": 1, "training_frames": f"200@{lists}"}
    evaluation = score(tmp_path / "data", tmp_path / "results", "cdnet", **asked)
    assert list(evaluation.sequences) == ["baseline/office"]
    assert evaluation.files["baseline/office/stats.txt"] == "cm: 8 0 0 40 0"
    for text in ("200", "many@a.json", "200@"):
        with pytest.raises(DatasetError):
            score(tmp_path / "data", tmp_path / "results", "cdnet", training_frames=text)


def test_tracks_are_those_of_the_part_valid(tmp_path: Path) -> None:
    square = rectangle(0, 0, 2, 2)
    content: list[Video] = [([Instance(1, 1, track(square), 4.0)], [DetectedInstance(1, 0.9, track(square))])]
    write_truth(tmp_path / "valid.json", content)
    write_results(tmp_path / "results.json", content)
    assert score(tmp_path, tmp_path / "results.json", "ytvis").overall["AP"] == pytest.approx(1)


def test_videos_of_youtube_vos_are_scored_by_the_categories_that_were_trained_on(tmp_path: Path) -> None:
    objects = {"a": {"1": ("cat", 0), "2": ("yak", 0)}}
    save_ytvos(tmp_path, {"a": moving_squares()}, objects)
    (tmp_path / "seen.txt").write_text("cat\n")
    results = tmp_path / "Annotations"
    evaluation = score(tmp_path, results, "ytvos", seen=tmp_path / "seen.txt")
    assert evaluation.overall["J_u"] == evaluation.overall["J_s"] == 1
    assert math.isnan(score(tmp_path, results, "ytvos").overall["J_u"])


@pytest.mark.parametrize(
    ("dataset", "options", "name"),
    [
        ("davis", {"threshold": 3}, "threshold"),
        ("folder", {"subset": "val"}, "set"),
        ("ytvis", {"sequences": ["a"]}, "sequence"),
        ("sbi", {"training_frames": "2@a"}, "training-frames"),
        ("ytvis", {"workers": 2}, "workers"),
    ],
)
def test_options_that_mean_nothing_to_a_data_set_are_refused(
    dataset: str, options: dict[str, Any], name: str
) -> None:
    with pytest.raises(DatasetError, match=f"--{name} .*{dataset}"):
        score(Path("data"), Path("results"), dataset, **options)


def test_a_data_set_that_is_not_known_is_refused() -> None:
    with pytest.raises(DatasetError):
        score(Path("data"), Path("results"), "dawis")
