"""Fold batch norms into the convolutions before them."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.nn.utils.parametrize import is_parametrized

from segue.layers.activated import ActivatedConv2d, BatchNormReLU

Module = TypeVar("Module", bound=nn.Module)


def fold_batch_norms(module: Module, *, inplace: bool = False) -> Module:
    """Copy ``module`` for inference, or change it, with batch norms folded into convolutions."""
    clone = (module if inplace else copy.deepcopy(module)).eval().requires_grad_(False)
    places = Counter(child for parent in clone.modules() for child in parent._modules.values())
    for parent in clone.modules():
        for names, name in list(preceding_convolutions(parent, nn.BatchNorm2d)):
            norm = parent.get_submodule(name)
            convolutions = [parent.get_submodule(each) for each in names]
            assert isinstance(norm, nn.BatchNorm2d)
            if norm.running_mean is None or not all(_is_plain(each, places) for each in convolutions):
                continue
            for conv in convolutions:
                _fold(conv, norm, shifts=conv is convolutions[0])
            setattr(parent, name, nn.ReLU(inplace=True) if isinstance(norm, BatchNormReLU) else nn.Identity())
    return clone


def _is_plain(conv: nn.Module, places: Mapping[nn.Module | None, int]) -> bool:
    """Whether a convolution uses its weights unchanged, at one place of the network."""
    changed = conv._forward_pre_hooks or conv._forward_hooks or is_parametrized(conv)
    is_supported = isinstance(conv, ActivatedConv2d) or type(conv) is nn.Conv2d
    return is_supported and not changed and places[conv] == 1


def preceding_convolutions(module: nn.Module, kind: type[nn.Module]) -> Iterator[tuple[list[str], str]]:
    """Names of child convolutions that precede a norm, with the norm's name.

    The attribute ``norms`` of a module names the convolutions whose sum each of its norms receives. In other
    modules, ``bn1`` follows ``conv1`` if it is defined after it and has as many channels.

    Yields:
        Names of convolutions, and the name of the norm.
    """
    children = dict(module.named_children())
    if isinstance(module, nn.Sequential):
        for conv, follower in itertools.pairwise(children):
            if isinstance(children[conv], nn.Conv2d) and isinstance(children[follower], kind):
                yield [conv], follower
        return
    norms: Mapping[str, Sequence[str]] = getattr(module, "norms", {})
    order = [*children]
    for place, (name, child) in enumerate(children.items()):
        source_names = norms.get(name)
        names = ["conv" + name.removeprefix("bn")] if source_names is None else source_names
        preceding = order[:place] if source_names is None else order
        convolutions = [each for each in names if each in preceding and isinstance(children[each], nn.Conv2d)]
        if (
            isinstance(child, kind)
            and convolutions
            and (source_names is not None or _follows(child, children[convolutions[0]]))
        ):
            yield convolutions, name


def _follows(norm: nn.Module, conv: nn.Module) -> bool:
    """Whether a norm has as many channels as a convolution outputs; a ReLU fits any."""
    channels = getattr(norm, "num_features", None)
    return channels is None or (isinstance(conv, nn.Conv2d) and channels == conv.out_channels)


def _fold(conv: nn.Module, norm: nn.BatchNorm2d, *, shifts: bool) -> None:
    """Fold a norm into convolutions in place, in float64; of several, one carries the shift.

    The processor computes: Apple's GPU has no float64.
    """
    assert isinstance(conv, nn.Conv2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    share = 1.0 if shifts else 0.0
    mean, variance = norm.running_mean.cpu().double(), norm.running_var.cpu().double()
    scale = torch.ones_like(mean) if norm.weight is None else norm.weight.cpu().double()
    shift = torch.zeros_like(mean) if norm.bias is None else norm.bias.cpu().double()
    weight, bias = fuse_conv_bn_weights(
        conv.weight.cpu().double(),
        None if conv.bias is None else conv.bias.cpu().double(),
        mean * share,
        variance,
        norm.eps,
        scale,
        shift * share,
    )
    if shifts or conv.bias is not None:
        conv.bias = nn.Parameter(bias.to(conv.weight), requires_grad=False)
    conv.weight = nn.Parameter(weight.to(conv.weight), requires_grad=False)
