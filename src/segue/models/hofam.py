"""HOFAM and STAM: moving foreground from a frame and optical flow.

HOFAM: public code WeiZongqi/HOFAM, later "CrossNet: Cross-Scene Background Subtraction Network via 3D Optical
Flow" (IEEE Transactions on Multimedia 2025). STAM: Liang et al., "Spatio-Temporal Attention Model for
Foreground Detection in Cross-Scene Surveillance Videos" (Sensors 2019, 19(23), 5142). One encoder sees the
frame, one the flow; at each level of the decoder an attention from the decoder's own feature weighs what a
convolution makes of both (the cross-modal dynamic feature filter). HOFAM's flow image has the magnitudes of
the flow to three earlier frames as its channels, STAM's has one.

Paddings and norms are those of the released TensorFlow graph. Differences are marked as ours.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.flow_attention import FilteredFlow, filter_flow
from segue.layers.mobilenet import SameConv

FlowMode = Literal["hierarchical", "single"]

LEVELS = 8
"""Levels of the published network: its images are 256 x 256, its coarsest map is one cell."""

ENCODER = ((7, 1), (7, 2), (5, 4), (5, 8), (5, 8), (5, 8), (3, 8), (3, 16))
"""Kernel, and channels in units of ``gf``, of each level of an encoder, fine to coarse."""

DECODER = ((3, 8), (3, 8), (5, 8), (5, 8), (5, 4), (5, 2), (7, 1))
"""Kernel and channels of each decoder level, in the same units, coarse to fine."""

BOTTLENECK = 16
"""Channels below the decoder, in units of ``gf``."""

DROPPED = (1, 2, 3)
"""Decoder levels with dropout."""

DROPOUT = 0.5

SLOPE = 0.2
"""Slope of the leaky ReLU before convolutions."""

DEVIATION = 0.02
"""Standard deviation of the initial weights."""


class HOFAM(nn.Module):
    """Hierarchical optical flow attention model; STAM with ``flow_mode="single"``.

    Args:
        gf: width; 64 is published (173,173,697 parameters), 16 is for computers without a GPU (ours).
        flow_mode: three magnitudes of flow, or one, which is repeated.
        levels: 8 is published and takes sides that are multiples of 256; 6 leaves out the two coarsest levels
            and takes multiples of 64 (ours).
        train_fusion: let the fusion convolutions learn (ours). In the release they keep their random start:
            its optimiser picks variables by a part of their names, which these lack.
        attention: weight the features of both encoders by the decoder's own; without, as in the
            papers' ablations, all of it counts, and the network has no parameters for it.

    Raises:
        ValueError: a size is out of range.
    """

    def __init__(
        self,
        gf: int = 64,
        *,
        flow_mode: FlowMode = "hierarchical",
        levels: Literal[6, 8] = 8,
        train_fusion: bool = True,
        attention: bool = True,
    ) -> None:
        super().__init__()
        if not 1 <= gf <= 64 or levels not in (6, 8):
            raise ValueError(f"gf is {gf} and levels is {levels}; they must be 1 to 64, and 6 or 8")
        if flow_mode not in get_args(FlowMode):
            raise ValueError(f"flow_mode is {flow_mode!r}; it must be one of {', '.join(get_args(FlowMode))}")
        self.options: dict[str, bool | int | str] = {
            "gf": gf,
            "flow_mode": flow_mode,
            "levels": levels,
            "attention": attention,
        }
        self.flow_mode: FlowMode = flow_mode
        self.size_multiple = 2**levels
        self.enc_rgb, self.enc_flow = Encoder(gf, levels), Encoder(gf, levels)
        coarsest, cin = 2 * gf * ENCODER[levels - 1][1], BOTTLENECK * gf
        # The release strides here, from one cell to one cell. Without the stride the result is the same, and
        # larger images pass as well.
        fusion: dict[str, nn.Module] = {"0": Block(coarsest, cin, 3, norm=False)}
        gates: dict[str, nn.Module] = {}
        decoder: dict[str, nn.Module] = {}
        for i in range(LEVELS - levels + 1, LEVELS):
            kernel, width = DECODER[i - 1][0], gf * DECODER[i - 1][1]
            decoder[str(i)] = UpBlock(cin, width, kernel, dropout=DROPOUT if i in DROPPED else 0.0)
            if attention:
                gates[str(i)] = Block(width, width, kernel)
            fusion[str(i)] = Block(2 * width, width, kernel, norm=False)
            cin = 2 * width
        decoder[str(LEVELS)] = nn.Sequential(OrderedDict(deconv=SameDeconv(cin, 1, 7)))
        self.fusion = nn.ModuleDict(fusion).requires_grad_(train_fusion)
        self.attn, self.dec = nn.ModuleDict(gates), nn.ModuleDict(decoder)
        self.apply(_initialise)

    def forward(self, frames: Tensor, flow: Tensor) -> Tensor:
        """Logits (N, 1, H, W) of frames (N, 3, H, W) and images of flow (N, 3 or 1, H, W), both in [0, 1]."""
        return self.decode(self.encode_frame(frames), self.encode_flow(flow))

    def encode_frame(self, frames: Tensor) -> tuple[Tensor, ...]:
        """A map (N, C, h, w) for each level, strides 2, 4, 8, ..., of frames (N, 3, H, W) in [0, 1]."""
        self._check(frames)
        return self.enc_rgb(2 * frames - 1)

    def encode_flow(self, flow: Tensor) -> tuple[Tensor, ...]:
        """A map for each level of images of flow (N, 3 or 1, H, W) in [0, 1]."""
        self._check(flow)
        if self.flow_mode == "single":
            flow = flow.expand(-1, 3, -1, -1)
        return self.enc_flow(2 * flow - 1)

    def decode(self, frame: tuple[Tensor, ...], flow: tuple[Tensor, ...]) -> Tensor:
        """Logits (N, 1, H, W) of the maps of both encoders."""
        return self._decode(frame, flow)[0]

    def filtered_flow(self, frame: tuple[Tensor, ...], flow: tuple[Tensor, ...]) -> list[FilteredFlow]:
        """Intermediate maps of :meth:`decode` at each level."""
        return self._decode(frame, flow)[1][::-1]

    def _decode(
        self, frame: tuple[Tensor, ...], flow: tuple[Tensor, ...]
    ) -> tuple[Tensor, list[FilteredFlow]]:
        filtered: list[FilteredFlow] = []
        joined = [torch.cat(maps, 1) for maps in zip(frame, flow, strict=True)]
        x: Tensor = self.fusion["0"](joined.pop())
        *levels, (_, last) = self.dec.items()
        for i, up in levels:
            raw, normalised = up(x)
            attend = self.attn[i] if i in self.attn else None  # noqa: SIM401  ModuleDict has no get
            filtered.append(filter_flow(joined.pop(), raw, self.fusion[i], attend))
            x = torch.cat([normalised, filtered[-1].weighed], 1)
        return last(F.leaky_relu(x, SLOPE)), filtered

    @torch.no_grad()
    def probability(self, frames: Tensor, flow: Tensor, *, mc_dropout: int = 0) -> Tensor:
        """Probability (N, 1, H, W) of foreground, the mean over ``mc_dropout`` passes with dropout.

        0 is one pass without (ours); the release takes one with dropout, so that its output is random.
        """
        features = self.encode_frame(frames), self.encode_flow(flow)
        drops = [module for module in self.modules() if isinstance(module, nn.Dropout)]
        was_training = [module.training for module in drops]
        for module in drops:
            module.train(mc_dropout > 0)
        try:
            passes = [torch.sigmoid(self.decode(*features)) for _ in range(max(1, mc_dropout))]
        finally:
            for module, training in zip(drops, was_training, strict=True):
                module.train(training)
        return torch.stack(passes).mean(0)

    def _check(self, x: Tensor) -> None:
        height, width = x.shape[-2:]
        if height % self.size_multiple or width % self.size_multiple:
            raise ValueError(f"images are {width}x{height}; sides must be multiples of {self.size_multiple}")


class Encoder(nn.ModuleDict):
    """Strided convolutions, (N, 3, H, W) in [-1, 1] → a map for each level; names count from 1."""

    def __init__(self, gf: int, levels: int) -> None:
        super().__init__()
        cin = 3
        for level, (kernel, width) in enumerate(ENCODER[:levels], start=1):
            inner = level > 1
            self[str(level)] = Block(cin, width * gf, kernel, stride=2, activation=inner, norm=inner)
            cin = width * gf

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """A map after each block: (N, C, H, W) to (N, C_i, H / 2^i, W / 2^i) for i = 1, 2, ..."""
        maps = []
        for block in self.values():
            x = block(x)
            maps.append(x)
        return tuple(maps)


class Block(nn.Module):
    """Leaky ReLU, convolution, norm."""

    def __init__(
        self, cin: int, cout: int, kernel: int, *, stride: int = 1, activation: bool = True, norm: bool = True
    ) -> None:
        super().__init__()
        self.activation = activation
        self.conv = SameConv(cin, cout, kernel, stride)
        self.norm = image_norm(cout) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, h, w) to (N, cout, h/2, w/2), or the same size with a stride of 1."""
        x = self.conv(F.leaky_relu(x, SLOPE) if self.activation else x)
        return x if self.norm is None else self.norm(x)


