"""Probabilities of log-odds, and their uncertainty."""

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


def uncertainty(probabilities: Tensor) -> float:
    """Uncertainty of probabilities (K+1, H, W): 1 at even odds, 0 if all pixels are certain."""
    best, owner = probabilities.max(0)
    taken = best[owner > 0]
    return min(1.0, 2 * float((1 - taken).mean())) if len(taken) else 1.0
