"""The part of an image around the objects which the network sees between two memory frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.models.base import QueryFeatures, Shape
from segue.utils.arrays import BoolArray

ALIGNED = 16
"""Windows begin at multiples of so many pixels, the stride of the network, and so do their sides."""

BAND = 8
"""Pixels beside a side of a window in which an object leaves it."""

LARGEST = 0.8
"""A window of a larger part of the image saves too little."""

OUTSIDE = -10.0
"""Log-odds outside the window."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a padded image, in its pixels; ``image`` is the size of the whole."""

    top: int
    left: int
    height: int
    width: int
    image: Shape

    @classmethod
    def around(cls, masks: Tensor, margin: int) -> Window | None:
        """The window of all masks (K, H, W), bool; None where one is empty or little would be saved."""
        if not masks.numpy().any((1, 2)).all():
            return None
        return cls.around_each(masks.amax(0, keepdim=True), margin)[0]

    @classmethod
    def around_each(cls, masks: Tensor, margin: int) -> list[Window | None]:
        """The window of each mask (K, H, W), bool; None for one that is empty or would save little."""
        planes: BoolArray = masks.numpy()  # NumPy takes a tenth of the time
        return [
            cls._around(down, across, margin) if down.any() else None
            for down, across in ((plane.any(1), plane.any(0)) for plane in planes)
        ]

    @classmethod
    def _around(cls, down: BoolArray, across: BoolArray, margin: int) -> Window | None:
        """The window of an object of which these rows and columns of the image hold a part."""
        top, tall = _side(down, margin, len(down))
        left, wide = _side(across, margin, len(across))
        if tall * wide > LARGEST * len(down) * len(across):
            return None
        return cls(top, left, tall, wide, (len(down), len(across)))

    @property
    def share(self) -> float:
        """Part of the image that it covers, in 0..1."""
        return self.height * self.width / (self.image[0] * self.image[1])

    def at(self, stride: int) -> tuple[int, int]:
        """Row and column of its first position at a stride."""
        return self.top // stride, self.left // stride

    def cut(self, planes: Tensor) -> Tensor:
        """The part inside of planes (..., h, w) of the image at some stride, a view."""
        stride = self.image[0] // planes.shape[-2]
        top, left = self.at(stride)
        return planes[..., top : top + self.height // stride, left : left + self.width // stride]

    def without_edge(self, edge: int) -> Window:
        """The window without so many pixels at its sides inside the image."""
        top, left = (edge if start > 0 else 0 for start in (self.top, self.left))
        below = edge if self.top + self.height < self.image[0] else 0
        right = edge if self.left + self.width < self.image[1] else 0
        height, width = self.height - top - below, self.width - left - right
        return Window(self.top + top, self.left + left, height, width, self.image)

    def within(self, other: Window, planes: Tensor) -> Tensor:
        """The part inside of planes (..., h, w) of another window, which holds this one, a view."""
        own = Window(self.top - other.top, self.left - other.left, self.height, self.width, other.size)
        return own.cut(planes)

    @property
    def size(self) -> Shape:
        """Height and width."""
        return self.height, self.width

    def part(self, query: QueryFeatures) -> QueryFeatures:
        """The features inside, of those of the image."""
        features = tuple(self.part_of(planes) for planes in query.features)
        return QueryFeatures(self.part_of(query.image), self.part_of(query.key), features)

    def part_of(self, planes: Tensor) -> Tensor:
        """The part inside of planes (N, C, h, w) of the image at some stride, channels last."""
        return self.cut(planes).contiguous(memory_format=torch.channels_last)

    def paste(self, logits: Tensor) -> Tensor:
        """Paste log-odds (K, h, w) of the window into the image at some stride."""
        stride = self.height // logits.shape[1]
        below, right = self.image[0] - self.top - self.height, self.image[1] - self.left - self.width
        sides = (self.left // stride, right // stride, self.top // stride, below // stride)
        return F.pad(logits, sides, value=OUTSIDE)

    def put(self, whole: Tensor, part: Tensor) -> Tensor:
        """A copy of planes (..., h, w) of the image at some stride, with those of the window in it."""
        copy = whole.clone()
        self.cut(copy).copy_(part)
        return copy

    def is_left(self, logits: Tensor, least: float) -> bool:
        """Whether log-odds (K, h, w) of the window exceed ``least`` near a side inside the image."""
        highest = logits.amax(0)
        band = BAND * logits.shape[1] // self.height
        sides = (
            (self.top > 0, highest[:band]),
            (self.left > 0, highest[:, :band]),
            (self.top + self.height < self.image[0], highest[-band:]),
            (self.left + self.width < self.image[1], highest[:, -band:]),
        )
        return any(is_inner and bool(side.amax() > least) for is_inner, side in sides)


def _side(inside: BoolArray, margin: int, length: int) -> tuple[int, int]:
    """Start and length of a window on an axis (n,), where ``inside`` says which places hold objects."""
    places = np.flatnonzero(inside)
    first, last = int(places[0]) - margin, int(places[-1]) + 1 + margin
    size = min(-(-(last - first) // ALIGNED) * ALIGNED, length)
    # Rounding to the grid moves a window by half a step at most.
    start = round((first + last - size) / 2 / ALIGNED) * ALIGNED
    return min(max(start, 0), length - size), size
