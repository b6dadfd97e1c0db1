"""Exact memory attention of SAM 2 on a CPU with fewer products.

Scores of queries and keys exist one block at a time; maxima and sums of the blocks are merged as in Rabe and
Staats, 2021 (arXiv 2112.05682). With several maps the score of a query ``q`` and a token ``m`` is split by
column and row, ``q · R(x, y)(Wm + b) = (W'R(x)'q)·m + (W''R(y)''q)·m``: no key is projected or turned.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

QUERY_BLOCK, KEY_BLOCK = 256, 1024
"""Sizes of a block of scores: 1 MiB."""

MAP_QUERY_BLOCK = 512
TILE = 8
"""Queries of a block of :func:`attend_maps`, and columns and rows of a tile of its keys."""

LEAST_MAPS = 3
"""Maps from which on :func:`attend_maps` takes fewer products than :func:`attend_blocks`."""


class RunningSoftmax:
    """Softmax attention of queries (C, P) to keys that come block by block."""

    def __init__(self, query: Tensor, channels: int) -> None:
        self._top = query.new_full((1, query.shape[1]), -math.inf)
        self._total = torch.zeros_like(self._top)
        self._read = query.new_zeros(channels, query.shape[1])

    def add(self, scores: Tensor, values: Tensor) -> None:
        """Take n further keys: scores (n, P), which are overwritten, and values (n, V)."""
        best = torch.maximum(scores.amax(0, keepdim=True), self._top)
        weights = scores.sub_(best).exp_()
        fade = (self._top - best).exp_()
        self._total.mul_(fade).add_(weights.sum(0, keepdim=True))
        self._read = torch.addmm(self._read.mul_(fade), values.T, weights)
        self._top = best

    def result(self) -> Tensor:
        """The readout, (P, V)."""
        return (self._read / self._total).T


def attend_blocks(query: Tensor, key: Tensor, values: Tensor) -> Tensor:
    """Softmax attention (P, V) of one head: ``query`` (P, C), ``key`` (N, C), ``values`` (N, V)."""
    blocks = list(zip(key.split(KEY_BLOCK), values.split(KEY_BLOCK), strict=True))
    found = []
    for part in (query.T / math.sqrt(query.shape[1])).split(QUERY_BLOCK, 1):
        softmax = RunningSoftmax(part, values.shape[1])
        for keys, block in blocks:
            softmax.add(keys @ part, block)
        found.append(softmax.result())
    return torch.cat(found)


def attend_maps(
    query: Tensor, placed: Tensor, values: Tensor, projection: tuple[Tensor, Tensor], code: Tensor
) -> Tensor:
    """Softmax attention (P, v) of one head to the cells of maps, and to tokens after them without a place.

    ``query``: turned, (P, 256); ``placed``: n maps of g² cells, row by row, then tokens, (N, c); ``values``:
    (N, v); ``projection``: weight (256, c) and bias (256) of the keys; ``code``: complex64, (g², 128).
    """
    side, cells = math.isqrt(len(code)), len(placed) // len(code) * len(code)
    weight, bias = projection
    by_column, by_row = turned(torch.cat([weight, bias[:, None]], 1), code)
    keys = tiles(torch.cat([placed[:cells], placed.new_ones(cells, 1)], 1), side)
    blocks = tiles(values[:cells], side)
    loose = torch.addmm(bias, placed[cells:], weight.T)
    found = []
    for part in (query.T / math.sqrt(query.shape[1])).split(MAP_QUERY_BLOCK, 1):
        softmax = RunningSoftmax(part, values.shape[1])
        if len(loose):
            softmax.add(loose @ part, values[cells:])
        first, second = part.chunk(2)
        columns = torch.mm(by_column.flatten(0, 1), first).view(side, -1, part.shape[1]).split(TILE)
        rows = torch.mm(by_row.flatten(0, 1), second).view(side, -1, part.shape[1]).split(TILE)
        places = ((column, row) for column in columns for row in rows)
        for (column, row), key, block in zip(places, keys, blocks, strict=True):
            scores = torch.bmm(key.flatten(1, 2), column).view(*key.shape[:3], -1)
            # The same scores with the rows first.
            swapped = scores.flatten(0, 1).transpose(0, 1)
            swapped.baddbmm_(key.flatten(0, 1).transpose(0, 1), row)
            softmax.add(scores.flatten(0, 2), block.flatten(0, 2))
        found.append(softmax.result())
    return torch.cat(found)


def turned(weight: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
    """Projections (256, c) turned by each column and by each row of a code (g², 128): (g, c, 128) both."""
    side = math.isqrt(len(code))
    pairs = torch.view_as_complex(weight.T.reshape(weight.shape[1], -1, 2).contiguous())
    grid = code.view(side, side, 1, -1)
    half = pairs.shape[1] // 2
    columns = pairs[:, :half] * grid[0, :, :, :half]
    rows = pairs[:, half:] * grid[:, 0, :, half:]
    return torch.view_as_real(columns).flatten(2), torch.view_as_real(rows).flatten(2)


def tiles(maps: Tensor, side: int) -> list[Tensor]:
    """Rows of maps as tiles, first columns first. Returns tiles (columns, n, rows, c), contiguous."""
    grid = maps.view(-1, side, side, maps.shape[1]).permute(2, 0, 1, 3)
    return [part.contiguous() for strip in grid.split(TILE) for part in strip.split(TILE, 2)]
