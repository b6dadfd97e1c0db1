"""Fused linear layers and activations for inference on a CPU."""

from __future__ import annotations

from torch import Tensor, nn

from segue.inference.cpu.onednn import NOTHING, ONEDNN, Arranged, PostOp
from segue.layers.linear import ActivatedLinear, LinearActivation

_POST_OPS: dict[LinearActivation, PostOp] = {
    "none": NOTHING,
    "relu": ("relu", [], ""),
    "gelu": ("gelu", [], "none"),
}
"""Names of the activations in oneDNN; GELU is the exact one."""

ROWS = 1024
"""Number of rows for which weights are arranged: arranging them for a single row changes its bits. For all
numbers above 1 the arrangement is the same."""


class FusedLinear(nn.Module):
    """An :class:`ActivatedLinear` by oneDNN with rearranged weights; equal up to rounding."""

    def __init__(self, linear: ActivatedLinear) -> None:
        super().__init__()
        self._weight: Tensor | Arranged = linear.weight.detach()
        self._bias = linear.bias.detach()
        self._post_op = _POST_OPS[linear.activation]

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., cin) to (..., cout)."""
        if not isinstance(self._weight, Arranged):
            self._weight = Arranged(ONEDNN._reorder_linear_weight(self._weight, ROWS))
        return ONEDNN._linear_pointwise(x, self._weight.weight, self._bias, *self._post_op)


def use_fused_linear(module: nn.Module) -> None:
    """Replace all :class:`ActivatedLinear` inside ``module`` by :class:`FusedLinear`, in place."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, ActivatedLinear):
                setattr(parent, name, FusedLinear(child))
