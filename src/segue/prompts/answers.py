"""Prompts, answers and the interface of prompters.

Whoever answers, segue-prompt or a network from elsewhere, takes an image once and is then asked as
often as a person clicks.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import Float32Array, as_array
from segue.errors import PromptError
from segue.inputs import check_choice, kind_of
from segue.masks.given import as_points
from segue.prompts.granularity import Granularity
from segue.prompts.parse import box_of, check_points, clip_box, points_of
from segue.types import Box, Image, Point

Stroke = Sequence[Point]
PixelWindow = tuple[int, int, int, int]  # a window in whole pixels


@dataclass(frozen=True)
class Prompts:
    """All prompts of one object on one image, in pixels.

    Attributes:
        box: ``(x0, y0, x1, y1)`` around it, ends exclusive.
        points: clicks on it, ``(x, y)`` each; also a single one, an array or a tensor (N, 2).
        negative: clicks beside it.
        scribble: strokes on it, each a sequence of points.
        mask: where it was taken to be so far, (H, W): probability in [0, 1], booleans, or whole numbers that
            are 0 outside.
        granularity: how much is meant where only clicks are given; one that is not available gives the whole.
    """

    box: Box | None = None
    points: Sequence[Point] = ()
    negative: Sequence[Point] = ()
    scribble: Sequence[Stroke] = ()
    mask: npt.NDArray[Any] | None = None
    granularity: Granularity = "whole"

    @property
    def positive(self) -> list[Point]:
        """All places that lie on the object."""
        return [*self.points, *(point for stroke in self.scribble for point in stroke)]

    def checked(self, size: tuple[int, int]) -> Prompts:
        """Check the prompts against an image, and clip their box to it.

        Args:
            size: height and width of the image in pixels.

        Returns:
            The same prompts, the mask as float32 in [0, 1], or None where it was empty.

        Raises:
            PromptError: nothing says where the object is, something lies outside the image, or has another
                form than is expected.
        """
        check_choice("granularity", self.granularity, Granularity, PromptError)
        prompts = replace(
            self,
            box=None if self.box is None else clip_box(box_of(self.box, "box"), size),
            points=points_of(self.points, "points"),
            negative=points_of(self.negative, "negative"),
            scribble=tuple(_stroke(stroke) for stroke in self.scribble),
            mask=_mask(self.mask, size),
        )
        check_points([*prompts.positive, *prompts.negative], size)
        if prompts.box is None and prompts.mask is None and not prompts.positive:
            raise PromptError("needs at least one positive point, a box or a mask that is not empty")
        return prompts


def _stroke(value: Any) -> tuple[Point, ...]:
    if np.ndim(value) == 1:
        raise PromptError("scribble: give strokes, each of several points, as in [[(x, y), (x, y)]]")
    return as_points(value, "scribble")


def _mask(value: Any, size: tuple[int, int]) -> Float32Array | None:
    """An earlier mask as probabilities, float32 in [0, 1]; None where it is empty."""
    if value is None:
        return None
    mask = np.asarray(as_array(value))
    if mask.shape != size:
        raise PromptError(f"the mask has shape {mask.shape}, the image {size}")
    if mask.dtype.kind != "f":
        mask = mask != 0
    elif not ((mask >= 0) & (mask <= 1)).all():
        raise PromptError(f"mask: {kind_of(value)}; probabilities lie in 0..1")
    return mask.astype(np.float32) if (mask > 0.5).any() else None


@dataclass(frozen=True)
class Answer:
    """Masks of an object, the one to take first.

    Attributes:
        size: height and width of the image.
        window: part of the image ``(x0, y0, x1, y1)`` in pixels that contains all masks.
        iou: predicted IoU of each mask with what was meant, (K,), in [0, 1].
        planes: probability of each mask in the window, at any resolution, (K, h, w).
        granularity: what of :data:`Granularity` the masks show.
        granularities: those that are available, the whole first; others only of clicks alone.
    """

    size: tuple[int, int]
    window: PixelWindow
    iou: Float32Array
    planes: Float32Array = field(repr=False)
    granularity: Granularity = "whole"
    granularities: tuple[Granularity, ...] = ("whole",)

    def __len__(self) -> int:
        return len(self.iou)

    @functools.cached_property
    def probability(self) -> Float32Array:
        """Probability of the first mask, (H, W)."""
        return self.probability_of(0)

    @functools.cached_property
    def mask(self) -> npt.NDArray[np.bool_]:
        """The first mask, (H, W)."""
        return np.asarray(self.probability > 0.5)

    @functools.cached_property
    def masks(self) -> npt.NDArray[np.bool_]:
        """All masks, (K, H, W)."""
        return np.stack([self.probability_of(k) > 0.5 for k in range(len(self))])

    def within(self, bound: npt.NDArray[np.bool_]) -> Answer:
        """Cut the masks off outside a region.

        Args:
            bound: (H, W), bool; masks stay where it is true.

        Returns:
            The same masks; probabilities outside are at most 0.5.
        """
        if not (self.masks & ~bound).any():
            return self
        planes = np.stack([self.probability_of(k) for k in range(len(self))])
        outside = np.broadcast_to(~bound, planes.shape)
        planes[outside] = np.minimum(planes[outside], 0.5)
        return replace(self, window=(0, 0, self.size[1], self.size[0]), planes=planes)

    def probability_of(self, k: int) -> Float32Array:
        """Give the probability of one mask at the size of the image.

        Args:
            k: number of the mask, from 0.

        Returns:
            (H, W), float32 in [0, 1].
        """
        x0, y0, x1, y1 = self.window
        whole = np.zeros(self.size, np.float32)
        whole[y0:y1, x0:x1] = cv2.resize(self.planes[k], (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
        return whole


class PicturePrompter(ABC):
    """Answers prompts on one image, RGB (H, W, 3), uint8.

    Attributes:
        image: the image.
        size: its height and width in pixels.
    """

    def __init__(self, image: Image) -> None:
        self.image, self.size = image, (image.shape[0], image.shape[1])

    def answer(self, prompts: Prompts) -> Answer:
        """Segment the object that prompts point at.

        Args:
            prompts: box, points, strokes and earlier mask of one object; they are checked.

        Returns:
            One or more masks with their predicted IoU, the one to take first.

        Raises:
            PromptError: see :meth:`Prompts.checked`.
        """
        return self._segment(prompts.checked(self.size))

    @abstractmethod
    def _segment(self, prompts: Prompts) -> Answer:
        """The answer to prompts that are checked."""


MakePrompter = Callable[[Image], PicturePrompter]
"""Makes a prompter for an image, RGB (H, W, 3), uint8."""
