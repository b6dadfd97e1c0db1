"""Suppress components of a predicted mask that are far from the previous mask."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

LIKELY_LOGIT = -2.2
"""Log-odds (probability 0.1) above which a position belongs to a component."""

EVEN = 0.0
"""Minimum log-odds of an object's positions (probability 0.5)."""

UNLIKELY = -10.0
"""Log-odds that a position gets which is taken away."""

LARGE = 0.3
"""A component this large, compared with all that is near, stays: it may well be the object."""

ROUNDS = 12
"""Rounds of :func:`label_components`; the number of parts of a component falls by half or more in each."""


def suppress_distant_components(logits: Tensor, previous_masks: Tensor, max_jump: float) -> Tensor:
    """Lower log-odds (K, h, w) of small components far from the previous masks (K, H, W).

    ``max_jump`` is a part of the image's diagonal.
    """
    reach = round(max_jump * math.hypot(*logits.shape[1:]))
    step = previous_masks.shape[-1] // logits.shape[-1]
    previous_masks = previous_masks[:, step // 2 :: step, step // 2 :: step]
    if logits.device.type != "cpu":
        return logits.masked_fill(_distant(logits > LIKELY_LOGIT, previous_masks, reach), UNLIKELY)
    kernel = np.ones((2 * reach + 1,) * 2, np.uint8)
    for whole_plane, mask in zip(logits.numpy(), previous_masks.numpy(), strict=True):
        if not mask.any():
            continue
        candidates = (whole_plane > LIKELY_LOGIT).astype(np.uint8)
        left, top, width, height = cv2.boundingRect(candidates)
        if not width:
            continue
        # Many objects are small, and all that matters is around their candidates.
        part = slice(top, top + height), slice(left, left + width)
        plane = whole_plane[part]
        count, pieces, stats, _ = cv2.connectedComponentsWithStats(candidates[part], connectivity=8)
        if count <= 2:
            continue
        rows, columns = min(top, reach), min(left, reach)
        crop = mask[top - rows : top + height + reach, left - columns : left + width + reach]
        dilated = cv2.dilate(crop.astype(np.uint8), kernel)[rows : rows + height, columns : columns + width]
        neighbourhood = np.asarray(pieces, np.int32)[dilated > 0]
        touched = np.bincount(neighbourhood, minlength=count) > 0
        areas = stats[:, cv2.CC_STAT_AREA]
        stray = ~touched & (areas < LARGE * areas[1:][touched[1:]].sum())
        stray[0] = False
        plane[stray[pieces]] = UNLIKELY
    return logits


def _distant(candidates: Tensor, previous_masks: Tensor, reach: int) -> Tensor:
    """Positions (K, h, w) of distant components, without waiting for a device."""
    neighbourhood = previous_masks.float()[None]
    for kernel in ((2 * reach + 1, 1), (1, 2 * reach + 1)):
        neighbourhood = F.max_pool2d(neighbourhood, kernel, 1, (kernel[0] // 2, kernel[1] // 2))
    labels = label_components(candidates)
    return distant_components(labels, candidates, neighbourhood[0] > 0, labels.numel())


def distant_components(labels: Tensor, candidates: Tensor, neighbourhood: Tensor, num_labels: Any) -> Tensor:
    """Positions (K, h, w) of small components that do not touch the ``neighbourhood`` of the previous mask.

    Components have labels (K, h, w), int64, below ``num_labels``, each of one plane; ``candidates`` are the
    positions in components. Traced graphs use it, too.
    """
    counted = torch.stack([candidates, candidates & neighbourhood]).flatten(1).int()
    numbers = labels.flatten()[None].expand(2, -1)
    area, touched = counted.new_zeros(2, num_labels).scatter_add(1, numbers, counted)[:, labels]
    main = (candidates & (touched > 0)).sum((1, 2), keepdim=True)
    return candidates & (touched == 0) & (area < LARGE * main)


def label_components(candidates: Tensor) -> Tensor:
    """Number positions (K, h, w) by their component, joined over corners too, without waiting."""
    parents = torch.arange(candidates.numel(), device=candidates.device)
    first = parents.view_as(candidates)[:, :1, :1]
    for _ in range(ROUNDS):
        # Numbers inside a plane, which float32 holds exactly; 0 is no component.
        numbers = ((parents.view_as(candidates) - first + 1) * candidates).float()
        highest = F.max_pool2d(numbers[None], 3, 1, 1)[0].long() * candidates - 1 + first * candidates
        parents = parents.scatter_reduce(0, parents, highest.flatten(), "amax")
        for _ in range(3):
            parents = parents[parents]
    return parents.view_as(candidates)
