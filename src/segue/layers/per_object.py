"""Convolutions of which one part sees only the frame and is computed once for all objects.

A convolution is linear in its input channels: over ``cat[own, frame]`` it is the sum of a convolution over
``own`` and one over ``frame``. The second does not depend on the object, so K objects pay for it once.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.winograd import WinogradConv2d


def conv_channels(
    conv: nn.Conv2d | WinogradConv2d, x: Tensor, first: int = 0, *, bias: bool = False
) -> Tensor:
    """Apply the part of ``conv`` that acts on input channels ``first`` to ``first + x.shape[1]``.

    Args:
        conv: zero-padded convolution without groups.
        x: (B, C, H, W), the values of those channels.
        first: the first of these channels among the inputs of ``conv``.
        bias: whether to add the bias; do so in exactly one of the parts.
    """
    if isinstance(conv, WinogradConv2d):
        return conv.channels(x, first, bias=bias)
    weight = conv.weight[:, first : first + x.shape[1]]
    return F.conv2d(x, weight, conv.bias if bias else None, conv.stride, conv.padding)


def add_frame(own: Tensor, frame: Tensor) -> Tensor:
    """Add what a frame contributes to each of its objects, (B·K, C, H, W) + (B, C, H, W)."""
    batch = frame.shape[0]
    if batch == 1:
        return own + frame
    joined = own.view(batch, -1, *own.shape[1:]) + frame[:, None]
    return joined.flatten(0, 1)
