"""Linear layers and the activation after them in one pass over memory, for inference on a processor."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from segue.inference.cpu.onednn import NOTHING, ONEDNN, After, Arranged

LinearActivation = Literal["none", "relu", "gelu"]

_ACTIVATIONS: dict[LinearActivation, tuple[Callable[[Tensor], Tensor], After]] = {
    "none": (nn.Identity(), NOTHING),
    "relu": (F.relu, ("relu", [], "")),
    "gelu": (F.gelu, ("gelu", [], "none")),
}
"""The activations, and what oneDNN calls them; GELU is the exact one."""


ROWS = 1024
"""Rows for which weights are arranged, whatever comes first: a single row has other bits if they are arranged
for it. For all numbers above 1 they are arranged alike."""


class ActivatedLinear(nn.Linear):
    """A linear layer and the activation after it, which :func:`use_fused_linear` runs at once."""

    def __init__(self, cin: int, cout: int, activation: LinearActivation = "none") -> None:
        super().__init__(cin, cout)
        self.activation: LinearActivation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(..., cin) to (..., cout)."""
        return _ACTIVATIONS[self.activation][0](super().forward(x))


class Perceptron(nn.Sequential):
    """Linear layers with an activation between them, (..., widths[0]) to (..., widths[-1]).

    Names are those of the releases of SeqFormer and SAM 2, ``layers.0``, ``layers.1``, ...
    """

    layers: nn.Sequential

    def __init__(self, widths: Sequence[int], activation: LinearActivation = "relu") -> None:
        super().__init__()
        *inner, last = pairwise(widths)
        hidden = (ActivatedLinear(cin, cout, activation) for cin, cout in inner)
        self.layers = nn.Sequential(*hidden, ActivatedLinear(*last))


def mlp(width: int, hidden: int, names: tuple[str, str], activation: LinearActivation) -> nn.Sequential:
    """Two linear layers with an activation between them, named as in a release: (..., C) to (..., C)."""
    layers = ActivatedLinear(width, hidden, activation), ActivatedLinear(hidden, width)
    return nn.Sequential(OrderedDict(zip(names, layers, strict=True)))


class FusedLinear(nn.Module):
    """An :class:`ActivatedLinear` by oneDNN, with weights that are arranged once; equal up to rounding."""

    def __init__(self, linear: ActivatedLinear) -> None:
        super().__init__()
        self._weight: Tensor | Arranged = linear.weight.detach()
        self._bias = linear.bias.detach()
        self._after = _ACTIVATIONS[linear.activation][1]

    def forward(self, x: Tensor) -> Tensor:
        """(..., cin) to (..., cout)."""
        if not isinstance(self._weight, Arranged):
            self._weight = Arranged(ONEDNN._reorder_linear_weight(self._weight, ROWS))
        return ONEDNN._linear_pointwise(x, self._weight.weight, self._bias, *self._after)


def use_fused_linear(module: nn.Module) -> None:
    """Replace all :class:`ActivatedLinear` inside ``module`` by :class:`FusedLinear`, in place."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, ActivatedLinear):
                setattr(parent, name, FusedLinear(child))
