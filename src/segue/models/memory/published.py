"""Shared parts of the published memory networks, with their evaluation sizes on YouTube-VOS."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.colours import normalise
from segue.models.base import Shape
from segue.models.geometry import ResizePadGeometry, aggregate, other_masks, padding
from segue.models.memory.tracker import MemoryTracker


class BicubicTracker(MemoryTracker):
    """A :class:`MemoryTracker` that reduces images as the release of STCN does: bicubic, no antialiasing.

    The long side is cut to an integer, and given masks are reduced by the nearest pixel. Images with a
    short side below ``short_side`` stay as they are.
    """

    def geometry(self, size: Shape) -> ResizePadGeometry:
        short, stride = self.schedule.short_side, self.network.stride
        return ResizePadGeometry.of(size, short, stride, truncate=True, mask_mode="nearest", resize="bicubic")


class PublishedNetwork(nn.Module):
    """Base of STCN, STM, XMem and Cutie: sizes, ImageNet normalisation, mask planes."""

    stride = 16
    read_stride = 16
    key_channels = 64
    aggregate_prompts = True
    masks_in_padding = True
    aggregate: ClassVar[Any] = staticmethod(aggregate)
    single_object = False
    pads_black = False
    """Whether images are padded with black before normalisation; else with zeros after it."""

    def prepare(self, image: Tensor) -> Tensor:
        """Normalise an image (H, W, 3) and pad it to (1, 3, H', W'), in multiples of ``stride``."""
        sides = padding(image.shape[0], image.shape[1], self.stride)
        if not self.pads_black:
            return F.pad(normalise(image), sides)
        return normalise(F.pad(image.permute(2, 0, 1), sides).permute(1, 2, 0))

    def mask_planes(self, masks: Tensor, total: Tensor | None = None, maximum: float | None = None) -> Tensor:
        """Stack masks ([B,] K, H, W) and the clipped sum of the others: ([B,] K, 1 or 2, H, W)."""
        if self.single_object:
            return masks[..., None, :, :]
        other_planes = other_masks(masks, total)
        return torch.stack(
            [masks, other_planes if maximum is None else other_planes.clamp(0, maximum)], dim=-3
        )
