"""J and F of many objects at once equal those of each pair alone."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segue.metrics.measures import (
    contour_accuracies,
    contour_accuracy,
    contour_table,
    count_pairs,
    region_similarities,
    region_similarity,
    region_table,
)

Masks = npt.NDArray[np.uint8]


def index_masks(highest: int) -> st.SearchStrategy[Masks]:
    return arrays(np.uint8, (9, 11), elements=st.integers(0, highest))


@given(index_masks(4), index_masks(4))
def test_measures_of_all_objects_equal_those_of_each_alone(prediction: Masks, truth: Masks) -> None:
    alone = [(prediction == k, truth == k) for k in range(1, 5)]
    region = region_similarities(count_pairs(prediction, truth, 4, 4))
    contour = contour_accuracies(prediction, truth, range(1, 5))
    np.testing.assert_array_equal(region, [region_similarity(*pair) for pair in alone])
    np.testing.assert_array_equal(contour, [contour_accuracy(*pair) for pair in alone])


@given(index_masks(5), index_masks(3), st.sampled_from([0.008, 0.2, 1.0, 2.5]))
def test_tables_hold_the_measures_of_every_pair(prediction: Masks, truth: Masks, bound_th: float) -> None:
    pairs = [[(prediction == j, truth == i) for i in range(1, 4)] for j in range(1, 7)]
    region = region_table(count_pairs(prediction, truth, 6, 3))
    contour = contour_table(prediction, truth, 6, 3, bound_th)
    np.testing.assert_array_equal(region, [[region_similarity(*pair) for pair in row] for row in pairs])
    np.testing.assert_array_equal(
        contour, [[contour_accuracy(*pair, bound_th) for pair in row] for row in pairs]
    )


@pytest.mark.parametrize("shape", [(480, 854), (1, 300), (300, 1)])
def test_the_table_of_large_objects_holds_the_measures_of_every_pair(shape: tuple[int, int]) -> None:
    y, x = np.mgrid[: shape[0], : shape[1]]
    truth = (((y // 90) + (x // 110)) % 4).astype(np.uint8)
    prediction = np.roll(truth, (7, -9), axis=(0, 1))
    expected = [[contour_accuracy(prediction == j, truth == i) for i in range(1, 4)] for j in range(1, 4)]
    np.testing.assert_array_equal(contour_table(prediction, truth, 3, 3), expected)


def test_more_than_fifteen_objects_are_distinct() -> None:
    truth = np.arange(1, 201, dtype=np.uint8).reshape(10, 20).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(region_similarities(count_pairs(truth, truth, 200, 200)), np.ones(200))
    half = np.where(truth % 2 == 0, truth, 0)
    found = region_similarities(count_pairs(half, truth, 200, 200))
    np.testing.assert_array_equal(found, np.tile([0.0, 1.0], 100))


@pytest.mark.parametrize(("proposals", "objects"), [(1, 1), (1, 3), (20, 3), (200, 200)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
@pytest.mark.parametrize("shape", [(0,), (1,), (4000,), (60, 70), (3, 20, 50)])
@pytest.mark.parametrize("noisy", [False, True])
def test_pairs_of_ids_are_counted_in_noise_and_in_smooth_masks_of_any_shape(
    proposals: int, objects: int, dtype: type[np.integer], shape: tuple[int, ...], noisy: bool
) -> None:
    rng = np.random.default_rng(0)
    masks = [rng.integers(0, highest + 1, shape) for highest in (proposals, objects)]
    if not noisy:
        masks = [np.sort(mask, axis=None).reshape(shape) for mask in masks]
    expected = np.zeros((proposals + 1, objects + 1), np.int64)
    np.add.at(expected, (masks[0], masks[1]), 1)
    found = count_pairs(masks[0].astype(dtype), masks[1].astype(dtype), proposals, objects)
    np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("objects", [1, 3])
def test_j_of_a_frame_takes_no_longer_than_comparing_object_by_object(objects: int) -> None:
    y, x = np.mgrid[:480, :854]
    truth, prediction = (
        (((y - 200) ** 2 + (x - left) ** 2 < 150**2) * (1 + (x // 100) % objects)).astype(np.uint8)
        for left in (400, 410)
    )

    def plain() -> list[float]:
        pairs = [(prediction == k, truth == k) for k in range(1, objects + 1)]
        return [np.count_nonzero(a & b) / np.count_nonzero(a | b) for a, b in pairs]

    def ours() -> list[float]:
        return region_similarities(count_pairs(prediction, truth, objects, objects)).tolist()

    assert ours() == plain()
    assert _seconds(ours) < _seconds(plain)


def _seconds(function: Callable[[], object]) -> float:
    """Least processor time of some calls."""
    taken = []
    for _ in range(30):
        start = time.thread_time()
        function()
        taken.append(time.thread_time() - start)
    return min(taken)
