"""Multi-scale deformable attention as SeqFormer uses it, inside frames and from queries to frames."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.deformable import sample_levels


@dataclass(frozen=True)
class Levels:
    """How the tokens of a frame are laid out.

    Attributes:
        shapes: height and width of each level, fine to coarse; tokens are level by level, row by row.
        padding: (B, S), True on tokens that lie in the padding of a frame; None where nothing is padded.
        valid: (B, L, 2), part of the width and of the height of each level that is not padding.
    """

    shapes: tuple[tuple[int, int], ...]
    padding: Tensor | None
    valid: Tensor

    @property
    def areas(self) -> list[int]:
        """Tokens of each level."""
        return [h * w for h, w in self.shapes]

    def repeat(self, times: int) -> Levels:
        """The same layout for each of ``times`` frames of every sample."""
        padding = None if self.padding is None else self.padding.repeat_interleave(times, 0)
        return Levels(self.shapes, padding, self.valid.repeat_interleave(times, 0))


class DeformableAttention(nn.Module):
    """Attention that reads each query's few points of every level.

    Args:
        width: channels of queries and memory.
        levels, heads, points: L, M and P of the paper.
    """

    def __init__(self, width: int = 256, levels: int = 4, heads: int = 8, points: int = 4) -> None:
        super().__init__()
        self.levels, self.heads, self.points = levels, heads, points
        self.sampling_offsets = nn.Linear(width, heads * levels * points * 2)
        self.attention_weights = nn.Linear(width, heads * levels * points)
        self.value_proj = nn.Linear(width, width)
        self.output_proj = nn.Linear(width, width)
        self.output_proj_box = nn.Linear(width, width)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Start with heads that look in M directions, point p at p + 1 pixels, all weighted alike."""
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
        """What can be read, (B, S, C) → (B, S, M, D); zero in the padding."""
        values: Tensor = self.value_proj(memory)
        if padding is not None:
            values = values.masked_fill(padding[..., None], 0.0)
        return values.view(*values.shape[:-1], self.heads, -1)

    def plan(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Offsets (..., M, L, P, 2) and weights (..., M, L, P) that queries (..., C) ask for."""
        # One product for both saves a pass over the queries.
        weight = torch.cat((self.sampling_offsets.weight, self.attention_weights.weight))
        bias = torch.cat((self.sampling_offsets.bias, self.attention_weights.bias))
        asked = F.linear(query, weight, bias)
        count = self.heads * self.levels * self.points
        # Places and shares are kept exact where the rest runs in bfloat16.
        offsets, logits = torch.split(asked.float(), [2 * count, count], -1)
        weights = logits.unflatten(-1, (self.heads, -1)).softmax(-1)
        inner = (self.levels, self.points)
        return offsets.unflatten(-1, (self.heads, *inner, 2)), weights.unflatten(-1, inner)

    def read(
        self, offsets: Tensor, weights: Tensor, references: Tensor, values: Tensor, levels: Levels
    ) -> Tensor:
        """Read the values around reference points.

        Args:
            offsets, weights: of :meth:`plan`, (B, Q, M, L, P, 2) and (B, Q, M, L, P).
            references: (B, Q, L, 2) centres x, y or (B, Q, L, 4) with width and height, in 0..1 of the level.
            values: of :meth:`values`.
            levels: layout of the B frames.

        Returns:
            (B, Q, C), before any output projection.
        """
        size = references.new_tensor([(w, h) for h, w in levels.shapes])
        centre = (references[..., :2] * size - 0.5)[:, :, None, :, None]
        if references.shape[-1] == 4:
            reach = (references[..., 2:] * size * (0.5 / self.points))[:, :, None, :, None]
            offsets = offsets * reach
        return sample_levels(values, levels.shapes, centre + offsets, weights)
