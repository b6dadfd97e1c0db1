"""Copies of networks for inference: they keep their weights, and threads may share one."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from segue.errors import ArgumentError
from segue.inference.cpu.features import can_fuse
from segue.inference.running import choose_device, has_bfloat16, inference_copy, own_precision
from segue.layers.linear import ActivatedLinear
from segue.models.segue_prompt import SeguePrompt
from segue.sessions import TrackSession
from segue.weights import Prepared, load, prepare

CPU = torch.device("cpu")


class Mixed(nn.Module):
    """Layers of all kinds whose weights could stay shared."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 128, 1)
        self.wide = nn.Conv2d(128, 128, 3, padding=1)
        self.linear, self.fused = nn.Linear(128, 8), ActivatedLinear(8, 8)
        self.place = nn.Parameter(torch.randn(8))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 8)."""
        x = self.wide(self.conv(x)).mean((2, 3))
        moved: Tensor = self.fused(self.linear(x)) + self.place
        return moved


@torch.no_grad()
def test_training_a_network_further_leaves_its_copies_as_they_are() -> None:
    network, x = Mixed(), torch.randn(2, 3, 8, 8)
    copy, fresh = inference_copy(network, CPU, torch.float32), inference_copy(network, CPU, torch.float32)
    before = copy(x)
    for parameter in network.parameters():
        parameter.mul_(3)
    assert torch.equal(copy(x), before)
    assert torch.equal(fresh(x), before), "weights that are arranged later"


@torch.no_grad()
def test_a_prompter_takes_the_weights_of_its_network_as_they_are_now() -> None:
    network = SeguePrompt()
    first = prepare(network, device="cpu")
    assert prepare(network, device="cpu") is first
    next(network.parameters()).data.mul_(3)
    assert prepare(network, device="cpu") is not first


def test_two_sessions_in_two_threads_give_the_bytes_of_one_after_the_other() -> None:
    rng = np.random.default_rng(0)
    videos = [rng.integers(0, 255, (4, 48, 64, 3), dtype=np.uint8) for _ in range(2)]
    mask = np.zeros((48, 64), np.uint8)
    mask[8:24, 8:24] = 1

    def follow(video: npt.NDArray[np.uint8]) -> list[bytes]:
        session = TrackSession("stcn-lite", device="cpu")
        results = [session.step(image, None if t else mask) for t, image in enumerate(video)]
        return [result.probabilities.tobytes() for result in results]

    alone = [follow(video) for video in videos]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(follow, videos)) == alone


class Arrangements(TorchDispatchMode):
    """Counts inside of it how often weights are put into another order."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in ("_reorder_convolution_weight", "_reorder_linear_weight"):
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.skipif(not can_fuse(), reason="PyTorch arranges no weights on this processor")
def test_another_number_of_objects_arranges_no_weights_anew() -> None:
    rng = np.random.default_rng(0)
    session = TrackSession(load("stcn-lite"), device="cpu")  # nobody else used this copy

    def run(objects: int) -> Counter[str]:
        """Prompt so many objects and find them on the next frame."""
        session.remove(session.ids)
        mask = np.zeros((64, 96), np.uint8)
        for i in range(objects):
            mask[8:40, 16 * i : 16 * i + 12] = i + 1
        with Arrangements() as arranged:
            for given in (mask, None):
                session.step(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8), given)
        return arranged.counts

    assert run(1).total() > 0
    run(2)  # what is the same for several objects is arranged apart
    for objects in (1, 3, 2, 4, 1, 5):
        assert run(objects).total() == 0, f"{objects} objects"


@torch.no_grad()
def test_threads_share_a_copy() -> None:
    shared: Prepared[Mixed] = prepare(Mixed(), device="cpu")
    inputs = [torch.randn(1 + n % 3, 3, 40 + 8 * (n % 2), 64) for n in range(12)]

    def run(x: Tensor) -> Tensor:
        with shared.inference_guard():
            found: Tensor = shared.network(x)
        return found

    alone = [run(x) for x in inputs]
    for _ in range(5):
        with ThreadPoolExecutor(4) as pool:
            assert all(map(torch.equal, pool.map(run, inputs), alone))


@pytest.mark.skipif(not can_fuse(torch.bfloat16), reason="this processor computes nothing in bfloat16")
@pytest.mark.parametrize("has", [True, False])
def test_a_processor_without_matrix_units_needs_products_in_bfloat16(
    has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: has)
    assert has_bfloat16(CPU) == has


def test_a_device_may_be_a_number_or_auto() -> None:
    assert choose_device("auto") == choose_device(None)
    if not torch.cuda.is_available():
        for number in (0, "0"):
            with pytest.raises(ArgumentError):
                choose_device(number)


def test_a_thread_that_ends_leaves_the_default_type_to_those_that_compute() -> None:
    entered, left = Event(), Event()

    def other() -> torch.dtype:
        with own_precision(CPU):
            entered.set()
            assert left.wait(10)
            return torch.ones(1).dtype

    torch.set_default_dtype(torch.float64)
    try:
        with ThreadPoolExecutor(1) as pool:
            with own_precision(CPU):
                found = pool.submit(other)
                assert entered.wait(10)
            left.set()
            assert found.result() == torch.float32
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
