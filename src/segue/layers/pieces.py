"""Process a tensor in parts, and join the parts."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def one_by_one(layer: nn.Module, frames: Tensor) -> list[slice]:
    """Groups of frames that pass a layer together if the layer does not relate frames.

    ``frames``: (B, ...).
    """
    if layer.training or frames.device.type != "cpu" or len(frames) < 2:
        return [slice(None)]
    return [slice(i, i + 1) for i in range(len(frames))]


def cat(parts: list[Tensor], dim: int = 0) -> Tensor:
    """Join the parts of a tensor."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)
