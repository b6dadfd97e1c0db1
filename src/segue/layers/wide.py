"""Wide 3x3 convolutions on a processor: direct on small maps, as Winograd products on large ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from segue.layers.activated import Activation
from segue.layers.fused import FusedConv2d, InferenceConv2d, replace_convolutions
from segue.layers.winograd import Scratch, Tile, WinogradConv2d, is_plain_3x3

LEAST_CHANNELS = 128  # with fewer, in or out, the transforms take as long as the products that they save

LARGE = 1024
"""Positions of all maps from which on a kernel outside of the cache is transformed for tiles of 4x4."""

FEW, MANY, MOST = 300_000, 550_000, 700_000
"""Pairs of channels up to which a transformed kernel stays in the cache, takes less than 80 MB for tiles of
4x4, and is worth its memory for tiles of 2x2."""


class WideConv2d(InferenceConv2d):
    """A plain 3x3 convolution and the activation after it, in the form that suits the size of its input."""

    def __init__(self, conv: nn.Conv2d, activation: Activation, scratch: Scratch) -> None:
        super().__init__()
        weight = conv.weight.detach()
        self._weight: Callable[[], Tensor] = lambda: weight  # until a form holds them
        self._bias = None if conv.bias is None else conv.bias.detach()
        self._pairs = conv.in_channels * conv.out_channels
        self._activation, self._scratch = activation, scratch
        self._forms: dict[Tile | None, InferenceConv2d] = {}

    def dense_weight(self) -> Tensor:
        return self._weight()

    def run(self, x: Tensor, skip: Tensor | None = None, **how: Any) -> Tensor:
        tile = tile_for(self._pairs, x.shape[0] * x.shape[2] * x.shape[3])
        if tile not in self._forms:
            self._forms[tile] = self._make(tile)
            self._weight = self._forms[tile].dense_weight
        return self._forms[tile].run(x, skip, **how)

    def _make(self, tile: Tile | None) -> InferenceConv2d:
        weight = self._weight()
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, bias=False, device="meta")
        conv.weight = nn.Parameter(weight, requires_grad=False)
        conv.bias = None if self._bias is None else nn.Parameter(self._bias, requires_grad=False)
        if tile is not None:
            return WinogradConv2d(conv, self._scratch, tile, self._activation)
        return FusedConv2d(conv, self._activation)


def tile_for(pairs: int, positions: int) -> Tile | None:
    """Tiles of Winograd's algorithm for so many pairs of channels and positions; None is the direct form.

    It follows times on an AMD EPYC with AVX512: the transform of a kernel costs the same for any map.
    """
    if pairs <= FEW:
        return 4 if positions >= LARGE // 2 else None
    if pairs <= MANY and positions >= LARGE:
        return 4
    return 2 if pairs <= MOST and positions >= LARGE // 4 else None


def is_wide(conv: nn.Conv2d, activation: Activation) -> bool:
    """Whether a convolution has other forms than the direct one."""
    wide = min(conv.in_channels, conv.out_channels) >= LEAST_CHANNELS and conv.weight.dtype == torch.float32
    return wide and activation in ("none", "relu") and is_plain_3x3(conv)


def use_inference_forms(module: nn.Module) -> None:
    """Replace the convolutions inside ``module`` by their forms for a processor, in place."""
    scratch = Scratch()

    def make(conv: nn.Conv2d, activation: Activation) -> nn.Module:
        if is_wide(conv, activation):
            return WideConv2d(conv, activation, scratch)
        return FusedConv2d(conv, activation)

    replace_convolutions(module, make)
