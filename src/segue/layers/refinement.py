"""How what was and what comes changes the features of a frame: the refinement and fusion blocks of MUSTAN.

The paper gives their roles and the sigmoid; the layers are our reading (docs/systems/mustan.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from segue.layers.activated import BatchNormReLU


class FRM(nn.Module):
    """Feature refinement: context maps mixed into one, compared with the frame's, as a gate on it.

    The gate is ``1 + attention``: where attention is near zero, features pass as they are.

    Args:
        channels: of every map.
        maps: number of context maps.
        attention: weigh the features; otherwise the compared maps take their place.
    """

    norms: ClassVar[Mapping[str, str]] = {"bn1": "mix", "bn2": "conv"}

    def __init__(self, channels: int, maps: int, *, attention: bool = True) -> None:
        super().__init__()
        self.mix = nn.Conv2d(maps * channels, channels, 1, bias=False)
        self.bn1 = BatchNormReLU(channels)
        self.conv = nn.Conv2d(2 * channels, channels, 3, padding=1, bias=False)
        self.bn2 = BatchNormReLU(channels)
        self.attn = nn.Conv2d(channels, channels, 1) if attention else None

    def forward(self, own: Tensor, context: Sequence[Tensor]) -> Tensor:
        """(B, C, h, w) and as many context maps in the order of time → (B, C, h, w)."""
        mixed = self.bn1(self.mix(torch.cat(list(context), 1)))
        compared: Tensor = self.bn2(self.conv(torch.cat([mixed, own], 1)))
        if self.attn is None:
            return compared
        return own * (1 + torch.sigmoid(self.attn(compared)))


class FuseBlock(nn.Module):
    """Past, present and future reduced to one map, as a gate on the present."""

    norms: ClassVar[Mapping[str, str]] = {"bn": "reduce"}

    def __init__(self, channels: int, *, attention: bool = True) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(3 * channels, channels, 1, bias=False)
        self.bn = BatchNormReLU(channels)
        self.attn = nn.Conv2d(channels, channels, 3, padding=1, bias=False) if attention else None

    def forward(self, past: Tensor, current: Tensor, future: Tensor) -> Tensor:
        """Three maps (B, C, h, w) → (B, C, h, w)."""
        reduced: Tensor = self.bn(self.reduce(torch.cat([past, current, future], 1)))
        if self.attn is None:
            return reduced
        return current * (1 + torch.sigmoid(self.attn(reduced)))
