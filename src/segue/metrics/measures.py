"""Region similarity J and contour accuracy F, equal to the DAVIS benchmark.

Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016,
section 4; of two binary masks, and of many objects of one frame at once from index masks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache, reduce

import cv2
import numpy as np
import numpy.typing as npt

from segue.errors import DatasetError
from segue.metrics.report import Scores
from segue.types import IndexMask
from segue.utils.arrays import UInt8Array, whole_mask

BinaryMask = npt.NDArray[np.bool_ | np.number]
"""(H, W), any type; every non-zero value is foreground."""


DEFAULT_BOUND_TH = 0.008
"""Tolerance of F as a share of the image's diagonal."""

GATHER_COST = 1.5  # time to look up one pixel, in units of the time to dilate one by a disk; measured


def region_similarity(prediction: BinaryMask, truth: BinaryMask, *, void: BinaryMask | None = None) -> float:
    """Intersection over union J of two masks (H, W), in [0, 1]; 1 when both are empty.

    Args:
        prediction: the result, (H, W), bool or a number type; every non-zero value is foreground.
        truth: the ground truth, of the same shape and form.
        void: pixels that count neither for nor against, those that are non-zero here; same shape. Default:
            none.

    Returns:
        Pixels that are foreground in both masks, divided by those that are in at least one.

    Raises:
        DatasetError: the masks differ in size, are not two-dimensional, have no pixel, or fractions.
    """
    result, reference = _foreground(prediction, truth, void)
    union = cv2.countNonZero(result | reference)
    return cv2.countNonZero(result & reference) / union if union else 1.0


def contour_accuracy(
    prediction: BinaryMask,
    truth: BinaryMask,
    bound_th: float = DEFAULT_BOUND_TH,
    *,
    void: BinaryMask | None = None,
) -> float:
    """Harmonic mean F of contour precision and recall of two masks (H, W), in [0, 1].

    Args:
        prediction: the result, (H, W), bool or a number type; every non-zero value is foreground.
        truth: the ground truth, of the same shape and form.
        bound_th: maximum distance of matching contours: from 1 on in pixels, below 1 as a share of the
            diagonal, rounded up to whole pixels.
        void: mask of the same shape; its non-zero pixels count as background in both masks.
            Default: none.

    Returns:
        F in [0, 1]: 1 if neither mask has a contour, 0 if only one has. A mask that is foreground everywhere
        has no contour, for the border of the image is none.

    Raises:
        DatasetError: the masks differ in size, are not two-dimensional, have no pixel, or fractions, or
            ``bound_th`` is not a positive finite number.
    """
    result, reference = _foreground(prediction, truth, void)
    return contour_accuracy_uint8(result, reference, tolerance_squared(result.shape, bound_th))


def tolerance_squared(shape: tuple[int, ...], bound_th: float) -> int:
    """Squared matching radius in pixels for images of ``shape`` (H, W), rounded down."""
    if not (math.isfinite(bound_th) and bound_th > 0):
        raise DatasetError(f"bound_th is {bound_th}; it must be positive: pixels or a share of the diagonal")
    diagonal_squared = shape[0] ** 2 + shape[1] ** 2
    if bound_th >= 1:
        return min(math.floor(bound_th * bound_th), diagonal_squared)  # nothing is farther apart
    return math.ceil(bound_th * math.sqrt(diagonal_squared)) ** 2


