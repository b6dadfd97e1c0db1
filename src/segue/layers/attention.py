"""Attention: dense reading of a memory, self-attention, and deformable sampling.

Deformable attention (Zhu et al., "Deformable DETR", ICLR 2021, section 4.1) is sampled without compiled code:
the output of a query is a weighted sum of values that are read, bilinearly and with zeros outside, at a few
points of each feature level.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.pieces import cat
from segue.utils.devices import to_device

Similarity = Literal["l2", "dot"]


def affinity(memory_key: Tensor, query_key: Tensor, similarity: Similarity) -> Tensor:
    """Similarity of every memory position to every query position, in float32.

    ``l2`` is the negative squared distance without the term ``|q|²``, which is the same for all memory
    positions and vanishes in the softmax (STCN, section 3.3); ``dot`` is the dot product (STM, section 3.2).
    Keys (..., C, N) and (..., C, P), whose leading dimensions broadcast, give (..., N, P).
    """
    with torch.autocast(memory_key.device.type, enabled=False):
        memory, query = memory_key.float(), query_key.float()
        scores = memory.transpose(-1, -2) @ query
        if similarity == "l2":
            scores = 2 * scores - memory.square().sum(-2).unsqueeze(-1)
        return scores / math.sqrt(memory.shape[-2])


def anisotropic_affinity(
    memory_key: Tensor, query_key: Tensor, shrinkage: Tensor | None = None, selection: Tensor | None = None
) -> Tensor:
    """Similarity of XMem and Cutie (XMem, section 3.4), in float32; never above 0 with a selection.

    ``memory_key``: (..., C, N); ``query_key``: (..., C, P); ``shrinkage``: factor of each memory position,
    (..., 1, N); ``selection``: weight of each channel at each query position, (..., C, P); returns (..., N,
    P).
    """
    with torch.autocast(memory_key.device.type, enabled=False):
        memory, query = memory_key.float(), query_key.float()
        if selection is None:
            scores = affinity(memory, query, "l2")
        else:
            selection_float = selection.float()
            squares = memory.square().transpose(-1, -2) @ selection_float
            products = memory.transpose(-1, -2) @ (query * selection_float)
            constant = (selection_float * query.square()).sum(-2, keepdim=True)
            scores = (2 * products - squares - constant) / math.sqrt(memory.shape[-2])
        return scores if shrinkage is None else scores * shrinkage.float().transpose(-1, -2)


def attend(scores: Tensor, top_k: int | None = None) -> Tensor:
    """Softmax over the memory positions, (..., N, P) → (..., N, P), of the ``top_k`` best or all of them."""
    if top_k is None or top_k >= scores.shape[-2]:
        return torch.softmax(scores, dim=-2)
    best, positions = scores.topk(top_k, dim=-2, sorted=False)
    return torch.zeros_like(scores).scatter(-2, positions, torch.softmax(best, dim=-2))


def read(weights: Tensor, values: Tensor) -> Tensor:
    """Weighted sum of values, weights (..., N, P) and values (..., V, N) → (..., V, P), in float32."""
    with torch.autocast(values.device.type, enabled=False):
        return values.float() @ weights


class SelfAttention(nn.Module):
    """Self-attention among the n items of (B, n, C), without residual or norm."""

    def __init__(self, width: int, heads: int = 8, qkv_bias: bool = False) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width is {width}; it must be a multiple of the {heads} heads")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.proj(attended)


QUERIES = 1024
"""Queries processed at a time on a CPU without gradients: rows and weights for all of them would take many
times the memory of what they read."""

Shapes = Sequence[tuple[int, int]]  # height and width of each feature level, fine to coarse


def sample_levels(values: Tensor, shapes: Shapes, points: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of bilinear samples, one batch element after the other.

    ``values``: (B, S, M, D), the levels flattened row by row and joined, M heads of D channels; ``points``:
    (B, Q, M, L, P, 2), x before y in pixels of the level; ``weights``: (B, Q, M, L, P); returns (B, Q, M·D),
    heads joined in order.
    """
    corners = Corners(shapes, values.shape[2], weights.shape[-1], values.device)
    in_one_pass = torch.is_grad_enabled() or values.device.type != "cpu"
    size = max(points.shape[1], 1) if in_one_pass else QUERIES
    read = []
    # An element at a time keeps the indices in the cache and the memory flat in the number of frames.
    for element, places, shares in zip(values, points, weights, strict=True):
        table = _bordered(element, shapes)
        parts = zip(places.split(size), shares.split(size), strict=True)
        read.append(cat([_read_table(table, corners, *part) for part in parts])[None])
    return cat(read)


