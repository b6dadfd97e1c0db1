"""Losses of the proposals of ``msstsvis-lite``: each token near the middle of an object should tell it.

Which tokens these are follows Tian et al., "FCOS" (ICCV 2019): within 1.5 cells of the middle of the box, on
the level that suits its size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from segue.models.msstsvis.proposals import Proposed, anchors
from segue.models.seqformer.attention import Levels
from segue.training.instance_losses import ClipTargets, corners, focal, generalized_iou

WEIGHTS: Mapping[str, float] = {"proposal_ce": 2.0, "proposal_bbox": 5.0, "proposal_giou": 2.0}

RADIUS = 1.5
"""Cells from the middle of a box within which tokens should tell it."""

SIZES = ((0.0, 6.0), (2.0, 7.0), (2.5, 1000.0))
"""Mean sides of boxes, in cells of the level, that a level tells; neighbours share some."""


def proposal_losses(proposed: Proposed, levels: Levels, targets: Sequence[ClipTargets]) -> dict[str, Tensor]:
    """Class, L1 and GIoU losses, per token that should tell an object.

    Args:
        proposed: of N clips without padding.
        levels: layout of their frames.
        targets: one for each clip.
    """
    classes, boxes = wanted(levels, targets)
    told = classes > 0
    count = max(1, int(told.sum()))
    truth = torch.zeros_like(proposed.logits, dtype=torch.float32)
    truth.scatter_(-1, classes[..., None], told[..., None].float())
    predicted, true = proposed.boxes[told], boxes[told]
    return {
        "proposal_ce": focal(proposed.logits.float(), truth).sum() / count,
        "proposal_bbox": (predicted - true).abs().sum() / count,
        "proposal_giou": (1 - generalized_iou(corners(predicted), corners(true))).sum() / count,
    }


@torch.no_grad()
def wanted(levels: Levels, targets: Sequence[ClipTargets]) -> tuple[Tensor, Tensor]:
    """Class (N, T, S) and box (N, T, S, 4) that each token should tell; class 0 is none.

    A token within several boxes tells the smallest.
    """
    middle = anchors(levels)[0, :, :2]
    cells, least, most = _rows(levels, middle)
    labels, boxes = [], []
    for clip in targets:
        truth = clip.boxes.transpose(0, 1)  # (T, n, 4)
        if truth.shape[1] == 0:
            labels.append(torch.zeros(len(truth), len(middle), dtype=torch.int64, device=middle.device))
            boxes.append(middle.new_zeros(len(truth), len(middle), 4))
            continue
        away = ((truth[:, :, None, :2] - middle) * cells).abs().amax(-1)
        side = (truth[:, :, None, 2:] * cells).prod(-1).sqrt()
        inside = ((truth[:, :, None, :2] - middle).abs() * 2 <= truth[:, :, None, 2:]).all(-1)
        near = (away <= 0.5) | (inside & (away <= RADIUS))
        fits = near & (side > least) & (side <= most)
        areas = truth[..., 2:].prod(-1)[..., None].where(fits, torch.inf)
        smallest, which = areas.min(1)
        labels.append(clip.labels[which] * smallest.isfinite())
        boxes.append(truth.gather(1, which[..., None].expand(-1, -1, 4)))
    return torch.stack(labels), torch.stack(boxes)


def _rows(levels: Levels, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each token: cells of its level along a side of the frame (S, 2), and the sizes it tells, (S,)."""
    repeats = torch.tensor(levels.areas, device=like.device)
    cells = like.new_tensor([(w, h) for h, w in levels.shapes]).repeat_interleave(repeats, 0)
    sizes = like.new_tensor(SIZES[: len(levels.shapes)]).repeat_interleave(repeats, 0)
    return cells, sizes[:, 0], sizes[:, 1]
