"""The similarity of XMem and Cutie as a product of rows, and prototypes made with it.

Cheng and Schwing, "XMem" (ECCV 2022), sections 3.3 and 3.4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def memory_rows(key: Tensor, shrinkage: Tensor) -> Tensor:
    """Keys and shrinkages as rows, whose product with :func:`query_rows` is the affinity.

    The anisotropic L2 similarity of XMem (section 3.4), ``-s/sqrt(C) · sum_c e_c (k_c - q_c)²``, is linear in
    ``s k²``, ``s k`` and ``s``.

    Args:
        key: (N, C).
        shrinkage: s, (N, 1), at least 1.

    Returns:
        (N, 2C+1), float32.
    """
    scale = shrinkage.float() / math.sqrt(key.shape[1])
    key = key.float()
    return torch.cat([key.square() * scale, key * scale, scale], dim=1)


def query_rows(key: Tensor, selection: Tensor) -> Tensor:
    """Query keys and selections as rows; see :func:`memory_rows`.

    Args:
        key: (P, C).
        selection: e, (P, C) in [0, 1].

    Returns:
        (P, 2C+1), float32.
    """
    key, selection = key.float(), selection.float()
    weighted = selection * key
    return torch.cat([-selection, 2 * weighted, -(weighted * key).sum(1, keepdim=True)], dim=1)


def keys_of(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and shrinkages of :func:`memory_rows`.

    Args:
        rows: (N, 2C+1).

    Returns:
        Keys (N, C) and shrinkages (N, 1).
    """
    scale = rows[:, -1:]
    channels = rows.shape[1] // 2
    return rows[:, channels:-1] / scale, scale * math.sqrt(channels)


def potentiate(
    rows: Tensor, selection: Tensor, chosen: Tensor, present: Sequence[int]
) -> tuple[Tensor, list[Tensor]]:
    """Make prototypes of candidates (XMem, section 3.3).

    Args:
        rows: keys of the N candidates, see :func:`memory_rows`.
        selection: their selections, (N, C).
        chosen: places of the prototypes among the candidates, (P,).
        present: for each group of objects, of how many candidates, the last ones, it has values.

    Returns:
        Rows of the prototypes, whose shrinkages are read with the weights of the first group, and for each
        group the weights (p, n) of its n candidates in those p prototypes that are among them.
    """
    key, shrinkage = keys_of(rows)
    scores = query_rows(key[chosen], selection[chosen]) @ rows.T
    starts = [len(rows) - count for count in present]
    strengths = scores[:, starts[0] :].softmax(1) @ shrinkage[starts[0] :]
    weights = [scores[chosen >= start][:, start:].softmax(1) for start in starts]
    return memory_rows(key[chosen], strengths), weights
