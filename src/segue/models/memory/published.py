"""Tracking with the sizes of the published evaluation of STCN on YouTube-VOS."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from segue.models.base import Shape
from segue.models.geometry import ResizePadGeometry
from segue.models.memory.tracker import MemoryTracker
from segue.types import Image


class BicubicTracker(MemoryTracker):
    """A :class:`MemoryTracker` that reduces images as the release of STCN does: bicubic, no antialiasing.

    The long side is cut to an integer, and given masks are reduced by the nearest pixel. Images with a
    short side below ``short_side`` stay as they are.
    """

    def geometry(self, size: Shape) -> ResizePadGeometry:
        short, stride = self.schedule.short_side, self.network.stride
        return ResizePadGeometry.of(size, short, stride, truncate=True, mask_mode="nearest")

    def resized(self, image: Image, geometry: ResizePadGeometry) -> npt.NDArray[Any]:
        """An image (H, W, 3) at the working size, (h, w, 3), float32; values may lie beyond 0 and 255."""
        if not geometry.resizes:
            return super().resized(image, geometry)
        planes = torch.from_numpy(np.asarray(image, np.float32)).permute(2, 0, 1)[None]
        small = F.interpolate(planes, size=geometry.working, mode="bicubic", antialias=False)
        return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())
