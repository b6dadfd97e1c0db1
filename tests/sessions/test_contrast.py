"""A network sees pictures of low contrast as it saw pictures in its training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segue.models.base import Features
from segue.sessions.contrast import MIDDLE, MOST_GAIN, MOST_NOISE, Contrast, Tone, noise_of, tone_for
from segue.sessions.empty_scene import Scene
from segue.sessions.segmenters import NetworkSegmenter
from tests.sessions.scenes import Bytes, wall
from tests.sessions.tiny_foreground import TinyForeground

CLEAR = np.asarray(np.clip((wall(3, 120, 160).astype(float) - 95) * 5 + 128, 0, 255), np.uint8)


def foggy(share: float, noise: float = 0.0, seed: int = 0) -> Bytes:
    """The wall behind fog that lets a share of its light through."""
    grains = np.random.default_rng(seed).normal(0, noise, CLEAR.shape)
    return np.clip(np.rint(share * CLEAR + (1 - share) * 190 + grains), 0, 255).astype(np.uint8)


def known(pictures: list[Bytes]) -> Scene:
    """What quantiles tell of some frames."""
    low, middle, high = np.quantile(np.stack(pictures), [0.1, 0.5, 0.9], axis=0)
    values = np.concatenate([plane.transpose(2, 0, 1) for plane in (low, middle, high)] * 2)
    rest = np.zeros((3, *CLEAR.shape[:2]))
    rest[2] = min(255, 7 * len(pictures))
    return Scene(np.concatenate([values, rest]).astype(np.uint8))


def test_a_clear_picture_stays_as_it_is() -> None:
    assert tone_for(Scene.of(CLEAR, 1)) is None


def test_fog_is_seen_through() -> None:
    tone = tone_for(Scene.of(foggy(0.25), 1))
    assert tone is not None
    assert 2 < tone.gain <= MOST_GAIN
    shown = tone.act(foggy(0.25))
    assert np.ptp(shown) > 2 * np.ptp(foggy(0.25))
    assert abs(float(np.median(shown)) - MIDDLE) < 30


@pytest.mark.parametrize("frames", [1, 12])
def test_noise_is_not_raised_beyond_measure(frames: int) -> None:
    pictures = [foggy(0.25, noise=5.0, seed=seed) for seed in range(frames)]
    scene = known(pictures) if frames > 1 else Scene.of(pictures[0], 1)
    assert noise_of(scene) == pytest.approx(5.0, rel=0.35)
    tone = tone_for(scene)
    assert (1.0 if tone is None else tone.gain) * noise_of(scene) <= MOST_NOISE + 0.01


def test_a_tone_stays_where_another_would_hardly_differ() -> None:
    tone = tone_for(Scene.of(foggy(0.25), 1))
    assert tone_for(Scene.of(foggy(0.24), 1), tone) is tone
    assert tone_for(Scene.of(foggy(0.5), 1), tone) is not tone
    assert tone_for(Scene.of(CLEAR, 1), tone) is None


@given(gain=st.floats(1, 6), level=st.floats(0, 255))
def test_a_tone_keeps_the_order_of_levels(gain: float, level: float) -> None:
    levels = Tone(gain, level).act(np.arange(256, dtype=np.uint8)).astype(int)
    assert (np.diff(levels) >= 0).all()


def test_colours_of_a_scene_change_and_its_shares_do_not() -> None:
    scene = Scene(np.random.default_rng(0).integers(90, 120, (21, 8, 9), np.uint8))
    shown = Tone(3.0, 105.0).of_scene(scene)
    assert (shown.planes[18:] == scene.planes[18:]).all()
    assert np.ptp(shown.planes[:18]) > 2 * np.ptp(scene.planes[:18])


def test_frames_of_the_context_follow_the_tone() -> None:
    """Features of frames in another tone would differ from the scene everywhere."""

    seen: list[torch.Tensor] = []

    class Watched(TinyForeground):
        def encode(self, frames: torch.Tensor, role: str) -> Features:
            if role == "past":
                seen.append(frames)
            return super().encode(frames, role)

    segmenter, contrast = NetworkSegmenter(Watched().eval(), device="cpu"), Contrast()
    for share in (1.0, 1.0, 0.25):
        seen.clear()
        scene, tone = contrast.adapt(Scene.of(foggy(share), 1))
        segmenter.step(foggy(share), scene, tone=tone)
    assert tone is not None
    before = torch.from_numpy(tone.act(foggy(1.0))).permute(2, 0, 1) / 255
    height, width = before.shape[1:]
    assert any(torch.allclose(each[0, :, :height, :width], before, atol=1e-6) for each in seen)


@pytest.mark.parametrize("sigma", [2.0, 6.0])
def test_the_noise_of_one_picture_is_its_standard_deviation(sigma: float) -> None:
    """Without a scene; all colours have the same noise, of which a grey picture keeps all."""
    noise = np.random.default_rng(0).normal(120, sigma, (160, 200, 1))
    picture = np.repeat(np.clip(np.rint(noise), 0, 255).astype(np.uint8), 3, 2)
    assert noise_of(Scene.of(picture, 1)) == pytest.approx(sigma, rel=0.03)
    assert noise_of(Scene.of(picture, 4)) == pytest.approx(sigma, rel=0.03)
    assert noise_of(Scene.of(picture, 5)) == 0, "from five frames on the range of each pixel tells it"
    ramp = np.tile(np.arange(200, dtype=np.uint8)[None, :, None], (160, 1, 3))
    assert noise_of(Scene.of(ramp, 1)) == pytest.approx(0, abs=0.2), "a slope is no noise"
    for shape in ((2, 9, 3), (9, 2, 3)):
        assert noise_of(Scene.of(np.zeros(shape, np.uint8), 1)) == 0
    assert noise_of(Scene.of(np.random.default_rng(1).integers(0, 255, (3, 3, 3)).astype(np.uint8), 1)) > 0


def test_the_noise_of_a_past_is_its_range_over_that_of_normal_noise() -> None:
    planes = np.zeros((21, 40, 40), np.uint8)
    planes[6:9], planes[0:3], planes[20] = 141, 77, 7 * 5
    assert noise_of(Scene(planes)) == pytest.approx(64 / 2.56)
    planes[6:9, ::4, :4] = 255  # a tenth of the pixels that are looked at
    assert noise_of(Scene(planes)) == pytest.approx(64 / 2.56)


def striped(low: int, high: int) -> Scene:
    """Half of a scene at each of two levels, without noise."""
    picture = np.full((80, 120, 3), low, np.uint8)
    picture[:, 60:] = high
    return Scene.of(picture, 9)


@pytest.mark.parametrize(
    ("low", "high", "gain"),
    [(50, 150, 1.5), (50, 169, 150 / 119), (50, 170, None), (100, 120, 6.0), (90, 90, 6.0), (0, 255, None)],
)
def test_a_gain_brings_two_levels_150_apart(low: int, high: int, gain: float | None) -> None:
    """Gains up to 1.25 are not worth it, and 6 is the most."""
    tone = tone_for(striped(low, high))
    if gain is None:
        assert tone is None
        return
    assert tone is not None
    assert tone.gain == pytest.approx(gain)
    assert tone.level == (low + high) / 2


def test_a_gain_raises_noise_to_eight_levels_at_most() -> None:
    scene = striped(100, 125)
    scene.planes[6:9] += np.uint8(8)
    assert noise_of(scene) == pytest.approx(8 / 2.56)
    tone = tone_for(scene)
    assert tone is not None
    assert tone.gain == pytest.approx(2.56)


@pytest.mark.parametrize(("before", "stays"), [(1.7, True), (1.9, False), (1.3, True), (1.24, False)])
def test_a_tone_stays_within_a_fifth(before: float, stays: bool) -> None:
    """Of 1.5, the gain of levels that lie 100 apart."""
    old = Tone(before, 7.0)
    assert (tone_for(striped(50, 150), old) is old) == stays


def test_levels_go_apart_around_the_middle() -> None:
    levels = np.array([0, 99, 100, 101, 103, 255], np.uint8)
    assert Tone(2.5, 100.0).act(levels).tolist() == [0, 116, 118, 120, 126, 255]
    assert Tone(2.5, 100.0).act(levels).dtype == np.uint8
