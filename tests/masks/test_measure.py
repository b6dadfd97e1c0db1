"""Areas and boxes of all objects of a mask."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from segue.masks.measure import ObjectExtent, fill_boxes, measure


def by_scipy(mask: npt.NDArray[np.integer]) -> dict[int, ObjectExtent]:
    found = {}
    for number, place in enumerate(ndimage.find_objects(mask), start=1):
        if place is not None:
            rows, columns = place
            area = int(np.count_nonzero(mask == number))
            found[number] = ObjectExtent(area, (columns.start, rows.start, columns.stop, rows.stop))
    return found


@given(
    st.sampled_from([np.uint8, np.uint16, np.int32]).flatmap(
        lambda dtype: arrays(
            dtype, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 4)
        )
    )
)
def test_extents_are_those_of_each_object_alone(mask: npt.NDArray[np.integer]) -> None:
    found = measure(mask)
    assert found == by_scipy(mask)
    assert list(found) == sorted(found)


def test_a_large_id_costs_no_more_than_a_small_one() -> None:
    mask = np.zeros((40, 60), np.int32)
    mask[3:10, 5:25] = 2**30
    start = time.thread_time()
    assert measure(mask) == {2**30: ObjectExtent(140, (5, 3, 25, 10))}
    assert time.thread_time() - start < 0.5


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_no_pixels_are_no_objects(shape: tuple[int, int]) -> None:
    assert measure(np.zeros(shape, np.uint8)) == {}


def test_boxes_are_cut_to_whole_pixels_inside_the_picture_and_later_ones_win() -> None:
    boxes = {3: (1.9, 0.0, 4.9, 2.1), 5: (-2.0, 1.0, 2.0, 9.0), 7: (2.0, -3.0, 3.0, 1.0)}
    expected = [[0, 3, 7, 3, 0, 0], [5, 5, 3, 3, 0, 0], [5, 5, 0, 0, 0, 0]]
    found = fill_boxes(boxes, (3, 6))
    assert found.tolist() == expected
    assert found.dtype == np.uint8
