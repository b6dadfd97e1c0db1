"""Cuts and light switches are told apart from what moves."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from segue.models.geometry import reduced_to
from segue.sessions.foreground.camera.changes import LONG_SIDE, Change, Comparison, gains_between
from segue.sessions.foreground.camera.step import VIEW_SIDE, CameraStep
from segue.sessions.foreground.segmenters.subtractors import BackgroundDifference
from segue.sessions.foreground.session import ForegroundSession
from segue.sessions.foreground.stages.exposure import exposure
from segue.video.sources.images import read_image
from tests.sessions.foreground.scenes import Bytes, overlap, video, wall, with_squares


def small(image: Bytes) -> Bytes:
    return reduced_to(image, LONG_SIDE)


def changes(images: Sequence[Bytes]) -> list[Change]:
    views = [reduced_to(image, VIEW_SIDE) for image in images]
    pairs = itertools.pairwise([views[0], *views])
    return [
        Comparison(small(now), small(before)).difference(CameraStep(before, now)).change
        for before, now in pairs
    ]


def test_a_cut_is_another_scene() -> None:
    assert changes([wall(0), wall(0), wall(1, light=1.4), wall(1, light=1.4)]) == [
        Change.none,
        Change.none,
        Change.scene,
        Change.none,
    ]


@pytest.mark.parametrize("light", [0.4, 1.6])
def test_a_switched_lamp_is_the_same_scene_in_another_light(light: float) -> None:
    assert changes([wall(0), wall(0, light=light), wall(0, light=light)])[1:] == [Change.light, Change.none]


def test_something_large_that_moves_is_no_change() -> None:
    images = [with_squares(wall(0), [(20, 4 * t)], side=60) for t in range(20)]
    assert set(changes(images)) == {Change.none}


SEEDS = range(12)


def plain(seed: int) -> Bytes:
    """A wall with nothing on it, brighter towards one side, and the noise of a sensor."""
    rng = np.random.default_rng(seed)
    across = np.linspace(1, rng.uniform(0.8, 1), 128)[None, :, None]
    shade = rng.uniform(70, 210, 3) * across + rng.normal(0, 2, (96, 128, 3))
    return np.asarray(np.clip(shade, 0, 255), np.uint8)


def with_somebody(scene: Bytes, share: float, seed: int) -> Bytes:
    """The scene behind somebody in patterned clothes who covers this share of it, from the floor upwards."""
    rng = np.random.default_rng(100 + seed)
    height, width = scene.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    high = 0.95 * height
    wide = share * height * width / high / (np.pi / 4)
    centre = rng.uniform(wide / 2, width - wide / 2)
    inside = ((columns - centre) / (wide / 2)) ** 2 + ((rows - height + high / 2) / (high / 2)) ** 2 < 1
    clothes = wall(seed + 50, light=rng.uniform(0.3, 0.9)) * rng.uniform(0.4, 1, 3)
    return np.where(inside[..., None], clothes, scene).astype(np.uint8)


def darker(image: Bytes) -> Bytes:
    return (0.4 * image.astype(float)).astype(np.uint8)


def warmer(image: Bytes) -> Bytes:
    return (image * np.array([0.95, 0.65, 0.4])).astype(np.uint8)


def gamma(image: Bytes) -> Bytes:
    return (255 * (image / 255.0) ** 0.5).astype(np.uint8)


def infrared(image: Bytes) -> Bytes:
    grey = 1.6 * image.mean(axis=2, keepdims=True).repeat(3, 2)
    return np.clip(grey, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("light", [darker, warmer, gamma, infrared])
def test_another_light_is_light_whoever_stands_in_it(light) -> None:  # type: ignore[no-untyped-def]
    for seed in SEEDS:
        scene = with_somebody(wall(seed), 0.25, seed)
        assert changes([scene, light(scene)])[1] is Change.light, seed


def test_a_cut_is_a_cut_between_all_kinds_of_images() -> None:
    for seed in SEEDS:
        other = wall(seed + 200, light=0.5 + 0.1 * seed)
        assert changes([wall(seed), other])[1] is Change.scene, seed
        assert changes([plain(seed), other])[1] is Change.scene, seed
        assert changes([with_somebody(wall(seed), 0.3, seed), other])[1] is Change.scene, seed


def test_a_camera_that_pans_shows_the_same_scene() -> None:
    for seed in SEEDS:
        wide = wall(seed, 96, 400)
        views = [np.ascontiguousarray(wide[:, left : left + 128]) for left in range(0, 250, 10)]
        assert set(changes(views)) == {Change.none}, seed


def test_a_camera_that_is_turned_sees_another_scene() -> None:
    for seed in SEEDS:
        wide = wall(seed, 96, 400)
        views = [np.ascontiguousarray(wide[:, left : left + 128]) for left in (0, 0, 40, 40)]
        assert changes(views) == [Change.none, Change.none, Change.scene, Change.none], seed


def test_the_background_survives_somebody_who_comes_close() -> None:
    """One frame in four seconds: from one to the next half of the image is covered."""
    scene, rng = wall(3), np.random.default_rng(0)
    close = with_somebody(scene, 0.5, 3)
    true = (close != scene).any(axis=2)
    images = [
        np.clip(image + rng.normal(0, 1, scene.shape), 0, 255).astype(np.uint8)
        for image in [scene] * 40 + [close] * 3
    ]
    session = ForegroundSession(BackgroundDifference())
    masks = [result.mask for frame in video(images, 0.25) if (result := session.step(frame)) is not None]
    assert not masks[39].any()
    for mask in masks[40:]:
        assert overlap(mask, true) > 0.9


@pytest.mark.parametrize(("name", "last"), [("WavingTrees", 10_000), ("Camouflage", 294)])
def test_people_who_approach_the_camera_are_no_change(name: str, last: int, shared: Path) -> None:
    paths = sorted((shared / "data/foreground/wallflower" / name / "input").glob("*.jpg"))
    found = changes([read_image(path) for path in paths[200:last]])
    assert set(found) == {Change.none}


def test_exposure_is_measured_for_each_channel_and_ignores_what_moves() -> None:
    gains = (1.3, 0.8, 1.1)
    lit = np.clip(wall(0) * np.array(gains), 0, 255).astype(np.uint8)
    found = exposure(small(with_squares(lit, [(10, 10)], side=40)), small(wall(0)))
    assert found is not None
    assert np.allclose(found, gains, rtol=0.04)


def test_exposure_is_that_of_the_scene_not_of_somebody_before_it() -> None:
    for seed in SEEDS:
        assert exposure(small(with_somebody(wall(seed), 0.45, seed)), small(wall(seed))) is None
        found = exposure(small(with_somebody(wall(seed, light=1.3), 0.3, seed)), small(wall(seed)))
        assert found is not None
        assert np.allclose(found, 1.3, rtol=0.06)


@pytest.mark.parametrize("pixels", [17, 400, 401])
def test_the_gain_between_two_images_is_the_median_over_their_pixels(pixels: int) -> None:
    rng = np.random.default_rng(pixels)
    scene = rng.uniform(60, 120, (1, pixels, 3)).astype(np.float32)
    image = (scene * rng.uniform(0.5, 2, scene.shape)).astype(np.float32)
    found = gains_between(image, scene, np.ones((1, pixels), np.bool_))
    assert found == pytest.approx(np.median(image / scene, axis=(0, 1)), rel=1e-6)
