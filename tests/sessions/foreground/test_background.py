"""The empty scene as a median of past frames without what stood before it."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segue.errors import PromptError
from segue.sessions.foreground.background.median import MaskedMedian, MedianSettings, fit_colour_map
from segue.sessions.foreground.background.quantiles import (
    DOUBT_FROM,
    Scene,
    median_of,
    once_per_scene,
    order_statistics,
    scene_planes,
)
from segue.sessions.foreground.background.video_scenes import LearntBackground, VideoScenes
from tests.sessions.foreground.scenes import wall, with_squares

Bytes = npt.NDArray[np.uint8]
SHAPE = (3, 2, 2)
stacks = st.integers(1, 12).flatmap(
    lambda n: st.tuples(arrays(np.uint8, (n, *SHAPE)), arrays(np.bool_, (n, *SHAPE[1:])))
)


def grey(level: int, height: int = 6, width: int = 8) -> Bytes:
    """An image of one level of grey."""
    return np.full((height, width, 3), level, np.uint8)


def fed(levels: Any, masks: Any = None, **options: int) -> MaskedMedian:
    """A background that has seen grey frames of these levels."""
    background = MaskedMedian(MedianSettings(**options))
    for t, level in enumerate(levels):
        background.update(grey(level), None if masks is None else masks[t])
    return background


def shown(background: MaskedMedian) -> Bytes:
    assert background.scene is not None
    return background.scene.image


@settings(max_examples=60, deadline=None)
@given(stacks)
def test_a_background_without_masks_is_the_median(stack: tuple[Bytes, npt.NDArray[np.bool_]]) -> None:
    frames, hidden = stack
    found = scene_planes(frames, np.zeros_like(hidden), min_frames=3)[3:6]
    assert np.array_equal(found, np.sort(frames, axis=0)[len(frames) // 2])
    if len(frames) % 2:
        assert np.array_equal(found, np.median(frames, axis=0))


@settings(max_examples=60, deadline=None)
@given(stacks, st.integers(1, 4))
def test_each_pixel_is_the_median_of_its_visible_values(
    stack: tuple[Bytes, npt.NDArray[np.bool_]], least: int
) -> None:
    frames, hidden = stack
    found = scene_planes(frames, hidden, least)[3:6]
    flickers = np.count_nonzero(hidden[1:] != hidden[:-1], axis=0) * 4 >= max(len(frames), 12)
    for channel, row, column in np.ndindex(SHAPE):
        if flickers[row, column]:  # what comes and goes counts as background
            continue
        values = frames[:, channel, row, column]
        seen = values[~hidden[:, row, column]]
        counted = np.sort(seen if len(seen) >= (least if len(frames) >= DOUBT_FROM else 1) else values)
        assert found[channel, row, column] == counted[len(counted) // 2]


def test_before_the_first_frame_there_is_no_image_and_after_it_it_is_the_frame() -> None:
    background = MaskedMedian()
    assert background.scene is None
    background.update(grey(7))
    assert np.array_equal(shown(background), grey(7))


def levels_kept(background: MaskedMedian) -> list[int]:
    """Which grey frames are kept."""
    return [int(frame[0, 0, 0]) for frame in background._frames]


def test_the_kept_frames_stay_few_and_evenly_spread_over_the_past() -> None:
    background = MaskedMedian(MedianSettings(every=1, keep=5, longest=4))
    kept = []
    for t in range(30):
        background.update(grey(t))
        kept.append(levels_kept(background))
    assert kept[4] == [0, 1, 2, 3, 4]
    assert kept[5] == [0, 2, 4]
    assert kept[8] == [0, 2, 4, 6, 8]
    assert kept[10] == [0, 4, 8]
    assert kept[16] == [0, 4, 8, 12, 16]
    assert kept[20] == [4, 8, 12, 16, 20]
    assert kept[-1] == [12, 16, 20, 24, 28]


def test_a_image_is_never_written_to() -> None:
    background = fed([10])
    first = shown(background)
    for _ in range(30):
        background.update(grey(90))
    assert np.array_equal(first, grey(10))
    assert shown(background) is not first


def test_standing_objects_do_not_become_background() -> None:
    mask = np.zeros((6, 8), bool)
    mask[:, 5:] = True
    levels = [10] * 4 + [200] * 8
    background = fed(levels, [None] * 4 + [mask] * 8, every=1)
    assert (shown(background)[:, 3:] == 10).all(), "the mask, and two pixels around it"
    assert (shown(background)[:, :3] == 200).all()


def test_an_object_that_was_there_from_the_first_frame_on_disappears() -> None:
    mask = np.ones((6, 8), bool)
    background = fed([200] * 3 + [10] * 8, [mask] * 11, every=1)
    assert (shown(background) == 10).all(), "it was never seen without a mask, so all frames count"


def test_another_light_changes_all_that_is_remembered() -> None:
    background = fed([100] * 20, every=1)
    background.apply_gain((0.5, 1.0, 2.0))
    assert shown(background)[0, 0].tolist() == [50, 100, 200]
    for _ in range(3):
        background.update(grey(0))
    assert shown(background)[0, 0].tolist() == [50, 100, 200], "twenty frames in the new light against three"
    background.apply_gain((9.0, 9.0, 9.0))
    assert shown(background).max() == 255


def test_a_given_image_outlasts_what_stands_before_it() -> None:
    mask = np.ones((6, 8), bool)
    background = MaskedMedian(MedianSettings(every=1))
    background.replace(grey(10))
    for _ in range(10):
        background.update(grey(200), mask)
    assert (shown(background) == 10).all()


def test_a_filled_gap_of_an_object_does_not_reappear() -> None:
    """The object was taken for background while it was there, and the scene for foreground afterwards."""
    background = MaskedMedian(MedianSettings(every=1))
    for t in range(40):
        level = 200 if t < 2 else 10
        image = shown(background) if t else grey(level)
        background.update(grey(level), np.abs(image[..., 0] - float(level)) > 30)
        if t > 6:
            assert (shown(background) == 10).all()


@pytest.mark.parametrize("stop", [0, 1, 4, 40, 43])
def test_a_background_continues_from_a_saved_state(stop: int) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (90, 12, 10, 3), np.uint8)
    masks = rng.random((90, 12, 10)) < 0.02
    options = MedianSettings(every=4, keep=9)
    through, first, second = MaskedMedian(options), MaskedMedian(options), MaskedMedian(options)
    for t in range(stop):
        first.update(frames[t], masks[t])
        through.update(frames[t], masks[t])
    second.restore(first.state())
    for t in range(stop, 90):
        second.update(frames[t], masks[t])
        through.update(frames[t], masks[t])
        assert np.array_equal(shown(second), shown(through))


def known(image: Bytes) -> LearntBackground:
    """An image of the empty scene, on the first frame."""
    background = LearntBackground(VideoScenes.of(Scene.of(image)))
    background.seek(0)
    return background


def test_light_that_comes_back_shows_the_given_image_again() -> None:
    image = np.arange(100 * 3, dtype=np.uint8).reshape(10, 10, 3)
    background = known(image)
    background.fit((10, 10))
    background.apply_gain((2.5, 2.5, 2.5))
    resumed = known(image)
    resumed.restore(background.state())
    for each in (background, resumed):
        each.apply_gain((0.4, 0.4, 0.4))
        assert np.array_equal(each.image, image)


def test_a_given_image_stays_and_takes_the_size_of_the_frames() -> None:
    background = known(grey(50, 12, 16))
    background.fit((6, 8))
    background.update(grey(99))
    assert np.array_equal(background.image, grey(50))
    background.apply_gain((2.0, 2.0, 2.0))
    assert np.array_equal(background.image, grey(100))
    other = known(grey(0, 12, 16))
    other.restore(background.state())
    assert np.array_equal(other.image, grey(100))
    background.restart()
    assert np.array_equal(background.image, grey(50))
    with pytest.raises(PromptError):
        background.check((8, 8))
    with pytest.raises(PromptError):
        known(np.zeros((4, 4), np.uint8))


@settings(max_examples=40, deadline=None)
@given(stacks)
def test_the_range_is_that_of_numpys_quantiles(stack: tuple[Bytes, npt.NDArray[np.bool_]]) -> None:
    frames, hidden = stack
    planes = scene_planes(frames, hidden, min_frames=1)
    assert np.array_equal(planes[9:12], np.quantile(frames, 0.1, axis=0, method="lower"))
    assert np.array_equal(planes[15:18], np.quantile(frames, 0.9, axis=0, method="higher"))
    for channel, row, column in np.ndindex(SHAPE):
        seen = frames[~hidden[:, row, column], channel, row, column]
        if len(seen):
            assert planes[channel, row, column] == np.quantile(seen, 0.1, method="lower")
            assert planes[6 + channel, row, column] == np.quantile(seen, 0.9, method="higher")
        else:
            assert planes[channel, row, column] == planes[9 + channel, row, column]


@pytest.mark.parametrize("count", [1, 2, 5, 17, 36])
def test_values_come_in_order_of_any_number_of_arrays(count: int) -> None:
    arrays = [*np.random.default_rng(count).integers(0, 256, (count, 40, 50)).astype(np.uint8)]
    before = [array.copy() for array in arrays]
    assert np.array_equal(order_statistics(arrays, range(count)), np.sort(np.stack(arrays), axis=0))
    assert np.array_equal(arrays, before)


def test_the_median_of_two_bright_images_lies_between_them() -> None:
    bright, brighter = np.full((2, 3), 200, np.uint8), np.full((2, 3), 250, np.uint8)
    assert np.array_equal(median_of([bright, brighter]), np.full((2, 3), 225, np.uint8))


def test_values_cached_for_a_scene_are_freed_with_it() -> None:
    computed = []

    @once_per_scene
    def brightest(scene: Scene) -> int:
        computed.append(1)
        return int(scene.image.max())

    scenes = [Scene.of(np.full((2, 3, 3), level, np.uint8)) for level in range(10)]
    assert [brightest(scene) for _ in range(2) for scene in scenes] == 2 * [*range(10)]
    assert len(computed) == 10, "any number of cameras keeps its scene"
    gone = [weakref.ref(scene) for scene in scenes]
    scenes.clear()
    gc.collect()
    assert not any(each() for each in gone)


def test_backgrounds_that_look_the_same_share_a_look_until_something_differs() -> None:
    background, (first, noisy) = MaskedMedian(MedianSettings(every=1)), (wall(), wall())
    noisy[::2, ::2] ^= 3
    background.update(first)
    scenes = [background.scene]
    for image in (noisy, noisy, *4 * [with_squares(wall(), [(30, 30)])]):
        background.update(image)
        scenes.append(background.scene)
    looks = [scene.look for scene in scenes if scene is not None]
    assert looks[0] is looks[1] is looks[2]
    assert (looks[0].image == first).all()
    assert looks[-1] is not looks[0]
    assert scenes[-1] is not None
    assert looks[-1].is_like(scenes[-1].image)
    again = MaskedMedian(MedianSettings(every=1))
    again.restore(background.state())
    assert again.scene is not None
    assert (again.scene.look.image == looks[-1].image).all()


def in_grey(image: Bytes) -> Bytes:
    grey = 0.75 * image @ np.array([0.5, 0.3, 0.2]) + 20
    return np.repeat(grey[..., None], 3, 2).astype(np.uint8)


def over_exposed(image: Bytes) -> Bytes:
    return np.clip(1.5 * image.astype(np.float32), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("light", [in_grey, over_exposed])
def test_the_background_goes_on_in_another_light(light: Any) -> None:
    """Who stands there when it settles is no part of it."""
    background = MaskedMedian()
    background.enter(0, [0])
    for _ in range(4):
        background.update(wall())
        background._since = 99
    background.enter(1, [0, 1], [light(with_squares(wall(), [(30, 20)]))])
    assert background.image is not None
    assert np.abs(background.image.astype(int) - light(wall())).max() <= 4
    background.enter(0, [0, 1])
    assert np.array_equal(background.image, wall()), "the first light comes back"


def test_no_light_turns_one_scene_into_another() -> None:
    assert fit_colour_map(wall(), wall(9)) is None
    assert fit_colour_map(wall(), np.full_like(wall(), 30)) is None


@pytest.mark.parametrize("way", [3, 6])
def test_the_background_is_learnt_anew_where_the_camera_has_moved_under_another_light(way: int) -> None:
    large = np.asarray(cv2.resize(wall(), (512, 384)), np.uint8)
    now = in_grey(np.roll(large, way, axis=1))
    assert fit_colour_map(large, now) is not None, "so little is no other scene"
    background = MaskedMedian()
    background.update(large)
    background.enter(1, [0], [now])
    assert background.image is not None
    assert np.array_equal(background.image, now)
