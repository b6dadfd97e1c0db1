"""Samples with the past of real sessions of a network.

:mod:`.samples` draws masks of kept frames without a network. Effects of a network on itself, such as a mask
that locks on swaying leaves, occur only in its own sessions: the training learns to leave states that the
network itself leads to (Ross et al., "A Reduction of Imitation Learning and Structured Prediction to
No-Regret Online Learning", 2011).
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

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
from segue.weights.identity import network_digest
from segue.weights.loading import weights_identity
from segue.weights.prepared import Prepared, prepare
from segue_train.data.cut_outs import Mover
from segue_train.data.footage import Footage
from segue_train.data.foreground.clips import ClipMaker
from segue_train.data.foreground.samples import VISIBLE, Sample, joined_planes, without_evidence_unknown
from segue_train.data.foreground.videos import moving_labels
from segue_train.data.photo import Labelled, resize
from segue_train.data.warp import Rng, Size, log_uniform, picked
from segue_train.trunks import SHIPPED

LENGTHS = (40, 1200)
"""Frames of a film."""

SCALES, LARGER = (1, 2.1), 0.5
"""Range of factors from the frame size of clips to that of videos, and share of videos with larger frames:
160 lines in clips are 160 to 336 in videos."""

STEPS = (1, 5)
"""Frames of a clip from one frame of a film to the next: 25 and 5 frames a second."""

VISIT_EVERY, LONG_STAY, STAYS = 70, (100, 6000), 0.15
"""Frames of a film for each visitor; for how long one stays, in frames of a clip; and the share that does."""

AT_RANDOM, MORE_EVERY, WORST = 4, 70, 3
"""Samples of a film at random, and one more for so many frames; samples of its frames with most errors."""

MIN_DISTANCE = 5
"""Frames between one sample of the worst and any other."""

MIN_WRONG = 0.002
"""Share of the pixels that are wrong on one of the worst frames, at least."""

MAX_CANDIDATES = (WORST - 1) * (2 * MIN_DISTANCE - 1) + 1
"""Maximum number of candidates for the worst frames: each selected one excludes itself and its neighbours."""

COVERED = 0.1
"""Share of videos in which the lens is covered for a while."""


@dataclass(slots=True)
class _Segmented:
    """Inputs of a network for a frame, and the foreground that it found."""

    window: Image  # (T, H, W, 3)
    planes: UInt8Array  # (21, H, W)
    recurrence: UInt8Array  # (6, ceil(H / 2), ceil(W / 2))
    foreground: Float32Array  # (H, W)


class _Recorder:
    """A segmenter that records the last inputs of another one."""

    def __init__(self, network: Prepared[ForegroundNetwork]) -> None:
        self._inner = foreground_segmenter(network)
        self._last: _Segmented | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def step(
        self, frame: SegmenterInput, context: Mapping[int, SegmenterInput], scene: Scene
    ) -> Float32Array:
        maps = self._inner.step(frame, context, scene)
        everywhere = slice(None)
        assert frame.recurrence is not None
        window = np.stack([(context[time] if time else frame).image for time in MustanLite.offsets])
        self._last = _Segmented(window, scene.planes, frame.recurrence(everywhere, everywhere), maps[0])
        return maps

    def take(self) -> _Segmented | None:
        """Take the record of the last frame, if it was segmented."""
        last, self._last = self._last, None
        return last


@dataclass(frozen=True, slots=True)
class Film:
    """Frames (H, W, 3) in order of time with labels (H, W), for one pass."""

    length: int
    frames: Iterable[tuple[Image, Image]]
    visible: float = VISIBLE  # grey levels by which a mover must differ for anybody to find it


class ArtificialFilms:
    """Draws artificial films, half of them on larger frames, some with a covered lens.

    Args:
        clips: makes the clips.
        lengths: minimum and maximum number of frames.
    """

    def __init__(self, clips: ClipMaker, lengths: tuple[int, int] = LENGTHS) -> None:
        self.clips, self.lengths = clips, lengths

    def film(self, rng: Rng) -> Film:
        """Draw a film; those with larger frames are shorter."""
        scale = log_uniform(rng, *SCALES) if rng.random() < LARGER else 1.0
        clips = self.clips if scale == 1 else self.clips.scaled(scale)
        shortest, longest = self.lengths
        length = int(log_uniform(rng, shortest, max(shortest, longest / scale**2)))
        step, kind = picked(rng, STEPS), rng.random()
        times = range(-step * length, 1, step)
        clip = clips.clip(rng, list(times), switched=kind < 0.08, empty=0.08 <= kind < 0.16)
        if kind >= 0.16:
            clip = replace(clip, movers=[*clip.movers, *_visitors(rng, clips, times)])
        frames, labels = map(list, zip(*map(clip.frame_with_labels, times), strict=True))
        if rng.random() < COVERED:
            frames, labels = covered(rng, frames, labels)
        return Film(len(frames), zip(frames, labels, strict=True), clip.visible)


def _visitors(rng: Rng, clips: ClipMaker, times: range) -> list[Mover]:
    """Draw movers that pass during a film; some stay for long."""
    visitors = []
    for _ in range(int(rng.poisson(len(times) / VISIT_EVERY))):
        when = float(rng.uniform(times[0], 0))
        visitor = clips.mover(rng).passing(when)
        if rng.random() < STAYS:
            visitor = replace(visitor, stop=when, leaves=when + log_uniform(rng, *LONG_STAY))
        visitors.append(visitor)
    return visitors


class MovingFilms:
    """Draws stretches of videos of moving cameras, half of them backwards.

    Args:
        videos: labelled videos.
        size: the least (H, W) of a frame; a short side is up to twice as long.
    """

    def __init__(self, videos: Sequence[Footage], size: Size) -> None:
        self.videos, self.size = list(videos), size

    def film(self, rng: Rng) -> Film:
        """Draw a stretch of a video at a random frame size."""
        video = picked(rng, self.videos)
        length = min(len(video), int(log_uniform(rng, *LENGTHS)))
        first = int(rng.integers(len(video) - length + 1))
        times = range(first, first + length)
        times = times if rng.random() < 0.5 else times[::-1]
        height, width = video.read(times[0])[1].shape
        min_scale = max(self.size[0] / height, self.size[1] / width)
        scale = min_scale * log_uniform(rng, 1, max(1, min(2, 1 / min_scale)))
        height, width = int(np.ceil(scale * height)), int(np.ceil(scale * width))
        parts = (resize(Labelled(*video.read(time)), height, width) for time in times)
        return Film(length, ((part.image, moving_labels(part.mask)) for part in parts))


class _Films(Protocol):
    """Draws films."""

    def film(self, rng: Rng) -> Film:
        """Draw a film."""


class SessionSamples:
    """Draws samples of ``size`` (H, W) from films, with the state of a network's session.

    Args:
        films: draws the films.
        weights: files of mustan-lite, which take turns; ``shipped`` for those that come with segue.
        size: height and width of a sample.
    """

    def __init__(self, films: _Films, weights: Sequence[Path], size: Size) -> None:
        self.films, self.weights, self.size = films, list(weights), size

    def samples(self, rng: Rng) -> list[Sample]:
        """Draw samples of one film: random frames, and those with most errors."""
        film = self.films.film(rng)
        recorder = _Recorder(_network(picked(rng, self.weights)))
        session, choice = (
            ForegroundSession(recorder, short_side=None, detector=None),
            _Choice(rng, film.length),
        )
        for number, (frame, labels) in enumerate(film.frames):
            session.step(Frame(number, number / 25, frame))
            segmented = recorder.take()
            if segmented is not None:  # frames on which the image changes as a whole are not segmented
                choice.add(number, segmented, labels)
        return [self._sample(rng, segmented, labels, film.visible) for segmented, labels in choice.selected()]

    def _sample(self, rng: Rng, segmented: _Segmented, labels: Image, visible: float) -> Sample:
        """Crop a frame's inputs around one of its wrong pixels."""
        wrong = _wrong(segmented, labels)
        *previous, current = segmented.window
        labels = without_evidence_unknown(current, previous, segmented.planes, labels, visible)
        background = joined_planes(segmented.planes, segmented.recurrence)
        rows, columns = _part(rng, wrong, self.size)
        parts = (segmented.window[:, rows, columns], background[rows, columns], labels[rows, columns])
        return Sample(*map(np.ascontiguousarray, parts))


