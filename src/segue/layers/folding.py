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
    clone = _shallow(module)
    clone.training = False
    for name, child in module.named_children():
        setattr(clone, name, fold_batch_norms(child))
    for convolutions, norm_name in convolutions_before(module, nn.BatchNorm2d):
        norm = module.get_submodule(norm_name)
        assert isinstance(norm, nn.BatchNorm2d)
        scale, shift = _scale_and_shift(norm)
        for i, name in enumerate(convolutions):
            conv = _scaled(module.get_submodule(name), scale, shift if i == 0 else None)
            setattr(clone, name, conv)
        rest = nn.ReLU(inplace=True) if isinstance(norm, BatchNormReLU) else nn.Identity()
        setattr(clone, norm_name, rest)
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
    scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return scale, norm.bias.detach().double() - norm.running_mean.double() * scale


def _scaled(conv: nn.Module, scale: Tensor, shift: Tensor | None) -> nn.Module:
    assert isinstance(conv, nn.Conv2d)
    clone = _shallow(conv)
    weight = conv.weight.detach()
    clone.weight = _constant((weight.double() * scale[:, None, None, None]).to(weight))
    if conv.bias is not None:
        shift = conv.bias.detach().double() * scale + (0 if shift is None else shift)
    if shift is not None:
        clone.bias = _constant(shift.to(weight))
    return clone


def _constant(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value, requires_grad=False)


def _shallow(module: Module) -> Module:
    """A copy on the same storage, whose parameters, buffers and children can be replaced."""
    clone = copy.copy(module)
    for table in ("_parameters", "_buffers", "_modules"):
        clone.__dict__[table] = dict(module.__dict__[table])
    for name, parameter in module.named_parameters(recurse=False):
        clone.__dict__["_parameters"][name] = _constant(parameter.detach())
    return clone