def contour_accuracy_uint8(result: UInt8Array, reference: UInt8Array, radius_squared: int) -> float:
    """F of two masks (H, W) that hold only 0 and 1; see :func:`contour_accuracy`."""
    result, reference = crop_to_objects(result, reference)
    result_edge, reference_edge = boundary_map(result), boundary_map(reference)
    n_result, n_reference = cv2.countNonZero(result_edge), cv2.countNonZero(reference_edge)
    if n_result == 0 or n_reference == 0:
        return float(n_result == n_reference)
    precision = _count_within(result_edge, reference_edge, n_result, radius_squared) / n_result
    recall = _count_within(reference_edge, result_edge, n_reference, radius_squared) / n_reference
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _foreground(
    prediction: BinaryMask, truth: BinaryMask, void: BinaryMask | None
) -> tuple[UInt8Array, UInt8Array]:
    """Convert both masks to bytes of 0 and 1, with void set to 0."""
    prediction, truth = (
        whole_mask(mask, name, DatasetError) for name, mask in (("prediction", prediction), ("truth", truth))
    )
    void = None if void is None else whole_mask(void, "void", DatasetError)
    for name, mask in (("truth", truth), ("void", void)):
        if mask is not None and mask.shape != prediction.shape:
            raise DatasetError(
                f"prediction is {prediction.shape}, {name} {mask.shape}; give masks of one size"
            )
    if prediction.size == 0:
        raise DatasetError(f"prediction has shape {prediction.shape}; give masks of shape (height, width)")
    result, reference = prediction != 0, truth != 0
    if void is not None:
        valid = void == 0
        result, reference = result & valid, reference & valid
    return result.view(np.uint8), reference.view(np.uint8)


def crop_to_objects(result: UInt8Array, reference: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
    """Crop two masks (H, W), binary or of ids, to all objects and one pixel around them."""
    x, y, width, height = cv2.boundingRect(result | reference)
    part = np.s_[max(y - 1, 0) : y + height + 1, max(x - 1, 0) : x + width + 1]
    return result[part], reference[part]


def boundary_map(mask: UInt8Array) -> UInt8Array:
    """Pixels that differ from their right, lower or lower-right neighbour."""
    window = np.ones((2, 2), np.uint8)
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, window, anchor=(0, 0)), np.uint8)


def _count_within(edge: UInt8Array, other: UInt8Array, count: int, radius_squared: int) -> int:
    """Number of pixels of ``edge``, out of ``count``, within the radius of a pixel of ``other``."""
    inner, outer = math.isqrt(radius_squared // 2), math.isqrt(radius_squared)
    left = edge & (_dilate_square(other, inner) ^ 1)
    n_left = cv2.countNonZero(left)
    if n_left == 0:
        return count
    left &= _dilate_square(other, outer)
    rows, columns = np.divmod(np.flatnonzero(left.view(np.bool_)), edge.shape[1])
    ring = _ring_offsets(radius_squared)
    if GATHER_COST * len(rows) * len(ring) > edge.size:
        return count - n_left + cv2.countNonZero(left & _dilate_disk(other, radius_squared))
    padded = cv2.copyMakeBorder(other, outer, outer, outer, outer, cv2.BORDER_CONSTANT, value=0)
    stride = padded.shape[1]
    positions = (rows + outer) * stride + columns + outer
    is_within = padded.ravel()[(ring @ (stride, 1))[:, None] + positions].any(axis=0)
    return count - n_left + int(np.count_nonzero(is_within))


def _dilate_square(edge: UInt8Array, reach: int) -> UInt8Array:
    return np.asarray(cv2.dilate(edge, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)), np.uint8)


def _dilate_disk(edge: UInt8Array, radius_squared: int) -> UInt8Array:
    """Dilate by a disk, as the union of dilations by rectangles."""
    parts = (np.asarray(cv2.dilate(edge, part), np.uint8) for part in _disk_rectangles(radius_squared))
    return reduce(np.bitwise_or, parts)


