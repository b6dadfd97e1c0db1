"""Samples of STCN: which frames, which objects, how far apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segue.errors import DatasetError
from segue_train.clips import Clip
from segue_train.footage import VOID, Footage, gather
from segue_train.stcn_data import (
    SampleBatches,
    SkipCurriculum,
    StillSamples,
    VideoSamples,
    choose_frames,
)
from tests.clips import clip
from tests.segue_train.making import write_all, write_stills, write_video


def videos_of(folder: Path) -> list[Footage]:
    return gather([str(folder)], report=print).videos


@given(st.integers(1, 200), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_frames_are_in_order_inside_the_video_and_near_each_other(count: int, skip: int, seed: int) -> None:
    order = choose_frames(np.random.default_rng(seed), count, skip)
    first, second, third = sorted(order)
    assert order in ((first, second, third), (third, second, first))
    reach = min(count, skip)
    assert 0 <= first <= count - reach
    assert second <= min(first + 1 + reach, count - reach, count - 1)
    assert third <= min(second + 1 + reach, count - reach // 2, count - 1)


def test_half_of_the_clips_run_backwards() -> None:
    rng = np.random.default_rng(0)
    backwards = sum(first > last for first, _, last in (choose_frames(rng, 90, 5) for _ in range(1000)))
    assert backwards == pytest.approx(500, abs=60)


@pytest.mark.parametrize(
    ("fall", "epochs", "expected"),
    [
        (0.9, 100, {0: 5, 9: 5, 10: 10, 19: 10, 20: 15, 30: 20, 39: 20, 40: 25, 89: 25, 90: 5, 99: 5}),
        (0.8, 100, {79: 25, 80: 5}),
        (0.9, 45, {3: 5, 4: 10, 8: 10, 9: 15, 13: 15, 14: 20, 17: 20, 18: 25, 39: 25, 40: 5}),
    ],
)
def test_the_gap_changes_at_rounded_shares_of_the_passes(
    fall: float, epochs: int, expected: dict[int, int]
) -> None:
    curriculum = SkipCurriculum(fall)
    assert {epoch: curriculum.max_skip(epoch, epochs) for epoch in expected} == expected


def test_a_batch_depends_on_seed_and_number_alone(tmp_path: Path) -> None:
    samples = VideoSamples(videos_of(write_all(tmp_path)[0]), side=32)
    first, again, other = (SampleBatches(10, seed, samples, 2, SkipCurriculum(0.9)) for seed in (7, 7, 8))
    again[3]
    for name, value in first[5].items():
        assert torch.equal(value, again[5][name])
    assert not torch.equal(first[5]["frames"], other[5]["frames"])
    assert not torch.equal(first[5]["frames"], first[6]["frames"])


class Indices:
    """Stands for samples and keeps which footage was asked for."""

    footage = tuple(range(7))
    slots = 1

    def __init__(self) -> None:
        self.drawn: list[int] = []

    def draw(self, rng: np.random.Generator, index: int, max_skip: int) -> Clip:
        self.drawn.append(index)
        return Clip([np.zeros((2, 2, 3), np.uint8)], [np.zeros((2, 2), np.uint8)])


def test_a_pass_takes_each_video_once_and_leaves_out_what_fills_no_batch() -> None:
    samples = Indices()
    batches = SampleBatches(6, 0, samples, 2, None)  # type: ignore[arg-type]
    for i in range(6):
        batches[i]
    first, second = samples.drawn[:6], samples.drawn[6:]
    assert len(set(first)) == len(set(second)) == 6
    assert first != second


def test_a_video_sample_has_two_objects_and_void_stays_void(tmp_path: Path) -> None:
    frames, masks = clip(3, 4, 64, 96, 3)
    masks[:, 28:36] = VOID
    samples = VideoSamples(videos_of(write_video(tmp_path, "a", frames, masks)), side=64)
    batch = SampleBatches(3, 0, samples, 4, SkipCurriculum(0.9))[1]
    assert batch["frames"].shape == (4, 3, 3, 64, 64)
    assert set(batch["masks"].unique().tolist()) == {0, 1, 2, VOID}
    assert batch["exists"].tolist() == [[1, 1]] * 4


def test_a_sample_of_a_video_without_objects_is_all_background(tmp_path: Path) -> None:
    frames, masks = clip(3, 4, 64, 96, 1)
    samples = VideoSamples(videos_of(write_video(tmp_path, "a", frames, masks * 0)), side=32)
    batch = SampleBatches(1, 0, samples, 1, None)[0]
    assert not batch["masks"].any()
    assert batch["exists"].tolist() == [[1, 0]]


def test_small_objects_are_passed_over_where_asked(tmp_path: Path) -> None:
    frames, masks = clip(3, 3, 64, 96, 1)
    masks[:] = 0
    masks[:, 30:33, 40:44] = 1
    masks[:, 10:60, 50:90] = 2
    videos = videos_of(write_video(tmp_path, "a", frames, masks))
    both = SampleBatches(1, 0, VideoSamples(videos, 64, 1.0), 8, None)[0]
    large = SampleBatches(1, 0, VideoSamples(videos, 64, 1.0, "drop"), 8, None)[0]
    assert both["exists"][:, 1].any()
    assert not large["exists"][:, 1].any()


def test_a_still_image_becomes_three_different_frames_of_one_object(tmp_path: Path) -> None:
    frames, masks = clip(3, 1, 64, 96, 3)
    masks[0, 60:] = VOID
    stills = gather([str(write_stills(tmp_path, frames, masks))], report=print).stills
    batch = SampleBatches(1, 0, StillSamples(stills, 64), 2, None)[0]
    assert batch["frames"].shape == (2, 3, 3, 64, 64)
    assert set(batch["masks"].unique().tolist()) == {0, 1, VOID}
    assert batch["exists"].shape == (2, 1)
    assert not torch.equal(batch["frames"][0, 0], batch["frames"][0, 1])


def test_no_footage_is_an_error() -> None:
    with pytest.raises(DatasetError, match="--data"):
        SampleBatches(1, 0, StillSamples([], 64), 2, None)
