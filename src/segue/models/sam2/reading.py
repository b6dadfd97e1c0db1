"""Exact memory attention of SAM 2 on a CPU, in blocks that stay in its cache.

Scores of queries and keys exist one block at a time; maxima and sums of the blocks are merged as in Rabe and
Staats, 2021 (arXiv 2112.05682). Values are projected after they are read.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

QUERY_BLOCK, KEY_BLOCK = 256, 1024
"""Sizes of a block of scores: 1 MiB."""


def attend_blocks(query: Tensor, key: Tensor, values: Tensor) -> Tensor:
    """Softmax attention (P, V) of one head: ``query`` (P, C), ``key`` (N, C), ``values`` (N, V)."""
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
