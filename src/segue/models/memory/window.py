"""Windows around objects, which the network processes between memory frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.models.base import QueryFeatures, Shape
from segue.utils.arrays import BoolArray

ALIGNED = 16
"""Positions and sides of windows are multiples of the network stride, in pixels."""

BAND = 8
"""Width in pixels of the band at a side of a window in which an object counts as leaving."""

MAX_WINDOW_SHARE = 0.8
"""A window of a larger part of the image saves too little."""

OUTSIDE = -10.0
"""Log-odds outside the window."""


Sides = tuple[bool, bool, bool, bool]
"""Whether the top, left, bottom and right sides of a window count."""


@dataclass(frozen=True, slots=True)
class Window:
    """A region of a padded image, in pixels; ``image`` is the size of the whole."""

    top: int
    left: int
    height: int
    width: int
    image: Shape

    @classmethod
    def around(cls, masks: Tensor, margin: int, step: int = ALIGNED) -> list[Window | None]:
        """Window of each mask (K, H, W), bool; None for empty ones or those that would save little.

        Its sides are multiples of ``step``, a multiple of :data:`ALIGNED`.
        """
        planes: BoolArray = masks.numpy()  # NumPy takes a tenth of the time
        down, across = np.asarray(planes.any(2)), np.asarray(planes.any(1))
        image = down.shape[1], across.shape[1]
        has_row = np.asarray(down.any(1))
        spans = zip(*_spans(down, margin, step), *_spans(across, margin, step), has_row, strict=True)
        windows: list[Window | None] = []
        for top, height, left, width, is_visible in spans:
            saves = is_visible and height * width <= MAX_WINDOW_SHARE * image[0] * image[1]
            windows.append(cls(top, left, height, width, image) if saves else None)
        return windows

    @property
    def share(self) -> float:
        """Share of the image that it covers, in [0, 1]."""
        return self.height * self.width / (self.image[0] * self.image[1])

    def at(self, stride: int) -> tuple[int, int]:
        """Row and column of its first position at a stride."""
        return self.top // stride, self.left // stride

    def cut(self, planes: Tensor, full: Window | None = None) -> Tensor:
        """Crop planes (..., h, w) at some stride, as a view.

        The planes are those of the image, or of another window, ``full``, that holds this one.
        """
        full = full or Window(0, 0, *self.image, self.image)
        stride = full.height // planes.shape[-2]
        top, left = (self.top - full.top) // stride, (self.left - full.left) // stride
        return planes[..., top : top + self.height // stride, left : left + self.width // stride]

    def without_edge(self, edge: int) -> Window:
        """Shrink the window by some pixels at sides inside the image."""
        top, left, bottom, right = self.top, self.left, self.top + self.height, self.left + self.width
        top, left = top + edge * (top > 0), left + edge * (left > 0)
        bottom, right = bottom - edge * (bottom < self.image[0]), right - edge * (right < self.image[1])
        return Window(top, left, bottom - top, right - left, self.image)

    def part(self, views: Sequence[QueryFeatures]) -> list[QueryFeatures]:
        """Crop the features of each view of the image, channels last."""
        parts = []
        for query in views:
            planes = (query.image, query.key, *query.features)
            image, key, *features = [
                self.cut(each).contiguous(memory_format=torch.channels_last) for each in planes
            ]
            parts.append(QueryFeatures(image, key, tuple(features)))
        return parts

    def paste(self, logits: Tensor) -> Tensor:
        """Paste log-odds (K, h, w) of the window into the image at some stride."""
        stride = self.height // logits.shape[1]
        below, right = self.image[0] - self.top - self.height, self.image[1] - self.left - self.width
        sides = (self.left // stride, right // stride, self.top // stride, below // stride)
        return F.pad(logits, sides, value=OUTSIDE)

    def left_sides(self, logits: Tensor, threshold: float) -> Sides:
        """Sides inside the image near which log-odds (K, h, w) exceed ``threshold``."""
        band = BAND * logits.shape[1] // self.height
        highest = logits.amax(0)
        return (
            self.top > 0 and bool(highest[:band].amax() > threshold),
            self.left > 0 and bool(highest[:, :band].amax() > threshold),
            self.top + self.height < self.image[0] and bool(highest[-band:].amax() > threshold),
            self.left + self.width < self.image[1] and bool(highest[:, -band:].amax() > threshold),
        )

    def widened(self, sides: Sides, margin: int) -> Window | None:
        """Window with at least ``margin`` more pixels at some sides; None if that saves little."""
        more = -(-margin // ALIGNED) * ALIGNED
        top, left = max(self.top - more * sides[0], 0), max(self.left - more * sides[1], 0)
        bottom = min(self.top + self.height + more * sides[2], self.image[0])
        right = min(self.left + self.width + more * sides[3], self.image[1])
        wider = Window(top, left, bottom - top, right - left, self.image)
        return wider if wider.share <= MAX_WINDOW_SHARE else None


def _spans(inside: BoolArray, margin: int, step: int) -> tuple[list[int], list[int]]:
    """Starts and lengths of windows along an axis, from ``inside`` (K, n), the positions of objects."""
    length = inside.shape[1]
    first, last = inside.argmax(1) - margin, length - inside[:, ::-1].argmax(1) + margin
    size = np.minimum(-(-(last - first) // step) * step, length)
    # Rounding to the grid moves a window by half a step at most.
    start = np.rint((first + last - size) / 2 / ALIGNED).astype(np.int64) * ALIGNED
    return start.clip(0, length - size).tolist(), size.tolist()
