"""MobileNetV2 trunk up to stride 16 or 32, with its batch norms folded into the convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.activated import ActivatedConv2d, Activation

SETTINGS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2))
"""Expansion, output channels, repeats, first stride of the stages (MobileNetV2 paper, table 2)."""
_ENDS = (0, 2, 5, 12, 15)  # the last block at strides 2, 4, 8, 16 and 32


class SameConv(ActivatedConv2d):
    """Convolution with TensorFlow's SAME padding for even sides: stride 2 pads one more right and below."""

    def __init__(
        self,
        cin: int,
        cout: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        activation: Activation = "none",
    ) -> None:
        super().__init__(cin, cout, kernel, stride, (kernel - stride) // 2, groups=groups)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) with even sides to (N, cout, H/stride, W/stride)."""
        return super().forward(F.pad(x, (0, 1, 0, 1)) if self.stride[0] == 2 else x)

    def centred(self) -> tuple[Tensor, tuple[int, ...]]:
        if self.stride[0] == 1:
            return super().centred()
        # A kernel that begins one pixel earlier, with zeros there.
        return F.pad(self.weight, (1, 0, 1, 0)), ((self.kernel_size[0] - 1) // 2,) * 2


class InvertedResidual(nn.Module):
    """Expand (1x1), filter (depthwise 3x3), project (1x1); ReLU6 after the first two."""

    def __init__(
        self, cin: int, cout: int, stride: int, expansion: int, conv: Callable[..., Any] = SameConv
    ) -> None:
        super().__init__()
        hidden = cin * expansion
        self.expand = conv(cin, hidden, 1, activation="relu6") if expansion > 1 else None
        self.depthwise = conv(hidden, hidden, 3, stride, hidden, "relu6")
        self.project = conv(hidden, cout, 1)
        self.identity = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) to (N, cout, H/stride, W/stride)."""
        wide = x if self.expand is None else self.expand(x)
        y: Tensor = self.project(self.depthwise(wide))
        return x + y if self.identity else y


class MobileNetV2Trunk(nn.Module):
    """MobileNetV2, width 1.0: (B, 3, H, W) in [-1, 1] → maps at strides 2, 4, 8, 16 and perhaps 32."""

    channels: tuple[int, ...] = (16, 24, 32, 96)

    def __init__(self, stride: Literal[16, 32] = 16) -> None:
        super().__init__()
        settings = SETTINGS if stride == 32 else SETTINGS[:-1]
        if stride == 32:
            self.channels = (*self.channels, 160)
        self.stem = SameConv(3, 32, 3, 2, activation="relu6")
        self.blocks = nn.ModuleList()
        cin = 32
        for expansion, cout, repeats, first_stride in settings:
            for i in range(repeats):
                self.blocks.append(InvertedResidual(cin, cout, first_stride if i == 0 else 1, expansion))
                cin = cout

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.stem(x)
        stages = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in _ENDS:
                stages.append(x)
        return tuple(stages)
