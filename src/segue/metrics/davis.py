"""Score one sequence of DAVIS, semi-supervised or unsupervised, equal to the official programs.

Pont-Tuset et al., "The 2017 DAVIS Challenge on Video Object Segmentation", section 4. The first and the last
annotated frame are not scored; an object is missed where the result does not have it; void pixels of the
ground truth are background.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from segue.errors import DatasetError
from segue.masks.values import is_white
from segue.metrics.measures import (
    DEFAULT_BOUND_TH,
    contour_accuracies,
    contour_table,
    count_pairs,
    region_similarities,
    region_table,
)
from segue.metrics.report import ObjectScore, Scores, SequenceScore, Statistics, statistics
from segue.types import IndexMask
from segue.utils.arrays import as_array
from segue.utils.inputs import check_choice

VOID = 255
"""Index of the pixels that DAVIS leaves unlabelled."""

SemiSupervised = Literal["2017", "2016", "2016-toolkit"]
"""``2017``: each object for itself. ``2016``: all objects as one, scored the same way. ``2016-toolkit``: all
objects as one, and the mean also takes the first and the last frame, as the program of 2016 did."""


class DavisAccumulator:
    """Scores one sequence frame by frame, holding at most one frame.

    >>> accumulator = DavisAccumulator("bear")
    >>> for prediction, truth in zip(predictions, truths):
    ...     accumulator.update(prediction, truth)
    >>> accumulator.score().j_and_f

    The objects are 1 to the largest id in the first ground-truth mask, as in the official evaluation; ids
    that only appear later are not scored.

    Args:
        name: name of the sequence in the result and in errors.
        protocol: see :data:`SemiSupervised`.
        bound_th: tolerance of the contour accuracy, see :func:`contour_accuracy`.
    """

    def __init__(
        self, name: str = "sequence", *, protocol: SemiSupervised = "2017", bound_th: float = DEFAULT_BOUND_TH
    ) -> None:
        check_choice("protocol", protocol, SemiSupervised, DatasetError)
        self._name = name
        self._merge = protocol != "2017"
        self._score_ends = protocol == "2016-toolkit"
        self._bound_th = bound_th
        self._objects = 0
        self._is_present = np.zeros(0, np.bool_)
        self._frames = 0
        self._pending: tuple[IndexMask | None, IndexMask] | None = None
        self._region: list[Scores] = []
        self._contour: list[Scores] = []

    def update(self, prediction: IndexMask | None, truth: IndexMask) -> None:
        """Add the next annotated frame; call it for all, including the first and last.

        Args:
            prediction: index mask (H, W); None for a frame that is not scored: the first and the last one,
                except in ``2016-toolkit``.
            truth: index mask (H, W); 255 is void.

        Raises:
            DatasetError: sizes differ, or the first truth has no object or lacks an id of the prediction.
        """
        truth, prediction = as_array(truth), as_array(prediction)
        if self._frames == 0:
            _check_mask(truth, self._name)
            count = _count_objects(truth, self._name)
            self._objects = 1 if self._merge else count
            self._is_present = np.zeros(self._objects, np.bool_)
        if self._score_ends:
            self._score_frame(self._frames, prediction, truth)
        else:
            if self._pending is not None:
                self._score_frame(self._frames - 1, *self._pending)
            # Only the next call shows that this frame is not the last one, which is not scored.
            if self._frames > 0:
                self._pending = (None if prediction is None else prediction.copy(), truth.copy())
        self._frames += 1

    def score(self) -> SequenceScore:
        """Score the frames so far; the latest one is taken as the last.

        Returns:
            J and F of each object and frame, (K, T), with their statistics.

        Raises:
            DatasetError: fewer than three annotated frames, so that no frame is scored.
        """
        if self._frames < 3:
            raise DatasetError(
                f"sequence {self._name}: {self._frames} annotated frames; at least 3 are needed, "
                "because the first and the last one are not scored"
            )
        region, contour = np.stack(self._region, axis=1), np.stack(self._contour, axis=1)
        objects = tuple(
            ObjectScore(self._name, k + 1, self._statistics(region[k]), self._statistics(contour[k]))
            for k in range(self._objects)
        )
        missing = tuple((np.flatnonzero(~self._is_present) + 1).tolist())
        return SequenceScore(self._name, region, contour, objects, missing)

    def _statistics(self, values: Scores) -> Statistics:
        if not self._score_ends:
            return statistics(values)
        inner = statistics(values[1:-1])
        return Statistics(statistics(values).mean, inner.recall, inner.decay)

    def _score_frame(self, frame: int, prediction: IndexMask | None, truth: IndexMask) -> None:
        where = f"sequence {self._name}, annotated frame {frame}"
        if prediction is None:
            raise DatasetError(f"{where}: scored, but without prediction")
        _check_pair(prediction, truth, self._name, where)
        result, labels = (
            (mask != 0).astype(np.uint8) if self._merge else mask for mask in (prediction, truth)
        )
        if self._objects == 1 and is_white(result):
            result = (result != 0).astype(np.uint8)
        if int(result.max()) > self._objects:
            raise DatasetError(
                f"{where}: the prediction holds id {result.max()}, but the objects are 1 to {self._objects}"
                f"{_hint(int(result.max()), self._objects, labels)}"
            )
        # Void and ids that appear later are background.
        reference = np.where((truth == VOID) | (labels > self._objects), 0, labels)
        counts = count_pairs(result, reference, self._objects, self._objects)
        self._is_present |= counts[1:].any(axis=1)
        self._region.append(region_similarities(counts))
        self._contour.append(
            contour_accuracies(result, reference, range(1, self._objects + 1), self._bound_th)
        )


def _hint(number: int, objects: int, truth: IndexMask) -> str:
    """Advice for an id that the first ground-truth mask lacks."""
    if number == VOID:
        return f"; a mask of 0 and 255 is scored where the truth has one object, not {objects}"
    if (truth == number).any():
        return (
            f". Object {number} appears later in the video, and DAVIS scores those of the first frame alone: "
            "leave it out of the results, or score with `segue eval ytvos`"
        )
    return ""


def _check_mask(mask: IndexMask, sequence: str) -> None:
    if mask.dtype.kind not in "iu" or mask.ndim != 2 or mask.size == 0:
        raise DatasetError(
            f"sequence {sequence}: a mask is {mask.dtype} of shape {mask.shape}; "
            "give index masks of shape (height, width) and an integer type"
        )
    if mask.min() < 0:
        raise DatasetError(f"sequence {sequence}: a mask holds {mask.min()}; ids must not be negative")


def _check_pair(prediction: IndexMask, truth: IndexMask, sequence: str, where: str) -> None:
    _check_mask(prediction, sequence)
    _check_mask(truth, sequence)
    if prediction.shape != truth.shape:
        raise DatasetError(
            f"{where}: prediction is {prediction.shape}, truth {truth.shape}; give masks of one size"
        )


def _count_objects(first_truth: IndexMask, sequence: str) -> int:
    """Number of objects: the largest id in the first ground-truth mask, except void."""
    count = int(np.max(first_truth, initial=0, where=first_truth != VOID))
    if count == 0:
        white = np.max(first_truth, initial=0) == VOID
        advice = (
            "a 0/255 mask must be given with 1 for the object"
            if white
            else "DAVIS scores the objects of the first mask; begin the sequence where the object appears"
        )
        raise DatasetError(f"sequence {sequence}: the first ground-truth mask has no object ({advice})")
    return count


MAX_PROPOSALS = 20
"""Maximum id in a result of the protocol."""


class UnsupervisedAccumulator:
    """Scores one sequence frame by frame, keeping the scores of every pair.

    >>> accumulator = UnsupervisedAccumulator("bear")
    >>> for prediction, truth in zip(predictions, truths):
    ...     accumulator.update(prediction, truth)
    >>> accumulator.score().j_and_f

    All frames count. Void pixels count for nothing. The objects are 1 to the largest id in the first
    ground-truth mask; each gets the proposal of the assignment with the best sum of J&F.

    Args:
        name: name of the sequence in the result and in errors.
        bound_th: tolerance of the contour accuracy, see :func:`contour_accuracy`.
    """

    def __init__(self, name: str = "sequence", *, bound_th: float = DEFAULT_BOUND_TH) -> None:
        self._name = name
        self._bound_th = bound_th
        self._objects = 0
        self._proposals = 0
        self._region: list[Scores] = []
        self._contour: list[Scores] = []

    def update(self, prediction: IndexMask, truth: IndexMask) -> None:
        """Add the next annotated frame.

        Args:
            prediction: index mask (H, W) with proposals from 1 to ``MAX_PROPOSALS``; ids may differ from
                ``truth``.
            truth: index mask (H, W); 255 is void.

        Raises:
            DatasetError: sizes differ, the first truth holds no object, or the prediction an id too high.
        """
        where = f"sequence {self._name}, annotated frame {len(self._region)}"
        _check_pair(prediction, truth, self._name, where)
        if not self._region:
            self._objects = _count_objects(truth, self._name)
        if is_white(prediction):
            prediction = (prediction != 0).astype(np.uint8)
        highest = int(prediction.max())
        if highest > MAX_PROPOSALS:
            raise DatasetError(
                f"{where}: the prediction holds id {highest}; at most {MAX_PROPOSALS} proposals are allowed"
            )
        self._proposals = max(self._proposals, highest)
        valid = truth != VOID
        result = np.where(valid, prediction, 0)
        reference = np.where(valid & (truth <= self._objects), truth, 0)
        # Later frames may bring proposals that are empty here, so that the tables have room for all.
        size = (max(MAX_PROPOSALS, self._objects), self._objects)
        self._region.append(region_table(count_pairs(result[valid], reference[valid], *size)))
        self._contour.append(contour_table(result, reference, *size, self._bound_th))

    def score(self) -> SequenceScore:
        """Score the frames so far, with the assignment of best mean J&F.

        Returns:
            J and F of each object and frame, (K, T), with their statistics and the assignment.

        Raises:
            DatasetError: there was no frame.
        """
        from scipy.optimize import linear_sum_assignment  # late, for a quick start

        if not self._region:
            raise DatasetError(f"sequence {self._name}: no annotated frame, so nothing is scored")
        # With fewer proposals than objects the rest is matched with proposals that are empty.
        proposals = max(self._proposals, self._objects)
        region, contour = (np.stack(tables)[:, :proposals] for tables in (self._region, self._contour))
        # The orientation decides between equal assignments as the official program does.
        matched, objects = linear_sum_assignment((region.mean(axis=0) + contour.mean(axis=0)) / -2)
        region, contour = (table[:, matched, objects].T for table in (region, contour))
        rows = tuple(
            ObjectScore(self._name, k + 1, statistics(region[k]), statistics(contour[k]))
            for k in range(self._objects)
        )
        match = tuple(zip((matched + 1).tolist(), (objects + 1).tolist(), strict=True))
        missing = tuple(sorted(item for proposal, item in match if proposal > self._proposals))
        return SequenceScore(self._name, region, contour, rows, missing, match)
