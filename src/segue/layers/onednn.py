"""oneDNN's operators, and weights that are arranged for them once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

ONEDNN: Any = torch.ops.mkldnn

After = tuple[str, list[float], str]
"""Operation after a product or convolution: oneDNN's name, its scalars, and its variant."""

NOTHING: After = ("none", [], "")
RELU: After = ("relu", [], "")


def can_fuse() -> bool:
    """Whether PyTorch has oneDNN here, and that has fused convolutions of its own for this processor."""
    known = torch.backends.mkldnn.is_available() and hasattr(ONEDNN, "_convolution_pointwise")
    return known and torch.backends.cpu.get_cpu_capability().startswith("AVX")


@dataclass(frozen=True, slots=True)
class Arranged:
    """A weight in the order that oneDNN wants for inputs of one size."""

    weight: Tensor

    def dense(self) -> Tensor:
        """The weight in its own order."""
        return self.weight.to_dense()

    def __deepcopy__(self, memo: dict[int, object]) -> Arranged:
        return self


def arrange_rows(rows: Tensor, count: int) -> Arranged:
    """Arrange a matrix for :func:`product`. ``rows``: (N, C), float32."""
    return Arranged(ONEDNN._reorder_linear_weight(rows, max(count, 1)))


def product(x: Tensor, rows: Arranged, bias: Tensor | None = None, after: After = NOTHING) -> Tensor:
    """``after(x @ rows.T + bias)`` in one pass over memory, without gradients.

    ``x``: (..., C), float32; ``rows``: what :func:`arrange_rows` returned, (N, C); ``bias``: (N,); returns
    (..., N).
    """
    return cast(Tensor, ONEDNN._linear_pointwise(x, rows.weight, bias, *after))