@lru_cache(maxsize=16)
def _ring_offsets(radius_squared: int) -> _Positions:
    """Offsets (dy, dx) of the disk's pixels outside its inner square, (pixels, 2)."""
    inner, outer = math.isqrt(radius_squared // 2), math.isqrt(radius_squared)
    offsets = np.mgrid[-outer : outer + 1, -outer : outer + 1].reshape(2, -1).T
    squared = (offsets * offsets).sum(axis=1)
    return np.asarray(offsets[(squared <= radius_squared) & (np.abs(offsets).max(axis=1) > inner)])


@lru_cache(maxsize=16)
def _disk_rectangles(radius_squared: int) -> tuple[UInt8Array, ...]:
    """Centred rectangles of ones whose union is the disk dy^2 + dx^2 <= radius_squared."""
    tallest: dict[int, int] = {}
    for dy in range(math.isqrt(radius_squared) + 1):
        tallest[math.isqrt(radius_squared - dy * dy)] = dy
    return tuple(np.ones((2 * dy + 1, 2 * dx + 1), np.uint8) for dx, dy in tallest.items())


Counts = npt.NDArray[np.int64]
_Positions = npt.NDArray[np.intp]


def count_pairs(prediction: IndexMask, truth: IndexMask, proposals: int, objects: int) -> Counts:
    """Number of pixels with each pair of ids, (proposals + 1, objects + 1), in masks of any one shape."""
    size = (proposals + 1, objects + 1)
    smallest = np.min_scalar_type(size[0] * size[1] - 1)  # narrow numbers make this the cheap part of a frame
    if size == (2, 2) and 0 < prediction.size < 2**31:
        result, reference = (mask.astype(np.uint8, copy=False).ravel() for mask in (prediction, truth))
        num_predicted, real, both = map(cv2.countNonZero, (result, reference, result & reference))
        return np.array(
            [[prediction.size - num_predicted - real + both, real - both], [num_predicted - both, both]]
        )
    pairs = prediction.astype(smallest).ravel()
    pairs *= size[1]
    pairs += truth.astype(smallest, copy=False).ravel()
    return _count_values(pairs, size[0] * size[1]).reshape(size)


def _count_values(values: npt.NDArray[np.unsignedinteger], count: int) -> Counts:
    """Occurrences of each of 0 … ``count`` − 1, (count,)."""
    changes = values[1:] != values[:-1]
    if values.size == 0 or 8 * np.count_nonzero(changes) > values.size:
        return np.bincount(values, minlength=count)
    ends = np.append(np.flatnonzero(changes), values.size - 1)
    lengths = np.diff(ends, prepend=-1)
    return np.bincount(values[ends], lengths, minlength=count).astype(np.int64)  # floats: exact below 2**53


def region_similarities(counts: Counts) -> Scores:
    """J of each object with the proposal of the same id, (objects,), from the counts of pairs."""
    return region_table(counts).diagonal()


def region_table(counts: Counts) -> Scores:
    """J of every proposal with every object, (proposals, objects), from the counts of pairs."""
    both = counts[1:, 1:]
    union = counts.sum(axis=1)[1:, None] + counts.sum(axis=0)[None, 1:] - both
    return np.where(union > 0, both / np.maximum(union, 1), 1.0)


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
    """F of every proposal with every object, (proposals, objects), of index masks (H, W)."""
    radius_squared = tolerance_squared(truth.shape, bound_th)
    predicted = [_contour(prediction == k) for k in range(1, proposals + 1)]
    real = [_contour(truth == k) for k in range(1, objects + 1)]
    n_predicted, n_real = (np.array([len(item) for item in items])[:, None] for items in (predicted, real))
    precision = _near_table(predicted, real, truth.shape, radius_squared).T / np.maximum(n_predicted, 1)
    recall = _near_table(real, predicted, truth.shape, radius_squared) / np.maximum(n_real.T, 1)
    total = precision + recall
    f: Scores = 2 * precision * recall / np.where(total > 0, total, 1)
    empty = (n_predicted == 0) | (n_real.T == 0)
    return np.where(empty, np.asarray(n_predicted == n_real.T, np.float64), f)


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


def _near_table(
    counted: list[_Positions], grown: list[_Positions], shape: tuple[int, ...], radius_squared: int
) -> Counts:
    """Number of pixels of each ``counted`` contour inside each ``grown`` one, (grown, counted)."""
    positions = np.concatenate(counted)
    owners = np.repeat(np.arange(len(counted)), [len(item) for item in counted])
    counts = np.zeros((len(grown), len(counted)), np.int64)
    reach = math.isqrt(radius_squared)
    for row, contour in zip(counts, grown, strict=True):
        if len(contour):
            lines = np.divmod(contour, shape[1])
            part = tuple(slice(max(line.min() - reach, 0), line.max() + reach + 1) for line in lines)
            frame = np.zeros(shape, np.uint8)
            frame[lines] = 1
            frame[part] = _dilate_disk(frame[part], radius_squared)
            hit = frame.view(np.bool_).ravel()[positions]
            row[:] = np.bincount(owners[hit], minlength=len(counted))
    return counts
