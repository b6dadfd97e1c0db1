"""Samples of STCN: which frames, which objects, how far apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segue.errors import DatasetError
from segue_train.data.footage import Footage, gather
from segue_train.data.stcn_data import (
    SampleBatches,
    SkipCurriculum,
    StillSamples,
    VideoSamples,
)
from tests.clips import clip
from tests.segue_train.making import write_all, write_video


def videos_of(folder: Path) -> list[Footage]:
    return gather([str(folder)], report=print).videos


def test_a_batch_depends_on_seed_and_number_alone(tmp_path: Path) -> None:
    samples = VideoSamples(videos_of(write_all(tmp_path)[0]), side=32)
    first, again, other = (SampleBatches(10, seed, samples, 2, SkipCurriculum(0.9)) for seed in (7, 7, 8))
    again[3]
    for name, value in first[5].items():
        assert torch.equal(value, again[5][name])
    assert not torch.equal(first[5]["frames"], other[5]["frames"])
    assert not torch.equal(first[5]["frames"], first[6]["frames"])


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


def test_no_footage_is_an_error() -> None:
    with pytest.raises(DatasetError):
        SampleBatches(1, 0, StillSamples([], 64), 2, None)
