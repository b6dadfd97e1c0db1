"""Residual trunks in torchvision's layout, with frozen batch norm statistics.

He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016); the stride of a stage sits on the
3x3 convolution of its first bottleneck unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.residual import norm_relu

MULTIPLE = 8  # channels come in multiples of this, which processors like


def make_divisible(channels: int, width: float) -> int:
    """Scale a number of channels to the nearest multiple of 8, at least 8; unchanged at width 1."""
    if not width > 0:
        raise ValueError(f"width is {width}; it must be above 0")
    return channels if width == 1 else max(MULTIPLE, int(width * channels / MULTIPLE + 0.5) * MULTIPLE)


class FrozenBatchNorm(nn.BatchNorm2d):
    """Batch norm that uses its running statistics in training as well, as STM and STCN do."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.training = False

    def train(self, mode: bool = True) -> FrozenBatchNorm:
        """Stay in evaluation mode for any ``mode``."""
        return super().train(False)


class ConstantBatchNorm(FrozenBatchNorm):
    """Batch norm with constant scale and shift, as in detectors; no step counter."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__(channels)
        self.eps = eps
        for name in ("weight", "bias"):
            value = getattr(self, name).detach()
            delattr(self, name)
            self.register_buffer(name, value)
        self.num_batches_tracked = None
        self.track_running_stats = False


Norm = Callable[[int], nn.Module]  # makes the norm of so many channels


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, (B, cin, H, W) → (B, width, H/stride, W/stride).

    Args:
        cin: channels of its input.
        width: channels of its output.
        stride: stride of the block.
        norm: makes its norms.
        bias: whether its convolutions have one.
        inplace_residual: write the output over the input once prepared for inference; no other code may use
            the input. The output of a projection is always written over.
    """

    expansion = 1

    def __init__(
        self,
        cin: int,
        width: int,
        stride: int,
        norm: Norm = FrozenBatchNorm,
        *,
        bias: bool = True,
        inplace_residual: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, width, 3, stride, padding=1, bias=bias)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=bias)
        self.bn2 = norm(width)
        self.downsample = _projection(cin, width, stride, norm, bias=bias)
        self.inplace_residual = inplace_residual or self.downsample is not None

    def forward(self, x: Tensor) -> Tensor:
        y = norm_relu(self.conv1, self.bn1, x)
        residual = x if self.downsample is None else self.downsample(x)
        return norm_relu(self.conv2, self.bn2, y, residual, overwrite=self.inplace_residual)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions without bias, (B, cin, H, W) → (B, 4·width, H/stride, W/stride).

    The first convolution has the stride if ``stride_first``. With ``groups`` the 3x3 convolution of ResNeXt
    (Xie et al., CVPR 2017) has so many, of ``group_width`` channels where ``width`` is 64. For the others see
    :class:`BasicBlock`.
    """

    expansion = 4

    def __init__(
        self,
        cin: int,
        width: int,
        stride: int,
        norm: Norm = FrozenBatchNorm,
        *,
        stride_first: bool = False,
        groups: int = 1,
        group_width: int = 64,
        inplace_residual: bool = False,
    ) -> None:
        super().__init__()
        cout, inner = self.expansion * width, width * group_width // 64 * groups
        first, second = (stride, 1) if stride_first else (1, stride)
        self.conv1 = nn.Conv2d(cin, inner, 1, first, bias=False)
        self.bn1 = norm(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, second, padding=1, groups=groups, bias=False)
        self.bn2 = norm(inner)
        self.conv3 = nn.Conv2d(inner, cout, 1, bias=False)
        self.bn3 = norm(cout)
        self.downsample = _projection(cin, cout, stride, norm, bias=False)
        self.inplace_residual = inplace_residual or self.downsample is not None

    def forward(self, x: Tensor) -> Tensor:
        residual = x if self.downsample is None else self.downsample(x)  # first: it fits where the stem was
        y = norm_relu(self.conv2, self.bn2, norm_relu(self.conv1, self.bn1, x))
        return norm_relu(self.conv3, self.bn3, y, residual, overwrite=self.inplace_residual)


def _projection(cin: int, cout: int, stride: int, norm: Norm, *, bias: bool) -> nn.Sequential | None:
    if stride == 1 and cin == cout:
        return None
    return nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=bias), norm(cout))


def stem_conv(cin: int, cout: int = 64, *, bias: bool = False) -> nn.Conv2d:
    """First convolution of a trunk: 7x7, stride 2."""
    return nn.Conv2d(cin, cout, 7, stride=2, padding=3, bias=bias)


def pool_stem(x: Tensor) -> Tensor:
    """After the first norm: ReLU and max pooling, stride 2 → stride 4.

    ``x``: (B, C, H/2, W/2); returns (B, C, H/4, W/4).
    """
    return F.max_pool2d(x, 3, stride=2, padding=1).relu_()  # of a quarter of the values


Kind = type[BasicBlock] | type[Bottleneck]

WIDTHS = (64, 64, 128, 256, 512)
"""Channels of the stem, and of the stages before their expansion."""


class ResidualTrunk(nn.Module):
    """ResNet without its classifier, with one stage per number in ``blocks``."""

    keeps_stem = False
    """Whether the trunk also returns the map at stride 2."""

    def __init__(
        self,
        kind: Kind,
        blocks: Sequence[int],
        norm: Norm = ConstantBatchNorm,
        *,
        names: Sequence[str] = ("layer1", "layer2", "layer3", "layer4"),
        planes: int = 3,
        masks: int = 0,
        width: float = 1.0,
        stem_bias: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        cin, *widths = (make_divisible(wide, width) for wide in WIDTHS[: len(blocks) + 1])
        self.channels = tuple(kind.expansion * wide for wide in widths)
        self.conv1 = stem_conv(planes + masks, cin, bias=stem_bias)
        if masks:
            nn.init.orthogonal_(self.conv1.weight[:, planes:])
        self.bn1 = norm(cin)
        self._names = tuple(names[: len(blocks)])
        for i, (name, wide, cout, count) in enumerate(
            zip(self._names, widths, self.channels, blocks, strict=True)
        ):
            rest = [kind(cout, wide, 1, norm, inplace_residual=True, **options) for _ in range(count - 1)]
            self.add_module(name, nn.Sequential(kind(cin, wide, 1 if i == 0 else 2, norm, **options), *rest))
            cin = cout

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, planes + masks, H, W) → maps at strides 4, 8, 16 and, of four stages, 32."""
        return self.stages(self.conv1(x))

    def stages(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps from the output of the first convolution, (B, 64, H/2, W/2)."""
        x = self.bn1(x)
        maps = [x.relu_()] if self.keeps_stem else []
        x = pool_stem(x)  # lets go of the map at stride 2
        for name in self._names:
            x = self.get_submodule(name)(x)
            maps.append(x)
        return tuple(maps)


class ResNet18(ResidualTrunk):
    """ResNet-18 with trainable norm statistics: maps at strides 2, 4, 8, 16 and 32.

    Its own convolution starts at zero: a network that was trained without depth stays what it was.
    """

    keeps_stem = True
    norms: ClassVar[Mapping[str, Sequence[str]]] = {"bn1": ["conv1", "conv1_depth"]}

    def __init__(self, planes: int = 3, depth_channels: int = 0, width: float = 1.0) -> None:
        super().__init__(BasicBlock, (2, 2, 2, 2), nn.BatchNorm2d, planes=planes, width=width, bias=False)
        self.conv1_depth = stem_conv(depth_channels, self.conv1.out_channels) if depth_channels else None
        if self.conv1_depth is not None:
            nn.init.zeros_(self.conv1_depth.weight)

    def forward(self, x: Tensor, depth: Tensor | None = None) -> tuple[Tensor, ...]:
        """(B, planes, H, W), with depth (B, depth_channels, H, W) → maps at strides 2, 4, 8, 16 and 32."""
        stem = self.conv1(x)
        if depth is not None:
            if self.conv1_depth is None:
                raise ValueError("a depth map was given; this encoder takes none")
            stem = stem + self.conv1_depth(depth)
        return self.stages(stem)
