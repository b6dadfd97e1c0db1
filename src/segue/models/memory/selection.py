"""Select the largest affinities of each query position."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

GROUP = 8
"""Entries per block; top-k selection first keeps the largest of each block."""


def top_k(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Largest ``count`` entries of each row (rows, columns) and their indices, unordered."""
    if torch.jit.is_scripting():  # type: ignore[attr-defined]
        return torch.topk(scores, count, sorted=False)
    else:  # noqa: RET505 - TorchScript compiles everything that is not in this branch
        rows, columns = scores.shape
        groups = columns // GROUP
        if groups <= 2 * count:
            return largest(scores, count)
        # The largest entries lie in at most `count` groups, which are among those with the largest maxima.
        body = scores[:, : groups * GROUP].view(rows, GROUP, groups)
        cells = top_k(body.amax(dim=1), count)[1]
        steps = torch.arange(0, groups * GROUP, groups, device=scores.device)
        rest = torch.arange(groups * GROUP, columns, device=scores.device).expand(rows, -1)
        places = torch.cat([(cells[:, :, None] + steps).flatten(1), rest], dim=1)
        best, within = largest(scores.gather(1, places), count)
        return best, places.gather(1, within)


def largest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Largest ``count`` entries of rows (..., N) and their indices, unordered."""
    if torch.jit.is_scripting():  # type: ignore[attr-defined]
        return torch.topk(scores, count, sorted=False)
    else:  # noqa: RET505 - see above
        if scores.device.type != "cpu":
            return torch.topk(scores, count, sorted=False)
        # NumPy selects values without branches: a read takes half the time of torch.topk.
        values, rest = scores.numpy(), scores.shape[-1] - count
        threshold = np.partition(values, rest)[..., rest, None]
        indices = np.flatnonzero(values >= threshold)
        if len(indices) != threshold.size * count:  # equal values
            indices = np.argpartition(values, rest)[..., rest:]
        places = torch.from_numpy(indices % scores.shape[-1]).view(*scores.shape[:-1], count)
        return scores.gather(-1, places), places


@lru_cache(maxsize=16)
def cell_members(height: int, width: int, device: torch.device) -> Tensor:
    """Positions of every 2x2 cell of a frame with even sides, (height/2 * width/2, 4), int64.

    It is cached for the next frames and must not be changed.
    """
    with torch.inference_mode(False):
        grid = torch.arange(height * width, device=device).view(height // 2, 2, width // 2, 2)
        return grid.transpose(1, 2).reshape(-1, 4)


def distance_bias(places: Tensor, positions: Tensor, radius: int) -> Tensor:
    """Penalties (N, M) of places (N,) and (M,) on an axis: -inf more than a radius apart, else 0; float32."""
    return torch.where((places[:, None] - positions).abs() > radius, -math.inf, 0.0)
