"""Estimate operations, memory and time of a training step without computing it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

MOMENTS = 4
"""Weights, gradients and Adam's two moments, each of the size of the weights."""

SIDE, SECONDS = 1024, 0.2
"""Square matrices that are multiplied to see how fast a processor is, and for how long."""

SHARE = 0.2
"""Share of that speed that forward and backward passes of SeqFormer and MS-STS VIS reach on a CPU, with 2 of
its cores; see ``python -m benchmarks.memory.training_costs --measure``."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of forward and backward passes of a batch: operations in 1e12, memory in GiB."""

    operations: float
    memory: float


def cost(network: nn.Module, run: Callable[[], object]) -> Cost:
    """Count the operations and memory of a forward pass on the device ``meta``."""
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage._cdata] = storage.nbytes()
        return tensor

    with (
        FlopCounterMode(display=False) as counter,
        torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x),
    ):
        result = run()
    parameter_bytes = sum(value.nbytes for value in network.parameters())
    del result
    return Cost(
        3 * counter.get_total_flops() / 1e12, (sum(storages.values()) + MOMENTS * parameter_bytes) / 2**30
    )


def seconds_on_processor(operations: float) -> float:
    """Approximate time of operations, in 1e12, on this CPU with its current threads."""
    matrix = torch.rand(SIDE, SIDE)
    matrix @ matrix  # which starts the threads
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < SECONDS:
        matrix @ matrix
        count += 1
    return operations * 1e12 / (SHARE * 2 * SIDE**3 * count / elapsed)


def time_left(seconds: float) -> str:
    """Format a time, such as ``45 s``, ``12 min`` and ``3 h 20 min``."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
