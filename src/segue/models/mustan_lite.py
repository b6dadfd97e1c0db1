"""MUSTAN for cameras at home: context as in MUSTAN, on a MobileNetV2 that all frames share.

After Pokala et al., "MUSTAN: Multi-scale Temporal Context as Attention for Robust Video Foreground
Segmentation" (arXiv 2402.00918): what is known from other times meets the features of the current frame at
several scales. What differs is our own: one small encoder for the frame and a picture of the empty scene,
because a few frames cannot show that somebody who stands still does not belong to the scene; fusion by
concatenation instead of a gate, because a gate lets the comparison through only weakly; and the range in
which each pixel lived, over all its past and over what was background, because appearance has to tell a
tree that waves from a thing that was put there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.colours import PAST, PICTURE, PastPyramid, past_cues
from segue.layers.fused import ConvNormReLU
from segue.layers.mobilenet import MobileNetV2Trunk
from segue.models.base import Features
from segue.models.mustan import UpBlock

CURRENT, CONTEXT, SCENE = "current", "context", "scene"
"""Roles: the current frame, frames before it, and what is known of the empty scene."""

FUSED = (16, 32, 48, 96)
"""Channels after fusion at strides 2, 4, 8 and 16."""

WIDTHS = (48, 24, 16)
"""Channels of the decoder at strides 8, 4 and 2."""


class MustanLite(nn.Module):
    """Foreground and shadow from a frame, two frames before it and what is known of the empty scene.

    Attributes:
        offsets: times of the frames of a window, in frames before the current one.
        sees_past: of the scene it takes all planes, see :class:`segue.sessions.empty_scene.Scene`.
    """

    offsets = (-6, -3, 0)
    context = ((-6, CONTEXT), (-3, CONTEXT))
    current = CURRENT
    background: str | None = SCENE
    sees_past = True
    graphs = "scene"
    channels = 2
    threshold = 0.3
    size_multiple = 16
    takes_depth = False
    holds_standing = True

    def __init__(self) -> None:
        super().__init__()
        self.encoder = MobileNetV2Trunk()
        self.past = PastPyramid(len(self.context))
        self.fuse = nn.ModuleList(
            ConvNormReLU(2 * cin + past, cout)
            for cin, past, cout in zip(self.encoder.channels, PAST, FUSED, strict=True)
        )
        self.decoder = Decoder(FUSED, WIDTHS, self.channels)

    def encode(self, frames: Tensor, role: str) -> Features:
        """Pixels, and features of 16, 24, 32 and 96 channels at strides 2, 4, 8 and 16.

        A scene comes as its planes, (N, 21, H, W) in [0, 1]; a frame of the context gives its pixels alone.
        """
        if role == CONTEXT:
            return (frames,)
        picture = frames[:, PICTURE] if role == SCENE else frames
        return (frames, *self.encoder(picture * 2 - 1))

    def decode(
        self,
        current: Features,
        context: Sequence[Features],
        background: Features | None,
        size: tuple[int, int],
    ) -> Tensor:
        """Logits of foreground and shadow, (N, 2, H, W)."""
        if background is None or len(context) != len(self.context):
            raise ValueError(f"mustan-lite decodes with {len(self.context)} context frames and a background")
        past = self._past(current, context, background)
        fused = [
            fuse(torch.cat(maps, 1))
            for fuse, *maps in zip(self.fuse, current[1:], background[1:], past, strict=True)
        ]
        logits = self.decoder(fused)
        return F.interpolate(logits, size=size, mode="bilinear")

    def context_maps(
        self, current: Features, context: Sequence[Features], background: Features
    ) -> list[Tensor]:
        """What the past says about the frame: means over channels, (N, h, w) at strides 2, 4, 8 and 16."""
        return [maps.mean(1) for maps in self._past(current, context, background)]

    def _past(self, current: Features, context: Sequence[Features], background: Features) -> list[Tensor]:
        return self.past(past_cues(current[0], background[0], [pixels for (pixels,) in context]))

    def forward(self, window: Tensor, scene: Tensor) -> Tensor:
        """Logits (N, 2, H, W) of the last frame of windows.

        From RGB frames (N, 3, 3, H, W) in [0, 1] at ``self.offsets`` and the planes of the empty scene,
        (N, 21, H, W) in [0, 1].
        """
        *context, current = window.unbind(1)
        # Both at once is faster than one after the other.
        maps = [found.chunk(2) for found in self.encoder(torch.cat([current, scene[:, PICTURE]]) * 2 - 1)]
        frame, empty = zip(*maps, strict=True)
        height, width = window.shape[-2:]
        known = [(pixels,) for pixels in context]
        return self.decode((current, *frame), known, (scene, *empty), (height, width))


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
