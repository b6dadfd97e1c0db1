"""Depth maps on their way from a folder to the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segue.api.foreground import foreground
from segue.errors import PromptError, SourceError
from segue.models.mustan import MUSTAN2
from segue.sessions import SessionState
from segue.sessions.foreground.segmenters.extra_inputs import DepthScale
from segue.sessions.foreground.segmenters.subtractors import BackgroundDifference
from segue.sessions.foreground.session import ForegroundSession
from segue.types import Frame, Segmentation
from tests.sessions.foreground.scenes import video, wall, with_squares

FRAMES = video([with_squares(wall(0, 40, 48), [(10, 4 * t)], side=8) for t in range(8)])
MAPS = [np.full((40, 48), 1000 + 100 * t, np.uint16) for t in range(8)]
for number, depth_map in enumerate(MAPS):
    depth_map[:, 24:] = 4000 - 50 * number
DEEP = [replace(frame, depth=depth) for frame, depth in zip(FRAMES, MAPS, strict=True)]


@pytest.fixture(scope="module")
def network() -> MUSTAN2:
    """It looks at depth, which a fresh network does not."""
    torch.manual_seed(0)
    made = MUSTAN2(causal=True, width=0.125, depth_channels=1)
    torch.nn.init.normal_(made.get_parameter("enc_cur.conv1_depth.weight"))
    return made.eval()


def run(session: ForegroundSession, frames: Sequence[Frame]) -> list[Segmentation]:
    return [result for frame in frames if (result := session.step(frame)) is not None] + list(
        session.finish()
    )


def soft(results: Sequence[Segmentation]) -> np.ndarray:
    return np.stack([result.probabilities[1] for result in results])


def test_the_first_map_of_a_scene_gives_the_scale() -> None:
    scale = DepthScale()
    first = np.linspace(2, 12, 1001)[None]
    scaled = scale(first)
    assert (scaled[0, 0], scaled[0, -1]) == (0, 255)
    assert abs(int(scaled[0, 500]) - 127.5) < 1
    assert scale(np.array([[7.0, 1.0, 50.0]])).tolist() == [[128, 0, 255]]


def test_the_network_gets_the_depth_of_each_frame(network: MUSTAN2) -> None:
    found = soft(run(ForegroundSession(network, without=["align"], device="cpu"), DEEP))
    scale = DepthScale()
    images = [torch.from_numpy(frame.image).permute(2, 0, 1)[None] / 255 for frame in FRAMES]
    for t, depth in enumerate(MAPS):
        window = torch.stack([images[max(0, t + offset)] for offset in network.offsets], 1)
        given = torch.from_numpy(scale(depth))[None, None] / 255
        with torch.inference_mode():
            expected = network(window, depth=given).sigmoid()[0, 0].numpy()
        np.testing.assert_allclose(found[t], expected, atol=1e-4)


def test_without_maps_depth_is_zero_everywhere(network: MUSTAN2) -> None:
    flat = [replace(frame, depth=np.zeros((40, 48))) for frame in FRAMES]
    session = ForegroundSession(network, without=["align"], device="cpu")
    plain = soft(run(session, FRAMES))
    session.reset()
    np.testing.assert_allclose(soft(run(session, flat)), plain, atol=1e-6)


def test_a_depth_session_continues_from_a_saved_state(network: MUSTAN2, tmp_path: Path) -> None:
    expected = soft(run(ForegroundSession(network, without=["align"], device="cpu"), DEEP))
    first, second = (ForegroundSession(network, without=["align"], device="cpu") for _ in range(2))
    for frame in DEEP[:5]:
        first.step(frame)
    first.state().save(tmp_path / "state.safetensors")
    second.restore(SessionState.load(tmp_path / "state.safetensors"))
    np.testing.assert_array_equal(soft(run(second, DEEP[5:])), expected[5:])


def test_maps_that_do_not_fit_are_refused(network: MUSTAN2) -> None:
    wide = replace(FRAMES[0], depth=np.ones((40, 50)))
    with pytest.raises(PromptError, match="frame 0: the depth map is 50x40, but the frame is 48x40"):
        ForegroundSession(network, device="cpu").step(wide)
    with pytest.raises(PromptError):
        ForegroundSession(BackgroundDifference()).step(DEEP[0])


def test_a_folder_of_maps_belongs_to_the_frames_in_order(network: MUSTAN2, tmp_path: Path) -> None:
    for t, depth in enumerate(MAPS):
        cv2.imwrite(str(tmp_path / f"d{t + 95}.png"), depth)
    images = [frame.image for frame in FRAMES]
    found = soft(list(foreground(images, model=network, depth=tmp_path, without=["align"], device="cpu")))
    expected = soft(run(ForegroundSession(network, without=["align"], device="cpu"), DEEP))
    np.testing.assert_array_equal(found, expected)
    (tmp_path / "d102.png").unlink()
    with pytest.raises(SourceError):
        list(foreground(images, model=network, depth=tmp_path, device="cpu"))
    with pytest.raises(SourceError):
        list(foreground(images, model=network, depth=tmp_path / "none", device="cpu"))
