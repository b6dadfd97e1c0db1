"""Shaken cameras are held still, and still ones are left alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from segue.sessions.align import (
    Aligner,
    Matrix,
    normalised,
    support,
    to_frame,
    to_reference,
)
from tests.sessions.scenes import Bytes, wall, with_squares

LARGE = wall(3, 200, 240)
CORNERS = np.array([[10, 10, 1], [150, 10, 1], [10, 110, 1], [150, 110, 1]], np.float64)


def movement(dx: float, dy: float, degrees: float) -> Matrix:
    """From a point of the view to where it lies in the moved view, 160x120."""
    matrix = cv2.getRotationMatrix2D((80, 60), degrees, 1.0)
    matrix[:, 2] += (dx, dy)
    return matrix.astype(np.float32)


def view(matrix: Matrix) -> Bytes:
    """What a moved camera shows of the large scene, (120, 160, 3)."""
    place = np.array([[1, 0, -40], [0, 1, -40]], np.float32)
    whole = matrix @ np.vstack([place, [0, 0, 1]]).astype(np.float32)
    return np.asarray(cv2.warpAffine(LARGE, whole, (160, 120), flags=cv2.INTER_LINEAR), np.uint8)


def distance(found: Matrix | None, true: Matrix) -> float:
    """Largest error in pixels."""
    matrix = np.eye(2, 3) if found is None else found
    return float(np.abs(CORNERS @ (matrix - true).T).max())


STILL = movement(0, 0, 0)
SHAKES = [
    movement(dx, dy, turn) for dx, dy, turn in [(3, -2, 0.3), (-4, 1, -0.4), (2.5, 5, 0.2), (-2, -6, 0)]
]


@pytest.mark.parametrize("true", SHAKES)
def test_a_movement_is_found_to_a_fraction_of_a_pixel(true: Matrix) -> None:
    aligner = Aligner()
    assert aligner.find(view(STILL)) is None
    for _ in range(4):  # while the camera was still, only every fourth frame is looked at
        found = aligner.find(view(true))
    assert distance(found, true) < 0.25


def test_a_camera_that_shakes_from_the_first_frame_on_is_held_at_once() -> None:
    aligner = Aligner()
    aligner.find(view(STILL))
    for true in [*SHAKES, *SHAKES]:
        assert distance(aligner.find(view(true)), true) < 0.5


@pytest.mark.parametrize("still", [60, 61, 62, 63])
def test_a_still_camera_that_is_pushed_is_held_three_frames_later_at_most(still: int) -> None:
    aligner = Aligner()
    for _ in range(still):
        assert aligner.find(view(STILL)) is None
    found = [aligner.find(view(SHAKES[0])) for _ in range(3)]
    assert distance(found[-1], SHAKES[0]) < 0.5


def test_a_shaken_camera_is_followed_from_frame_to_frame() -> None:
    aligner = Aligner()
    for t in range(5):
        aligner.find(view(SHAKES[0] if t else STILL))
    for true in [*SHAKES, STILL, movement(0.7, 0.5, 0), *SHAKES]:
        assert distance(aligner.find(view(true)), true) < 0.5


def test_a_still_camera_is_left_alone_whatever_moves_before_it() -> None:
    aligner = Aligner()
    for t in range(60):
        image = with_squares(view(STILL), [(40, 3 * t - 30), (80, 150 - 2 * t)], side=30)
        assert aligner.find(image) is None


def test_a_flat_wall_gives_nothing_to_hold_on_to() -> None:
    aligner = Aligner()
    for level in (100, 101, 90, 100, 99):
        assert aligner.find(np.full((120, 160, 3), level, np.uint8)) is None


@pytest.mark.parametrize("stop", [0, 1, 7, 30])
def test_it_goes_on_from_a_saved_state(stop: int) -> None:
    images = [view(SHAKES[t % 4] if t > 2 else STILL) for t in range(40)]
    through, first, second = Aligner(), Aligner(), Aligner()
    for image in images[:stop]:
        through.find(image)
        first.find(image)
    second.restore(first.state())
    for image in images[stop:]:
        one, other = through.find(image), second.find(image)
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert np.array_equal(one, other)


def test_a_frame_goes_to_the_reference_and_its_values_come_back() -> None:
    true = SHAKES[0]
    fill = np.full((120, 160, 3), 7, np.uint8)
    held = to_reference(view(true), true, fill)
    inside = np.abs(held.astype(int) - view(STILL))[12:-12, 12:-12]
    assert np.percentile(inside, 99) <= 8
    assert (held[:, :1] == 7).any() or (held[:, -1:] == 7).any(), "what the frame does not show is filled"
    assert (fill == 7).all()
    back = to_frame(view(STILL)[..., 0].astype(np.float32), true)
    assert np.percentile(np.abs(back - view(true)[..., 0])[12:-12, 12:-12], 99) <= 8


def test_a_movement_of_a_fifth_of_the_image_is_no_shake() -> None:
    """A fifth of the width of 160 are 32 pixels; what is shaken further is a camera that was turned."""
    for pixels, is_found in ((24, True), (38, False)):
        aligner = Aligner()
        true = movement(pixels, 0, 0)
        assert aligner.find(view(STILL)) is None
        found = [aligner.find(view(true)) for _ in range(6)]
        assert any(matrix is not None and distance(matrix, true) < 1 for matrix in found) is is_found


def test_an_object_alone_is_no_movement_of_the_camera() -> None:
    ground = normalised(np.random.default_rng(3).normal(90, 40, (120, 160)).astype(np.float32))
    with_object, moved = ground.copy(), ground.copy()
    with_object[40:80, 40:90] = moved[40:80, 46:96] = np.resize([-2.0, 2.0, 2.0], (40, 50))
    right = np.array([[1, 0, 6], [0, 1, 0]], np.float32)
    assert support(with_object, moved, right) < 0.2
    assert support(with_object[:, 6:], with_object[:, :-6], right) > 0.9
    assert support(with_object, with_object, right) == 0
