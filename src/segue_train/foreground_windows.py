"""Windows of frames from labelled videos, straight from their files, for networks without an image pool.

All frames of a window are changed alike. The paper of MUSTAN does not tell its augmentations; the ranges are
our reading (see docs/systems/mustan.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from segue.arrays import Float32Array
from segue.datasets.foreground import ForegroundSequence
from segue.datasets.isd import IsdClip
from segue.datasets.labels import MOTION, STATIC
from segue.sessions.extra_inputs import DepthScale
from segue_train.foreground_samples import Sample, collate
from segue_train.foreground_videos import Run, runs_of
from segue_train.photo import Jitter
from segue_train.recipe import Batch, Batches
from segue_train.warp import Picture, Rng, Size, log_uniform, picked, random_part

LONGEST_STEP = 6  # most frames from one frame of a window to the next; networks learn steps from one on
FROZEN = 0.05  # share of the windows in which all frames are the current one
BACKGROUND_FRAMES = 9  # past frames whose median is the background


class WindowSampler:
    """Draws windows of ``size`` (H, W) from videos; their frames are evenly spaced, one offset is 0."""

    def __init__(
        self,
        videos: Sequence[ForegroundSequence],
        offsets: tuple[int, ...],
        size: Size,
        *,
        background: bool,
        depth: bool = False,
    ) -> None:
        self.offsets, self.size, self.background, self.depth = offsets, size, background, depth
        self.spacing = int(np.gcd.reduce(np.abs(offsets))) or 1
        self.runs = runs_of(videos, scored=True)

    def sample(self, rng: Rng) -> Sample:
        """A random window, of a video that runs forwards or backwards, faster or slower."""
        run = picked(rng, self.runs)
        now = picked(rng, run.labelled)
        step = int(rng.integers(1, LONGEST_STEP + 1)) * (1 if rng.random() < 0.5 else -1)
        if rng.random() < FROZEN:
            step = 0
        # Beyond the ends of the video stands its first or last frame.
        wanted = (now + offset // self.spacing * step for offset in self.offsets)
        places = [min(max(place, run.first), run.last) for place in wanted]
        read = {i: run.video.read_image(i) for i in {*places, now}}
        background = _background(run, now, step) if self.background else read[now]
        labels = run.video.read_labels(now)
        if step == 0 and not self.background:
            # Nothing tells what moves.
            labels = np.where(labels == MOTION, np.uint8(STATIC), labels)
        depth = read_depth(run.video, now) if self.depth else labels
        pictures = [*(read[i] for i in places), background, labels, depth]
        *window, background, labels, depth = cut(rng, pictures, self.size)
        sample = Sample(np.stack(window), background, labels, depth if self.depth else None)
        return augment(rng, sample)


def _background(run: Run, now: int, step: int) -> Picture:
    """Median of frames that are spread evenly over the past, in the direction of the window."""
    past = range(run.first, now) if step >= 0 else range(now + 1, run.last + 1)
    places = np.unique(np.linspace(past.start, past.stop - 1, BACKGROUND_FRAMES).round().astype(int))
    frames = np.stack([run.video.read_image(int(i)) for i in (places if past else [now])])
    middle = (len(frames) - 1) // 2
    return np.asarray(np.partition(frames, middle, axis=0)[middle], np.uint8)


def read_depth(video: ForegroundSequence, i: int) -> Picture:
    """Depth map of a frame over the range of the video's first one."""
    clip = IsdClip.of(video)
    if not clip.has_depth:
        return np.zeros(video.read_image(i).shape[:2], np.uint8)
    scale = DepthScale()
    scale(clip.read_depth(0))
    return scale(clip.read_depth(i))


@dataclass(frozen=True)
class WindowBatches(Batches):
    """Batches of windows, see :func:`collate`; each sampler gives the same share of every one."""

    samplers: Sequence[WindowSampler]
    batch: int

    def batch_of(self, number: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        # With a batch that does not divide, the samplers take turns.
        first = number * self.batch
        chosen = (self.samplers[(first + i) % len(self.samplers)] for i in range(self.batch))
        return collate([sampler.sample(rng) for sampler in chosen])


COLOUR = Jitter(brightness=0.4, contrast=0.4, saturation=0.3, hue=0.05)
GAMMA = (0.7, 1.5)
SCALE = (0.75, 1.5)  # enlargement of an image whose short side was brought to that of the crop
NOISE = 0.04  # largest deviation of the noise, of 1
BLUR = (0.3, 1.2)  # range of the blur's deviation in pixels
OFTEN, SELDOM = 0.5, 0.3  # shares of the windows with noise, and with blur


def cut(rng: Rng, pictures: Sequence[Picture], size: Size) -> list[Picture]:
    """The same random part of all images, every second time mirrored."""
    height, width = pictures[0].shape[:2]
    scale = min(size) / min(height, width) * rng.uniform(*SCALE)
    shown = min(height, round(size[0] / scale)), min(width, round(size[1] / scale))
    part = random_part(rng, (height, width), shown)
    step = -1 if rng.random() < 0.5 else 1
    return [_resize(np.ascontiguousarray(picture[part][:, ::step]), size) for picture in pictures]


def augment(rng: Rng, sample: Sample) -> Sample:
    """Change the light, the colours and the sensor of a window and its background."""
    frames = [*sample.window, sample.background]
    change, table = COLOUR.draw(rng), _gamma(rng)
    frames = [cv2.LUT(change(frame), table) for frame in frames]
    if rng.random() < SELDOM:
        deviation = rng.uniform(*BLUR)
        frames = [cv2.GaussianBlur(frame, (0, 0), deviation) for frame in frames]
    if rng.random() < OFTEN:
        deviation = 255 * rng.uniform(0, NOISE)
        frames = [_noise(rng, frame, deviation) for frame in frames]
    *window, background = frames
    return replace(sample, window=np.stack(window), background=background)


def _gamma(rng: Rng) -> Picture:
    """Grey values by grey value."""
    exponent = log_uniform(rng, *GAMMA)
    return np.asarray(np.rint(255 * (np.arange(256) / 255) ** exponent), np.uint8)


def _noise(rng: Rng, frame: Picture, deviation: float) -> Picture:
    noise: Float32Array = rng.standard_normal(frame.shape, np.float32) * np.float32(deviation)
    return np.asarray(np.clip(frame + noise + 0.5, 0, 255), np.uint8)


def _resize(part: Picture, size: Size) -> Picture:
    smaller = part.shape[0] > size[0]
    colour = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    interpolation = cv2.INTER_NEAREST_EXACT if part.ndim == 2 else colour
    return np.asarray(cv2.resize(part, size[::-1], interpolation=interpolation), np.uint8)
