"""Layers that know the activation after them, so that inference can do both in one pass.

Names and shapes of the parameters are those of the plain layers.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["none", "relu", "relu6"]


class ActivatedConv2d(nn.Conv2d):
    """A convolution, and the activation after it."""

    activation: Activation = "none"

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) → (B, cout, h, w)."""
        y = super().forward(x)
        if self.activation == "none":
            return y
        return F.relu(y) if self.activation == "relu" else F.relu6(y)

    def centred(self) -> tuple[Tensor, tuple[int, ...]]:
        """Weights, and a padding that is the same on opposite sides, which give the same convolution."""
        assert isinstance(self.padding, tuple)
        return self.weight, self.padding


class BatchNormReLU(nn.BatchNorm2d):
    """Batch norm and the ReLU after it."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        return super().forward(x).relu_()
