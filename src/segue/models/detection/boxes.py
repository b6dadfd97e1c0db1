"""Boxes of two-stage detectors: anchors, deltas, suppression.

Boxes are (..., 4): x0, y0, x1, y1 in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

LARGEST_LOG = math.log(1000 / 16)
"""Bound on the logarithm of a change of size."""


def cell_anchors(size: float, ratios: Sequence[float] = (0.5, 1.0, 2.0), *, rounded: bool) -> Tensor:
    """Anchors of one area around the origin, (A, 4); a ratio is height over width.

    torchvision rounds them to whole pixels, Detectron does not.
    """
    ratio = torch.tensor(ratios)
    height = size * ratio.sqrt()
    width = size / ratio.sqrt()
    anchors = torch.stack((-width, -height, width, height), -1) / 2
    return anchors.round() if rounded else anchors


def grid_anchors(cell: Tensor, shape: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """Anchors at every place of a map of shape (h, w), (h·w·A, 4): row by row, then by anchor."""
    y = torch.arange(shape[0], device=cell.device) * stride[0]
    x = torch.arange(shape[1], device=cell.device) * stride[1]
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    shifts = torch.stack((columns, rows, columns, rows), -1).reshape(-1, 1, 4)
    return (shifts + cell).reshape(-1, 4)


def decode(deltas: Tensor, boxes: Tensor, weights: tuple[float, float, float, float]) -> Tensor:
    """Move and scale boxes (N, 4) by deltas (N, ..., 4) dx, dy, dw, dh (R-CNN, appendix C)."""
    size = boxes[:, 2:] - boxes[:, :2]
    centre = boxes[:, :2] + size / 2
    shape = (len(boxes), *(1,) * (deltas.ndim - 2), 2)
    size, centre = size.view(shape), centre.view(shape)
    scaled = deltas / deltas.new_tensor(weights)
    moved = scaled[..., :2] * size + centre
    grown = scaled[..., 2:].clamp(max=LARGEST_LOG).exp() * size / 2
    return torch.cat((moved - grown, moved + grown), -1)


def clip(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes cut at the border of a picture of height and width ``size``."""
    height, width = size
    x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
    return torch.stack((x[..., 0], y[..., 0], x[..., 1], y[..., 1]), -1)


def areas(boxes: Tensor) -> Tensor:
    """Area of each box, (...)."""
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)


def suppress(boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float) -> Tensor:
    """Non-maximum suppression within groups: indices of the boxes that stay, best first.

    A box goes when its overlap (intersection over union) with a better one of its group that stays is above
    ``threshold``. Of equal scores the earlier box is the better one.
    """
    order = torch.sort(scores, descending=True, stable=True).indices
    kept = [_suppress_one(boxes, order[groups[order] == group], threshold) for group in groups.unique()]
    if not kept:
        return order
    keep = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    keep[torch.cat(kept)] = True
    return order[keep[order]]


def _suppress_one(boxes: Tensor, order: Tensor, threshold: float) -> Tensor:
    """The indices of ``order``, best first, that stay."""
    chosen = boxes[order].float().cpu().numpy()
    area = (chosen[:, 2] - chosen[:, 0]) * (chosen[:, 3] - chosen[:, 1])
    alive = np.ones(len(chosen), bool)
    for i in range(len(chosen) - 1):
        if not alive[i]:
            continue
        rest = slice(i + 1, None)
        corner = np.maximum(chosen[rest, :2], chosen[i, :2])
        inner = (np.minimum(chosen[rest, 2:], chosen[i, 2:]) - corner).clip(min=0).prod(1)
        union = area[i] + area[rest] - inner
        alive[rest] &= inner <= threshold * union
    return order[torch.from_numpy(alive).to(order.device)]
