"""Convolutions fused with norm and activation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol

import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["none", "relu", "relu6", "leaky"]

ACTIVATIONS: dict[Activation, tuple[Callable[[Tensor], Tensor], str, list[float]]] = {
    "none": (nn.Identity(), "none", []),
    "relu": (F.relu, "relu", []),
    "relu6": (F.relu6, "hardtanh", [0.0, 6.0]),
    "leaky": (partial(F.leaky_relu, negative_slope=0.1), "leaky_relu", [0.1]),
}
"""Activations, their names in oneDNN, and their parameters there."""


class PreparedConv(Protocol):
    """Convolution prepared for inference: adds a map and applies ReLU in one pass over memory."""

    def __call__(
        self,
        x: Tensor,
        skip: Tensor | None = None,
        *,
        first: int = 0,
        bias: bool = True,
        rectify_input: bool = False,
        rectify: bool = False,
        overwrite: bool = False,
    ) -> Tensor:
        """``conv(x) + skip``; see :class:`segue.inference.cpu.fused.FusedConv2d`."""


class ActivatedConv2d(nn.Conv2d):
    """A convolution, and the activation after it."""

    activation: Activation = "none"

    @classmethod
    def rectified(cls, cin: int, cout: int, stride: int = 1) -> ActivatedConv2d:
        """A 3x3 convolution and a ReLU."""
        conv = cls(cin, cout, 3, stride, padding=1)
        conv.activation = "relu"
        return conv

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) to (N, cout, H', W'), as the convolution alone."""
        return ACTIVATIONS[self.activation][0](super().forward(x))

    def centred(self) -> tuple[Tensor, tuple[int, ...]]:
        """Weights padded to a symmetric kernel, with equal padding on opposite sides.

        Returns weights (cout, cin, height, width), and padding above and left, which is also that below and
        right.
        """
        assert isinstance(self.padding, tuple)
        return self.weight, self.padding


class BatchNormReLU(nn.BatchNorm2d):
    """Batch norm and the ReLU after it."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        return super().forward(x).relu_()


class LayerNorm2d(nn.LayerNorm):
    """Norm over the channels of each pixel of (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNormReLU(nn.Module):
    """Convolution without bias, batch norm, ReLU; the sides are divided by ``stride``."""

    def __init__(self, cin: int, cout: int, kernel: int = 1, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = BatchNormReLU(cout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) to (N, cout, H/stride, W/stride)."""
        return self.bn(self.conv(x))


class Stages(nn.ModuleList):
    """Layers in sequence; returns the outputs of all of them, first to last."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) to the output of every layer, each (N, C', H', W')."""
        maps = []
        for layer in self:
            x = layer(x)
            maps.append(x)
        return maps
