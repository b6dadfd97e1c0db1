"""What networks for foreground are given, and what is held of them, with numbers that can be worked out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segue.models.base import ForegroundCapabilities
from segue.sessions.empty_scene import FixedBackground, Scene, gain_table, resized, same_shape
from segue.sessions.segmenters import (
    DIFFERENT,
    PART,
    SURE,
    UNCHANGED,
    NetworkSegmenter,
    StationaryForegroundRetention,
    extended,
    padded_size,
)
from tests.sessions.tiny_foreground import TinyForeground

SIZE = (10, 10)


def flat(level: int | tuple[int, int, int]) -> Any:
    return np.full((*SIZE, 3), level, np.uint8)


def share(part: float, level: float = 0.9) -> Any:
    """Probabilities that are ``level`` on the first rows and 0 on the rest."""
    found = np.zeros(SIZE, np.float32)
    found[: round(part * SIZE[0])] = level
    return found


def held(before: Any, now: Any, scene: Any, first: Any, later: Any, threshold: float = 0.3) -> Any:
    watch, known = StationaryForegroundRetention(threshold), Scene.of(scene, 1)
    assert np.array_equal(watch.retain(before, known, first), first), (
        "nothing is known before the first frame"
    )
    return watch.retain(now, known, later)


@pytest.mark.parametrize(("levels", "stays"), [(0, True), (UNCHANGED, True), (UNCHANGED + 1, False)])
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_what_is_as_it_was_is_held(levels: int, stays: bool, channel: int) -> None:
    now = flat(200)
    now[..., channel] -= levels
    found = held(flat(200), now, flat(90), share(1.0), share(0.6))
    assert np.array_equal(found, share(1.0) if stays else share(0.6))


@pytest.mark.parametrize(("levels", "stays"), [(DIFFERENT, False), (DIFFERENT + 1, True)])
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_what_is_the_empty_scene_is_not_held(levels: int, stays: bool, channel: int) -> None:
    scene = flat(200)
    scene[..., channel] -= levels
    found = held(flat(200), flat(200), scene, share(1.0), share(0.6))
    assert np.array_equal(found, share(1.0) if stays else share(0.6))


@pytest.mark.parametrize(("part", "stays"), [(PART, False), (PART + 0.1, True)])
def test_most_of_a_piece_must_be_foreground_for_the_network_itself(part: float, stays: bool) -> None:
    found = held(flat(200), flat(200), flat(90), share(1.0), share(part))
    assert np.array_equal(found, share(1.0) if stays else share(part))


@pytest.mark.parametrize(("level", "stays"), [(0.3, True), (0.29, False)])
def test_a_pixel_is_foreground_for_the_network_from_its_threshold_on(level: float, stays: bool) -> None:
    later = share(1.0, level)
    found = held(flat(200), flat(200), flat(90), share(1.0), later, threshold=0.3)
    assert np.array_equal(found, share(1.0) if stays else later)


def test_what_was_doubtful_is_not_held_and_nothing_is_lowered() -> None:
    assert np.array_equal(held(flat(200), flat(200), flat(90), share(1.0, SURE), share(0.6)), share(0.6))
    sure = share(1.0, 0.95)
    assert np.array_equal(held(flat(200), flat(200), flat(90), share(1.0), sure), sure)


def test_what_is_held_is_held_on_and_a_new_scene_is_looked_at() -> None:
    watch, known = StationaryForegroundRetention(0.3), Scene.of(flat(90), 1)
    watch.retain(flat(200), known, share(1.0))
    for _ in range(3):
        assert np.array_equal(watch.retain(flat(200), known, share(0.6)), share(1.0))
    assert np.array_equal(watch.retain(flat(200), Scene.of(flat(200), 1), share(0.6)), share(0.6))
    watch.retain(flat(200), known, share(1.0))
    watch.restart()
    assert np.array_equal(watch.retain(flat(200), known, share(0.6)), share(0.6))


@pytest.mark.parametrize(
    ("size", "multiple", "padded"), [((10, 12), 4, (12, 12)), ((8, 12), 4, (8, 12)), ((1, 9), 8, (8, 16))]
)
def test_pictures_are_extended_to_what_fits_by_repeating_their_border(
    size: tuple[int, int], multiple: int, padded: tuple[int, int]
) -> None:
    assert padded_size(size, multiple) == padded
    planes = torch.rand(1, 2, *size)
    found = extended(planes, multiple)
    assert found.shape == (1, 2, *padded)
    height, width = size
    assert torch.equal(found[..., :height, :width], planes)
    assert torch.equal(found[..., -1, :width], planes[..., -1, :])
    assert torch.equal(found[..., :height, -1], planes[..., -1])
    if size == padded:
        assert found is planes


def as_input(image: Any) -> torch.Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255


def test_a_single_frame_is_judged_as_the_network_does() -> None:
    rng = np.random.default_rng(0)
    network = TinyForeground()
    image, three, one, scene = rng.integers(0, 256, (4, 8, 12, 3)).astype(np.uint8)
    segmenter = NetworkSegmenter(network, device="cpu")  # type: ignore[arg-type]
    assert (segmenter.past, segmenter.lag, segmenter.channels, segmenter.threshold) == ((-1, -3), 0, 2, 0.3)
    assert segmenter.uses_background
    known = Scene.of(scene)
    empty = as_input(scene)[None]
    for context, shown in (
        ({-3: three, -1: one}, (three, one)),
        ({-1: one}, (image, one)),
        ({}, (image, image)),
    ):
        window = torch.stack([*map(as_input, shown), as_input(image)])
        with torch.no_grad():
            expected = network(window, empty)[0].sigmoid()
        assert np.allclose(segmenter.probe(image, context, known), expected, atol=1e-5)


def test_frames_at_the_ends_of_a_scene_stand_for_those_that_are_not_there() -> None:
    rng = np.random.default_rng(1)
    network = TinyForeground(context=((-2, "past"), (1, "future")), background=False)
    images = rng.integers(0, 256, (4, 8, 12, 3)).astype(np.uint8)
    segmenter, known = NetworkSegmenter(network, device="cpu"), Scene.of(images[0])  # type: ignore[arg-type]
    assert (segmenter.lag, segmenter.past, segmenter.uses_background) == (1, (-2,), False)
    found = [segmenter.step(image, known) for image in images]
    assert found[0] is None
    found = [
        maps for maps in (*found[1:], segmenter.drain(known), segmenter.drain(known)) if maps is not None
    ]
    assert len(found) == 4
    for t, maps in enumerate(found):
        window = torch.stack([as_input(images[i]) for i in (max(t - 2, 0), min(t + 1, 3), t)])
        with torch.no_grad():
            expected = network(window, None)[0].sigmoid()
        assert np.allclose(maps, expected, atol=1e-5), t
    segmenter.restart()
    assert segmenter.step(images[3], known) is None
    alone = segmenter.drain(known)
    assert alone is not None
    with torch.no_grad():
        expected = network(torch.stack([as_input(images[3])] * 3), None)[0].sigmoid()
    assert np.allclose(alone, expected, atol=1e-5)


def test_a_scene_in_another_light_keeps_its_shares() -> None:
    scene = Scene.of(flat((100, 50, 200)), 3)
    other = scene.in_other_light((0.5, 1.0, 2.0))
    assert other.picture[0, 0].tolist() == [50, 50, 255]
    for first in range(0, 18, 3):
        assert other.planes[first : first + 3, 0, 0].tolist() == [50, 50, 255]
    assert np.array_equal(other.planes[18:], scene.planes[18:])
    assert scene.planes[20].max() == 21
    assert Scene.of(flat(9), 99).planes[20].max() == 255
    low, high = scene.range_of_all
    assert low.shape == high.shape == (3, *SIZE)


def test_levels_are_rounded_and_stay_in_their_range() -> None:
    assert gain_table(1.0).tolist() == list(range(256))
    assert gain_table(0.5)[[0, 1, 3, 255]].tolist() == [0, 0, 2, 128]
    assert gain_table(2.0)[[127, 128, 255]].tolist() == [254, 255, 255]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((48, 64), (96, 128), True),
        ((48, 64), (64, 48), False),
        ((480, 854), (240, 427), True),
        ((1080, 1920), (359, 640), True),
        ((480, 640), (480, 720), False),
        ((100, 100), (100, 101), True),
        ((100, 100), (100, 102), False),
    ],
)
def test_sizes_are_of_one_shape_up_to_rounding(one: Any, other: Any, same: bool) -> None:
    assert same_shape(one, other) == same == same_shape(other, one)


def test_a_given_picture_follows_the_light_from_itself_and_comes_back() -> None:
    background = FixedBackground(flat(101))
    for gain in (0.5, 0.5, 2.0, 2.0):
        background.apply_gain((gain, 1.0, 1.0))
    assert np.array_equal(background.scene.picture, flat(101)), "nothing is lost to rounding"
    background.apply_gain((2.0, 0.5, 1.0))
    assert background.scene.picture[0, 0].tolist() == [202, 50, 101]
    background.update(flat(7))
    background.replace(flat(7), trusted=True)
    background.follow_light(flat(7))
    assert background.scene.picture[0, 0].tolist() == [202, 50, 101]
    background.restart()
    assert np.array_equal(background.scene.picture, flat(101))
    assert background.seek(3) is None
    background.fit((20, 20))
    assert background.scene.picture.shape == (20, 20, 3)
    background.apply_gain((2.0, 1.0, 1.0))
    assert background.scene.picture.shape == (20, 20, 3)
    image = flat(3)
    assert resized(image, SIZE) is image


class TakesDepth(TinyForeground):
    """Notes what it is given of the current frame beside the picture, and the scenes that it sees."""

    capabilities = ForegroundCapabilities(depth=True, temporal_quantiles=True)

    def __init__(self) -> None:
        super().__init__()
        self.given: list[torch.Tensor] = []
        self.scenes: list[torch.Tensor] = []

    def encode(self, frames: torch.Tensor, role: str, depth: torch.Tensor | None = None) -> Any:
        if role == "scene":
            self.scenes.append(frames)
            return super().encode(frames[:, 3:6], role)
        if depth is not None:
            assert role == self.current
            self.given.append(depth)
        return super().encode(frames, role)


def test_planes_and_scenes_go_from_0_to_1_and_are_extended_as_pictures_are() -> None:
    rng, network = np.random.default_rng(2), TakesDepth()
    segmenter = NetworkSegmenter(network, device="cpu")  # type: ignore[arg-type]
    assert segmenter.extra == "depth"
    image, depth = rng.integers(0, 256, (6, 10, 3)).astype(np.uint8), np.full((6, 10), 255, np.uint8)
    depth[0, 0] = 51
    scene = Scene(rng.integers(0, 256, (21, 6, 10)).astype(np.uint8))
    scene.planes[:, 0, 0] = 255
    segmenter.step(image, scene, depth)
    ((seen,), (known,)) = network.given, network.scenes
    assert seen.shape == (1, 1, 8, 12)
    assert seen[0, 0, 0, 0] == pytest.approx(0.2)
    assert (seen[0, 0, 1:] == 1).all()
    assert known.shape == (1, 21, 8, 12)
    assert (known[0, :, 0, 0] == 1).all()
    np.testing.assert_allclose(known[0, :, :6, :10] * 255, scene.planes, atol=1e-3)
    np.testing.assert_array_equal(known[0, :, 7, :10], known[0, :, 5, :10])
    segmenter.step(image, scene)
    assert len(network.given) == len(network.scenes) == 1, "no further plane, and the same scene"


def test_frames_are_forgotten_that_no_result_looks_at() -> None:
    network = TakesDepth()
    segmenter = NetworkSegmenter(network, device="cpu")  # type: ignore[arg-type]
    scene = Scene.of(flat(9))
    for t in range(6):
        segmenter.step(flat(t), scene, np.zeros(SIZE, np.uint8))
    assert sorted(segmenter._images) == [3, 4, 5]
    assert sorted(segmenter._planes) == []
    assert {index for index, _ in segmenter._features} == {3, 4, 5}
