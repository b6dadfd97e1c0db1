"""Samples for foreground networks from labelled real and rendered videos.

Videos of fixed cameras give frames, context and a background as in a session. Frames of a moving camera are
first warped onto the current frame; the network must ignore the remaining motion, above all parallax.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from segue.datasets.foreground import ForegroundSequence
from segue.datasets.labels import MOTION, STATIC, UNKNOWN
from segue.errors import DatasetError
from segue.sessions.moving_camera import camera_motion, is_moderate, seen_from
from segue_train.footage import VOID, Footage
from segue_train.foreground_samples import UNLIT, Sample, with_past
from segue_train.warp import Matrix, Picture, Rng, Size, picked, random_part

NEAREST, FARTHEST = 4, 18  # frames from the current one to those that are a moving camera's background
TRIES = 500  # random frames that are looked at for one whose past can be warped onto it


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive frames of a video, and the labelled ones."""

    video: ForegroundSequence
    first: int
    last: int
    labelled: list[int]


class StillCameras:
    """Draws samples of ``size`` (H, W) from labelled videos of cameras that stand still."""

    def __init__(
        self, videos: Sequence[ForegroundSequence], offsets: Sequence[int], size: Size, *, shadows: bool
    ) -> None:
        self.offsets, self.size, self.shadows = tuple(offsets), size, shadows
        self.runs = runs_of(videos)

    def samples(self, rng: Rng) -> list[Sample]:
        """A random labelled frame; half of the videos run backwards."""
        run = picked(rng, self.runs)
        now = picked(rng, run.labelled)
        sense = 1 if rng.random() < 0.5 else -1
        times = [int(np.clip(now + sense * offset, run.first, run.last)) for offset in self.offsets]
        before = [i for i in run.labelled if sense * i < sense * now] or [now]
        chosen = rng.choice(before, min(int(rng.integers(1, 24)), len(before)), replace=False)
        past = sorted((int(i) for i in chosen), key=lambda i: sense * i)
        labels = run.video.read_labels(now)
        if not self.shadows:
            labels = np.where(labels == STATIC, np.uint8(UNLIT), labels)
        frames = [run.video.read_image(i) for i in (*times, *past)]
        return [_sample(rng, self, frames, [run.video.read_labels(i) for i in past], labels)]


class MovingCameras:
    """Draws samples from labelled videos of moving cameras, warped so that the camera stands still."""

    def __init__(self, videos: Sequence[Footage], offsets: Sequence[int], size: Size) -> None:
        self.videos, self.offsets, self.size = list(videos), tuple(offsets), size
        self._steps: dict[int, list[Matrix | None]] = {}

    def samples(self, rng: Rng) -> list[Sample]:
        """A random frame whose past can be warped onto it."""
        for _ in range(TRIES):
            number = int(rng.integers(len(self.videos)))
            video = self.videos[number]
            sense = 1 if rng.random() < 0.5 else -1
            past = -np.sort(-rng.integers(NEAREST, FARTHEST + 1, int(rng.integers(1, 9))))
            times = [sense * int(time) for time in (*self.offsets, *(-past))]
            frames = range(max(0, -min(times)), len(video) - max(0, *times))
            if not frames:
                continue
            now = int(rng.choice(frames))
            warped = self._warped(number, now, [now + time for time in times])
            if warped is not None:
                mask = video.read(now)[1]
                labels = np.where(mask > 0, np.uint8(MOTION), np.uint8(UNLIT))
                labels[mask == VOID] = UNKNOWN
                # Nobody warps the masks: those of a session are as if missing, or crude.
                return [_sample(rng, self, warped, [np.zeros_like(mask)] * len(past), labels)]
        raise DatasetError(
            f"{TRIES} tries to warp the past onto a frame failed; leave the videos out, or give longer ones"
        )

    def _warped(self, number: int, now: int, others: Sequence[int]) -> list[Picture] | None:
        """Frames as the camera would have seen them from where it is now; None if that is not known."""
        video = self.videos[number]
        current = video.read_image(now)
        found = []
        for other in others:
            matrix = self._motion(number, other, now)
            if matrix is None or not is_moderate(matrix, (current.shape[0], current.shape[1])):
                return None
            found.append(seen_from(video.read_image(other), matrix, current))
        return found

    def _motion(self, number: int, start: int, end: int) -> Matrix | None:
        """Homography from frame ``start`` to frame ``end``, chained over the frames between them."""
        if number not in self._steps:
            video = self.videos[number]
            pictures = [video.read(i) for i in range(len(video))]
            self._steps[number] = [camera_motion(a, b) for a, b in itertools.pairwise(pictures)]
        low, high = sorted((start, end))
        total: Matrix = np.eye(3)
        for step in self._steps[number][low:high]:
            if step is None:
                return None
            total = step @ total
        return np.asarray(total if start <= end else np.linalg.inv(total), np.float64)


def runs_of(videos: Sequence[ForegroundSequence], *, scored: bool = False) -> list[Run]:
    """Stretches of videos without a gap between their frames and with two or more labelled ones."""
    runs = []
    for video in videos:
        breaks = [i for i in range(1, len(video)) if video.numbers[i] - video.numbers[i - 1] != 1]
        kept = set(video.scored) if scored else video.truths
        for first, end in itertools.pairwise([0, *breaks, len(video)]):
            labelled = [i for i in video.labels if first <= i < end]
            counting = [i for i in labelled if video.numbers[i] in kept]
            if len(labelled) > 1 and counting:
                runs.append(Run(video, first, end - 1, counting))
    if not runs:
        raise DatasetError("no video with labelled frames that follow one another")
    return runs


def _sample(
    rng: Rng,
    maker: StillCameras | MovingCameras,
    frames: Sequence[Picture],
    masks: Sequence[Picture],
    labels: Picture,
) -> Sample:
    """Part of a video: its frames are the window, then the past; its masks are the labels of the past."""
    cut = _cut(rng, maker.size, [*frames, *masks, labels])
    count, length = len(maker.offsets), len(frames)
    window, past, solids = (np.stack(cut[i:j]) for i, j in ((0, count), (count, length), (length, -1)))
    return with_past(rng, window, window[maker.offsets.index(0)], past, solids >= UNKNOWN, cut[-1])


def _cut(rng: Rng, size: Size, pictures: Sequence[Picture]) -> list[Picture]:
    """The same random part of all images, enlarged or reduced a little; the last one is an index mask."""
    height, width = pictures[0].shape[:2]
    scale = max(float(rng.uniform(0.7, 1.3)), size[0] / height, size[1] / width)
    shown = min(height, int(size[0] / scale)), min(width, int(size[1] / scale))
    part = random_part(rng, (height, width), shown)
    found = []
    for picture in pictures:
        interpolation = cv2.INTER_NEAREST if picture.ndim == 2 else cv2.INTER_LINEAR
        found.append(np.asarray(cv2.resize(picture[part], size[::-1], interpolation=interpolation), np.uint8))
    return found
