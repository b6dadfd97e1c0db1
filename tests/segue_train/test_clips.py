"""Clips of stcn-lite: the same for the same seed, with the ids they promise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segue.errors import DatasetError
from segue_train.clips import (
    ClipBatches,
    ClipSampler,
    ClipShape,
    Curriculum,
    frame_order,
)
from segue_train.footage import VOID, gather
from segue_train.recipes.stcn_lite import curriculum, further
from tests.clips import clip
from tests.segue_train.making import write_all, write_video

SHAPE = ClipShape(batch=2, frames=3, side=48, objects=2)


def plan(progress: float, rng: np.random.Generator) -> Curriculum:
    return Curriculum(0.5, 2, SHAPE)


@pytest.fixture
def sampler(tmp_path: Path) -> ClipSampler:
    material = gather(map(str, write_all(tmp_path)), report=print)
    return ClipSampler(material.videos, material.stills)


def test_a_batch_depends_on_seed_and_number_alone(sampler: ClipSampler) -> None:
    first, again, other = (ClipBatches(10, seed, sampler, plan) for seed in (1, 1, 2))
    again[0]
    for name, value in first[4].items():
        assert torch.equal(value, again[4][name])
    assert not torch.equal(first[4]["frames"], other[4]["frames"])
    assert not torch.equal(first[4]["frames"], first[5]["frames"])


def test_masks_hold_the_ids_of_the_slots_and_exists_says_which_are_there(sampler: ClipSampler) -> None:
    batches = ClipBatches(8, 0, sampler, plan)
    seen = set()
    for batch in map(batches.__getitem__, range(8)):
        assert batch["frames"].shape == (2, 3, 3, 48, 48)
        assert batch["frames"].dtype == torch.uint8
        assert set(batch["masks"].unique().tolist()) <= {0, 1, 2}
        for masks, exists in zip(batch["masks"], batch["exists"], strict=True):
            assert [float((masks[0] == i).any()) for i in (1, 2)] == exists.tolist()
            seen.add(tuple(exists.tolist()))
    assert (1, 1) in seen


def test_void_of_a_video_stays_void(tmp_path: Path) -> None:
    frames, masks = clip(3, 4, 64, 96, 1)
    masks[:, 28:36] = VOID
    videos = gather([str(write_video(tmp_path / "void", "a", frames, masks))], report=print).videos
    stills = gather([str(write_all(tmp_path)[1])], report=print).stills
    drawn = ClipSampler(videos, stills).draw(np.random.default_rng(0), True, 1, ClipShape(1, 3, 48, 1))
    assert set(np.unique(drawn.masks)) == {0, 1, VOID}


def test_frame_gaps_stay_within_the_bound_and_the_video() -> None:
    rng = np.random.default_rng(0)
    for count, length, gap in [(6, 3, 12), (40, 5, 4), (3, 3, 1), (2, 4, 3)]:
        for _ in range(50):
            order = frame_order(rng, count, length, gap)
            assert len(order) == length
            assert min(order) >= 0
            assert max(order) < count
            steps = np.diff(order) * (1 if order[-1] >= order[0] else -1)
            assert (steps >= 0).all()
            assert (steps <= gap).all()


def test_without_videos_and_still_images_there_is_no_sampler() -> None:
    with pytest.raises(DatasetError, match="neither videos nor still images"):
        ClipSampler([], [])


@pytest.mark.parametrize(
    ("progress", "share", "gap"),
    [(0, 0.3, 2), (0.25, 0.525, 7), (0.5, 0.75, 12), (0.8, 0.75, 12), (0.9, 0.75, 8)],
)
def test_the_curriculum_turns_to_video_and_to_wider_gaps(progress: float, share: float, gap: int) -> None:
    rng = np.random.default_rng(0)
    drawn = [curriculum(progress, rng) for _ in range(300)]
    assert all(plan.video_share == pytest.approx(share) for plan in drawn)
    assert {plan.max_gap for plan in drawn if plan.shape.pace == 1} == {gap}


def test_the_last_quarter_of_the_curriculum_is_mostly_calm_and_long() -> None:
    rng = np.random.default_rng(0)
    assert all(curriculum(0.7, rng).shape.pace == 1 for _ in range(100))
    calm = [plan for plan in (curriculum(0.8, rng) for _ in range(500)) if plan.shape.pace < 1]
    assert 0.5 < len(calm) / 500 < 0.7
    assert all(plan.shape.frames >= 5 and plan.max_gap <= 2 for plan in calm)


def test_a_further_training_shows_wide_gaps_at_once_and_calm_clips_from_a_tenth_on() -> None:
    rng = np.random.default_rng(0)
    early = [further(0.05, rng) for _ in range(100)]
    assert {(plan.max_gap, plan.shape.pace) for plan in early} == {(12, 1.0)}
    calm = [plan for plan in (further(0.2, rng) for _ in range(500)) if plan.shape.pace < 1]
    assert 0.5 < len(calm) / 500 < 0.7
    assert {plan.shape.frames for plan in calm} == {5, 6, 8, 10}


def test_a_calm_clip_moves_less_than_a_lively_one(sampler: ClipSampler) -> None:

    def movement(pace: float) -> float:
        shape = ClipShape(1, 4, 64, 1, pace)
        clips = [sampler.draw(np.random.default_rng(seed), False, 1, shape) for seed in range(12)]
        return float(np.mean([(clip.masks[0] != clip.masks[-1]).mean() for clip in clips]))

    assert movement(0.1) < 0.5 * movement(1.0)


def test_gaps_count_frames_of_the_film(tmp_path: Path) -> None:
    frames, masks = clip(3, 9, 64, 96, 1)
    frames[:] = (np.arange(9) * 20)[:, None, None, None].astype(np.uint8)
    videos = gather([str(write_video(tmp_path / "sparse", "a", frames, masks))], report=print).videos
    sparse = [replace(videos[0], spacing=3)]
    stills = gather([str(write_all(tmp_path)[1])], report=print).stills
    rng = np.random.default_rng(0)
    for _ in range(20):
        drawn = ClipSampler(sparse, stills)._video_clip(rng, 5, ClipShape(1, 3, 48, 1))
        shown = [float(np.median(picture)) for picture in drawn.frames]
        assert np.abs(np.diff(shown)).max() < 30, "five frames of the film are one step of every third frame"


def test_videos_alone_are_still_images_too(tmp_path: Path) -> None:
    videos = gather([str(write_all(tmp_path)[0])], report=print).videos
    sampler = ClipSampler(videos, [])
    assert len(sampler.stills) == sum(map(len, videos))
    picture, mask = sampler.stills[-1].read(0)
    expected = videos[-1].read(len(videos[-1]) - 1)
    assert np.array_equal(picture, expected[0])
    assert np.array_equal(mask, expected[1])
    drawn = sampler.draw(np.random.default_rng(0), False, 1, ClipShape(1, 3, 48, 1))
    assert len(drawn.frames) == 3


def test_stills_without_any_object_are_refused(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(2):
        Image.fromarray(np.full((40, 50, 3), 90, np.uint8)).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(np.zeros((40, 50), np.uint8)).save(tmp_path / "masks" / f"{number}.png")
    stills = gather([str(tmp_path)], report=print).stills
    with pytest.raises(DatasetError, match="0 of them show an object"):
        ClipBatches(10, 0, ClipSampler([], stills), plan)[0]
