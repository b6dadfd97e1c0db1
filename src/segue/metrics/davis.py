"""Scores of the semi-supervised DAVIS task, equal to the official evaluation of DAVIS 2016 and 2017.

Pont-Tuset et al., "The 2017 DAVIS Challenge on Video Object Segmentation", section 4. The first and the last
annotated frame are not scored; an object is missed where the result does not have it; void pixels of the
ground truth are background.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from segue.datasets.davis import DavisFolder, Sequence, first_few, read_index_mask
from segue.errors import DatasetError
from segue.metrics.measures import (
    DEFAULT_BOUND_TH,
    contour_accuracy,
    contour_accuracy_uint8,
    region_similarity,
    tolerance_squared,
)
from segue.metrics.report import DavisReport, ObjectScore, Scores, SequenceScore, Statistics, statistics
from segue.types import IndexMask

__all__ = [
    "DavisAccumulator",
    "DavisReport",
    "ObjectScore",
    "Protocol",
    "SequenceScore",
    "Statistics",
    "contour_accuracies",
    "contour_accuracy",
    "evaluate_folder",
    "region_similarities",
    "region_similarity",
    "statistics",
]

VOID = 255
"""Index of the pixels that DAVIS leaves unlabelled."""

Protocol = Literal["2017", "2016", "2016-toolkit"]
"""``2017``: each object for itself. ``2016``: all objects as one, scored the same way. ``2016-toolkit``: all
objects as one, and the mean also takes the first and the last frame, as the program of 2016 did."""


class DavisAccumulator:
    """Scores one sequence frame by frame and keeps the masks of at most one frame between calls.

    >>> accumulator = DavisAccumulator("bear")
    >>> for prediction, truth in zip(predictions, truths):
    ...     accumulator.update(prediction, truth)
    >>> accumulator.score().j_and_f

    The objects are 1 to the largest id in the first ground-truth mask, as in the official evaluation; ids
    that only appear later are not scored.
    """

    def __init__(
        self, name: str = "sequence", *, protocol: Protocol = "2017", bound_th: float = DEFAULT_BOUND_TH
    ) -> None:
        """Start an empty sequence.

        Args:
            name: name of the sequence in the result and in errors.
            protocol: see :data:`Protocol`.
            bound_th: tolerance of the contour accuracy, see :func:`contour_accuracy`.
        """
        if protocol not in get_args(Protocol):
            raise DatasetError(f"protocol is {protocol!r}; it must be one of {', '.join(get_args(Protocol))}")
        self._name = name
        self._merge = protocol != "2017"
        self._score_ends = protocol == "2016-toolkit"
        self._bound_th = bound_th
        self._objects = 0
        self._frames = 0
        self._held: tuple[IndexMask | None, IndexMask] | None = None
        self._region: list[Scores] = []
        self._contour: list[Scores] = []

    def update(self, prediction: IndexMask | None, truth: IndexMask) -> None:
        """Take the next annotated frame; call it for all of them, the first and the last included.

        Args:
            prediction: index mask (H, W), any integer type. None is accepted for a frame that is not scored:
                the first and the last one, except in ``2016-toolkit``.
            truth: index mask (H, W); 255 is void.

        Raises:
            DatasetError: sizes differ, the first truth holds no object, or the prediction holds an id
                that the first truth does not have.
        """
        if self._frames == 0:
            self._objects = self._count_objects(truth)
        if self._score_ends:
            self._score_frame(self._frames, prediction, truth)
        else:
            if self._held is not None:
                self._score_frame(self._frames - 1, *self._held)
            # Only the next call shows that this frame is not the last one, which is not scored.
            if self._frames > 0:
                self._held = (None if prediction is None else prediction.copy(), truth.copy())
        self._frames += 1

    def score(self) -> SequenceScore:
        """Scores of the frames so far, the latest one taken as the last.

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
        return SequenceScore(self._name, region, contour, objects)

    def _statistics(self, values: Scores) -> Statistics:
        if not self._score_ends:
            return statistics(values)
        inner = statistics(values[1:-1])
        return Statistics(statistics(values).mean, inner.recall, inner.decay)

    def _count_objects(self, truth: IndexMask) -> int:
        count = int(np.max(self._labels(truth), initial=0, where=truth != VOID))
        if count == 0:
            raise DatasetError(
                f"sequence {self._name}: the first ground-truth mask has no object "
                "(a 0/255 mask must be given with 1 for the object)"
            )
        return count

    def _score_frame(self, frame: int, prediction: IndexMask | None, truth: IndexMask) -> None:
        """Score one frame."""
        if prediction is None:
            raise DatasetError(
                f"sequence {self._name}, annotated frame {frame}: scored, but without prediction"
            )
        if prediction.shape != truth.shape:
            raise DatasetError(
                f"sequence {self._name}, annotated frame {frame}: prediction is {prediction.shape}, "
                f"truth {truth.shape}; give masks of one size"
            )
        result = self._labels(prediction)
        if int(result.max()) > self._objects:
            raise DatasetError(
                f"sequence {self._name}, annotated frame {frame}: the prediction holds id {result.max()}, "
                f"but the objects are 1 to {self._objects}"
            )
        labels = self._labels(truth)
        # Void and ids that appear later are background.
        reference = np.where((truth == VOID) | (labels > self._objects), 0, labels)
        self._region.append(region_similarities(result, reference, self._objects))
        self._contour.append(contour_accuracies(result, reference, self._objects, self._bound_th))

    def _labels(self, mask: IndexMask) -> IndexMask:
        """The mask, its objects merged into one if the protocol says so."""
        if mask.dtype.kind not in "iu" or mask.ndim != 2 or mask.size == 0:
            raise DatasetError(
                f"sequence {self._name}: a mask is {mask.dtype} of shape {mask.shape}; "
                "give index masks of shape (height, width) and an integer type"
            )
        if mask.min() < 0:
            raise DatasetError(f"sequence {self._name}: a mask holds {mask.min()}; ids must not be negative")
        return (mask != 0).astype(np.uint8) if self._merge else mask


