"""Losses of mask propagation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

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
        target: class of each pixel, (B, H, W), int64 in 0..K.
        exists: (B, K), non-zero where the object slot is in use; the class of an unused slot takes no part
            in the softmax of its sample.
        fraction: share of the pixels of each sample that counts, in (0, 1].

    Returns:
        Scalar, float32.
    """
    background = exists.new_ones(exists.shape[0], 1)
    absent = torch.cat([background, exists], dim=1)[:, :, None, None] == 0
    masked = logits.float().masked_fill(absent, -torch.inf)
    pixels = F.cross_entropy(masked, target, reduction="none").flatten(1)
    if fraction < 1:
        pixels = pixels.topk(int(fraction * pixels.shape[1]), dim=1, sorted=False).values
    return pixels.mean()
