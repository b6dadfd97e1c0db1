"""Areas and boxes of all objects of a mask."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from segue.masks.measure import ObjectExtent, measure


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
