"""Linear layers and the activation after them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

LinearActivation = Literal["none", "relu", "gelu"]

_ACTIVATIONS: dict[LinearActivation, Callable[[Tensor], Tensor]] = {
    "none": nn.Identity(),
    "relu": F.relu,
    "gelu": F.gelu,
}


class ActivatedLinear(nn.Linear):
    """A linear layer and the activation after it, which run as one once prepared for inference."""

    def __init__(self, cin: int, cout: int, activation: LinearActivation = "none") -> None:
        super().__init__(cin, cout)
        self.activation: LinearActivation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(..., cin) to (..., cout)."""
        return _ACTIVATIONS[self.activation](super().forward(x))


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
