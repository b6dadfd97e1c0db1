"""Fold batch norms into the convolutions before them, for inference.

In evaluation mode a batch norm scales and shifts each channel by constants, which the convolution can do by
itself: ``w' = w · γ/√(σ² + ε)``, ``b' = β + (b − μ) · γ/√(σ² + ε)``.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def fold_batch_norms(module: Module) -> Module:
    """A copy of ``module`` for inference in which convolutions carry the batch norms that follow them.

    Folded are pairs in a sequence, and ``conv<name>`` with ``bn<name>`` in one block; further convolutions
    ``conv<name>_*`` that are added before the norm (STM's memory stem) are scaled alike. Everything else, and
    all storage that does not change, is shared with ``module``, which is left as it is.

    Returns:
        The copy, in evaluation mode; its outputs agree with those of ``module.eval()`` up to rounding.
    """
    clone = _shallow(module)
    clone.training = False
    for name, child in module.named_children():
        setattr(clone, name, fold_batch_norms(child))
    for convolutions, norm_name in _pairs(module):
        norm = module.get_submodule(norm_name)
        assert isinstance(norm, nn.BatchNorm2d)
        scale, shift = _scale_and_shift(norm)
        first, *others = convolutions
        setattr(clone, first, _scaled(module.get_submodule(first), scale, shift))
        for name in others:
            setattr(clone, name, _scaled(module.get_submodule(name), scale, None))
        setattr(clone, norm_name, nn.Identity())
    return clone


def _pairs(module: nn.Module) -> Iterator[tuple[list[str], str]]:
    """Names of the convolutions that feed a norm, and of the norm, among the children of ``module``."""
    children = dict(module.named_children())
    if isinstance(module, nn.Sequential):
        names = list(children)
        for conv, norm in itertools.pairwise(names):
            if isinstance(children[conv], nn.Conv2d) and isinstance(children[norm], nn.BatchNorm2d):
                yield [conv], norm
        return
    for name, child in children.items():
        conv = "conv" + name.removeprefix("bn")
        if isinstance(child, nn.BatchNorm2d) and isinstance(children.get(conv), nn.Conv2d):
            yield [conv, *(other for other in children if other.startswith(conv + "_"))], name


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The norm as ``x · scale + shift``, in float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return scale, norm.bias.detach().double() - norm.running_mean.double() * scale


def _scaled(conv: nn.Module, scale: Tensor, shift: Tensor | None) -> nn.Module:
    """``conv`` with outputs scaled, and shifted if ``shift`` is given."""
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
    """A copy on the same storage, whose parameters, buffers and children can be replaced.

    Parameters are new objects: moving or casting a module swaps the data inside of them, and that must not
    reach the original.
    """
    clone = copy.copy(module)
    for table in ("_parameters", "_buffers", "_modules"):
        clone.__dict__[table] = dict(module.__dict__[table])
    for name, parameter in module.named_parameters(recurse=False):
        clone.__dict__["_parameters"][name] = _constant(parameter.detach())
    return clone
