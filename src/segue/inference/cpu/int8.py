"""Convolutions of 8-bit integers for inference on CPUs with such instructions.

Weights have a scale for each output channel, and 7 bits on CPUs without VNNI. A map is quantized as it comes,
by its own extremes, so that no images are needed beforehand; within an inverted residual block maps stay in
8 bits, by the bounds of ReLU6.
Rounding follows Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference" (CVPR 2018), section 2.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, Protocol, cast, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.errors import SegueError
from segue.inference.cpu.features import int8_weight_limit
from segue.inference.cpu.fused import FusedConv2d
from segue.inference.cpu.onednn import RELU
from segue.layers.colours import LEVELS
from segue.layers.mobilenet import InvertedResidual

ONEDNN8: Any = torch.ops.onednn
"""Its operators for 8-bit integers, which torch.compile uses too."""

RELU6_SCALE = 6.0 / LEVELS
"""Step of maps that stay in 8 bits: they follow a ReLU6."""

Quantized = tuple[Tensor, float, int]
"""Values as uint8, scale, and zero point."""


class Int8Conv2d(nn.Module):
    """A :class:`FusedConv2d` of 8-bit integers with 32-bit sums.

    Attributes:
        keeps_int8: whether the output is uint8 in steps of :data:`RELU6_SCALE`; for layers with a ReLU6.
    """

    bias: Tensor | None

    def __init__(self, conv: FusedConv2d, weight: Tensor | None = None) -> None:
        super().__init__()
        weight = conv.dense_weight().float() if weight is None else weight
        scale = weight.abs().amax((1, 2, 3)).clamp(min=torch.finfo(torch.float32).tiny) / int8_weight_limit()
        self._weight = balanced(weight / scale[:, None, None, None]).to(torch.int8)
        self._scale, self._zero = scale, torch.zeros(len(scale), dtype=torch.int8)
        self.register_buffer("bias", conv.bias)
        padding, stride, dilation, groups = conv.layout
        self._is_local = not any(padding)  # each output is made of pixels inside the map alone
        self._layout = stride, padding, dilation, groups
        self._activation = conv.activation
        # Weights and their sums by the first input channel and their number.
        self._packed: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        self.keeps_int8 = False

    def dense_weight(self) -> Tensor:
        """Rounded weights, (cout, channels of a group, height, width)."""
        return self._weight * self._scale[:, None, None, None]

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
        """See :meth:`FusedConv2d.forward`; ``x`` may be uint8 in steps of :data:`RELU6_SCALE`."""
        x = F.relu(x) if rectify_input else x
        values, step, zero = (x, RELU6_SCALE, 0) if x.dtype == torch.uint8 else quantize(x)
        (packed, sums), shift = self._pack(values, first), self.bias if bias else None
        if zero and self._is_local:  # a constant of each output, else oneDNN sums its weights at each call
            shift = sums * (-step * zero) if shift is None else shift.sub(sums, alpha=step * zero)
            zero = 0
        arguments = values, step, zero, packed, self._scale, self._zero
        floats = (1.0, 0, torch.float32)
        if skip is None:
            out = (RELU6_SCALE, 0, torch.uint8) if self.keeps_int8 else floats
            activation = RELU if rectify else self._activation
            return cast(
                Tensor, ONEDNN8.qconv2d_pointwise(*arguments, shift, *self._layout, *out, *activation)
            )
        total = skip if overwrite else skip.clone(memory_format=torch.channels_last)
        added: tuple[Any, ...] = (1.0, 0, "sum", 1.0, "relu" if rectify else "none", [], "")
        return cast(
            Tensor, ONEDNN8.qconv2d_pointwise.binary(*arguments, total, shift, *self._layout, *floats, *added)
        )

    def _pack(self, x: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """Weights of channels from ``first`` on, packed for oneDNN, and their sum per output."""
        kind = first, x.shape[1]
        if kind not in self._packed:
            weight, groups = self._weight, self._layout[-1]
            if groups == 1:
                weight = weight[:, first : first + x.shape[1]]
            weight = weight.contiguous()
            packed = ONEDNN8.qconv_prepack(weight, self._scale, 1.0, 0, *self._layout, list(x.shape))
            self._packed[kind] = packed, weight.sum((1, 2, 3)) * self._scale
        return self._packed[kind]


def balanced(weight: Tensor) -> Tensor:
    """Round weights (cout, channels, height, width) to whole numbers with small sums of errors.

    Of each kernel and then of each output, those are rounded the other way that are nearest to it until the
    errors sum to half a step at most, as inputs of one sign add them up (Guo et al., "SQuant", ICLR 2022).
    """
    rounded = weight.round()
    for parts in (2, 1):  # (cout, channels) kernels, then outputs
        errors = (rounded - weight).flatten(parts)
        excess = errors.sum(-1, keepdim=True).round()
        nearest = (errors * excess.sign()).argsort(-1, descending=True).argsort(-1)
        rounded = rounded - ((nearest < excess.abs()) * excess.sign()).view_as(weight)
    return rounded


class FineInt8Conv2d(nn.Module):
    """A :class:`FusedConv2d` of integers, (B, C, H, W), uint8, with 16-bit weights in two parts.

    Differences of large numbers, which a weight of 8 bits would blur, stay exact to 0.00006 of the largest
    weight, without VNNI to 0.00025.
    """

    def __init__(self, conv: FusedConv2d) -> None:
        super().__init__()
        weight = conv.dense_weight().float() / RELU6_SCALE
        self.coarse = Int8Conv2d(conv, weight)
        self.fine = Int8Conv2d(conv, weight - self.coarse.dense_weight())

    def forward(self, x: Tensor, skip: Tensor, *, rectify: bool = False, overwrite: bool = False) -> Tensor:
        """See :meth:`FusedConv2d.forward`; ``overwrite`` destroys ``skip``."""
        total = self.coarse(x, skip, overwrite=overwrite)
        return cast(Tensor, self.fine(x, total, bias=False, rectify=rectify, overwrite=True))


class Int8Rows:
    """Rows (N, C), float32, quantised to 8 bits with a scale each, for matrix products on CPUs with VNNI.

    Attributes:
        rounded: rounded rows, (N, C).
    """

    def __init__(self, rows: Tensor) -> None:
        self._scale = rows.abs().amax(1).clamp_(min=torch.finfo(torch.float32).tiny).div_(127)
        weight = (rows / self._scale[:, None]).round_().to(torch.int8)
        self.rounded = weight * self._scale[:, None]
        self._sums, self._zero = self.rounded.sum(1), torch.zeros(len(rows), dtype=torch.int32)
        self._packed = ONEDNN8.qlinear_prepack(weight, None)

    def times(self, x: Quantized, bias: Tensor) -> Tensor:
        """Products (P, N), float32, with rows (P, C), plus a bias (N,)."""
        values, step, zero = x
        shift = bias.sub(self._sums, alpha=step * zero)
        arguments = values, step, 0, self._packed, self._scale, self._zero, shift
        return cast(Tensor, ONEDNN8.qlinear_pointwise(*arguments, 1.0, 0, torch.float32, "none", [], ""))


def quantize_rows(x: Tensor) -> Quantized:
    """Quantise rows (P, C), float32, see :func:`quantize`."""
    values, step, zero = quantize(x.T[None, ..., None])
    return values[0, ..., 0].T, step, zero


def quantize(x: Tensor) -> Quantized:
    """Quantise a map (B, C, H, W), float32, to uint8; returns values, step and zero point."""
    low, high = (float(extreme) for extreme in x.permute(0, 2, 3, 1).reshape(-1).aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise SegueError(
            "a map of the network holds NaN or infinity, which 8-bit integers do not have; leave out fast"
        )
    low, high = min(low, 0.0), max(high, 0.0)
    step = (high - low) / LEVELS or 1.0
    zero = round(-low / step)
    # Five times as fast as to round and convert by operators of plain tensors.
    quantized = torch.quantize_per_tensor(x, step, zero, torch.quint8)
    # The same memory as plain numbers; int_repr() would copy it.
    plain = torch.empty(0, dtype=torch.uint8)
    plain.set_(quantized.untyped_storage(), quantized.storage_offset(), quantized.shape, quantized.stride())
    return plain, step, zero


@runtime_checkable
class _HasFineLayers(Protocol):
    """A module with layers that :class:`FineInt8Conv2d` replaces."""

    fine_int8: Sequence[str]
    in_int8: bool


def use_int8(network: nn.Module, parts: Sequence[str]) -> None:
    """Replace fused convolutions in parts of a network, such as ``decoder.up``, in place."""
    with warnings.catch_warnings():  # PyTorch says once that its type of quantized tensors will go
        warnings.simplefilter("ignore")
        quantize(torch.zeros(1, 1, 1, 1))
    for name, layer in list(network.named_modules()):
        inside = any(f"{name}.".startswith(f"{part}.") for part in parts)
        if inside and isinstance(layer, FusedConv2d):
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, Int8Conv2d(layer))
    for block in list(network.modules()):
        if isinstance(block, _HasFineLayers):
            for child in block.fine_int8:
                setattr(block, child, FineInt8Conv2d(getattr(block, child)))
            block.in_int8 = True
        elif isinstance(block, InvertedResidual):
            for layer in (block.expand, block.depthwise):
                if isinstance(layer, Int8Conv2d):
                    layer.keeps_int8 = True
