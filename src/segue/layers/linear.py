"""Linear layers and the activation after them in one pass over memory, for inference on a processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_ONEDNN: Any = torch.ops.mkldnn

LinearActivation = Literal["none", "relu", "gelu"]

_ACTIVATIONS: dict[LinearActivation, tuple[Callable[[Tensor], Tensor], tuple[str, list[float], str]]] = {
    "none": (nn.Identity(), ("none", [], "")),
    "relu": (F.relu, ("relu", [], "")),
    "gelu": (F.gelu, ("gelu", [], "none")),
}
"""The activations, and what oneDNN calls them; GELU is the exact one."""


class ActivatedLinear(nn.Linear):
    """A linear layer and the activation after it, which :func:`use_fused_linear` runs at once.

    Args:
        cin: input channels.
        cout: output channels.
        activation: what follows it.
    """

    def __init__(self, cin: int, cout: int, activation: LinearActivation = "none") -> None:
        super().__init__(cin, cout)
        self.activation: LinearActivation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(..., cin) to (..., cout)."""
        return _ACTIVATIONS[self.activation][0](super().forward(x))


class FusedLinear(nn.Module):
    """An :class:`ActivatedLinear` by oneDNN, with weights that are arranged once; equal up to rounding.

    PyTorch writes the bias, then adds the product, then goes through the result again for the activation;
    here all of that happens while a piece of the result is in the cache.

    Args:
        linear: float32, on the processor.
    """

    def __init__(self, linear: ActivatedLinear) -> None:
        super().__init__()
        self._weight, self._bias = linear.weight.detach(), linear.bias.detach()
        self._after = _ACTIVATIONS[linear.activation][1]
        self._rows = 0  # for which the weights are arranged

    def forward(self, x: Tensor) -> Tensor:
        """(..., cin) to (..., cout)."""
        if not self._rows:
            self._rows = max(x.numel() // x.shape[-1], 1)
            self._weight = _ONEDNN._reorder_linear_weight(self._weight, self._rows)
        return cast(Tensor, _ONEDNN._linear_pointwise(x, self._weight, self._bias, *self._after))


def use_fused_linear(module: nn.Module) -> None:
    """Replace all :class:`ActivatedLinear` inside ``module`` by :class:`FusedLinear`, in place.

    Args:
        module: float32, on a processor for which :func:`segue.layers.fused.can_fuse` holds.
    """
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, ActivatedLinear):
                setattr(parent, name, FusedLinear(child))
