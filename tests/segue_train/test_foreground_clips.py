"""Artificial clips of foreground networks: what moves is labelled, what only changes is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path as File

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.datasets.labels import MOTION, SHADOW, STATIC, UNKNOWN
from segue.errors import DatasetError
from segue.sessions.background import MedianSettings
from segue_train import living, scenery
from segue_train.cut_outs import (
    CutOut,
    Mover,
    Pane,
    Path,
    cut_outs_of_stills,
    cut_outs_of_videos,
    place,
    shape_cut_out,
)
from segue_train.exposure import Exposure
from segue_train.footage import gather
from segue_train.foreground_clips import (
    MARGIN,
    Clip,
    ClipMaker,
    Sun,
    passers_by,
    scenes_of,
)
from segue_train.foreground_samples import UNLIT, past_masks, past_times, without_evidence_unknown
from segue_train.scenery import Camera, Light, Sensor
from segue_train.warp import Rng, Size
from segue_train.weather import draw_haze, headlights, insects
from tests.clips import Bytes
from tests.segue_train.making import write_all

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
    return Mover(cut_out, path, 1.0, 1.0, 0, 1.0, leaves=leaves)


def scene(*movers: Mover, sun: Sun = NO_SUN) -> Clip:
    """A grey scene in which nothing but the movers changes."""
    stock = scenery.noise_stock(count=1 << 16)
    return Clip(plate(), [], movers, STEADY, still_camera(), PLAIN_SENSOR, sun, None, False, stock)


@pytest.fixture
def maker(tmp_path: File) -> ClipMaker:
    material = gather(map(str, write_all(tmp_path)), report=print)
    cut_outs = cut_outs_of_stills(material.stills) + cut_outs_of_videos(material.videos)
    return ClipMaker(cut_outs, scenes_of([*material.stills, *material.videos]), OFFSETS, SIZE)


def test_what_moves_is_labelled_where_it_is() -> None:
    clip = scene(white_square(Path((40, 50), (2, 0))))
    frame, labels = clip.frame_with_labels(0)
    changed = (frame != scene().frame(0)).any(-1)
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
    frame, labels = clip.frame_with_labels(0)
    np.testing.assert_array_equal(clip.frame(-4), frame)
    assert (clip.frame(-5) != frame).any()
    assert (labels == MOTION).sum() == 144


def test_who_has_left_is_seen_in_the_past_only_and_not_labelled() -> None:
    clip = scene(white_square(Path((40, 50), (0, 0)), leaves=-2))
    frame, labels = clip.frame_with_labels(0)
    assert (clip.frame(-3) != frame).any()
    np.testing.assert_array_equal(clip.frame(-2), frame)
    assert (labels == STATIC).all()


def test_shadows_are_dark_and_labelled_as_such() -> None:
    sun = replace(NO_SUN, shear=-1.0, height=-0.5, cast=0.6, contact=0.5)
    clip = scene(white_square(Path((40, 45), (2, 0))), sun=sun)
    frame, labels = clip.frame_with_labels(0)
    assert (labels == SHADOW).sum() > 30
    assert (frame[labels == SHADOW] < 92).all()
    assert (labels == MOTION).sum() == 144


def test_a_shadow_under_a_vehicle_is_as_wide_as_it_and_lies_at_its_foot() -> None:
    sun = replace(NO_SUN, slab=0.6, slab_side=0.5, slab_height=1.0, blur=0.5)
    _, labels = scene(white_square(Path((40, 45), (2, 0))), sun=sun).frame_with_labels(0)
    rows, columns = np.nonzero(labels == SHADOW)
    _, own = np.nonzero(labels == MOTION)
    foot = np.nonzero(labels == MOTION)[0].max()
    assert foot - 8 <= rows.min() <= foot, "its upper half is behind the mover, or beside it"
    assert foot + 5 <= rows.max() <= foot + 15
    assert columns.max() > own.max() + 3, "it lies to the right"
    assert columns.min() >= own.min()


def test_labels_follow_a_camera_that_shakes() -> None:
    camera = Camera(3.0, np.full((3, 2), 0.3), np.ones((3, 2)), (0, 0), 7)
    clip = replace(scene(white_square(Path((46, 50), (2, 0)))), camera=camera)
    frame, labels = clip.frame_with_labels(0)
    assert (frame[labels == MOTION] > 120).all()
    assert (frame[labels == STATIC] < 220).all()
    assert (labels != scene(white_square(Path((46, 50), (2, 0)))).frame_with_labels(0)[1]).any()


def test_a_switched_light_changes_all_before_the_switch() -> None:
    clip = replace(scene(), light=Light((0.5, 0.5, 0.5), -3, None, 0, 100))
    assert (clip.frame(-4) == 50).all()
    assert (clip.frame(-3) == 100).all()


@given(st.integers(0, 10_000), st.integers(-120, 0))
def test_scenes_are_the_same_whenever_they_are_drawn(seed: int, time: int) -> None:
    rng, size = np.random.default_rng(seed), (40, 50)
    canvas = scenery.procedural(rng, size)
    makers = (living.waving, living.foliage, living.water, living.trembling, living.bars, living.tree_shade)
    makers += (living.stray_shadow, living.rain, living.snow, scenery.flicker, scenery.passing_cloud)
    effects = [make(rng, size) for make in makers] + [scenery.screen(rng, size, [lambda: canvas])]
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
            assert first.background.shape == (*SIZE, 21)
            assert set(np.unique(first.labels)) <= {STATIC, UNLIT, SHADOW, UNKNOWN, MOTION}


def test_empty_scenes_have_nothing_to_find(maker: ClipMaker) -> None:
    clip = maker.clip(np.random.default_rng(0), [-3], empty=True)
    assert np.isin(clip.frame_with_labels(0)[1], (STATIC, UNLIT)).all()


@given(st.integers(0, 10_000))
def test_the_past_comes_before_now_and_in_order(seed: int) -> None:
    times = past_times(np.random.default_rng(seed))
    assert times == sorted(times)
    assert times[-1] < 0
    assert len(times) <= MedianSettings().keep


def test_who_passed_by_was_on_the_canvas_when_it_is_said() -> None:
    rng = np.random.default_rng(0)
    mover = white_square(Path((40, 50), (2, 1)))
    others = [other for _ in range(20) for other in passers_by(rng, [mover], [-200])]
    assert others
    for other in others:
        # Each comes to the place of the mover some time in the past.
        assert min(np.hypot(*np.subtract(other.path.at(t)[:2], (40, 50))) for t in range(-201, 1)) < 2


def test_masks_of_the_past_are_grown_and_sometimes_wrong() -> None:
    solids = np.zeros((12, 24, 32), bool)
    solids[:, 8:12, 8:12] = True
    frames = np.full((12, 24, 32, 3), 90, np.uint8)
    frames[::2, 16:22, 20:28] = 200  # half of the time something flickers
    kinds = {"none": 0, "movers": 0, "flicker": 0}
    for seed in range(60):
        masks = past_masks(np.random.default_rng(seed), frames, solids)
        kinds["none"] += not masks.any()
        kinds["movers"] += bool(masks[-6:, 7:13, 7:13].any() and not masks[:, 18, 24].any())
        kinds["flicker"] += bool(masks[:, 18, 24].any())
    assert min(kinds.values()) > 3


def test_a_mover_of_which_no_picture_tells_takes_no_part() -> None:
    clip = scene(white_square(Path((40, 50), (2, 0))))
    frame, labels = clip.frame_with_labels(0)
    empty = scene().frame(0)
    found = without_evidence_unknown(frame, [frame, empty], labels)
    np.testing.assert_array_equal(found, labels)
    ignored = without_evidence_unknown(frame, [frame, frame], labels)
    assert set(np.unique(ignored)) == {STATIC, UNKNOWN}


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


def test_a_shaken_frame_is_blurred_along_its_path_and_a_label_with_it() -> None:
    still = scene(white_square(Path((50, 50), (0, 0))))
    exposure = Exposure(reach=12, turn=0, skew=0, seed=3)
    shaken = replace(still, exposure=exposure)
    lengths = [blur.reach if (blur := exposure.blur(t)) else 0.0 for t in range(40)]
    longest, shortest = int(np.argmax(lengths)), int(np.argmin(lengths))
    assert lengths[shortest] == 0.0
    assert (shaken.frame(longest) > 110).sum() > 1.5 * (still.frame(0) > 110).sum()
    sharp, blurred = (shaken.frame_with_labels(t)[1] for t in (shortest, longest))
    assert (blurred == UNKNOWN).sum() > (sharp == UNKNOWN).sum()
    assert (shaken.frame(longest) == shaken.frame(longest)).all()


def test_fog_takes_the_contrast_and_not_the_label() -> None:
    clear = scene(white_square(Path((50, 50), (0, 0))))
    foggy = replace(clear, haze=draw_haze(np.random.default_rng(1), clear.plate.shape[:2]))
    (frame, labels), (other, others) = clear.frame_with_labels(0), foggy.frame_with_labels(0)
    assert np.ptp(other) < 0.8 * np.ptp(frame)
    assert (labels == others).all()


def test_a_pane_shows_the_scene_and_belongs_to_its_mover() -> None:
    mover = white_square(Path((50, 50), (0, 0)))
    clear = scene(replace(mover, pane=Pane(0.3, 0.6, 0.3, 0.7, 1.0)))
    (frame, labels), (_, whole) = clear.frame_with_labels(0), scene(mover).frame_with_labels(0)
    assert (labels == whole).all()
    seen = frame[..., 0][labels == MOTION]
    assert (seen == 100).any()
    assert (seen > 200).any()


@pytest.mark.parametrize("make", [headlights, insects])
def test_lights_and_insects_come_and_go(make: Callable[[Rng, Size], scenery.Effect]) -> None:
    canvas = np.full((96, 128, 3), 60, np.uint8)
    effect = make(np.random.default_rng(4), (96, 128))
    frames = [effect(canvas.copy(), t) for t in range(30)]
    changed = [(frame != canvas).any(axis=2) for frame in frames]
    assert any(mask.any() for mask in changed)
    assert np.ptp(np.stack(frames), axis=0).any()
    assert (frames[3] == effect(canvas.copy(), 3)).all()


def test_branches_bend_and_their_foot_stays(maker: ClipMaker) -> None:
    canvas = np.full((120, 160, 3), 60, np.uint8)
    effect = living.branches(np.random.default_rng(2), (120, 160), maker.pictures)
    frames = np.stack([effect(canvas.copy(), t) for t in range(0, 60, 5)])
    assert 0.005 < (frames != canvas).any(axis=3).mean() < 0.9
    assert np.ptp(frames, axis=0).any()


def test_where_contrast_is_low_smaller_differences_count() -> None:
    others, labels = [np.full((40, 40, 3), 100, np.uint8)], np.zeros((40, 40), np.uint8)
    current = others[0].copy()
    current[10:20, 10:20], labels[10:20, 10:20] = 110, MOTION
    assert (without_evidence_unknown(current, others, labels)[10:20, 10:20] == UNKNOWN).all()
    assert (without_evidence_unknown(current, others, labels, 6.0) == labels).all()
    noise = np.random.default_rng(0).normal(0, 2, current.shape)
    noisy = np.clip(others[0] + noise, 0, 255).astype(np.uint8)
    assert (without_evidence_unknown(noisy, others, labels, 6.0)[10:20, 10:20] == UNKNOWN).all()
