"""Training samples of XMem and Cutie: eight frames of a video; objects of one video pasted into another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from segue_train.clips import Clip
from segue_train.footage import VOID, object_ids
from segue_train.stcn_data import VideoSamples
from segue_train.warp import Rng

LENGTH = 8
"""Frames of a clip of a video."""

OBJECTS = 3
"""Objects of a clip of a video, at most."""

JUMPS = ((0.1, 10), (0.3, 15))
"""Rises of the gap between frames, see :class:`~segue_train.stcn_data.SkipCurriculum`."""

PASTED = 0.5
"""Share of the clips that objects are pasted into, if they have room (Cutie)."""


def frames_near(length: int) -> Callable[[Rng, int, int], list[int]]:
    """Make a function that chooses frames, each near one that was chosen; sorted, reversed at times."""

    def choose(rng: Rng, count: int, max_jump: int) -> list[int]:
        chosen = [int(rng.integers(count))]
        while len(chosen) < length:
            near = {n for t in chosen for n in range(max(t - max_jump, 0), min(t + max_jump + 1, count))}
            free = sorted(near - set(chosen))
            chosen.append(int(rng.choice(free)))
        chosen.sort()
        return chosen[::-1] if rng.random() < 0.5 else chosen

    return choose


@dataclass(frozen=True, slots=True)
class PastedVideos(VideoSamples):
    """Videos into which, half of the time, objects of another video are pasted (Cutie's release)."""

    def draw(self, rng: Rng, index: int, max_skip: int) -> Clip:
        clip = VideoSamples.draw(self, rng, index, max_skip)
        there = len(object_ids(clip.masks[0]))
        if rng.random() >= PASTED or there >= self.slots:
            return clip
        other = VideoSamples.draw(self, rng, int(rng.integers(len(self.footage))), max_skip)
        return paste(clip, other, there, self.slots - there)


def paste(clip: Clip, other: Clip, first: int, room: int) -> Clip:
    """Paste objects of another clip in front of a clip, with soft edges."""
    frames, masks = [], []
    for picture, mask, front, shapes in zip(clip.frames, clip.masks, other.frames, other.masks, strict=True):
        inside = (shapes > 0) & (shapes != VOID) & (shapes <= room)
        edge = cv2.GaussianBlur(inside.astype(np.float32), (5, 5), 1)[..., None]
        frames.append(np.rint(picture * (1 - edge) + front * edge).astype(np.uint8))
        masks.append(np.where(inside, shapes + first, mask).astype(np.uint8))
    return Clip(frames, masks)
