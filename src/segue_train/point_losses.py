"""Losses of XMem and Cutie other than the bootstrapped cross-entropy: Dice over slots, and losses at points.

Points where the two likeliest classes are near to one another say most about a mask (PointRend, Kirillov et
al., CVPR 2020, section 3.1; Cutie, section 4.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from segue_train.footage import VOID
from segue_train.losses import dice_distance

OVERSAMPLING = 3
UNCERTAIN_SHARE = 0.75

Uniform = Callable[[Sequence[int]], Tensor]
"""Random numbers in [0, 1) of a shape."""


def slot_dice(logits: Tensor, target: Tensor) -> Tensor:
    """1 - Dice of probabilities, averaged over the samples and all object slots (XMem).

    ``logits``: aggregated log-odds, (B, K+1, H, W); ``target``: class of each pixel, (B, H, W), 0..K or void.
    """
    known = (target != VOID)[:, None]
    probability = logits.softmax(1)[:, 1:] * known
    ids = torch.arange(1, logits.shape[1], device=target.device)
    truth = (target[:, None] == ids[:, None, None]).float()
    return dice_distance(probability.flatten(2), truth.flatten(2), 2).mean()


def point_losses(logits: Tensor, truth: Tensor, points: int, uniform: Uniform) -> tuple[Tensor, Tensor]:
    """Cross-entropy and Dice at uncertain and random points of the frames of one sample (Cutie).

    ``logits``: aggregated log-odds, (T, K+1, h, w), background first; ``truth``: one plane for each class,
    (T, K+1, H, W), 0 where the pixel is void.
    """
    with torch.no_grad():
        places = uncertain_points(logits, points, uniform)
        labels = sample_points(truth, places)
    values = sample_points(logits, places)
    entropy = F.cross_entropy(values, labels, reduction="none").sum(0).mean()
    return entropy, dice_distance(values.softmax(1)[:, 1:], labels[:, 1:], 2).sum(0).mean()


def uncertain_points(logits: Tensor, points: int, uniform: Uniform) -> Tensor:
    """The most uncertain of many random points, and some at random (PointRend, section 3.1).

    ``logits``: (T, C, h, w); returns x before y in [0, 1], (T, points, 2).
    """
    frames = len(logits)
    drawn = uniform((frames, OVERSAMPLING * points, 2)).to(logits)
    values = sample_points(logits, drawn)
    if values.shape[1] == 2:
        doubt = -values[:, 1].abs()
    else:
        first, second = values.topk(2, dim=1).values.unbind(1)
        doubt = second - first
    certain = int(UNCERTAIN_SHARE * points)
    chosen = doubt.topk(certain, dim=1).indices
    best = drawn.gather(1, chosen[..., None].expand(-1, -1, 2))
    if certain == points:
        return best
    return torch.cat([best, uniform((frames, points - certain, 2)).to(logits)], 1)


def sample_points(planes: Tensor, places: Tensor) -> Tensor:
    """Bilinear samples, zero outside.

    ``planes``: (T, C, h, w); ``places``: x before y in [0, 1], (T, P, 2); returns (T, C, P).
    """
    grid = 2 * places[:, :, None] - 1
    return F.grid_sample(planes, grid, align_corners=False)[..., 0]
