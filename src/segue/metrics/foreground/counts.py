"""Count pixels of foreground masks, and compute the measures of CDnet2014.

Goyette et al., "changedetection.net: A New Change Detection Benchmark Dataset", CVPR Workshops 2012; the
numbers equal the comparator and the statistics script of the data set.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import add, attrgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from segue.datasets.foreground.folder import ForegroundFolder, ForegroundSequence, number_of
from segue.datasets.foreground.labels import MOTION, OUTSIDE, SHADOW, UNKNOWN, Labels
from segue.datasets.results import Results, open_results
from segue.errors import DatasetError
from segue.masks.files import OtherSizeError
from segue.metrics.evaluation import FrameView, Series
from segue.metrics.foreground.object_sizes import SizeCounts, count_by_size
from segue.utils.arrays import BoolArray, as_array
from segue.utils.inputs import check_choice
from segue.utils.naming import first_few
from segue.utils.notices import warn_caller

ALPHA = 1e-5
"""Added to every denominator, as the official script does, so that none is 0."""

MEASURES = ("Re", "Sp", "FPR", "FNR", "PWC", "Pr", "F")
"""Seven official measures in the order of their table."""


Prediction = npt.NDArray[Any]
"""(H, W): bool, or integers that are foreground from a threshold on."""

HIGHEST_ID = 2
"""Value of shadow in the index masks of :func:`segue.foreground`; foreground is 1."""


class ThresholdWarning(UserWarning):
    """A result looks like an index mask, whose values are all below the threshold."""


@dataclass(frozen=True, slots=True)
class Counts:
    """True and false positives and negatives; counts of frames and videos can be added.

    Attributes:
        se: shadow errors: foreground in the result on pixels labelled as shadow; they are part of ``fp``.
        shadow: pixels labelled as shadow.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0
    se: int = 0
    shadow: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*map(add, _NUMBERS(self), _NUMBERS(other)))

    def measures(self, alpha: float = ALPHA) -> dict[str, float]:
        """Compute the seven official measures, MCC and FPR-S.

        Args:
            alpha: added to every denominator.

        Returns:
            Re, Sp, FPR, FNR, Pr and F in [0, 1], PWC (percentage of wrong classifications) in [0, 100], MCC
            in [-1, 1], and FPR-S, the share of shadow pixels taken for foreground; NaN without shadow.
        """
        tp, fp, fn, tn = self.tp, self.fp, self.fn, self.tn
        recall = tp / (tp + fn + alpha)
        precision = tp / (tp + fp + alpha)
        return {
            "Re": recall,
            "Sp": tn / (tn + fp + alpha),
            "FPR": fp / (fp + tn + alpha),
            "FNR": fn / (tp + fn + alpha),
            "PWC": 100.0 * (fn + fp) / (tp + fp + fn + tn + alpha),
            "Pr": precision,
            "F": 2.0 * (recall * precision) / (recall + precision + alpha),
            "MCC": (tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fn) * (tn + fp) + alpha),
            "FPR-S": self.se / self.shadow if self.shadow else math.nan,
        }


_NUMBERS = attrgetter("tp", "fp", "fn", "tn", "se", "shadow")


