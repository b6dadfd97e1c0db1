"""Gates on feature maps: CBAM of STCN, and MUSTAN's refinement and fusion blocks.

CBAM (Woo et al., "CBAM", ECCV 2018) stands here as STCN uses it, without batch norm. MUSTAN's paper gives the
roles of its blocks and the sigmoid; their layers are our reading (docs/systems/mustan.md).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from segue.layers.activated import BatchNormReLU


def cbam(channels: int) -> nn.Sequential:
    """A gate over channels, then a gate over positions, (B, C, H, W) → (B, C, H, W)."""
    gate = ChannelGate(channels, channels // 16)
    position = nn.Sequential(OrderedDict(spatial=PositionGate()))
    return nn.Sequential(OrderedDict(ChannelGate=gate, SpatialGate=position))


class ChannelGate(nn.Module):
    """Scale each channel by a small perceptron of its mean and its maximum over the image."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Flatten(), nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        gate = torch.sigmoid(self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3))))
        return x * gate[:, :, None, None]


class PositionGate(nn.Module):
    """Scale each position by a 7x7 convolution of the maximum and the mean over channels; 99 parameters.

    It is also our reading of MUSTAN's RLIM, of which the paper gives the name and no internals: the name says
    localisation, this is the smallest block that weighs *where*, and it fits the size that the paper states.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        pooled = torch.stack([x.amax(1), x.mean(1)], dim=1)
        return x * torch.sigmoid(self.conv(pooled))


class FRM(nn.Module):
    """Feature refinement: mixes context maps, compares them with the frame and gates the result."""

    norms: ClassVar[Mapping[str, Sequence[str]]] = {"bn1": ["mix"], "bn2": ["conv"]}

    def __init__(self, channels: int, maps: int, *, attention: bool = True) -> None:
        super().__init__()
        self.mix = nn.Conv2d(maps * channels, channels, 1, bias=False)
        self.bn1 = BatchNormReLU(channels)
        self.conv = nn.Conv2d(2 * channels, channels, 3, padding=1, bias=False)
        self.bn2 = BatchNormReLU(channels)
        self.attn = nn.Conv2d(channels, channels, 1) if attention else None

    def forward(self, features: Tensor, context: Sequence[Tensor]) -> Tensor:
        """(B, C, h, w) and as many context maps in the order of time → (B, C, h, w)."""
        mixed = self.bn1(self.mix(torch.cat(list(context), 1)))
        return gated(features, self.bn2(self.conv(torch.cat([mixed, features], 1))), self.attn)


class FuseBlock(nn.Module):
    """Reduces past, present and future to one map that gates the present."""

    norms: ClassVar[Mapping[str, Sequence[str]]] = {"bn": ["reduce"]}

    def __init__(self, channels: int, *, attention: bool = True) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(3 * channels, channels, 1, bias=False)
        self.bn = BatchNormReLU(channels)
        self.attn = nn.Conv2d(channels, channels, 3, padding=1, bias=False) if attention else None

    def forward(self, past: Tensor, current: Tensor, future: Tensor) -> Tensor:
        """Three maps (B, C, h, w) → (B, C, h, w)."""
        return gated(current, self.bn(self.reduce(torch.cat([past, current, future], 1))), self.attn)


def gated(features: Tensor, joined: Tensor, attention: nn.Module | None) -> Tensor:
    """Gate a map by attention computed from ``joined``; without attention return ``joined``.

    ``features``: (N, C, h, w); ``joined``: (N, D, h, w); returns (N, C, h, w).
    """
    return joined if attention is None else features * (1 + torch.sigmoid(attention(joined)))
