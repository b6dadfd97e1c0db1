"""Cutie's object transformer: queries and pixels of an object attend to each other.

Cheng et al., "Putting the Object Back into Video Object Segmentation" (CVPR 2024), sections 3.2 and 3.3;
names and shapes of the layers are those of the release.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.activated import ActivatedConv2d
from segue.models.geometry import aggregate_logits

WIDTH = 256
QUERIES = 16
"""Number of queries per object; the first half attends to the object, the second to the rest of the image."""

HEADS = 8
BLOCKS = 3
HIDDEN = 2048
TEMPERATURE, SCALE = 128.0, 32.0
AREA_EPSILON = 1e-4
"""Added to the area that a summary was pooled over."""


def inverse_frequencies(channels: int) -> Tensor:
    """Frequencies of the position encoding of one axis."""
    return TEMPERATURE ** -(torch.arange(0, channels, 2).float() / channels)


@lru_cache(maxsize=4)
def position_encoding(height: int, width: int, device: torch.device) -> Tensor:
    """Sine code (height, width, 256) of positions: 128 channels for columns, 128 for rows."""
    frequencies = inverse_frequencies(WIDTH // 2).to(device)

    def encoded(count: int) -> Tensor:
        places = torch.arange(count, device=device).float() / (count - 1 + 1e-6) * SCALE
        angles = places[:, None] * frequencies
        return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)

    columns = encoded(width)[None].expand(height, -1, -1)
    rows = encoded(height)[:, None].expand(-1, width, -1)
    return torch.cat([columns, rows], -1)


class PositionEncoding(nn.Module):
    """Frequencies from the release's files; constants that must not be cast."""

    inv_freq: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("inv_freq", inverse_frequencies(WIDTH // 2))

    def forward(self, height: int, width: int, like: Tensor) -> Tensor:
        """(h*w, 256) in the type of ``like``."""
        return position_encoding(height, width, like.device).flatten(0, 1).to(like.dtype)


class CAResBlock(nn.Module):
    """A residual block whose residual is scaled, channel by channel, by a gate of its channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ActivatedConv2d.rectified(channels, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv = nn.Conv1d(1, 1, 5, padding=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → the same."""
        residual: Tensor = self.conv2(self.conv1(F.relu(x)))
        gate = self.conv(residual.mean((2, 3))[:, None]).sigmoid()
        return torch.addcmul(x, residual, gate.transpose(1, 2)[..., None])


class CrossAttention(nn.Module):
    """Cross-attention with a residual from the normalised, or original, input."""

    def __init__(self, name: str, *, norm: bool = True) -> None:
        super().__init__()
        self.add_module(name, nn.MultiheadAttention(WIDTH, HEADS, batch_first=True))
        self.norm = nn.LayerNorm(WIDTH) if norm else None
        self._name = name

    def forward(
        self,
        x: Tensor,
        xe: Tensor,
        y: Tensor | None = None,
        ye: Tensor | None = None,
        allowed: Tensor | None = None,
    ) -> Tensor:
        """Attend from tokens and positions (N, n, C) to others (N, m, C) or themselves; returns (N, n, C)."""
        x = x if self.norm is None else self.norm(x)
        y, ye = (x, xe) if y is None or ye is None else (y, ye)
        # Masks of one head after the other; True is excluded.
        masked = None if allowed is None else ~allowed.repeat_interleave(HEADS, 0)
        attention = self.get_submodule(self._name)
        attended, _ = attention(x + xe, y + ye, y, attn_mask=masked, need_weights=False)
        return x + attended


class FeedForward(nn.Module):
    """Two linear layers with a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.linear1 = nn.Linear(WIDTH, HIDDEN)
        self.linear2 = nn.Linear(HIDDEN, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, C) to the same."""
        return x + self.linear2(F.relu(self.linear1(self.norm(x))))


class Block(nn.Module):
    """Queries attend to pixels and each other, then pixels attend to queries."""

    def __init__(self) -> None:
        super().__init__()
        self.read_from_pixel = CrossAttention("cross_attn")
        self.self_attn = CrossAttention("self_attn")
        self.ffn = FeedForward()
        self.read_from_query = CrossAttention("cross_attn", norm=False)
        self.pixel_ffn = nn.Sequential(OrderedDict(conv=CAResBlock(WIDTH)))

    def forward(self, x: Tensor, y: Tensor, xe: Tensor, pe: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        """Update queries (B, 16, 256) and pixels (B, 256, h, w); ``allowed`` is (B, 16, h*w)."""
        pixels = y.flatten(2).transpose(1, 2)
        x = self.ffn(self.self_attn(self.read_from_pixel(x, xe, pixels, pe, allowed), xe))
        pixels = self.read_from_query(pixels, pe, x, xe)
        return x, self.pixel_ffn(pixels.transpose(1, 2).view(y.shape))


class ObjectTransformer(nn.Module):
    """Adds object-level information to the pixel readout."""

    def __init__(self) -> None:
        super().__init__()
        self.query_init = nn.Embedding(QUERIES, WIDTH)
        self.query_emb = nn.Embedding(QUERIES, WIDTH)
        self.summary_to_query_init = nn.Linear(WIDTH, WIDTH)
        self.summary_to_query_emb = nn.Linear(WIDTH, WIDTH)
        self.pixel_init_proj = nn.Conv2d(WIDTH, WIDTH, 1)
        self.pixel_emb_proj = nn.Conv2d(WIDTH, WIDTH, 1)
        self.spatial_pe = PositionEncoding()
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.mask_pred = nn.ModuleList(
            nn.Sequential(nn.ReLU(), nn.Conv2d(WIDTH, 1, 1)) for _ in range(BLOCKS + 1)
        )

    def forward(
        self,
        pixel: Tensor,
        summaries: Tensor,
        selector: Tensor | None = None,
        parts: Sequence[slice] = (slice(None),),
    ) -> tuple[Tensor, Tensor]:
        """Let queries and pixels ([B,] K, 256, h, w) of the objects of frames look at one another.

        ``summaries``: ([B,] K, 16, 257); ``selector``: ([B,] K), 0 for empty places; ``parts``: objects that
        go through together. Returns features of the same shape and mask logits ([B,] K, 4, h, w).
        """
        lead = pixel.shape[:-3]
        flat = pixel.flatten(0, -4)
        x, xe = self.queries(summaries.flatten(0, -3).to(flat.dtype))
        y, pe = self.pixel_init_proj(flat), self.pixel_embedding(flat)
        logits = [self.mask_pred[0](y)]
        for block, predict in zip(self.blocks, self.mask_pred[1:], strict=True):
            last_logits = logits[-1].view(*lead, *flat.shape[-2:])
            allowed = attention_mask(last_logits, selector).flatten(0, -3)
            done = [block(x[part], y[part], xe[part], pe[part], allowed[part]) for part in parts]
            x, y = (torch.cat(pieces) if len(pieces) > 1 else pieces[0] for pieces in zip(*done, strict=True))
            logits.append(predict(y))
        steering = torch.cat(logits, 1)
        return y.view(pixel.shape), steering.view(*lead, *steering.shape[1:])

    def queries(self, summaries: Tensor) -> tuple[Tensor, Tensor]:
        """First queries and their embeddings, (B, 16, 256) each, of summaries (B, 16, 257)."""
        means = summaries[..., :-1] / (summaries[..., -1:] + AREA_EPSILON)
        x = self.query_init.weight + self.summary_to_query_init(means)
        return x, self.query_emb.weight + self.summary_to_query_emb(means)

    def pixel_embedding(self, pixel: Tensor) -> Tensor:
        """Embeddings of the pixels (B, 256, h, w), (B, h*w, 256)."""
        height, width = pixel.shape[-2:]
        place = self.spatial_pe(height, width, pixel)
        return place + self.pixel_emb_proj(pixel).flatten(2).transpose(1, 2)


def attention_mask(logits: Tensor, selector: Tensor | None = None) -> Tensor:
    """Attention mask: half of the queries see their object's pixels, the rest the others."""
    with torch.no_grad():
        probability = logits.float().sigmoid()
        if selector is not None:
            probability = probability * selector[..., None, None]
        odds = aggregate_logits(probability)
        is_foreground = (odds[..., 1:, :, :] >= odds.amax(-3, keepdim=True)).flatten(-2)[..., None, :]
        half = *is_foreground.shape[:-2], QUERIES // 2, -1
        allowed = torch.cat([is_foreground.expand(half), (~is_foreground).expand(half)], -2)
        return allowed | ~allowed.any(-1, keepdim=True)
