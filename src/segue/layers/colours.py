"""ImageNet normalisation, and differences of colours between frames."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of RGB in [0, 1] that ImageNet networks expect."""


def normalise(image: Tensor) -> Tensor:
    """(H, W, 3) uint8 → (1, 3, H, W) float32 with mean 0 and deviation 1 over ImageNet.

    The constants stay numbers of the program: as buffers they would be rounded with a network that is cast
    to half precision.
    """
    planes = zip(image.unbind(-1), MEAN, STD, strict=True)
    return torch.stack([(plane / 255 - mean) / std for plane, mean, std in planes])[None]


def normalise_planes(frames: Tensor) -> Tensor:
    """(N, 3, H, W) RGB in [0, 1] → the same with mean 0 and deviation 1 over ImageNet."""
    # Constants for whole rows: three values at a time take PyTorch ten times as long where channels are last.
    width = frames.shape[-1]
    rows: Tensor = frames.new_tensor((MEAN, STD)).repeat(1, width).view(2, width, 3)
    mean, std = rows.transpose(1, 2)[:, :, None].unbind()
    return (frames - mean) / std


def image_statistics() -> tuple[Tensor, Tensor]:
    """Mean and standard deviation as fresh (1, 3, 1, 1) tensors, to be kept as buffers."""
    return torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)


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
    """Signed and absolute differences of a picture (N, 3, h, w) to K others, and their means.

    Fine to coarse: (N, 6 K, h, w), (N, 6 K, h/2, w/2) and so on.
    """
    signed = torch.cat([picture - other for other in others], 1) * CONTRAST
    maps = [torch.cat([signed, signed.abs()], 1)]
    while len(maps) < scales:
        maps.append(half_size(maps[-1]))
    return maps
