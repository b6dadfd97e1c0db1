"""Measures beside those of a protocol, against closed formulas."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from segue.datasets import DavisFolder
from segue.errors import DatasetError
from segue.metrics import Evaluation, FrameView, Series, evaluate_davis, with_metrics
from segue.registry import MetricEntry
from tests.metrics.making import moving_squares, save_davis, save_masks


def evaluation(views: dict[str, list[FrameView]]) -> Evaluation:
    frames = {name: tuple(map(str, range(len(each)))) for name, each in views.items()}
    return Evaluation(
        "some",
        "J",
        {"J": 0.5},
        {name: {"J": 0.5} for name in views},
        objects={"a_1": {"J": 0.5}},
        series={name: {"J": Series(each, np.ones(len(each)))} for name, each in frames.items()},
        view=lambda name, frame: views[name][int(frame)],
    )


def view(truth: list[int], result: list[int], ignored: list[int] | None = None) -> FrameView:
    planes = (np.array([row]) for row in (truth, result, ignored or [0] * len(truth)))
    t, r, i = planes
    return FrameView(t.astype(np.uint8), r.astype(np.uint8), i.astype(bool))


def test_means_are_of_frames_then_of_objects() -> None:
    scores = with_metrics(
        evaluation(
            {
                "a": [
                    view([1, 1, 0, 0], [1, 0, 0, 0]),  # object 1: 2/3; object 2 is not there yet
                    view([1, 1, 2, 2], [1, 1, 2, 0], [0, 0, 1, 0]),  # 1; of 2 one pixel counts, missed: 0
                    view([0, 0, 0, 2], [0, 0, 0, 2]),  # 1 is gone in both: 1; 1
                ],
                "b": [view([1, 1, 1, 0], [0, 1, 1, 1])],  # 2/3
            }
        ),
        ["dice", "recall"],
    )
    assert scores.objects["a_1"] == pytest.approx({"J": 0.5, "dice": 8 / 9, "recall": 3 / 4})
    assert scores.sequences["a"] == pytest.approx({"J": 0.5, "dice": 25 / 36, "recall": 5 / 8})
    assert scores.sequences["b"] == pytest.approx({"J": 0.5, "dice": 2 / 3, "recall": 2 / 3})
    assert scores.overall["dice"] == pytest.approx((8 / 9 + 1 / 2 + 2 / 3) / 3)
    assert list(scores.overall) == ["J", "dice", "recall"]


def test_metrics_without_a_value_are_ignored() -> None:
    scores = with_metrics(evaluation({"a": [view([1, 0], [0, 0])]}), ["precision"])
    assert math.isnan(scores.overall["precision"])
    assert math.isnan(scores.sequences["a"]["precision"])


def test_dice_and_j_of_one_frame_fit_each_other(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("JPEGImages", "Annotations", "results"):
        (tmp_path / kind / "a").mkdir(parents=True)
    for frame in range(3):
        image = rng.integers(0, 255, (20, 30, 3), np.uint8)
        Image.fromarray(image).save(tmp_path / "JPEGImages/a" / f"{frame}.jpg")
        for kind in ("Annotations", "results"):
            Image.fromarray(rng.integers(0, 2, (20, 30), np.uint8)).save(
                tmp_path / kind / "a" / f"{frame}.png"
            )
    scores = with_metrics(evaluate_davis(tmp_path / "results", DavisFolder(tmp_path)), ["dice"])
    j = scores.overall["J-Mean"]
    assert scores.overall["dice"] == pytest.approx(2 * j / (1 + j))


@pytest.mark.parametrize("protocol", ["2017", "unsupervised"])
def test_an_object_that_davis_does_not_score_has_no_measure(
    tmp_path: Path, protocol: Literal["2017", "unsupervised"]
) -> None:
    results = moving_squares(objects=1)
    truths = results.copy()
    truths[3:, 30:, 40:] = 2  # it appears later
    davis = save_davis(tmp_path, {"a": truths})
    save_masks(tmp_path / "results" / "a", results)
    scores = with_metrics(evaluate_davis(tmp_path / "results", davis, protocol=protocol), ["dice"])
    assert scores.overall["J-Mean"] == scores.overall["dice"] == 1.0


def test_wrong_measures_are_one_sentence() -> None:
    scores = evaluation({"a": [view([1], [1])]})
    with pytest.raises(DatasetError, match="metric twice fails on a, frame 0 with KeyError: 'x'"):
        with_metrics(scores, [MetricEntry("twice", lambda result, truth: {}["x"])])
    with pytest.raises(DatasetError, match="has a measure of that name"):
        with_metrics(scores, [MetricEntry("J", lambda result, truth: 1.0)])
    with pytest.raises(DatasetError, match="dise"):
        with_metrics(scores, ["dise"])
