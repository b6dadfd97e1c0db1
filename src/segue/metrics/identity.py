"""HOTA, IDF1 and id switches, with the definitions of TrackEval.

HOTA: Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking" (IJCV 2021). IDF1:
Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking" (ECCV workshops
2016). Id switches: Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance" (2008).
Similarity is the IoU of masks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segue.types import IndexMask
from segue.utils.arrays import Float64Array

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""Thresholds of similarity for HOTA, which is the mean over them."""

MATCH = 0.5
"""Threshold of similarity for IDF1 and id switches."""

_EPSILON = float(np.finfo(float).eps)

Integers = npt.NDArray[np.intp]
_Frames = Sequence[tuple[Integers, Integers, Float64Array]]


@dataclass(frozen=True, slots=True)
class Identity:
    """Identity scores of a video, in [0, 1]."""

    hota: float  # geometric mean of detection and association, mean over ``ALPHAS``
    deta: float  # accuracy of detection
    assa: float  # accuracy of association
    idf1: float  # F1 of the best one-to-one assignment of ids over the whole video
    switches: int  # times that a true object was matched with another id than before
    objects: int  # true objects, summed over the frames


def identity(truth: Iterable[IndexMask], results: Iterable[IndexMask]) -> Identity:
    """Compare the ids of two videos of index masks (H, W), frame by frame; classes are ignored."""
    frames = [_similarity(a, b) for a, b in zip(truth, results, strict=True)]
    none = np.zeros(0, np.intp)
    true_ids, true = np.unique(np.concatenate([none, *(a for a, _, _ in frames)]), return_counts=True)
    result_ids, result_counts = np.unique(
        np.concatenate([none, *(b for _, b, _ in frames)]), return_counts=True
    )
    numbered = [
        (np.searchsorted(true_ids, a), np.searchsorted(result_ids, b), similarity)
        for a, b, similarity in frames
    ]
    deta, assa = _hota(numbered, true, result_counts)
    total = true.sum() + result_counts.sum()
    return Identity(
        hota=float(np.sqrt(deta * assa).mean()),
        deta=float(deta.mean()),
        assa=float(assa.mean()),
        idf1=float(2 * _identified(numbered, true, result_counts) / total) if total else math.nan,
        switches=_switches(numbered, len(true)),
        objects=int(true.sum()),
    )


def _similarity(truth: IndexMask, result: IndexMask) -> tuple[IndexMask, IndexMask, Float64Array]:
    """Ids of both masks, and the IoU of each pair."""
    if truth.shape != result.shape:
        raise ValueError(f"a mask of {result.shape} is compared with one of {truth.shape}")
    true_ids, a = np.unique(truth, return_inverse=True)
    own_ids, b = np.unique(result, return_inverse=True)
    table = np.bincount(a.ravel() * len(own_ids) + b.ravel(), minlength=len(true_ids) * len(own_ids))
    both = table.reshape(len(true_ids), len(own_ids)).astype(np.float64)
    union = both.sum(1, keepdims=True) + both.sum(0, keepdims=True) - both
    iou = (both / union)[true_ids > 0][:, own_ids > 0]
    return true_ids[true_ids > 0], own_ids[own_ids > 0], iou


def _hota(frames: _Frames, true: Integers, predicted: Integers) -> tuple[Float64Array, Float64Array]:
    """Detection and association accuracy for each alpha, (19,) each."""
    from scipy.optimize import linear_sum_assignment  # late, for a quick start

    shared = np.zeros((len(true), len(predicted)))
    for a, b, similarity in frames:
        union = similarity.sum(0, keepdims=True) + similarity.sum(1, keepdims=True) - similarity
        shared[np.ix_(a, b)] += np.divide(
            similarity, union, out=np.zeros_like(similarity), where=union > _EPSILON
        )
    alignment = shared / np.maximum(true[:, None] + predicted[None] - shared, _EPSILON)
    matches = np.zeros((len(ALPHAS), len(true), len(predicted)))
    for a, b, similarity in frames:
        rows, columns = linear_sum_assignment(alignment[np.ix_(a, b)] * similarity, maximize=True)
        for k, alpha in enumerate(ALPHAS):
            enough = similarity[rows, columns] >= alpha - _EPSILON
            matches[k, a[rows[enough]], b[columns[enough]]] += 1
    num_matched = matches.sum((1, 2))
    detection = num_matched / np.maximum(true.sum() + predicted.sum() - num_matched, 1)
    each = matches / np.maximum(true[:, None] + predicted[None] - matches, 1)
    return detection, (matches * each).sum((1, 2)) / np.maximum(num_matched, 1)


def _identified(frames: _Frames, true: Integers, predicted: Integers) -> float:
    """Number of matches in the best one-to-one assignment of ids."""
    from scipy.optimize import linear_sum_assignment  # late, for a quick start

    together = np.zeros((len(true), len(predicted)))
    for a, b, similarity in frames:
        together[np.ix_(a, b)] += similarity >= MATCH
    return float(together[linear_sum_assignment(together, maximize=True)].sum())


def _switches(frames: _Frames, objects: int) -> int:
    """Number of changes of the matched id of each object; a previous match is kept if possible."""
    from scipy.optimize import linear_sum_assignment  # late, for a quick start

    last, previous = np.full(objects, -1), np.full(objects, -1)
    switches = 0
    for a, b, similarity in frames:
        if not similarity.size:
            continue  # as in TrackEval, previous matches outlast a frame without objects or results
        value = np.where(
            similarity >= MATCH - _EPSILON, 1000.0 * (previous[a][:, None] == b) + similarity, 0.0
        )
        rows, columns = linear_sum_assignment(value, maximize=True)
        matched = value[rows, columns] > 0
        objects_now, ids_now = a[rows[matched]], b[columns[matched]]
        switches += int(((last[objects_now] >= 0) & (last[objects_now] != ids_now)).sum())
        previous[:] = -1
        last[objects_now] = previous[objects_now] = ids_now
    return switches
