"""Additional measures by name: segue's own and those of plug-ins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from segue.entries.datasets import MetricEntry
from segue.errors import DatasetError, SegueError
from segue.metrics.evaluation import Evaluation, Measures
from segue.registry import METRICS
from segue.utils.arrays import BoolArray, Float64Array


def dice(result: BoolArray, truth: BoolArray) -> float:
    """Dice coefficient of two masks; 1 if both are empty."""
    both = int(result.sum()) + int(truth.sum())
    return 2 * int((result & truth).sum()) / both if both else 1.0


def precision(result: BoolArray, truth: BoolArray) -> float:
    """Share of the result that is correct; NaN for an empty result."""
    num_predicted = int(result.sum())
    return int((result & truth).sum()) / num_predicted if num_predicted else math.nan


def recall(result: BoolArray, truth: BoolArray) -> float:
    """Share of the truth that was found; NaN for an empty truth."""
    num_true = int(truth.sum())
    return int((result & truth).sum()) / num_true if num_true else math.nan


ENTRIES = (
    MetricEntry("dice", dice, "twice the common pixels by the pixels of both"),
    MetricEntry("precision", precision, "share of the result that is right"),
    MetricEntry("recall", recall, "share of the truth that is found"),
)


def with_metrics(evaluation: Evaluation, metrics: Sequence[str | MetricEntry]) -> Evaluation:
    """Add further measures to the scores of masks.

    A measure is taken of each object on each scored frame, from the first one on whose truth shows it; pixels
    that do not count are left out. Scores are means: of an object over its frames, of a sequence over its
    objects, and overall over all objects. NaN is left out.

    Args:
        evaluation: scores that can show their frames (``view``).
        metrics: names such as ``dice``, or entries.

    Returns:
        The scores with a column for each measure, by its name, in ``overall``, ``sequences``, and ``objects``
        where it has them.

    Raises:
        DatasetError: there is no such measure, it fails, or these scores have no frames to measure.
    """
    entries = [METRICS.find(item) if isinstance(item, str) else item for item in metrics]
    used_names = {*evaluation.overall, *(key for each in evaluation.sequences.values() for key in each)}
    if duplicates := [entry.name for entry in entries if entry.name in used_names]:
        raise DatasetError(f"metric {duplicates[0]}: {evaluation.protocol} has a measure of that name")
    if evaluation.view is None or not evaluation.series:
        raise DatasetError(f"metric {entries[0].name}: {evaluation.protocol} has no frames to measure")
    names, objects = [entry.name for entry in entries], dict(evaluation.objects)
    object_means: dict[str, list[Float64Array]] = {}  # the means of each object of a sequence, (metrics,)
    for sequence in evaluation.series:
        object_means[sequence] = []
        for number, values in _measured(evaluation, sequence, entries).items():
            mean = _mean(values, len(names))
            object_means[sequence].append(mean)
            if (name := f"{sequence}_{number}") in objects:
                objects[name] = {**objects[name], **_by_name(names, mean)}
    sequences = {
        name: {**measures, **_by_name(names, _mean(object_means.get(name, []), len(names)))}
        for name, measures in evaluation.sequences.items()
    }
    everything = [values for each in object_means.values() for values in each]
    overall = {**evaluation.overall, **_by_name(names, _mean(everything, len(names)))}
    return replace(evaluation, overall=overall, sequences=sequences, objects=objects)


def _measured(
    evaluation: Evaluation, sequence: str, entries: Sequence[MetricEntry]
) -> dict[int, list[Float64Array]]:
    """Measures, (metrics,), of each object of a sequence on its frames."""
    assert evaluation.view is not None
    values: dict[int, list[Float64Array]] = {}
    for frame in next(iter(evaluation.series[sequence].values())).frames:
        view = evaluation.view(sequence, frame)
        truth, result = (np.where(view.ignored, 0, mask) for mask in (view.truth, view.result))
        for number in sorted({*values, *np.unique(truth).tolist()} - {0}):
            of_frame = [
                _value(entry, result == number, truth == number, f"{sequence}, frame {frame}")
                for entry in entries
            ]
            values.setdefault(number, []).append(np.array(of_frame, np.float64))
    return values


def _value(entry: MetricEntry, result: BoolArray, truth: BoolArray, where: str) -> float:
    try:
        return float(entry.measure(result, truth))
    except SegueError:
        raise
    except Exception as error:  # whatever the measure of another package runs into
        raise DatasetError(
            f"metric {entry.name} fails on {where} with {type(error).__name__}: {error}"
        ) from error


def _mean(rows: Sequence[Float64Array], columns: int) -> Float64Array:
    """Column means without NaN, (columns,); NaN for columns without values."""
    table = np.stack(rows) if rows else np.full((1, columns), np.nan)
    valid = ~np.isnan(table)
    counts = valid.sum(axis=0)
    return np.where(counts > 0, np.where(valid, table, 0).sum(axis=0) / np.maximum(counts, 1), np.nan)


def _by_name(names: Sequence[str], values: Float64Array) -> Measures:
    return dict(zip(names, values.tolist(), strict=True))
