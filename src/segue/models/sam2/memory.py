"""Memory of SAM 2 (arXiv 2408.00714, section 4): what a frame reads from earlier ones, and what it leaves.

Cross-attention reads 64 channels of memory as values of 256. Since attention weights add up to one, the
values can be projected after they are weighted: of ``softmax(qk)(MW + b) = (softmax(qk)M)W + b`` the right
side takes a quarter of the multiplications. :func:`attend_blocks` computes it in blocks that fit into the
cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.models.sam2.masks import HIDDEN, WIDTH, LayerNorm2d
from segue.models.sam2.trunk import sine_angles

MEMORY_WIDTH = 64
LAYERS = 4
ROTARY_THETA = 10000.0
PICTURE_POSITION = 0.1
"""Share of the sine position that the queries of memory attention get."""

QUERY_BLOCK, KEY_BLOCK = 256, 1024
"""Sizes of a block of attention on a processor: its scores take 1 MiB."""


def rotary(side: int, device: torch.device | None = None) -> Tensor:
    """Axial rotary code of a square grid, complex64, (side², 128): half turns with x, half with y."""
    pairs = WIDTH // 4
    frequency = ROTARY_THETA ** (-4 * torch.arange(pairs, dtype=torch.float32) / WIDTH)
    cell = torch.arange(side * side)
    angle = torch.cat(
        [torch.outer((cell % side).float(), frequency), torch.outer((cell // side).float(), frequency)], 1
    )
    return torch.polar(torch.ones_like(angle), angle).to(device)


def rotate(x: Tensor, code: Tensor) -> Tensor:
    """Turn tokens (B, n·P, 256) by the code of P cells, which repeats for each of n frames."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    turned = pairs.unflatten(1, (-1, len(code))) * code
    return torch.view_as_real(turned).flatten(-2).flatten(1, 2).to(x.dtype)


def attend_blocks(query: Tensor, key: Tensor, values: Tensor) -> Tensor:
    """Softmax attention of one head, (P, C), (N, C), (N, V) to (P, V); never more than a block of scores.

    Maxima and sums of the blocks of keys are merged as in Rabe and Staats, 2021 (arXiv 2112.05682).
    """
    query = query * (1 / math.sqrt(query.shape[-1]))
    found = values.new_empty(len(query), values.shape[1])
    blocks = list(zip(key.split(KEY_BLOCK), values.split(KEY_BLOCK), strict=True))
    for start in range(0, len(query), QUERY_BLOCK):
        part = query[start : start + QUERY_BLOCK]
        top = part.new_full((len(part), 1), -math.inf)
        total, read = torch.zeros_like(top), part.new_zeros(len(part), values.shape[1])
        for keys, block in blocks:
            scores = part @ keys.T
            best = torch.maximum(scores.amax(1, keepdim=True), top)
            weights = scores.sub_(best).exp_()
            fade = (top - best).exp_()
            total = total.mul_(fade).add_(weights.sum(1, keepdim=True))
            read = torch.addmm(read.mul_(fade), weights, block)
            top = best
        torch.div(read, total, out=found[start : start + len(part)])
    return found


class RotaryAttention(nn.Module):
    """One head of 256 channels, whose queries and keys are turned by their place."""

    def __init__(self, memory: int = WIDTH) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, WIDTH)
        self.k_proj = nn.Linear(memory, WIDTH)
        self.v_proj = nn.Linear(memory, WIDTH)
        self.out_proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, code: Tensor, fixed: int = 0) -> Tensor:
        """Read values where keys are like queries.

        Args:
            query: (B, P, 256).
            key: (B, N, C).
            value: (B, N, C).
            code: rotary code of P cells, see :func:`rotary`.
            fixed: keys at the end that have no place and are not turned.

        Returns:
            (B, P, 256).
        """
        q, k = rotate(self.q_proj(query), code), self.k_proj(key)
        turned = rotate(k[:, : k.shape[1] - fixed], code) if k.shape[1] > fixed else k[:, :0]
        k = torch.cat([turned, k[:, k.shape[1] - fixed :]], 1) if fixed else turned
        if q.device.type == "cpu" and q.dtype == torch.float32 and value.shape[-1] < WIDTH:
            parts = zip(q, k, value, strict=True)
            return self.out_proj(self.v_proj(torch.stack([attend_blocks(*part) for part in parts])))
        v = self.v_proj(value)
        read = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])
        return self.out_proj(read[:, 0])


