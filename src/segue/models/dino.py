"""DINO's self-supervised Vision Transformer, for dense features.

Caron et al., "Emerging Properties in Self-Supervised Vision Transformers" (ICCV 2021); names and shapes are
those of the official files.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.attention import SelfAttention
from segue.layers.colours import normalise_planes
from segue.layers.linear import mlp
from segue.types import FeatureName

STORED_GRID = 14
"""Patches per side at the training resolution of 224 pixels, for patches of 16."""


class Block(nn.Module):
    """Attention and MLP, each on normalised input and added."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = SelfAttention(width, heads, qkv_bias=True)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = mlp(width, 4 * width, ("fc1", "fc2"), "gelu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, tokens, width) to the same."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class DINO(nn.Module):
    """ViT-S/16 by default; ViT-B has ``width=768``, and patches of 8 are possible.

    Args:
        width: channels, 64 for each head.
        patch: side of a patch in pixels.
        depth: number of blocks.
    """

    def __init__(self, width: int = 384, patch: int = 16, depth: int = 12) -> None:
        super().__init__()
        self.patch = patch
        self.grid = STORED_GRID * 16 // patch
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid**2, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.blocks = nn.ModuleList(Block(width, width // 64) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def embed(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Tokens (B, 1 + gh·gw, C), class token first, and the grid (gh, gw), of RGB (B, 3, H, W) in [0, 1].

        The normalised image is filled up with zeros to whole patches at the right and the bottom.
        """
        height, width = images.shape[-2:]
        padded = F.pad(normalise_planes(images), (0, -width % self.patch, 0, -height % self.patch))
        patches = self.patch_embed["proj"](padded)
        grid = (patches.shape[-2], patches.shape[-1])
        tokens = torch.cat(
            (self.cls_token.expand(len(images), -1, -1), patches.flatten(2).transpose(1, 2)), 1
        )
        return tokens + self.position(grid), grid

    def position(self, grid: tuple[int, int]) -> Tensor:
        """Position table for a grid of patches, (1, 1 + gh·gw, C)."""
        if grid == (self.grid, self.grid):
            return self.pos_embed
        table = self.pos_embed[:, 1:].unflatten(1, (self.grid, self.grid)).permute(0, 3, 1, 2)
        # The release asks for a scale of a tenth of a patch more than there are patches, and so reads
        # between the entries of the table in slightly smaller steps.
        scale = ((grid[0] + 0.1) / self.grid, (grid[1] + 0.1) / self.grid)
        resized = F.interpolate(
            table, scale_factor=scale, mode="bicubic", align_corners=False, recompute_scale_factor=False
        )
        return torch.cat((self.pos_embed[:, :1], resized.flatten(2).transpose(1, 2)), 1)

    def dense(self, images: Tensor, which: FeatureName = "keys") -> tuple[Tensor, tuple[int, int]]:
        """Keys, queries or values of the last block for every patch, (B, gh·gw, C), and the grid."""
        tokens, grid = self.embed(images)
        *blocks, last = self.blocks
        for block in blocks:
            tokens = block(tokens)
        assert isinstance(last, Block)
        qkv = last.attn.qkv
        part = ("queries", "keys", "values").index(which)
        weight, bias = qkv.weight.chunk(3)[part], qkv.bias.chunk(3)[part]
        return F.linear(last.norm1(tokens), weight, bias)[:, 1:], grid

    def forward(self, images: Tensor) -> Tensor:
        """Normalised tokens of the last block, (B, 1 + gh·gw, C), class token first."""
        tokens, _ = self.embed(images)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)


def rename_training(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the network inside a training checkpoint, without its projection head."""
    inside = [name for name in state if name.startswith("backbone.")]
    return {name.removeprefix("backbone."): state[name] for name in inside or state}
