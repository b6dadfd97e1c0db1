"""Parts of videos of moving cameras, brought to rest, and how they sway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from segue.types import Image
from segue.utils.arrays import UInt8Array
from segue_train.data.footage import Footage
from segue_train.data.foreground.textures import (
    LENGTH,
    Texture,
    largest_rectangle,
    occluding_texture,
    path_in_wind,
    swaying_texture,
    textures_of,
)
from tests.sessions.foreground.scenes import wall


class Panning:
    """A video of a camera that pans by a pixel a frame; an object passes, and what it shows may move."""

    def __init__(self, moves: Callable[[Image, int], Image]) -> None:
        self._wide, self._moves = wall(3, 130, 240), moves

    def read_image(self, index: int) -> Image:
        seen = self._moves(self._wide.copy(), index)[:120, index : index + 170]
        image = np.ascontiguousarray(seen)
        image[self.read_mask(index) > 0] = 250
        return image

    def read_mask(self, index: int) -> UInt8Array:
        mask = np.zeros((120, 170), np.uint8)
        mask[90:118, 10 + 3 * index : 30 + 3 * index] = 1
        return mask


def flicker(image: Image, index: int) -> Image:
    """Leaves, all over the image, that turn."""
    image[::8] = np.clip(image[::8] + 40.0 * (index // 2 % 2), 0, 255)
    return image


def footage(moves: Callable[[Image, int], Image]) -> Footage:
    source: Any = Panning(moves)
    return Footage("pan", source, tuple(range(LENGTH)))


def test_a_texture_is_at_rest_without_the_object() -> None:
    (texture,) = textures_of([footage(flicker)])
    frames = texture.frames.astype(int)
    assert len(frames) == LENGTH
    assert min(frames.shape[1:3]) >= 72
    assert frames.max() < 245, "the object is nowhere"
    # What does not turn differs by what the camera moved between pixels, and no more.
    still = np.median(np.abs(frames - np.median(frames, axis=0)))
    assert still < 3


def test_static_and_unstable_regions_are_no_textures() -> None:
    rng = np.random.default_rng(0)
    assert not textures_of([footage(lambda image, index: image)])
    assert not textures_of([footage(lambda image, index: rng.integers(0, 255, image.shape).astype(np.uint8))])


@pytest.mark.parametrize("seed", range(8))
def test_the_largest_rectangle_is_that_of_a_search(seed: int) -> None:
    free = np.random.default_rng(seed).random((7, 9)) < 0.7
    sums = np.pad(cv2.integral(free.astype(np.uint8)), 0)
    areas = [
        (bottom - top) * (right - left)
        for top in range(7)
        for bottom in range(top + 1, 8)
        for left in range(9)
        for right in range(left + 1, 10)
        if sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        == (bottom - top) * (right - left)
    ]
    rows, columns = largest_rectangle(free)
    assert free[rows, columns].all()
    assert free[rows, columns].size == max(areas)
    assert free[largest_rectangle(np.zeros((3, 4), bool))].size == 0


def test_a_texture_sways_within_the_scene_and_leaves_the_canvas_alone() -> None:
    frames = np.stack([np.roll(wall(1, 80, 100), shift, axis=1) for shift in range(LENGTH)])
    changed = 0
    for seed in range(8):
        act = swaying_texture(np.random.default_rng(seed), (96, 128), [Texture(frames)])
        canvas = wall(2)
        first, later, again = act(canvas, 0), act(canvas, 7), act(canvas, 0)
        assert np.array_equal(canvas, wall(2))
        assert np.array_equal(first, again), "a clip is a function of time"
        changed += not np.array_equal(first, later)
    assert changed >= 7


def test_a_texture_hangs_in_a_part_of_the_image_and_sways_as_time_goes() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (24, 80, 90, 3), dtype=np.uint8)
    for seed in range(4):
        layer_at = occluding_texture(np.random.default_rng(seed), (100, 140), [Texture(frames)])
        first, second = layer_at(0), layer_at(5)
        assert first.shape == (100, 140, 4)
        assert 0 < (first[..., 3] > 0).mean() < 1
        assert not np.array_equal(first, second)
        np.testing.assert_array_equal(first, layer_at(0))


def test_the_wind_shows_frames_that_there_are() -> None:
    for seed in range(20):
        path = path_in_wind(np.random.default_rng(seed), LENGTH)
        shown = {path(time) for time in range(-500, 500)}
        assert shown <= set(range(LENGTH))
        assert len(shown) > 3
