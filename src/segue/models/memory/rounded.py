"""Affinities of keys quantised to 8 bits, for a CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from segue.inference.cpu.int8 import Int8Rows, quantize_rows


class RoundedKeys:
    """L2 affinities of quantised keys; quantised keys are cached for the next read.

    An affinity is the distance of the rounded keys, so that those of close keys are least wrong.
    """

    def __init__(self) -> None:
        self._cache: dict[tuple[int, ...], tuple[Int8Rows, Tensor]] = {}

    def affinities(
        self, query: Tensor, parts: Mapping[tuple[int, ...], Callable[[], Tensor]]
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Quantise query rows (Q, C+1), and return them with a function for affinities (P, N).

        Affinities are float32. ``parts`` return rows (n, C+1) of the memory by name, N in total; rows of a
        name never change.
        """
        values, step, zero = quantize_rows(query[:, :-1])
        scale = float(query[0, -1])
        self._cache = {name: self._cache.get(name) or _rounded(rows(), scale) for name, rows in parts.items()}
        cached = self._cache.values()
        return values, lambda rows: torch.cat(
            [keys.times((rows, step, zero), bias) for keys, bias in cached], 1
        )


def _rounded(rows: Tensor, scale: float) -> tuple[Int8Rows, Tensor]:
    """Quantised keys, and the term of their lengths and penalties in each affinity."""
    exact = rows[:, :-1]
    keys = Int8Rows(exact)
    return keys, (rows[:, -1] - exact.square().sum(1) + keys.rounded.square().sum(1)) * scale
