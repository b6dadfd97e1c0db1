"""Memory of SAM 2 (arXiv 2408.00714, section 4): attention to earlier frames, and encoding."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.activated import LayerNorm2d
from segue.layers.linear import ActivatedLinear
from segue.layers.positions import sine_angles
from segue.models.sam2.masks import HIDDEN, WIDTH

MEMORY_WIDTH = 64
LAYERS = 4
"""Layers of memory attention in SAM 2."""

ROTARY_THETA = 10000.0
IMAGE_POSITION = 0.1
"""Share of the sine position that the queries of memory attention get."""

QUERY_BLOCK, KEY_BLOCK = 256, 1024
"""Sizes of a block of scores: 1 MiB."""


def attend_blocks(query: Tensor, key: Tensor, values: Tensor) -> Tensor:
    """Softmax attention (P, V) of one head: ``query`` (P, C), ``key`` (N, C), ``values`` (N, V).

    Exact, for a CPU: scores exist one block at a time, which stays in the cache; maxima and
    sums of the blocks are merged as in Rabe and Staats, 2021 (arXiv 2112.05682).
    """
    blocks = list(zip(key.split(KEY_BLOCK), values.split(KEY_BLOCK), strict=True))
    outputs = []
    for part in (query.T / math.sqrt(query.shape[1])).split(QUERY_BLOCK, 1):
        top = part.new_full((1, part.shape[1]), -math.inf)
        total = torch.zeros_like(top)
        read = part.new_zeros(values.shape[1], part.shape[1])
        for keys, block in blocks:
            scores = keys @ part
            best = torch.maximum(scores.amax(0, keepdim=True), top)
            weights = scores.sub_(best).exp_()
            fade = (top - best).exp_()
            total.mul_(fade).add_(weights.sum(0, keepdim=True))
            read = torch.addmm(read.mul_(fade), block.T, weights)
            top = best
        outputs.append((read / total).T)
    return torch.cat(outputs)


def rotary(side: int, device: torch.device | None = None) -> Tensor:
    """Axial rotary code (side², 128), complex64: half the channels turn with x, half with y."""
    pairs = WIDTH // 4
    frequency = ROTARY_THETA ** (-4 * torch.arange(pairs, dtype=torch.float32) / WIDTH)
    cell = torch.arange(side * side)
    angle = torch.cat(
        [torch.outer((cell % side).float(), frequency), torch.outer((cell // side).float(), frequency)], 1
    )
    return torch.polar(torch.ones_like(angle), angle).to(device)


def rotate(x: Tensor, code: Tensor) -> Tensor:
    """Rotate tokens (B, n·P, 256) of n frames by the code (P, 128) of their cells."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    turned = pairs.unflatten(1, (-1, len(code))) * code
    return torch.view_as_real(turned).flatten(-2).flatten(1, 2).to(x.dtype)


class RotaryAttention(nn.Module):
    """One head of 256 channels with rotary positions of queries and keys."""

    def __init__(self, memory: int = WIDTH) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, WIDTH)
        self.k_proj = nn.Linear(memory, WIDTH)
        self.v_proj = nn.Linear(memory, WIDTH)
        self.out_proj = nn.Linear(WIDTH, WIDTH)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        code: Tensor,
        fixed: int = 0,
        key_code: Tensor | None = None,
    ) -> Tensor:
        """Attend from queries (B, P, 256) to keys (B, N, C) and values (B, N, C): (B, P, 256).

        ``key_code``: that of the keys of a frame, (Q, 128), complex; None is ``code``.
        """
        q, placed = rotate(self.q_proj(query), code), key.shape[1] - fixed
        k = self.k_proj(key)
        k = torch.cat([rotate(k[:, :placed], code if key_code is None else key_code), k[:, placed:]], 1)
        if q.device.type == "cpu" and q.dtype == torch.float32 and value.shape[-1] < WIDTH:
            read = torch.stack([attend_blocks(*part) for part in zip(q, k, value, strict=True)])
            return self.out_proj(self.v_proj(read))
        read = F.scaled_dot_product_attention(q[:, None], k[:, None], self.v_proj(value)[:, None])
        return self.out_proj(read[:, 0])


