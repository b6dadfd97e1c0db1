"""Shaken cameras are held still, and still ones are left alone."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from segue.sessions.foreground.camera.step import CameraStep
from segue.sessions.foreground.stages.align import (
    Aligner,
    Matrix,
    normalised,
    support,
    to_frame,
    to_reference,
)
from tests.sessions.foreground.scenes import Bytes, wall, with_squares

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


def find_in(aligner: Aligner, images: Sequence[Bytes], before: Bytes | None = None) -> list[Matrix | None]:
    """What an aligner finds in the next images, after ``before``."""
    found = []
    for image in images:
        found.append(
            aligner.find(image, CameraStep() if before is None else CameraStep.between(before, image))
        )
        before = image
    return found


@pytest.mark.parametrize("true", SHAKES)
def test_a_movement_is_found_to_a_fraction_of_a_pixel(true: Matrix) -> None:
    assert distance(find_in(Aligner(), [view(STILL), *[view(true)] * 4])[-1], true) < 0.25


def test_a_camera_that_shakes_from_the_first_frame_on_is_held_at_once() -> None:
    trues = [STILL, *SHAKES, *SHAKES]
    for found, true in zip(find_in(Aligner(), list(map(view, trues))), trues, strict=True):
        assert distance(found, true) < 0.5


@pytest.mark.parametrize("still", [60, 61])
def test_a_still_camera_that_is_pushed_is_held_at_once(still: int) -> None:
    *before, found = find_in(Aligner(), [view(STILL)] * still + [view(SHAKES[0])])
    assert before == [None] * still
    assert distance(found, SHAKES[0]) < 0.5


def test_a_still_camera_that_sinks_little_by_little_is_noticed() -> None:
    """A tenth of a pixel in a frame: less than the step of two frames can tell."""
    ways = [0.0] * 60 + [0.1 * t for t in range(60)]
    found = find_in(Aligner(), [view(movement(0, way, 0)) for way in ways])
    errors = [distance(each, movement(0, way, 0)) for each, way in zip(found, ways, strict=True)]
    assert max(errors) < 2.5


def test_a_shaken_camera_is_followed_from_frame_to_frame() -> None:
    trues = [STILL, *[SHAKES[0]] * 4, *SHAKES, STILL, movement(0.7, 0.5, 0), *SHAKES]
    for found, true in list(zip(find_in(Aligner(), list(map(view, trues))), trues, strict=True))[5:]:
        assert distance(found, true) < 0.5


def test_a_still_camera_is_left_alone_whatever_moves_before_it() -> None:
    places = [[(40, 3 * t - 30), (80, 150 - 2 * t)] for t in range(60)]
    images = [with_squares(view(STILL), each, side=30) for each in places]
    assert find_in(Aligner(), images) == [None] * 60


def test_a_flat_wall_gives_nothing_to_hold_on_to() -> None:
    images = [np.full((120, 160, 3), level, np.uint8) for level in (100, 101, 90, 100, 99)]
    assert find_in(Aligner(), images) == [None] * 5


@pytest.mark.parametrize("stop", [0, 1, 7, 30])
def test_an_aligner_continues_from_a_saved_state(stop: int) -> None:
    images = [view(SHAKES[t % 4] if t > 2 else STILL) for t in range(40)]
    through, first, second = Aligner(), Aligner(), Aligner()
    find_in(first, images[:stop])
    second.restore(first.state())
    rest = find_in(second, images[stop:], images[stop - 1] if stop else None)
    for one, other in zip(find_in(through, images)[stop:], rest, strict=True):
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
        true = movement(pixels, 0, 0)
        found = find_in(Aligner(), [view(STILL), *[view(true)] * 6])
        assert any(matrix is not None and distance(matrix, true) < 1 for matrix in found) is is_found


def test_an_object_alone_is_no_movement_of_the_camera() -> None:
    ground = normalised(np.random.default_rng(3).normal(90, 40, (120, 160)).astype(np.float32))
    with_object, moved = ground.copy(), ground.copy()
    with_object[40:80, 40:90] = moved[40:80, 46:96] = np.resize([-2.0, 2.0, 2.0], (40, 50))
    right = np.array([[1, 0, 6], [0, 1, 0]], np.float32)
    assert support(with_object, moved, right) < 0.2
    assert support(with_object[:, 6:], with_object[:, :-6], right) > 0.9
    assert support(with_object, with_object, right) == 0
