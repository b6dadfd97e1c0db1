"""Flow providers on images whose motion is known."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segue.errors import FlowError
from segue.flow import DIS, RAFT, Farneback, FlowImages, FlowProvider, against_scene, flow_provider
from segue.flow import providers as module
from segue.types import Image
from segue.weights import write_checkpoint
from tests.logical_device import DEVICE, LogicalDevice


def textured(height: int = 96, width: int = 128) -> Image:
    """An image that flow can hold on to."""
    noise = np.random.default_rng(0).uniform(0, 255, (height, width, 3))
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 2) * 3 - 255, np.float64).clip(0, 255).astype(np.uint8)


def shifted(image: Image, x: int, y: int) -> Image:
    return np.roll(image, (y, x), (0, 1))


@pytest.mark.parametrize("provider", [DIS(), Farneback()])
@pytest.mark.parametrize("shift", [(0, 0), (3, 0), (-2, 4)])
def test_flow_points_to_where_things_went(provider: FlowProvider, shift: tuple[int, int]) -> None:
    first = textured()
    flow = provider(first, shifted(first, *shift))
    assert flow.dtype == np.float32
    assert flow.shape == (96, 128, 2)
    inner = flow[16:-16, 16:-16].reshape(-1, 2)
    np.testing.assert_allclose(np.median(inner, axis=0), shift, atol=0.25)


def test_providers_have_names() -> None:
    assert isinstance(flow_provider("dis"), DIS)
    assert isinstance(flow_provider("farneback"), Farneback)
    with pytest.raises(FlowError):
        flow_provider("selflow")  # type: ignore[arg-type]
    with pytest.raises(FlowError):
        flow_provider("raft")


def test_without_a_fitting_torchvision_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    message = re.escape(f"raft needs a torchvision that fits torch {torch.__version__}")
    with pytest.raises(FlowError, match=message):
        flow_provider("raft", tmp_path / "raft.safetensors")


class Fake(nn.Module):
    """Takes what RAFT takes; gives the difference of brightness as flow, coarse to fine."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, first: Tensor, second: Tensor) -> list[Tensor]:
        assert first.shape == second.shape
        assert all(side % 8 == 0 and side >= 128 for side in first.shape[-2:])
        assert first.min() >= -1
        assert first.max() <= 1
        flow = self.gain * (second - first)[:, :2]
        return [torch.zeros_like(flow), flow]


def test_raft_sees_padded_images_and_its_last_answer_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_raft_small", Fake)
    write_checkpoint(tmp_path / "raft.safetensors", Fake().state_dict(), {})
    provider = RAFT(tmp_path / "raft.safetensors")
    first, second = textured(90, 134), textured(90, 134)[::-1]
    flow = provider(first, second)
    expected = (second[..., :2].astype(np.float32) - first[..., :2]) / 127.5
    np.testing.assert_allclose(flow, expected, atol=1e-6)
    with LogicalDevice():
        there = flow_provider("raft", tmp_path / "raft.safetensors", DEVICE)
        np.testing.assert_allclose(there(first, second), expected, atol=1e-6)


class Moved:
    """Says that everything moved by as many pixels as the images differ."""

    def __call__(self, first: Image, second: Image) -> Any:
        distance = second[..., :1].astype(np.float32) - first[..., :1]
        return np.concatenate([distance * 0.6, distance * 0.8], axis=2)


@pytest.mark.parametrize(("size", "unit"), [((256, 256), 1), ((128, 128), 2), ((512, 512), 0.5)])
def test_a_flow_image_has_the_largest_gap_in_red(size: tuple[int, int], unit: float) -> None:
    now = np.zeros((*size, 3), np.uint8)
    earlier = [np.full_like(now, value) for value in (2, 5, 40)]
    image = FlowImages(Moved(), (1, 3, 5))(now, earlier)
    assert image.dtype == np.uint8
    # 20 pixels of an image of 256 x 256 are white, whatever the size of the frames.
    assert image[0, 0].tolist() == [255, round(255 * 5 * unit / 20), round(255 * 2 * unit / 20)]
    assert FlowImages(Moved(), (1,))(now, earlier[:1]).shape == (*size, 1)


SMALL = [(1, 1), (2, 1), (11, 11), (5, 400), (12, 64), (400, 12), (16, 100), (24, 320), (40, 9)]
"""Sizes that OpenCV refuses, or at which it writes outside of its memory."""


@pytest.mark.parametrize("provider", [DIS(), DIS(quick=True), Farneback()])
@pytest.mark.parametrize("size", SMALL)
def test_images_of_any_size_have_a_flow(size: tuple[int, int], provider: FlowProvider) -> None:
    first, second = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    flow = provider(first, second)
    assert flow.shape == (*size, 2)
    assert np.isfinite(flow).all()
    assert np.isfinite(against_scene(flow)).all()