def _bordered(values: Tensor, shapes: Shapes) -> Tensor:
    """Pad the levels of an image (S, M, D) with zeros, and return rows (S', D) of heads."""
    areas = [(h + 3) * (w + 3) for h, w in shapes]
    table = values.new_empty(sum(areas), values.shape[1] * values.shape[2])
    maps = torch.split(values, [h * w for h, w in shapes])
    for (h, w), level, area, end in zip(shapes, maps, areas, itertools.accumulate(areas), strict=True):
        rows = table[end - area : end].view(h + 3, w + 3, -1)
        for border in (rows[:1], rows[h + 1 :], rows[1 : h + 1, :1], rows[1 : h + 1, w + 1 :]):
            border.zero_()
        rows[1 : h + 1, 1 : w + 1] = level.reshape(h, w, -1)
    return table.view(-1, values.shape[2])


def _read_table(table: Tensor, corners: Corners, points: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums (Q, M·D) of samples at points (Q, M, L, P, 2) with weights (Q, M, L, P)."""
    rows, shares = (part.flatten(0, 1).flatten(1) for part in corners.of(points, weights.to(table.dtype)))
    return F.embedding_bag(rows, table, mode="sum", per_sample_weights=shares).view(len(points), -1)


class Corners:
    """Finds the four pixels around points, in a table of levels with a border."""

    def __init__(self, shapes: Shapes, heads: int, count: int, device: torch.device) -> None:
        steps = [(w + 3) * heads for _, w in shapes]  # from a row of a level to the next
        areas = [(h + 3) * step for (h, _), step in zip(shapes, steps, strict=True)]
        begins = [sum(areas[:i]) + step + heads for i, step in enumerate(steps)]
        sizes = [w for _, w in shapes], [h for h, _ in shapes]
        corner_offsets = [
            [step * down + heads * right for step in steps] for down in (0, 1) for right in (0, 1)
        ]
        # A number for each point, not each level: a processor is slow with few neighbouring numbers.
        rows = [*sizes, steps, begins, *corner_offsets]
        numbers = to_device(torch.tensor(rows, dtype=torch.int32), device)
        of_head = numbers.repeat_interleave(count, 1)
        *limits, self._steps, begin = of_head[:4].repeat(1, heads)
        self._limits = [limit.float() for limit in limits]
        self._begins = begin + torch.arange(heads, dtype=torch.int32, device=device).repeat_interleave(
            of_head.shape[1]
        )
        self._corner_offsets = of_head[4:]
        self._heads = heads

    def of(self, points: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (Q, M, 4, L, P) of the pixels around each point, and the weight of each.

        ``points``: where the queries look, (Q, M, L, P, 2), x before y, in pixels of their level;
        ``weights``: weight of each point, (Q, M, L, P).
        """
        # Farther out all four pixels lie in the border, where value and slope are zero.
        places = [
            points[..., axis].flatten(1).clamp(min=-1).clamp(max=limit.to(points.dtype))
            for axis, limit in enumerate(self._limits)
        ]
        left, top = (place.detach().floor() for place in places)
        x, y = (
            (place - corner).to(weights.dtype).view(weights.shape)
            for place, corner in zip(places, (left, top), strict=True)
        )
        first = torch.addcmul(self._begins, top.to(torch.int32), self._steps)
        first.add_(left.to(torch.int32), alpha=self._heads)
        rows = first.view(len(first), self._heads, 1, -1) + self._corner_offsets
        lower = y * weights
        upper = weights - lower
        lower_right, upper_right = x * lower, x * upper
        shares = torch.stack((upper - upper_right, upper_right, lower - lower_right, lower_right), 2)
        return rows.view(shares.shape), shares


def splat(points: Tensor, weights: Tensor, size: tuple[int, int]) -> Tensor:
    """Draw weighted points as maps: the weight of each is shared by the four pixels around it.

    ``points``: (..., n, 2), x before y, in pixels; ``weights``: (..., n); returns (..., h, w).
    """
    height, width = size
    corners = Corners([size], 1, weights.shape[-1], points.device)
    rows, shares = corners.of(
        points.reshape(-1, 1, 1, *points.shape[-2:]), weights.reshape(-1, 1, 1, weights.shape[-1])
    )
    maps = points.new_zeros(len(rows), (height + 3) * (width + 3))
    maps.scatter_add_(1, rows.flatten(1).long(), shares.flatten(1))
    return maps.view(*points.shape[:-2], height + 3, width + 3)[..., 1:-2, 1:-2]
