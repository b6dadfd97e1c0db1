"""The network that tells true masks from predicted ones, used in training only.

Section 3.3 of the paper; layers, names and shapes are those of the release, where it is defined but unused.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_BLOCKS = ((256, 64), (64, 128), (128, 256), (256, 512), (512, 1))


class ChannelNorm(nn.Module):
    """Layer norm over the channels at each place of (B, C, h, w)."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        channels = (len(self.weight),)
        y = F.layer_norm(x.permute(0, 2, 3, 1), channels, self.weight, self.bias, self.eps)
        return y.permute(0, 3, 1, 2)


class Block(nn.Module):
    """Leaky ReLU, 3x3 convolution and norm, of which the ends leave something out."""

    def __init__(self, cin: int, cout: int, *, activate: bool, norm: bool) -> None:
        super().__init__()
        self.activate = activate
        self.conv = nn.Conv2d(cin, cout, 3, padding=1, bias=False)
        self.norm = ChannelNorm(cout) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(F.leaky_relu(x, 0.2) if self.activate else x)
        return y if self.norm is None else self.norm(y)


class Discriminator(nn.Module):
    """Judges patch by patch whether a foreground mask belongs to a frame."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3 + width + 1, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        widths = [(width, _BLOCKS[0][1]), *_BLOCKS[1:]]
        self.discriminator_blocks = nn.ModuleList(
            Block(cin, cout, activate=i > 0, norm=0 < i < len(widths) - 1)
            for i, (cin, cout) in enumerate(widths)
        )

    def forward(self, frames: Tensor, masks: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Logits of "this is the true mask".

        Args:
            frames: normalised pictures, (B, 3, h, w).
            masks: foreground in 0..1, (B, 1, h, w).
            features: three neighbouring levels, (B, C, h, w), (B, C, ⌈h/2⌉, ⌈w/2⌉), (B, C, ⌈h/4⌉, ⌈w/4⌉).

        Returns:
            (B, 1, ⌈h/4⌉, ⌈w/4⌉); the release applies a sigmoid.
        """
        fine, middle, coarse = features
        x = self.conv1(torch.cat((frames, fine, masks), 1))
        x = F.max_pool2d(x, 3, stride=2, padding=1) + middle
        x = F.max_pool2d(self.conv2(x), 3, stride=2, padding=1) + coarse
        for block in self.discriminator_blocks:
            x = block(x)
        judged: Tensor = x
        return judged
