"""Wide 3x3 convolutions with fewer multiplications, for inference on a processor.

NNPACK, which is part of PyTorch, computes tiles of 6x6 outputs by Winograd's algorithm (Lavin & Gray, "Fast
Algorithms for Convolutional Neural Networks", 2015). In float32 the largest error is about 1e-5 of the
largest output; a direct convolution has 2e-7. NNPACK has one pool of as many threads as PyTorch had at the
first call in a process.
"""

from __future__ import annotations

import torch
from torch import Tensor

TILE = 6
TILE_BYTES = 4 * (TILE + 2) ** 2
"""Of one channel of a transformed tile, float32."""

LEAST_CHANNELS = 96
"""With fewer, in or out, the transforms of the maps take as long as the products that they save."""

LEAST_POSITIONS = 1024
"""With fewer, the transform of the weights does."""

STRIP_BYTES = 24 << 20
"""Of the transformed maps of the rows that are computed at a time."""


def gains(x: Tensor, outputs: int) -> bool:
    """Whether :func:`convolve` is the faster way; shapes decide, so that equal inputs have equal bytes.

    ``x``: (B, C, H, W); ``outputs``: number of output channels.
    """
    _, channels, height, width = x.shape
    large = min(channels, outputs) >= LEAST_CHANNELS and height * width >= LEAST_POSITIONS
    # NNPACK works only after somebody in this process has asked for it.
    return large and x.dtype == torch.float32 and torch.backends.nnpack.is_available()


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    skip: Tensor | None = None,
    *,
    rectify: bool = False,
    overwrite: bool = False,
) -> Tensor:
    """``conv(x) + skip`` with a border of zeros, perhaps with a ReLU, and perhaps over ``skip``.

    ``x``: (B, cin, H, W); ``weight``: (cout, cin, 3, 3), contiguous; ``bias``: (cout,); ``skip``: (B, cout,
    H, W); returns (B, cout, H, W), channels last in memory unless ``skip`` is not.
    """
    (batch, cin, height, width), cout = x.shape, len(weight)
    if skip is None:
        out = x.new_empty(batch, height, width, cout).permute(0, 3, 1, 2)
    else:
        out = skip if overwrite else skip.clone()
    rows = TILE * max(1, STRIP_BYTES // (-(-width // TILE) * TILE_BYTES * (cin + cout)))
    for image, target in zip(x, out, strict=True):
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            strip = x.new_zeros(1, cin, bottom - top + 2, width)
            above, below = max(top - 1, 0), min(bottom + 1, height)
            strip[0, :, above - top + 1 : below - top + 1] = image[:, above:below]
            (found,) = torch._nnpack_spatial_convolution(strip, weight, bias, (0, 1))
            part = target[:, top:bottom]
            if skip is None:
                part.copy_(found)
            else:
                part.add_(found)
            if rectify:
                part.relu_()
    return out
