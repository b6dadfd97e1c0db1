"""Artificial clips of foreground networks: what moves is labelled, what only changes is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path as File

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.datasets.labels import MOTION, SHADOW, STATIC, UNKNOWN
from segue.errors import DatasetError
from segue.training import scenery
from segue.training.cut_outs import (
    CutOut,
    Mover,
    Path,
    cut_outs_of_stills,
    cut_outs_of_videos,
    place,
    shape_cut_out,
)
from segue.training.footage import gather
from segue.training.foreground_clips import (
    MARGIN,
    Clip,
    ClipMaker,
    Sun,
    draw_background,
    median,
    scenes_of,
    without_evidence_unknown,
)
from segue.training.scenery import Camera, Light, Sensor
from tests.clips import Bytes
from tests.training.making import write_all

SIZE = (48, 64)
OFFSETS = (-6, -3, 0)

NO_SUN = Sun(shear=0, height=0.3, cast=0, contact=0, blur=1, mirror=0)
PLAIN_SENSOR = Sensor(0, 0, np.arange(256, dtype=np.uint8), grey=False, quality=None, seed=0)
STEADY = Light((1, 1, 1), -1000, None, 0, 100)


def still_camera() -> Camera:
    return Camera(0, np.zeros((3, 2)), np.zeros((3, 2)), (0, 0), 0)


def plate() -> Bytes:
    return np.full((SIZE[0] + 2 * MARGIN, SIZE[1] + 2 * MARGIN, 3), 100, np.uint8)


def white_square(path: Path, leaves: float = np.inf) -> Mover:
    """A square of 12 pixels and its margin of air."""
    alpha = np.zeros((18, 18), np.uint8)
    alpha[3:15, 3:15] = 255
    cut_out = CutOut((np.full((18, 18, 3), 250, np.uint8),), (alpha,), 12)
    return Mover(cut_out, path, 1.0, 1.0, 0, 1.0, (1, 1, 1), leaves=leaves)


def scene(*movers: Mover, sun: Sun = NO_SUN) -> Clip:
    """A grey scene in which nothing but the movers changes."""
    stock = scenery.noise_stock(count=1 << 16)
    return Clip(plate(), [], movers, STEADY, still_camera(), PLAIN_SENSOR, sun, None, stock)


@pytest.fixture
def maker(tmp_path: File) -> ClipMaker:
    material = gather(map(str, write_all(tmp_path)), report=print)
    cut_outs = cut_outs_of_stills(material.stills) + cut_outs_of_videos(material.videos)
    return ClipMaker(cut_outs, scenes_of([*material.stills, *material.videos]), OFFSETS, SIZE)


def test_what_moves_is_labelled_where_it_is() -> None:
    clip = scene(white_square(Path((40, 50), (2, 0))))
    frame, labels = clip.frame_with_labels()
    changed = (frame != clip.frame(0, movers=False)).any(-1)
    assert (labels == MOTION).sum() == 144
    assert (changed[labels == MOTION]).all()
    assert not changed[labels == STATIC].any()
    rows, columns = np.nonzero(labels == MOTION)
    assert (rows.min(), columns.min()) == (50 - 12 - MARGIN, 40 - 6 - MARGIN)


def test_movers_keep_their_pace() -> None:
    clip = scene(white_square(Path((40, 50), (2, 0))))
    now, before = clip.frame(0), clip.frame(-5)
    np.testing.assert_array_equal(now[:, 10:], before[:, :-10])


def test_who_stopped_stands_still_and_stays_foreground() -> None:
    clip = scene(white_square(Path((40, 50), (2, 0), stop=-4)))
    frame, labels = clip.frame_with_labels()
    np.testing.assert_array_equal(clip.frame(-4), frame)
    assert (clip.frame(-5) != frame).any()
    assert (labels == MOTION).sum() == 144


def test_who_has_left_is_seen_in_the_past_only_and_not_labelled() -> None:
    clip = scene(white_square(Path((40, 50), (0, 0)), leaves=-2))
    frame, labels = clip.frame_with_labels()
    assert (clip.frame(-3) != frame).any()
    np.testing.assert_array_equal(clip.frame(-2), frame)
    assert (labels == STATIC).all()


def test_shadows_are_dark_and_labelled_as_such() -> None:
    sun = replace(NO_SUN, shear=-1.0, height=-0.5, cast=0.6, contact=0.5)
    clip = scene(white_square(Path((40, 45), (2, 0))), sun=sun)
    frame, labels = clip.frame_with_labels()
    assert (labels == SHADOW).sum() > 30
    assert (frame[labels == SHADOW] < 92).all()
    assert (labels == MOTION).sum() == 144


def test_labels_follow_a_camera_that_shakes() -> None:
    camera = Camera(3.0, np.full((3, 2), 0.3), np.ones((3, 2)), (0, 0), 7)
    clip = replace(scene(white_square(Path((46, 50), (2, 0)))), camera=camera)
    frame, labels = clip.frame_with_labels()
    assert (frame[labels == MOTION] > 120).all()
    assert (frame[labels == STATIC] < 220).all()
    assert (labels != scene(white_square(Path((46, 50), (2, 0)))).frame_with_labels()[1]).any()


def test_a_switched_light_changes_all_before_the_switch() -> None:
    clip = replace(scene(), light=Light((0.5, 0.5, 0.5), -3, None, 0, 100))
    assert (clip.frame(-4) == 50).all()
    assert (clip.frame(-3) == 100).all()


@given(st.integers(0, 10_000), st.integers(-120, 0))
def test_scenes_are_the_same_whenever_they_are_drawn(seed: int, time: int) -> None:
    rng = np.random.default_rng(seed)
    canvas = scenery.procedural(rng, (40, 50))
    effects = [
        scenery.waving(rng, (40, 50)),
        scenery.flicker(rng, (40, 50)),
        scenery.passing_cloud(rng, (40, 50)),
        scenery.screen(rng, (40, 50), [lambda: canvas]),
    ]
    before = canvas.copy()
    for effect in effects:
        first = effect(canvas, time)
        effect(canvas, time + 1)
        np.testing.assert_array_equal(first, effect(canvas, time))
        np.testing.assert_array_equal(canvas, before)
        assert first.shape == canvas.shape
        assert first.dtype == np.uint8


def test_samples_depend_on_their_seed_alone(maker: ClipMaker) -> None:
    for seed in range(12):
        first, again = (maker.sample(np.random.default_rng(seed)) for _ in range(2))
        for name in ("window", "background", "labels"):
            np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert first.window.shape == (3, *SIZE, 3)
        assert first.background.shape == (*SIZE, 3)
        assert set(np.unique(first.labels)) <= {STATIC, SHADOW, UNKNOWN, MOTION}


def test_empty_scenes_have_nothing_to_find(maker: ClipMaker) -> None:
    rng = np.random.default_rng(0)
    assert (maker.clip(rng, empty=True).frame_with_labels()[1] == STATIC).all()


def test_every_kind_of_background_has_the_size_of_the_frames(maker: ClipMaker) -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        clip = maker.clip(rng)
        current = clip.frame(0)
        assert draw_background(rng, clip, current).shape == current.shape


def test_a_mover_of_which_no_picture_tells_takes_no_part() -> None:
    clip = scene(white_square(Path((40, 50), (2, 0))))
    frame, labels = clip.frame_with_labels()
    empty = clip.frame(0, movers=False)
    told = without_evidence_unknown(frame, [frame, empty], labels)
    np.testing.assert_array_equal(told, labels)
    untold = without_evidence_unknown(frame, [frame, frame], labels)
    assert set(np.unique(untold)) == {STATIC, UNKNOWN}


@given(st.integers(1, 9), st.integers(0, 100))
def test_the_median_is_the_lower_of_the_middle_ones(count: int, seed: int) -> None:
    frames = np.random.default_rng(seed).integers(0, 256, (count, 3, 4, 3)).astype(np.uint8)
    expected = np.quantile(frames, 0.5, axis=0, method="lower")
    np.testing.assert_array_equal(median(list(frames)), expected)


@given(st.integers(-30, 80), st.integers(-30, 60))
def test_a_patch_is_placed_where_the_matrix_says(x: int, y: int) -> None:
    patch = np.arange(1, 121, dtype=np.uint8).reshape(10, 12)
    canvas, expected = np.zeros((2, 40, 50), np.uint8)
    padded = np.zeros((40 + 160, 50 + 160), np.uint8)
    padded[80 + y : 90 + y, 80 + x : 92 + x] = patch
    expected[:] = padded[80:120, 80:130]
    laid = place(patch, np.array([[1.0, 0, x], [0, 1, y]]), (40, 50))
    if laid:
        canvas[laid[0]] = laid[1]
    # What only touches the canvas by one pixel is left out.
    inside = expected.any(1).sum() > 1 and expected.any(0).sum() > 1
    if inside:
        np.testing.assert_array_equal(canvas, expected)


def test_films_of_cut_outs_run_back_and_forth() -> None:
    mover = replace(white_square(Path((40, 50), (2, 0))), pace=1.0)
    film = CutOut(mover.cut_out.pictures * 3, mover.cut_out.alphas * 3, 12)
    numbers = [replace(mover, cut_out=film).picture(time) for time in range(-2, 5)]
    assert numbers == [2, 1, 0, 1, 2, 1, 0]


@given(st.integers(0, 10_000))
def test_shapes_have_air_around_them(seed: int) -> None:
    picture = np.full((60, 80, 3), 100, np.uint8)
    shape = shape_cut_out(np.random.default_rng(seed), picture)
    (patch,), (alpha,) = shape.pictures, shape.alphas
    assert patch.shape[:2] == alpha.shape
    assert alpha.any()
    assert not any(edge.any() for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))


def test_cut_outs_need_something_to_cut_out() -> None:
    with pytest.raises(DatasetError, match="nothing to make clips of"):
        ClipMaker([], [plate], OFFSETS, SIZE)
