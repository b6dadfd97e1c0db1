"""The largest affinities of each query position, and the values there."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def largest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest entries (..., count) of rows (..., N) and their places, int64, in no particular order."""
    if scores.device.type != "cpu":
        best, places = scores.topk(count, sorted=False)
        return best, places
    # NumPy selects values without branches, faster than torch.topk selects places.
    values, rest = scores.numpy(), scores.shape[-1] - count
    least = np.partition(values, rest)[..., rest, None]
    found = np.flatnonzero(values >= least)
    if len(found) == least.size * count:
        places = torch.from_numpy(found % scores.shape[-1]).view(*scores.shape[:-1], count)
    else:  # equal values
        places = torch.from_numpy(np.argpartition(values, rest)[..., rest:])
    return scores.gather(-1, places), places


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
