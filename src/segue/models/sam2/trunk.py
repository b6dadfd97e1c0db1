"""Image encoder of SAM 2: the trunk Hiera (Ryali et al., ICML 2023, arXiv 2306.00989) and the neck.

Names of parameters are those of the release. The trunk works on maps with the channels last. Tokens that fill
up a window take part in its attention, as in the release.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.linear import ActivatedLinear, Perceptron
from segue.layers.positions import sine_code
from segue.layers.windows import from_windows, to_windows
from segue.models.sam2.sizes import TrunkSize

NECK_CHANNELS = 256
EPSILON = 1e-6
"""Added to the variance in the norms of the trunk."""

STRIP = 2048
"""Tokens of a map that go through a block at once on a processor."""


class WindowAttention(nn.Module):
    """Multi-head attention inside each window of a map; queries may be pooled 2x2."""

    def __init__(self, cin: int, cout: int, heads: int, window: int, pool: bool) -> None:
        super().__init__()
        self.qkv = ActivatedLinear(cin, 3 * cout)
        self.proj = ActivatedLinear(cout, cout)
        self._heads, self._window, self._pool = heads, window, pool

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, cin) to (B, H, W, cout), or half the height and width with pooling."""
        height, width = x.shape[1:3]
        window = self._window
        rows, columns = (-height % window, -width % window) if window else (0, 0)
        if rows or columns:
            x = F.pad(x, (0, 0, 0, columns, 0, rows))
        if window:
            x = to_windows(x, window)
        batch, h, w = x.shape[:3]
        query, key, value = self.qkv(x).unflatten(-1, (3, self._heads, -1)).unbind(3)
        if self._pool:
            query = pooled(query.flatten(3)).unflatten(-1, (self._heads, -1))
            h, w, height, width, rows, columns = (n // 2 for n in (h, w, height, width, rows, columns))
        q, k, v = (part.flatten(1, 2).transpose(1, 2) for part in (query, key, value))
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, h, w, -1)
        if window:
            attended = from_windows(attended, (height + rows, width + columns))[:, :height, :width]
        return self.proj(attended)


def pooled(x: Tensor) -> Tensor:
    """Max-pool 2x2. ``x``: (B, H, W, C), sides even; returns (B, H/2, W/2, C)."""
    rows = torch.maximum(x[:, 0::2], x[:, 1::2])
    return torch.maximum(rows[:, :, 0::2], rows[:, :, 1::2])


class Block(nn.Module):
    """Attention and MLP with norms and residuals; the first of a stage widens and pools.

    On a processor a map goes through in strips of whole windows, to stay in the cache.
    """

    def __init__(self, cin: int, cout: int, heads: int, window: int) -> None:
        super().__init__()
        self._window = window
        self.norm1 = nn.LayerNorm(cin, EPSILON)
        self.attn = WindowAttention(cin, cout, heads, window, pool=cin != cout)
        self.norm2 = nn.LayerNorm(cout, EPSILON)
        self.mlp = Perceptron((cout, 4 * cout, cout), "gelu")
        if cin != cout:
            self.proj = ActivatedLinear(cin, cout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, cin) to (B, H, W, cout), or to half the height and width if it pools."""
        if x.device.type != "cpu":
            return self.transform(self.attend(x))
        if not self._window:  # the attention is over the whole map
            return torch.cat([self.transform(strip) for strip in strips(self.attend(x), 1)], 1)
        return torch.cat([self.transform(self.attend(strip)) for strip in strips(x, self._window)], 1)

    def attend(self, x: Tensor) -> Tensor:
        """Attention with its residual (B, h, w, C), pooled in the first block of a stage."""
        normed = self.norm1(x)
        if hasattr(self, "proj"):
            x = pooled(self.proj(normed))
        return x + self.attn(normed)

    def transform(self, x: Tensor) -> Tensor:
        """MLP with its residual. ``x``: (B, h, w, C); returns (B, h, w, C)."""
        return x + self.mlp(self.norm2(x))


def strips(x: Tensor, window: int) -> Sequence[Tensor]:
    """Split a map (B, H, W, C) into whole rows of windows, (B, h, W, C), of about ``STRIP`` tokens."""
    rows = max(STRIP // (x.shape[2] * window), 1) * window
    return x.split(rows, 1)


class Hiera(nn.Module):
    """Trunk from images to four maps at strides 4, 8, 16 and 32."""

    def __init__(self, size: TrunkSize) -> None:
        super().__init__()
        self.size = size
        # Overlapping patches of stride 4.
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, size.width, 7, stride=4, padding=3)})
        self.pos_embed = nn.Parameter(torch.zeros(1, size.width, size.grid, size.grid))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, size.width, size.windows[0], size.windows[0]))
        blocks: list[Block] = []
        previous = size.width
        for stage, count in enumerate(size.blocks):
            width = size.widths[stage]
            for _ in range(count):
                # The block that changes the stage still has the windows of the stage before.
                window = size.windows[stage if previous == width else stage - 1]
                if len(blocks) in size.global_blocks:
                    window = 0
                blocks.append(Block(previous, width, size.heads * 2**stage, window))
                previous = width
        self.blocks = nn.ModuleList(blocks)
        ends = [sum(size.blocks[: stage + 1]) - 1 for stage in range(4)]
        self._stage_ends = frozenset(ends)

    def position(self, height: int, width: int) -> Tensor:
        """Position embedding of a map, (1, height, width, C): a coarse map plus one for windows."""
        coarse = F.interpolate(self.pos_embed, size=(height, width), mode="bicubic")
        window = self.pos_embed_window
        repeats = height // window.shape[-2], width // window.shape[-1]
        return (coarse + window.tile(1, 1, *repeats)).permute(0, 2, 3, 1)

    def forward(self, x: Tensor, position: Tensor | None = None) -> list[Tensor]:
        """Images (B, 3, H, W), sides multiples of 32, to maps (B, h, w, C), fine to coarse."""
        x = self.patch_embed["proj"](x).permute(0, 2, 3, 1)
        x = x + (self.position(*x.shape[1:3]) if position is None else position)
        maps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self._stage_ends:
                maps.append(x)
        return maps


class Neck(nn.Module):
    """Projects all stages to 256 channels, and adds the two coarsest. ``convs.0`` is the coarsest."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Sequential(OrderedDict(conv=nn.Conv2d(width, NECK_CHANNELS, 1))) for width in reversed(widths)
        )

    def coarse(self, maps: Sequence[Tensor]) -> Tensor:
        """Compute the map of stride 16, (B, 256, h, w), from the stages (B, h, w, C), fine to coarse."""
        planes = [x.permute(0, 3, 1, 2) for x in maps]
        middle, above = self.convs[1](planes[2]), self.convs[0](planes[3])
        return middle + F.interpolate(above, scale_factor=2.0, mode="nearest")


class ImageEncoder(nn.Module):
    """Trunk and neck."""

    def __init__(self, trunk: nn.Module, widths: Sequence[int]) -> None:
        super().__init__()
        self.trunk = trunk
        self.neck = Neck(widths)


def sine_position(height: int, width: int, channels: int) -> Tensor:
    """Sine code (1, channels, height, width): half the channels for rows, half for columns."""

    def code(length: int) -> Tensor:
        place = torch.arange(1, length + 1, dtype=torch.float32) / (length + EPSILON) * 2 * math.pi
        return sine_code(place, channels // 2)

    rows = code(height)[:, None].expand(-1, width, -1)
    columns = code(width)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], -1).permute(2, 0, 1)[None].contiguous()
