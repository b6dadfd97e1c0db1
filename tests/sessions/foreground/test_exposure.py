"""The exposure of a camera follows what passes: the background follows the exposure."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import segue
from segue.models.geometry import reduced_to
from segue.sessions.foreground.background.median import MaskedMedian
from segue.sessions.foreground.camera.changes import LONG_SIDE
from segue.sessions.foreground.camera.views import Views
from segue.sessions.foreground.stages.exposure import exposure
from tests.sessions.foreground.scenes import Bytes, wall

CAR = Path(__file__).parent / "films" / "car.mp4"


def dimmed(image: Bytes, gain: float) -> Bytes:
    return np.clip(np.rint(image * gain), 0, 255).astype(np.uint8)


def small(image: Bytes) -> Bytes:
    return np.asarray(reduced_to(image, LONG_SIDE), np.uint8)


def test_a_real_road_is_no_foreground_while_a_white_car_makes_the_camera_dim_it() -> None:
    shares = [
        float((result.mask > 0).mean()) for result in segue.foreground(CAR, passes=1, end=41, short_side=120)
    ]
    assert max(shares) < 0.26  # the car has 0.16 at most
    assert max(shares[26:]) > 0.06


@pytest.mark.parametrize(("gain", "follows"), [(0.97, True), (1.03, True), (0.995, False)])
def test_the_background_follows_a_light_that_differs_by_two_levels(gain: float, follows: bool) -> None:
    scene = wall(4)
    gains = exposure(small(dimmed(scene, gain)), small(scene))
    assert (gains is not None) == follows
    assert gains is None or gains == pytest.approx((gain,) * 3, rel=0.01)


def test_objects_do_not_tell_of_the_light_where_the_scene_does() -> None:
    scene = wall(5)
    image, hidden = scene.copy(), np.zeros(scene.shape[:2], np.bool_)
    hidden[:, :75] = True
    image[hidden] = dimmed(scene, 0.8)[hidden]  # a dark pane before most of the image
    assert exposure(small(image), small(scene)) is not None
    assert exposure(small(image), small(scene), np.asarray(small(hidden.astype(np.uint8)) > 0)) is None


def test_a_background_whose_light_goes_and_comes_back_is_the_same_to_the_byte() -> None:
    background, scene = MaskedMedian(), wall(6)
    for _ in range(30):
        background.update(scene)
    before = background.scene
    for gain in [0.97] * 20 + [1 / 0.97] * 20:
        background.apply_gain((gain,) * 3)
    for _ in range(10):
        background.update(scene)
    assert before is not None
    assert background.scene is not None
    assert np.array_equal(background.scene.planes[:18], before.planes[:18])


def test_a_saved_background_goes_on_in_the_light_of_now() -> None:
    background, scene = MaskedMedian(), wall(7)
    for _ in range(20):
        background.update(scene)
    background.apply_gain((0.9, 0.9, 0.9))
    other = MaskedMedian()
    other.restore(background.state())
    for each in (background, other):
        each.apply_gain((0.9, 0.9, 0.9))
        for _ in range(9):
            each.update(dimmed(scene, 0.81))
    assert other.scene is not None
    assert background.scene is not None
    assert np.array_equal(other.scene.planes, background.scene.planes)


def test_cars_that_fill_a_dimmed_view_are_not_another_view() -> None:
    rng, views = np.random.default_rng(8), Views()
    noise = cv2.GaussianBlur(rng.normal(0, 60, (54, 96, 3)).astype(np.float32), (0, 0), 1)
    view = np.clip(128 + noise, 0, 255).astype(np.uint8)
    views.begin(view)
    for t in range(30):
        image, light = view.copy(), 0.97**t
        image[: min(2 * t, 44)] = 190  # two plain cars, side by side
        assert not views.is_gone(views.compare(dimmed(image, light)))
