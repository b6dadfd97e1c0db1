"""mustan-lite: MUSTAN for computers without a GPU.

After Pokala et al., "MUSTAN: Multi-scale Temporal Context as Attention for Robust Video Foreground
Segmentation" (arXiv 2402.00918): what is known from other times is joined with the features of the current
frame at several scales. The differences are our own: one small encoder for the frame and an image of the
empty scene, because a few frames cannot show that somebody who stands still does not belong to the scene;
fusion by concatenation instead of a gate, because a gate lets the comparison through only weakly; and in
mustan-lite the temporal 10-90 % quantile range of each pixel, over all its past and over what was background,
because appearance has to tell a tree that waves from a thing that was put there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init

from segue.layers.activated import ConvNormReLU
from segue.layers.colours import (
    IMAGE,
    PAST,
    RECURRENCE_PLANES,
    SCENE_PLANES,
    CuesByScene,
    PastPyramid,
    packed_image,
    past_cues,
)
from segue.layers.flow_attention import FilteredFlow, FlowAttention
from segue.layers.mobilenet import MobileNetV2Trunk
from segue.layers.residual import NO_NORM, norm_relu
from segue.models.base import NETWORK_STAGES, Features, ForegroundCapabilities, Shape
from segue.models.mustan import UpBlock

CURRENT, CONTEXT, SCENE = "current", "context", "scene"
"""Roles: the current frame, earlier frames, and the background model."""

SCENE_IMAGE, SCENE_STATISTICS = "scene image", "scene statistics"
"""Roles of the parts of the background model."""

FUSED = (16, 32, 48, 96)
"""Channels after fusion at strides 2, 4, 8 and 16."""

WIDTHS = (48, 24, 16)
"""Channels of the decoder at strides 8, 4 and 2."""


RECURRENCE_GAIN = 8.0
"""Factor on recurrence, which is small compared with the other cues."""


class MustanLite(nn.Module):
    """Foreground and shadow from a frame, two earlier frames and the background.

    With ``recurrence`` it also looks at how often the colours of a frame were seen at their places before,
    see :mod:`segue.sessions.foreground.background.recurrence`: what sways shows the same few again and again.

    With ``flow`` it also looks at optical flow to those two frames, by HOFAM's hierarchical optical flow
    attention (:class:`segue.layers.flow_attention.FlowAttention`) in its decoder.

    Attributes:
        offsets: times of the frames of a window, in frames before the current one.
        flow_name: method of optical flow in training, ``dis``, ``farneback`` or ``raft``; None takes no flow.

    Args:
        flow: as ``flow_name``.
        recurrence: use the frequency of colours.
        flow_attention: weigh what is made of flow by attention; without, all of it counts.
    """

    offsets = (-6, -3, 0)
    context = ((-6, CONTEXT), (-3, CONTEXT))
    current = CURRENT
    background: str | None = SCENE
    capabilities = ForegroundCapabilities(
        temporal_quantiles=True,
        background_parts=(SCENE_IMAGE, SCENE_STATISTICS),
        stages=(*NETWORK_STAGES, "contrast", "lights", "shadows", "panels", "agreement"),
        context_maps=True,
        two_passes=True,
        follows_pans=True,
        graphs="scene",
    )
    channels = 2
    threshold = 0.4
    size_multiple = 16
    int8_parts = ("encoder", "past", "fuse_own", "decoder")  # and the cues in their own way

    def __init__(
        self, flow: str | None = None, *, flow_attention: bool = True, recurrence: bool = False
    ) -> None:
        super().__init__()
        self.flow_name = flow
        self.options: dict[str, bool | str] = {}
        self.recurrence: nn.Conv2d | None = None
        if recurrence:
            # Without a bias: a frame without a past is as one whose colours were never seen.
            self.recurrence = nn.Conv2d(RECURRENCE_PLANES, PAST[0], 3, padding=1, bias=False)
            nn.init.zeros_(self.recurrence.weight)
            self.options["recurrence"] = True
            self.capabilities = replace(self.capabilities, recurrence=True)
        self.encoder = MobileNetV2Trunk()
        self.past = PastPyramid(len(self.context))
        self.cues: CuesByScene | None = None
        self.fuse = nn.ModuleList(
            ConvNormReLU(2 * cin + past, cout)
            for cin, past, cout in zip(self.encoder.channels, PAST, FUSED, strict=True)
        )
        self.fuse_own: nn.ModuleList | None = None
        self.fuse_scene: nn.ModuleList | None = None
        self.decoder = Decoder(FUSED, WIDTHS, self.channels)
        self.flow_attention: FlowAttention | None = None
        if flow is not None:
            gaps = tuple(-offset for offset in reversed(self.offsets) if offset)
            guides = (*reversed(WIDTHS[:-1]), FUSED[-1], None)
            self.flow_attention = FlowAttention(
                len(gaps), self.encoder.channels, guides, FUSED, attention=flow_attention
            )
            self.options |= {"flow": flow, "flow_attention": flow_attention}
            self.capabilities = replace(
                self.capabilities, flow=True, flow_gaps=gaps, explains_flow=True, graphs=None
            )

    def compose_layers(self) -> None:
        """Precompute per-scene parts of the past's first layer and the fusion."""
        self.cues = CuesByScene(cast(ConvNormReLU, self.past.stages[0]), len(self.context))
        split = [
            _by_scene(cast(ConvNormReLU, fuse), cin)
            for fuse, cin in zip(self.fuse, self.encoder.channels, strict=True)
        ]
        self.fuse_own, self.fuse_scene = (nn.ModuleList(side) for side in zip(*split, strict=True))

    def _cues_of(self, frames: Tensor) -> CuesByScene | None:
        exact = frames.dtype in (torch.float32, torch.int32)  # or packed
        return self.cues if exact and frames.device.type == "cpu" else None

    def encode(
        self, frames: Tensor, role: str, flow: Tensor | None = None, recurrence: Tensor | None = None
    ) -> Features:
        """Pixels, and features of 16, 24, 32 and 96 channels at strides 2, 4, 8 and 16.

        A scene comes as its planes, (N, 21, H, W) in [0, 1], or as its image for the part of that; a frame of
        the context gives its pixels alone.
        Prepared for inference, a scene gives its part of the fused maps, of as many channels as these, and
        what the cues take of it instead of pixels; that comes last. Frames are images of 8 bits then.
        A network with flow takes the flow image of the current frame, (N, 2, H, W) in [0, 1], the flow to
        the frame six before it first; its maps at the same strides come last. One with recurrence takes that,
        (N, 6, H / 2, W / 2) in [0, 1], and what it makes of it, (N, 16, H / 2, W / 2), comes after all.
        """
        cues = self._cues_of(frames)
        if role == CONTEXT:
            return (frames if cues is None else packed_image(frames),)
        if role == SCENE:
            return (*self.encode(frames[:, IMAGE], SCENE_IMAGE), *self.encode(frames, SCENE_STATISTICS))
        if role == SCENE_STATISTICS:
            return (frames,) if cues is None else cues.of_scene(frames)
        if role == SCENE_IMAGE:
            maps = self.encoder(frames * 2 - 1)
            if cues is None or self.fuse_scene is None:
                return tuple(maps)
            return tuple(fuse(each) for fuse, each in zip(self.fuse_scene, maps, strict=True))
        maps = (frames if cues is None else packed_image(frames), *self.encoder(frames * 2 - 1))
        if self.flow_attention is not None:
            if flow is None:
                raise ValueError(
                    "this mustan-lite was trained with optical flow; each frame must bring its flow"
                )
            maps = (*maps, *self.flow_attention.encoder(flow))
        if self.recurrence is not None and recurrence is not None:
            maps = (*maps, self.recurrence(RECURRENCE_GAIN * recurrence))
        return maps

    def decode(
        self, current: Features, context: Sequence[Features], background: Features | None, size: Shape
    ) -> Tensor:
        """Decode logits of foreground and shadow, (N, 2, H, W)."""
        if background is None or len(context) != len(self.context):
            raise ValueError(f"mustan-lite decodes with {len(self.context)} context frames and a background")
        return self._decode(current, context, background, size)[0]

    def explain_flow(
        self, current: Features, context: Sequence[Features], background: Features | None
    ) -> list[FilteredFlow]:
        """See :class:`segue.models.base.ExplainedFlow`."""
        assert background is not None
        height, width = current[0].shape[-2:]
        return self._decode(current, context, background, (height, width))[1][::-1]

    def _decode(
        self,
        current: Features,
        context: Sequence[Features],
        background: Features,
        size: Shape,
    ) -> tuple[Tensor, list[FilteredFlow]]:
        filtered: list[FilteredFlow] = []
        past = self._past(current, context, background)
        frame_maps, flow = current[1 : len(FUSED) + 1], current[len(FUSED) + 1 :][: len(FUSED)]
        scene = background[: len(FUSED)]
        if self._cues_of(current[0]) is None or self.fuse_own is None:
            fused = [
                fuse(torch.cat(maps, 1))
                for fuse, *maps in zip(self.fuse, frame_maps, scene, past, strict=True)
            ]
        else:
            fused = [
                norm_relu(cast(nn.Conv2d, fuse), NO_NORM, torch.cat(maps, 1), scene_map)
                for fuse, scene_map, *maps in zip(self.fuse_own, scene, frame_maps, past, strict=True)
            ]
        attention = self.flow_attention
        if attention is None:
            logits = self.decoder(fused)
        else:

            def from_flow(scale: int, guide: Tensor | None) -> Tensor:
                if guide is not None:
                    guide = F.interpolate(guide, fused[scale].shape[-2:], mode="bilinear")
                filtered.append(attention(scale, frame_maps[scale], flow[scale], guide))
                return filtered[-1].weighed

            logits = self.decoder(fused, from_flow)
        return F.interpolate(logits, size=size, mode="bilinear"), filtered

    def context_maps(
        self, current: Features, context: Sequence[Features], background: Features
    ) -> list[Tensor]:
        """Temporal cues: means over channels, (N, h, w) at strides 2, 4, 8 and 16."""
        return [maps.mean(1) for maps in self._past(current, context, background)]

    def _past(self, current: Features, context: Sequence[Features], background: Features) -> list[Tensor]:
        frame, scene_cues = current[0], background[len(FUSED) :]
        cues, context_frames = self._cues_of(frame), [pixels for (pixels,) in context]
        if cues is None:
            first = self.past.stages[0](past_cues(frame, scene_cues[0], context_frames))
        else:
            first = cues(frame, context_frames, scene_cues)
        maps = 1 + len(FUSED) * (1 if self.flow_attention is None else 2)
        for recurrent in current[maps:]:
            first = first + recurrent
        return self.past.after_first(first)

    def forward(self, window: Tensor, scene: Tensor, flow: Tensor | None = None) -> Tensor:
        """Logits (N, 2, H, W) of the last frame of windows.

        From RGB frames (N, 3, 3, H, W) in [0, 1] at ``self.offsets``, the planes of the empty scene,
        (N, 21, H, W) in [0, 1], after which may come the six of recurrence at full size, and for a network
        with flow its images (N, 2, H, W) in [0, 1].
        """
        *context, current = window.unbind(1)
        scene, recurrence = scene[:, :SCENE_PLANES], scene[:, SCENE_PLANES:]
        recurrence_map = F.avg_pool2d(recurrence, 2) if recurrence.shape[1] else None
        context_maps = [self.encode(frame, CONTEXT) for frame in context]
        height, width = window.shape[-2:]
        return self.decode(
            self.encode(current, CURRENT, flow, recurrence_map),
            context_maps,
            self.encode(scene, SCENE),
            (height, width),
        )


