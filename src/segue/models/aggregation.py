"""What trackers share around their networks: pictures padded to a multiple, objects merged to classes."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-7
EMPTY_ODDS = EPSILON / (1 - EPSILON)


def padding(height: int, width: int, multiple: int) -> tuple[int, int, int, int]:
    """Left, right, top, bottom padding up to multiples, the smaller half first (``F.pad`` order)."""
    extra_h, extra_w = -height % multiple, -width % multiple
    return extra_w // 2, extra_w - extra_w // 2, extra_h // 2, extra_h - extra_h // 2


def unpad(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut (..., H', W') back to ``size`` (H, W), as :func:`padding` padded it."""
    top, left = (x.shape[-2] - size[0]) // 2, (x.shape[-1] - size[1]) // 2
    return x[..., top : top + size[0], left : left + size[1]]


def other_masks(masks: Tensor, total: Tensor | None = None) -> Tensor:
    """For each object the sum of the masks of the others, (..., K, H, W) → the same.

    Where a call holds only some of the objects, ``total`` is the sum of all masks, (..., 1, H, W).
    """
    return (masks.sum(-3, keepdim=True) if total is None else total) - masks


def aggregate(probabilities: Tensor, channels: int = 0) -> Tensor:
    """Soft aggregation of independent object probabilities (STM paper, section 3.4).

    With ``q_0 = prod(1 - p_i)``, ``q_i = p_i``, clamped to [1e-7, 1 - 1e-7], the result is the softmax of
    the log-odds of ``q``, which is the same as the odds divided by their sum.

    Args:
        probabilities: (K, H, W) in [0, 1], float32.
        channels: number of object channels the network was built with; those beyond K count as empty
            objects of probability 1e-7.

    Returns:
        (K+1, H, W), background first; sums to 1 over the channels (and the empty ones). Not for training:
        memory is reused; see :func:`aggregate_logits`.
    """
    merged = probabilities.new_empty(probabilities.shape[0] + 1, *probabilities.shape[1:])
    torch.prod(1 - probabilities, dim=0, out=merged[0])
    merged[1:] = probabilities
    odds = merged.clamp_(EPSILON, 1 - EPSILON).div_(1 - merged)
    total = odds.sum(0)
    empty = channels - probabilities.shape[0]
    if empty > 0:
        total += empty * EMPTY_ODDS
    return odds.div_(total)


def aggregate_logits(probabilities: Tensor) -> Tensor:
    """Log-odds of background and objects, (..., K, H, W) → (..., K+1, H, W); see :func:`aggregate`."""
    background = torch.prod(1 - probabilities, dim=-3, keepdim=True)
    merged = torch.cat([background, probabilities], dim=-3).clamp(EPSILON, 1 - EPSILON)
    return torch.log(merged / (1 - merged))
