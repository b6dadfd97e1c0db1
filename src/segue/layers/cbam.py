"""Convolutional block attention (Woo et al., "CBAM", ECCV 2018) as STCN uses it: without batch norm."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn


class CBAM(nn.Module):
    """A gate over channels, then a gate over positions, (B, C, H, W) → (B, C, H, W)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.ChannelGate = ChannelGate(channels, reduction)
        self.SpatialGate = SpatialGate()

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = self.SpatialGate(self.ChannelGate(x))
        return gated


class ChannelGate(nn.Module):
    """Scale each channel by a small perceptron of its mean and its maximum over the picture."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels, channels // reduction),
            nn.ReLU(),
            nn.Linear(channels // reduction, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3))))
        return x * gate[:, :, None, None]


class SpatialGate(nn.Module):
    """Scale each position by a 7x7 convolution of the maximum and the mean over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial = nn.Sequential(OrderedDict(conv=nn.Conv2d(2, 1, 7, padding=3)))

    def forward(self, x: Tensor) -> Tensor:
        return gate_positions(x, self.spatial)


def gate_positions(x: Tensor, gate: nn.Module) -> Tensor:
    """Scale each position by the sigmoid of ``gate`` on the maximum and the mean over channels."""
    pooled = torch.stack([x.amax(1), x.mean(1)], dim=1)
    return x * torch.sigmoid(gate(pooled))
