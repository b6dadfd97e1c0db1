"""Loss of HOFAM: absolute difference and focal cross-entropy with a weight for small foregrounds.

After the released code. Its switch for that weight, the class-in scale, compares a tensor of the graph with
``True`` by identity, which is never so: the released training never used it. The modes keep both what ran and
what was meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

ClassInScale = Literal["as_run", "gated", "always"]

CLIP = 1e-7
"""Distance of probabilities from 0 and 1."""

ABSOLUTE, FOCAL = 0.2, 0.8
"""Weights of the two terms."""

ALPHA = 0.75
"""Weight of foreground; background has the rest to 1."""

GOOD_DICE = 0.95
"""Dice coefficient of a batch from which the class-in scale is meant to act."""

MOST_SCALE = 50.0

BINARISE = 200 / 255
"""Targets above are foreground, others background."""


@dataclass(frozen=True, slots=True)
class HofamLoss:
    """The loss, its parts, and what decided about them; scalars."""

    total: Tensor
    absolute: Tensor
    focal: Tensor
    dice: Tensor
    scale: Tensor


def hofam_loss(
    probability: Tensor,
    target: Tensor,
    *,
    class_in_scale: ClassInScale = "gated",
    gamma: float = 0.0,
    balance_batch: int | None = None,
) -> HofamLoss:
    """Weighted sum of the mean absolute difference and the mean focal loss.

    Args:
        probability: of foreground, (N, H, W) in [0, 1].
        target: (N, H, W) in [0, 1]; grey values up to 200 of 255 count as background.
        class_in_scale: when rare foreground weighs more: never, as the release ran; once the Dice coefficient
            of the batch exceeds 0.95, as it was meant; or always.
        gamma: exponent of the focal factor; 0, as released, leaves it out.
        balance_batch: pictures that the scale assumes; the release has 16 written into it, None takes the
            real number (ours).
    """
    y = torch.where(target > BINARISE, target, 0.0)
    absolute = ABSOLUTE * (y - probability).abs().mean()
    shared, both = (y * probability).sum(), y.sum() + probability.sum()
    dice = 2 * shared / both.clamp(min=CLIP)
    scale = class_scale(y, balance_batch)
    if class_in_scale == "as_run":
        weight = torch.ones_like(scale)
    elif class_in_scale == "gated":
        weight = torch.where(dice > GOOD_DICE, scale, 1.0)
    else:
        weight = scale
    focal = FOCAL * focal_loss(probability, y, weight.detach(), gamma)
    return HofamLoss(absolute + focal, absolute, focal, dice, scale)


def class_scale(y: Tensor, balance_batch: int | None = None) -> Tensor:
    """Scale of the foreground's weight, from 0.25 where all is foreground to 12.5 where it is rare.

    Args:
        y: binary, (N, H, W).
        balance_batch: see :func:`hofam_loss`. An empty batch divides by 1 instead of 0 (ours).
    """
    pictures = y.shape[0] if balance_batch is None else balance_batch
    pixels = pictures * y.shape[-2] * y.shape[-1]
    return (pixels / y.sum().clamp(min=1)).clamp(max=MOST_SCALE) / 4


def focal_loss(probability: Tensor, y: Tensor, scale: Tensor, gamma: float) -> Tensor:
    """Mean of ``(α·scale·y + (1 - α)(1 - y)) (1 - p_t)^γ`` times the cross-entropy."""
    losses = cross_entropy(probability, y) * (ALPHA * scale * y + (1 - ALPHA) * (1 - y))
    if gamma:
        right = y * probability + (1 - y) * (1 - probability)
        losses = losses * (1 - right) ** gamma
    return losses.mean()


def cross_entropy(probability: Tensor, y: Tensor) -> Tensor:
    """Binary cross-entropy of clipped probabilities, by way of their log-odds as in the release."""
    clipped = probability.clamp(CLIP, 1 - CLIP)
    return F.binary_cross_entropy_with_logits(torch.log(clipped / (1 - clipped)), y, reduction="none")
