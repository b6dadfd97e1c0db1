"""Resize and pad images for trackers, and merge object probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.models.base import Shape
from segue.types import Image

Resize = Literal["area", "bilinear", "antialias", "bicubic"]
"""Reduce an image by averaging, bilinearly without or with antialiasing, or bicubically without."""

EPSILON = 1e-7
EMPTY_ODDS = EPSILON / (1 - EPSILON)


def padding(height: int, width: int, multiple: int) -> tuple[int, int, int, int]:
    """Padding up to multiples, the smaller half first."""
    extra_h, extra_w = -height % multiple, -width % multiple
    return extra_w // 2, extra_w - extra_w // 2, extra_h // 2, extra_h - extra_h // 2


def unpad(x: Tensor, size: Shape) -> Tensor:
    """Cut off what :func:`padding` added. ``x``: (..., H', W'); returns (..., H, W), a view."""
    top, left = (x.shape[-2] - size[0]) // 2, (x.shape[-1] - size[1]) // 2
    return x[..., top : top + size[0], left : left + size[1]]


def reduced_to(image: Image, long_side: int) -> Image:
    """Reduce an image by averaging, if it is larger."""
    height, width = image.shape[:2]
    scale = min(1.0, long_side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


@dataclass(frozen=True)
class ResizePadGeometry:
    """Sizes in a session: image, working size, and working size padded to the stride."""

    image: Shape
    working: Shape  # what the network sees; the same unless the images are too large
    stride: int  # the padded size is a multiple of it
    mask_mode: Literal["nearest", "nearest-exact"] = "nearest-exact"  # how index masks are reduced
    keep_small: bool = True  # whether an object that no sample hits keeps a pixel
    resize: Resize = "area"  # how images are reduced; all but area give floats

    @classmethod
    @lru_cache(maxsize=64)  # all images of a video have one size
    def of(
        cls,
        image: Shape,
        short_side: int | None,
        stride: int,
        *,
        truncate: bool = False,
        **how: Any,
    ) -> ResizePadGeometry:
        """Geometry with a short side of at most ``short_side``, in proportion."""
        short = min(image)
        if short_side is None or short <= short_side:
            return cls(image, image, stride, **how)
        to_integer = math.floor if truncate else round
        height, width = (max(1, to_integer(side * short_side / short)) for side in image)
        return cls(image, (height, width), stride, **how)

    @cached_property
    def resizes(self) -> bool:
        """Whether images are reduced for the network."""
        return self.image != self.working

    @cached_property
    def padded(self) -> Shape:
        """Padded height and width."""
        left, right, top, bottom = padding(*self.working, self.stride)
        return self.working[0] + top + bottom, self.working[1] + left + right

    def to_network(self, image: Image) -> npt.NDArray[Any]:
        """Reduce an image (H, W, 3) to the working size, float32 if it is interpolated."""
        if not self.resizes:
            return image
        height, width = self.working
        if self.resize != "area":
            planes = torch.from_numpy(np.asarray(image, np.float32)).permute(2, 0, 1)[None]
            mode, smooth = ("bicubic" if self.resize == "bicubic" else "bilinear"), self.resize == "antialias"
            small = F.interpolate(planes, size=self.working, mode=mode, antialias=smooth)
            return small[0].permute(1, 2, 0).numpy()
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    def mask_to_network(self, mask: Tensor) -> Tensor:
        """Resize and pad an index mask (H, W) to (h', w'), by nearest neighbour."""
        if not self.resizes:
            return self.pad(mask)
        small = F.interpolate(mask[None, None].float(), size=self.working, mode=self.mask_mode)[0, 0]
        small = small.to(mask.dtype)
        vanished = (
            set(torch.unique(mask).tolist()) - set(torch.unique(small).tolist()) if self.keep_small else ()
        )
        for i in vanished:
            row, column = (mask == i).nonzero().float().mean(0).tolist()
            scale = self.working[0] / self.image[0], self.working[1] / self.image[1]
            small[int(row * scale[0]), int(column * scale[1])] = i
        return self.pad(small)

    def pad(self, x: Tensor) -> Tensor:
        """Pad with zeros from the working size (..., h, w) to (..., h', w')."""
        return F.pad(x, padding(*self.working, self.stride))

    def clear_padding(self, x: Tensor) -> None:
        """Set everything in (..., h', w') to 0 that :meth:`pad` would add, in place."""
        left, right, top, bottom = padding(*self.working, self.stride)
        height, width = self.padded
        x[..., :top, :] = x[..., height - bottom :, :] = 0
        x[..., :left] = x[..., width - right :] = 0

    def to_image(self, probabilities: Tensor) -> Tensor:
        """Resize probabilities (C, h', w') from the padded size to the image, (C, H, W), bilinear."""
        cut = unpad(probabilities, self.working)
        if not self.resizes:
            return cut
        return F.interpolate(cut[None], size=self.image, mode="bilinear")[0]


def other_masks(masks: Tensor, total: Tensor | None = None) -> Tensor:
    """Sum of the other objects' masks (..., K, H, W) for each object; ``total`` is the sum of all."""
    return (masks.sum(-3, keepdim=True) if total is None else total) - masks


def aggregate(probabilities: Tensor, channels: int = 0) -> Tensor:
    """Soft aggregation of object probabilities (K, H, W) to (K+1, H, W) (STM paper, section 3.4).

    The odds of ``prod(1 - p_i)`` and of each ``p_i``, divided by their sum; object channels of the network
    beyond K count as empty objects.
    """
    merged = _with_background(probabilities)
    odds = merged.div_(1 - merged)
    total = odds.sum(0)
    empty = channels - probabilities.shape[0]
    if empty > 0:
        total += empty * EMPTY_ODDS
    return odds.div_(total)


def aggregate_logits(probabilities: Tensor) -> Tensor:
    """Log-odds (..., K+1, H, W), background first, of probabilities (..., K, H, W); see :func:`aggregate`."""
    merged = _with_background(probabilities)
    return torch.log(merged / (1 - merged))


def _with_background(probabilities: Tensor) -> Tensor:
    """Prepend the background probability to object probabilities (..., K, H, W), inside (0, 1)."""
    background = 1 - probabilities
    if background.shape[-3] != 1:
        background = background.prod(-3, keepdim=True)
    return torch.cat([background, probabilities], dim=-3).clamp_(EPSILON, 1 - EPSILON)
