"""Many objects at once: each is merged with the others only in the part of the image where it may be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.models.base import Highest, Shape
from segue.models.geometry import EPSILON, ResizePadGeometry, padding
from segue.models.memory.window import OUTSIDE

Region = tuple[slice, slice]
"""Rows and columns."""


def merge_parts(logits: Tensor, geometry: ResizePadGeometry) -> tuple[Highest, Tensor]:
    """Enlarge and merge log-odds of which most are ``OUTSIDE``, up to rounding as dense planes are merged.

    Args:
        logits: (K, h, w), float32, on a processor.
        geometry: the sizes.

    Returns:
        What is highest at the size of the image, and probabilities (K+1, H', W') at the padded size, where
        those of an object outside its part, below 1e-4 all of them, are 0.
    """
    count = len(logits)
    probability = float(torch.tensor(OUTSIDE).sigmoid())
    odds_outside = probability / (1 - probability)
    free = logits.new_ones(geometry.padded)
    total = logits.new_full(geometry.padded, count * odds_outside)
    parts: list[tuple[int, Region, Tensor]] = []
    for place, (region, plane) in _enlarged(logits, geometry.padded):
        inside = plane.sigmoid_()
        free[region] *= (1 - inside).div_(1 - probability)
        odds = inside.clamp_(EPSILON, 1 - EPSILON).div_(1 - inside)
        total[region] += odds - odds_outside
        parts.append((place, region, odds))
    background = free.mul_((1 - probability) ** count).clamp_(EPSILON, 1 - EPSILON)
    background = background.div_(1 - background)
    total += background
    # NumPy's zeros take no time, and memory only where something is written.
    probabilities = torch.from_numpy(np.zeros((count + 1, *geometry.padded), np.float32))
    torch.div(background, total, out=probabilities[0])
    for place, region, odds in parts:
        torch.div(odds, total[region], out=probabilities[place + 1][region])
    best, outside = geometry.to_image(torch.stack([probabilities[0], odds_outside / total]))
    return _highest(probabilities, best.clone(), outside, parts, geometry), probabilities


def _highest(
    probabilities: Tensor,
    best: Tensor,
    outside: Tensor,
    parts: list[tuple[int, Region, Tensor]],
    geometry: ResizePadGeometry,
) -> Highest:
    """The highest probability of each pixel of the image, from that of the background (H, W)."""
    number = torch.zeros(geometry.image, dtype=torch.int16)
    sums = torch.full((len(probabilities),), float(outside.sum()))
    sums[0] = best.sum()
    resized = _Resized(geometry)
    for place, region, _ in parts:
        at, plane = resized.part(probabilities[place + 1], region)
        sums[place + 1] += float(plane.sum() - outside[at].sum())
        here = best[at]
        number[at].masked_fill_(plane > here, place + 1)
        torch.maximum(here, plane, out=here)
    return Highest(best, number, sums)


def _enlarged(logits: Tensor, size: Shape) -> Iterator[tuple[int, tuple[Region, Tensor]]]:
    """For each object its part of an image of some size, and its log-odds there, bilinear."""
    stride = size[0] // logits.shape[1]
    for place, plane in enumerate(logits):
        inside = plane.numpy() != OUTSIDE
        sides = [_span(inside.any(axis)) for axis in (1, 0)]
        if sides[0] is None or sides[1] is None:
            continue
        # A position takes part in what is enlarged one position around it, which wants one more.
        (top, below), (left, right) = (
            (max(first - 2, 0), min(last + 2, length))
            for (first, last), length in zip((sides[0], sides[1]), plane.shape, strict=True)
        )
        crop = plane[None, None, top:below, left:right]
        large = F.interpolate(crop, scale_factor=float(stride), mode="bilinear")[0, 0]
        cut = [
            slice(stride if first > 0 else 0, stride * (last - first) - (stride if last < length else 0))
            for first, last, length in ((top, below, plane.shape[0]), (left, right, plane.shape[1]))
        ]
        region = tuple(
            slice(stride * first + span.start, stride * first + span.stop)
            for first, span in zip((top, left), cut, strict=True)
        )
        yield place, ((region[0], region[1]), large[cut[0], cut[1]].contiguous())


def _span(inside: np.ndarray) -> tuple[int, int] | None:
    """First place that holds something, and the one after the last."""
    places = np.flatnonzero(inside)
    return None if not len(places) else (int(places[0]), int(places[-1]) + 1)


class _Resized:
    """Brings parts of planes from the padded size to the image, bilinear."""

    def __init__(self, geometry: ResizePadGeometry) -> None:
        self._geometry = geometry
        left, _, top, _ = padding(*geometry.working, geometry.stride)
        self._padding = top, left
        self._axes = [
            _axis(length, target) for length, target in zip(geometry.working, geometry.image, strict=True)
        ]

    def part(self, plane: Tensor, region: Region) -> tuple[Region, Tensor]:
        """The region of the image that a region of a plane (H', W'), 0 around it, reaches, and its values."""
        at, places = [], []
        for axis in (0, 1):
            begin = max(region[axis].start - self._padding[axis], 0)
            end = min(region[axis].stop - self._padding[axis], self._geometry.working[axis])
            low, high, share = self._axes[axis]
            span = slice(int(np.searchsorted(high, begin)), int(np.searchsorted(low, end)))
            at.append(span)
            offset = self._padding[axis]
            pair = [torch.from_numpy(each[span]) + offset for each in (low, high)]
            places.append((*pair, share[span]))
        (top, below, down), (left, right, across) = places
        rows = torch.lerp(plane[top], plane[below], down[:, None])
        return (at[0], at[1]), torch.lerp(rows[:, left], rows[:, right], across)


def _axis(length: int, target: int) -> tuple[np.ndarray, np.ndarray, Tensor]:
    """For places of a longer axis the two of this one that they lie between, and the share of the second."""
    places = np.maximum((np.arange(target) + 0.5) * (length / target) - 0.5, 0)
    low = np.minimum(places.astype(np.int64), length - 1)
    return low, np.minimum(low + 1, length - 1), torch.from_numpy((places - low).astype(np.float32))