class _Choice:
    """Selects random frames and the worst ones of a film, keeping only candidates."""

    def __init__(self, rng: Rng, length: int) -> None:
        count = min(AT_RANDOM + length // MORE_EVERY, length)
        self._random = frozenset(rng.choice(length, count, replace=False).tolist())
        self._selected: dict[int, tuple[_Segmented, Image]] = {}
        self._worst: list[tuple[float, int, _Segmented, Image]] = []  # a heap

    def add(self, number: int, segmented: _Segmented, labels: Image) -> None:
        """Add a frame of the film."""
        if number in self._random:
            self._selected[number] = (segmented, labels)
        error = float(_wrong(segmented, labels).mean())
        if error >= MIN_WRONG and _is_far_from_selected(number, self._random):
            heapq.heappush(self._worst, (error, number, segmented, labels))
            if len(self._worst) > MAX_CANDIDATES:
                heapq.heappop(self._worst)

    def selected(self) -> list[tuple[_Segmented, Image]]:
        """Selected frames with their labels, in order of time."""
        worst: dict[int, tuple[_Segmented, Image]] = {}
        for _, number, segmented, labels in sorted(self._worst, reverse=True):
            if len(worst) < WORST and _is_far_from_selected(number, worst):
                worst[number] = (segmented, labels)
        return [both for _, both in sorted((self._selected | worst).items())]


def _is_far_from_selected(number: int, selected: Iterable[int]) -> bool:
    """Whether a frame is far from all selected ones."""
    return all(abs(number - other) >= MIN_DISTANCE for other in selected)


def _part(rng: Rng, wrong: BoolArray, size: Size) -> tuple[slice, slice]:
    """Region centred on a wrong pixel, or on any pixel without errors."""
    places = np.argwhere(wrong)
    middle = rng.choice(places) if len(places) else rng.integers(wrong.shape)
    first = np.clip(middle - np.floor_divide(size, 2), 0, np.subtract(wrong.shape, size))
    rows, columns = (slice(int(a), int(a) + side) for a, side in zip(first, size, strict=True))
    return rows, columns


def covered(rng: Rng, frames: Sequence[Image], labels: Sequence[Image]) -> tuple[list[Image], list[Image]]:
    """Cover the lens in a film (H, W, 3) with labels (H, W) for a while.

    Args:
        rng: random generator.
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


def _wrong(segmented: _Segmented, labels: Image) -> BoolArray:
    """Mask of wrong pixels among the known, (H, W)."""
    predicted = segmented.foreground > MustanLite.threshold
    return np.asarray((predicted != (labels == MOTION)) & (labels != UNKNOWN))


def weights_digest(weights: Path) -> str:
    """SHA-256 of the weights in a file of mustan-lite, or of the bundled ones; hexadecimal."""
    return network_digest(load("mustan-lite", _file(weights)))


def _network(weights: Path) -> Prepared[ForegroundNetwork]:
    """Load a network whose sessions compute recurrence, once for all films."""
    return _network_of(weights, weights_identity("mustan-lite", _file(weights)))


@lru_cache(maxsize=4)
def _network_of(weights: Path, identity: Hashable) -> Prepared[ForegroundNetwork]:
    """Load the network of a file, again if the file has changed."""
    trained = load("mustan-lite", _file(weights))
    network = MustanLite(recurrence=True)
    network.load_state_dict(network.state_dict() | trained.state_dict())
    return prepare(network.eval(), device="cpu")


def _file(weights: Path) -> Path | None:
    """Weight file for :func:`segue.load`; None for the bundled one."""
    return None if weights == SHIPPED else weights
