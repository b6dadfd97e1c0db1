"""Sampling of deformable attention without compiled code.

Zhu et al., "Deformable DETR" (ICLR 2021), section 4.1: the output of a query is a weighted sum of values that
are read, bilinearly and with zeros outside, at a few points of each feature level.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Shapes = Sequence[tuple[int, int]]
"""Height and width of each feature level, fine to coarse."""


def sample_levels(values: Tensor, shapes: Shapes, points: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of bilinear samples, one batch element after the other.

    All corners of all points are rows of one table per element, whose maps have a border of zeros, so that a
    single ``embedding_bag`` reads, weighs and adds them; there are gradients for all inputs, but no second
    derivatives.

    Args:
        values: (B, S, M, D), the levels flattened row by row and joined, M heads of D channels.
        shapes: sizes of the L levels; S is the sum of their areas.
        points: (B, Q, M, L, P, 2), x before y in pixels of the level; 0 is the centre of the first pixel.
        weights: (B, Q, M, L, P).

    Returns:
        (B, Q, M·D), heads joined in order.
    """
    # An element at a time keeps the indices in the cache and the memory flat in the number of frames.
    return torch.stack([_sample(*element, shapes) for element in zip(values, points, weights, strict=True)])


def _sample(values: Tensor, points: Tensor, weights: Tensor, shapes: Shapes) -> Tensor:
    queries, heads = weights.shape[:2]
    rows, corner_weights = _corners(points, weights.to(values.dtype), shapes, heads)
    table = _bordered(values, shapes)
    read = F.embedding_bag(
        rows.view(queries * heads, -1),
        table,
        mode="sum",
        per_sample_weights=corner_weights.view(queries * heads, -1),
    )
    return read.view(queries, -1)


def _bordered(values: Tensor, shapes: Shapes) -> Tensor:
    """Values (S, M, D) as rows of (h + 3) x (w + 3) maps, zeros around each: (rows · M, D)."""
    maps = torch.split(values, [h * w for h, w in shapes])
    tables = []
    for (h, w), level in zip(shapes, maps, strict=True):
        padded = F.pad(level.reshape(h, w, -1), (0, 0, 1, 2, 1, 2))
        tables.append(padded.view(-1, values.shape[-1]))
    return torch.cat(tables)


def _corners(points: Tensor, weights: Tensor, shapes: Shapes, heads: int) -> tuple[Tensor, Tensor]:
    """Rows (Q, M, L, P, 4) of the four pixels around each point, and the weight of each."""
    device = points.device
    sizes = torch.tensor([(w, h) for h, w in shapes], device=device)
    strides = sizes[:, :1] + 3
    areas = [(h + 3) * (w + 3) for h, w in shapes]
    starts = torch.tensor([sum(areas[:i]) for i in range(len(areas))], device=device)[:, None]
    # Farther out all four pixels lie in the border, where value and slope are zero.
    inside = torch.minimum(points.clamp(min=-1), sizes[:, None].to(points))
    corner = inside.detach().floor()
    x, y = (inside - corner).to(weights.dtype).unbind(-1)
    column, row = corner.to(torch.int32).unbind(-1)
    position = (row + 1) * strides.to(torch.int32) + column + (starts + 1).to(torch.int32)
    first = position * heads + torch.arange(heads, dtype=torch.int32, device=device)[:, None, None]
    below = first + (strides * heads).to(torch.int32)
    lower = y * weights
    upper = weights - lower
    lower_right, upper_right = x * lower, x * upper
    rows = torch.stack((first, first + heads, below, below + heads), -1)
    return rows, torch.stack((upper - upper_right, upper_right, lower - lower_right, lower_right), -1)


def sample_levels_plainly(values: Tensor, shapes: Shapes, points: Tensor, weights: Tensor) -> Tensor:
    """The same as :func:`sample_levels`, by grid sampling level after level: the readable reference."""
    batch, queries, heads, _, count = weights.shape
    maps = torch.split(values, [h * w for h, w in shapes], dim=1)
    total = values.new_zeros(batch * heads, values.shape[-1], queries)
    for i, (h, w) in enumerate(shapes):
        level = maps[i].permute(0, 2, 3, 1).reshape(batch * heads, -1, h, w)
        at = points[:, :, :, i].transpose(1, 2).reshape(batch * heads, queries, count, 2)
        grid = (2 * at + 1) / at.new_tensor((w, h)) - 1
        read = F.grid_sample(level, grid, align_corners=False)
        share = weights[:, :, :, i].transpose(1, 2).reshape(batch * heads, 1, queries, count)
        total = total + (read * share).sum(-1)
    return total.view(batch, -1, queries).transpose(1, 2)
