"""Merge many objects, each only in the image region where it may be."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
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
    """Enlarge and merge log-odds that are mostly ``OUTSIDE``, equal to dense merging up to rounding.

    Args:
        logits: (K, h, w), float32, on a processor.
        geometry: the sizes.

    Returns:
        The most probable object of each pixel at the size of the image, and probabilities (K+1, H', W') at
        the padded size; outside of its part, where they are below 1e-4, those of an object are 0.
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
    """Highest probability of each pixel, starting from the background (H, W)."""
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
    """Enlarge log-odds of each object bilinearly, within its region."""
    stride = size[0] // logits.shape[1]
    for place, plane in enumerate(logits):
        first_column, first_row, columns, rows = cv2.boundingRect((plane.numpy() != OUTSIDE).view(np.uint8))
        if not columns:
            continue
        # A position takes part in what is enlarged one position around it, which wants one more.
        (top, below), (left, right) = (
            (max(first - 2, 0), min(first + count + 2, length))
            for first, count, length in zip(
                (first_row, first_column), (rows, columns), plane.shape, strict=True
            )
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


class _Resized:
    """Resizes regions from the padded size to the image, bilinearly."""

    def __init__(self, geometry: ResizePadGeometry) -> None:
        self._geometry = geometry
        left, _, top, _ = padding(*geometry.working, geometry.stride)
        self._padding = top, left
        self._axes = [
            _axis(length, target) for length, target in zip(geometry.working, geometry.image, strict=True)
        ]

    def part(self, plane: Tensor, region: Region) -> tuple[Region, Tensor]:
        """Image region that a region of a plane (H', W') reaches, and its values."""
        if self._geometry.working == self._geometry.image:
            return self._shifted(plane, region)
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
        if not len(left):
            return (at[0], at[1]), plane.new_empty(len(top), 0)
        first = int(left[0])
        columns = plane[:, first : int(right[-1]) + 1]
        rows = torch.lerp(columns.index_select(0, top), columns.index_select(0, below), down[:, None])
        return (at[0], at[1]), torch.lerp(rows[:, left - first], rows[:, right - first], across)

    def _shifted(self, plane: Tensor, region: Region) -> tuple[Region, Tensor]:
        """See :meth:`part`, for an image that is not resized."""
        spans = []
        for span, offset, length in zip(region, self._padding, self._geometry.image, strict=True):
            spans.append(slice(max(span.start - offset, 0), min(span.stop - offset, length)))
        rows, columns = (
            slice(span.start + offset, span.stop + offset)
            for span, offset in zip(spans, self._padding, strict=True)
        )
        return (spans[0], spans[1]), plane[rows, columns]


def _axis(length: int, target: int) -> tuple[np.ndarray, np.ndarray, Tensor]:
    """Interpolation along an axis: two source positions, and the weight of the second."""
    places = np.maximum((np.arange(target) + 0.5) * (length / target) - 0.5, 0)
    low = np.minimum(places.astype(np.int64), length - 1)
    return low, np.minimum(low + 1, length - 1), torch.from_numpy((places - low).astype(np.float32))
