"""Boxes of two-stage detectors: anchors, deltas, suppression, and region features.

Boxes are (..., 4): x0, y0, x1, y1 in pixels. RoIAlign (He et al., "Mask R-CNN", ICCV 2017, section 3) is
computed without compiled code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.utils.arrays import Float32Array
from segue.utils.devices import to_device

MAX_LOG_SCALE = math.log(1000 / 16)
"""Bound on the logarithm of a change of size."""


SAME_OBJECT = 0.8
"""IoU of boxes of different classes above which the weaker one is the same object again."""


def cell_anchors(size: float, ratios: Sequence[float] = (0.5, 1.0, 2.0), *, rounded: bool) -> Tensor:
    """Anchors of one area around the origin. Returns (A, 4), corners x0, y0, x1, y1 in pixels."""
    ratio = torch.tensor(ratios)
    height = size * ratio.sqrt()
    width = size / ratio.sqrt()
    anchors = torch.stack((-width, -height, width, height), -1) / 2
    return anchors.round() if rounded else anchors


def grid_anchors(cell: Tensor, shape: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """Anchors (h·w·A, 4) at every place of a map, row by row, from ``cell`` (A, 4) around the origin."""
    y = torch.arange(shape[0], device=cell.device) * stride[0]
    x = torch.arange(shape[1], device=cell.device) * stride[1]
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    shifts = torch.stack((columns, rows, columns, rows), -1).reshape(-1, 1, 4)
    return (shifts + cell).reshape(-1, 4)


def decode(deltas: Tensor, boxes: Tensor, weights: tuple[float, float, float, float]) -> Tensor:
    """Move and scale boxes (N, 4) by deltas (N, ..., 4) to boxes (N, ..., 4) (R-CNN, appendix C)."""
    size = boxes[:, 2:] - boxes[:, :2]
    centre = boxes[:, :2] + size / 2
    shape = (len(boxes), *(1,) * (deltas.ndim - 2), 2)
    size, centre = size.view(shape), centre.view(shape)
    scaled = deltas / deltas.new_tensor(weights)
    centre_shifted = scaled[..., :2] * size + centre
    grown = scaled[..., 2:].clamp(max=MAX_LOG_SCALE).exp() * size / 2
    return torch.cat((centre_shifted - grown, centre_shifted + grown), -1)


def clip(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Clip boxes (..., 4), in pixels, to the image."""
    height, width = size
    x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
    return torch.stack((x[..., 0], y[..., 0], x[..., 1], y[..., 1]), -1)


def areas(boxes: Tensor) -> Tensor:
    """Area of each box. ``boxes``: corners in pixels, (..., 4)."""
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)


def suppress(boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float) -> Tensor:
    """Non-maximum suppression of boxes (N, 4) with scores (N,) within groups (N,).

    Of equal scores the earlier box is the better one.
    """
    order = torch.sort(scores, descending=True, stable=True).indices
    # One download of all: each makes the processor wait for the device.
    rows = torch.cat((boxes[order].float(), groups[order, None].float()), 1).cpu().numpy()
    alive = np.ones(len(rows), bool)
    for group in np.unique(rows[:, 4]):
        members = np.flatnonzero(rows[:, 4] == group)
        alive[members] = _suppress_class(rows[members, :4], threshold)
    return order[to_device(torch.from_numpy(np.flatnonzero(alive)), order.device)]


def _suppress_class(boxes: Float32Array, threshold: float) -> npt.NDArray[np.bool_]:
    """Indices (N,) of retained boxes (N, 4), best first."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    alive = np.ones(len(boxes), bool)
    for i in range(len(boxes) - 1):
        if not alive[i]:
            continue
        rest = slice(i + 1, None)
        corner = np.maximum(boxes[rest, :2], boxes[i, :2])
        inner = (np.minimum(boxes[rest, 2:], boxes[i, 2:]) - corner).clip(min=0).prod(1)
        union = area[i] + area[rest] - inner
        alive[rest] &= inner <= threshold * union
    return alive


REGION_BATCH = 256
"""Bound on the regions that are read together, for the memory of the indices."""


def pool_levels(maps: Sequence[Tensor], boxes: Tensor, side: int, ratio: int, aligned: bool) -> Tensor:
    """Features (R, C, side, side) of boxes (R, 4), each of the level that fits it (FPN, equation 1)."""
    size = areas(boxes).sqrt() / 224
    # Each of the originals rounds areas at the bound of two levels in its own way.
    level = 4 + torch.log2(size + 1e-8) if aligned else 4 + torch.log2(size) + 1e-6
    level = level.floor().clamp(2, 5).long() - 2
    pooled = maps[0].new_zeros(len(boxes), maps[0].shape[1], side, side)
    for (i,), mine in by_value(level[:, None]):
        pooled[mine] = roi_align(maps[i][0], boxes[mine] / (4 * 2**i), side, ratio, aligned)
    return pooled


def by_value(rows: Tensor) -> Iterator[tuple[list[int], Tensor]]:
    """Group rows by their value in a tensor (N, k); waits for the device once."""
    here = rows.long().cpu()
    for row in here.unique(dim=0):
        yield row.tolist(), to_device((here == row).all(1).nonzero().flatten(), rows.device)


def roi_align(features: Tensor, boxes: Tensor, side: int, ratio: int, aligned: bool) -> Tensor:
    """Means of bilinear samples of a map (C, h, w) in boxes (R, 4) in its cells: (R, C, side, side)."""
    start = boxes[:, :2] - (0.5 if aligned else 0.0)
    extent = boxes[:, 2:] - boxes[:, :2]
    if not aligned:
        extent = extent.clamp(min=1)
    bins = extent / side
    if ratio:
        counted = iter([([ratio, ratio], torch.arange(len(boxes), device=boxes.device))])
    else:
        counted = by_value(bins.ceil().clamp(min=1))
    table = features.flatten(1).T.contiguous()
    pooled = features.new_zeros(len(boxes), len(features), side, side)
    for (columns, rows), same_size in counted:
        for part in same_size.split(REGION_BATCH):
            x = _samples(start[part, 0], bins[part, 0], side, columns, features.shape[2])
            y = _samples(start[part, 1], bins[part, 1], side, rows, features.shape[1])
            pooled[part] = _read(table, x, y, side, features.shape[2])
    return pooled


_Axis = tuple[Tensor, Tensor]
"""Cells and weights along one axis, each (R, side, samples · 2)."""


def _samples(start: Tensor, size: Tensor, side: int, count: int, length: int) -> _Axis:
    """Positions of the samples of each bin along one axis; two cells share each."""
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
    """Combine both axes, and sample the table (h·w, C) → (R, C, side, side)."""
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
