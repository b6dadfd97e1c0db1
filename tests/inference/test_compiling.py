"""``torch.compile`` on request: the same results, and a clear error where it cannot work."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import segue
from segue.errors import ArgumentError
from segue.inference.running import inference_copy
from segue.layers.activated import BatchNormReLU
from tests.clips import clip

CPU = torch.device("cpu")
NEEDS_COMPILER = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


@pytest.fixture
def one_process() -> Iterator[None]:
    """Compiles in this process: to start more takes longer than to compile."""
    import torch._inductor.config  # takes a second, which most processes of the tests need not spend

    with torch._inductor.config.patch(compile_threads=1):
        yield


class Small(nn.Module):
    """Four parts: two of a part without a forward of its own, and one in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Module()  # its caller runs the parts of it
        self.encoder.first = nn.Conv2d(3, 4, 3, padding=1)
        self.encoder.second = nn.Conv2d(4, 3, 3, padding=1)
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), BatchNormReLU(8))
        self.rest = nn.ModuleList([nn.Conv2d(8, 4, 1)])

    def forward(self, x: torch.Tensor) -> Any:
        """(N, 3, H, W) to (N, 4, H, W)."""
        return self.rest[0](self.first(self.encoder.second(self.encoder.first(x))))


@pytest.mark.slow
@NEEDS_COMPILER
@pytest.mark.usefixtures("one_process")
@torch.inference_mode()
def test_compiled_parts_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network, x = Small().eval(), torch.randn(1, 3, 16, 24)
    expected = network(x)
    monkeypatch.setenv("SEGUE_COMPILE", "on")
    copy = inference_copy(network, CPU, torch.float32)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    torch.testing.assert_close(copy(x), expected, rtol=1e-4, atol=1e-5)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 4
    torch.testing.assert_close(network(x), expected)


@pytest.mark.slow
@NEEDS_COMPILER
@pytest.mark.parametrize("name", ["stcn-lite", "mustan-lite"])
def test_sessions_of_compiled_networks_give_the_same_masks(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, masks = clip(11, 8, 64, 96, 2)
    found = []
    for how in ("off", "on"):
        monkeypatch.setenv("SEGUE_COMPILE", how)
        if name == "stcn-lite":
            session = segue.TrackSession(name, device="cpu")
            steps = [session.step(frame, None if n else masks[0]) for n, frame in enumerate(frames)]
        else:
            stages = segue.ForegroundSession(name, device="cpu")
            steps = [step for frame in frames if (step := stages.step(frame)) is not None]
        found.append(np.stack([step.mask for step in steps]))
    assert (found[0] == found[1]).mean() > 0.99


@pytest.mark.parametrize(("asked", "said"), [("graphs", "CUDA"), ("maybe", "graphs")])
def test_impossible_compilation_is_refused(asked: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_COMPILE", asked)
    with pytest.raises(ArgumentError, match=said):
        inference_copy(Small(), CPU, torch.float32)


def test_a_machine_without_a_compiler_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGUE_COMPILE", "on")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ArgumentError):
        inference_copy(Small(), CPU, torch.float32)
