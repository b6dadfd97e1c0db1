"""Similarities as products of memory and query rows, and prototypes from them.

With L2 a row has one extra channel, so that the product is the affinity of STCN:
``(2 m.q - |m|^2) / sqrt(C)``; the term ``|q|^2`` is the same for all memory positions and drops out. The
anisotropic similarity is that of XMem and Cutie (Cheng and Schwing, "XMem", ECCV 2022, section 3.4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from segue.layers.attention import Similarity

MemorySimilarity = Similarity | Literal["anisotropic"]


def key_rows(
    key: Tensor,
    similarity: MemorySimilarity,
    *,
    shrinkage: Tensor | None = None,
    penalty: Tensor | float = 0.0,
) -> Tensor:
    """Memory keys (N, C) as float32 rows (N, C'); their product with those of a query is the affinity.

    The penalty, or penalties (N, 1), goes into the extra channel of L2; shrinkages (N, 1), of at least 1, are
    for the anisotropic similarity.
    """
    key = key.float()
    if similarity == "dot":
        return key
    if similarity == "l2":
        extra = key.square().sum(1, keepdim=True) + penalty * math.sqrt(key.shape[1])
        return torch.cat([key, extra], dim=1)
    assert shrinkage is not None
    scale = shrinkage.float() / math.sqrt(key.shape[1])
    return torch.cat([key.square() * scale, key * scale, scale], dim=1)


def query_rows(key: Tensor, similarity: MemorySimilarity, selection: Tensor | None = None) -> Tensor:
    """Query keys (P, C) as float32 rows (P, C'), see :func:`key_rows`; ``selection``: (P, C) in [0, 1]."""
    if similarity == "l2":
        return l2_query_rows(key)
    key = key.float()
    if similarity == "dot":
        return key * (1 / math.sqrt(key.shape[1]))
    assert selection is not None
    selection = selection.float()
    weighted = selection * key
    return torch.cat([-selection, 2 * weighted, -(weighted * key).sum(1, keepdim=True)], dim=1)


def l2_query_rows(key: Tensor) -> Tensor:
    """Query keys (..., C) as float32 rows (..., C+1) of the L2 similarity; also for TorchScript."""
    key, scale = key.float(), 1 / math.sqrt(key.shape[-1])
    return torch.cat([key * (2 * scale), torch.full_like(key[..., :1], -scale)], dim=-1)


def keys_of(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Extract keys (N, C) and shrinkages (N, 1) from anisotropic :func:`key_rows`, (N, 2C+1)."""
    scale = rows[:, -1:]
    channels = rows.shape[1] // 2
    return rows[:, channels:-1] / scale, scale * math.sqrt(channels)


def potentiate(
    rows: Tensor, selection: Tensor, selected: Tensor, present: Sequence[int]
) -> tuple[Tensor, list[Tensor]]:
    """Create prototypes at ``selected`` indices from N candidates (XMem, section 3.3).

    Candidates have rows (N, 2C+1) and selections (N, C); of the last ``present`` ones each group of objects
    has values. Returns rows of the prototypes, and for each group the weights (p, n) of its candidates.
    """
    key, shrinkage = keys_of(rows)
    scores = query_rows(key[selected], "anisotropic", selection[selected]) @ rows.T
    starts = [len(rows) - count for count in present]
    strengths = scores[:, starts[0] :].softmax(1) @ shrinkage[starts[0] :]
    weights = [scores[selected >= start][:, start:].softmax(1) for start in starts]
    return key_rows(key[selected], "anisotropic", shrinkage=strengths), weights
