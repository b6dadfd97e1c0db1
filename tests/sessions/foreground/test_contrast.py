"""A network sees images of low contrast as it saw images in its training."""

from __future__ import annotations

import numpy as np
import torch

from segue.models.base import Features, ForegroundCapabilities
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.session import ForegroundSession
from segue.sessions.foreground.stages.contrast import MAX_GAIN, MIDDLE, ContrastGain, contrast_gain
from tests.sessions.foreground.scenes import Bytes, wall
from tests.sessions.foreground.tiny_foreground import TinyForeground

CLEAR = np.asarray(np.clip((wall(3, 120, 160).astype(float) - 95) * 5 + 128, 0, 255), np.uint8)


def foggy(share: float, noise: float = 0.0, seed: int = 0) -> Bytes:
    """The wall behind fog that lets a share of its light through."""
    grains = np.random.default_rng(seed).normal(0, noise, CLEAR.shape)
    return np.clip(np.rint(share * CLEAR + (1 - share) * 190 + grains), 0, 255).astype(np.uint8)


def test_a_clear_image_stays_as_it_is() -> None:
    assert np.array_equal(contrast_gain(Scene.of(CLEAR, 1), CLEAR).act(CLEAR), CLEAR)


def test_fog_is_seen_through() -> None:
    gain = contrast_gain(Scene.of(foggy(0.25), 1), foggy(0.25))
    assert 2 < gain.gain <= MAX_GAIN
    shown = gain.act(foggy(0.25))
    assert np.ptp(shown) > 2 * np.ptp(foggy(0.25))
    assert abs(float(np.median(shown)) - MIDDLE) < 30


def test_colours_of_a_scene_change_and_its_shares_do_not() -> None:
    scene = Scene(np.random.default_rng(0).integers(90, 120, (21, 8, 9), np.uint8))
    shown = ContrastGain(3.0, 105.0).of_scene(scene)
    assert (shown.planes[18:] == scene.planes[18:]).all()
    assert np.ptp(shown.planes[:18]) > 2 * np.ptp(scene.planes[:18])


def test_a_session_shows_the_network_frame_and_background_in_the_same_contrast() -> None:
    seen: list[torch.Tensor] = []

    class Watched(TinyForeground):
        capabilities = ForegroundCapabilities(stages=("contrast",))

        def encode(self, frames: torch.Tensor, role: str) -> Features:
            seen.append(frames)
            return super().encode(frames, role)

    session = ForegroundSession(Watched().eval(), device="cpu")
    session.step(foggy(0.25))
    assert len(seen) == 3
    assert float(torch.quantile(seen[0], 0.98) - torch.quantile(seen[0], 0.02)) > 0.5
    assert all(torch.equal(seen[0], each) for each in seen[1:])
