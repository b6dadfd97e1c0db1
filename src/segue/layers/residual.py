"""Residual blocks of decoders; the image part is computed once for all objects."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.activated import ActivatedConv2d, PreparedConv

Conv = nn.Conv2d | PreparedConv


def convolve(
    conv: Conv, x: Tensor, skip: Tensor, *, rectify: bool = False, overwrite: bool = False
) -> Tensor:
    """Compute ``conv(x) + skip``, and ReLU, in one pass over memory if ``conv`` is prepared for inference.

    ``x``: (B, cin, H, W); ``skip``: (B, cout, h, w), over which the sum may be written; returns the same.
    """
    if isinstance(conv, nn.Conv2d):
        total = conv(x).add_(skip)
        return total.relu_() if rectify else total
    return conv(x, skip, rectify=rectify, overwrite=overwrite)


def conv_of_relu(conv: Conv, x: Tensor) -> Tensor:
    """Compute ``conv(relu(x))``; on wide maps, a prepared ``conv`` needs no copy of ``x``.

    ``x``: (B, cin, H, W); returns (B, cout, h, w).
    """
    return conv(F.relu(x)) if isinstance(conv, nn.Conv2d) else conv(x, rectify_input=True)


def conv_channels(conv: Conv, x: Tensor, first: int = 0, *, bias: bool = False) -> Tensor:
    """Apply a zero-padded ``conv`` to input channels ``first`` to ``first + x.shape[1]`` only.

    ``x``: some of its input channels, (B, C, H, W); returns (B, cout, H, W), at the stride of the
    convolution.
    """
    if not isinstance(conv, nn.Conv2d):
        return conv(x, first=first, bias=bias)
    weight = conv.weight[:, first : first + x.shape[1]]
    return F.conv2d(x, weight, conv.bias if bias else None, conv.stride, conv.padding)


def add_frame(objects: Tensor, frame: Tensor) -> Tensor:
    """Add a frame's features to each of its objects, (B·K, C, H, W) + (B, C, H, W).

    With one frame, ``objects`` is changed in place.
    """
    batch = frame.shape[0]
    if batch == 1:
        return objects.add_(frame)
    joined = objects.view(batch, -1, *objects.shape[1:]) + frame[:, None]
    return joined.flatten(0, 1)


def add_conv_of_frame(objects: Tensor, conv: Conv, frame: Tensor, *, rectify: bool = False) -> Tensor:
    """Add a convolution of a frame to each of its objects, ``objects + conv(frame)``, optionally with ReLU.

    With one object per frame, ``objects`` is changed in place, in one pass over memory if ``conv`` was
    prepared for inference. ``objects``: (B·K, cout, H, W); ``frame``: (B, cin, H, W). Returns
    (B·K, cout, H, W).
    """
    if len(objects) == len(frame):
        return convolve(conv, frame, objects, rectify=rectify, overwrite=True)
    total = add_frame(objects, conv(frame))
    return total.relu_() if rectify else total


def takes_joined(conv: Conv, objects: Tensor, frame: Tensor) -> bool:
    """Whether ``conv`` is applied to the maps of objects and their frames in one piece.

    No other object shares the frame's part then, and the weights are arranged, and held, once. Training sums
    the two parts, as the releases do: another rounding can flip a mask of the attention.
    """
    return len(objects) == len(frame) and not isinstance(conv, nn.Conv2d)


def join(objects: Tensor, frame: Tensor, *, frame_first: bool) -> Tensor:
    """Join the channels of (B, C, H, W) and (B, D, H, W)."""
    return torch.cat([frame, objects] if frame_first else [objects, frame], 1)


def joint_conv(
    conv: Conv, objects: Tensor, frame: Tensor, *, frame_first: bool = False, rectify: bool = False
) -> Tensor:
    """Apply ``conv``, and ReLU, to ``cat[own, frame]`` or ``cat[frame, own]``: (B·K, C, H, W), (B, D, H, W).

    Returns (B·K, cout, H, W).
    """
    if takes_joined(conv, objects, frame):
        joined = join(objects, frame, frame_first=frame_first)
        return norm_relu(conv, NO_NORM, joined) if rectify else conv(joined)
    objects_at, frame_at = (frame.shape[1], 0) if frame_first else (0, objects.shape[1])
    total = add_frame(
        conv_channels(conv, objects, objects_at), conv_channels(conv, frame, frame_at, bias=True)
    )
    return total.relu_() if rectify else total


NO_NORM = nn.Identity()
"""For convolutions without a norm; to make a module at each call costs as much as a small layer."""


def norm_relu(
    conv: Conv, norm: nn.Module, x: Tensor, skip: Tensor | None = None, *, overwrite: bool = False
) -> Tensor:
    """Compute ``relu(norm(conv(x)) + skip)``, in one pass over memory if prepared for inference.

    ``x``: (B, cin, H, W); ``skip``: (B, cout, h, w); returns (B, cout, h, w).
    """
    if not isinstance(conv, nn.Conv2d) and isinstance(norm, nn.Identity):
        return conv(x, skip, rectify=True, overwrite=overwrite)
    y: Tensor = norm(conv(x))
    return (y if skip is None else y.add_(skip)).relu_()


class ResBlock(nn.Module):
    """``skip(x) + conv2(relu(conv1(relu(x))))`` with 3x3 convolutions, (B, cin, H, W) → (B, cout, H, W).

    Once prepared for inference, the output overwrites the input.
    """

    def __init__(self, cin: int, cout: int, skip: int = 3) -> None:
        super().__init__()
        self.downsample = nn.Conv2d(cin, cout, skip, padding=skip // 2) if cin != cout else None
        self.conv1 = ActivatedConv2d.rectified(cin, cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        inner = conv_of_relu(self.conv1, x)
        skip = x if self.downsample is None else self.downsample(x)
        return convolve(self.conv2, inner, skip, overwrite=True)


class JointResBlock(nn.Module):
    """:class:`ResBlock` over ``cat[own, frame]``; all objects of a frame share ``frame``."""

    def __init__(self, objects: int, frame: int, cout: int, *, frame_first: bool = False) -> None:
        super().__init__()
        self.frame_first = frame_first
        self.downsample = nn.Conv2d(objects + frame, cout, 3, padding=1)
        self.conv1 = nn.Conv2d(objects + frame, cout, 3, padding=1)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1)

    def forward(self, objects: Tensor, frame: Tensor) -> Tensor:
        """(B·K, own, H, W) and (B, frame, H, W) → (B·K, cout, H, W)."""
        first = self.frame_first
        if takes_joined(self.conv1, objects, frame):
            joined = join(objects, frame, frame_first=first)
            skip = self.downsample(joined)
            hidden = norm_relu(self.conv1, NO_NORM, joined.relu_())
        else:
            hidden = joint_conv(self.conv1, F.relu(objects), F.relu(frame), frame_first=first, rectify=True)
            skip = joint_conv(self.downsample, objects, frame, frame_first=first)
        return convolve(self.conv2, hidden, skip, overwrite=True)
