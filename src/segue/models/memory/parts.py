"""Merge many objects, each only in the image region where it may be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.models.base import Highest, Shape
from segue.models.geometry import EPSILON, ResizePadGeometry, padding
from segue.models.memory.window import OUTSIDE, Boxes, Window

Region = tuple[slice, slice]
"""Rows and columns."""

NOWHERE: Region = slice(0, 0), slice(0, 0)
"""Region of an object that is nowhere."""

SUM_TOGETHER = 16
"""Masks that are added before their sum is; sums of sums round less."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Soft masks of many objects, each 0 outside of a region.

    Attributes:
        size: height and width of the masks.
        pieces: the region of each mask, and its values there, float32.
    """

    size: Shape
    pieces: Sequence[tuple[Region, Tensor]]

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, places: slice) -> Parts:
        return Parts(self.size, self.pieces[places])

    def to(self, dtype: torch.dtype) -> Parts:
        """Masks with another type."""
        return Parts(self.size, [(region, values.to(dtype)) for region, values in self.pieces])

    def clipped(self, window: Window) -> Parts:
        """Masks that are 0 outside of a window."""
        return Parts(self.size, [_clipped(piece, window) for piece in self.pieces])

    def cut(self, window: Window) -> Parts:
        """Masks inside a window, in its coordinates."""
        pieces = [
            (_moved(region, -window.top, -window.left), values)
            for region, values in self.clipped(window).pieces
        ]
        return Parts((window.height, window.width), pieces)

    def plane(self, place: int, window: Window) -> Tensor:
        """Part of one mask inside a window, (h, w)."""
        region, values = _clipped(self.pieces[place], window)
        plane = values.new_zeros(window.height, window.width)
        plane[_moved(region, -window.top, -window.left)] = values
        return plane

    def binary(self) -> Tensor:
        """Masks above 0.5, (K, H, W), bool."""
        masks = torch.zeros(len(self), *self.size, dtype=torch.bool)
        for mask, (region, values) in zip(masks, self.pieces, strict=True):
            torch.gt(values, 0.5, out=mask[region])
        return masks

    def boxes(self) -> Boxes:
        """Boxes around the masks above 0.5."""
        sides = []
        for (rows, columns), values in self.pieces:
            x = y = width = height = 0
            if values.numel():
                x, y, width, height = cv2.boundingRect((values.float().numpy() > 0.5).view(np.uint8))
            top, left = rows.start + y, columns.start + x
            sides.append((top, left, top + height, left + width))
        return Boxes.at(sides, self.size)

    def sum(self) -> Tensor:
        """Sum of all masks, (1, H, W)."""
        total = self.pieces[0][1].new_zeros(1, *self.size)
        for start in range(0, len(self), SUM_TOGETHER):
            some = torch.zeros_like(total)
            for region, values in self.pieces[start : start + SUM_TOGETHER]:
                some[0][region] += values
            total += some
        return total


def _clipped(piece: tuple[Region, Tensor], window: Window) -> tuple[Region, Tensor]:
    """Region and values inside a window."""
    (rows, columns), values = piece
    top, left = max(rows.start, window.top), max(columns.start, window.left)
    bottom, right = min(rows.stop, window.top + window.height), min(columns.stop, window.left + window.width)
    if bottom <= top or right <= left:
        return (slice(window.top, window.top), slice(window.left, window.left)), values[:0, :0]
    inside = values[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start]
    return (slice(top, bottom), slice(left, right)), inside


def _moved(region: Region, down: int, across: int) -> Region:
    rows, columns = region
    return (
        slice(rows.start + down, rows.stop + down),
        slice(columns.start + across, columns.stop + across),
    )


def binary_masks(masks: Tensor | Parts) -> Tensor:
    """Soft masks above 0.5, (K, H, W), bool."""
    return masks.binary() if isinstance(masks, Parts) else masks > 0.5


def total_of(masks: Tensor | Parts) -> Tensor:
    """Sum of soft masks, (1, H, W)."""
    return masks.sum() if isinstance(masks, Parts) else masks.sum(0, keepdim=True)


def boxes_of(masks: Tensor | Parts) -> Boxes:
    """Boxes around the soft masks above 0.5."""
    return masks.boxes() if isinstance(masks, Parts) else Boxes.of(masks > 0.5)


def planes_of(
    masks: Tensor | Parts, places: Sequence[int] | None = None, windows: Sequence[Window] = ()
) -> Tensor:
    """Soft masks at some places, all by default, each in its window if any, (k, h, w)."""
    if isinstance(masks, Parts):
        places = range(len(masks)) if places is None else places
        windows = windows or [Window(0, 0, *masks.size, masks.size)] * len(places)
        return torch.stack([masks.plane(*pair) for pair in zip(places, windows, strict=True)])
    chosen = masks if places is None else masks[list(places)]
    return (
        torch.stack([window.cut(mask) for window, mask in zip(windows, chosen, strict=True)])
        if windows
        else chosen
    )


def working_window(geometry: ResizePadGeometry) -> Window:
    """The padded image without its padding."""
    left, _, top, _ = padding(*geometry.working, geometry.stride)
    return Window(top, left, *geometry.working, geometry.padded)


def merge_parts(logits: Tensor, geometry: ResizePadGeometry) -> tuple[Highest, Parts]:
    """Enlarge and merge log-odds that are mostly ``OUTSIDE``, equal to dense merging up to rounding.

    Args:
        logits: (K, h, w), float32, on a processor.
        geometry: the sizes.

    Returns:
        The most probable object of each pixel at the size of the image, and probabilities (K, H', W') of the
        objects at the padded size; outside of its part, where they are below 1e-4, those of an object are 0.
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
    background /= total
    pieces: list[tuple[Region, Tensor]] = [(NOWHERE, logits.new_empty(0, 0))] * count
    for place, region, odds in parts:
        pieces[place] = region, odds.div_(total[region])
    best, outside = geometry.to_image(torch.stack([background, odds_outside / total]))
    masks = Parts(geometry.padded, pieces)
    return _highest(masks, best.clone(), outside, geometry), masks


