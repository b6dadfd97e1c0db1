"""SeqFormer's encoder: deformable self-attention over the feature levels of each frame."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.models.seqformer.attention import DeformableAttention, Levels


def sine_position(valid: Tensor, features: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Sine code of the place in a frame (Deformable DETR, appendix), without any code of time.

    Args:
        valid: (B, h, w), True where the frame is.
        features: channels per axis; even ones are sines, odd ones cosines.

    Returns:
        (B, 2·features, h, w), rows first.
    """
    rows, columns = valid.cumsum(1, dtype=torch.float32), valid.cumsum(2, dtype=torch.float32)
    two_pi = 2 * torch.pi
    y = (rows - 0.5) / (rows[:, -1:] + 1e-6) * two_pi
    x = (columns - 0.5) / (columns[:, :, -1:] + 1e-6) * two_pi
    index = torch.arange(features, dtype=torch.float32, device=valid.device)
    period = 10000 ** (2 * (index / 2).floor() / features)
    code = torch.cat((y[..., None] / period, x[..., None] / period), -1)
    code = torch.stack((code[..., 0::2].sin(), code[..., 1::2].cos()), -1).flatten(-2)
    return code.permute(0, 3, 1, 2).to(dtype)


def reference_points(levels: Levels) -> Tensor:
    """Centre of every token as seen from every level, (B, S, L, 2), in 0..1 of the padded level."""
    valid = levels.valid
    points = []
    for i, (h, w) in enumerate(levels.shapes):
        y = torch.arange(0.5, h, device=valid.device, dtype=valid.dtype)
        x = torch.arange(0.5, w, device=valid.device, dtype=valid.dtype)
        x = x / (valid[:, i, :1] * w)
        y = y / (valid[:, i, 1:] * h)
        grid = (x[:, None, :].expand(-1, h, -1), y[:, :, None].expand(-1, -1, w))
        points.append(torch.stack(grid, -1).flatten(1, 2))
    return torch.cat(points, 1)[:, :, None] * valid[:, None]


class EncoderLayer(nn.Module):
    """Attention inside a frame and a feed-forward network, each added and normalised.

    ``ms_sts`` is the place for MS-STS VIS: a module that relates frames and scales; what it returns is added
    to the attention.
    """

    def __init__(self, width: int, hidden: int, dropout: float, levels: int, heads: int, points: int) -> None:
        super().__init__()
        self.self_attn = DeformableAttention(width, levels, heads, points)
        self.dropout = nn.Dropout(dropout)
        self.norm1 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm2 = nn.LayerNorm(width)
        self.ms_sts: nn.Module | None = None

    def forward(
        self, tokens: Tensor, position: Tensor, references: Tensor, levels: Levels, frames: int = 1
    ) -> Tensor:
        """Refine tokens (B, S, C); ``frames`` neighbours along B belong to one clip."""
        query = tokens + position
        attended = self._attend(query, tokens, references, levels)
        if self.ms_sts is not None:
            attended = attended + self.ms_sts(query.unflatten(0, (-1, frames)), levels).flatten(0, 1)
        tokens = self.norm1(tokens + self.dropout(attended))
        forwarded = self.linear2(self.dropout(F.relu(self.linear1(tokens))))
        refined: Tensor = self.norm2(tokens + self.dropout(forwarded))
        return refined

    def _attend(self, query: Tensor, tokens: Tensor, references: Tensor, levels: Levels) -> Tensor:
        attention = self.self_attn
        values = attention.values(tokens, levels.padding)
        attended: Tensor = attention.output_proj(
            attention.read(*attention.plan(query), references, values, levels)
        )
        return attended


class Encoder(nn.Module):
    """A stack of layers; frames do not see each other unless a layer has ``ms_sts``."""

    def __init__(self, layers: list[EncoderLayer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    @property
    def relates_frames(self) -> bool:
        """Whether the result for a frame depends on the others of its clip."""
        return any(getattr(layer, "ms_sts", None) is not None for layer in self.layers)

    def forward(self, tokens: Tensor, position: Tensor, levels: Levels, frames: int = 1) -> Tensor:
        """Tokens (B, S, C) of B frames, ``frames`` of them a clip → memory (B, S, C).

        ``position`` is (B or 1, S, C), and ``levels`` describes the B frames.
        """
        references = reference_points(levels)
        for layer in self.layers:
            tokens = layer(tokens, position, references, levels, frames)
        return tokens