class ForegroundAccumulator:
    """Counts the pixels of one video frame by frame.

    >>> accumulator = ForegroundAccumulator(roi=video.read_roi())
    >>> for i in video.labels:
    ...     accumulator.update(masks[i], video.read_labels(i))
    >>> accumulator.counts.measures()["F"]

    Args:
        name: name of the video, for messages.
        roi: pixels that count, (H, W), bool; default: all.
        threshold: results are foreground from this value on, 1 to 255; 255 is the official rule, 1 takes all
            values but 0.
        ignored: labels whose pixels count for nothing. Officially that is 170 alone: 85 inside the region of
            interest counts as background.
    """

    def __init__(
        self,
        name: str = "video",
        *,
        roi: BoolArray | None = None,
        threshold: int = 255,
        ignored: Collection[int] = (UNKNOWN,),
    ) -> None:
        self.counts = Counts()
        self.sizes: SizeCounts = np.zeros((3, 3), np.int64)
        self._name = name
        self._roi = roi
        self._shape = None if roi is None else roi.shape
        self._settings = ForegroundSettings(threshold, tuple(ignored))

    def update(self, prediction: Prediction, labels: Labels) -> Counts:
        """Count the pixels of a frame.

        Args:
            prediction: the result, (H, W): bool, or integers to be compared with the threshold.
            labels: label values of CDnet2014, (H, W), uint8.

        Returns:
            The counts of this frame, which are also added to ``counts``, and by size of object to ``sizes``.

        Raises:
            DatasetError: the sizes differ, from each other or from those before.
        """
        prediction, labels = as_array(prediction), as_array(labels)
        highest = 0 if prediction.dtype == np.bool_ else int(prediction.max(initial=0))
        if 0 < highest <= HIGHEST_ID < self._settings.threshold:
            warn_caller(
                f"{self._name}: the result holds {highest} at most, and foreground begins at "
                f"{self._settings.threshold}; for masks of 0 and 1 give result > 0, or threshold=1",
                ThresholdWarning,
            )
        return self._count_frame(prediction, labels)

    def _count_frame(self, prediction: Prediction, labels: Labels) -> Counts:
        self._check(prediction, labels)
        self._shape = labels.shape
        used = np.ones(labels.shape, np.bool_) if self._roi is None else self._roi.copy()
        for value in self._settings.ignored:
            used &= labels != value
        predicted = prediction if prediction.dtype == np.bool_ else prediction >= self._settings.threshold
        self.sizes += count_by_size(predicted, labels == MOTION, used)
        predicted = used & predicted
        positive, hit = _count(labels == MOTION, used, predicted)
        shadow, shadow_hit = _count(labels == SHADOW, used, predicted)
        total, num_predicted = int(np.count_nonzero(used)), int(np.count_nonzero(predicted))
        fp, fn = num_predicted - hit, positive - hit
        counts = Counts(tp=hit, fp=fp, fn=fn, tn=total - positive - fp, se=shadow_hit, shadow=shadow)
        self.counts += counts
        return counts

    def _check(self, prediction: Prediction, labels: Labels) -> None:
        if prediction.shape != labels.shape:
            raise DatasetError(
                f"{self._name}: the result is {prediction.shape}, its labels {labels.shape}; "
                "give masks of one size (height, width)"
            )
        if self._shape is not None and labels.shape != self._shape:
            raise DatasetError(
                f"{self._name}: labels are {labels.shape}, the region of interest or the frames before "
                f"{self._shape}; a video has one size"
            )
        if prediction.dtype.kind not in "iub":
            raise DatasetError(f"{self._name}: the result is {prediction.dtype}; give integers or bool")


def _count(marked: BoolArray, used: BoolArray, predicted: BoolArray) -> tuple[int, int]:
    """Number of marked pixels that count, and of those that were found."""
    marked &= used
    count = int(np.count_nonzero(marked))
    return count, int(np.count_nonzero(np.logical_and(marked, predicted, out=marked))) if count else 0


RESULT_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".ppm"})
"""Suffixes of result files accepted by the comparator of CDnet2014."""

Missing = Literal["error", "empty", "skip"]
"""Handling of a labelled frame without a result: an error, a frame without foreground, or not counted (as
in the comparator of FgSegNet_v2)."""

Empty = Literal["official", "skip", "one"]
"""Handling of a video without foreground in its labels: F = 0 by the official formula, left out of all means,
or 1 for Re, Pr and F if its result has no foreground either."""


