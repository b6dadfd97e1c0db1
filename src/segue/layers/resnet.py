"""Residual trunks in torchvision's layout, up to stride 16, with batch norms that never learn statistics.

He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016); the stride of a stage sits on the
3x3 convolution of its first bottleneck.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class FrozenBatchNorm(nn.BatchNorm2d):
    """Batch norm that uses its running statistics in training as well, as STM and STCN do.

    Scale and shift are still learned.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.training = False

    def train(self, mode: bool = True) -> FrozenBatchNorm:
        """Stay in evaluation mode, whatever ``mode`` says."""
        return super().train(False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with bias, (B, cin, H, W) → (B, cout, H/stride, W/stride)."""

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, padding=1)
        self.bn1 = FrozenBatchNorm(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1)
        self.bn2 = FrozenBatchNorm(cout)
        self.downsample = _projection(cin, cout, stride, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu_()
        y = self.bn2(self.conv2(y))
        return _join(y, x, self.downsample)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions without bias, (B, cin, H, W) → (B, 4·width, H/stride, W/stride)."""

    def __init__(self, cin: int, width: int, stride: int) -> None:
        super().__init__()
        cout = 4 * width
        self.conv1 = nn.Conv2d(cin, width, 1, bias=False)
        self.bn1 = FrozenBatchNorm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = FrozenBatchNorm(width)
        self.conv3 = nn.Conv2d(width, cout, 1, bias=False)
        self.bn3 = FrozenBatchNorm(cout)
        self.downsample = _projection(cin, cout, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu_()
        y = self.bn2(self.conv2(y)).relu_()
        y = self.bn3(self.conv3(y))
        return _join(y, x, self.downsample)


def stem_conv(cin: int, *, bias: bool = False) -> nn.Conv2d:
    """The first convolution of a trunk: 7x7, stride 2, 64 channels."""
    return nn.Conv2d(cin, 64, 7, stride=2, padding=3, bias=bias)


def pool_stem(x: Tensor) -> Tensor:
    """What follows the first norm: ReLU and max pooling, stride 2 → stride 4."""
    return F.max_pool2d(F.relu(x), 3, stride=2, padding=1)


def basic_stage(cin: int, cout: int, blocks: int, stride: int) -> nn.Sequential:
    """A stage of ResNet-18 or ResNet-34."""
    rest = [BasicBlock(cout, cout, 1) for _ in range(blocks - 1)]
    return nn.Sequential(BasicBlock(cin, cout, stride), *rest)


def bottleneck_stage(cin: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    """A stage of ResNet-50 and deeper; its output has ``4 * width`` channels."""
    rest = [Bottleneck(4 * width, width, 1) for _ in range(blocks - 1)]
    return nn.Sequential(Bottleneck(cin, width, stride), *rest)


def _projection(cin: int, cout: int, stride: int, *, bias: bool) -> nn.Sequential | None:
    if stride == 1 and cin == cout:
        return None
    return nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=bias), FrozenBatchNorm(cout))


def _join(residual: Tensor, x: Tensor, projection: nn.Sequential | None) -> Tensor:
    skip = x if projection is None else projection(x)
    return residual.add_(skip).relu_()
