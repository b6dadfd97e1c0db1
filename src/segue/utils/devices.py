"""Copy tensors between devices without needless waits, and check for finite values."""

from __future__ import annotations

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Upload a tensor, without waiting for a GPU."""
    if device.type in ("cpu", "mps") or tensor.device.type != "cpu":
        return tensor.to(device)
    # PyTorch gives pinned memory to nobody else before the copies from it are done.
    return tensor.pin_memory().to(device, non_blocking=True)


def to_cpu(*tensors: Tensor) -> list[Tensor]:
    """Download tensors, and wait for the device once."""
    copies = []
    for number, tensor in enumerate(tensors, start=1):
        # Apple's GPU may write into memory that was freed meanwhile (PyTorch issue 139550).
        waits = number == len(tensors) or tensor.is_mps
        copies.append(tensor.to("cpu", non_blocking=not waits))
    return copies


def is_finite(tensor: Tensor) -> bool:
    """Whether a tensor contains no NaN or infinity."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    # Both pass into the extremes, which need no map of the size of the tensor.
    return all(bool(extreme.isfinite()) for extreme in tensor.aminmax())
