"""Log-odds of objects as probabilities, now or when they are asked for, and how sure they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.models.base import Shape
from segue.models.geometry import ResizePadGeometry

ToProbabilities = Callable[[Tensor, Shape], Tensor]
"""Log-odds (K, h, w) and a size (H', W') to probabilities (K+1, H', W'), background first."""


def upsample_then_aggregate(logits: Tensor, size: Shape, *, aggregate: Callable[[Tensor], Tensor]) -> Tensor:
    """Sigmoids of enlarged log-odds, merged at full size, as STM, STCN and XMem do.

    Args:
        logits: log-odds of each object by itself, (K, h, w).
        size: height and width of the result.
        aggregate: merges probabilities (K, H, W) to those of classes (K+1, H, W).

    Returns:
        Probabilities (K+1, H, W), background first.
    """
    full = F.interpolate(logits[None], size=size, mode="bilinear")[0]
    return aggregate(full.sigmoid_())


@dataclass(frozen=True, slots=True)
class Compact:
    """Probabilities, worked out again when they are asked for; it can be pickled, and holds no GPU."""

    logits: Tensor
    geometry: ResizePadGeometry
    to_probabilities: ToProbabilities

    def probabilities(self) -> Tensor:
        """Those at the padded size, (K+1, h', w'), float32, of log-odds (K, h, w)."""
        return self.to_probabilities(self.logits, self.geometry.padded)

    @torch.inference_mode()
    def __call__(self) -> npt.NDArray[np.float32]:
        return to_array(self.geometry.to_image(self.probabilities()))


def uncertainty(probabilities: Tensor) -> float:
    """How uncertain the masks of a frame are: one less than the odds are even, none where all is sure.

    It is twice the mean of ``1 - p`` over the pixels that are taken for an object, where ``p`` is the
    probability of that object; 1 where no pixel is, for objects that are hidden look like objects that were
    lost.

    Args:
        probabilities: (K+1, H, W), background first.

    Returns:
        A number in [0, 1].
    """
    best, owner = probabilities.max(0)
    taken = best[owner > 0]
    return min(1.0, 2 * float((1 - taken).mean())) if len(taken) else 1.0


def to_array(probabilities: Tensor) -> npt.NDArray[np.float32]:
    """Probabilities on a processor as an array of their own."""
    return np.array(probabilities.numpy(), np.float32)
