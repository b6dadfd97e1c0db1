"""Convolution and activation in one pass over memory, for inference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.activated import ACTIVATIONS, ActivatedConv2d, Activation
from segue.layers.folding import convolutions_before
from segue.layers.onednn import ONEDNN, RELU, After, Arranged

SMALL_BYTES = 1 << 20
"""Weights up to this size are kept arranged for each class of input sizes, others for the last one."""


class InferenceConv2d(nn.Module):
    """A convolution and its activation for inference."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) → (B, cout, h, w), channels last in memory if ``x`` is and oneDNN computes it."""
        return self.run(x)

    def run(
        self,
        x: Tensor,
        skip: Tensor | None = None,
        *,
        first: int = 0,
        bias: bool = True,
        rectify: bool = False,
        rectify_input: bool = False,
        overwrite: bool = False,
    ) -> Tensor:
        """``conv(x) + skip``, with ReLUs of input and output where asked for, and perhaps over ``skip``.

        ``x``: (B, C, H, W), the input channels from ``first`` on; ``skip``: (B, cout, h, w), for layers
        without an activation; returns (B, cout, h, w).
        """
        raise NotImplementedError

    def dense_weight(self) -> Tensor:
        """The weights, (cout, channels of a group, height, width)."""
        raise NotImplementedError


class FusedConv2d(InferenceConv2d):
    """A zero-padded convolution and the activation after it, for inference; equal up to rounding."""

    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d, activation: Activation) -> None:
        super().__init__()
        weight, padding = conv.centred() if isinstance(conv, ActivatedConv2d) else (conv.weight, conv.padding)
        dense = weight.detach()
        self._dense: Callable[[], Tensor] = lambda: dense
        self._inputs = weight.shape[1]  # channels of one group
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach())
        self._layout = list(padding), list(conv.stride), list(conv.dilation), conv.groups
        self._activation: After = *ACTIVATIONS[activation][1:], ""
        # By their first input channel, their number, and the class of the input's size.
        self._arranged: dict[tuple[int, int, int], Arranged] = {}

    def dense_weight(self) -> Tensor:
        return self._dense().contiguous(memory_format=torch.channels_last)

    def run(
        self,
        x: Tensor,
        skip: Tensor | None = None,
        *,
        first: int = 0,
        bias: bool = True,
        rectify: bool = False,
        rectify_input: bool = False,
        overwrite: bool = False,
    ) -> Tensor:
        convolve, x = ONEDNN._convolution_pointwise, F.relu(x) if rectify_input else x
        given = self._arrange(x, first), self.bias if bias else None, *self._layout
        if skip is None:
            return cast(Tensor, convolve(x, *given, *(RELU if rectify else self._activation)))
        if self._activation[0] != "none":
            raise ValueError(f"the convolution is followed by {self._activation[0]}")
        after: tuple[Any, ...] = "add", 1.0, "relu" if rectify else None, [], ""
        if overwrite:
            return cast(Tensor, ONEDNN._convolution_pointwise_.binary(skip, x, *given, *after))
        return cast(Tensor, convolve.binary(x, skip, *given, *after))

    def _arrange(self, x: Tensor, first: int) -> Tensor:
        """The weights of channels from ``first`` on as oneDNN wants them for ``x``."""
        # The best arrangement depends on the size of the maps, in powers of two, and not on their number.
        kind = first, x.shape[1], (x.shape[2] * x.shape[3]).bit_length()
        if (known := self._arranged.get(kind)) is not None:
            return known.weight
        weight = self.dense_weight()
        whole = self._layout[-1] > 1 or x.shape[1] == self._inputs
        part = weight if whole else weight[:, first : first + x.shape[1]]
        part = part.contiguous(memory_format=torch.channels_last)
        best = Arranged(ONEDNN._reorder_convolution_weight(part, *self._layout, list(x.shape)), x.shape)
        if part.nbytes > SMALL_BYTES:
            self._arranged = {other: it for other, it in self._arranged.items() if other[0] != first}
        self._arranged[kind] = best
        # Parts of the channels need the whole for one another.
        self._dense = best.dense if whole else lambda: weight
        return best.weight


def join(y: Tensor, skip: Tensor | None, *, rectify: bool) -> Tensor:
    """``y`` itself, plus ``skip`` where there is one, with a ReLU where asked for.

    ``y``: (B, C, H, W), which is changed.
    """
    y = y if skip is None else y.add_(skip)
    return y.relu_() if rectify else y


def replace_convolutions(module: nn.Module, make: Callable[[nn.Conv2d, Activation], nn.Module]) -> None:
    """Replace the convolutions inside ``module``, with what follows them where that is known, in place."""
    for parent in list(module.modules()):
        for (conv, *others), relu in list(convolutions_before(parent, nn.ReLU)):
            child = getattr(parent, conv)
            if not others and _pads_with_zeros(child):
                setattr(parent, conv, make(child, "relu"))
                setattr(parent, relu, nn.Identity())
        for name, child in list(parent.named_children()):
            if isinstance(child, ActivatedConv2d):
                setattr(parent, name, make(child, child.activation))
            elif type(child) is nn.Conv2d and _pads_with_zeros(child):
                setattr(parent, name, make(child, "none"))


def _pads_with_zeros(conv: nn.Conv2d) -> bool:
    return conv.padding_mode == "zeros" and isinstance(conv.padding, tuple)
