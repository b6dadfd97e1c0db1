"""MUSTAN for cameras at home: context as in MUSTAN, on a MobileNetV2 that all frames share.

After Pokala et al., "MUSTAN: Multi-scale Temporal Context as Attention for Robust Video Foreground
Segmentation" (arXiv 2402.00918): features of frames around the current one meet its own at several scales.
What differs is our own: one small encoder for all frames, fusion by concatenation instead of a gate, because
a gate lets the comparison through only weakly, and a picture of the empty scene as a further input, because
a few frames cannot show that somebody who stands still does not belong to the scene. Beside its features each
frame keeps its picture at half the size: what the colours themselves differ by is handed to every scale,
because the features of a classifier forget how dark a plain surface is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.activated import BatchNormReLU
from segue.layers.colour_changes import PER_FRAME, colour_changes, half_size
from segue.layers.mobilenet import MobileNetV2Trunk
from segue.models.foreground import Features
from segue.models.mustan import UpBlock

ROLE = "frame"
FUSED = (16, 32, 48, 96)
"""Channels after fusion at strides 2, 4, 8 and 16."""

WIDTHS = (48, 24, 16)
"""Channels of the decoder at strides 8, 4 and 2."""


class MustanLite(nn.Module):
    """Foreground and shadow from a frame, two frames before it and a picture of the empty scene.

    Attributes:
        offsets: times of the frames of a window, in frames before the current one.
    """

    offsets = (-6, -3, 0)
    context = ((-6, ROLE), (-3, ROLE))
    current = ROLE
    background: str | None = ROLE
    channels = 2
    size_multiple = 16

    def __init__(self) -> None:
        super().__init__()
        self.encoder = MobileNetV2Trunk()
        members = len(self.context) + 2
        self.fuse = nn.ModuleList(
            Fusion(members * cin + (members - 1) * PER_FRAME, cout)
            for cin, cout in zip(self.encoder.channels, FUSED, strict=True)
        )
        self.decoder = Decoder(FUSED, WIDTHS, self.channels)

    def encode(self, frames: Tensor, role: str) -> Features:
        """The picture of RGB frames (N, 3, H, W) in [0, 1] at stride 2, and their features.

        Those have 16, 24, 32 and 96 channels at strides 2, 4, 8 and 16.
        """
        picture = frames * 2 - 1
        return (half_size(picture), *self.encoder(picture))

    def decode(
        self,
        current: Features,
        context: Sequence[Features],
        background: Features | None,
        size: tuple[int, int],
    ) -> Tensor:
        """Logits of foreground and shadow, (N, 2, H, W).

        Raises:
            ValueError: there is no background, or the context has another length than ``self.context``.
        """
        if background is None or len(context) != len(self.context):
            raise ValueError(f"mustan-lite decodes with {len(self.context)} context frames and a background")
        frames = (*context, current, background)
        changes = colour_changes(current[0], [other[0] for other in (*context, background)], len(self.fuse))
        fused = [
            fuse(torch.cat([*(maps[scale] for maps in frames), change], 1))
            for scale, (fuse, change) in enumerate(zip(self.fuse, changes, strict=True), start=1)
        ]
        logits = self.decoder(fused)
        return F.interpolate(logits, size=size, mode="bilinear")

    def forward(self, window: Tensor, background: Tensor) -> Tensor:
        """Logits (N, 2, H, W) of the last frame of windows.

        Args:
            window: RGB frames (N, 3, 3, H, W) in [0, 1] at ``self.offsets``.
            background: RGB pictures of the empty scene, (N, 3, H, W) in [0, 1].
        """
        frames = torch.cat([window, background[:, None]], 1)
        features = self.encode(frames.transpose(0, 1).flatten(0, 1), ROLE)
        *context, current, scene = zip(*(maps.chunk(frames.shape[1]) for maps in features), strict=True)
        height, width = window.shape[-2:]
        return self.decode(current, context, scene, (height, width))


class Fusion(nn.Module):
    """One scale of all frames, concatenated → what differs between them and what is there."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, 1, bias=False)
        self.bn = BatchNormReLU(cout)

    def forward(self, maps: Tensor) -> Tensor:
        fused: Tensor = self.bn(self.conv(maps))
        return fused


class Decoder(nn.Module):
    """Fused maps, fine to coarse, to logits at stride 2."""

    def __init__(self, skips: Sequence[int], widths: Sequence[int], channels: int) -> None:
        super().__init__()
        cins = [below + skip for below, skip in zip((skips[-1], *widths), reversed(skips[:-1]), strict=False)]
        self.stages = nn.ModuleList(
            UpBlock(cin, width, convolutions=1) for cin, width in zip(cins, widths, strict=True)
        )
        self.head = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, fused: Sequence[Tensor]) -> Tensor:
        *skips, x = fused
        for stage, skip in zip(self.stages, reversed(skips), strict=True):
            x = stage(x, (skip.shape[-2], skip.shape[-1]), skip)
        logits: Tensor = self.head(x)
        return logits.contiguous()  # plane by plane, which is four times as fast to enlarge
