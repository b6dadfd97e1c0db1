"""What the past of each pixel says about a frame: cues, and maps of them at several scales.

Ours; what the planes of a scene are is told at :class:`segue.sessions.empty_scene.Scene`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segue.layers.colours import CONTRAST
from segue.layers.fused import ConvNormReLU, Stages

PAST = (16, 24, 32, 32)
"""Channels of the maps of the past at strides 2, 4, 8 and 16."""

_LOW, _MEDIAN, _HIGH, _LOW_ALL, _MEDIAN_ALL, _HIGH_ALL = (slice(i, i + 3) for i in range(0, 18, 3))
_SHARES = slice(18, 21)
_SHARES_COUNT = 3

PICTURE = _MEDIAN
"""The planes of a scene that are its picture."""


def past_cues(frame: Tensor, planes: Tensor, context: Sequence[Tensor]) -> Tensor:
    """Signed differences of a frame to its past, and what is known of each pixel.

    Args:
        frame: (N, 3, H, W) in [0, 1].
        planes: (N, 21, H, W) in [0, 1], see :class:`segue.sessions.empty_scene.Scene`.
        context: frames before it, (N, 3, H, W) in [0, 1].

    Returns:
        (N, 17 + 3 K, H, W) for K frames of context: distances to the range of what was background and of all
        that was there, 0 inside; differences to both medians; widths of both ranges, largest of the three
        colours; shares of foreground and changes, and number of frames; differences to the context.
    """
    # Plane by plane, where a few planes of many lie side by side in memory.
    frame, planes, *context = (each.contiguous() for each in (frame, planes, *context))
    low, high = planes[:, _LOW], planes[:, _HIGH]
    low_all, high_all = planes[:, _LOW_ALL], planes[:, _HIGH_ALL]
    differences = [
        frame - frame.clamp(low, high),
        frame - frame.clamp(low_all, high_all),
        frame - planes[:, _MEDIAN],
        frame - planes[:, _MEDIAN_ALL],
        (high - low).amax(1, keepdim=True),
        (high_all - low_all).amax(1, keepdim=True),
        *(frame - other for other in context),
    ]
    cues = torch.cat([*differences, planes[:, _SHARES]], 1)
    cues[:, :-_SHARES_COUNT].mul_(CONTRAST)
    return cues


class PastPyramid(nn.Module):
    """Cues at full resolution, with those of ``context`` frames → maps at strides 2, 4, 8 and 16."""

    def __init__(self, context: int) -> None:
        super().__init__()
        pairs = itertools.pairwise((17 + 3 * context, *PAST))
        self.stages = Stages(ConvNormReLU(cin, cout, 3, stride=2) for cin, cout in pairs)

    def forward(self, cues: Tensor) -> list[Tensor]:
        return self.stages(cues)
