"""Losses of foreground networks: binary cross-entropy and Tversky, on labels in the values of CDnet."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from segue.datasets.labels import MOTION, OUTSIDE, SHADOW, UNKNOWN
from segue.training.foreground_clips import UNLIT


def foreground_target(labels: Tensor) -> Tensor:
    """1 where something moves, (N, H, W) → float32; shadow is 0."""
    return (labels == MOTION).float()


def shadow_target(labels: Tensor) -> Tensor:
    """1 where there is shadow, (N, H, W) → float32."""
    return (labels == SHADOW).float()


def known(labels: Tensor) -> Tensor:
    """1 where the label counts: 0 outside of the region of interest and where nobody knows, (N, H, W)."""
    return ((labels != OUTSIDE) & (labels != UNKNOWN)).float()


def priced(labels: Tensor, shadow: float) -> Tensor:
    """:func:`known` with a weight of its own for shadow, (N, H, W).

    A dark garment before a plain wall and a shadow on it look alike up close. Where they do, whichever weighs
    more in training wins; people who lose their legs are the worse mistake.
    """
    return known(labels) * torch.where(labels == SHADOW, shadow, 1.0)


def shadow_known(labels: Tensor) -> Tensor:
    """1 where the label tells shadow from no shadow, (N, H, W)."""
    return known(labels) * (labels != UNLIT)


def weighted_cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Binary cross-entropy, averaged over the weight of the batch; 0 where nothing counts.

    Args:
        logits, target, weight: (N, H, W); target in [0, 1].
    """
    losses = F.binary_cross_entropy_with_logits(logits.float(), target, reduction="none")
    return (losses * weight).sum() / weight.sum().clamp(min=1)


def tversky_loss(
    logits: Tensor,
    target: Tensor,
    weight: Tensor,
    alpha: float = 0.3,
    beta: float = 0.7,
    smooth: float = 1.0,
    *,
    pooled: bool = False,
) -> Tensor:
    """1 - Tversky index (Salehi et al. 2017), averaged over pictures.

    Args:
        logits, target, weight: (N, H, W); target in [0, 1].
        alpha, beta: price of false alarms and of misses; 0.5 each is the Dice coefficient.
        smooth: added above and below, so that an empty picture without false alarms scores 1.
        pooled: count over all pictures together, as F is counted over a clip. Picture by picture, one without
            foreground costs its full price for a handful of pixels, which makes a network timid.
    """
    probability = torch.sigmoid(logits.float())
    over = (0, 1, 2) if pooled else (1, 2)
    hits = (weight * probability * target).sum(over)
    alarms = (weight * probability * (1 - target)).sum(over)
    misses = (weight * (1 - probability) * target).sum(over)
    index = (hits + smooth) / (hits + alpha * alarms + beta * misses + smooth)
    return 1 - index.mean()
