"""Similarities as products of a row of the memory and a row of the query, and prototypes made with one.

With L2 a row has one extra channel, so that the product is the affinity of STCN:
``(2 m.q - |m|^2) / sqrt(C)``; the term ``|q|^2`` is the same for all memory positions and drops out. The
anisotropic similarity is that of XMem and Cutie (Cheng and Schwing, "XMem", ECCV 2022, section 3.4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from segue.layers.attention import Similarity


def key_rows(key: Tensor, similarity: Similarity, penalty: float = 0.0) -> Tensor:
    """A memory key (C, h, w) as float32 rows (h*w, C'); their product with those of a query is the affinity.

    The penalty goes into the extra channel of L2.
    """
    rows = key.float().flatten(1).T
    if similarity == "dot":
        return rows
    extra = rows.square().sum(1, keepdim=True) + penalty * math.sqrt(rows.shape[1])
    return torch.cat([rows, extra], dim=1)


def query_rows(key: Tensor, similarity: Similarity) -> Tensor:
    """A query key (C, h, w) as float32 rows (h*w, C'), see :func:`key_rows`."""
    rows = key.float().flatten(1).T
    scale = 1 / math.sqrt(rows.shape[1])
    if similarity == "dot":
        return rows * scale
    return torch.cat([rows * (2 * scale), rows.new_full((len(rows), 1), -scale)], dim=1)


def pool_keys(key: Tensor, similarity: Similarity, penalty: float = 0.0) -> Tensor:
    """Rows (h*w/4, C') of a key (C, h, w) with even sides, averaged over cells of 2x2 positions."""
    return key_rows(F.avg_pool2d(key.float()[None], 2)[0], similarity, penalty)


def anisotropic_key_rows(key: Tensor, shrinkage: Tensor) -> Tensor:
    """Keys (N, C) and shrinkages (N, 1) of at least 1 as rows (N, 2C+1), float32."""
    scale = shrinkage.float() / math.sqrt(key.shape[1])
    key = key.float()
    return torch.cat([key.square() * scale, key * scale, scale], dim=1)


def anisotropic_query_rows(key: Tensor, selection: Tensor) -> Tensor:
    """Query keys (P, C) and selections (P, C) in [0, 1] as rows (P, 2C+1), float32."""
    key, selection = key.float(), selection.float()
    weighted = selection * key
    return torch.cat([-selection, 2 * weighted, -(weighted * key).sum(1, keepdim=True)], dim=1)


def keys_of(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Keys (N, C) and shrinkages (N, 1) of the rows of :func:`anisotropic_key_rows`, (N, 2C+1)."""
    scale = rows[:, -1:]
    channels = rows.shape[1] // 2
    return rows[:, channels:-1] / scale, scale * math.sqrt(channels)


def potentiate(
    rows: Tensor, selection: Tensor, chosen: Tensor, present: Sequence[int]
) -> tuple[Tensor, list[Tensor]]:
    """Make prototypes of N candidates at ``chosen`` places (XMem, section 3.3).

    Candidates have rows (N, 2C+1) and selections (N, C); of the last ``present`` ones each group of objects
    has values. Returns rows of the prototypes, and for each group the weights (p, n) of its candidates.
    """
    key, shrinkage = keys_of(rows)
    scores = anisotropic_query_rows(key[chosen], selection[chosen]) @ rows.T
    starts = [len(rows) - count for count in present]
    strengths = scores[:, starts[0] :].softmax(1) @ shrinkage[starts[0] :]
    weights = [scores[chosen >= start][:, start:].softmax(1) for start in starts]
    return anisotropic_key_rows(key[chosen], strengths), weights
