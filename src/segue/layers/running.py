"""Prepare networks for inference: device, precision, and fused layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import RLock
from typing import Any, Protocol, TypeVar, cast, runtime_checkable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from segue.allocation import apart_from_heap, release_freed_memory
from segue.errors import ArgumentError, CheckpointError
from segue.layers.compiling import compile_parts, wanted_compilation
from segue.layers.folding import fold_batch_norms
from segue.layers.fused import use_fused
from segue.layers.linear import use_fused_linear
from segue.layers.onednn import can_fuse

Network = TypeVar("Network")

FIRST_PASSES = 2
"""Frames in which layers make their weights."""

_PASSES_LEFT = "_first_passes_left"  # attribute of a copy that runs on a processor

_LOCKS: WeakKeyDictionary[nn.Module, AbstractContextManager[object]] = WeakKeyDictionary()
"""Of copies that run on a processor; a lock as their attribute could neither be copied nor pickled."""


@runtime_checkable
class Composable(Protocol):
    """A part of a network with layers that can be fused for inference."""

    def compose_layers(self) -> None:
        """Make them one, in place."""


def choose_device(device: str | torch.device | None) -> torch.device:
    """The given device, or the fastest one of this machine: CUDA, Apple's GPU (``mps``), the processor."""
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, TypeError):  # what PyTorch raises depends on how it was built
        raise ArgumentError(f"device {str(device)!r}: there is no such device here; try cpu") from None
    return chosen


def has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 here: on recent GPUs, with AMX, and with AVX512-BF16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device.type != "cpu":
        return False
    units = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, unit, bool)() for unit in units)


def choose_dtype(device: torch.device, fast: bool) -> torch.dtype:
    """bfloat16 where it is asked for and faster, else float32."""
    return torch.bfloat16 if fast and has_bfloat16(device) else torch.float32


def prepare_for_inference(
    network: Network, device: str | torch.device | None, fast: bool
) -> tuple[Network, torch.device, torch.dtype]:
    """A copy of a network for running, where it runs, and in which precision: ``fast`` asks for bfloat16."""
    place = choose_device(device)
    dtype = choose_dtype(place, fast)
    return inference_copy(network, place, dtype), place, dtype


def inference_copy(network: Network, device: torch.device, dtype: torch.dtype) -> Network:
    """A copy of a network for running, with finite weights, batch norms folded and channels last."""
    module = cast(nn.Module, network)
    for name, value in module.state_dict().items():
        # NaN and infinity pass into the extremes, which need no map of the size of the weight.
        extremes = value.aminmax() if value.is_floating_point() and value.numel() else ()
        if not all(bool(extreme.isfinite()) for extreme in extremes):
            raise CheckpointError(f"weight {name} of {type(network).__name__} holds NaN or infinity")
    on_cpu, compilation = device.type == "cpu", wanted_compilation(device)
    with apart_from_heap():
        copy: Any = fold_batch_norms(module)
        for part in copy.modules():
            if isinstance(part, Composable):
                part.compose_layers()
        copy = copy.to(device, dtype).to(memory_format=torch.channels_last).eval().requires_grad_(False)
        if compilation is not None:
            compile_parts(copy, compilation)
        elif on_cpu and can_fuse():
            use_fused(copy)
            if dtype == torch.float32:
                use_fused_linear(copy)
    if on_cpu:
        setattr(copy, _PASSES_LEFT, FIRST_PASSES)
        _LOCKS[copy] = RLock()
    return cast(Network, copy)


def to_cpu(*tensors: Tensor) -> list[Tensor]:
    """Download tensors and wait for the device once: the last copy waits for those before it."""
    *first, last = tensors
    return [*(tensor.to("cpu", non_blocking=True) for tensor in first), last.cpu()]


@contextmanager
def weights_apart(network: object) -> Iterator[None]:
    """Run a network for a frame or a window of frames inside of this: one thread at a time."""
    left: int = getattr(network, _PASSES_LEFT, 0)
    lock = _LOCKS.get(network) if isinstance(network, nn.Module) else None
    with lock or nullcontext():
        if not left:
            yield
            return
        with apart_from_heap():
            yield
        setattr(network, _PASSES_LEFT, left - 1)
        release_freed_memory()
