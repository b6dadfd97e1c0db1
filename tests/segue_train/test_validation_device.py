"""Scores during training are computed on the device of the training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import nn

from segue.datasets.davis import DavisFolder
from segue.datasets.foreground.folder import open_plain
from segue.flow.providers import Farneback
from segue.inference import running
from segue.models.hofam import HOFAM
from segue.sessions.foreground.segmenters.extra_inputs import FlowNetwork, computing_flow
from segue.weights import load, prepared
from segue_train.validation import f_measure, j_and_f
from tests.clips import clip
from tests.logical_device import DEVICE, LogicalDevice
from tests.segue_train.data.test_foreground_videos import save_video
from tests.segue_train.making import write_video


@pytest.fixture
def unused_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that may not be used: what goes there fails."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


def track_score(folder: Path, device: torch.device) -> float:
    write_video(folder, "boat", *clip(1, 4, 64, 96, 2))
    return j_and_f(load("stcn-lite").to(device).eval(), DavisFolder(folder))


def foreground_score(folder: Path, device: torch.device) -> float:
    save_video(folder, "walk", range(1, 5))
    network = cast(nn.Module, load("mustan-lite")).to(device).eval()
    return f_measure(network, [(video, None) for video in open_plain(folder)])


def flow_score(folder: Path, device: torch.device) -> float:
    save_video(folder, "walk", range(1, 3))
    network = FlowNetwork(HOFAM(1, levels=6).to(device).eval())
    computing_flow(network, Farneback())
    return f_measure(network, [(video, None) for video in open_plain(folder)])


Score = Callable[[Path, torch.device], float]
SCORES: list[Score] = [track_score, foreground_score, flow_score]


@pytest.mark.usefixtures("unused_gpu")
@pytest.mark.parametrize("score", SCORES)
def test_a_training_on_the_processor_is_scored_there(score: Score, tmp_path: Path) -> None:
    assert 0 <= score(tmp_path, torch.device("cpu")) <= 1


@pytest.mark.parametrize("score", SCORES)
def test_a_training_on_a_device_is_scored_there(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices: set[torch.device] = set()

    def prepare_for(network: Any, device: torch.device, *how: Any, **options: Any) -> Any:
        devices.add(device)
        return running.inference_copy(network, device, *how, **options)

    monkeypatch.setattr(prepared, "inference_copy", prepare_for)
    with LogicalDevice():
        assert 0 <= score(tmp_path, DEVICE) <= 1
    assert devices == {DEVICE}
