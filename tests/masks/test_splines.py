"""Shapes with keys: where corners are between keys, which pixels a shape has, and shapes of masks."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from segue.masks import Rle, decode_rle
from segue.masks.measure import iou
from segue.masks.splines import (
    KeyedShape,
    ShapeKey,
    fitted_shape,
    flattened,
    rounded_corners,
    shape_runs,
    warp_corners,
)

SIZE, LARGE = (60, 80), (150, 200)


def key(x: float, y: float, side: float = 10, **fields: object) -> ShapeKey:
    """A square with its corner there."""
    places = ((x, y), (x + side, y), (x + side, y + side), (x, y + side))
    return ShapeKey(tuple((*place, 0, 0, 0, 0) for place in places), **fields)  # type: ignore[arg-type]


def pixels(frame: int, *shapes: KeyedShape, size: tuple[int, int] = SIZE) -> np.ndarray:
    runs = shape_runs(shapes, frame, size)
    return decode_rle(Rle(size=[*size], counts=runs)) if runs else np.zeros(size, np.bool_)


def first_corner(shape: KeyedShape, frame: int) -> list[float]:
    corners = shape.corners_at(frame)
    assert corners is not None
    return corners[0, :2].tolist()


def test_corners_go_in_a_straight_line_from_key_to_key() -> None:
    shape = KeyedShape({2: key(0, 0), 6: key(20, 8)})
    assert first_corner(shape, 3) == [5, 2]
    assert shape.corners_at(1) is None
    assert shape.corners_at(7) is None
    assert pixels(6, shape)[8:18, 20:30].all()
    assert pixels(6, shape).sum() == 100
    assert not pixels(7, shape).any()


def test_smooth_corners_go_through_keys_without_a_bend() -> None:
    keys = {0: key(0, 0, motion="smooth"), 4: key(8, 0, motion="smooth"), 8: key(24, 0)}
    shape = KeyedShape(keys)
    steps = np.diff([first_corner(shape, frame)[0] for frame in range(9)])
    assert first_corner(shape, 4) == [8, 0]
    # Catmull and Rom: at the middle key as fast as from the first to the last one, 24 pixels in 8 frames.
    assert steps[3] == pytest.approx(3, abs=0.5)
    assert steps[4] == pytest.approx(3, abs=0.5)


def test_corners_go_with_a_plane_and_end_at_the_key() -> None:
    grows = [(1.0 + t / 10, 0, 0, 0, 1.0 + t / 10, 0, 0, 0, 1.0) for t in range(1, 5)]
    goal = np.round(warp_corners(key(10, 10).array, grows[3]), 9)
    goal[:, 0] += 1
    last = ShapeKey(tuple(map(tuple, goal.tolist())))  # type: ignore[arg-type]
    shape = KeyedShape({0: key(10, 10, motion="plane", plane=tuple(grows)), 4: last})
    assert first_corner(shape, 2) == pytest.approx([12 + 0.5, 12]), "and half of what the key moved"
    assert first_corner(shape, 4) == pytest.approx([15, 14])


def test_a_shape_is_off_from_one_key_to_another() -> None:
    shape = KeyedShape({0: key(0, 0), 3: key(0, 0, on=False), 6: key(0, 0), 8: key(0, 0)})
    assert [pixels(frame, shape).any() for frame in range(9)] == [True] * 3 + [False] * 3 + [True] * 3


def test_keys_may_have_other_numbers_of_corners() -> None:
    triangle = ShapeKey(((0, 0, 0, 0, 0, 0), (20, 0, 0, 0, 0, 0), (20, 20, 0, 0, 0, 0)))
    shape = KeyedShape({0: key(0, 0, 20), 2: triangle})
    assert 200 < pixels(1, shape).sum() < 400


def test_a_hole_cuts_the_shapes_of_its_object() -> None:
    shapes = (
        KeyedShape({0: key(0, 0, 30)}),
        KeyedShape({0: key(20, 20, 30)}),
        KeyedShape({0: key(15, 15)}, True),
    )
    assert pixels(0, *shapes).sum() == 30 * 30 + 30 * 30 - 10 * 10 - 10 * 10


def test_round_corners_make_a_circle_of_a_square() -> None:
    corners = rounded_corners(key(20, 20, 20).array)
    outline = flattened(corners)
    radius = np.hypot(*(outline - 30).T)
    assert radius.max() == pytest.approx(np.sqrt(200), abs=0.01)
    assert radius.min() > 13 - 0.7, "Catmull and Rom come that near to a circle"
    assert np.array_equal(flattened(key(20, 20).array), key(20, 20).array[:, :2])


def test_a_key_touches_the_frames_up_to_two_keys_away() -> None:
    shape = KeyedShape({frame: key(0, 0) for frame in (0, 4, 8, 12, 16)})
    assert shape.touched(8) == range(17)
    assert shape.without_key(8).frames == [0, 4, 12, 16]
    assert shape.touched(20) == range(12, 21)


def turning(frame: int) -> np.ndarray:
    """A pointed shape that turns and moves."""
    corners = np.array([[-35, -18], [40, 0], [-35, 24], [-20, 0]], np.float64)
    angle = 0.05 * frame
    turned = corners @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    plane = np.zeros(LARGE, np.uint8)
    places = np.round(16 * (turned + np.array([70 + 2 * frame, 75]))).astype(np.int32)
    cv2.fillPoly(plane, [places], 1, shift=4)
    return plane > 0


def test_masks_become_a_shape_with_few_corners_and_few_keys() -> None:
    masks = {frame: turning(frame) for frame in range(25)}
    shape = fitted_shape(masks.items(), 0.85)
    assert len(shape.keys) <= 3, "of 25 frames"
    assert {len(key.corners) for key in shape.keys.values()} == {4}
    assert min(iou(pixels(frame, shape, size=LARGE), mask) for frame, mask in masks.items()) >= 0.85
    assert len(fitted_shape(masks.items(), 0.95).keys) > len(shape.keys)


def test_a_shape_of_masks_is_off_where_they_have_no_pixel() -> None:
    masks = {frame: turning(frame) for frame in range(12) if frame not in (5, 6)}
    shape = fitted_shape(sorted((masks | {5: np.zeros(LARGE, np.bool_)}).items()), 0.9)
    assert [shape.is_on(frame) for frame in range(12)] == [frame not in (5, 6) for frame in range(12)]
    assert fitted_shape([(0, np.zeros(SIZE, np.bool_))], 0.9) == KeyedShape({})
    assert replace(shape, hole=True).hole
