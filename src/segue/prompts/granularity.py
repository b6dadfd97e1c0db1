"""Granularity of a click: object, part, or group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Granularity = Literal["whole", "part", "group"]
"""Granularity of clicks: the object, a part of it, or a group, such as rider and horse."""

CONTAINED = 0.85  # share of a part that lies in the whole, and of the whole in a group
PART_AREA, GROUP_AREA = 0.6, 1.5  # a part is smaller than the whole by so much, a group larger
LEAST_IOU = 0.3  # predicted IoU, before calibration, below which a part or group is not offered

WHOLE_MARGIN = (
    0.05  # predicted IoU, before calibration, by which a larger look may be less sure than the surest
)
WHOLE_AREA, WHOLE_SHARE = 1.2, 0.8  # how much larger it is, and the share of the surest mask that it holds


def whole_of(masks: Sequence[npt.NDArray[np.bool_]], scores: Sequence[float]) -> int:
    """Choose the whole object among masks of a click, each (h, w), by score and size."""
    sure = [score if mask.any() else -1.0 for mask, score in zip(masks, scores, strict=True)]
    surest = chosen = int(np.argmax(sure))
    held = WHOLE_SHARE * masks[surest].sum()
    for number, mask in enumerate(masks):
        larger = mask.sum() > WHOLE_AREA * masks[chosen].sum() and (mask & masks[surest]).sum() > held
        if larger and sure[number] >= sure[surest] - WHOLE_MARGIN:
            chosen = number
    return chosen


def related(
    whole: npt.NDArray[np.bool_], masks: Sequence[npt.NDArray[np.bool_]], scores: Sequence[float]
) -> dict[Granularity, int]:
    """The best part and the best group of a mask (h, w) among others (h, w), as far as there are any."""
    best: dict[Granularity, int] = {}
    area = int(whole.sum())
    for number, (mask, score) in enumerate(zip(masks, scores, strict=True)):
        own, shared = int(mask.sum()), int((mask & whole).sum())
        granularity: Granularity
        if 0 < own <= PART_AREA * area and shared >= CONTAINED * own:
            granularity = "part"
        elif own >= GROUP_AREA * area and shared >= CONTAINED * area:
            granularity = "group"
        else:
            continue
        if score >= (scores[best[granularity]] if granularity in best else LEAST_IOU):
            best[granularity] = number
    return dict(sorted(best.items(), reverse=True))
