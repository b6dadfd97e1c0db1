"""Pixel counts of the results of many videos, side by side in processes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from segue.datasets.foreground import ForegroundFolder, ForegroundSequence, number_of
from segue.datasets.labels import MOTION, OUTSIDE, UNKNOWN, Labels
from segue.datasets.results import Results, open_results
from segue.errors import DatasetError
from segue.inputs import check_choice
from segue.metrics.evaluation import FrameView, Series
from segue.metrics.foreground import ALPHA, Counts, ForegroundAccumulator
from segue.naming import first_few

RESULT_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".ppm"})
"""Endings of result files that the comparator of CDnet2014 takes."""

Missing = Literal["error", "empty", "skip"]
"""What a labelled frame without a result is: an error, a frame without foreground, or not counted (as in the
comparator that comes with FgSegNet_v2)."""

Empty = Literal["official", "skip", "one"]
"""What a video without foreground in its labels is: F = 0 by the official formula, left out of all means, or
1 for Re, Pr and F if its result has no foreground either."""


@dataclass(frozen=True, slots=True)
class ForegroundSettings:
    """How foreground is scored; the defaults are those of the official program of CDnet2014.

    Attributes:
        threshold: results are foreground from this value on; 1 for masks of 0 and 1.
        ignored: labels whose pixels count for nothing; with 85 among them frames that nobody labelled
            count for nothing too.
        alpha: see :data:`segue.metrics.foreground.ALPHA`.
        empty: see :data:`Empty`.
    """

    threshold: int = 255
    ignored: tuple[int, ...] = (UNKNOWN,)
    alpha: float = ALPHA
    empty: Empty = "official"

    def __post_init__(self) -> None:
        check_choice("empty", self.empty, Empty, DatasetError)
        if not 1 <= self.threshold <= 255:
            raise DatasetError(f"threshold is {self.threshold}; it must be from 1 to 255")
        if not self.alpha > 0:
            raise DatasetError(f"alpha is {self.alpha}; it must be above 0")


@dataclass(frozen=True)
class VideoScore:
    """Counts of one video by frame.

    Attributes:
        frames: counts by number of the frame, in order.
        missing: numbers of the frames without result.
        unlabelled: how many frames are labelled 85 throughout.
    """

    video: ForegroundSequence
    frames: Mapping[int, Counts] = field(hash=False)
    missing: tuple[int, ...]
    unlabelled: int

    @cached_property
    def counts(self) -> Counts:
        """Counts of the whole video."""
        return sum(self.frames.values(), Counts())

    def series(self, alpha: float = ALPHA) -> Series:
        """F of each frame; NaN where neither labels nor result have foreground."""
        values = [
            counts.measures(alpha)["F"] if counts.tp + counts.fp + counts.fn else np.nan
            for counts in self.frames.values()
        ]
        return Series(tuple(map(frame_name, self.frames)), np.array(values, np.float64))


@dataclass(frozen=True)
class VideoTask:
    """One video, its name in the results, and name of the result by number, None where it is missing."""

    video: ForegroundSequence
    results: Results | None
    sequence: str
    names: Mapping[int, str | None] = field(hash=False)

    @cached_property
    def missing(self) -> tuple[int, ...]:
        """Numbers of the frames without result."""
        return tuple(number for number, name in self.names.items() if name is None)

    def read(self, number: int, labels: Labels) -> npt.NDArray[np.uint8]:
        """Grey values of a result, (H, W), uint8."""
        name = self.names[number]
        if name is None or self.results is None:
            return np.zeros(labels.shape, np.uint8)
        return self.results.read_grey(self.sequence, name)

    def view(self, number: int, settings: ForegroundSettings) -> FrameView:
        """A counted frame to look at; foreground is 1."""
        video = self.video
        labels = video.decode_labels(video.truths[number])
        found = self.read(number, labels) >= settings.threshold
        ignored = ~video.read_roi(labels.shape) | np.isin(labels, settings.ignored)
        image = video.read_image(video.numbers.index(number)) if number in video.numbers else None
        return FrameView((labels == MOTION).astype(np.uint8), found.astype(np.uint8), ignored, image)

    def count(self, settings: ForegroundSettings, skip: bool) -> VideoScore:
        """Count the frames; those without result are left out if ``skip`` says so."""
        video = self.video
        accumulator: ForegroundAccumulator | None = None
        frames: dict[int, Counts] = {}
        unlabelled = 0
        for number, name in self.names.items():
            if name is None and skip:
                continue
            labels = video.decode_labels(video.truths[number])
            if accumulator is None:
                roi = None if video.roi is None else video.read_roi(labels.shape)
                accumulator = ForegroundAccumulator(
                    video.key, roi=roi, threshold=settings.threshold, ignored=settings.ignored
                )
            result = self.read(number, labels)
            try:
                frames[number] = accumulator.update(result, labels)
            except DatasetError as error:
                raise DatasetError(f"frame {frame_name(number)} of {error}") from error
            unlabelled += bool(labels.flat[0] == OUTSIDE and (labels == OUTSIDE).all())
        return VideoScore(video, frames, self.missing, unlabelled)


def pair_results(
    results: Results | Path | str,
    videos: ForegroundFolder,
    missing: Missing,
    exclude: Mapping[str, Collection[int]],
) -> dict[str, VideoTask]:
    """The labelled frames of all videos with their results, before anything is counted.

    What counts in the name of a result is the number at its end.

    Raises:
        DatasetError: results are missing and ``missing`` is ``error``, two are of one frame, or a video has
            no frame to score.
    """
    check_choice("missing", missing, Missing, DatasetError)
    found = open_results(results, suffixes=RESULT_SUFFIXES, inner="cdnet")
    tasks = {video.key: _pair(found, video, exclude.get(video.key, ())) for video in videos}
    if all(len(task.missing) == len(task.names) for task in tasks.values()):
        raise DatasetError(
            f"{found.path} has no result of any frame of {first_few(tasks)}; there are "
            f"{first_few(found.sequences)}; segue foreground writes them with --format cdnet"
        )
    lacking = {key: task.missing for key, task in tasks.items() if task.missing}
    if lacking and missing == "error":
        key, numbers = next(iter(lacking.items()))
        counts = first_few(f"{key} ({len(numbers)})" for key, numbers in lacking.items())
        raise DatasetError(
            f"{found.path} lacks results of {first_few(map(frame_name, numbers))} of {key}; videos that lack "
            f'results of frames: {counts}; add them, or take them as empty (missing="empty")'
        )
    return tasks


def frame_name(number: int) -> str:
    """Name of a frame in series and messages."""
    return f"{number:06d}"


def _pair(results: Results, video: ForegroundSequence, left_out: Collection[int]) -> VideoTask:
    scored = [number for number in video.scored if number not in left_out]
    if not scored:
        raise DatasetError(f"{video.key}: no labelled frame to score inside its temporal region of interest")
    sequence = next((name for name in (video.key, video.name) if name in results), None)
    if sequence is None:
        return VideoTask(video, None, video.key, dict.fromkeys(scored))
    only = results.only(sequence)
    names: dict[int, str] = {}
    for name in only.names(sequence):
        number = number_of(name)
        if number is not None and names.setdefault(number, name) != name:
            raise DatasetError(
                f"{results.path}: {names[number]} and {name} of {sequence} are of one frame; keep one"
            )
    return VideoTask(video, only, sequence, {number: names.get(number) for number in scored})
