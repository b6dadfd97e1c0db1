"""Swin Transformer as a trunk for dense prediction.

Liu et al., "Swin Transformer" (ICCV 2021): attention inside windows that are shifted by half their side in
every second block. Names are those of the authors' detection release.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.linear import ActivatedLinear, mlp
from segue.layers.windows import from_windows, to_windows

_MASKED = -100.0  # added to the attention between regions that a shifted window joins though they are apart


class WindowAttention(nn.Module):
    """Self-attention among the pixels of a window, with a learned bias for each relative position."""

    relative_position_index: Tensor

    def __init__(self, width: int, window: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
        places = torch.stack((y.flatten(), x.flatten()))
        offsets = places[:, :, None] - places[:, None] + window - 1
        self.register_buffer("relative_position_index", offsets[0] * (2 * window - 1) + offsets[1])
        self.qkv = ActivatedLinear(width, 3 * width)
        self.proj = ActivatedLinear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Apply attention in windows (B·n, side², C), n per image; ``mask`` (n, side², side²) is added."""
        tokens = x.shape[1]
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        index = self.relative_position_index.flatten()
        bias = self.relative_position_bias_table[index].view(tokens, tokens, -1).permute(2, 0, 1)
        added = bias[None]
        if mask is not None:
            added = (mask[:, None] + added).repeat(len(x) // len(mask), 1, 1, 1)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=added.to(q.dtype))
        return self.proj(attended.transpose(1, 2).flatten(2))


class SwinBlock(nn.Module):
    """Window attention and an MLP, each on normalised input and added."""

    def __init__(self, width: int, heads: int, window: int, shifted: bool, drop_path: float) -> None:
        super().__init__()
        self.window = window
        self.shift = window // 2 if shifted else 0
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, window, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = mlp(width, 4 * width, ("fc1", "fc2"), "gelu")
        self.drop_path = drop_path

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map (B, h, w, C) → the same size; ``mask`` is for the shifted windows."""
        x = x + self._dropped(self._attend(self.norm1(x), mask))
        return x + self._dropped(self.mlp(self.norm2(x)))

    def _dropped(self, x: Tensor) -> Tensor:
        """Stochastic depth: drop the branch for some samples and scale it for the others."""
        if not self.training or self.drop_path == 0:
            return x
        keep = x.new_empty(len(x), 1, 1, 1).bernoulli_(1 - self.drop_path)
        return x * keep / (1 - self.drop_path)

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        h, w = x.shape[1:3]
        side = self.window
        x = F.pad(x, (0, 0, 0, -w % side, 0, -h % side))
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        windows = to_windows(x, side)
        attended = self.attn(windows.flatten(1, 2), mask if self.shift else None)
        x = from_windows(attended.view_as(windows), (x.shape[1], x.shape[2]))
        if self.shift:
            x = x.roll((self.shift, self.shift), (1, 2))
        return x[:, :h, :w]


class PatchMerging(nn.Module):
    """Joins 2x2 pixels to one with twice the channels: (B, h, w, C) → (B, ⌈h/2⌉, ⌈w/2⌉, 2C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(4 * width)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        corners = (x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2])
        return self.reduction(self.norm(torch.cat(corners, -1)))


class SwinStage(nn.Module):
    """Blocks at one resolution, and the patch merging to the next."""

    def __init__(self, width: int, heads: int, window: int, drop_paths: Sequence[float], last: bool) -> None:
        super().__init__()
        self.window = window
        self.blocks = nn.ModuleList(
            SwinBlock(width, heads, window, i % 2 == 1, rate) for i, rate in enumerate(drop_paths)
        )
        self.downsample = None if last else PatchMerging(width)

    def forward(self, x: Tensor) -> Tensor:
        """Refine a map (B, h, w, C); the caller merges patches."""
        mask = shift_mask(x.shape[1], x.shape[2], self.window).to(x.device)
        for block in self.blocks:
            x = block(x, mask)
        return x


def shift_mask(h: int, w: int, window: int) -> Tensor:
    """Create the mask against attention between regions joined by the shift, (windows, side², side²)."""
    cuts = (slice(0, -window), slice(-window, -(window // 2)), slice(-(window // 2), None))
    regions = torch.zeros(h + -h % window, w + -w % window)
    for i, rows in enumerate(cuts):
        for j, columns in enumerate(cuts):
            regions[rows, columns] = 3 * i + j
    down, across = regions.shape[0] // window, regions.shape[1] // window
    tiles = regions.view(down, window, across, window).transpose(1, 2).reshape(down * across, -1)
    differs: Tensor = tiles[:, None] != tiles[:, :, None]
    return differs.float() * _MASKED


class PatchEmbedding(nn.Module):
    """Pixels to features at stride 4: (B, 3, H, W) → (B, ⌈H/4⌉, ⌈W/4⌉, C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, 4, 4)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, -x.shape[3] % 4, 0, -x.shape[2] % 4))
        return self.norm(self.proj(x).permute(0, 2, 3, 1))


class SwinTrunk(nn.Module):
    """Swin Transformer without its classifier: (B, 3, H, W) → maps at strides 4, 8, 16 and 32."""

    def __init__(
        self,
        width: int = 192,
        depths: tuple[int, ...] = (2, 2, 18, 2),
        heads: tuple[int, ...] = (6, 12, 24, 48),
        window: int = 12,
        drop_path: float = 0.3,
    ) -> None:
        super().__init__()
        self.channels = tuple(width * 2**i for i in range(len(depths)))
        self.patch_embed = PatchEmbedding(width)
        rates = iter(drop_path * i / (sum(depths) - 1) for i in range(sum(depths)))
        self.layers = nn.ModuleList()
        for i, depth in enumerate(depths):
            stage_rates = [next(rates) for _ in range(depth)]
            last = i == len(depths) - 1
            self.layers.append(SwinStage(self.channels[i], heads[i], window, stage_rates, last))
            self.add_module(f"norm{i}", nn.LayerNorm(self.channels[i]))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.patch_embed(x)
        maps = []
        for i, stage in enumerate(self.layers):
            x = stage(x)
            # The norm is for the reader of the map; the way down starts from the map before it.
            maps.append(self.get_submodule(f"norm{i}")(x).permute(0, 3, 1, 2).contiguous())
            assert isinstance(stage, SwinStage)
            if stage.downsample is not None:
                x = stage.downsample(x)
        return tuple(maps)
