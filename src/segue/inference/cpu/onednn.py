"""Operators of oneDNN, and weights rearranged for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ONEDNN: Any = torch.ops.mkldnn

PostOp = tuple[str, list[float], str]
"""Operation after a product or convolution: oneDNN's name, its scalars, and its variant."""

NOTHING: PostOp = ("none", [], "")
RELU: PostOp = ("relu", [], "")


@dataclass(frozen=True, slots=True)
class Arranged:
    """A weight rearranged for oneDNN and one input size, or reversibly otherwise."""

    weight: Tensor
    undo: Callable[[Tensor], Tensor] = Tensor.to_dense

    def dense(self) -> Tensor:
        """Weight in its original layout."""
        return self.undo(self.weight)

    def __deepcopy__(self, memo: dict[int, object]) -> Arranged:
        return self
