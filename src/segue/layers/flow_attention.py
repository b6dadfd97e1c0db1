"""HOFAM's hierarchical optical flow attention, for any decoder of a foreground network.

HOFAM (public code WeiZongqi/HOFAM): an encoder of its own sees the lengths of optical flow to several earlier
frames; at each scale of a decoder a convolution joins its map with that of the image, and attention from
the decoder's own feature weighs the result, pixel by pixel and channel by channel: the cross-modal dynamic
feature filter. :class:`segue.models.hofam.HOFAM` computes it with :func:`filter_flow`; its encoders, sizes
and norms are those of its release. :class:`FlowAttention` is the same module with an encoder small enough for
a network that has features of the image already. Sizes, and that it adds to features, are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from segue.layers.activated import ConvNormReLU, Stages

FLOW_WIDTHS = (8, 16, 24, 32)
"""Channels of the maps of the flow at strides 2, 4, 8 and 16."""


@dataclass(frozen=True, slots=True)
class FilteredFlow:
    """Outputs of one scale for image and flow.

    Attributes:
        filtered: their joined map, (N, C, h, w).
        attention: its weights in (0, 1), (N, C, h, w); None without attention, when all of it counts.
    """

    filtered: Tensor
    attention: Tensor | None

    @property
    def weighed(self) -> Tensor:
        """Weight the joined map, (N, C, h, w)."""
        return self.filtered if self.attention is None else self.attention * self.filtered


def filter_flow(
    joined: Tensor,
    guide: Tensor | None,
    fuse: Callable[[Tensor], Tensor],
    attend: Callable[[Tensor], Tensor] | None,
) -> FilteredFlow:
    """The cross-modal dynamic feature filter: ``sigmoid(attend(guide)) * fuse(joined)``.

    ``guide``: the decoder's own feature at this scale, (N, C_g, h, w); returns the filtered map (N, C, h, w),
    and the attention of the same shape, if there is one.
    """
    attention = None if attend is None or guide is None else torch.sigmoid(attend(guide))
    return FilteredFlow(fuse(joined), attention)


class FlowAttention(nn.Module):
    """Hierarchical optical flow attention: adds its output to the features of a decoder."""

    def __init__(
        self,
        gaps: int,
        appearance: Sequence[int],
        guides: Sequence[int | None],
        channels: Sequence[int],
        *,
        attention: bool = True,
    ) -> None:
        super().__init__()
        widths = FLOW_WIDTHS[: len(appearance)]
        # Flow images (N, gaps, H, W) in [0, 1], the largest gap first, to a map for each scale.
        self.encoder = Stages(ConvNormReLU(a, b, 3, stride=2) for a, b in pairwise((gaps, *widths)))
        self.fusion = nn.ModuleList(
            nn.Conv2d(image + flow, out, 3, padding=1)
            for image, flow, out in zip(appearance, widths, channels, strict=True)
        )
        self.attn = nn.ModuleDict(
            {
                str(i): nn.Conv2d(guide, out, 3, padding=1)
                for i, (guide, out) in enumerate(zip(guides, channels, strict=True))
                if guide is not None and attention
            }
        )
        for layer in self.fusion:
            nn.init.zeros_(layer.get_parameter("weight"))
            nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, scale: int, image: Tensor, flow: Tensor, guide: Tensor | None) -> FilteredFlow:
        """Residual to add at a scale.

        ``image``: the network's features of the image, (N, appearance, h, w); ``guide``: the decoder's
        own feature, brought to this scale, (N, guides, h, w).
        """
        attend = self.attn[str(scale)] if str(scale) in self.attn else None  # noqa: SIM401
        return filter_flow(torch.cat([image, flow], 1), guide, self.fusion[scale], attend)
