"""Polygons of masks, wherever they lie in the image."""

from __future__ import annotations

import numpy as np
import pytest

from segue.masks.outlines import coco_polygons, fine_outline


@pytest.mark.parametrize("density", [0.05, 0.5, 0.95])
@pytest.mark.parametrize(("top", "left"), [(0, 0), (17, 0), (0, 40), (9, 23), (17, 40)])
def test_polygons_move_with_the_mask(top: int, left: int, density: float) -> None:
    part = np.random.default_rng(0).random((13, 20)) < density
    offset = np.array([left, top])
    plane = np.zeros((30, 60), np.bool_)
    plane[top : top + 13, left : left + 20] = part
    moved = [(np.reshape(one, (-1, 2)) + offset).ravel().tolist() for one in coco_polygons(part)]
    assert coco_polygons(plane) == moved
    assert np.array_equal(fine_outline(plane), fine_outline(part) + offset)


def test_an_empty_mask_has_no_polygon() -> None:
    assert coco_polygons(np.zeros((4, 5), np.bool_)) == []
