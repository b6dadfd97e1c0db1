"""Reading a memory with the whole affinity matrix at once: plain, dense and differentiable.

For training on short clips and as the reference that the blocked memory bank is held against.
N is the number of memory positions, frame by frame and row-major inside a frame; P that of query positions.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Similarity = Literal["l2", "dot"]


def affinity(memory_key: Tensor, query_key: Tensor, similarity: Similarity) -> Tensor:
    """Similarity of every memory position to every query position, in float32.

    ``l2`` is the negative squared distance without the term ``|q|²``, which is the same for all memory
    positions and vanishes in the softmax (STCN, section 3.3); ``dot`` is the dot product (STM, section 3.2).
    Both are divided by the square root of the number of key channels.

    Args:
        memory_key: (..., C, N).
        query_key: (..., C, P); leading dimensions broadcast.
        similarity: which of the two.

    Returns:
        (..., N, P).
    """
    with torch.autocast(memory_key.device.type, enabled=False):
        memory, query = memory_key.float(), query_key.float()
        scores = memory.transpose(-1, -2) @ query
        if similarity == "l2":
            scores = 2 * scores - memory.square().sum(-2).unsqueeze(-1)
        return scores / math.sqrt(memory.shape[-2])


def attend(scores: Tensor, top_k: int | None = None) -> Tensor:
    """Softmax over the memory positions, (..., N, P) → (..., N, P).

    Args:
        scores: what :func:`affinity` returns.
        top_k: keep the largest ``min(top_k, N)`` scores of each query position; the others get weight 0.
    """
    if top_k is None or top_k >= scores.shape[-2]:
        return torch.softmax(scores, dim=-2)
    best, positions = scores.topk(top_k, dim=-2, sorted=False)
    return torch.zeros_like(scores).scatter(-2, positions, torch.softmax(best, dim=-2))


def read(weights: Tensor, values: Tensor) -> Tensor:
    """Weighted sum of values, weights (..., N, P) and values (..., V, N) → (..., V, P), in float32."""
    with torch.autocast(values.device.type, enabled=False):
        return values.float() @ weights
