"""Convolution, bias and activation in one pass over memory, for inference on a processor.

What PyTorch does one after the other, oneDNN does at once, with weights that are arranged for it beforehand;
it is the operator that ``torch.compile`` gives such pairs to. PyTorch itself leaves small convolutions to a
slower path where it runs on one thread; this one does not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from segue.layers.activated import ActivatedConv2d, Activation
from segue.layers.fold import convolutions_before

_ATTRIBUTES: dict[Activation, tuple[str, list[float]]] = {
    "none": ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
}
"""What oneDNN calls the activations, and their parameters."""


class FusedConv2d(nn.Module):
    """A convolution and the activation after it, for inference; equal up to rounding.

    Args:
        conv: zero-padded, in float32 or bfloat16 on a processor; it is not changed.
        activation: what follows.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d, activation: Activation) -> None:
        super().__init__()
        weight, padding = conv.centred() if isinstance(conv, ActivatedConv2d) else (conv.weight, conv.padding)
        self.register_buffer("weight", weight.detach())
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach())
        self._layout = list(padding), list(conv.stride), list(conv.dilation), conv.groups
        self._activation = *_ATTRIBUTES[activation], ""
        self._size: torch.Size | None = None
        self._arranged = self.weight

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) → (B, cout, h, w), channels last in memory if ``x`` is."""
        if x.shape != self._size:
            # The best arrangement depends on the size; another one would be rearranged at each call.
            self._size = x.shape
            arrange = _operators()._reorder_convolution_weight
            self._arranged = arrange(self.weight, *self._layout, list(x.shape))
        convolve = _operators()._convolution_pointwise
        y: Tensor = convolve(x, self._arranged, self.bias, *self._layout, *self._activation)
        return y


def use_fused(module: nn.Module) -> None:
    """Replace the convolutions inside ``module`` that a ReLU follows or that know what follows, in place."""
    for parent in list(module.modules()):
        for (conv, *others), relu in list(convolutions_before(parent, nn.ReLU)):
            child = getattr(parent, conv)
            if not others and child.padding_mode == "zeros" and isinstance(child.padding, tuple):
                setattr(parent, conv, FusedConv2d(child, "relu"))
                setattr(parent, relu, nn.Identity())
        for name, child in list(parent.named_children()):
            if isinstance(child, ActivatedConv2d):
                setattr(parent, name, FusedConv2d(child, child.activation))


def can_fuse() -> bool:
    """Whether PyTorch has oneDNN here, and that has fused convolutions of its own for this processor."""
    known = torch.backends.mkldnn.is_available() and hasattr(_operators(), "_convolution_pointwise")
    return known and torch.backends.cpu.get_cpu_capability().startswith("AVX")


def _operators() -> Any:
    return torch.ops.mkldnn