def _by_scene(fuse: ConvNormReLU, cin: int) -> tuple[nn.Conv2d, nn.Conv2d]:
    """Split a 1x1 fusion into the part for frame and past, and the part for ``cin`` background maps."""
    weight, bias = fuse.conv.weight.detach(), fuse.conv.bias
    assert bias is not None
    frame_weight, scene, past = weight.split((cin, cin, weight.shape[1] - 2 * cin), 1)
    parts = []
    for each, shift in ((torch.cat([frame_weight, past], 1), bias), (scene, None)):
        conv: nn.Conv2d = skip_init(
            nn.Conv2d, each.shape[1], each.shape[0], kernel_size=1, bias=shift is not None
        )
        conv.weight = nn.Parameter(each.clone(), requires_grad=False)
        if shift is not None:
            conv.bias = nn.Parameter(shift.detach().clone(), requires_grad=False)
        parts.append(conv)
    return parts[0], parts[1]


class Decoder(nn.Module):
    """Decodes fused maps, fine to coarse, to logits at stride 2."""

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
        """Logits (N, channels, H/2, W/2) of maps (N, C, h, w), fine to coarse."""
        *skips, x = fused
        if more is not None:
            x = x + more(len(skips), None)
        for scale, (stage, skip) in reversed([*enumerate(zip(reversed(self.stages), skips, strict=True))]):
            if more is not None:
                skip = skip + more(scale, x)
            x = stage(x, (skip.shape[-2], skip.shape[-1]), skip)
        logits: Tensor = self.head(x)
        return logits.contiguous()  # plane by plane, which is four times as fast to enlarge
