"""Prepare networks for inference: device, precision, and fused layers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from threading import Lock
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import torch
from torch import nn

from segue.errors import ArgumentError, CheckpointError
from segue.inference.compiling import compile_parts, requested_compilation
from segue.inference.cpu.features import can_fuse, has_bfloat16_products, has_full_int8, has_int8
from segue.inference.cpu.forms import DIRECT, Forms
from segue.inference.cpu.fused import use_fused
from segue.inference.cpu.int8 import use_int8
from segue.inference.cpu.linear import use_fused_linear
from segue.inference.folding import fold_batch_norms
from segue.utils.allocation import apart_from_heap, release_freed_memory
from segue.utils.devices import is_finite

Network = TypeVar("Network")


@runtime_checkable
class Composable(Protocol):
    """A module with layers that can be fused for inference."""

    def compose_layers(self) -> None:
        """Fuse the layers in place."""


def choose_device(device: str | int | torch.device | None) -> torch.device:
    """Given device; for None and ``auto`` the fastest: CUDA, Apple's GPU (``mps``) or the CPU.

    A number, also as text, is that of a GPU.
    """
    if device is None or device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if isinstance(device, str) and device.isdecimal():
        device = int(device)
    try:
        selected = torch.device(device)
        torch.empty(0, device=selected)
    except (
        RuntimeError,
        AssertionError,
        TypeError,
        ValueError,
    ):  # what PyTorch raises depends on how it was built
        raise ArgumentError(f"device {str(device)!r}: there is no such device here; try cpu") from None
    return selected


def has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 here: on recent GPUs, with AMX, and with AVX512-BF16."""
    if device.type == "cuda":  # PyTorch emulates it on older ones
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and has_bfloat16_products()


def has_float16(device: torch.device) -> bool:
    """Whether float16 is faster than float32 here: on CUDA GPUs with tensor cores, and on Apple's GPUs."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (7, 0)
    return device.type == "mps"


def choose_precision(network: object, device: torch.device, fast: bool) -> torch.dtype:
    """Type for convolutions: float32, or with ``fast`` the fastest of the device.

    On a GPU that is bfloat16, or float16 where the hardware lacks bfloat16; on a processor int8 or bfloat16.
    int8 is for networks that name, in ``int8_parts``, the parts that lose nothing by it, and in
    ``int7_parts`` those for processors without VNNI, where weights have 7 bits. Networks that find other
    objects in half precision say so by ``half_precision = False``.
    """
    if not fast or not getattr(network, "half_precision", True):
        return torch.float32
    integers = device.type == "cpu" and hasattr(network, "int8_parts")
    if integers and has_int8() and requested_compilation(device) is None:
        return torch.int8
    if has_bfloat16(device):
        return torch.bfloat16
    return torch.float16 if has_float16(device) else torch.float32


def dtype_of_maps(precision: torch.dtype) -> torch.dtype:
    """Type of weights and images for a precision of convolutions.

    float16 has a narrow range: autocast uses it for convolutions and products alone.
    """
    return torch.bfloat16 if precision == torch.bfloat16 else torch.float32


class _DefaultType:
    """PyTorch's process-wide default type: float32 while a session computes."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Reset the state in a fork, where nothing runs."""
        self._lock, self._users, self._of_program = Lock(), 0, torch.float32

    @contextmanager
    def single(self) -> Iterator[None]:
        """Context with float32; the last of several threads restores the type."""
        with self._lock:
            if not self._users:
                self._of_program = torch.get_default_dtype()
                torch.set_default_dtype(torch.float32)
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    torch.set_default_dtype(self._of_program)


_DEFAULT_TYPE = _DefaultType()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_DEFAULT_TYPE.reset)


@contextmanager
def own_precision(device: torch.device, precision: torch.dtype = torch.float32) -> Iterator[None]:
    """Context with float32 tensors and autocast for float16 only, independent of the program."""
    half = precision == torch.float16
    mixed = torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)
    with (
        _DEFAULT_TYPE.single(),
        torch.autocast(device.type, torch.float16, enabled=half) if mixed or half else nullcontext(),
    ):
        yield


def inference_copy(
    network: Network,
    device: torch.device,
    precision: torch.dtype,
    forms: Forms = DIRECT,
    compiled: bool = False,
    *,
    inplace: bool = False,
) -> Network:
    """Copy a network for inference: finite weights, folded batch norms, channels last.

    On a processor ``forms`` decide on the form of each convolution, unless its parts are ``compiled``.
    A network with ``fuses = False`` keeps its layers as they are. With ``inplace`` the network itself is
    changed and returned.
    """
    module, dtype = cast(nn.Module, network), dtype_of_maps(precision)
    for name, value in module.state_dict().items():
        if not is_finite(value):
            raise CheckpointError(f"weight {name} of {type(network).__name__} holds NaN or infinity")
    compilation = requested_compilation(device, compiled=compiled)
    release_freed_memory()  # what is held back takes no memory
    with apart_from_heap():
        if not getattr(module, "fuses", True):
            module = module if inplace else deepcopy(module)
            return cast(Network, module.to(device, dtype).eval().requires_grad_(False))
        copy: Any = fold_batch_norms(module, inplace=inplace)
        for part in copy.modules():
            if isinstance(part, Composable):
                part.compose_layers()
        copy = copy.to(device, dtype).to(memory_format=torch.channels_last).eval().requires_grad_(False)
        if compilation is not None:
            compile_parts(copy, compilation)
        elif device.type == "cpu" and can_fuse(dtype) and precision != torch.float16:
            use_fused(copy, forms)
            if precision == torch.int8 and has_int8():
                full = has_full_int8()
                use_int8(copy, copy.int8_parts if full else getattr(copy, "int7_parts", copy.int8_parts))
            if dtype == torch.float32:
                use_fused_linear(copy)
    return cast(Network, copy)
