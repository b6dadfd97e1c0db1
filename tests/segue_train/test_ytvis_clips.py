"""Clips of YouTube-VIS and COCO: frames, changes, batches, targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segue.arrays import BoolArray, Float32Array
from segue.datasets.ytvis import CocoImages, YTVISDataset
from segue.errors import DatasetError
from segue_train.instance_augment import (
    PUBLISHED,
    InstanceClip,
    Sizes,
    augmented,
    cropped,
    distorted,
    flipped,
    pseudo_clip,
    resized,
    size_for,
)
from segue_train.instance_losses import tight_boxes
from segue_train.ytvis_clips import (
    FRAMES,
    ClipBatches,
    StillClips,
    VideoClips,
    clip_frames,
    clip_targets,
    collate,
    valid_places,
)
from tests.segue_train.instance_sets import BRIGHT, DARK, picture, save_coco, save_ytvis

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

NAMES = {BRIGHT: "lamp", DARK: "coal"}


def boxes_around(masks: BoolArray) -> Float32Array:
    return tight_boxes(torch.from_numpy(np.ascontiguousarray(masks))).numpy()


def small_clip(frames: int = 2) -> InstanceClip:
    """The bright and the dark square, moving apart."""
    pairs = [picture(t, 2 * t) for t in range(frames)]
    masks = np.stack([masks for _, masks in pairs], axis=1)
    labels = np.array([BRIGHT, DARK], np.int64)
    return InstanceClip([image for image, _ in pairs], labels, masks, boxes_around(masks))


def belongs(clip: InstanceClip) -> bool:
    """Whether the masks lie on the squares that their labels speak of."""
    for label, planes in zip(clip.labels.tolist(), clip.masks, strict=True):
        for frame, mask in zip(clip.frames, planes, strict=True):
            if mask.sum() > 200 and (np.median(frame[mask]) > 128) != (label == BRIGHT):
                return False
    return True


@given(st.integers(1, 40), st.data(), st.integers(0, 2**32))
def test_a_clip_has_its_key_frame_near_ones_and_far_ones(length: int, data: st.DataObject, seed: int) -> None:
    key = data.draw(st.integers(0, length - 1))
    frames = clip_frames(np.random.default_rng(seed), length, key)
    assert frames == sorted(frames)
    assert len(frames) == FRAMES
    assert key in frames
    assert all(0 <= t < length for t in frames)
    assert any(max(0, key - 3) <= t <= max(0, key - 1) for t in frames)
    assert any(min(length - 1, key + 1) <= t <= min(length - 1, key + 3) for t in frames)
    if length >= 12:
        assert len(set(frames)) >= 3


@given(st.integers(40, 900), st.integers(40, 900), st.sampled_from(PUBLISHED.short_sides))
def test_the_long_side_is_bounded_and_the_shape_is_kept(height: int, width: int, short: int) -> None:
    size = size_for((height, width), short, PUBLISHED.longest)
    assert min(size) <= short
    assert max(size) <= PUBLISHED.longest + max(height, width) / min(height, width)
    assert size[0] / size[1] == pytest.approx(height / width, rel=0.1)
    assert min(size_for((height, width), short, None)) == short


def test_two_flips_change_nothing() -> None:
    clip = small_clip()
    twice = flipped(flipped(clip))
    assert all(np.array_equal(a, b) for a, b in zip(twice.frames, clip.frames, strict=True))
    assert np.array_equal(twice.masks, clip.masks)
    assert np.array_equal(twice.boxes, clip.boxes)
    assert np.array_equal(flipped(clip).boxes, boxes_around(flipped(clip).masks))


def test_boxes_follow_crops_and_sizes() -> None:
    clip = small_clip(1)
    assert clip.boxes[0, 0].tolist() == [10, 10, 40, 34]
    part = cropped(clip, *np.s_[20:50, 5:30])
    assert part.boxes[0, 0].tolist() == [5, 0, 25, 14]
    assert part.boxes[1, 0].tolist() == [0, 0, 0, 0]
    assert resized(part, (60, 75)).boxes[0, 0].tolist() == [15, 0, 75, 28]
    assert np.array_equal(
        resized(part, (60, 75)).masks[0, 0], np.pad(np.ones((28, 60), bool), ((0, 32), (15, 0)))
    )


def test_small_networks_see_clips_of_half_the_size() -> None:
    half = PUBLISHED.halved()
    assert half == Sizes((144, 160, 176, 196, 208, 224, 240, 256), 384, (200, 250, 300), 192, 300)
    for seed in range(6):
        clip = augmented(np.random.default_rng(seed), small_clip(1), colours=False, sizes=half)
        assert clip is not None
        assert max(clip.size) <= 384


@pytest.mark.parametrize("seed", range(6))
def test_masks_stay_on_their_objects(seed: int) -> None:
    clip = augmented(np.random.default_rng(seed), small_clip(), colours=False)
    assert clip is not None
    assert belongs(clip)
    assert min(clip.size) <= max(PUBLISHED.short_sides)
    assert {frame.shape[:2] for frame in clip.frames} == {clip.size} == {clip.masks.shape[-2:]}
    inside = boxes_around(clip.masks)
    seen = clip.masks.any((-2, -1))
    assert (np.abs(inside - clip.boxes)[seen] <= 8).all()


class Draws:
    """Random numbers that are none: given ones in turn, and 20 as every uniform one."""

    def __init__(self, *values: float) -> None:
        self.values = list(values)

    def random(self) -> float:
        return self.values.pop(0)

    def uniform(self, low: float, high: float) -> float:
        return min(high, 20)


def test_colours_that_leave_the_range_come_in_again_on_the_other_side() -> None:
    image = np.full((2, 2, 3), 250, np.uint8)
    brighter = distorted(cast(Any, Draws(0, 1, 1, 1, 1, 1)), image)
    assert np.abs(brighter.astype(int) - (250 + 20 - 256)).max() <= 1
    more = distorted(cast(Any, Draws(1, 0, 0, 1, 1, 1)), image // 10)
    assert np.abs(more.astype(int) - 37).max() <= 1


@pytest.mark.parametrize("seed", range(3))
def test_views_of_a_picture_show_its_objects_and_the_picture_itself(seed: int) -> None:
    image, masks = picture(0, 0)
    clip = pseudo_clip(np.random.default_rng(seed), image, masks, np.array([BRIGHT, DARK]), FRAMES)
    assert sum(np.array_equal(frame, image) for frame in clip.frames) == 1
    assert belongs(clip)
    assert np.array_equal(clip.boxes, boxes_around(clip.masks))


def test_the_later_of_two_masks_has_their_common_pixels() -> None:
    image, masks = picture(0, 0)
    masks[1] |= masks[0]
    clip = pseudo_clip(np.random.default_rng(0), image, masks, np.array([BRIGHT, DARK]), 1)
    assert not clip.masks[0].any()
    assert np.array_equal(clip.masks[1, 0], masks[1])


def test_a_batch_is_padded_and_its_targets_are_not() -> None:
    large, small = resized(small_clip(), (60, 80)), cropped(small_clip(), *np.s_[0:40, 0:50])
    batch = collate([large, small])
    assert batch["frames"].shape == (2, 2, 64, 96, 3)
    assert batch["frames"][1, :, 40:].sum() == batch["frames"][1, :, :, 50:].sum() == 0
    first, second = clip_targets(batch)
    assert (first.size, second.size) == ((60, 80), (40, 50))
    assert torch.equal(second.masks, torch.from_numpy(small.masks))
    assert torch.allclose(second.boxes[0, 0], torch.tensor([0.5, 0.55, 0.6, 0.6]))
    valid = valid_places(batch["sizes"], 64, 96)
    assert valid.sum((1, 2)).tolist() == [60 * 80, 40 * 50]
    assert valid[1, 39, 49]
    assert not valid[1, 40, 0]


def test_videos_and_pictures_give_clips_with_their_classes(tmp_path: Path) -> None:
    videos = VideoClips(YTVISDataset.open(save_ytvis(tmp_path / "vis", NAMES), "train"))
    coco = CocoImages.open(save_coco(tmp_path / "coco", {1: "bulb", 2: "soot"}), "train2017")
    stills = StillClips(coco, {1: BRIGHT})
    assert (len(videos), len(stills)) == (12, 2)
    rng = np.random.default_rng(0)
    clip = videos.draw(rng, 7)
    assert clip is not None
    assert len(clip.frames) == FRAMES
    assert set(clip.labels.tolist()) <= {BRIGHT, DARK}
    clip = stills.draw(rng, 1)
    assert clip is not None
    assert clip.labels.tolist() == [BRIGHT]
    assert belongs(clip)


class Places:
    """A source that shows which of its places is drawn, as the class of a single pixel; some are empty."""

    def __init__(self, count: int, empty: tuple[int, ...] = ()) -> None:
        self.count, self.empty = count, empty

    def __len__(self) -> int:
        return self.count

    def draw(self, rng: np.random.Generator, place: int) -> InstanceClip | None:
        if place in self.empty:
            return None
        shape = (1, 1, 2, 2)
        masks = np.ones(shape, np.bool_)
        frame = rng.integers(0, 256, (2, 2, 3)).astype(np.uint8)
        return InstanceClip([frame], np.array([place]), masks, boxes_around(masks))


def test_every_epoch_has_every_clip_once() -> None:
    batches = ClipBatches(7, 0, [Places(4), Places(3)], batch=2)
    drawn = torch.cat([batches[number]["labels"] for number in range(7)]).tolist()
    whole = sorted([*range(4), *range(3)])
    assert sorted(drawn[:7]) == sorted(drawn[7:]) == whole
    assert drawn[:7] != drawn[7:]


def test_a_batch_depends_on_its_number_alone() -> None:
    one, other = (ClipBatches(20, 3, [Places(9)], batch=2) for _ in range(2))
    for number in (19, 0, 7):
        _ = one[number]
    for name, value in one[11].items():
        assert torch.equal(value, other[11][name])


def test_another_clip_is_taken_where_one_shows_nothing() -> None:
    batches = ClipBatches(1, 0, [Places(4, empty=(0, 1, 2))], batch=4)
    assert batches[0]["labels"].tolist() == [3] * 4
    with pytest.raises(DatasetError, match="1000 clips in a row hold no object"):
        _ = ClipBatches(1, 0, [Places(2, empty=(0, 1))], batch=1)[0]
    with pytest.raises(DatasetError, match="no clip"):
        ClipBatches(1, 0, [], batch=1)
