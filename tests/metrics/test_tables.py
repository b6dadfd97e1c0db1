"""J and F of many objects at once equal those of each pair alone."""

from __future__ import annotations

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


def test_more_than_fifteen_objects_are_told_apart() -> None:
    truth = np.arange(1, 201, dtype=np.uint8).reshape(10, 20).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(region_similarities(count_pairs(truth, truth, 200, 200)), np.ones(200))
    half = np.where(truth % 2 == 0, truth, 0)
    found = region_similarities(count_pairs(half, truth, 200, 200))
    np.testing.assert_array_equal(found, np.tile([0.0, 1.0], 100))
