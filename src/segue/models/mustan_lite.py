"""MUSTAN for cameras at home: mustan-lite, and mustan-slim, half a million parameters trained from nothing.

After Pokala et al., "MUSTAN: Multi-scale Temporal Context as Attention for Robust Video Foreground
Segmentation" (arXiv 2402.00918): what is known from other times is joined with the features of the current
frame at several scales. What differs is our own: one small encoder for the frame and a picture of the empty
scene, because a few frames cannot show that somebody who stands still does not belong to the scene; fusion by
concatenation instead of a gate, because a gate lets the comparison through only weakly; and in mustan-lite
the temporal 10-90 % quantile range of each pixel, over all its past and over what was background, because
appearance has to tell a tree that waves from a thing that was put there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.activated import BatchNormReLU, ConvNormReLU, Stages
from segue.layers.colours import (
    NOISE_CUES,
    PAST,
    PER_FRAME,
    PICTURE,
    PastPyramid,
    colour_changes,
    half_size,
    normalise_planes,
    past_cues,
)
from segue.layers.flow_attention import FilteredFlow, FlowAttention
from segue.layers.gates import PositionGate, gated
from segue.layers.mobilenet import MobileNetV2Trunk
from segue.layers.resnet import scaled
from segue.models.base import Features, ForegroundCapabilities, Shape
from segue.models.mustan import UpBlock

CURRENT, CONTEXT, SCENE = "current", "context", "scene"
"""Roles: the current frame, frames before it, and what is known of the empty scene."""

FUSED = (16, 32, 48, 96)
"""Channels after fusion at strides 2, 4, 8 and 16."""

WIDTHS = (48, 24, 16)
"""Channels of the decoder at strides 8, 4 and 2."""

SLIM_ENCODER = (16, 24, 40, 64, 96)
"""Channels of mustan-slim at strides 2, 4, 8, 16 and 32."""

SLIM_DECODER = (64, 40, 24, 16)
"""Channels of its decoder at strides 16, 8, 4 and 2."""


class MustanLite(nn.Module):
    """Foreground and shadow from a frame, two frames before it and what is known of the empty scene.

    With ``flow`` it also looks at optical flow to those two frames, by HOFAM's hierarchical optical flow
    attention (:class:`segue.layers.flow_attention.FlowAttention`) in its decoder.

    Attributes:
        offsets: times of the frames of a window, in frames before the current one.
        flow_name: what gave the flow in training, ``dis``, ``farneback`` or ``raft``; None takes no flow.

    Args:
        flow: as ``flow_name``.
        flow_attention: weigh what is made of flow by attention; without, all of it counts.
    """

    offsets = (-6, -3, 0)
    context = ((-6, CONTEXT), (-3, CONTEXT))
    current = CURRENT
    background: str | None = SCENE
    capabilities = ForegroundCapabilities(
        temporal_quantiles=True,
        retains_stationary=True,
        ignores_lights=True,
        suppresses_shadows=True,
        stretches_contrast=True,
        context_maps=True,
        two_passes=True,
        follows_pans=True,
        graphs="scene",
    )
    channels = 2
    threshold = 0.3
    size_multiple = 16

    def __init__(self, flow: str | None = None, *, flow_attention: bool = True) -> None:
        super().__init__()
        self.flow_name = flow
        self.options: dict[str, bool | str] = {}
        self.encoder = MobileNetV2Trunk()
        self.past = PastPyramid(len(self.context), NOISE_CUES)
        self.fuse = nn.ModuleList(
            ConvNormReLU(2 * cin + past, cout)
            for cin, past, cout in zip(self.encoder.channels, PAST, FUSED, strict=True)
        )
        self.decoder = Decoder(FUSED, WIDTHS, self.channels)
        self.flow_attention: FlowAttention | None = None
        if flow is not None:
            gaps = tuple(-offset for offset in reversed(self.offsets) if offset)
            guides = (*reversed(WIDTHS[:-1]), FUSED[-1], None)
            self.flow_attention = FlowAttention(
                len(gaps), self.encoder.channels, guides, FUSED, attention=flow_attention
            )
            self.options = {"flow": flow, "flow_attention": flow_attention}
            self.capabilities = replace(
                type(self).capabilities, flow=True, flow_gaps=gaps, explains_flow=True, graphs=None
            )

    def encode(self, frames: Tensor, role: str, flow: Tensor | None = None) -> Features:
        """Pixels, and features of 16, 24, 32 and 96 channels at strides 2, 4, 8 and 16.

        A scene comes as its planes, (N, 21, H, W) in [0, 1]; a frame of the context gives its pixels alone.
        A network with flow takes the flow picture of the current frame, (N, 2, H, W) in [0, 1], the flow to
        the frame six before it first; its maps at the same strides come last.
        """
        if role == CONTEXT:
            return (frames,)
        picture = frames[:, PICTURE] if role == SCENE else frames
        maps = (frames, *self.encoder(picture * 2 - 1))
        if role == SCENE or self.flow_attention is None:
            return maps
        if flow is None:
            raise ValueError("this mustan-lite was trained with optical flow; each frame must bring its flow")
        return (*maps, *self.flow_attention.encode(flow))

    def decode(
        self, current: Features, context: Sequence[Features], background: Features | None, size: Shape
    ) -> Tensor:
        """Logits of foreground and shadow, (N, 2, H, W)."""
        if background is None or len(context) != len(self.context):
            raise ValueError(f"mustan-lite decodes with {len(self.context)} context frames and a background")
        return self._decode(current, context, background, size, lambda _: None)

    def explain_flow(
        self, current: Features, context: Sequence[Features], background: Features | None
    ) -> tuple[list[Tensor], list[FilteredFlow]]:
        """See :class:`segue.models.base.ExplainedFlow`; the frames bring their flow."""
        assert background is not None
        found: list[FilteredFlow] = []
        height, width = current[0].shape[-2:]
        self._decode(current, context, background, (height, width), found.append)
        return [], found[::-1]

    def _decode(
        self,
        current: Features,
        context: Sequence[Features],
        background: Features,
        size: Shape,
        show: Callable[[FilteredFlow], None],
    ) -> Tensor:
        past = self._past(current, context, background)
        own, flow = current[1 : len(FUSED) + 1], current[len(FUSED) + 1 :]
        fused = [
            fuse(torch.cat(maps, 1)) for fuse, *maps in zip(self.fuse, own, background[1:], past, strict=True)
        ]

        attention = self.flow_attention
        if attention is None:
            logits = self.decoder(fused)
        else:

            def from_flow(scale: int, guide: Tensor | None) -> Tensor:
                if guide is not None:
                    guide = F.interpolate(guide, fused[scale].shape[-2:], mode="bilinear")
                found = attention(scale, own[scale], flow[scale], guide)
                show(found)
                return found.weighed

            logits = self.decoder(fused, from_flow)
        return F.interpolate(logits, size=size, mode="bilinear")

    def context_maps(
        self, current: Features, context: Sequence[Features], background: Features
    ) -> list[Tensor]:
        """What the past says about the frame: means over channels, (N, h, w) at strides 2, 4, 8 and 16."""
        return [maps.mean(1) for maps in self._past(current, context, background)]

    def _past(self, current: Features, context: Sequence[Features], background: Features) -> list[Tensor]:
        pixels = [frame for (frame,) in context]
        return self.past(past_cues(current[0], background[0], pixels, noise_units=True))

    def forward(self, window: Tensor, scene: Tensor, flow: Tensor | None = None) -> Tensor:
        """Logits (N, 2, H, W) of the last frame of windows.

        From RGB frames (N, 3, 3, H, W) in [0, 1] at ``self.offsets``, the planes of the empty scene,
        (N, 21, H, W) in [0, 1], and for a network with flow its pictures (N, 2, H, W) in [0, 1].
        """
        *context, current = window.unbind(1)
        # Both at once is faster than one after the other.
        maps = [found.chunk(2) for found in self.encoder(torch.cat([current, scene[:, PICTURE]]) * 2 - 1)]
        frame, empty = zip(*maps, strict=True)
        height, width = window.shape[-2:]
        known = [(pixels,) for pixels in context]
        if self.flow_attention is not None and flow is not None:
            frame = (*frame, *self.flow_attention.encode(flow))
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

    def forward(
        self, fused: Sequence[Tensor], more: Callable[[int, Tensor | None], Tensor] | None = None
    ) -> Tensor:
        """Logits at stride 2.

        Args:
            fused: maps (N, C, h, w), fine to coarse.
            more: gives what is added to a map, of its place and the feature from below, if anything is.

        Returns:
            (N, channels, H/2, W/2).
        """
        *skips, x = fused
        if more is not None:
            x = x + more(len(skips), None)
        for scale, (stage, skip) in reversed([*enumerate(zip(reversed(self.stages), skips, strict=True))]):
            if more is not None:
                skip = skip + more(scale, x)
            x = stage(x, (skip.shape[-2], skip.shape[-1]), skip)
        logits: Tensor = self.head(x)
        return logits.contiguous()  # plane by plane, which is four times as fast to enlarge


class MustanSlim(nn.Module):
    """Foreground, and shadow where asked for, from a few frames and a picture of the empty scene.

    Attributes:
        offsets: times of the frames of a window, in frames from the current one.

    Args:
        offsets: as above; one of them is 0.
        frm: ``attention`` weighs the features of the frame by what the comparison says, at strides 4 to 32;
            ``concat`` hands the comparison itself on, at stride 2 too: better where it was tried.
        background: take a picture of the empty scene.
        shadow: give shadow as a second output.
        changes: join what the colours differ by from those of the other frames, at every scale.
        width: factor on all channels, which are rounded to multiples of 8.

    Raises:
        ValueError: no offset is 0.
    """

    current = "frame"
    threshold = 0.3
    size_multiple = 1
    capabilities = ForegroundCapabilities(graphs="scene")

    def __init__(
        self,
        offsets: Sequence[int] = (-3, 0, 3),
        *,
        frm: Literal["attention", "concat"] = "attention",
        background: bool = False,
        shadow: bool = False,
        changes: bool = False,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        if 0 not in offsets:
            raise ValueError(f"offsets are {tuple(offsets)}; one of them must be 0, the current frame")
        self.offsets = tuple(offsets)
        self.context = tuple((offset, self.current) for offset in self.offsets if offset)
        self.background = self.current if background else None
        self.channels = 2 if shadow else 1
        channels = [scaled(c, width) for c in SLIM_ENCODER]
        stages = [Stage(3, channels[0], residual=False)]
        stages += [Stage(cin, cout) for cin, cout in itertools.pairwise(channels)]
        self.encoder = Stages(stages)
        members = len(self.offsets) + 1 + background
        refined = channels if frm == "concat" else channels[1:]
        self.changes = changes
        more = (members - 2) * PER_FRAME if changes else 0
        self.frm = nn.ModuleList(
            Refinement(members * c + more, c, attention=frm == "attention") for c in refined
        )
        self.rlim = PositionGate()
        self.decoder = Decoder(channels, [scaled(c, width) for c in SLIM_DECODER], self.channels)

    def encode(self, frames: Tensor, role: str) -> Features:
        """Features of RGB frames (N, 3, H, W) in [0, 1] at strides 2 to 32.

        With ``changes`` the picture at stride 2 comes first.
        """
        picture = [half_size(frames * 2 - 1)] if self.changes else []
        return (*picture, *self.encoder(normalise_planes(frames)))

    def decode(
        self, current: Features, context: Sequence[Features], background: Features | None, size: Shape
    ) -> Tensor:
        """Logits (N, channels, H, W)."""
        if len(context) != len(self.context) or (background is None) != (self.background is None):
            wanted = "a background" if self.background else "no background"
            raise ValueError(f"this network decodes with {len(self.context)} context frames and {wanted}")
        now = self.offsets.index(0)
        others = [*context, *([] if background is None else [background])]
        members = [*context[:now], current, *others[now:]]
        joined = [list(maps) for maps in zip(*members, strict=True)]
        if self.changes:
            first, *joined = joined
            found = colour_changes(first[now], [other[0] for other in others], len(joined))
            for maps, change in zip(joined, found, strict=True):
                maps.insert(0, change)
            current = current[1:]
        fine = len(current) - len(self.frm)
        compared = zip(self.frm, current[fine:], joined[fine:], strict=True)
        refined = [*current[:fine], *(refine(own, maps) for refine, own, maps in compared)]
        refined[-1] = self.rlim(refined[-1])
        return F.interpolate(self.decoder(refined), size=size, mode="bilinear")

    def forward(self, window: Tensor, background: Tensor | None = None) -> Tensor:
        """Logits (N, channels, H, W) of the current frames of windows (N, T, 3, H, W) at ``self.offsets``.

        Frames, and pictures of the empty scene (N, 3, H, W), are RGB in [0, 1].
        """
        frames = list(window.unbind(1)) + ([] if background is None else [background])
        features = self.encode(torch.cat(frames), self.current)
        each: list[Features] = list(zip(*(maps.chunk(len(frames)) for maps in features), strict=True))
        scene = None if background is None else each.pop()
        current = each.pop(self.offsets.index(0))
        height, width = window.shape[-2:]
        return self.decode(current, each, scene, (height, width))


def shipped_slim() -> MustanSlim:
    """The variant that segue trains and ships: it sees the past only, the frames that mustan-lite sees."""
    return MustanSlim((-6, -3, 0), frm="concat", background=True, shadow=True, changes=True)


class Stage(nn.Module):
    """Half the size by a strided convolution, then two convolutions around which the map is added."""

    def __init__(self, cin: int, cout: int, *, residual: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, 2, 1, bias=False)
        self.bn1 = BatchNormReLU(cout)
        self.conv2 = self.bn2 = self.conv3 = self.bn3 = None
        if residual:
            self.conv2, self.conv3 = (nn.Conv2d(cout, cout, 3, 1, 1, bias=False) for _ in range(2))
            self.bn2, self.bn3 = BatchNormReLU(cout), nn.BatchNorm2d(cout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, h, w) to (N, cout, h/2, w/2)."""
        x = self.bn1(self.conv1(x))
        if self.conv2 is None or self.bn2 is None or self.conv3 is None or self.bn3 is None:
            return x
        y: Tensor = self.bn3(self.conv3(self.bn2(self.conv2(x))))
        return F.relu(x + y)


class Refinement(nn.Module):
    """The map of the current frame, in ``channels``, refined by all others, with it in ``joined``.

    Without attention, which weighs the map, the comparison takes its place.
    """

    def __init__(self, joined: int, channels: int, *, attention: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(joined, channels, 1, bias=False)
        self.bn = BatchNormReLU(channels)
        self.attn = nn.Conv2d(channels, channels, 3, padding=1, groups=channels) if attention else None

    def forward(self, own: Tensor, others: Sequence[Tensor]) -> Tensor:
        """(N, C, h, w) and what it is compared with → (N, C, h, w)."""
        return gated(own, self.bn(self.conv(torch.cat([*others, own], 1))), self.attn)
