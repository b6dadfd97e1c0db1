"""Pixel counts of foreground masks and the measures of CDnet2014 on them.

Goyette et al., "changedetection.net: A New Change Detection Benchmark Dataset", CVPR Workshops 2012; the
numbers equal those of the comparator and the statistics script that come with the data set.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.datasets.labels import MOTION, SHADOW, UNKNOWN, Labels
from segue.errors import DatasetError

ALPHA = 1e-5
"""Added to every denominator, as the official script does, so that none is 0."""

MEASURES = ("Re", "Sp", "FPR", "FNR", "PWC", "Pr", "F")
"""The seven official measures in the order of their table."""

Prediction = npt.NDArray[Any]
"""(H, W): bool, or integers that are foreground from a threshold on."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of pixels; they add up over frames and videos.

    Attributes:
        tp: foreground in both.
        fp: foreground in the result only.
        fn: foreground in the truth only.
        tn: foreground in neither.
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
        return Counts(
            self.tp + other.tp,
            self.fp + other.fp,
            self.fn + other.fn,
            self.tn + other.tn,
            self.se + other.se,
            self.shadow + other.shadow,
        )

    def measures(self, alpha: float = ALPHA) -> dict[str, float]:
        """The seven official measures, then MCC and, NaN where nothing is shadow, FPR-S.

        Re, Sp, FPR, FNR, Pr, F are in [0, 1], PWC (percentage of wrong classifications) in [0, 100], MCC in
        [-1, 1]; FPR-S is the share of shadow pixels taken for foreground.
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


class ForegroundAccumulator:
    """Counts the pixels of one video frame by frame, in the memory of three masks.

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
        roi: npt.NDArray[np.bool_] | None = None,
        threshold: int = 255,
        ignored: Collection[int] = (UNKNOWN,),
    ) -> None:
        if not 1 <= threshold <= 255:
            raise DatasetError(f"threshold is {threshold}; it must be from 1 to 255")
        self.counts = Counts()
        self._name = name
        self._outside = None if roi is None or roi.all() else ~roi
        self._shape = None if roi is None else roi.shape
        self._threshold = threshold
        self._ignored = tuple(ignored)
        self._buffers: npt.NDArray[np.bool_] | None = None

    def update(self, prediction: Prediction, labels: Labels) -> Counts:
        """Count a frame.

        Args:
            prediction: the result, (H, W): bool, or integers of which the threshold tells the foreground.
            labels: label values of CDnet2014, (H, W), uint8.

        Returns:
            The counts of this frame, which are also added to ``counts``.

        Raises:
            DatasetError: the sizes differ, from each other or from those before.
        """
        self._check(prediction, labels)
        if self._buffers is None:
            self._shape = labels.shape
            self._buffers = np.empty((3, *labels.shape), np.bool_)
        used, found, marked = self._buffers
        np.not_equal(labels, self._ignored[0], out=used) if self._ignored else used.fill(True)
        for value in self._ignored[1:]:
            used &= np.not_equal(labels, value, out=marked)
        if self._outside is not None:
            np.greater(used, self._outside, out=used)
        if prediction.dtype == np.bool_:
            np.logical_and(prediction, used, out=found)
        else:
            np.greater_equal(prediction, self._threshold, out=found)
            found &= used
        positive, hit = self._count(labels, MOTION)
        shadow, shadow_hit = self._count(labels, SHADOW)
        total, taken = int(np.count_nonzero(used)), int(np.count_nonzero(found))
        fp, fn = taken - hit, positive - hit
        counts = Counts(tp=hit, fp=fp, fn=fn, tn=total - positive - fp, se=shadow_hit, shadow=shadow)
        self.counts += counts
        return counts

    def _count(self, labels: Labels, value: int) -> tuple[int, int]:
        """Used pixels with a label, and those of them that were found."""
        assert self._buffers is not None
        used, found, marked = self._buffers
        np.equal(labels, value, out=marked)
        marked &= used
        count = int(np.count_nonzero(marked))
        if count == 0:
            return 0, 0
        marked &= found
        return count, int(np.count_nonzero(marked))

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
