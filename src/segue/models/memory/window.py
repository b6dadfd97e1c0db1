"""Windows around objects, which the network processes between memory frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.models.base import QueryFeatures, Shape

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
class Boxes:
    """Boxes around masks.

    Attributes:
        sides: top, left, bottom and right of each, (K, 4), int64; bottom and right are exclusive. The bottom
            of an empty mask is 0.
        image: height and width of the masks.
    """

    sides: npt.NDArray[np.int64]
    image: Shape

    @classmethod
    def of(cls, masks: Tensor) -> Boxes:
        """Boxes of masks (K, H, W), bool."""
        image = masks.shape[1], masks.shape[2]
        rectangles = [cv2.boundingRect(mask.view(np.uint8)) for mask in masks.numpy()]
        return cls.at([(y, x, y + height, x + width) for x, y, width, height in rectangles], image)

    @classmethod
    def at(cls, sides: Sequence[tuple[int, int, int, int]], image: Shape) -> Boxes:
        """Boxes with these sides, some of them empty."""
        empty = *image, 0, 0  # joins other boxes without an effect
        rows = [each if each[2] > each[0] and each[3] > each[1] else empty for each in sides]
        return cls(np.array(rows, np.int64).reshape(-1, 4), image)

    @property
    def visible(self) -> npt.NDArray[np.bool_]:
        """Whether each mask has pixels, (K,)."""
        return self.sides[:, 2] > 0

    def select(self, places: Sequence[int]) -> Boxes:
        """Boxes at some places."""
        return Boxes(self.sides[list(places)], self.image)

    def union(self) -> Boxes:
        """One box around all boxes."""
        top_left, bottom_right = self.sides[:, :2].min(0), self.sides[:, 2:].max(0)
        return Boxes(np.concatenate([top_left, bottom_right])[None], self.image)

    def joined(self, other: Boxes) -> Boxes:
        """Box around each box and that of another mask."""
        top_left = np.minimum(self.sides[:, :2], other.sides[:, :2])
        bottom_right = np.maximum(self.sides[:, 2:], other.sides[:, 2:])
        return Boxes(np.concatenate([top_left, bottom_right], 1), self.image)

    def cut(self, window: Window) -> Boxes:
        """Boxes inside a window that holds all of them, in its coordinates."""
        at = window.top, window.left
        sides = [
            (top - at[0], left - at[1], bottom - at[0], right - at[1])
            for top, left, bottom, right in self.sides.tolist()
        ]
        return Boxes.at(sides, (window.height, window.width))


@dataclass(frozen=True, slots=True)
class Window:
    """A region of a padded image, in pixels; ``image`` is the size of the whole."""

    top: int
    left: int
    height: int
    width: int
    image: Shape

    @classmethod
    def around(cls, boxes: Boxes, margin: int, step: int = ALIGNED) -> list[Window | None]:
        """Window around each box; None for empty ones or those that would save little.

        Its sides are multiples of ``step``, a multiple of :data:`ALIGNED`.
        """
        image, sides = boxes.image, boxes.sides
        down, across = (
            _spans(sides[:, axis], sides[:, axis + 2], image[axis], margin, step) for axis in (0, 1)
        )
        windows: list[Window | None] = []
        for top, height, left, width, is_visible in zip(*down, *across, boxes.visible, strict=True):
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


def _spans(
    starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64], length: int, margin: int, step: int
) -> tuple[list[int], list[int]]:
    """Starts and lengths of windows along an axis of a length, from those of boxes."""
    first, last = starts - margin, stops + margin
    size = np.clip(-(-(last - first) // step) * step, 0, length)
    # Rounding to the grid moves a window by half a step at most.
    start = np.rint((first + last - size) / 2 / ALIGNED).astype(np.int64) * ALIGNED
    return start.clip(0, length - size).tolist(), size.tolist()
