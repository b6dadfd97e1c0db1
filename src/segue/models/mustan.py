"""MUSTAN1 and MUSTAN2: moving foreground from a frame and its neighbours.

Pokala, Patibandla, Pandey, Pailla, "MUSTAN: Multi-scale Temporal Context as Attention for Robust Video
Foreground Segmentation" (arXiv 2402.00918). There is neither official code nor weights. The paper gives the
parts (a context network and a frame network on ResNet-18, attention from the temporal context over the
frame's features, refinement of the localisation, a decoder; several encoders joined by fusion blocks in
MUSTAN2), the losses and the size of MUSTAN2, 40.85 million parameters. The layers inside of the parts are our
reading; with them MUSTAN2 has 40,849,952.

Depth and an image of the empty scene, as further inputs, are ours: the paper leaves them open.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.activated import BatchNormReLU
from segue.layers.colours import normalise_planes
from segue.layers.gates import FRM, FuseBlock, PositionGate
from segue.layers.resnet import WIDTHS, ResNet18, make_divisible
from segue.models.base import Features, ForegroundCapabilities, Shape

STRIDE = 3
"""Frames from one frame of a window to the next."""

MAX_FRAMES = 15
"""Largest window; the paper asks for 3, 5 and 7 frames."""

ENCODERS = {"past": "enc_past", "current": "enc_cur", "future": "enc_fut"}
"""Encoders of MUSTAN2 by role."""

Refinement = Literal["attention", "concat", "none"]
"""Use of context: weigh the features of the frame (the paper), concatenate, or none."""


def window_offsets(frames: int, *, causal: bool = False) -> tuple[int, ...]:
    """Offsets of the frames of a window from the current one: (-3, 0, 3) for three frames."""
    if frames % 2 == 0 or not 1 <= frames <= MAX_FRAMES:
        raise ValueError(f"frames is {frames}; a window has an odd number of frames, at most {MAX_FRAMES}")
    last = 0 if causal else frames // 2
    return tuple(STRIDE * k for k in range(last - frames + 1, last + 1))


class WindowNetwork(nn.Module, ABC):
    """Shared parts of MUSTAN1 and MUSTAN2: windows of frames, refined localisation, decoder.

    ``widths`` are the channels at strides 2, 4, 8, 16 and 32; ``options`` are those that the
    other does not have.
    """

    context: tuple[tuple[int, str], ...]
    background: str | None
    current = "current"
    channels = 1
    threshold = 0.5
    size_multiple = 1

    def __init__(
        self,
        frames: int,
        causal: bool,
        frm: Refinement,
        background: bool,
        depth_channels: int,
        rlim: bool,
        width: float,
        scales: int,
        normals: bool,
        max_scales: int,
        **options: bool | str,
    ) -> None:
        if not 1 <= scales <= max_scales:
            raise ValueError(f"scales is {scales}; it must be in 1 to {max_scales}")
        if depth_channels not in (0, 1):
            raise ValueError(f"depth_channels is {depth_channels}; it must be 0 or 1")
        if frm not in get_args(Refinement):
            raise ValueError(f"frm is {frm!r}; it must be one of {', '.join(get_args(Refinement))}")
        if frm == "none" and background:
            raise ValueError("a background joins the context, which frm='none' leaves out: choose one")
        super().__init__()
        self.offsets = (0,) if frm == "none" else window_offsets(frames, causal=causal)
        self.options: dict[str, bool | int | float | str] = {
            "frames": frames,
            "causal": causal,
            "frm": frm,
            "background": background,
            "depth_channels": depth_channels,
            "rlim": rlim,
            "width": width,
            "scales": scales,
            "normals": normals,
            **options,
        }
        self.plain_maps = len(WIDTHS) - scales  # the finest maps, which context does not change
        # The graphs do not take depth.
        self.capabilities = ForegroundCapabilities(
            depth=bool(depth_channels), graphs=None if depth_channels else "scene"
        )
        self.widths = tuple(make_divisible(channels, width) for channels in WIDTHS)
        self.rlim = nn.ModuleList(PositionGate() if rlim else nn.Identity() for _ in self.widths)
        self.decoder = Decoder(self.widths, normals=normals)

    @abstractmethod
    def encode(self, frames: Tensor, role: str, depth: Tensor | None = None) -> Features:
        """Features of RGB frames (N, 3, H, W) in [0, 1] for one role, with depth (N, 1, H, W) in [0, 1]."""

    @abstractmethod
    def refine(
        self, current: Features, context: Sequence[Features], background: Features | None
    ) -> list[Tensor]:
        """Maps (N, C, h, w) of the current frame at strides 2 to 32, refined by the other frames."""

    def decode(
        self, current: Features, context: Sequence[Features], background: Features | None, size: Shape
    ) -> Tensor:
        """Logits (N, 1, H, W) at ``size``."""
        if len(context) != len(self.context):
            raise ValueError(f"{len(context)} context frames; this network takes {len(self.context)}")
        if (background is None) != (self.background is None):
            expected = "no background" if self.background is None else "a background"
            raise ValueError(f"this network takes {expected}")
        refined = self.refine(current, context, background)
        return self.decoder([gate(x) for gate, x in zip(self.rlim, refined, strict=True)], size)

    def forward(
        self, window: Tensor, background: Tensor | None = None, depth: Tensor | None = None
    ) -> Tensor:
        """Logits (N, 1, H, W) of windows (N, T, 3, H, W) at ``self.offsets``, H and W at least 32.

        While it learns normals, three planes of them follow.

        ``background``: (N, 3, H, W); ``depth``: (N, 1, H, W), 1st to 99th percentile of the sequence; all in
        [0, 1]. A window of another length, or an image that is missing or not wanted, is a ValueError.
        """
        if window.shape[1] != len(self.offsets):
            raise ValueError(f"a window of {window.shape[1]} frames; this network takes {len(self.offsets)}")
        current = self.encode(window[:, self.offsets.index(0)], self.current, depth)
        # decode refuses a background that this network does not take.
        scene = None if background is None else self.encode(background, self.background or self.current)
        height, width = window.shape[-2:]
        return self.decode(current, self._encode_context(window), scene, (height, width))

    def _encode_context(self, window: Tensor) -> list[Features]:
        """Features of the context frames, one pass per role."""
        maps_at: dict[int, Features] = {}
        for role in dict.fromkeys(role for _, role in self.context):
            offsets = [offset for offset, its_role in self.context if its_role == role]
            frames = torch.cat([window[:, self.offsets.index(offset)] for offset in offsets])
            maps = zip(*(stage.chunk(len(offsets)) for stage in self.encode(frames, role)), strict=True)
            maps_at.update(zip(offsets, maps, strict=True))
        return [maps_at[offset] for offset, _ in self.context]


class MUSTAN1(WindowNetwork):
    """A context network over the window and a frame network, combined by attention at every stride.

    Args:
        frames: frames of a window, odd; the paper's next checks are 3, 5 and 7.
        causal: no frame after the current one.
        frm: refinement of features by context; none is the ablation, without the context network.
        context: ``late`` encodes every frame by itself, which streams; ``early`` the window as a whole.
        background: an image of the empty scene joins the context.
        depth_channels: 1 to take a depth map of the current frame.
        rlim: refine the localisation.
        width: factor on all channels; the paper's network is 1.
        scales: strides at which context changes the features, from the coarsest; 5 are all.
        normals: learn the normals of the surfaces as a second target; in use they are not computed.

    Raises:
        ValueError: the options contradict each other.
    """

    def __init__(
        self,
        frames: int = 3,
        *,
        causal: bool = False,
        frm: Refinement = "attention",
        context: Literal["late", "early"] = "late",
        background: bool = False,
        depth_channels: Literal[0, 1] = 0,
        rlim: bool = True,
        width: float = 1.0,
        scales: int = len(WIDTHS),
        normals: bool = False,
    ) -> None:
        if context not in ("late", "early"):
            raise ValueError(f"context is {context!r}; it must be late or early")
        built = (frames, causal, frm, background, depth_channels, rlim, width, scales, normals, len(WIDTHS))
        super().__init__(*built, context=context)
        self.early = context == "early"
        if self.early:
            self.capabilities = replace(self.capabilities, graphs=None)  # they encode frame by frame
        self.context = () if frm == "none" else tuple((offset, "context") for offset in self.offsets)
        self.background = "context" if background else None
        self.fnet = ResNet18(depth_channels=depth_channels, width=width)
        members = len(self.context) + background
        if frm != "none":
            self.cnet = ResNet18(3 * members if self.early else 3, width=width)
            maps = 1 if self.early else members
            widths = self.widths[self.plain_maps :]
            self.frm = nn.ModuleList(FRM(c, maps, attention=frm == "attention") for c in widths)

    def encode(self, frames: Tensor, role: str, depth: Tensor | None = None) -> Features:
        planes = normalise_planes(frames)
        if self.early and role != self.current and depth is None:
            return (planes,)  # the window is encoded as a whole
        encoder = self.fnet if role == self.current else self.cnet
        return encoder(planes, depth)

    def refine(
        self, current: Features, context: Sequence[Features], background: Features | None
    ) -> list[Tensor]:
        members = [*context, *([] if background is None else [background])]
        if not members:
            return list(current)
        if self.early:
            members = [self.cnet(torch.cat([planes for (planes,) in members], 1))]
        by_stride = [*zip(current, zip(*members, strict=True), strict=True)][self.plain_maps :]
        refined = [frm(features, maps) for frm, (features, maps) in zip(self.frm, by_stride, strict=True)]
        return [*current[: self.plain_maps], *refined]


class MUSTAN2(WindowNetwork):
    """Encoders for past, present and future frames, joined by fusion blocks.

    Maps of several frames on one side are averaged, so the size does not depend on the window.
    In a causal window the older half has the role of the past, the frames nearest to the current one that of
    the future.

    Args:
        frames: frames of a window, odd; the paper's next checks are 3, 5 and 7.
        causal: no frame after the current one.
        frm: refinement of features by context; none is the ablation, without the encoders of the context.
        background: an image of the empty scene joins the past.
        depth_channels: 1 to take a depth map of the current frame.
        rlim: refine the localisation.
        share_encoders: one encoder for all frames, so that a stream encodes each frame once.
        width: factor on all channels; the paper's network is 1.
        scales: strides at which past and future are fused in, from the coarsest; 4 are all but the finest.
        normals: learn the normals of the surfaces as a second target; in use they are not computed.

    Raises:
        ValueError: the options contradict each other.
    """

    def __init__(
        self,
        frames: int = 3,
        *,
        causal: bool = False,
        frm: Refinement = "attention",
        background: bool = False,
        depth_channels: Literal[0, 1] = 0,
        rlim: bool = True,
        share_encoders: bool = False,
        width: float = 1.0,
        scales: int = len(WIDTHS) - 1,
        normals: bool = False,
    ) -> None:
        if share_encoders and depth_channels:
            raise ValueError("share_encoders encodes a frame for all roles, depth is for one: choose one")
        if frames < 3 and frm != "none":
            raise ValueError(f"frames is {frames}; MUSTAN2 takes a past and a future, 3 or more")
        built = (
            frames,
            causal,
            frm,
            background,
            depth_channels,
            rlim,
            width,
            scales,
            normals,
            len(WIDTHS) - 1,
        )
        super().__init__(*built, share_encoders=share_encoders)
        self._arrange_context()
        self.background = self._sides[0] if background else None
        self.enc_cur = ResNet18(depth_channels=depth_channels, width=width)
        if frm != "none":
            if not share_encoders:
                self.enc_past, self.enc_fut = ResNet18(width=width), ResNet18(width=width)
            widths = self.widths[self.plain_maps :]
            self.fuse = nn.ModuleList(FuseBlock(c, attention=frm == "attention") for c in widths)

    @property
    def _sides(self) -> tuple[str, str]:
        """Roles of the frames before and after the current one."""
        shared = self.options["share_encoders"]
        return (self.current, self.current) if shared else ("past", "future")

    def _arrange_context(self) -> None:
        past, future = self._sides
        context_offsets = [offset for offset in self.offsets if offset]
        self.older = len(context_offsets) // 2
        self.context = tuple(
            (offset, past if i < self.older else future) for i, offset in enumerate(context_offsets)
        )

    def use_window(self, frames: int) -> None:
        """Use windows of another length than in training, by averaging the maps of each side.

        Args:
            frames: frames of a window, odd and at least 3.

        Raises:
            ValueError: there is no such window, or the network looks at no other frames.
        """
        if frames < 3 or not self.context:
            raise ValueError(f"a window of {frames} frames: MUSTAN2 takes 3 or more, with context")
        self.offsets = window_offsets(frames, causal=bool(self.options["causal"]))
        self.options["frames"] = frames
        self._arrange_context()

    def encode(self, frames: Tensor, role: str, depth: Tensor | None = None) -> Features:
        return getattr(self, ENCODERS[role])(normalise_planes(frames), depth)

    def refine(
        self, current: Features, context: Sequence[Features], background: Features | None
    ) -> list[Tensor]:
        """Fuse all but the finest maps with the means of past and future."""
        if not context:
            return list(current)
        earlier = [*context[: self.older], *([] if background is None else [background])]
        past, future = mean_maps(earlier), mean_maps(context[self.older :])
        plain = self.plain_maps
        fused = zip(self.fuse, past[plain:], current[plain:], future[plain:], strict=True)
        refined = (fuse(was, current_map, comes) for fuse, was, current_map, comes in fused)
        return [*current[:plain], *refined]


def mean_maps(members: Sequence[Features]) -> Features:
    """Average the maps of several frames, stride by stride."""
    return tuple(torch.stack(maps).mean(0) for maps in zip(*members, strict=True))


class Decoder(nn.Module):
    """Decodes maps of all strides to logits at frame size; ``channels``: channels of the maps."""

    def __init__(self, channels: Sequence[int], *, normals: bool = False) -> None:
        super().__init__()
        c2, c4, c8, c16, c32 = channels
        last, finest = max(8, c2 // 2), max(8, c2 // 4)
        self.up1 = UpBlock(c32 + c16, c16)
        self.up2 = UpBlock(c16 + c8, c8)
        self.up3 = UpBlock(c8 + c4, c4)
        self.up4 = UpBlock(c4 + c2, last, convolutions=1)
        self.up5 = UpBlock(last, finest, convolutions=1)
        self.head = nn.Conv2d(finest, 1, 3, padding=1)
        self.normals = nn.Conv2d(finest, 3, 3, padding=1) if normals else None

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Maps, fine to coarse → (B, 1, *size); while it learns normals (B, 4, *size)."""
        f2, f4, f8, f16, x = maps
        for up, skip in ((self.up1, f16), (self.up2, f8), (self.up3, f4), (self.up4, f2)):
            x = up(x, (skip.shape[-2], skip.shape[-1]), skip)
        x = self.up5(x, size)
        if self.normals is not None and self.training:
            return torch.cat([self.head(x), self.normals(x)], 1)
        return self.head(x)


class UpBlock(nn.Module):
    """Resizes, joins the skip connection, and convolves once or twice."""

    def __init__(self, cin: int, cout: int, convolutions: Literal[1, 2] = 2) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, padding=1, bias=False)
        self.bn1 = BatchNormReLU(cout)
        self.conv2 = self.bn2 = None
        if convolutions == 2:
            self.conv2 = nn.Conv2d(cout, cout, 3, padding=1, bias=False)
            self.bn2 = BatchNormReLU(cout)

    def forward(self, x: Tensor, size: tuple[int, int], skip: Tensor | None = None) -> Tensor:
        """(B, c, h, w) and a skip (B, cin - c, *size) → (B, cout, *size)."""
        x = F.interpolate(x, size=size, mode="bilinear")
        x = self.bn1(self.conv1(x if skip is None else torch.cat([x, skip], 1)))
        if self.conv2 is not None and self.bn2 is not None:
            x = self.bn2(self.conv2(x))
        return x
