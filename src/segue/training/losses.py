"""Losses of mask propagation; pixels of value :data:`~segue.training.footage.VOID` take no part."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from segue.training.footage import VOID

WARM_UP = 20_000
FULL_EFFECT = 70_000
FINAL_FRACTION = 0.15


def bootstrap_fraction(iteration: int) -> float:
    """Share of pixels, the hardest ones, that count at ``iteration`` (STCN release).

    All of them before iteration 20 000, then falling linearly from 1 to 0.15 at iteration 70 000.
    """
    if iteration < WARM_UP:
        return 1.0
    remaining = (FULL_EFFECT - iteration) / (FULL_EFFECT - WARM_UP)
    return FINAL_FRACTION + (1 - FINAL_FRACTION) * max(remaining, 0.0)


def bootstrapped_cross_entropy(logits: Tensor, target: Tensor, exists: Tensor, fraction: float) -> Tensor:
    """Cross-entropy of the hardest pixels, averaged over them and then over the samples.

    Args:
        logits: aggregated log-odds, (B, K+1, H, W), background first.
        target: class of each pixel, (B, H, W), int64 in 0..K or void.
        exists: (B, K), non-zero where the object slot is in use; the class of an unused slot takes no part
            in the softmax of its sample.
        fraction: share of the pixels of each sample that counts, in (0, 1].

    Returns:
        Scalar, float32.
    """
    background = exists.new_ones(exists.shape[0], 1)
    absent = torch.cat([background, exists], dim=1)[:, :, None, None] == 0
    masked = logits.float().masked_fill(absent, -torch.inf)
    return hardest_mean(
        F.cross_entropy(masked, target, reduction="none", ignore_index=VOID), target, fraction
    )


def hardest_mean(losses: Tensor, target: Tensor, fraction: float) -> Tensor:
    """Mean over the pixels with the largest losses of each picture.

    Args:
        losses: (..., H, W), 0 where the pixel is void.
        target: (..., H, W); only its void pixels matter.
        fraction: share of the pixels of each picture that counts, in (0, 1]; where fewer are known, those.

    Returns:
        Scalar; 0 if no pixel is known.
    """
    pixels, known = losses.flatten(-2), (target != VOID).flatten(-2).sum(-1)
    if fraction < 1:
        known = known.clamp(max=int(fraction * pixels.shape[-1]))
        pixels = pixels.topk(int(fraction * pixels.shape[-1]), dim=-1, sorted=False).values
    return pixels.sum() / known.sum().clamp(min=1)


def dice_loss(logits: Tensor, target: Tensor, exists: Tensor) -> Tensor:
    """1 - Dice of the object channels, averaged over the objects that exist.

    Args:
        logits: aggregated log-odds, (B, T, K+1, H, W).
        target: (B, T, H, W), 0..K or void.
        exists: (B, K).
    """
    probability = torch.softmax(logits, dim=2)[:, :, 1:] * (target != VOID)[:, :, None]
    ids = torch.arange(1, probability.shape[2] + 1, device=target.device)
    truth = (target[:, :, None] == ids[:, None, None]).float()
    shared = (probability * truth).sum((-1, -2))
    total = (probability + truth).sum((-1, -2))
    dice = 1 - (2 * shared + 1) / (total + 1)
    weight = exists[:, None].expand_as(dice).float()
    return (dice * weight).sum() / weight.sum().clamp(min=1)
