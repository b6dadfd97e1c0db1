"""Training samples of STCN, STM, XMem and Cutie: clips of a still image or a video.

For STCN every draw is the published one (its release; paper, section 4), in its order, where it is known.
STM's differences are fields with STCN's values as defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch

from segue.errors import DatasetError
from segue.types import Image
from segue.utils.arrays import BoolArray
from segue_train.data import photo
from segue_train.data.clips import Clip, collate
from segue_train.data.footage import VOID, Footage, object_ids, relabel
from segue_train.data.photo import Jitter, Labelled
from segue_train.data.warp import Matrix, Rng
from segue_train.recipe import Batch, Batches, order_of_pass

FRAMES = 3
FAINT = Jitter(0.01, 0.01, 0.01)  # colours of single frames
REDRAWS = 5  # how often a video sample without any object in its first frame is drawn again
LENGTH = 8  # frames of a clip of a video for XMem and Cutie
OBJECTS = 3  # objects of such a clip, at most
JUMPS = ((0.1, 10), (0.3, 15))  # rises of the gap between its frames, see :class:`SkipCurriculum`
PASTED = 0.5  # share of the clips that objects are pasted into, if they have room (Cutie)


def choose_frames(rng: Rng, count: int, max_skip: int) -> tuple[int, int, int]:
    """Choose three frames in order of time, reversed half the time; two may be equal."""
    reach = min(count, max_skip)
    first = int(rng.integers(0, count - reach, endpoint=True))
    second = min(first + 1 + int(rng.integers(0, reach, endpoint=True)), count - reach, count - 1)
    third = min(second + 1 + int(rng.integers(0, reach, endpoint=True)), count - reach // 2, count - 1)
    return (third, second, first) if rng.random() < 0.5 else (first, second, third)


@dataclass(frozen=True, slots=True)
class StillSamples:
    """Draws three warped frames of a still image (stage 0)."""

    footage: Sequence[Footage]
    side: int
    slots: int = 1
    spline_share: float = 0.33  # of the frames, which are bent
    clip_scale: tuple[float, float] = (0.8, 1.5)
    frame_scale: tuple[float, float] = (0.9, 1.1)

    def draw(self, rng: Rng, index: int, max_skip: int) -> Clip:
        """Draw a clip of footage ``index``; ``max_skip`` has no effect."""
        image, mask = self.footage[index].read(0)
        ids = object_ids(mask)
        sampled_ids = rng.choice(np.array(ids, np.int64), min(self.slots, len(ids)), replace=False).tolist()
        label = relabel(mask, sampled_ids)
        planes = np.stack([label == i for i in (*range(1, self.slots + 1), VOID)], axis=-1) * np.uint8(255)
        item = self._shared(rng, Labelled(image, planes))
        frames = [self._frame(rng, item) for _ in range(FRAMES)]
        return Clip([frame.image for frame in frames], [_index_mask(frame.mask > 127) for frame in frames])

    def _shared(self, rng: Rng, item: Labelled) -> Labelled:
        zoom = photo.affine(0, rng.uniform(*self.clip_scale), 0, item.image.shape[:2])
        item = photo.warp_affine(item, zoom, image=cv2.INTER_NEAREST, mask=cv2.INTER_NEAREST)
        if rng.random() < 0.5:
            item = photo.flip(item)
        image = Jitter(0.1, 0.05, 0.05, 0.05).draw(rng)(item.image)
        return Labelled(photo.grey(image) if rng.random() < 0.05 else image, item.mask)

    def _frame(self, rng: Rng, item: Labelled) -> Labelled:
        low, high = self.frame_scale
        angle, scale, shear = rng.uniform([-20, low, -10], [20, high, 10])
        matrix = photo.affine(angle, scale, shear, item.image.shape[:2])
        item = photo.warp_affine(item, matrix, image=cv2.INTER_CUBIC, mask=cv2.INTER_CUBIC)
        item = photo.random_crop(rng, photo.resize_short_side(item, self.side), self.side)
        item = Labelled(Jitter(0.1, 0.05, 0.05).draw(rng)(item.image), item.mask)
        return photo.warp_spline(rng, item) if rng.random() < self.spline_share else item


@dataclass(frozen=True, slots=True)
class VideoSamples:
    """Draws three frames of a video, see :func:`long_enough`, with some objects (stages 1 to 3)."""

    footage: Sequence[Footage]
    side: int
    min_area: float = 0.36  # smallest share of the image that a crop shows
    small_objects: Literal["keep", "drop"] = "keep"
    slots: int = 2
    choose: Callable[[Rng, int, int], Sequence[int]] = choose_frames
    clip_affine: tuple[float, float] = (0, 0)  # largest rotation and shear of all frames alike, in degrees
    frame_affine: tuple[float, float] = (15, 10)  # and of each frame of its own
    frame_jitter: Jitter = FAINT
    interpolation: int = cv2.INTER_CUBIC  # of images that are turned
    video_frames: bool = True  # whether distances count frames of the video, or else labelled frames

    def draw(self, rng: Rng, index: int, max_skip: int) -> Clip:
        """Draw a clip of footage ``index`` with frames at most about ``max_skip`` apart."""
        footage = self.footage[index]
        reach = max(1, max_skip // (footage.spacing if self.video_frames else 1))
        for _ in range(1 + REDRAWS):
            order = self.choose(rng, len(footage), reach)
            clip = self._augment(rng, [Labelled(*footage.read(i)) for i in order])
            ids = self._candidates(clip)
            if ids:
                break
        sampled_ids = rng.permutation(np.array(ids, np.int64))[: self.slots].tolist()
        clip.masks = [relabel(mask, sampled_ids) for mask in clip.masks]
        return clip

    def _augment(self, rng: Rng, items: list[Labelled]) -> Clip:
        """Rotate, crop, mirror and recolour all frames alike, then each slightly."""
        if any(self.clip_affine):
            turned = self._draw_affine(rng, self.clip_affine, items[0].image.shape[:2])
            items = [self._warp(item, turned) for item in items]
        mirrored = rng.random() < 0.5
        window = photo.draw_window(rng, items[0].image.shape[:2], self.min_area)
        jitter, colourless = Jitter(0.1, 0.03, 0.03).draw(rng), rng.random() < 0.05
        clip = Clip([], [])
        for item in items:
            item = photo.flip(item) if mirrored else item
            item = photo.resize(photo.crop(item, window), self.side, self.side)
            image = jitter(item.image)
            item = Labelled(photo.grey(image) if colourless else image, item.mask)
            if any(self.frame_affine):
                item = self._warp(item, self._draw_affine(rng, self.frame_affine, (self.side, self.side)))
            clip.frames.append(self.frame_jitter.draw(rng)(item.image))
            clip.masks.append(item.mask)
        return clip

    def _draw_affine(self, rng: Rng, ranges: tuple[float, float], size: tuple[int, ...]) -> Matrix:
        angle, shear = rng.uniform([-x for x in ranges], ranges)
        return photo.affine(angle, 1, shear, (size[0], size[1]))

    def _warp(self, item: Labelled, matrix: Matrix) -> Labelled:
        return photo.warp_affine(item, matrix, image=self.interpolation, mask=cv2.INTER_NEAREST)

    def _candidates(self, clip: Clip) -> list[int]:
        ids = object_ids(clip.masks[0])
        if self.small_objects == "keep":
            return ids
        areas = {i: [int((mask == i).sum()) for mask in clip.masks] for i in ids}
        return [i for i, (first, *rest) in areas.items() if first > (900 if max(rest) >= 400 else 100)]


def nearby_frames(length: int) -> Callable[[Rng, int, int], list[int]]:
    """Create a function that chooses nearby frames, sorted, sometimes reversed."""

    def choose(rng: Rng, count: int, max_jump: int) -> list[int]:
        selected = [int(rng.integers(count))]
        while len(selected) < length:
            nearby = {n for t in selected for n in range(max(t - max_jump, 0), min(t + max_jump + 1, count))}
            free = sorted(nearby - set(selected))
            selected.append(int(rng.choice(free)))
        selected.sort()
        return selected[::-1] if rng.random() < 0.5 else selected

    return choose


@dataclass(frozen=True, slots=True)
class PastedVideos(VideoSamples):
    """Draws videos with objects of another video pasted half the time (Cutie's release)."""

    def draw(self, rng: Rng, index: int, max_skip: int) -> Clip:
        clip = VideoSamples.draw(self, rng, index, max_skip)
        num_objects = len(object_ids(clip.masks[0]))
        if rng.random() >= PASTED or num_objects >= self.slots:
            return clip
        other = VideoSamples.draw(self, rng, int(rng.integers(len(self.footage))), max_skip)
        return paste(clip, other, num_objects, self.slots - num_objects)


def paste(clip: Clip, other: Clip, first: int, room: int) -> Clip:
    """Paste objects of another clip in front, with soft edges."""
    frames, masks = [], []
    for image, mask, front, shapes in zip(clip.frames, clip.masks, other.frames, other.masks, strict=True):
        inside = (shapes > 0) & (shapes != VOID) & (shapes <= room)
        edge = cv2.GaussianBlur(inside.astype(np.float32), (5, 5), 1)[..., None]
        frames.append(np.rint(image * (1 - edge) + front * edge).astype(np.uint8))
        masks.append(np.where(inside, shapes + first, mask).astype(np.uint8))
    return Clip(frames, masks)


@dataclass(frozen=True)
class SampleBatches(Batches):
    """Batches from shuffled passes over the footage."""

    samples: StillSamples | VideoSamples
    batch: int
    skips: Callable[[int, int], int] | None = None  # largest gap in a pass of so many

    def __post_init__(self) -> None:
        if not self.samples.footage:
            raise DatasetError("no footage to train on; see --data")

    def batch_of(self, number: int) -> Batch:
        total = len(self.samples.footage)
        per_epoch = max(1, total // self.batch)
        epoch, position = divmod(number, per_epoch)
        order = order_of_pass(total, self.seed, 1, epoch)
        rng = np.random.default_rng([self.seed, 0, number])
        max_skip = self.skips(epoch, -(-self.count // per_epoch)) if self.skips else 1
        places = (position * self.batch + np.arange(self.batch)) % total
        clips = [self.samples.draw(rng, int(order[place]), max_skip) for place in places]
        batch = collate(clips, self.samples.slots)
        batch["exists"] = torch.cat([torch.ones(self.batch, 1), batch["exists"][:, 1:]], dim=1)
        return batch


def long_enough(footage: Sequence[Footage], stage: int, frames: int = FRAMES) -> list[Footage]:
    """Select videos with enough labelled frames for a clip."""
    videos = [video for video in footage if len(video) >= frames]
    if not videos:
        raise DatasetError(f"no video with {frames} labelled frames; stage {stage} needs some")
    return videos


@dataclass(frozen=True, slots=True)
class SkipCurriculum:
    """Largest gap between frames: 5, rising during training, and 5 again from ``fall`` on.

    The rises are those of STCN by default.
    """

    fall: float
    rises: tuple[tuple[float, int], ...] = ((0.1, 10), (0.2, 15), (0.3, 20), (0.4, 25))

    def __call__(self, epoch: int, epochs: int) -> int:
        """Largest gap in pass ``epoch`` of ``epochs``."""
        shares = (*self.rises, (self.fall, 5))
        return next((gap for share, gap in reversed(shares) if epoch >= round(epochs * share)), 5)


def _index_mask(inside: BoolArray) -> Image:
    """Convert planes (H, W, slots + 1) of objects and void to ids; void wins, then the first object."""
    index = np.where(inside[..., :-1].any(-1), inside[..., :-1].argmax(-1) + 1, 0)
    return np.where(inside[..., -1], VOID, index).astype(np.uint8)
