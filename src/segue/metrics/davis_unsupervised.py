"""Scores of one sequence by the unsupervised DAVIS task: proposals without given objects, matched afterwards.

Caelles et al., "The 2019 DAVIS Challenge on VOS: Unsupervised Multi-Object Segmentation", section 4.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from segue.errors import DatasetError
from segue.metrics.davis import VOID, check_index_mask, check_same_size, count_objects
from segue.metrics.measures import DEFAULT_BOUND_TH
from segue.metrics.report import ObjectScore, Scores, SequenceScore, statistics
from segue.metrics.tables import contour_table, count_pairs, region_table
from segue.types import IndexMask

MAX_PROPOSALS = 20
"""Largest id that the protocol takes in a result."""


class UnsupervisedAccumulator:
    """Scores one sequence frame by frame and keeps no mask, only the scores of every pair.

    >>> accumulator = UnsupervisedAccumulator("bear")
    >>> for prediction, truth in zip(predictions, truths):
    ...     accumulator.update(prediction, truth)
    >>> accumulator.score().j_and_f

    All frames count. Void pixels count for nothing. The objects are 1 to the largest id in the first
    ground-truth mask; each gets the proposal of the assignment with the best sum of J&F.
    """

    def __init__(self, name: str = "sequence", *, bound_th: float = DEFAULT_BOUND_TH) -> None:
        """Start an empty sequence.

        Args:
            name: name of the sequence in the result and in errors.
            bound_th: tolerance of the contour accuracy, see :func:`contour_accuracy`.
        """
        self._name = name
        self._bound_th = bound_th
        self._objects = 0
        self._proposals = 0
        self._region: list[Scores] = []
        self._contour: list[Scores] = []

    def update(self, prediction: IndexMask, truth: IndexMask) -> None:
        """Take the next annotated frame.

        Args:
            prediction: index mask (H, W), any integer type, with proposals from 1 to ``MAX_PROPOSALS``; ids
                need not be those of the truth.
            truth: index mask (H, W); 255 is void.

        Raises:
            DatasetError: sizes differ, the first truth holds no object, or the prediction an id too high.
        """
        where = f"sequence {self._name}, annotated frame {len(self._region)}"
        check_index_mask(prediction, self._name)
        check_index_mask(truth, self._name)
        check_same_size(prediction, truth, where)
        if not self._region:
            self._objects = count_objects(truth, self._name)
        highest = int(prediction.max())
        if highest > MAX_PROPOSALS:
            raise DatasetError(
                f"{where}: the prediction holds id {highest}; at most {MAX_PROPOSALS} proposals are allowed"
            )
        self._proposals = max(self._proposals, highest)
        self._score_frame(prediction, truth)

    def score(self) -> SequenceScore:
        """Scores of the frames so far. Row k belongs to the k-th of the matched proposals in their order.

        Raises:
            DatasetError: there was no frame.
        """
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

    def _score_frame(self, prediction: IndexMask, truth: IndexMask) -> None:
        """Tables of all pairs, (proposals, objects); later frames may bring proposals that are empty here."""
        known = truth != VOID
        result = np.where(known, prediction, 0)
        reference = np.where(known & (truth <= self._objects), truth, 0)
        size = (max(MAX_PROPOSALS, self._objects), self._objects)
        self._region.append(region_table(count_pairs(result[known], reference[known], *size)))
        self._contour.append(contour_table(result, reference, *size, self._bound_th))