class MemoryAttentionLayer(nn.Module):
    """Self-attention of the image, then cross-attention to the memory."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = RotaryAttention()
        self.cross_attn_image = RotaryAttention(MEMORY_WIDTH)
        self.linear1 = ActivatedLinear(WIDTH, HIDDEN, "relu")
        self.linear2 = ActivatedLinear(HIDDEN, WIDTH)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(WIDTH) for _ in range(3))

    def self_attend(self, x: Tensor, code: Tensor) -> Tensor:
        """First step, on the positions (B, P, 256) of the image; ``code``: (P, 128), complex."""
        normed = self.norm1(x)
        return x + self.self_attn(normed, normed, normed, code)

    def cross_attend(
        self,
        x: Tensor,
        memory: Tensor,
        placed: Tensor,
        code: Tensor,
        pointers: int,
        memory_code: Tensor | None = None,
    ) -> Tensor:
        """Second step and MLP, with memory (B, N, 64) and its positions ``placed``: (B, P, 256)."""
        x = x + self.cross_attn_image(self.norm2(x), placed, memory, code, pointers, memory_code)
        return x + self.linear2(self.linear1(self.norm3(x)))


class MemoryAttention(nn.Module):
    """Conditions the map of an image on memory."""

    def __init__(self, layers: int = LAYERS) -> None:
        super().__init__()
        self.layers = nn.ModuleList(MemoryAttentionLayer() for _ in range(layers))
        self.norm = nn.LayerNorm(WIDTH)

    def encode_image(self, image: Tensor, position: Tensor, code: Tensor) -> Tensor:
        """Image part of the first layer, (1, P, 256), shared by all objects; ``code``: (P, 128), complex."""
        return cast(MemoryAttentionLayer, self.layers[0]).self_attend(image + IMAGE_POSITION * position, code)

    def forward(
        self,
        image_tokens: Tensor,
        memory: Tensor,
        position: Tensor,
        code: Tensor,
        pointers: int,
        memory_code: Tensor | None = None,
    ) -> Tensor:
        """Condition an image, ``image_tokens`` (1, P, 256), on the memories of K objects: (K, P, 256).

        ``memory``: (K, N, 64), the rows of each frame, then tokens of object pointers; ``position``: (K, N,
        64), added where the memory serves as keys; ``memory_code``: rotary code of the rows of a frame, None
        where they are the P cells of its map.
        """
        placed = memory + position
        x = image_tokens.expand(len(memory), -1, -1)
        for number, layer in enumerate(cast(Iterable[MemoryAttentionLayer], self.layers)):
            x = layer.self_attend(x, code) if number else x
            x = layer.cross_attend(x, memory, placed, code, pointers, memory_code)
        return self.norm(x)


def mask_downsampler() -> nn.Sequential:
    """Layers from a mask at image size, (B, 1, H, W), to a map of stride 16, (B, C, H/16, W/16)."""
    layers: list[nn.Module] = []
    for cin, cout in pairwise((1, 4, 16, 64, WIDTH)):
        layers += [nn.Conv2d(cin, cout, 3, stride=2, padding=1), LayerNorm2d(cout), nn.GELU()]
    return nn.Sequential(OrderedDict(encoder=nn.Sequential(*layers, nn.Conv2d(WIDTH, WIDTH, 1))))


class FuserBlock(nn.Module):
    """A block of ConvNeXt (Liu et al., CVPR 2022)."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((WIDTH,), 1e-6))
        self.dwconv = nn.Conv2d(WIDTH, WIDTH, 7, padding=3, groups=WIDTH)
        self.norm = LayerNorm2d(WIDTH)
        self.pwconv1 = ActivatedLinear(WIDTH, 4 * WIDTH, "gelu")
        self.pwconv2 = ActivatedLinear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        inner = self.norm(self.dwconv(x)).permute(0, 2, 3, 1)
        inner = self.gamma * self.pwconv2(self.pwconv1(inner))
        return x + inner.permute(0, 3, 1, 2)


class MemoryEncoder(nn.Module):
    """Encodes an image and an object's mask for the memory."""

    def __init__(self) -> None:
        super().__init__()
        self.mask_downsampler = mask_downsampler()
        self.pix_feat_proj = nn.Conv2d(WIDTH, WIDTH, 1)
        self.fuser = nn.Sequential(OrderedDict(layers=nn.Sequential(FuserBlock(), FuserBlock())))
        self.out_proj = nn.Conv2d(WIDTH, MEMORY_WIDTH, 1)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Map of the image (B, 256, g, g) and mask (B, 1, 16g, 16g) in [-10, 10] to (B, 64, g, g)."""
        return self.out_proj(self.fuser(self.pix_feat_proj(image) + self.mask_downsampler(mask)))


def sine_distance(distance: Tensor) -> Tensor:
    """Sine code (n, 256) of distances in time (n,): sines, then cosines; each wavelength twice."""
    angle = sine_angles(distance, WIDTH // 2)
    return torch.cat([angle.sin(), angle.cos()], 1)
