"""F by the size of objects: which pixels belong to which, and that nothing is counted twice."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.arrays import BoolArray
from segue.metrics.object_sizes import BOUNDS, count_by_size, measures_by_size

SIZE = (200, 260)
ALL = np.ones(SIZE, np.bool_)
SMALL, MEDIUM, LARGE = range(3)


def drawn(*boxes: tuple[int, int, int, int]) -> BoolArray:
    """Rectangles: top, left, height, width."""
    mask = np.zeros(SIZE, np.bool_)
    for y, x, height, width in boxes:
        mask[y : y + height, x : x + width] = True
    return mask


def test_each_object_counts_where_its_area_puts_it() -> None:
    boxes = [(0, 0, 10, 10), (0, 20, 40, 40), (60, 0, 100, 100)]
    for size, box in enumerate(boxes):
        found = drawn(*(other for other in boxes if other != box))
        counts = count_by_size(found, drawn(*boxes), ALL)
        hits, misses = counts[:, 0].tolist(), counts[:, 2].tolist()
        areas = [100, 1600, 10000]
        assert misses == [area if other == size else 0 for other, area in enumerate(areas)]
        assert hits == [0 if other == size else area for other, area in enumerate(areas)]
        assert not counts[:, 1].any()


@pytest.mark.parametrize(("area", "size"), [(BOUNDS[0] - 1, SMALL), (BOUNDS[0], MEDIUM), (BOUNDS[1], LARGE)])
def test_a_bound_is_the_first_area_of_the_larger_size(area: int, size: int) -> None:
    moving = np.zeros(SIZE, np.bool_)
    moving[:, :96].flat[: 96 * (area // 96)] = True
    moving[area // 96, : area % 96] = True
    assert moving.sum() == area
    assert count_by_size(ALL & False, moving, ALL)[:, 2].nonzero()[0].tolist() == [size]


def test_a_false_alarm_goes_with_the_object_that_its_region_covers_most() -> None:
    moving = drawn((0, 0, 10, 10), (0, 60, 40, 40))
    both = drawn((0, 0, 10, 100))  # 100 pixels of the small one, 400 of the medium one, 500 of none
    assert count_by_size(both, moving, ALL).tolist() == [[100, 0, 0], [400, 500, 1200], [0, 0, 0]]
    beside = drawn((150, 0, 5, 5), (100, 120, 98, 98))  # regions of none: small and large by their own area
    assert count_by_size(beside, moving, ALL)[:, 1].tolist() == [25, 0, 98 * 98]


def test_pixels_that_do_not_count_still_make_an_object_large() -> None:
    moving = drawn((0, 0, 100, 100))
    used = drawn((0, 0, 10, 260))
    assert count_by_size(moving, moving, used).tolist() == [[0, 0, 0], [0, 0, 0], [1000, 0, 0]]


@given(st.integers(0, 2**32 - 1))
def test_the_sizes_add_up_to_all_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def scattered(count: int) -> BoolArray:
        corners = rng.integers(0, (150, 200), (count, 2))
        sides = rng.integers(1, 60, (count, 2))
        return drawn(
            *((int(y), int(x), int(h), int(w)) for (y, x), (h, w) in zip(corners, sides, strict=True))
        )

    found, moving, used = scattered(6), scattered(4), ~scattered(2)
    hits, alarms, misses = count_by_size(found, moving, used).sum(0).tolist()
    assert hits == (found & moving & used).sum()
    assert alarms == (found & ~moving & used).sum()
    assert misses == (~found & moving & used).sum()


def test_f_is_that_of_the_counts_and_nothing_where_no_such_object_is() -> None:
    values = measures_by_size(np.array([[3, 1, 1], [0, 5, 2], [0, 7, 0]]), 0)
    assert values["F small"] == pytest.approx(0.75)
    assert values["F medium"] == 0
    assert math.isnan(values["F large"])
