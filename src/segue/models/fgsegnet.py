"""FgSegNet_v2: learns one scene from a few labelled frames.

Lim, Keles, "Learning multi-scale features for foreground segmentation" (Pattern Analysis and Applications
2019, arXiv 1808.01477). Layers, paddings, norms and sizes are those of the public Keras code.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.colours import normalise_planes
from segue.models.base import Features, ForegroundCapabilities, Shape

BACKBONE = ((3, 64, 64), (64, 128, 128), (128, 256, 256, 256), (256, 512, 512, 512))
"""Channels before and after the convolutions of the four blocks of VGG-16."""

FROZEN = 3
"""Blocks that keep their ImageNet weights."""

EXTRA_CELL = {"streetCornerAtNight": (0, 1), "tramStation": (1, 0), "turbulence2": (1, 0)}
"""Scenes of CDnet 2014 for which the release adds a row or column to the coarse map, and cuts the result."""

CERTAIN = 1e-7
"""Distance of a probability from 0 and 1 in the logits of a resized result."""

Scaling = Literal["raw255", "imagenet"]


class FgSegNetV2(nn.Module):
    """VGG-16 to its fourth block, pooling of features at several dilations, decoder with global gates.

    Args:
        scaling: ``raw255`` feeds RGB from 0 to 255, as the release does; ``imagenet`` normalises, for VGG-16
            weights of torchvision (ours).
        scene: name of a CDnet 2014 sequence whose size the release treats in its own way; by default odd
            sizes follow the general rule.
    """

    context: tuple[tuple[int, str], ...] = ()
    current = "current"
    background: str | None = None
    channels = 1
    threshold = 0.7
    size_multiple = 1
    capabilities = ForegroundCapabilities()

    def __init__(self, scaling: Scaling = "raw255", scene: str | None = None) -> None:
        super().__init__()
        if scaling not in get_args(Scaling):
            raise ValueError(f"scaling is {scaling!r}; it must be one of {', '.join(get_args(Scaling))}")
        self.options: dict[str, str] = {"scaling": scaling}
        if scene is not None and scene in EXTRA_CELL:
            self.options["scene"] = scene
        self.scaling: Scaling = scaling
        self.extra = EXTRA_CELL.get(scene or "", (0, 0))
        self.backbone = Backbone()
        self.fpm = FeaturePooling()
        self.decoder = Decoder()

    def encode(self, frames: Tensor, role: str) -> Features:
        """RGB (N, 3, H, W) in [0, 1] → maps of 64, 128 and 512 channels at strides 1, 2 and 4."""
        images = 255 * frames if self.scaling == "raw255" else normalise_planes(frames)
        return self.backbone(images)

    def decode(
        self, current: Features, context: Sequence[Features], background: Features | None, size: Shape
    ) -> Tensor:
        """Decode logits (N, 1, H, W) at ``size``, without context frames or background."""
        fine, middle, coarse = current
        if any(self.extra):
            height, width = coarse.shape[-2:]
            coarse = resize_from_corner(coarse, (height + self.extra[0], width + self.extra[1]))
        logits: Tensor = self.decoder(self.fpm(coarse), middle, fine)
        # As released: an extra row is cut at the top, an extra column at the right.
        logits = logits[..., self.extra[0] :, : logits.shape[-1] - self.extra[1]]
        if (logits.shape[-2], logits.shape[-1]) == size:
            return logits
        # The release resizes probabilities. In 16 bits one of 1 would have an endless logit and gradient.
        return torch.logit(resize_from_corner(torch.sigmoid(logits.float()), size), eps=CERTAIN)

    def forward(self, frames: Tensor) -> Tensor:
        """RGB (N, 3, H, W) in [0, 1] → logits (N, 1, H, W)."""
        return self.decode(self.encode(frames, self.current), (), None, (frames.shape[-2], frames.shape[-1]))

    def freeze_backbone(self) -> None:
        """Train only the last backbone block, as published: 7,489,673 of 9,225,161 parameters."""
        for name, parameter in self.backbone.named_parameters():
            parameter.requires_grad_(int(name[len("block")]) > FROZEN)


class Backbone(nn.Module):
    """First four blocks of VGG-16, without the pooling after the third; dropout in the fourth."""

    def __init__(self) -> None:
        super().__init__()
        for block, widths in enumerate(BACKBONE, start=1):
            for i, (cin, cout) in enumerate(itertools.pairwise(widths), start=1):
                self.add_module(f"block{block}_conv{i}", nn.Conv2d(cin, cout, 3, padding=1))
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, H, W) → block 1 (64, full size), block 2 (128, half), block 4 (512, a quarter)."""
        fine = self._block(1, x)
        middle = self._block(2, F.max_pool2d(fine, 2))
        coarse = self._block(4, self._block(3, F.max_pool2d(middle, 2)))
        return fine, middle, coarse

    def _block(self, block: int, x: Tensor) -> Tensor:
        for i in range(1, len(BACKBONE[block - 1])):
            x = F.relu(self.get_submodule(f"block{block}_conv{i}")(x))
            if block > FROZEN:
                x = self.dropout(x)
        return x


