"""ImageNet normalisation of pictures."""

from __future__ import annotations

import torch
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
