"""Matching and losses of SeqFormer and MS-STS VIS.

Wu et al., "SeqFormer" (ECCV 2022), section 3.4, with the exact costs and weights of the release. A frame in
which an object is absent takes part in every term, with a box of no size and an empty mask.

GIoU is not that of ``torchvision.ops``, which adds 1e-7 to every area: boxes of absent objects have 1e-12.

Foreground-background separability, where a discriminator learns to tell true masks and the network to deceive
it, is that of Thawakar et al., "MS-STS VIS" (ECCV 2022), section 3.3. What goes in, and how it is weighed, is
our reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn
from torch.func import functional_call

from segue.models.detection.boxes import areas
from segue.models.seqformer import Memory, SeqFormer
from segue.models.seqformer.decoder import Decoded, to_maps
from segue_train.losses.masks import dice_distance

# What each loss counts, in every decoder layer alike.
WEIGHTS = {"loss_ce": 2.0, "loss_bbox": 5.0, "loss_giou": 2.0, "loss_mask": 2.0, "loss_dice": 5.0}

FOCAL_ALPHA = 0.25
MIN_BOX_SIDE = 1e-6  # least numbers of a target box, so that absent objects keep the logarithms finite
Matches = tuple[Tensor, Tensor]
"""Indices of queries, ascending, and of the targets they are matched with."""


@dataclass(frozen=True)
class ClipTargets:
    """Objects of one clip, in frames without padding."""

    labels: Tensor  # (n,), int64, channels of the class output
    boxes: Tensor  # (n, T, 4): cx, cy, width, height in 0..1 of the frame; zeros where absent
    masks: Tensor  # (n, T, h, w), bool

    @property
    def size(self) -> tuple[int, int]:
        return self.masks.shape[-2], self.masks.shape[-1]


def corners(boxes: Tensor) -> Tensor:
    """Convert boxes from centre, width and height to corners (..., 4)."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((centre - half, centre + half), -1)


