"""Spatial perceiver of EdgeTAM (arXiv 2501.07256, section 3.3): a map of memory becomes 512 rows.

256 latent vectors read the whole map, 256 others a window of it each.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.windows import to_windows
from segue.models.sam2.memory import MEMORY_WIDTH
from segue.models.sam2.trunk import sine_position

LATENTS = 256
"""Rows for the whole map."""

GRID = 16
"""Windows in a row of the map; each has one row of the memory."""

LAYERS = 2
EXPANSION = 4


def feed_forward() -> nn.Sequential:
    """Norm and two linear layers, (..., 64) to the same."""
    hidden = EXPANSION * MEMORY_WIDTH
    return nn.Sequential(
        nn.LayerNorm(MEMORY_WIDTH),
        nn.Linear(MEMORY_WIDTH, hidden, bias=False),
        nn.GELU(),
        nn.Linear(hidden, MEMORY_WIDTH, bias=False),
    )


class Reading(nn.Module):
    """One head of attention without biases."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q = nn.Linear(MEMORY_WIDTH, MEMORY_WIDTH, bias=False)
        self.to_kv = nn.Linear(MEMORY_WIDTH, 2 * MEMORY_WIDTH, bias=False)
        self.to_out = nn.Linear(MEMORY_WIDTH, MEMORY_WIDTH, bias=False)

    def read(self, query: Tensor, cells: Tensor, position: Tensor | None = None) -> Tensor:
        """Attend from queries (B, n, 64) to cells (B, m, 64), with positions (1, m, 64) of the cells."""
        key, value = self.to_kv(cells).chunk(2, -1)
        if position is not None:
            key, value = key + position, value + position
        heads = (self.to_q(query)[:, None], key[:, None], value[:, None])
        return cast(Tensor, self.to_out(F.scaled_dot_product_attention(*heads)[:, 0]))


class CrossAttention(Reading):
    """Latent vectors attend to the cells of a map."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_x = nn.LayerNorm(MEMORY_WIDTH)
        self.norm_latents = nn.LayerNorm(MEMORY_WIDTH)

    def forward(self, latents: Tensor, cells: Tensor, position: Tensor | None) -> Tensor:
        """Latents (B, n, 64) and cells (B, m, 64) to (B, n, 64)."""
        return self.read(self.norm_latents(latents), self.norm_x(cells), position)


class SelfAttention(Reading):
    """Latent vectors attend to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(MEMORY_WIDTH)

    def forward(self, latents: Tensor) -> Tensor:
        """(B, n, 64) to the same."""
        normed = self.norm(latents)
        return self.read(normed, normed)


class PerceiverLayer(nn.Module):
    """Latents attend to the map, then to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = CrossAttention()
        self.ff = feed_forward()
        self.self_attn = SelfAttention()
        self.self_ff = feed_forward()

    def forward(self, latents: Tensor, cells: Tensor, position: Tensor | None) -> Tensor:
        """Latents (B, n, 64) and cells (B, m, 64) to (B, n, 64)."""
        latents = latents + self.attn(latents, cells, position)
        latents = latents + self.ff(latents)
        latents = latents + self.self_attn(latents)
        return latents + cast(Tensor, self.self_ff(latents))


class SpatialPerceiver(nn.Module):
    """Reduces a memory map to :data:`LATENTS` global rows and ``GRID²`` rows of windows."""

    def __init__(self) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.zeros(LATENTS, MEMORY_WIDTH))
        self.latents_2d = nn.Parameter(torch.zeros(GRID * GRID, MEMORY_WIDTH))
        self.layers = nn.ModuleList(PerceiverLayer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(MEMORY_WIDTH)

    def forward(self, memory: Tensor) -> Tensor:
        """Maps (K, 64, g, g), g a multiple of 16, to rows (K, 512, 64)."""
        objects, _, side, _ = memory.shape
        cells = memory.permute(0, 2, 3, 1)
        place = sine_position(side, side, MEMORY_WIDTH).flatten(2).transpose(1, 2).to(memory)
        global_latents = self._refined(self.latents.expand(objects, -1, -1), cells.flatten(1, 2), place)
        windows = to_windows(cells, side // GRID).flatten(1, 2)
        queries = self.latents_2d.expand(objects, -1, -1).reshape(-1, 1, MEMORY_WIDTH)
        parts = self._refined(queries, windows, None).view(objects, -1, MEMORY_WIDTH)
        return torch.cat([global_latents, parts], 1)

    def _refined(self, latents: Tensor, cells: Tensor, position: Tensor | None) -> Tensor:
        for layer in cast(Iterable[PerceiverLayer], self.layers):
            latents = layer(latents, cells, position)
        return cast(Tensor, self.norm(latents))
