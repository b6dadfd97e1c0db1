"""SeqFormer's deformable attention, and its encoder over the feature levels of each frame."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from segue.layers.attention import sample_levels
from segue.layers.linear import ActivatedLinear
from segue.layers.pieces import cat, one_by_one
from segue.layers.positions import sine_code
from segue.utils.devices import to_device


@dataclass(frozen=True)
class Levels:
    """Layout of the tokens of a frame: level by level, row by row."""

    shapes: tuple[tuple[int, int], ...]  # height and width of each level, fine to coarse
    padding: Tensor | None  # (B, S), True on tokens in the padding of a frame; None where nothing is padded
    valid: Tensor  # (B, L, 2), part of the width and of the height of each level that is not padding

    @property
    def areas(self) -> list[int]:
        return [h * w for h, w in self.shapes]

    def repeat(self, times: int) -> Levels:
        """Layout for ``times`` frames of every sample."""
        padding = None if self.padding is None else self.padding.repeat_interleave(times, 0)
        return Levels(self.shapes, padding, self.valid.repeat_interleave(times, 0))

    def of(self, maps: slice) -> Levels:
        """Layout of some maps."""
        return Levels(self.shapes, None if self.padding is None else self.padding[maps], self.valid[maps])


class DeformableAttention(nn.Module):
    """Multi-scale deformable attention; L, M and P as in the paper."""

    def __init__(self, width: int = 256, levels: int = 4, heads: int = 8, points: int = 4) -> None:
        super().__init__()
        self.levels, self.heads, self.points = levels, heads, points
        self.sampling_offsets = ActivatedLinear(width, heads * levels * points * 2)
        self.attention_weights = ActivatedLinear(width, heads * levels * points)
        self.value_proj = ActivatedLinear(width, width)
        self.output_proj = ActivatedLinear(width, width)
        self.output_proj_box = ActivatedLinear(width, width)
        self.watch: Callable[[Tensor, Tensor, Any], None] | None = None  # receives what :meth:`read` reads
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initialise heads to look in M directions, point p at p + 1 pixels, equal weights."""
        angles = torch.arange(self.heads) * (2 * math.pi / self.heads)
        directions = torch.stack((angles.cos(), angles.sin()), -1)
        directions /= directions.abs().amax(-1, keepdim=True)
        steps = torch.arange(1, self.points + 1)[:, None]
        bias = (directions[:, None, None] * steps).expand(-1, self.levels, -1, -1)
        nn.init.zeros_(self.sampling_offsets.weight)
        self.sampling_offsets.bias.copy_(bias.reshape(-1))
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for projection in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def values(self, memory: Tensor, padding: Tensor | None) -> Tensor:
        """Values (B, S, M, D) of memory (B, S, C); zero in the padding (B, S)."""
        values: Tensor = self.value_proj(memory)
        if padding is not None:
            values = values.masked_fill(padding[..., None], 0.0)
        return values.view(*values.shape[:-1], self.heads, -1)

    def plan(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Sampling offsets (..., M, L, P, 2) and weights (..., M, L, P) of queries (..., C)."""
        inner = (self.levels, self.points)
        # Places and shares are kept exact where the rest runs in bfloat16.
        offsets = self.sampling_offsets(query).float().unflatten(-1, (self.heads, *inner, 2))
        weights = self.attention_weights(query).float().unflatten(-1, (self.heads, -1)).softmax(-1)
        return offsets, weights.unflatten(-1, inner)

    def read(
        self, offsets: Tensor, weights: Tensor, references: Tensor, values: Tensor, levels: Levels
    ) -> Tensor:
        """Sample :meth:`values` around reference points, (B, Q, C) before projection.

        References are (B, Q, L, 2) centres x, y or (B, Q, L, 4) with width and height, in 0..1 of the level.
        """
        places = self.places(offsets, references, levels)
        if self.watch is not None:
            self.watch(places.detach(), weights.detach(), levels.shapes)
        return sample_levels(values, levels.shapes, places, weights)

    def places(self, offsets: Tensor, references: Tensor, levels: Levels) -> Tensor:
        """Sampling points, (B, Q, M, L, P, 2), in pixels of each level; 0 is the first pixel's centre."""
        size = torch.tensor([(w, h) for h, w in levels.shapes], dtype=references.dtype)
        size = to_device(size, references.device)
        if references.shape[-1] == 4:
            reach = (references[..., 2:] * size * (0.5 / self.points))[:, :, None, :, None]
            offsets = offsets * reach
        # By axis, and each centre as often as there are points: a processor is slow with few neighbours.
        centre = (references[..., :2] * size - 0.5).movedim(-1, 0)[:, :, :, None, :, None]
        centre = centre.expand(-1, -1, -1, -1, -1, self.points).contiguous()
        return (centre + offsets.movedim(-1, 0)).movedim(0, -1)


def sine_position(valid: Tensor, features: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Sine code (B, 2·features, h, w) of the place in a frame, rows first (Deformable DETR, appendix)."""
    rows, columns = valid.cumsum(1, dtype=torch.float32), valid.cumsum(2, dtype=torch.float32)
    two_pi = 2 * torch.pi
    y = (rows - 0.5) / (rows[:, -1:] + 1e-6) * two_pi
    x = (columns - 0.5) / (columns[:, :, -1:] + 1e-6) * two_pi
    code = torch.cat((sine_code(y, features), sine_code(x, features)), -1)
    return code.permute(0, 3, 1, 2).to(dtype)


def reference_points(levels: Levels) -> Tensor:
    """Centre (B, S, L, 2) of every token in every level, in [0, 1] of the padded level."""
    valid = levels.valid
    points = []
    for i, (h, w) in enumerate(levels.shapes):
        y = torch.arange(0.5, h, device=valid.device, dtype=valid.dtype)
        x = torch.arange(0.5, w, device=valid.device, dtype=valid.dtype)
        x = x / (valid[:, i, :1] * w)
        y = y / (valid[:, i, 1:] * h)
        grid = torch.broadcast_tensors(x[:, None], y[:, :, None])
        points.append(torch.stack(grid, -1).flatten(1, 2))
    return torch.cat(points, 1)[:, :, None] * valid[:, None]


class EncoderLayer(nn.Module):
    """Attention within a frame and a feed-forward network, each with residual and norm."""

    def __init__(self, width: int, hidden: int, dropout: float, levels: int, heads: int, points: int) -> None:
        super().__init__()
        self.self_attn = DeformableAttention(width, levels, heads, points)
        self.dropout = nn.Dropout(dropout)
        self.norm1 = nn.LayerNorm(width)
        self.linear1 = ActivatedLinear(width, hidden, "relu")
        self.linear2 = ActivatedLinear(hidden, width)
        self.norm2 = nn.LayerNorm(width)
        self.ms_sts: nn.Module | None = None

    def forward(
        self,
        tokens: Tensor,
        position: Tensor,
        references: Tensor,
        levels: Levels,
        frames: int = 1,
    ) -> Tensor:
        """Refine tokens (B, S, C); ``frames`` neighbours along B belong to one clip."""
        position = position.expand_as(tokens)
        parts = one_by_one(self, tokens)
        attended = cat(
            [
                self._attended(tokens[part], position[part], references[part], levels.of(part))
                for part in parts
            ]
        )
        if self.ms_sts is not None:
            query = (tokens + position).unflatten(0, (-1, frames))
            attended = self.ms_sts(query, levels).flatten(0, 1).add_(attended)
        return cat([self._forwarded(tokens[part], attended[part]) for part in parts])

    def _attended(self, tokens: Tensor, position: Tensor, references: Tensor, levels: Levels) -> Tensor:
        """Attention output of tokens (B, S, C) within their frames, (B, S, C)."""
        attention = self.self_attn
        values = attention.values(tokens, levels.padding)
        sampling_plan = attention.plan(tokens + position)
        return attention.output_proj(attention.read(*sampling_plan, references, values, levels))

    def _forwarded(self, tokens: Tensor, attended: Tensor) -> Tensor:
        """Add the attention output to tokens (B, S, C) and apply the feed-forward network, (B, S, C)."""
        tokens = self.norm1(tokens + self.dropout(attended))
        forwarded = self.linear2(self.dropout(self.linear1(tokens)))
        return self.norm2(tokens + self.dropout(forwarded))


class Encoder(nn.Module):
    """A stack of layers; frames are independent unless a layer has ``ms_sts``."""

    def __init__(self, layers: list[EncoderLayer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, tokens: Tensor, position: Tensor, levels: Levels, frames: int = 1) -> Tensor:
        """Memory (B, S, C) of tokens (B, S, C) of B frames, ``frames`` of them a clip."""
        references = reference_points(levels)
        for layer in self.layers:
            tokens = layer(tokens, position, references, levels, frames)
        return tokens
