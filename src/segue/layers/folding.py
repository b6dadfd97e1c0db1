"""Batch norms as part of the convolutions before them, for inference."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from segue.layers.activated import BatchNormReLU

Module = TypeVar("Module", bound=nn.Module)


def fold_batch_norms(module: Module) -> Module:
    """A copy of ``module`` for inference in which convolutions carry the batch norms that follow them."""
    clone = copy.deepcopy(module).eval().requires_grad_(False)
    for parent in clone.modules():
        for convolutions, name in convolutions_before(parent, nn.BatchNorm2d):
            norm = parent.get_submodule(name)
            assert isinstance(norm, nn.BatchNorm2d)
            for conv in convolutions:
                _fold(parent.get_submodule(conv), norm, shifts=conv == convolutions[0])
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


def _fold(conv: nn.Module, norm: nn.BatchNorm2d, *, shifts: bool) -> None:
    """Make a norm part of a convolution, in place and by float64; of several before it, one shifts."""
    assert isinstance(conv, nn.Conv2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    share = 1.0 if shifts else 0.0
    weight, bias = fuse_conv_bn_weights(
        conv.weight.double(),
        None if conv.bias is None else conv.bias.double(),
        norm.running_mean.double() * share,
        norm.running_var.double(),
        norm.eps,
        norm.weight.double(),
        norm.bias.double() * share,
    )
    if shifts or conv.bias is not None:
        conv.bias = nn.Parameter(bias.to(conv.weight), requires_grad=False)
    conv.weight = nn.Parameter(weight.to(conv.weight), requires_grad=False)
