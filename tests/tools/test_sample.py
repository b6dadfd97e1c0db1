"""The bundled sample is what its own code renders, and its truth is consistent."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from segue.masks import read_index_mask
from segue.types import Frame
from segue.video import open_source
from tools.sample.clip import BUNDLED, FPS, FRAMES, OBJECTS, SIZE, SampleClip, SampleFrame
from tools.sample.noise import octave_noise, smoothstep

MOMENTS = (0, 44, 79)


@pytest.fixture(scope="module")
def clip() -> SampleClip:
    return SampleClip()


@pytest.fixture(scope="module")
def rendered(clip: SampleClip) -> dict[int, SampleFrame]:
    return {index: clip.render(index) for index in MOMENTS}


@pytest.fixture(scope="module")
def bundled() -> list[Frame]:
    with open_source(BUNDLED / "video.mp4") as source:
        return list(source)


def test_a_second_clip_renders_the_same_frame(rendered: dict[int, SampleFrame]) -> None:
    again = SampleClip().render(44)
    np.testing.assert_array_equal(again.frame.image, rendered[44].frame.image)
    np.testing.assert_array_equal(again.mask, rendered[44].mask)


def test_every_object_is_visible_in_the_first_frame(rendered: dict[int, SampleFrame]) -> None:
    areas = np.bincount(rendered[0].mask.ravel(), minlength=OBJECTS + 1)
    assert (areas[1:] > 500).all()


@pytest.mark.parametrize("index", MOMENTS)
def test_what_is_visible_is_part_of_the_whole_object(rendered: dict[int, SampleFrame], index: int) -> None:
    mask, whole = rendered[index].mask, rendered[index].whole
    for id in range(1, OBJECTS + 1):
        # One pixel of tolerance: where three things meet, the largest share of a pixel can be below a half.
        grown = cv2.dilate(whole[id - 1].astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        assert grown[mask == id].all()


@pytest.mark.parametrize("index", MOMENTS)
def test_the_leaf_on_the_water_is_never_hidden(rendered: dict[int, SampleFrame], index: int) -> None:
    item = rendered[index]
    assert (item.mask == 3)[item.whole[2]].mean() == 1


def test_the_fish_and_the_pads_hide_the_red_koi_and_it_comes_back(clip: SampleClip) -> None:
    shares = []
    for index in (0, 48, 66):
        item = clip.render(index)
        shares.append((item.mask == 1).sum() / item.whole[0].sum())
    assert shares[0] > 0.99
    assert min(shares[1:]) < 0.85


def test_the_bundled_first_mask_is_the_renderers(rendered: dict[int, SampleFrame]) -> None:
    np.testing.assert_array_equal(read_index_mask(BUNDLED / "first.png"), rendered[0].mask)


def test_the_bundled_video_has_all_frames_at_their_times(bundled: list[Frame]) -> None:
    assert len(bundled) == FRAMES
    assert {frame.size for frame in bundled} == {SIZE}
    np.testing.assert_allclose([frame.time for frame in bundled], np.arange(FRAMES) / FPS, atol=1e-3)


@pytest.mark.parametrize("index", MOMENTS)
def test_the_bundled_video_shows_the_rendered_pictures(
    bundled: list[Frame], rendered: dict[int, SampleFrame], index: int
) -> None:
    assert cv2.PSNR(bundled[index].image, rendered[index].frame.image) > 30


def test_the_bundled_files_are_small() -> None:
    assert sum(file.stat().st_size for file in BUNDLED.iterdir()) <= 1_500_000


def test_noise_has_mean_zero_and_deviation_one_at_every_size() -> None:
    for size in ((33, 70), (120, 41)):
        field = octave_noise(np.random.default_rng(1), size, cell=16)
        assert field.shape == size
        assert abs(field.mean()) < 1e-4
        assert abs(field.std() - 1) < 1e-4


def test_smoothstep_rises_from_zero_to_one_and_falls_when_reversed() -> None:
    values = np.linspace(-1, 2, 31, dtype=np.float32)
    up, down = smoothstep(0, 1, values), smoothstep(1, 0, values)
    assert up[0] == 0
    assert up[-1] == 1
    assert up[15] == pytest.approx(0.5, abs=1e-6)
    np.testing.assert_allclose(up + down, 1, atol=1e-6)
