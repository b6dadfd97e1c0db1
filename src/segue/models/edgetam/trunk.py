"""RepViT-M1 (Wang et al., "RepViT", CVPR 2024, arXiv 2307.09283), the trunk of EdgeTAM.

Names of parameters are those of the release of EdgeTAM, which has the network from timm.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (48, 96, 192, 384)
"""Channels of the maps at strides 4, 8, 16 and 32."""

DEPTHS = (2, 2, 14, 2)
EXPANSION = 2
SQUEEZE = 4
SQUEEZE_STEP = 8
"""Hidden channels of a gate are a quarter of the map's, as the nearest multiple of this."""


def conv_norm(cin: int, cout: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution without bias and batch norm; the sides are divided by ``stride``."""
    conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(OrderedDict(c=conv, bn=nn.BatchNorm2d(cout)))


class TokenMixer(nn.Module):
    """Sum of depthwise 3x3, depthwise 1x1 and identity; one convolution for inference."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv_norm(channels, channels, 3, groups=channels)
        self.conv1: nn.Module | None = conv_norm(channels, channels, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        y: Tensor = self.conv(x)
        return y if self.conv1 is None else y + self.conv1(x) + x

    def compose_layers(self) -> None:
        """Merge the three into one 3x3 convolution, in place; batch norms must be folded."""
        assert self.conv1 is not None
        wide, point = self.conv.get_submodule("c"), self.conv1.get_submodule("c")
        assert isinstance(wide, nn.Conv2d)
        assert isinstance(point, nn.Conv2d)
        if wide.bias is None or point.bias is None:  # a norm that was not folded
            return
        with torch.no_grad():
            wide.weight += F.pad(point.weight + 1, (1, 1, 1, 1))
            wide.bias += point.bias
        self.conv1 = None


class ChannelMixer(nn.Module):
    """Two 1x1 convolutions with GELU between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv_norm(channels, EXPANSION * channels)
        self.conv2 = conv_norm(EXPANSION * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same shape, without a residual."""
        mixed: Tensor = self.conv2(F.gelu(self.conv1(x)))
        return mixed


class Gate(nn.Module):
    """Squeeze and excitation (Hu et al., CVPR 2018): a factor for each channel from its mean."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = SQUEEZE_STEP // 2
        hidden = max(SQUEEZE_STEP, (channels // SQUEEZE + half) // SQUEEZE_STEP * SQUEEZE_STEP)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        return x * self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class Block(nn.Module):
    """Mixes tokens over positions, then over channels."""

    def __init__(self, channels: int, *, gate: bool) -> None:
        super().__init__()
        self.token_mixer = TokenMixer(channels)
        self.se = Gate(channels) if gate else nn.Identity()
        self.channel_mixer = ChannelMixer(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        x = self.se(self.token_mixer(x))
        return x + self.channel_mixer(x)


class Downsample(nn.Module):
    """Halves height and width, and changes channels."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.pre_block = Block(cin, gate=False)
        self.spatial_downsample = conv_norm(cin, cin, 3, 2, cin)
        self.channel_downsample = conv_norm(cin, cout)
        self.ffn = ChannelMixer(cout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, h, w) to (B, cout, h/2, w/2)."""
        x = self.channel_downsample(self.spatial_downsample(self.pre_block(x)))
        return x + self.ffn(x)


class Stage(nn.Module):
    """Blocks of one size, every other one gated, after downsampling if ``cin`` differs."""

    def __init__(self, cin: int, cout: int, depth: int) -> None:
        super().__init__()
        self.downsample = nn.Identity() if cin == cout else Downsample(cin, cout)
        self.blocks = nn.Sequential(*(Block(cout, gate=number % 2 == 0) for number in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, h, w) to (B, cout, h, w), or half the height and width."""
        y: Tensor = self.blocks(self.downsample(x))
        return y


class Stem(nn.Module):
    """Two convolutions of stride 2."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv_norm(3, WIDTHS[0] // 2, 3, 2)
        self.conv2 = conv_norm(WIDTHS[0] // 2, WIDTHS[0], 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 48, H/4, W/4)."""
        y: Tensor = self.conv2(F.gelu(self.conv1(x)))
        return y


class RepViT(nn.Module):
    """Images to four maps at strides 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        widths = (WIDTHS[0], *WIDTHS)
        self.body = nn.ModuleDict({"stem": Stem()})
        for number, depth in enumerate(DEPTHS):
            self.body[f"stages_{number}"] = Stage(widths[number], widths[number + 1], depth)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W), sides multiples of 32, to maps (B, h, w, C), fine to coarse."""
        maps = []
        for part in self.body.values():
            x = part(x)
            maps.append(x.permute(0, 2, 3, 1))
        return maps[1:]
