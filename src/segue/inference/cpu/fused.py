"""Fused convolution and activation for inference."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.inference.cpu import winograd
from segue.inference.cpu.forms import DIRECT, Forms
from segue.inference.cpu.onednn import NOTHING, ONEDNN, RELU, Arranged, PostOp
from segue.inference.folding import preceding_convolutions
from segue.layers.activated import ACTIVATIONS, ActivatedConv2d, Activation

SMALL = 1 << 18  # weights of a kernel that oneDNN takes in their own order with little loss
SIZES = 2  # of maps, the first ones, for which small kernels are arranged


class FusedConv2d(nn.Module):
    """A zero-padded convolution with its activation, equal up to rounding.

    ``forms`` say for which maps it takes Winograd's algorithm.
    """

    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d, activation: Activation, forms: Forms = DIRECT) -> None:
        super().__init__()
        self.forms = forms
        weight, padding = conv.centred() if isinstance(conv, ActivatedConv2d) else (conv.weight, conv.padding)
        self._weight: Tensor | Arranged = weight.detach()
        self._outputs, self._inputs = weight.shape[:2]  # of one group
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach())
        self.layout = list(padding), list(conv.stride), list(conv.dilation), conv.groups
        self.activation: PostOp = *ACTIVATIONS[activation][1:], ""
        plain = weight.shape[2:] == (3, 3) and self.layout == ([1, 1], [1, 1], [1, 1], 1)
        self._can_transform = plain and self.activation in (NOTHING, RELU)  # for winograd.convolve
        self._is_small = weight.numel() <= SMALL
        # By their first input channel, their number, and how: for winograd.convolve, for oneDNN (perhaps at
        # one size), or not at all.
        self._arranged: dict[tuple[int, int, str | tuple[int, int]], Arranged] = {}
        self._sizes: list[tuple[int, int]] = []  # of the maps that came first

    def dense_weight(self) -> Tensor:
        """Weights, (cout, channels of a group, height, width)."""
        dense = self._weight.dense() if isinstance(self._weight, Arranged) else self._weight
        return dense.contiguous(memory_format=torch.channels_last)

    def forward(
        self,
        x: Tensor,
        skip: Tensor | None = None,
        *,
        first: int = 0,
        bias: bool = True,
        rectify_input: bool = False,
        rectify: bool = False,
        overwrite: bool = False,
    ) -> Tensor:
        """``conv(x) + skip``, optionally with ReLU before and after, and in place of ``skip``.

        ``x``: (B, C, H, W), the input channels from ``first`` on; ``skip``: (B, cout, h, w), for layers
        without an activation; returns (B, cout, h, w), channels last in memory if ``x`` is.
        """
        activation = RELU if rectify else self.activation
        # Small maps of several objects gain together on one thread; among several threads they are too small.
        maps = len(x) if self.forms.threads == 1 else 1
        transformed = (
            self._can_transform
            and x.dtype == torch.float32
            and self.forms.takes_winograd(min(x.shape[1], self._outputs), maps * x.shape[2] * x.shape[3])
        )
        weight, shift = self._arrange(x, first, transformed), self.bias if bias else None
        if transformed:
            given_form: Any = {
                "rectify_input": rectify_input,
                "rectify": activation == RELU,
                "overwrite": overwrite,
                "threads": self.forms.threads,
            }
            return winograd.convolve(x, weight, shift, skip, **given_form)
        if rectify_input:
            x = F.relu(x)
        arguments = weight, shift, *self.layout
        if skip is None:
            return cast(Tensor, ONEDNN._convolution_pointwise(x, *arguments, *activation))
        added: tuple[Any, ...] = "add", 1.0, "relu" if rectify else None, [], ""
        if overwrite:
            return cast(Tensor, ONEDNN._convolution_pointwise_.binary(skip, x, *arguments, *added))
        return cast(Tensor, ONEDNN._convolution_pointwise.binary(x, skip, *arguments, *added))

    def _arrange(self, x: Tensor, first: int, transformed: bool) -> Tensor:
        """Weights of channels from ``first`` on, rearranged for oneDNN or Winograd.

        oneDNN arranges kernels by the exact size; arranged for another one, small ones can take 15 times as
        long. They are arranged for the first sizes and stay plain for others, which gives the same bits.
        """
        how: str | tuple[int, int] = "transformed" if transformed else "arranged"
        if self._is_small and not transformed:
            how = x.shape[2], x.shape[3]
            if how not in self._sizes:
                if len(self._sizes) < SIZES:
                    self._sizes.append(how)
                else:
                    how = "plain"
        kind = first, x.shape[1], how
        if kind not in self._arranged:
            weight = self.dense_weight()
            has_all_inputs = self.layout[-1] > 1 or x.shape[1] == self._inputs
            part = weight if has_all_inputs else weight[:, first : first + x.shape[1]]
            if transformed:
                part = winograd.arrange(part)
            elif how == "plain":
                part = part.contiguous(memory_format=torch.channels_last)
            else:
                part = part.contiguous(memory_format=torch.channels_last)
                part = ONEDNN._reorder_convolution_weight(part, *self.layout, list(x.shape))
            self._arranged[kind] = Arranged(part, winograd.dense if transformed else Tensor.to_dense)
            # Parts of the channels need the whole for one another.
            self._weight = self._arranged[kind] if has_all_inputs else weight
        return self._arranged[kind].weight


def use_fused(module: nn.Module, forms: Forms = DIRECT) -> None:
    """Replace zero-padded convolutions and their activations inside ``module``, in place."""
    for parent in list(module.modules()):
        for (conv, *more), relu in list(preceding_convolutions(parent, nn.ReLU)):
            child = getattr(parent, conv)
            if not more and _pads_with_zeros(child):
                setattr(parent, conv, FusedConv2d(child, "relu", forms))
                setattr(parent, relu, nn.Identity())
        for name, child in list(parent.named_children()):
            if isinstance(child, ActivatedConv2d):
                setattr(parent, name, FusedConv2d(child, child.activation, forms))
            elif type(child) is nn.Conv2d and _pads_with_zeros(child):
                setattr(parent, name, FusedConv2d(child, "none", forms))


def _pads_with_zeros(conv: nn.Conv2d) -> bool:
    return conv.padding_mode == "zeros" and isinstance(conv.padding, tuple)
