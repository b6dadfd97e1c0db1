"""Samples of the past as sessions of a network know it.

:mod:`.samples` draws masks of kept frames without a network. What a network does to itself, such as a mask
that locks where something sways, is seen in its own sessions alone: a training learns the way out of states
that it leads to (Ross et al., "A Reduction of Imitation Learning and Structured Prediction to No-Regret
Online Learning", 2011).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from segue.datasets.foreground.labels import MOTION, STATIC, UNKNOWN
from segue.models.base import ForegroundNetwork
from segue.models.mustan_lite import MustanLite
from segue.sessions import ForegroundSession
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.segmenters.base import SegmenterInput
from segue.sessions.foreground.segmenters.by_name import foreground_segmenter
from segue.types import Frame, Image
from segue.utils.arrays import BoolArray, Float32Array, UInt8Array
from segue.weights import load
from segue.weights.prepared import Prepared, prepare
from segue_train.data.footage import Footage
from segue_train.data.foreground.clips import ClipMaker
from segue_train.data.foreground.samples import VISIBLE, Sample, joined_planes, without_evidence_unknown
from segue_train.data.foreground.videos import moving_labels
from segue_train.data.photo import Labelled, resize
from segue_train.data.warp import Rng, Size, log_uniform, picked
from segue_train.trunks import SHIPPED

LENGTHS = (40, 320)
"""Frames of a film."""

AT_RANDOM, WORST = 4, 3
"""Samples of a film at random, and of its frames with most errors."""

APART = 5
"""Frames between one sample of the worst and any other."""

MIN_WRONG = 0.002
"""Share of the pixels that are wrong on one of the worst frames, at least."""

COVERED = 0.1
"""Share of the films in which something is held before the lens for a while."""


@dataclass(slots=True)
class _Seen:
    """What a network was given for a frame, and the foreground that it found."""

    window: Image  # (T, H, W, 3)
    planes: UInt8Array  # (21, H, W)
    recurrence: UInt8Array  # (2, ceil(H / 2), ceil(W / 2))
    foreground: Float32Array  # (H, W)


class _Recorder:
    """A segmenter that keeps what another one is given."""

    def __init__(self, network: Prepared[ForegroundNetwork]) -> None:
        self._inner = foreground_segmenter(network)
        self.seen: list[_Seen] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def step(
        self, frame: SegmenterInput, context: Mapping[int, SegmenterInput], scene: Scene
    ) -> Float32Array:
        maps = self._inner.step(frame, context, scene)
        everywhere = slice(None)
        assert frame.recurrence is not None
        window = np.stack([(context[time] if time else frame).image for time in MustanLite.offsets])
        seen = _Seen(window, scene.planes, frame.recurrence(everywhere, everywhere), maps[0])
        self.seen.append(seen)
        return maps


@dataclass(frozen=True, slots=True)
class Film:
    """Frames (H, W, 3) in the order of time, and their labels (H, W)."""

    frames: Sequence[Image]
    labels: Sequence[Image]
    visible: float = VISIBLE  # grey levels by which a mover must differ for anybody to find it


class ArtificialFilms:
    """Films of artificial clips; in some of them the lens is covered for a while."""

    def __init__(self, clips: ClipMaker) -> None:
        self.clips = clips

    def film(self, rng: Rng) -> Film:
        """Draw a film of the size of the clips."""
        length, kind = int(log_uniform(rng, *LENGTHS)), rng.random()
        times = range(-length, 1)
        clip = self.clips.clip(rng, list(times), switched=kind < 0.08, empty=0.08 <= kind < 0.16)
        frames, labels = map(list, zip(*map(clip.frame_with_labels, times), strict=True))
        if rng.random() < COVERED:
            frames, labels = covered(rng, frames, labels)
        return Film(frames, labels, clip.visible)


class MovingFilms:
    """Stretches of videos of moving cameras, half of them backwards.

    Args:
        videos: labelled videos.
        size: the least (H, W) of a frame; a short side is up to twice as long.
    """

    def __init__(self, videos: Sequence[Footage], size: Size) -> None:
        self.videos, self.size = list(videos), size

    def film(self, rng: Rng) -> Film:
        """Draw a stretch of a video, with frames of a random size."""
        video = picked(rng, self.videos)
        length = min(len(video), int(log_uniform(rng, *LENGTHS)))
        first = int(rng.integers(len(video) - length + 1))
        times = range(first, first + length)
        read = [video.read(time) for time in (times if rng.random() < 0.5 else reversed(times))]
        height, width = read[0][1].shape
        least = max(self.size[0] / height, self.size[1] / width)
        scale = least * log_uniform(rng, 1, max(1, min(2, 1 / least)))
        height, width = int(np.ceil(scale * height)), int(np.ceil(scale * width))
        parts = [resize(Labelled(image, mask), height, width) for image, mask in read]
        return Film([part.image for part in parts], [moving_labels(part.mask) for part in parts])


class SessionSamples:
    """Draws samples of ``size`` (H, W) from films, as sessions of a network see them.

    Args:
        films: draws the films.
        weights: files of mustan-lite, which take turns; ``shipped`` for those that come with segue.
        size: height and width of a sample.
    """

    def __init__(self, films: ArtificialFilms | MovingFilms, weights: Sequence[Path], size: Size) -> None:
        self.films, self.weights, self.size = films, list(weights), size

    def samples(self, rng: Rng) -> list[Sample]:
        """Samples of one film: of some frames at random, and of those with most errors."""
        film = self.films.film(rng)
        recorder = _Recorder(_network(picked(rng, self.weights)))
        session, numbers = ForegroundSession(recorder, short_side=None), list[int]()
        for number, frame in enumerate(film.frames):
            session.step(Frame(number, number / 25, frame))
            # Frames on which the image changes as a whole are not segmented.
            numbers += [number] * (len(recorder.seen) - len(numbers))
        seen = recorder.seen
        wrong = [_wrong(one, film.labels[number]) for one, number in zip(seen, numbers, strict=True)]
        chosen = self._choose(rng, [float(where.mean()) for where in wrong])
        return [
            self._sample(rng, seen[place], film.labels[numbers[place]], wrong[place], film.visible)
            for place in chosen
        ]

    def _choose(self, rng: Rng, wrong: Sequence[float]) -> list[int]:
        """Places of some frames at random and of the worst ones, in the order of time."""
        chosen = rng.choice(len(wrong), min(AT_RANDOM, len(wrong)), replace=False).tolist()
        most = len(chosen) + WORST
        for place in np.argsort(wrong)[::-1].tolist():
            if len(chosen) == most or wrong[place] < MIN_WRONG:
                break
            if all(abs(place - other) >= APART for other in chosen):
                chosen.append(place)
        return sorted(chosen)

    def _sample(self, rng: Rng, seen: _Seen, labels: Image, wrong: BoolArray, visible: float) -> Sample:
        """A part of what was seen, around one of the pixels that were wrong."""
        *before, current = seen.window
        labels = without_evidence_unknown(current, before, seen.planes, labels, visible)
        background = joined_planes(seen.planes, seen.recurrence)
        rows, columns = _part(rng, wrong, self.size)
        parts = (seen.window[:, rows, columns], background[rows, columns], labels[rows, columns])
        return Sample(*map(np.ascontiguousarray, parts))


def _part(rng: Rng, wrong: BoolArray, size: Size) -> tuple[slice, slice]:
    """A part of an image in the middle of which is one of the pixels that were wrong, or any other one."""
    places = np.argwhere(wrong)
    middle = rng.choice(places) if len(places) else rng.integers(wrong.shape)
    first = np.clip(middle - np.floor_divide(size, 2), 0, np.subtract(wrong.shape, size))
    rows, columns = (slice(int(a), int(a) + side) for a, side in zip(first, size, strict=True))
    return rows, columns


def covered(rng: Rng, frames: Sequence[Image], labels: Sequence[Image]) -> tuple[list[Image], list[Image]]:
    """A film (H, W, 3) and its labels (H, W) with something before the lens for a while.

    Args:
        rng: what it is drawn from.
        frames: RGB images (H, W, 3), uint8.
        labels: values of CDnet, (H, W), uint8.

    Returns:
        Both again; nothing is foreground while all is covered, and nothing is known while it comes or goes.
    """
    frames, labels = list(frames), list(labels)
    height, width = labels[0].shape
    first = int(rng.integers(1, len(frames)))
    last = min(len(frames), first + int(rng.integers(8, 60)))
    left, right = rng.uniform(5, 110, 2)
    shade = np.linspace(left, right, width)[:, None] * rng.uniform(0.7, 1.3, 3)
    ramp, from_side = int(rng.integers(1, 6)), rng.random() < 0.4
    for number in range(first, last):
        share = min(1.0, (number - first + 1) / ramp, (last - number) / ramp)
        weight = np.full((height, width, 1), share)
        if from_side:
            weight[:] = (np.arange(width) < share * width)[:, None]
        cover = shade + rng.normal(0, 2, (height, width, 3))
        frames[number] = np.clip(frames[number] * (1 - weight) + cover * weight, 0, 255).astype(np.uint8)
        labels[number] = np.full_like(labels[number], STATIC if share == 1 else UNKNOWN)
    return frames, labels


def _wrong(seen: _Seen, labels: Image) -> BoolArray:
    """Where a network was wrong of what is known, (H, W)."""
    found = seen.foreground > MustanLite.threshold
    return np.asarray((found != (labels == MOTION)) & (labels != UNKNOWN))


@lru_cache(maxsize=4)
def _network(weights: Path) -> Prepared[ForegroundNetwork]:
    """A network whose sessions compute recurrence, also if it was trained without; once for all films."""
    known = load("mustan-lite", None if weights == SHIPPED else weights)
    network = MustanLite(recurrence=True)
    network.load_state_dict(network.state_dict() | known.state_dict())
    return prepare(network.eval(), device="cpu")
