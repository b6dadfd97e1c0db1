"""What the benchmark of scores counts, on cases where the right answer is known."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import score_calibration as benchmark
from score_calibration import Sample
from segue.sessions import TrackSession
from segue.types import Frame, IndexMask, ObjectInfo, Segmentation
from vos_clips import Clip


class Film:
    """Three frames of 4x4 with an object in the left half, part of which is void, and then gone."""

    name = "film"

    def frames(self) -> Iterator[Frame]:
        return (Frame(t, t / 24, np.zeros((4, 4, 3), np.uint8)) for t in range(4))

    def mask(self, i: int) -> IndexMask:
        mask = np.zeros((4, 4), np.uint8)
        if i < 2:
            mask[:, :2] = 1
            mask[0, 0] = benchmark.VOID
        return mask


class Follower:
    """Finds the top rows, then something that is not there, then nothing."""

    given: IndexMask

    def step(self, frame: Frame, given: IndexMask | None) -> Segmentation:
        if given is not None:
            self.given = given
        found = np.zeros((4, 4), np.uint8)
        found[: 2 if frame.index < 2 else 1] = frame.index < 3
        planes = np.stack([1 - 0.8 * found, 0.8 * found]).astype(np.float32)
        return Segmentation(frame.index, frame.time, found, (ObjectInfo(1, score=0.6),), lambda: planes)


def test_iou_is_that_of_known_pixels_where_an_object_is_or_was_found() -> None:
    follower = Follower()
    found = list(benchmark.samples(cast(Clip, Film()), cast(TrackSession, cast(Any, follower))))
    assert [(item.clip, item.score) for item in found] == [("film", 0.6)] * 2
    assert [item.iou for item in found] == pytest.approx([3 / 11, 0])  # 7 real, 7 found
    assert [item.inside for item in found] == pytest.approx([0.8, 0.8])
    assert follower.given.max() == 1


def test_a_fit_finds_what_a_score_was_made_with() -> None:
    score = np.linspace(0.02, 0.98, 50)
    iou = benchmark.calibrated(score, 1.5, -0.6)
    assert benchmark.fit(score, iou) == pytest.approx((1.5, -0.6))
    assert np.allclose(benchmark.calibrated(score, 1, 0), score)


def test_a_clip_has_no_part_in_its_own_calibration() -> None:
    rng = np.random.default_rng(0)
    found = [Sample(name, iou, 0.3 + iou / 2, 0.9) for name in "ab" for iou in rng.uniform(0, 1, 20)]
    changed = [item._replace(iou=0.0) if item.clip == "a" else item for item in found]
    own = np.array([item.clip == "a" for item in found])
    before, after = benchmark.left_out(found), benchmark.left_out(changed)
    assert np.array_equal(before[own], after[own])
    assert not np.array_equal(before[~own], after[~own])


def test_errors_correlation_and_order_are_reported() -> None:
    iou = np.array([0.2, 0.4, 0.8, 0.9])
    error, together, ordered = benchmark.judge(np.array([0.3, 0.6, 0.5, 1.0]), iou)
    assert error == pytest.approx((0.1 + 0.2 + 0.3 + 0.1) / 4)
    assert together == pytest.approx(np.corrcoef([0.3, 0.6, 0.5, 1.0], iou)[0, 1])
    assert ordered == 3 / 4


def test_the_table_has_a_row_for_each_score_and_each_clip() -> None:
    found = [Sample(name, iou, iou, 0.9) for name in ("cow", "dog") for iou in (0.2, 0.5, 0.9)]
    text = benchmark.table(found)
    assert "| as shipped | 0.000 | 1.000 | 1.000 |" in text
    assert "| mean probability inside | 0.367 | nan | 0.000 |" in text
    assert "| dog | 3 | 0.533 | 0.533 | 0.000 |" in text
    assert "calibrated on the other clips" not in benchmark.table(found[:3])
