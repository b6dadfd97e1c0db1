"""Batch norms as part of the convolutions before them, for inference."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from segue.layers.activated import BatchNormReLU

Module = TypeVar("Module", bound=nn.Module)


def fold_batch_norms(module: Module) -> Module:
    """A copy of ``module`` for inference in which convolutions carry the batch norms that follow them."""
    clone = copy.deepcopy(module).eval().requires_grad_(False)
    for parent in clone.modules():
        for convolutions, name in convolutions_before(parent, nn.BatchNorm2d):
            norm = parent.get_submodule(name)
            assert isinstance(norm, nn.BatchNorm2d)
            scale, shift = _scale_and_shift(norm)
            for i, conv in enumerate(convolutions):
                _scale(parent.get_submodule(conv), scale, shift if i == 0 else None)
            setattr(parent, name, nn.ReLU(inplace=True) if isinstance(norm, BatchNormReLU) else nn.Identity())
    return clone


def convolutions_before(module: nn.Module, kind: type[nn.Module]) -> Iterator[tuple[list[str], str]]:
    """Names of the children of ``module`` that are convolutions before a norm, with the name of the norm."""
    children = dict(module.named_children())
    if isinstance(module, nn.Sequential):
        for conv, after in itertools.pairwise(children):
            if isinstance(children[conv], nn.Conv2d) and isinstance(children[after], kind):
                yield [conv], after
        return
    norms: Mapping[str, str] = getattr(module, "norms", {})
    for name, child in children.items():
        conv = norms.get(name, "conv" + name.removeprefix("bn"))
        if isinstance(child, kind) and isinstance(children.get(conv), nn.Conv2d):
            yield [conv, *(other for other in children if other.startswith(conv + "_"))], name


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The norm as ``x · scale + shift``, in float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return scale, norm.bias.double() - norm.running_mean.double() * scale


def _scale(conv: nn.Module, scale: Tensor, shift: Tensor | None) -> None:
    """Scale the outputs of a convolution and shift them, in place."""
    assert isinstance(conv, nn.Conv2d)
    weight = conv.weight.double() * scale[:, None, None, None]
    if conv.bias is not None:
        shift = conv.bias.double() * scale + (0 if shift is None else shift)
    if shift is not None:
        conv.bias = nn.Parameter(shift.to(conv.weight), requires_grad=False)
    conv.weight.data = weight.to(conv.weight)
