"""Probabilities of log-odds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from segue.models.base import Shape
from segue.models.geometry import ResizePadGeometry

ToProbabilities = Callable[[Tensor, Shape], Tensor]
"""Log-odds (K, h, w) and a size (H', W') to probabilities (K+1, H', W'), background first."""


def upsample_then_aggregate(logits: Tensor, size: Shape, *, aggregate: Callable[[Tensor], Tensor]) -> Tensor:
    """Enlarge log-odds (K, h, w), then merge their sigmoids to (K+1, H, W), as STM, STCN and XMem do."""
    full = F.interpolate(logits[None], size=size, mode="bilinear")[0]
    return aggregate(full.sigmoid_())


@dataclass(frozen=True, slots=True)
class ToImage:
    """Computes probabilities at the size of the image, (K+1, H, W), from log-odds (K, h, w)."""

    geometry: ResizePadGeometry
    to_probabilities: ToProbabilities

    def __call__(self, logits: Tensor) -> Tensor:
        return self.geometry.to_image(self.to_probabilities(logits, self.geometry.padded))