class MemoryAttentionLayer(nn.Module):
    """The picture looks at itself, then at the memory."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = RotaryAttention()
        self.cross_attn_image = RotaryAttention(MEMORY_WIDTH)
        self.linear1 = nn.Linear(WIDTH, HIDDEN)
        self.linear2 = nn.Linear(HIDDEN, WIDTH)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(WIDTH) for _ in range(3))

    def look(self, x: Tensor, code: Tensor) -> Tensor:
        """The first step, which knows no memory."""
        normed = self.norm1(x)
        return x + self.self_attn(normed, normed, normed, code)

    def recall(self, x: Tensor, memory: Tensor, placed: Tensor, code: Tensor, pointers: int) -> Tensor:
        """The second step and the MLP; ``placed`` is the memory with its position."""
        x = x + self.cross_attn_image(self.norm2(x), placed, memory, code, pointers)
        return x + self.linear2(F.relu(self.linear1(self.norm3(x))))


class MemoryAttention(nn.Module):
    """Conditions the map of a picture on memory."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(MemoryAttentionLayer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)

    def begin(self, picture: Tensor, position: Tensor, code: Tensor) -> Tensor:
        """What the first layer makes of the picture alone, (1, P, 256): the same for all objects."""
        return cast(MemoryAttentionLayer, self.layers[0]).look(picture + PICTURE_POSITION * position, code)

    def forward(self, begun: Tensor, memory: Tensor, position: Tensor, code: Tensor, pointers: int) -> Tensor:
        """Condition a picture on the memory of one object.

        Args:
            begun: what :meth:`begin` gave, (1, P, 256).
            memory: (1, N, 64), maps of P cells each, and at the end tokens of object pointers.
            position: (1, N, 64), added where the memory serves as keys.
            code: rotary code, see :func:`rotary`.
            pointers: number of pointer tokens.

        Returns:
            (1, P, 256).
        """
        placed = memory + position
        x = begun
        for number, layer in enumerate(cast(Iterable[MemoryAttentionLayer], self.layers)):
            x = layer.look(x, code) if number else x
            x = layer.recall(x, memory, placed, code, pointers)
        return self.norm(x)


class MaskDownsampler(nn.Module):
    """A mask at the size of the picture to a map of stride 16."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        cin = 1
        for cout in (4, 16, 64, WIDTH):
            layers += [nn.Conv2d(cin, cout, 3, stride=2, padding=1), LayerNorm2d(cout), nn.GELU()]
            cin = cout
        self.encoder = nn.Sequential(*layers, nn.Conv2d(cin, WIDTH, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x)


class FuserBlock(nn.Module):
    """A block of ConvNeXt (Liu et al., CVPR 2022)."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((WIDTH,), 1e-6))
        self.dwconv = nn.Conv2d(WIDTH, WIDTH, 7, padding=3, groups=WIDTH)
        self.norm = LayerNorm2d(WIDTH)
        self.pwconv1 = nn.Linear(WIDTH, 4 * WIDTH)
        self.pwconv2 = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm(self.dwconv(x)).permute(0, 2, 3, 1)
        inner = self.gamma * self.pwconv2(F.gelu(self.pwconv1(inner)))
        return x + inner.permute(0, 3, 1, 2)


class Fuser(nn.Module):
    """Two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(FuserBlock() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class MemoryEncoder(nn.Module):
    """A picture and the mask of an object to what is remembered of them."""

    def __init__(self) -> None:
        super().__init__()
        self.mask_downsampler = MaskDownsampler()
        self.pix_feat_proj = nn.Conv2d(WIDTH, WIDTH, 1)
        self.fuser = Fuser()
        self.out_proj = nn.Conv2d(WIDTH, MEMORY_WIDTH, 1)

    def forward(self, picture: Tensor, mask: Tensor) -> Tensor:
        """Map of the picture (B, 256, g, g) and mask (B, 1, 16g, 16g) in [-10, 10] to (B, 64, g, g)."""
        return self.out_proj(self.fuser(self.pix_feat_proj(picture) + self.mask_downsampler(mask)))


def sine_distance(distance: Tensor) -> Tensor:
    """Sine code of distances in time, (n) to (n, 256): sines, then cosines; each wavelength twice."""
    angle = sine_angles(distance, WIDTH // 2)
    return torch.cat([angle.sin(), angle.cos()], 1)
