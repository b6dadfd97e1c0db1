"""What the colours of a frame differ by from those of other frames, at several scales.

Features of a classifier forget how dark a plain surface is; the colours themselves tell.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

PER_FRAME = 6
"""Channels for each other frame: three signed differences, three absolute ones."""

CONTRAST = 4.0
"""Factor on the differences, which are small beside the features that they are joined with."""


def half_size(picture: Tensor) -> Tensor:
    """Means of 2x2 pixels, (N, C, H, W) → (N, C, ceil(H/2), ceil(W/2))."""
    if picture.shape[-2] % 2 == 0 and picture.shape[-1] % 2 == 0:
        # The same means; where there are few channels, pooling takes five times as long.
        return F.interpolate(picture, scale_factor=0.5, mode="bilinear")
    return F.avg_pool2d(picture, 2, ceil_mode=True)


def colour_changes(picture: Tensor, others: Sequence[Tensor], scales: int) -> list[Tensor]:
    """Differences of pictures (N, 3, h, w), fine to coarse.

    Args:
        picture: of the current frame.
        others: K of other frames.
        scales: number of maps; each is half as large as the one before.

    Returns:
        Maps (N, 6 K, h, w), (N, 6 K, h/2, w/2) and so on: the means of the signed and of the absolute
        differences.
    """
    signed = torch.cat([picture - other for other in others], 1) * CONTRAST
    maps = [torch.cat([signed, signed.abs()], 1)]
    while len(maps) < scales:
        maps.append(half_size(maps[-1]))
    return maps
