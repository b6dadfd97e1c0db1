"""Samples for foreground networks from labelled real and rendered videos.

Videos of fixed cameras give frames, context and a background as in a session. All frames of a
window without a pool are changed alike. The paper of MUSTAN does not tell its augmentations; the ranges are
our reading (see docs/systems/mustan.md).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from segue.datasets.foreground.folder import ForegroundSequence
from segue.datasets.foreground.isd import IsdClip
from segue.datasets.foreground.labels import MOTION, STATIC, UNKNOWN
from segue.errors import DatasetError
from segue.sessions.foreground.camera.step import CameraStep
from segue.sessions.foreground.segmenters.extra_inputs import DepthScale
from segue.sessions.foreground.stages.follow import Homography, camera_motion, motion_between, warp_onto
from segue.types import Image
from segue.utils.arrays import UInt8Array
from segue_train.data.footage import VOID, Footage
from segue_train.data.foreground.samples import UNLIT, Sample, collate, session_sample
from segue_train.data.foreground.scenery import draw_sensor, noise_stock
from segue_train.data.photo import Jitter
from segue_train.data.warp import Rng, Size, picked, random_part
from segue_train.recipe import Batch, Batches

NEAREST, FARTHEST = 4, 18  # frames from the current one to those that are a moving camera's background
TRIES = 500  # random frames that are looked at for one onto which its past can be warped
MAX_STEP = 6  # most frames from one frame of a window to the next; networks learn steps from one on
FROZEN = 0.05  # share of the windows in which all frames are the current one
BACKGROUND_FRAMES = 9  # past frames whose median is the background
COLOUR = Jitter(brightness=0.4, contrast=0.4, saturation=0.3, hue=0.05)
SCALE = (0.75, 1.5)  # enlargement of an image whose short side was brought to that of the crop


@dataclass(frozen=True, slots=True)
class FrameSpan:
    """Consecutive frames of a video, and the labelled ones."""

    video: ForegroundSequence
    first: int
    last: int
    labelled: list[int]


class StillCameras:
    """Draws samples of ``size`` (H, W) from labelled videos of static cameras."""

    def __init__(
        self, videos: Sequence[ForegroundSequence], offsets: Sequence[int], size: Size, *, shadows: bool
    ) -> None:
        self.offsets, self.size, self.shadows = tuple(offsets), size, shadows
        self.runs = runs_of(videos)

    def samples(self, rng: Rng) -> list[Sample]:
        """Draw a labelled frame; half of the videos run backwards."""
        run = picked(rng, self.runs)
        now = picked(rng, run.labelled)
        sense = 1 if rng.random() < 0.5 else -1
        times = [int(np.clip(now + sense * offset, run.first, run.last)) for offset in self.offsets]
        earlier = [i for i in run.labelled if sense * i < sense * now] or [now]
        sampled = rng.choice(earlier, min(int(rng.integers(1, 24)), len(earlier)), replace=False)
        past = sorted((int(i) for i in sampled), key=lambda i: sense * i)
        labels = run.video.read_labels(now)
        if not self.shadows:
            labels = np.where(labels == STATIC, np.uint8(UNLIT), labels)
        images = [run.video.read_image(i) for i in (*times, *past)]
        masks = [run.video.read_labels(i) for i in past]
        return [part_of(rng, self.offsets, self.size, images, masks, labels)]


class MovingCameras:
    """Draws samples from videos of moving cameras, with earlier frames warped onto the current one.

    A network must ignore the motion that is left, above all parallax.
    """

    def __init__(self, videos: Sequence[Footage], offsets: Sequence[int], size: Size) -> None:
        self.videos, self.offsets, self.size = list(videos), tuple(offsets), size
        self._steps = functools.cache(self._step)

    def samples(self, rng: Rng) -> list[Sample]:
        """Draw a frame onto which earlier ones can be warped; half of the videos run backwards."""
        for _ in range(TRIES):
            number = int(rng.integers(len(self.videos)))
            video, sense = self.videos[number], 1 if rng.random() < 0.5 else -1
            past = -np.sort(-rng.integers(NEAREST, FARTHEST + 1, int(rng.integers(1, 9))))
            times = [sense * int(time) for time in (*self.offsets, *(-past))]
            now = int(rng.integers(max(0, -min(times)), len(video) - max(0, *times)))
            image, mask = video.read(now)
            warped = []
            for index in (now + time for time in times):
                way = motion_between(functools.partial(self._steps, number), index, now, mask.shape)
                if way is None:
                    break
                warped.append(warp_onto(video.read_image(index), way, image))
            else:
                labels = moving_labels(mask)
                # Masks are as if missing: sessions warp theirs, which are as crude.
                masks = [np.zeros_like(labels)] * len(past)
                return [part_of(rng, self.offsets, self.size, warped, masks, labels)]
        raise DatasetError(f"no background can be warped onto any of {TRIES} frames: leave these videos out")

    def _step(self, number: int, index: int) -> Homography | None:
        """Motion of the camera between a frame and the previous one."""
        first, second = (self.videos[number].read(i) for i in (index - 1, index))
        step = CameraStep.between(first[0], second[0])
        return camera_motion(first, second, step.matrix(first[0].shape[:2]))


def moving_labels(mask: UInt8Array) -> Image:
    """Labels (H, W) of an index mask (H, W): objects move, shadows are unlabelled."""
    labels = np.where(mask > 0, np.uint8(MOTION), np.uint8(UNLIT))
    labels[mask == VOID] = UNKNOWN
    return labels


def part_of(
    rng: Rng,
    offsets: Sequence[int],
    size: Size,
    images: Sequence[Image],
    masks: Sequence[Image],
    labels: Image,
) -> Sample:
    """Crop of ``size`` (H, W) from a window and the past; ``masks``: labels of the past."""
    scale = max(float(rng.uniform(0.7, 1.3)), *np.divide(size, labels.shape))
    pieces = cut(rng, [*images, *masks, labels], size, scale)
    count, length = len(offsets), len(images)
    window, past, solids = (np.stack(pieces[i:j]) for i, j in ((0, count), (count, length), (length, -1)))
    return session_sample(rng, window, window[offsets.index(0)], past, solids >= UNKNOWN, pieces[-1])


def runs_of(videos: Sequence[ForegroundSequence], *, scored: bool = False) -> list[FrameSpan]:
    """Stretches of videos with consecutive frames and at least two labelled ones."""
    runs = []
    for video in videos:
        breaks = [i for i in range(1, len(video)) if video.numbers[i] - video.numbers[i - 1] != 1]
        scored_numbers = set(video.scored) if scored else video.truths
        for first, end in itertools.pairwise([0, *breaks, len(video)]):
            labelled = [i for i in video.labels if first <= i < end]
            counting = [i for i in labelled if video.numbers[i] in scored_numbers]
            if len(labelled) > 1 and counting:
                runs.append(FrameSpan(video, first, end - 1, counting))
    if not runs:
        raise DatasetError("no video with labelled frames that follow one another")
    return runs


class WindowSampler:
    """Draws windows of ``size`` (H, W) from videos, with evenly spaced frames including offset 0."""

    def __init__(
        self,
        videos: Sequence[ForegroundSequence],
        offsets: tuple[int, ...],
        size: Size,
        *,
        background: bool,
        depth: bool = False,
        normals: bool = False,
    ) -> None:
        self.offsets, self.size, self.background, self.depth = offsets, size, background, depth
        self.normals = normals
        self.spacing = int(np.gcd.reduce(np.abs(offsets))) or 1
        self.runs = runs_of(videos, scored=True)

    def sample(self, rng: Rng) -> Sample:
        """Draw a window of a video that runs forwards or backwards at random speed."""
        run = picked(rng, self.runs)
        now = picked(rng, run.labelled)
        step = int(rng.integers(1, MAX_STEP + 1)) * (1 if rng.random() < 0.5 else -1)
        if rng.random() < FROZEN:
            step = 0
        # Beyond the ends of the video stands its first or last frame.
        offsets = (now + offset // self.spacing * step for offset in self.offsets)
        places = [min(max(place, run.first), run.last) for place in offsets]
        read = {i: run.video.read_image(i) for i in {*places, now}}
        background = _background(run, now, step) if self.background else read[now]
        labels = run.video.read_labels(now)
        if step == 0 and not self.background:
            # Nothing tells what moves.
            labels = np.where(labels == MOTION, np.uint8(STATIC), labels)
        depth = read_depth(run.video, now) if self.depth else labels
        images = [*(read[i] for i in places), background, labels, depth]
        scale = min(self.size) / min(labels.shape) * rng.uniform(*SCALE)
        crop = draw_crop(rng, images[0].shape[:2], self.size, scale)
        *window, background, labels, depth = map(crop, images)
        sample = Sample(np.stack(window), background, labels, depth if self.depth else None)
        if self.normals:
            sample = replace(sample, normals=crop.of_normals(read_normals(run.video, now)))
        return augment(rng, sample)


def _background(run: FrameSpan, now: int, step: int) -> Image:
    """Median of frames spread evenly over the past, in the direction of the window."""
    past = range(run.first, now) if step >= 0 else range(now + 1, run.last + 1)
    places = np.unique(np.linspace(past.start, past.stop - 1, BACKGROUND_FRAMES).round().astype(int))
    frames = np.stack([run.video.read_image(int(i)) for i in (places if past else [now])])
    middle = (len(frames) - 1) // 2
    return np.asarray(np.partition(frames, middle, axis=0)[middle], np.uint8)


def read_depth(video: ForegroundSequence, i: int) -> Image:
    """Read the depth map of a frame, scaled by the range of the video's first one."""
    clip = IsdClip.of(video)
    if not clip.has_depth:
        return np.zeros(video.read_image(i).shape[:2], np.uint8)
    scale = DepthScale()
    scale(clip.read_depth(0))
    return scale(clip.read_depth(i))