class FeaturePooling(nn.Module):
    """M-FPM: a pooled map and four stacked convolutions of growing dilation."""

    def __init__(self) -> None:
        super().__init__()
        self.pool_proj = nn.Conv2d(512, 64, 1)
        self.d1 = nn.Conv2d(512, 64, 3, padding=1)
        self.d4 = nn.Conv2d(576, 64, 3, padding=4, dilation=4)
        self.d8 = nn.Conv2d(576, 64, 3, padding=8, dilation=8)
        self.d16 = nn.Conv2d(576, 64, 3, padding=16, dilation=16)
        self.norm = WholeNorm()
        self.dropout = nn.Dropout2d(0.25)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 512, h, w) → (N, 320, h, w)."""
        # The window of the pooling reaches one position to the right and to the bottom.
        maps = [self.pool_proj(F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 2, stride=1))]
        maps.append(self.d1(x))
        for dilated in (self.d4, self.d8, self.d16):
            maps.append(dilated(F.relu(torch.cat([x, maps[-1]], 1))))
        return self.dropout(F.relu(self.norm(torch.cat(maps, 1))))


class Decoder(nn.Module):
    """Decodes pooled features to logits, scaled by global means of the first two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.skip_b = nn.Conv2d(128, 64, 1)
        self.conv1, self.norm1 = nn.Conv2d(320, 64, 3, padding=1), WholeNorm()
        self.conv2, self.norm2 = nn.Conv2d(64, 64, 3, padding=1), WholeNorm()
        self.conv3, self.norm3 = nn.Conv2d(64, 64, 3, padding=1), WholeNorm()
        self.head = nn.Conv2d(64, 1, 1)

    def forward(self, pooled: Tensor, middle: Tensor, fine: Tensor) -> Tensor:
        """(N, 320, h, w), (N, 128, ·, ·), (N, 64, ·, ·) → (N, 1, 4h, 4w)."""
        x = F.relu(self.norm1(self.conv1(pooled)))
        x = F.interpolate(x + x * self.skip_b(middle).mean((2, 3), keepdim=True), scale_factor=2.0)
        x = F.relu(self.norm2(self.conv2(x)))
        x = F.interpolate(x + x * fine.mean((2, 3), keepdim=True), scale_factor=2.0)
        return self.head(F.relu(self.norm3(self.conv3(x))))


class WholeNorm(nn.Module):
    """The "instance norm" of the release: over channels and positions together, with a single scale."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        deviation, mean = torch.std_mean(x, (1, 2, 3), correction=0, keepdim=True)
        return (x - mean) / (deviation + 1e-3) * self.weight + self.bias


def resize_from_corner(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (..., h, w) bilinearly like TensorFlow 1: position i comes from i · h / H."""
    for axis, length in zip((-2, -1), size, strict=True):
        have = x.shape[axis]
        place = torch.arange(length, device=x.device, dtype=torch.float32) * (have / length)
        first = place.long()
        share = (place - first).to(x.dtype).view(-1, *[1] * (-1 - axis))
        low = x.index_select(axis, first)
        x = low + (x.index_select(axis, (first + 1).clamp(max=have - 1)) - low) * share
    return x
