"""The bundled sample is what its own code renders, and its truth is consistent."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from segue.masks import read_index_mask
from segue.types import Frame
from segue.video import open_source
from tools.sample.clip import BUNDLED, FPS, FRAMES, SIZE, SampleClip, SampleFrame

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