def read_normals(video: ForegroundSequence, i: int) -> Image:
    """Read the normals of a frame as an image, (n + 1) / 2 * 255; 0 without normals."""
    clip = IsdClip.of(video)
    if not clip.has_normals:
        return np.zeros_like(video.read_image(i))
    return np.asarray(np.rint((clip.read_normals(i) + 1) * 127.5), np.uint8)


@dataclass(frozen=True)
class WindowBatches(Batches):
    """Batches of windows, see :func:`collate`, with equal shares of all samplers."""

    samplers: Sequence[WindowSampler]
    batch: int

    def batch_of(self, number: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        # With a batch that does not divide, the samplers take turns.
        first = number * self.batch
        selected = (self.samplers[(first + i) % len(self.samplers)] for i in range(self.batch))
        return collate([sampler.sample(rng) for sampler in selected])


@dataclass(frozen=True)
class Crop:
    """Crop of an image at a size, optionally mirrored."""

    part: tuple[slice, slice]
    mirrored: bool
    size: Size

    def __call__(self, image: Image) -> Image:
        step = -1 if self.mirrored else 1
        return _resize(np.ascontiguousarray(image[self.part][:, ::step]), self.size)

    def of_normals(self, image: Image) -> Image:
        """Crop an image of normals, whose x is negated by mirroring."""
        cropped = self(image)
        if self.mirrored:
            valid = cropped.any(axis=2)
            cropped[valid, 0] = 255 - cropped[valid, 0]
        return cropped


def draw_crop(rng: Rng, shape: tuple[int, ...], size: Size, scale: float) -> Crop:
    """Draw a scaled crop for images of a shape, mirrored half the time."""
    height, width = shape
    part_size = min(height, round(size[0] / scale)), min(width, round(size[1] / scale))
    part = random_part(rng, (height, width), part_size)
    return Crop(part, bool(rng.random() < 0.5), size)


def cut(rng: Rng, images: Sequence[Image], size: Size, scale: float) -> list[Image]:
    """Apply one random scaled crop, mirrored half the time, to all images."""
    return [*map(draw_crop(rng, images[0].shape[:2], size, scale), images)]


def augment(rng: Rng, sample: Sample) -> Sample:
    """Change the colours of a window and its background, as of another camera."""
    change, sensor, noise = COLOUR.draw(rng), draw_sensor(rng), noise_stock()
    images = [*sample.window, sample.background]
    *window, background = (sensor.expose(change(image), time, noise) for time, image in enumerate(images))
    return replace(sample, window=np.stack(window), background=background)


def _resize(part: Image, size: Size) -> Image:
    smaller = part.shape[0] > size[0]
    colour = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    interpolation = cv2.INTER_NEAREST_EXACT if part.ndim == 2 else colour
    return np.asarray(cv2.resize(part, size[::-1], interpolation=interpolation), np.uint8)
