"""ImageNet normalisation of pictures."""

from __future__ import annotations

import torch
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of RGB in [0, 1] that ImageNet networks expect."""


def image_statistics() -> tuple[Tensor, Tensor]:
    """Mean and standard deviation as fresh (1, 3, 1, 1) tensors, to be kept as buffers."""
    return torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)


def unit_image(image: Tensor) -> Tensor:
    """(H, W, 3) uint8 → (1, 3, H, W) float32 in [0, 1]."""
    return image.permute(2, 0, 1)[None].float() / 255
