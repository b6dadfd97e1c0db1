"""The largest affinities of each query position, and the values there."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

GROUP = 8
"""Entries of a block of which top-k selection first keeps only the largest."""


def top_k(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` largest entries of each row (rows, columns) and their places, in no particular order."""
    rows, columns = scores.shape
    groups = columns // GROUP
    if groups <= 2 * count:
        places = places_of_largest(scores, count)
        return scores.gather(1, places), places
    # The largest entries lie in at most `count` groups, which are among those with the largest maxima.
    body = scores[:, : groups * GROUP].view(rows, GROUP, groups)
    chosen = top_k(body.amax(dim=1), count)[1]
    steps = torch.arange(0, groups * GROUP, groups, device=scores.device)
    places = (chosen[:, :, None] + steps).flatten(1)
    if groups * GROUP < columns:
        rest = torch.arange(groups * GROUP, columns, device=scores.device)
        places = torch.cat([places, rest.expand(rows, -1)], dim=1)
    candidates = scores.gather(1, places)
    within = places_of_largest(candidates, count)
    return candidates.gather(1, within), places.gather(1, within)


def places_of_largest(scores: Tensor, count: int) -> Tensor:
    """Places (..., count), int64, of the largest entries of rows (..., N), in no particular order."""
    if scores.device.type != "cpu":
        return torch.topk(scores, count, sorted=False).indices
    # NumPy selects values without branches, several times as fast as places, on either side.
    values, rest = scores.numpy(), scores.shape[-1] - count
    least = np.partition(values, rest)[..., rest, None]
    places = np.flatnonzero(values >= least)
    if len(places) != least.size * count:  # equal values
        return torch.from_numpy(np.argpartition(values, rest)[..., rest:])
    return torch.from_numpy(places % scores.shape[-1]).view(*scores.shape[:-1], count)


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
