"""Places of a memory that a query position reads, and the values there."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def weighted_rows(index: Tensor, weights: Tensor, values: Tensor) -> Tensor:
    """Sums (Q, C) of the rows ``index`` (Q, k) of (N, C), weighted (Q, k)."""
    return F.embedding_bag(index, values, per_sample_weights=weights.to(values.dtype), mode="sum")


def cell_members(height: int, width: int, frames: int, device: torch.device) -> Tensor:
    """Positions of every 2x2 cell of frames with even sides, (frames * height/2 * width/2, 4), int64."""
    grid = torch.arange(frames * height * width, device=device)
    grid = grid.view(frames, height // 2, 2, width // 2, 2)
    return grid.transpose(2, 3).reshape(-1, 4)


def far_apart(length: int, radius: int, device: torch.device) -> Tensor:
    """-inf where two places on an axis are more than a radius apart, else 0; (length, length), float32."""
    places = torch.arange(length, device=device)
    far = (places[:, None] - places).abs() > radius
    return torch.zeros(far.shape, device=device).masked_fill_(far, -torch.inf)