@dataclass(frozen=True, slots=True)
class ForegroundSettings:
    """Settings of foreground scoring, by default those of the official CDnet2014 program.

    Attributes:
        threshold: results are foreground from this value on; 1 for masks of 0 and 1.
        ignored: labels whose pixels are not counted; with 85 among them, unlabelled frames are not
            counted either.
        alpha: see :data:`segue.metrics.foreground.counts.ALPHA`.
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
    """Counts of one video by frame number, in order."""

    video: ForegroundSequence
    frames: Mapping[int, Counts] = field(hash=False)
    missing: tuple[int, ...]
    unlabelled: int
    sizes: SizeCounts = field(hash=False, compare=False)
    largest: int = 0  # value of its results

    @cached_property
    def counts(self) -> Counts:
        """Counts of the whole video."""
        return sum(self.frames.values(), Counts())

    def series(self, alpha: float = ALPHA) -> Series:
        """F of each frame."""
        values = [
            counts.measures(alpha)["F"] if counts.tp + counts.fp + counts.fn else np.nan
            for counts in self.frames.values()
        ]
        return Series(tuple(map(frame_name, self.frames)), np.array(values, np.float64))


@dataclass(frozen=True)
class VideoTask:
    """One video, its name in the results, and result names by number, None if missing."""

    video: ForegroundSequence
    results: Results | None
    sequence: str
    names: Mapping[int, str | None] = field(hash=False)

    @cached_property
    def missing(self) -> tuple[int, ...]:
        """Numbers of the frames without a result."""
        return tuple(number for number, name in self.names.items() if name is None)

    def read(self, number: int, labels: Labels) -> npt.NDArray[np.uint8]:
        """Read the grey values of a result, (H, W), uint8. ``labels``: its labels, (H, W)."""
        name = self.names[number]
        if name is None or self.results is None:
            return np.zeros(labels.shape, np.uint8)
        height, width = labels.shape
        try:
            return self.results.read_grey(self.sequence, name, (height, width))
        except OtherSizeError as error:
            raise DatasetError(f"frame {frame_name(number)} of {self.video.key}: {error}") from error

    def view(self, number: int, settings: ForegroundSettings) -> FrameView:
        """A counted frame for display; foreground is 1."""
        video = self.video
        labels = video.decode_labels(video.truths[number])
        predicted = self.read(number, labels) >= settings.threshold
        ignored = ~video.read_roi(labels.shape) | np.isin(labels, settings.ignored)
        image = video.read_image(video.numbers.index(number)) if number in video.numbers else None
        return FrameView((labels == MOTION).astype(np.uint8), predicted.astype(np.uint8), ignored, image)

    def count(self, settings: ForegroundSettings, skip: bool) -> VideoScore:
        """Count the pixels of all frames."""
        video = self.video
        accumulator: ForegroundAccumulator | None = None
        frames: dict[int, Counts] = {}
        unlabelled = largest = 0
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
            largest = max(largest, int(result.max(initial=0)))
            try:
                frames[number] = accumulator._count_frame(result, labels)
            except DatasetError as error:
                raise DatasetError(f"frame {frame_name(number)} of {error}") from error
            unlabelled += bool(labels.flat[0] == OUTSIDE and (labels == OUTSIDE).all())
        sizes = np.zeros((3, 3), np.int64) if accumulator is None else accumulator.sizes
        return VideoScore(video, frames, self.missing, unlabelled, sizes, largest)


def pair_results(
    results: Results | Path | str,
    videos: ForegroundFolder,
    missing: Missing,
    exclude: Mapping[str, Collection[int]],
) -> dict[str, VideoTask]:
    """Pair the labelled frames of all videos with their results."""
    check_choice("missing", missing, Missing, DatasetError)
    opened = open_results(results, suffixes=RESULT_SUFFIXES, inner="cdnet")
    tasks = {video.key: _pair(opened, video, exclude.get(video.key, ())) for video in videos}
    if all(len(task.missing) == len(task.names) for task in tasks.values()):
        raise DatasetError(
            f"{opened.path} has no result of any frame of {first_few(tasks)}; there are "
            f"{first_few(opened.sequences)}; segue foreground writes them with --format cdnet"
        )
    lacking = {key: task.missing for key, task in tasks.items() if task.missing}
    if lacking and missing == "error":
        key, numbers = next(iter(lacking.items()))
        counts = first_few(f"{key} ({len(numbers)})" for key, numbers in lacking.items())
        raise DatasetError(
            f"{opened.path} lacks results of {first_few(map(frame_name, numbers))} of {key}; videos that "
            f'lack results of frames: {counts}; add them, or take them as empty (missing="empty")'
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
