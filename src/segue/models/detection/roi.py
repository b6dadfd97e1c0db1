"""Features of regions: RoIAlign (He et al., "Mask R-CNN", ICCV 2017, section 3) without compiled code."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

REGIONS_AT_ONCE = 256
"""Bound on the regions that are read together, for the memory of the indices."""


def pool_levels(
    maps: Sequence[Tensor],
    strides: Sequence[int],
    boxes: Tensor,
    side: int,
    *,
    ratio: int,
    aligned: bool,
    eps: float,
) -> Tensor:
    """Features of regions, each from the level that fits its size (FPN paper, equation 1).

    Args:
        maps: levels 2 to 5 of one picture, each (1, C, h, w).
        strides: pixels of the picture per cell of each.
        boxes: (R, 4), in pixels of the picture.
        side: bins per side.
        ratio: samples per side of a bin; 0 takes as many as the bin has cells.
        aligned: pixel centres are at halves, as in Detectron 2; torchvision's detectors leave that out.
        eps: what keeps areas at the bound of two levels on the same side as the original does.

    Returns:
        (R, C, side, side).
    """
    size = (boxes[:, 2:] - boxes[:, :2]).prod(1).sqrt()
    level = (
        torch.floor(4 + torch.log2(size / 224 + eps))
        if aligned
        else torch.floor(4 + torch.log2(size / 224) + eps)
    )
    level = level.clamp(2, 5).long() - 2
    pooled = maps[0].new_zeros(len(boxes), maps[0].shape[1], side, side)
    for i, (features, stride) in enumerate(zip(maps, strides, strict=True)):
        mine = (level == i).nonzero().flatten()
        if len(mine):
            pooled[mine] = roi_align(features[0], boxes[mine] / stride, side, ratio, aligned)
    return pooled


def roi_align(features: Tensor, boxes: Tensor, side: int, ratio: int, aligned: bool) -> Tensor:
    """Average of bilinear samples in each bin of each region.

    All corners of all samples are rows of the map, so that one ``embedding_bag`` reads, weighs and adds them.

    Args:
        features: (C, h, w).
        boxes: (R, 4), in cells of the map.
        side, ratio, aligned: see :func:`pool_levels`.

    Returns:
        (R, C, side, side).
    """
    start = boxes[:, :2] - (0.5 if aligned else 0.0)
    extent = boxes[:, 2:] - boxes[:, :2]
    if not aligned:
        extent = extent.clamp(min=1)
    bins = extent / side
    counts = torch.full_like(bins, ratio) if ratio else bins.ceil().clamp(min=1)
    table = features.flatten(1).T.contiguous()
    pooled = features.new_zeros(len(boxes), len(features), side, side)
    for columns, rows in counts.unique(dim=0).int().tolist():
        alike = (counts == counts.new_tensor([columns, rows])).all(1).nonzero().flatten()
        for part in alike.split(REGIONS_AT_ONCE):
            x = _samples(start[part, 0], bins[part, 0], side, columns, features.shape[2])
            y = _samples(start[part, 1], bins[part, 1], side, rows, features.shape[1])
            pooled[part] = _read(table, x, y, side, features.shape[2])
    return pooled


_Axis = tuple[Tensor, Tensor]
"""Cells and weights along one axis, each (R, side, samples · 2)."""


def _samples(start: Tensor, size: Tensor, side: int, count: int, length: int) -> _Axis:
    """Where the samples of each bin lie along one axis; each is shared by two cells."""
    steps = (
        torch.arange(side, device=start.device)[:, None]
        + (torch.arange(count, device=start.device) + 0.5) / count
    )
    place = start[:, None, None] + steps * size[:, None, None]
    inside = (place >= -1) & (place <= length)
    place = place.clamp(0, length - 1)
    low = place.floor().long()
    high = (low + 1).clamp(max=length - 1)
    upper = (place - low) * inside / count
    lower = inside / count - upper
    return torch.stack((low, high), -1).flatten(2), torch.stack((lower, upper), -1).flatten(2)


def _read(table: Tensor, x: _Axis, y: _Axis, side: int, width: int) -> Tensor:
    """Combine both axes and read the table (h·w, C) → (R, C, side, side)."""
    cells = y[0][:, :, None, :, None] * width + x[0][:, None, :, None, :]
    weights = y[1][:, :, None, :, None] * x[1][:, None, :, None, :]
    regions = len(cells)
    bags = regions * side * side
    read = F.embedding_bag(
        cells.reshape(bags, -1),
        table,
        mode="sum",
        per_sample_weights=weights.reshape(bags, -1).to(table.dtype),
    )
    return read.view(regions, side, side, -1).permute(0, 3, 1, 2)
