"""Between the size of the picture and the sizes that a network works at."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.models.aggregation import padding, unpad
from segue.types import Image


@dataclass(frozen=True, slots=True)
class Canvas:
    """Sizes of one session: the picture, the working size, and that padded to the network's stride.

    Attributes:
        picture: height and width of the frames.
        working: height and width that the network sees; the same unless the pictures are too large.
        stride: the padded size is a multiple of it.
    """

    picture: tuple[int, int]
    working: tuple[int, int]
    stride: int

    @classmethod
    def of(cls, picture: tuple[int, int], short_side: int | None, stride: int) -> Canvas:
        """A canvas whose working size has a short side of at most ``short_side``, in proportion."""
        short = min(picture)
        if short_side is None or short <= short_side:
            return cls(picture, picture, stride)
        height, width = (max(1, round(side * short_side / short)) for side in picture)
        return cls(picture, (height, width), stride)

    @property
    def resizes(self) -> bool:
        """Whether the network sees the pictures reduced."""
        return self.picture != self.working

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of what the network computes."""
        left, right, top, bottom = padding(*self.working, self.stride)
        return self.working[0] + top + bottom, self.working[1] + left + right

    def reduce(self, image: Image) -> Image:
        """Picture (H, W, 3) at the working size, by averaging."""
        if not self.resizes:
            return image
        height, width = self.working
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    def reduce_mask(self, mask: Tensor) -> Tensor:
        """Index mask (H, W) at the padded size, by nearest neighbour; 0 in the padding.

        An object too small to be hit by any sample keeps the pixel under its centre.
        """
        if not self.resizes:
            return self.pad(mask)
        small = F.interpolate(mask[None, None].float(), size=self.working, mode="nearest-exact")[0, 0]
        small = small.to(mask.dtype)
        for i in set(torch.unique(mask).tolist()) - set(torch.unique(small).tolist()):
            row, column = (mask == i).nonzero().float().mean(0).tolist()
            scale = self.working[0] / self.picture[0], self.working[1] / self.picture[1]
            small[int(row * scale[0]), int(column * scale[1])] = i
        return self.pad(small)

    def pad(self, x: Tensor) -> Tensor:
        """(..., h, w) at the working size to the padded size, zeros around."""
        return F.pad(x, padding(*self.working, self.stride))

    def unpad(self, x: Tensor) -> Tensor:
        """(..., h', w') at the padded size cut to the working size."""
        return unpad(x, self.working)

    def enlarge(self, probabilities: Tensor) -> Tensor:
        """Probabilities (C, h', w') at the padded size brought to the picture's (C, H, W), bilinear."""
        cut = self.unpad(probabilities)
        if not self.resizes:
            return cut
        return F.interpolate(cut[None], size=self.picture, mode="bilinear")[0]