def centred(boxes: Tensor, size: Sequence[int]) -> Tensor:
    """Convert boxes from corners in pixels to centre, width and height in [0, 1], (..., 4)."""
    x0, y0, x1, y1 = (boxes / boxes.new_tensor([size[1], size[0]] * 2)).unbind(-1)
    return torch.stack(((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0), -1)


def tight_boxes(planes: Tensor) -> Tensor:
    """Tight boxes of masks (..., H, W): corners (..., 4) in pixels, ends exclusive."""
    sides = []
    for axis in (-2, -1):
        line = planes.any(axis).float()
        sides.append((line.argmax(-1), line.shape[-1] - line.flip(-1).argmax(-1)))
    (x0, x1), (y0, y1) = sides
    return torch.stack((x0, y0, x1, y1), -1).float() * planes.flatten(-2).any(-1)[..., None]


def intersection_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Areas of intersection and union of boxes, given as corners (..., 4)."""
    inner = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    return inner.prod(-1), areas(a) + areas(b) - inner.prod(-1)


def generalized_iou(a: Tensor, b: Tensor) -> Tensor:
    """GIoU of boxes (Rezatofighi et al., CVPR 2019). ``a``: corners, (..., 4)."""
    intersection, union = intersection_union(a, b)
    outer = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    hull = outer.clamp(min=0).prod(-1)
    return intersection / union - (hull - union) / hull


def focal(logits: Tensor, target: Tensor) -> Tensor:
    """Sigmoid focal loss of every element (Lin et al., ICCV 2017), alpha 0.25, gamma 2."""
    probability = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    wrong = probability * (1 - target) + (1 - probability) * target
    alpha = FOCAL_ALPHA * target + (1 - FOCAL_ALPHA) * (1 - target)
    return alpha * entropy * wrong**2


@torch.no_grad()
def matching_cost(logits: Tensor, boxes: Tensor, targets: ClipTargets) -> Tensor:
    """Cost (Q, n) of matching queries with logits (Q, classes) and boxes (T, Q, 4) with each object."""
    p = logits.float().sigmoid()[:, targets.labels]
    positive = FOCAL_ALPHA * (1 - p) ** 2 * -(p + 1e-8).log()
    negative = (1 - FOCAL_ALPHA) * p**2 * -(1 - p + 1e-8).log()
    target_boxes = targets.boxes.clamp(min=MIN_BOX_SIDE)
    predicted = boxes.float().transpose(0, 1)
    distance = torch.cdist(
        predicted.flatten(1), target_boxes.flatten(1), compute_mode="donot_use_mm_for_euclid_dist"
    )
    overlap = generalized_iou(corners(predicted)[:, None], corners(target_boxes)[None]).mean(-1)
    return 5 * distance + 2 * (positive - negative) - 2 * overlap


def match(logits: Tensor, boxes: Tensor, targets: ClipTargets) -> Matches:
    """Cheapest assignment of queries to objects: their numbers, (min(Q, n),) both, int64."""
    from scipy.optimize import linear_sum_assignment  # takes as long to import as half of PyTorch

    cost = matching_cost(logits, boxes, targets)
    queries, objects = linear_sum_assignment(cost.cpu().numpy())
    return tuple(torch.as_tensor(indices, device=logits.device) for indices in (queries, objects))  # type: ignore[return-value]


def class_loss(
    logits: Tensor,
    targets: Sequence[ClipTargets],
    matches: Sequence[Matches],
    count: float,
    counted: Tensor | None = None,
) -> Tensor:
    """Focal loss over all classes and the counted queries (N, Q), per object."""
    target = torch.zeros_like(logits)
    for sample, (clip, (queries, objects)) in enumerate(zip(targets, matches, strict=True)):
        target[sample, queries, clip.labels[objects]] = 1.0
    losses = focal(logits, target)
    return (losses if counted is None else losses * counted[..., None]).sum() / count


def box_losses(
    boxes: Tensor, targets: Sequence[ClipTargets], matches: Sequence[Matches], count: float
) -> tuple[Tensor, Tensor]:
    """L1 and GIoU losses of matched boxes (N, T, Q, 4) by centre, means over frames, per object."""
    predicted = torch.cat(
        [clip[:, queries].transpose(0, 1) for clip, (queries, _) in zip(boxes, matches, strict=True)]
    )
    target = torch.cat(
        [clip.boxes[objects] for clip, (_, objects) in zip(targets, matches, strict=True)]
    ).clamp(min=MIN_BOX_SIDE)
    frames = boxes.shape[1]
    distance = (predicted - target).abs().sum() / frames / count
    overlap = generalized_iou(corners(predicted), corners(target))
    return distance, (1 - overlap).mean(1).sum() / count


def mask_losses(logits: Tensor, target: Tensor, count: float) -> tuple[Tensor, Tensor]:
    """Focal and dice loss of matched masks (n, T, h, w), over all frames jointly, per object."""
    logits, target = logits.flatten(1), target.flatten(1).to(logits)
    dice = dice_distance(logits.sigmoid(), target, 1)
    return focal(logits, target).mean(1).sum() / count, dice.sum() / count


def mask_targets(targets: Sequence[ClipTargets]) -> list[Tensor]:
    """Masks (n, T, h, w) of each clip at stride 4, on frames padded alike to a multiple of 32."""
    height, width = (-(-max(clip.size[axis] for clip in targets) // 32) * 32 for axis in (0, 1))
    padded = (F.pad(c.masks, (0, width - c.size[1], 0, height - c.size[0])) for c in targets)
    return [masks[..., 2::4, 2::4] for masks in padded]


def objects_per_device(targets: Sequence[ClipTargets]) -> float:
    """Number of objects in a batch, at least 1; averaged over devices, as published."""
    count = torch.tensor(float(sum(len(clip.labels) for clip in targets)), device=targets[0].labels.device)
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(count)
        count /= distributed.get_world_size()
    return max(1.0, float(count))


def instance_losses(
    network: SeqFormer,
    memory: Memory,
    decoded: Decoded,
    targets: Sequence[ClipTargets],
    counted: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
    """All losses of a forward pass, per object; see :func:`objects_per_device`.

    ``counted``: queries that take part in the loss of the classes, (N, Q); None is all. Returns the weighted
    sum over all decoder layers, each loss unweighted (layer i before the last as ``_i``), and the mask logits
    of the matched queries of the last layer.
    """
    count = objects_per_device(targets)
    wanted_masks = mask_targets(targets)
    parts: dict[str, Tensor] = {}
    total = memory.tokens.new_zeros(())
    layers = len(decoded.instances)
    masks: list[Tensor] = []
    for layer in range(layers):
        logits, boxes = network.class_logits(decoded, layer), decoded.refined[layer]
        matches = [match(*pair) for pair in zip(logits.detach(), boxes.detach(), targets, strict=True)]
        masks = [
            network.mask_logits(memory, decoded, sample, queries, layer, targets[sample].size)
            for sample, (queries, _) in enumerate(matches)
        ]
        matched_masks = [clip[objects] for clip, (_, objects) in zip(wanted_masks, matches, strict=True)]
        distance, overlap = box_losses(boxes, targets, matches, count)
        shape, dice = mask_losses(torch.cat(masks), torch.cat(matched_masks), count)
        values = (class_loss(logits, targets, matches, count, counted), distance, overlap, shape, dice)
        suffix = "" if layer == layers - 1 else f"_{layer}"
        for (name, weight), value in zip(WEIGHTS.items(), values, strict=True):
            parts[name + suffix] = value
            total = total + weight * value
    return total, parts, masks


ADVERSARIAL_WEIGHT = 0.1  # beside the other losses (our choice; the paper gives none)


def separability_losses(
    discriminator: nn.Module, memory: Memory, frames: Tensor, true: Tensor, predicted: Tensor
) -> tuple[Tensor, Tensor]:
    """Losses of network and discriminator from one pass over frames (N, T, 3, H, W) and masks."""
    levels = to_maps(memory.tokens.flatten(0, 1), memory.levels.shapes, 3)
    size = levels[0].shape[-2:]
    images = F.interpolate(frames.flatten(0, 1), size, mode="bilinear", align_corners=False)
    # Cells of stride 4 to one of the finest level: 2, or 4 where that is at stride 16.
    step = true.shape[-1] // size[-1]
    real = true.flatten(0, 1)[:, None, ::step, ::step].to(images)
    fake = F.avg_pool2d(predicted.flatten(0, 1)[:, None], step)
    frozen = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    deceived = functional_call(discriminator, frozen, (images, fake, levels))
    detached = [level.detach() for level in levels]
    judged = discriminator(images, real, detached), discriminator(images, fake.detach(), detached)
    adversarial = F.binary_cross_entropy_with_logits(deceived, torch.ones_like(deceived))
    recognised = [
        F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))
        for logits, target in zip(judged, (1.0, 0.0), strict=True)
    ]
    return adversarial, 0.5 * (recognised[0] + recognised[1])


def soft_union(logits: Sequence[Tensor], like: Tensor) -> Tensor:
    """Probability that a pixel belongs to any object of a clip, from logits (n, T, h, w): (N, T, h, w)."""
    unions = [
        1 - torch.exp(-F.softplus(masks).sum(0)) if len(masks) else torch.zeros_like(empty)
        for masks, empty in zip(logits, like, strict=True)
    ]
    return torch.stack(unions)
