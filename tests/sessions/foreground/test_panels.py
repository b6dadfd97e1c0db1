"""A part of the image that changes at once and then stands still becomes background."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from segue.sessions import ForegroundSession
from segue.sessions.foreground.background.median import MaskedMedian
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.background.video_scenes import LearntBackground, VideoScenes
from segue.sessions.foreground.stages.panels import _changed_part
from segue.types import Frame, Image, Segmentation

RNG = np.random.default_rng(0)
SCENE = RNG.integers(60, 120, (96, 128, 3), dtype=np.uint8)
OTHER = RNG.integers(150, 250, (48, 64, 3), dtype=np.uint8)


def four_views(index: int, *, at: int = 25, moves: bool = False, settles: int = 1) -> Image:
    """A view, a quarter of the image, shows another image from a frame on, at once or in a few steps."""
    image = SCENE.copy()
    if index >= at:
        share = min(1.0, (index - at + 1) / settles)
        view = np.roll(OTHER, 5 * index, 1) if moves else OTHER
        image[:48, 64:] = (share * view + (1 - share) * image[:48, 64:]).astype(np.uint8)
    return image


def results(without: Sequence[str] = (), **options: bool | int) -> list[Segmentation]:
    session = ForegroundSession("mustan-lite", device="cpu", without=without)
    frames = [Frame(index, index / 25, four_views(index, **options)) for index in range(65)]
    found = [session.step(frame) for frame in frames]
    return [result for result in [*found, *session.finish()] if result is not None]


@pytest.mark.parametrize("settles", [1, 6])
def test_a_view_that_turns_to_another_image_is_no_object(settles: int) -> None:
    found = results(settles=settles)
    assert all(not result.mask.any() for result in found if result.index < 25)
    assert sum(bool(result.mask.any()) for result in found) <= settles + 1
    assert not found[-1].mask.any()


def test_a_part_that_goes_on_to_change_is_left_as_it_is() -> None:
    both = zip(results(moves=True), results(["panels"], moves=True), strict=True)
    assert all(np.array_equal(one.mask, other.mask) for one, other in both)
    assert any(result.mask.any() for result in results(["panels"]))


def test_only_a_large_part_with_straight_sides_counts() -> None:
    before, after = SCENE, four_views(99)
    assert _changed_part(after, before) == (0, 48, 64, 128)
    small = SCENE.copy()
    small[:16, :16] = 250
    assert _changed_part(small, before) is None
    y, x = np.mgrid[:96, :128]
    half = np.where((x > 1.33 * y)[..., None], np.uint8(250), SCENE)
    assert _changed_part(half, before) is None


@pytest.mark.parametrize("top", range(4, 12))
@pytest.mark.parametrize(("height", "width"), [(11, 320), (240, 14), (40, 90)])
def test_a_panel_of_any_shape_is_found_at_any_row(top: int, height: int, width: int) -> None:
    before = RNG.integers(60, 120, (256, 320, 3), dtype=np.uint8)
    after = before.copy()
    after[top : top + height, :width] = 220
    assert _changed_part(after, before) == (top, top + height, 0, width)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 40)])
def test_the_smallest_images_have_no_panels(size: tuple[int, int]) -> None:
    one = np.zeros((*size, 3), np.uint8)
    assert _changed_part(one, one) is None


def test_a_background_takes_a_part_of_an_image_as_its_own() -> None:
    background = MaskedMedian()
    for _ in range(40):
        background.update(SCENE, np.zeros(SCENE.shape[:2], np.uint8))
    region = np.zeros(SCENE.shape[:2], np.bool_)
    region[:48, 64:] = True
    background.adopt(four_views(99), region)
    assert background.image is not None
    assert np.array_equal(background.image, four_views(99))


def test_a_learnt_background_takes_it_in_the_light_of_now() -> None:
    background = LearntBackground(VideoScenes.of(Scene.of(SCENE)), of_this_video=True)
    background.fit(SCENE.shape[:2])
    background.seek(0)
    background.apply_gain([1.1, 1.1, 1.1])
    region = np.zeros(SCENE.shape[:2], np.bool_)
    region[:48, 64:] = True
    outside = background.image[~region]  # type: ignore[index]
    background.adopt(four_views(99), region)
    assert background.image is not None
    assert np.abs(background.image[region].astype(int) - four_views(99)[region]).max() <= 1
    assert np.array_equal(background.image[~region], outside)
    background.apply_gain([1 / 1.1] * 3)
    assert np.abs(background.image[~region].astype(int) - SCENE[~region]).max() <= 1
    background.restart()
    assert np.array_equal(background.image, SCENE)
