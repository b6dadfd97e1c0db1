"""Losses of mask propagation and of foreground networks.

Pixels of value :data:`.footage.VOID`, or that the labels of CDnet leave unknown, take no part.

FgSegNet_v2's released code calls its backend's cross-entropy with labels and probabilities exchanged (Keras
2.0.6 takes the output first). What it minimised is, for each pixel, the cross-entropy of the *probability* as
a target under the *label* as a certain prediction: a line in the probability, ``15.942 (1 - p)`` where
something moves and ``16.118 p`` elsewhere, thus a scaled absolute difference. Its weights for rare classes
were passed in a form that this version ignores. Both are here: the loss as it was meant, and as it ran.

HOFAM's is absolute difference and focal cross-entropy, after the released code. Its class-in scale, by which
rare foreground weighs more, has a switch in the release that compares a tensor of the graph with ``True`` by
identity, which is never so: the released training never used it. The modes keep both what ran and what was
meant.

Cutie's losses look at points: where the two likeliest classes are near to one another they say most about a
mask (PointRend, Kirillov et al., CVPR 2020, section 3.1; Cutie, section 4.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.datasets.foreground.labels import MOTION, OUTSIDE, SHADOW, UNKNOWN
from segue.models.base import foreground_capabilities
from segue.models.detection.pointrend import point_sample
from segue_train.data.footage import VOID
from segue_train.data.foreground.samples import UNLIT
from segue_train.recipe import Batch, Loss

Uniform = Callable[[Sequence[int]], Tensor]
"""Random numbers in [0, 1) of a shape."""

OVERSAMPLING = 3  # points that are drawn for each one at which Cutie's losses look
UNCERTAIN_SHARE = 0.75
WARM_UP = 20_000
FULL_EFFECT = 70_000
FINAL_FRACTION = 0.15


def bootstrap_fraction(iteration: int) -> float:
    """Share of pixels, the hardest ones, that count (STCN release): 1 at first, then falling linearly."""
    if iteration < WARM_UP:
        return 1.0
    remaining = (FULL_EFFECT - iteration) / (FULL_EFFECT - WARM_UP)
    return FINAL_FRACTION + (1 - FINAL_FRACTION) * max(remaining, 0.0)


def bootstrapped_cross_entropy(logits: Tensor, target: Tensor, exists: Tensor, fraction: float) -> Tensor:
    """Cross-entropy of the hardest pixels, averaged over them and then over the samples.

    ``logits``: aggregated log-odds, (B, K+1, H, W); ``target``: (B, H, W), 0..K or void; ``exists``: (B, K).
    """
    absent = F.pad(exists, (1, 0), value=1)[:, :, None, None] == 0
    masked = logits.float().masked_fill(absent, -torch.inf)
    losses = F.cross_entropy(masked, target, reduction="none", ignore_index=VOID)
    return hardest_mean(losses, target, fraction)


def hardest_mean(losses: Tensor, target: Tensor, fraction: float) -> Tensor:
    """Mean of the largest losses (..., H, W) of each image, ignoring void; 0 if all is void."""
    pixels, num_labelled = losses.flatten(-2), (target != VOID).flatten(-2).sum(-1)
    if fraction < 1:
        num_labelled = num_labelled.clamp(max=int(fraction * pixels.shape[-1]))
        pixels = pixels.topk(int(fraction * pixels.shape[-1]), dim=-1, sorted=False).values
    return pixels.sum() / num_labelled.sum().clamp(min=1)


def dice_loss(logits: Tensor, target: Tensor, exists: Tensor) -> Tensor:
    """1 - Dice of the channels (B, T, K+1, H, W) of objects that exist (B, K), averaged over them."""
    dice = object_dice(logits, target)
    weight = exists[:, None].expand_as(dice).float()
    return (dice * weight).sum() / weight.sum().clamp(min=1)


def object_dice(logits: Tensor, target: Tensor) -> Tensor:
    """1 - Dice (..., K) of each slot of log-odds (..., K+1, H, W); XMem averages over all slots."""
    probability = logits.softmax(-3)[..., 1:, :, :] * (target != VOID)[..., None, :, :]
    ids = torch.arange(1, logits.shape[-3], device=target.device)
    truth = (target[..., None, :, :] == ids[:, None, None]).float()
    return dice_distance(probability, truth, (-1, -2))


def dice_distance(probability: Tensor, truth: Tensor, over: int | tuple[int, ...]) -> Tensor:
    """1 - Dice over some dimensions, smoothed by 1. Both tensors: one shape, in [0, 1]."""
    shared, total = (probability * truth).sum(over), (probability + truth).sum(over)
    return 1 - (2 * shared + 1) / (total + 1)


def point_losses(logits: Tensor, truth: Tensor, points: int, uniform: Uniform) -> tuple[Tensor, Tensor]:
    """Cross-entropy and Dice at uncertain and random points of log-odds (T, K+1, h, w) (Cutie)."""
    with torch.no_grad():
        places = uncertain_points(logits, points, uniform)
        labels = point_sample(truth, places)
    values = point_sample(logits, places)
    entropy = F.cross_entropy(values, labels, reduction="none").sum(0).mean()
    return entropy, dice_distance(values.softmax(1)[:, 1:], labels[:, 1:], 2).sum(0).mean()


def uncertain_points(logits: Tensor, points: int, uniform: Uniform) -> Tensor:
    """Points (T, points, 2), the most uncertain of many and some at random (PointRend, section 3.1)."""
    frames = len(logits)
    sampled = uniform((frames, OVERSAMPLING * points, 2)).to(logits)
    values = point_sample(logits, sampled)
    if values.shape[1] == 2:
        doubt = -values[:, 1].abs()
    else:
        first, second = values.topk(2, dim=1).values.unbind(1)
        doubt = second - first
    certain = int(UNCERTAIN_SHARE * points)
    indices = doubt.topk(certain, dim=1).indices
    best = sampled.gather(1, indices[..., None].expand(-1, -1, 2))
    return torch.cat([best, uniform((frames, points - certain, 2)).to(logits)], 1)


def foreground_target(labels: Tensor) -> Tensor:
    """Foreground (1) of CDnet2014 labels (N, H, W); shadow is 0."""
    return (labels == MOTION).float()


def labelled_weight(labels: Tensor) -> Tensor:
    """Weight of labels (N, H, W): 0 outside the region of interest and for unknown, else 1."""
    return ((labels != OUTSIDE) & (labels != UNKNOWN)).float()


def weighted_cross_entropy(
    logits: Tensor, target: Tensor, weight: Tensor, foreground: Tensor | None = None
) -> Tensor:
    """Weighted mean binary cross-entropy (N, H, W) of the batch; 0 without weight."""
    losses = F.binary_cross_entropy_with_logits(
        logits.float(), target, reduction="none", pos_weight=foreground
    )
    return (losses * weight).sum() / weight.sum().clamp(min=1)


def tversky_loss(
    logits: Tensor,
    target: Tensor,
    weight: Tensor,
    alpha: float,
    beta: float,
    *,
    pooled: bool = False,
) -> Tensor:
    """1 - Tversky index (Salehi et al. 2017) of logits (N, H, W), smoothed by 1, averaged over images."""
    probability = torch.sigmoid(logits.float())
    over = (0, 1, 2) if pooled else (1, 2)
    hits = (weight * probability * target).sum(over)
    alarms = (weight * probability * (1 - target)).sum(over)
    misses = (weight * (1 - probability) * target).sum(over)
    index = (hits + 1) / (hits + alpha * alarms + beta * misses + 1)
    return 1 - index.mean()


ClassInScale = Literal["as_run", "gated", "always"]

GOOD_DICE = 0.95  # Dice coefficient of a batch from which the class-in scale is meant to act
MAX_SCALE = 50.0
_EPSILON = 1e-7  # of what the Dice coefficient is divided by


def class_scale(y: Tensor, balance_batch: int | None = None) -> Tensor:
    """Scale of the foreground's weight, from 0.25 for all foreground to 12.5 for rare foreground.

    ``y``: 1 for foreground, 0 for all else, (N, H, W).
    """
    images = y.shape[0] if balance_batch is None else balance_batch
    pixels = images * y.shape[-2] * y.shape[-1]
    return (pixels / y.sum().clamp(min=1)).clamp(max=MAX_SCALE) / 4


def batch_dice(probability: Tensor, y: Tensor) -> Tensor:
    """Dice coefficient over all pixels of a batch; probabilities and truth are (N, H, W) in [0, 1]."""
    return 2 * (y * probability).sum() / (y.sum() + probability.sum()).clamp(min=_EPSILON)


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


SHADOW_WEIGHT = 0.3  # of the loss of shadow, against 1 for that of foreground


def foreground_loss(
    network: nn.Module,
    batch: Batch,
    progress: float,
    step: int,
    *,
    tversky: tuple[float, float] = (0.5, 0.5),
    shadow: float = 1.0,
    pooled: bool = False,
    background: bool = True,
    class_in_scale: ClassInScale = "as_run",
    start: nn.Module | None = None,
    keep: float = 0.0,
    normals: bool = False,
) -> Loss:
    """Cross-entropy and Tversky loss of foreground, and of shadow if the network predicts it.

    ``tversky`` are the prices of false alarms and misses, ``shadow`` is the weight of pixels in shadow;
    ``pooled`` computes the Tversky index over the batch, ``background`` says whether the network takes the
    empty scene, and ``class_in_scale`` when rare foreground weighs more, as in HOFAM. ``keep`` is the weight
    of the divergence from the foreground of ``start``, the network before the training, where that is right.
    With ``normals`` the last three planes of the network are those of the frame's surfaces.
    """
    logits, labels = _logits(network, batch, background), batch["labels"]
    predicted_normals = None
    if normals:
        logits, predicted_normals = logits[:, :-3], logits[:, -3:]
    overlap = partial(tversky_loss, alpha=tversky[0], beta=tversky[1], pooled=pooled)
    weight, target = (
        labelled_weight(labels) * torch.where(labels == SHADOW, shadow, 1.0),
        foreground_target(labels),
    )
    probability, scale = torch.sigmoid(logits[:, 0].float()), None
    if class_in_scale != "as_run":
        scale = foreground_weight(probability, target, class_in_scale)
    parts = {
        "entropy": weighted_cross_entropy(logits[:, 0], target, weight, scale),
        "tversky": overlap(logits[:, 0], target, weight),
    }
    loss = parts["entropy"] + parts["tversky"]
    if predicted_normals is not None:
        parts["normals"] = normal_loss(predicted_normals, batch["normals"])
        loss = loss + parts["normals"]
    if start is not None:
        with torch.no_grad():
            initial_logits = _logits(start, batch, background)[:, 0].float()
        right = labelled_weight(labels) * ((initial_logits > 0) == (target > 0))
        parts["keep"] = bernoulli_divergence(initial_logits, logits[:, 0].float(), right)
        loss = loss + keep * parts["keep"]
    if logits.shape[1] > 1:
        # Where the labels tell shadow from no shadow.
        weight, target = labelled_weight(labels) * (labels != UNLIT), (labels == SHADOW).float()
        parts["shadow"] = weighted_cross_entropy(logits[:, 1], target, weight)
        parts["shadow"] = parts["shadow"] + overlap(logits[:, 1], target, weight)
        loss = loss + SHADOW_WEIGHT * parts["shadow"]
    return loss, parts


def normal_loss(predicted: Tensor, stored: Tensor) -> Tensor:
    """One minus the cosine similarity of normals, mean over the pixels with ground truth.

    ``predicted``: (N, 3, H, W), any length; ``stored``: as an image, uint8, 0 where they are not known.
    """
    valid = stored.any(1)
    cosine = F.cosine_similarity(predicted.float(), stored.float() / 127.5 - 1, dim=1)
    return ((1 - cosine) * valid).sum() / valid.sum().clamp(min=1)


def bernoulli_divergence(target: Tensor, logits: Tensor, weight: Tensor) -> Tensor:
    """Kullback-Leibler divergence from probabilities to probabilities, both as logits (N, H, W).

    Averaged over the weight of the batch, (N, H, W); 0 where nothing counts.
    """
    probability = target.sigmoid()
    cross, entropy = (
        F.binary_cross_entropy_with_logits(each, probability, reduction="none") for each in (logits, target)
    )
    return ((cross - entropy) * weight).sum() / weight.sum().clamp(min=1)


def _logits(network: nn.Module, batch: Batch, background: bool) -> Tensor:
    """Logits of a network, with the background of the batch if it uses one."""
    inputs = [batch["window"].float() / 255]
    if background:
        inputs.append(batch["background"].float() / 255)
    more = {"depth": batch["depth"][:, None].float() / 255} if "depth" in batch else {}
    if foreground_capabilities(network).flow:
        more["flow"] = batch["flow"].float() / 255
    logits: Tensor = network(*inputs, **more)
    return logits


CLIP = 1e-7  # distance of probabilities from 0 and 1

Kind = Literal["bce", "l1_as_run"]
ClassWeight = Literal["none", "balanced"]


def fgsegnet_loss(
    probability: Tensor,
    target: Tensor,
    labelled: Tensor,
    kind: Kind = "bce",
    class_weight: ClassWeight = "none",
) -> Tensor:
    """Mean loss of probabilities (N, H, W) over the labelled pixels of the batch; 0 without any."""
    losses = cross_entropy(probability, target) if kind == "bce" else cross_entropy(target, probability)
    weight = labelled * balanced_weights(target, labelled) if class_weight == "balanced" else labelled
    return (losses * weight).sum() / labelled.sum().clamp(min=1)


def balanced_weights(target: Tensor, labelled: Tensor) -> Tensor:
    """Weights (N, H, W) that balance the classes in each image, with mean 1."""
    pixels = labelled.sum((-1, -2), keepdim=True)
    moving = (labelled * target).sum((-1, -2), keepdim=True)
    class_pixels = torch.where(target > 0, moving, pixels - moving)
    return pixels / (2 * class_pixels.clamp(min=1))


ABSOLUTE, FOCAL = 0.2, 0.8  # weights of the two terms
ALPHA = 0.75  # weight of foreground; background has the rest to 1
BINARISE = 200 / 255  # targets above are foreground, others background


def hofam_loss(
    probability: Tensor,
    target: Tensor,
    *,
    class_in_scale: ClassInScale = "gated",
    gamma: float = 0.0,
    balance_batch: int | None = None,
) -> Loss:
    """Weighted mean absolute difference and mean focal loss of (N, H, W); Dice is also returned."""
    y = torch.where(target > BINARISE, target, 0.0)
    absolute = ABSOLUTE * (y - probability).abs().mean()
    dice = batch_dice(probability, y)
    weight = foreground_weight(probability, y, class_in_scale, balance_batch)
    focal = FOCAL * focal_loss(probability, y, weight, gamma)
    return absolute + focal, {"absolute": absolute, "focal": focal, "dice": dice}


def focal_loss(probability: Tensor, y: Tensor, scale: Tensor, gamma: float) -> Tensor:
    """Mean of ``(α·scale·y + (1 - α)(1 - y)) (1 - p_t)^γ`` times the cross-entropy of (N, H, W)."""
    losses = cross_entropy(probability, y) * (ALPHA * scale * y + (1 - ALPHA) * (1 - y))
    if gamma:
        right = y * probability + (1 - y) * (1 - probability)
        # Below an exponent of 1 the slope at 0 has no end.
        losses = losses * (1 - right).clamp(min=CLIP) ** gamma
    return losses.mean()


def cross_entropy(probability: Tensor, y: Tensor) -> Tensor:
    """Binary cross-entropy of clipped probabilities, via log-odds as in the release."""
    clipped = probability.clamp(CLIP, 1 - CLIP)
    return F.binary_cross_entropy_with_logits(torch.log(clipped / (1 - clipped)), y, reduction="none")
