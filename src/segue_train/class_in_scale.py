"""HOFAM's class-in scale: rare foreground weighs more in the loss of a foreground network.

From the loss of HOFAM's release, whose switch for it compares a tensor of the graph with ``True`` by
identity, which is never so: the released training never used it. The modes keep both what ran and what was
meant.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

ClassInScale = Literal["as_run", "gated", "always"]

GOOD_DICE = 0.95  # Dice coefficient of a batch from which the class-in scale is meant to act
MOST_SCALE = 50.0
_LEAST = 1e-7  # of what the Dice coefficient is divided by


def class_scale(y: Tensor, balance_batch: int | None = None) -> Tensor:
    """Scale of the foreground's weight, from 0.25 where all is foreground to 12.5 where it is rare.

    ``y``: 1 for foreground, 0 for all else, (N, H, W).
    """
    pictures = y.shape[0] if balance_batch is None else balance_batch
    pixels = pictures * y.shape[-2] * y.shape[-1]
    return (pixels / y.sum().clamp(min=1)).clamp(max=MOST_SCALE) / 4


def batch_dice(probability: Tensor, y: Tensor) -> Tensor:
    """Dice coefficient over all pixels of a batch; probabilities and truth are (N, H, W) in [0, 1]."""
    return 2 * (y * probability).sum() / (y.sum() + probability.sum()).clamp(min=_LEAST)


@torch.no_grad()
def foreground_weight(
    probability: Tensor, y: Tensor, mode: ClassInScale = "gated", balance_batch: int | None = None
) -> Tensor:
    """Factor on the weight of foreground in any pixel loss, a scalar.

    ``probability``: of foreground, (N, H, W) in [0, 1]; ``y``: 1 for foreground, 0 for all else, (N, H, W).
    """
    scale = class_scale(y, balance_batch)
    if mode == "always":
        return scale
    if mode == "as_run":
        return torch.ones_like(scale)
    return torch.where(batch_dice(probability, y) > GOOD_DICE, scale, 1.0)
