"""Artificial clips of foreground networks: what moves is labelled, what only changes is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.datasets.foreground.labels import MOTION, SHADOW, STATIC, UNKNOWN
from segue.errors import DatasetError
from segue.layers.colours import RECURRENCE_PLANES, SCENE_PLANES
from segue_train.data.cut_outs import (
    CutOut,
    Mover,
    cut_outs_of_stills,
    cut_outs_of_videos,
)
from segue_train.data.footage import gather
from segue_train.data.foreground import dynamic_background, scenery
from segue_train.data.foreground.clips import (
    MARGIN,
    Clip,
    ClipMaker,
    Sun,
    scenes_of,
)
from segue_train.data.foreground.samples import UNLIT
from segue_train.data.foreground.scenery import Camera, Exposure, Light, Sensor
from tests.clips import Bytes
from tests.segue_train.making import write_all

SIZE = (48, 64)
OFFSETS = (-6, -3, 0)

NO_SUN = Sun(shear=0, height=0.3, cast=0, contact=0, blur=1)
PLAIN_SENSOR = Sensor(0, 0, np.arange(256, dtype=np.uint8), grey=False, quality=None, seed=0)
STEADY = Light((1, 1, 1), -1000, 0, 100)


def plate() -> Bytes:
    return np.full((SIZE[0] + 2 * MARGIN, SIZE[1] + 2 * MARGIN, 3), 100, np.uint8)


def moving_square(velocity: tuple[float, float], exposure: Exposure | None = None) -> Clip:
    """A square of 12 pixels and its margin of air, over grey in which nothing else changes."""
    alpha = np.zeros((18, 18), np.uint8)
    alpha[3:15, 3:15] = 255
    square = CutOut((np.full((18, 18, 3), 250, np.uint8),), (alpha,), 12)
    mover = Mover(square, (50, 50), velocity, 1.0, 1.0, 0, 1.0)
    camera, stock = Camera(0, np.zeros((3, 2)), np.zeros((3, 2)), 0), scenery.noise_stock(count=1 << 16)
    return Clip(plate(), [], [mover], STEADY, camera, PLAIN_SENSOR, NO_SUN, False, stock, exposure)


def test_movers_are_labelled_at_their_places() -> None:
    clip = moving_square((2, 0))
    for time in (-5, 0):
        frame, labels = clip.frame_with_labels(time)
        np.testing.assert_array_equal(labels == MOTION, frame[..., 0] == 250)
        assert set(np.unique(labels)) <= {STATIC, UNKNOWN, MOTION}


def test_occluders_hide_the_label_of_a_mover() -> None:
    clip = moving_square((2, 0))
    layer = np.zeros((*clip.plate.shape[:2], 4), np.uint8)
    layer[:, MARGIN + 36 :] = (20, 90, 30, 255)  # the square ends 8 pixels to the right of it
    hidden = replace(clip, occluders=[lambda time: layer])
    frame, labels = hidden.frame_with_labels(0)
    _, uncovered = clip.frame_with_labels(0)
    assert (uncovered[:, 36:] == MOTION).any()
    assert (labels[:, 36:] == STATIC).all()
    assert (frame[:, 36:] == (20, 90, 30)).all()
    np.testing.assert_array_equal(labels[:, :36], uncovered[:, :36])


def test_a_shaken_frame_is_blurred_along_its_path_and_a_label_with_it() -> None:
    exposure = Exposure(reach=12, seed=3)
    still, shaken = moving_square((0, 0)), moving_square((0, 0), exposure)
    lengths = [np.hypot(blur.right, blur.down) if (blur := exposure.blur(t)) else 0.0 for t in range(40)]
    longest, shortest = int(np.argmax(lengths)), int(np.argmin(lengths))
    assert lengths[shortest] == 0.0
    assert (shaken.frame(longest) > 110).sum() > 1.5 * (still.frame(0) > 110).sum()
    sharp, blurred = (shaken.frame_with_labels(t)[1] for t in (shortest, longest))
    assert (blurred == UNKNOWN).sum() > (sharp == UNKNOWN).sum()


@pytest.fixture
def maker(tmp_path: Path) -> ClipMaker:
    material = gather(map(str, write_all(tmp_path)), report=print)
    cut_outs = cut_outs_of_stills(material.stills) + cut_outs_of_videos(material.videos)
    return ClipMaker(cut_outs, scenes_of([*material.stills, *material.videos]), OFFSETS, SIZE)


@given(st.integers(0, 10_000), st.integers(-120, 0))
def test_scenes_are_the_same_whenever_they_are_drawn(seed: int, time: int) -> None:
    rng, size = np.random.default_rng(seed), (40, 50)
    canvas = scenery.procedural(rng, size)
    makers = (
        dynamic_background.waving,
        dynamic_background.foliage,
        dynamic_background.tree_shade,
    )
    effects = [make(rng, size) for make in makers]
    before = canvas.copy()
    for effect in effects:
        first = effect(canvas, time)
        effect(canvas, time + 1)
        np.testing.assert_array_equal(first, effect(canvas, time))
        np.testing.assert_array_equal(canvas, before)
        assert first.shape == canvas.shape
        assert first.dtype == np.uint8


def test_samples_depend_on_their_seed_alone(maker: ClipMaker) -> None:
    for seed in range(6):
        drawn, redrawn = (maker.samples(np.random.default_rng(seed)) for _ in range(2))
        assert len(drawn) == len(redrawn) in (1, 2)
        for first, again in zip(drawn, redrawn, strict=True):
            for name in ("window", "background", "labels"):
                np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
            assert first.window.shape == (3, *SIZE, 3)
            assert first.background.shape == (*SIZE, SCENE_PLANES + RECURRENCE_PLANES)
            assert set(np.unique(first.labels)) <= {STATIC, UNLIT, SHADOW, UNKNOWN, MOTION}


def test_cut_outs_need_something_to_cut_out() -> None:
    with pytest.raises(DatasetError):
        ClipMaker([], [plate], OFFSETS, SIZE)
