"""J and F of many objects of one frame at once, from index masks."""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from segue.metrics.measures import (
    DEFAULT_BOUND_TH,
    boundary_map,
    contour_accuracy_uint8,
    crop_to_objects,
    dilate,
    tolerance_squared,
)
from segue.metrics.report import Scores
from segue.types import IndexMask

EXACT_FLOATS = 2**24
"""Below this a 32-bit float holds every integer; OpenCV counts in such floats."""

Counts = npt.NDArray[np.int64]
_Positions = npt.NDArray[np.intp]


def count_pairs(prediction: IndexMask, truth: IndexMask, proposals: int, objects: int) -> Counts:
    """How many pixels have each pair of ids, (proposals + 1, objects + 1).

    Args:
        prediction: ids from 0 to ``proposals``, of any shape.
        truth: ids from 0 to ``objects``, of the same shape.
        proposals: largest id of the prediction.
        objects: largest id of the truth.
    """
    size = (proposals + 1, objects + 1)
    smallest = np.min_scalar_type(size[0] * size[1] - 1)  # narrow numbers make this the cheap part of a frame
    pairs = prediction.astype(smallest)
    pairs *= size[1]
    pairs += truth.astype(smallest, copy=False)
    return _count_values(pairs, size[0] * size[1]).reshape(size)


def _count_values(codes: IndexMask, values: int) -> Counts:
    """How often each number below ``values`` occurs."""
    if codes.dtype == np.uint8 and codes.size < EXACT_FLOATS:
        # Several times as fast as numpy, which first makes 64-bit numbers of all.
        counts = cv2.calcHist([codes.reshape(1, -1)], [0], None, [256], [0, 256])
        return np.asarray(counts.ravel()[:values], np.int64)
    return np.bincount(codes.ravel(), minlength=values)


def region_similarities(counts: Counts) -> Scores:
    """J of each object with the proposal of the same id, (objects,), from the counts of pairs."""
    both = np.diagonal(counts)[1:]
    return _share(both, counts.sum(axis=0)[1:] + counts.sum(axis=1)[1:] - both)


def region_table(counts: Counts) -> Scores:
    """J of every proposal with every object, (proposals, objects), from the counts of pairs."""
    both = counts[1:, 1:]
    return _share(both, counts.sum(axis=1)[1:, None] + counts.sum(axis=0)[None, 1:] - both)


def contour_accuracies(
    prediction: IndexMask, truth: IndexMask, ids: Iterable[int], bound_th: float = DEFAULT_BOUND_TH
) -> Scores:
    """F of the objects with these ids, (ids,), for two index masks (H, W) of one size."""
    radius_squared = tolerance_squared(truth.shape, bound_th)
    if prediction.dtype == truth.dtype == np.uint8:
        # Comparing small parts with each id is cheaper than whole frames.
        prediction, truth = crop_to_objects(np.asarray(prediction, np.uint8), np.asarray(truth, np.uint8))
    masks = (((prediction == k).view(np.uint8), (truth == k).view(np.uint8)) for k in ids)
    return np.array([contour_accuracy_uint8(*pair, radius_squared) for pair in masks])


def contour_table(
    prediction: IndexMask,
    truth: IndexMask,
    proposals: int,
    objects: int,
    bound_th: float = DEFAULT_BOUND_TH,
) -> Scores:
    """F of every proposal with every object, (proposals, objects); each contour is found and grown once.

    Args:
        prediction: index mask (H, W) with ids from 0 to ``proposals``.
        truth: index mask of the same size with ids from 0 to ``objects``.
        proposals: number of proposals.
        objects: number of objects.
        bound_th: tolerance, see :func:`contour_accuracy`.
    """
    radius_squared = tolerance_squared(truth.shape, bound_th)
    found = [_contour(prediction == k) for k in range(1, proposals + 1)]
    real = [_contour(truth == k) for k in range(1, objects + 1)]
    n_found, n_real = (np.array([len(item) for item in items])[:, None] for items in (found, real))
    precision = _count_near(found, real, truth.shape, radius_squared).T / np.maximum(n_found, 1)
    recall = _count_near(real, found, truth.shape, radius_squared) / np.maximum(n_real.T, 1)
    total = precision + recall
    f: Scores = 2 * precision * recall / np.where(total > 0, total, 1)
    empty = (n_found == 0) | (n_real.T == 0)
    return np.where(empty, np.asarray(n_found == n_real.T, np.float64), f)


def _share(both: Counts, union: Counts) -> Scores:
    return np.where(union > 0, both / np.maximum(union, 1), 1.0)


def _contour(mask: npt.NDArray[np.bool_]) -> _Positions:
    """Positions of the contour pixels in the flattened frame."""
    binary = mask.view(np.uint8)
    x, y, width, height = cv2.boundingRect(binary)
    if width == 0:
        return np.empty(0, np.intp)
    top, left = max(y - 1, 0), max(x - 1, 0)
    rows, columns = np.nonzero(boundary_map(binary[top : y + height + 1, left : x + width + 1]))
    positions: _Positions = (rows + top) * mask.shape[1] + columns + left
    return positions


def _count_near(
    counted: list[_Positions], grown: list[_Positions], shape: tuple[int, ...], radius_squared: int
) -> Counts:
    """How many pixels of each ``counted`` contour are near each ``grown`` one, (grown, counted)."""
    positions = np.concatenate(counted)
    owners = np.repeat(np.arange(len(counted)), [len(item) for item in counted])
    near = np.zeros((len(grown), len(counted)), np.int64)
    for row, contour in zip(near, grown, strict=True):
        if len(contour):
            hit = _grow(contour, shape, radius_squared)[positions]
            row[:] = np.bincount(owners[hit], minlength=len(counted))
    return near


def _grow(contour: _Positions, shape: tuple[int, ...], radius_squared: int) -> npt.NDArray[np.bool_]:
    """Pixels of the flattened frame that are near a contour."""
    rows, columns = np.divmod(contour, shape[1])
    reach = math.isqrt(radius_squared)
    part = tuple(
        slice(max(int(line.min()) - reach, 0), int(line.max()) + reach + 1) for line in (rows, columns)
    )
    frame = np.zeros(shape, np.uint8)
    frame[rows, columns] = 1
    frame[part] = dilate(frame[part], radius_squared)
    return frame.view(np.bool_).ravel()