class UpBlock(nn.Module):
    """Leaky ReLU, transposed convolution, norm, dropout."""

    def __init__(self, cin: int, cout: int, kernel: int, *, dropout: float) -> None:
        super().__init__()
        self.deconv = SameDeconv(cin, cout, kernel)
        self.norm = image_norm(cout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, cin, h, w) → twice (N, cout, 2h, 2w): before the norm, for the attention, and after it."""
        raw = self.deconv(F.leaky_relu(x, SLOPE))
        return raw, self.dropout(self.norm(raw))


class SameDeconv(nn.ConvTranspose2d):
    """Transposed convolution with TensorFlow's SAME padding, (N, cin, h, w) → (N, cout, 2h, 2w)."""

    def __init__(self, cin: int, cout: int, kernel: int) -> None:
        super().__init__(cin, cout, kernel, stride=2, padding=(kernel - 2) // 2)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, cin, h, w) to (N, cout, 2h, 2w)."""
        height, width = x.shape[-2:]
        full: Tensor = super().forward(x, output_size)
        return full[..., : 2 * height, : 2 * width]


def image_norm(channels: int) -> nn.GroupNorm:
    """Mean 0 and deviation 1 over all channels and positions of a sample, then scale and shift by channel."""
    return nn.GroupNorm(1, channels, eps=1e-12)


@torch.no_grad()
def _initialise(module: nn.Module) -> None:
    if isinstance(module, SameConv):
        nn.init.trunc_normal_(module.weight, std=DEVIATION, a=-2 * DEVIATION, b=2 * DEVIATION)
    elif isinstance(module, SameDeconv):
        nn.init.normal_(module.weight, std=DEVIATION)
    if isinstance(module, SameConv | SameDeconv) and module.bias is not None:
        nn.init.zeros_(module.bias)