def _highest(masks: Parts, best: Tensor, outside: Tensor, geometry: ResizePadGeometry) -> Highest:
    """Highest probability of each pixel, starting from the background (H, W)."""
    number = torch.zeros(geometry.image, dtype=torch.int16)
    sums = torch.full((len(masks) + 1,), float(outside.sum()))
    sums[0] = best.sum()
    resized = _Resized(geometry)
    for place, (region, values) in enumerate(masks.pieces, start=1):
        if region == NOWHERE:
            continue
        at, plane = resized.part(values, region)
        sums[place] += float(plane.sum() - outside[at].sum())
        here = best[at]
        number[at].masked_fill_(plane > here, place)
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
        self._inner = working_window(geometry)
        self._padding = self._inner.top, self._inner.left
        self._axes = [
            _axis(length, target) for length, target in zip(geometry.working, geometry.image, strict=True)
        ]

    def part(self, values: Tensor, region: Region) -> tuple[Region, Tensor]:
        """Image region that a region of a plane (H', W') reaches, and its values."""
        if self._geometry.working == self._geometry.image:
            return self._shifted(values, region)
        at, places = [], []
        for axis in (0, 1):
            begin = max(region[axis].start - self._padding[axis], 0)
            end = min(region[axis].stop - self._padding[axis], self._geometry.working[axis])
            low, high, share = self._axes[axis]
            span = slice(int(np.searchsorted(high, begin)), int(np.searchsorted(low, end)))
            at.append(span)
            # One position around the region takes part, where the plane is 0.
            first = region[axis].start - self._padding[axis] - 1
            pair = [torch.from_numpy(each[span] - first) for each in (low, high)]
            places.append((*pair, share[span]))
        (top, below, down), (left, right, across) = places
        if not len(left):
            return (at[0], at[1]), values.new_empty(len(top), 0)
        first = int(left[0])
        columns = F.pad(values, (1, 1, 1, 1))[:, first : int(right[-1]) + 1]
        rows = torch.lerp(columns.index_select(0, top), columns.index_select(0, below), down[:, None])
        near, far = (rows.index_select(1, places - first) for places in (left, right))
        return (at[0], at[1]), torch.lerp(near, far, across)

    def _shifted(self, values: Tensor, region: Region) -> tuple[Region, Tensor]:
        """See :meth:`part`, for an image that is not resized."""
        inside, values = _clipped((region, values), self._inner)
        return _moved(inside, -self._inner.top, -self._inner.left), values


def _axis(length: int, target: int) -> tuple[np.ndarray, np.ndarray, Tensor]:
    """Interpolation along an axis: two source positions, and the weight of the second."""
    places = np.maximum((np.arange(target) + 0.5) * (length / target) - 0.5, 0)
    low = np.minimum(places.astype(np.int64), length - 1)
    return low, np.minimum(low + 1, length - 1), torch.from_numpy((places - low).astype(np.float32))