def region_similarities(prediction: IndexMask, truth: IndexMask, objects: int) -> Scores:
    """J of the objects 1 to ``objects``, (objects,), from one table of how often each pair of ids meets.

    Args:
        prediction: index mask (H, W) with ids from 0 to ``objects``.
        truth: index mask of the same size and range.
        objects: number of objects.
    """
    ids = objects + 1
    smallest = np.min_scalar_type(ids * ids - 1)  # narrow numbers make this the cheap part of a frame
    pairs = truth.astype(smallest)
    pairs *= ids
    pairs += prediction.astype(smallest, copy=False)
    table = np.bincount(pairs.ravel(), minlength=ids * ids).reshape(ids, ids)
    both = np.diagonal(table)[1:]
    union = table.sum(axis=0)[1:] + table.sum(axis=1)[1:] - both
    return np.where(union > 0, both / np.maximum(union, 1), 1.0)


def contour_accuracies(
    prediction: IndexMask, truth: IndexMask, objects: int, bound_th: float = DEFAULT_BOUND_TH
) -> Scores:
    """F of the objects 1 to ``objects``, (objects,), for two index masks (H, W) of one size."""
    radius_squared = tolerance_squared(truth.shape, bound_th)
    masks = (((prediction == k).view(np.uint8), (truth == k).view(np.uint8)) for k in range(1, objects + 1))
    return np.array([contour_accuracy_uint8(*pair, radius_squared) for pair in masks])


def evaluate_folder(
    results_root: Path | str,
    davis_folder: DavisFolder,
    sequences: Iterable[str] | None = None,
    *,
    protocol: Protocol = "2017",
    bound_th: float = DEFAULT_BOUND_TH,
    workers: int = 1,
) -> DavisReport:
    """Score result masks ``<results_root>/<sequence>/<frame>.png`` against their annotations.

    In sequences with 0/255 annotations (DAVIS 2016) 255 in a result is the object too.

    Args:
        results_root: folder with one folder of indexed PNG files for each sequence.
        davis_folder: the ground truth.
        sequences: names to score, in this order; default: all of ``davis_folder``.
        protocol: see :data:`Protocol`.
        bound_th: tolerance of the contour accuracy, see :func:`contour_accuracy`.
        workers: processes that score sequences side by side; 1 scores in this process.

    Raises:
        DatasetError: a sequence or a result is missing (then nothing is scored) or does not fit.
    """
    chosen = [davis_folder[name] for name in (davis_folder.names if sequences is None else sequences)]
    if not chosen:
        raise DatasetError(f"no sequence to score in {davis_folder.root}")
    score_ends = protocol == "2016-toolkit"
    tasks = [
        _Task(sequence, _find_results(Path(results_root), sequence, score_ends), protocol, bound_th)
        for sequence in chosen
    ]
    if workers <= 1:
        return DavisReport(tuple(map(_score_sequence, tasks)))
    with ProcessPoolExecutor(min(workers, len(tasks)), mp_context=get_context("spawn")) as pool:
        return DavisReport(tuple(pool.map(_score_sequence, tasks)))


@dataclass(frozen=True, slots=True)
class _Task:
    """One sequence to score; ``results`` maps the frames that are scored to their files."""

    sequence: Sequence
    results: dict[int, Path]
    protocol: Protocol
    bound_th: float


def _find_results(results_root: Path, sequence: Sequence, score_ends: bool) -> dict[int, Path]:
    """Result file of each frame that is scored."""
    folder = results_root / sequence.name
    if not folder.is_dir():
        raise DatasetError(f"no results of sequence {sequence.name}: the folder {folder} does not exist")
    annotated = list(sequence.annotations)
    scored = annotated if score_ends else annotated[1:-1]
    results = {i: folder / f"{sequence.annotations[i].stem}.png" for i in scored}
    missing = [path.name for path in results.values() if not path.is_file()]
    if missing:
        raise DatasetError(f"results of sequence {sequence.name}: {folder} lacks {first_few(missing)}")
    return results


def _score_sequence(task: _Task) -> SequenceScore:
    sequence = task.sequence
    accumulator = DavisAccumulator(sequence.name, protocol=task.protocol, bound_th=task.bound_th)
    for i in sequence.annotations:
        path = task.results.get(i)
        prediction = None if path is None else read_index_mask(path)
        if prediction is not None and sequence.binary:
            prediction[prediction == VOID] = 1
        accumulator.update(prediction, sequence.read_mask(i))
    return accumulator.score()
