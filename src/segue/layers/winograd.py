"""3x3 convolutions with fewer multiplications, for inference on a processor.

Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), F(4x4, 3x3) and F(2x2, 3x3): a tile
of outputs is a product of polynomials, evaluated at points instead of multiplied out,
``y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A`` with a kernel ``g`` and a tile ``d`` of inputs, which is two larger than
that of the outputs. Over the channels the products ⊙ are ordinary matrix products, one for each pair of
points: 36 for a tile of 4x4, a quarter of the multiplications of the direct form; 16 for a tile of 2x2, four
ninths.

For tiles of 4x4 the points of the paper, {0, ±1, ±2, ∞}, lose digits. Ours are the same times 3/4: that
brings the error in float32 down to that of the direct form, and the constants of the input transform are
still exact. For tiles of 2x2 the points {0, ±1, ∞} of the paper lose none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.fused import ActivatedConv2d, Activation, folded_weight, join

NEAR, FAR = 3 / 4, 3 / 2  # the positive finite points of a tile of 4x4
STRIP_TILES = 128  # tiles to work on at a time: many for efficient products, few to stay near the cache
KERNEL_BYTES = 20 << 20  # largest transformed kernel

Tile = Literal[2, 4]
"""Rows and columns of outputs that are computed together."""


class Scratch:
    """Memory that the layers of a network use in turn; asking the system anew each time takes long."""

    def __init__(self) -> None:
        self._memory: Tensor | None = None

    def take(self, like: Tensor, *shape: int) -> Tensor:
        """A tensor of unknown values, valid until the next call."""
        count = math.prod(shape)
        if self._memory is None or len(self._memory) < count or self._memory.dtype != like.dtype:
            self._memory = like.new_empty(count)
        return self._memory[:count].view(shape)


class WinogradConv2d(nn.Module):
    """A zero-padded 3x3 convolution of stride 1 by Winograd's algorithm; equal up to rounding.

    The kernel is transformed at each call, which takes a hundredth of its time: transformed kernels are two
    to four times as large, and not all of them together fit anywhere near the processor.

    Args:
        conv: the convolution.
        scratch: memory that the layers of a network share.
        tile: side of the tiles of outputs.
        activation: what follows, ``none`` or ``relu``; None is that of ``conv``.

    Raises:
        ValueError: ``conv`` has another kernel, stride, padding or activation, or groups.
    """

    weight: Tensor
    bias: Tensor | None
    transform: Tensor

    def __init__(
        self, conv: nn.Conv2d, scratch: Scratch, tile: Tile = 4, activation: Activation | None = None
    ) -> None:
        super().__init__()
        if activation is None:
            activation = conv.activation if isinstance(conv, ActivatedConv2d) else "none"
        if not is_plain_3x3(conv) or activation not in ("none", "relu"):
            raise ValueError(f"{conv} is not a zero-padded 3x3 convolution of stride 1 without groups")
        self._scratch, self._tile = scratch, tile
        weight = folded_weight(conv)()
        parts = outputs_in_parts(conv.in_channels, conv.out_channels, weight.element_size(), tile)
        by_part = weight.view(parts, -1, *weight.shape[1:]).permute(0, 3, 4, 2, 1).flatten(1, 2)
        self.register_buffer("weight", by_part.contiguous())
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach())
        self.register_buffer("transform", kernel_transform(tile).to(weight))
        self._rectify = activation == "relu"

    def dense_weight(self) -> Tensor:
        """The weights of the convolution, (cout, cin, 3, 3)."""
        parts, _, cin, size = self.weight.shape
        by_part = self.weight.view(parts, 3, 3, cin, size).permute(0, 4, 3, 1, 2)
        return by_part.reshape(parts * size, cin, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) → (B, cout, H, W), channels last in memory."""
        y = self.channels(x, 0, bias=True)
        return y.relu_() if self._rectify else y

    def joined(
        self, x: Tensor, skip: Tensor | None, *, rectify: bool = False, overwrite: bool = False
    ) -> Tensor:
        """See :meth:`segue.layers.fused.FusedConv2d.joined`."""
        return join(self(x), skip, rectify=rectify)

    def channels(self, x: Tensor, first: int, *, bias: bool) -> Tensor:
        """The part that acts on input channels ``first`` to ``first + x.shape[1]``, with or without bias."""
        parts, _, _, size = self.weight.shape
        pictures = x.permute(0, 2, 3, 1)
        out = x.new_empty(*pictures.shape[:3], parts * size)
        shift = self.bias if bias and self.bias is not None else x.new_zeros(parts * size)
        batch, height, width, _ = pictures.shape
        regions = list(strips(batch, height, width, self._tile))
        # What fits into one strip is evaluated once for all parts of the outputs.
        whole = evaluate(pictures, regions[0][1], self._tile) if len(regions) == 1 else None
        for part, weight in enumerate(self.weight[:, :, first : first + x.shape[1]]):
            outputs = slice(part * size, (part + 1) * size)
            self._convolve(pictures, regions, whole, weight, shift[outputs], out[..., outputs])
        return out.permute(0, 3, 1, 2)

    def _convolve(
        self,
        pictures: Tensor,
        regions: Sequence[tuple[slice, slice]],
        whole: Tensor | None,
        weight: Tensor,
        shift: Tensor,
        out: Tensor,
    ) -> None:
        """From (B, H, W, C), or its values ``whole``, with weights (9, C, O) to ``out``, (B, H, W, O)."""
        points = self._tile + 2
        kernel = self._scratch.take(weight, points**2, *weight.shape[1:])
        torch.mm(self.transform, weight.flatten(1), out=kernel.flatten(1))
        height, width = pictures.shape[1:3]
        scales = output_scales(height, width, weight) if self._tile == 4 else None
        for group, rows in regions:
            target = out[group, rows]
            values = evaluate(pictures[group], rows, self._tile) if whole is None else whole
            products = torch.bmm(values.flatten(0, 1).flatten(1, -2), kernel)
            tiles = interpolate(products.view(*values.shape[:-1], -1), self._tile)
            tiles = tiles[:, : target.shape[1], :width]
            if scales is None:
                torch.add(tiles, shift, out=target)
            else:
                torch.addcmul(shift, tiles, scales[rows], out=target)


def is_plain_3x3(conv: nn.Conv2d) -> bool:
    """Whether :class:`WinogradConv2d` can replace a convolution.

    Args:
        conv: the convolution.

    Returns:
        True for 3x3 of stride 1 with padding 1, without groups or dilation.
    """
    form = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode)
    known = not isinstance(conv, ActivatedConv2d) or conv.activation in ("none", "relu")
    return known and form == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")


def outputs_in_parts(cin: int, cout: int, element_size: int, tile: Tile = 4) -> int:
    """In how many equal parts the output channels are worked out, to keep a transformed kernel small.

    Args:
        cin: input channels.
        cout: output channels.
        element_size: bytes of a number.
        tile: side of a tile of outputs.

    Returns:
        Number of parts.
    """
    whole = (tile + 2) ** 2 * cin * cout * element_size
    return next(parts for parts in range(1, cout + 1) if cout % parts == 0 and whole <= parts * KERNEL_BYTES)


def kernel_transform(tile: Tile) -> Tensor:
    """G ⊗ G, from the 9 values of a kernel to those at all pairs of points, ((tile + 2)², 9), float64.

    The rows are scaled so that the other two transforms need few operations.

    Args:
        tile: side of a tile of outputs.

    Returns:
        ((tile + 2)², 9), float64.
    """
    if tile == 2:
        rows = [(1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0)]
    else:
        near, far = NEAR**2, FAR**2
        rows = [(1 / (near * far), 0.0, 0.0)]
        for point, square, other in ((NEAR, near, far), (FAR, far, near)):
            norm = 1 / (2 * square * (square - other))
            rows += [(norm, sign * norm * point, norm * square) for sign in (1, -1)]
        rows.append((0.0, 0.0, NEAR**-3))
    g = torch.tensor(rows, dtype=torch.float64)
    return torch.kron(g, g)


def output_scales(height: int, width: int, like: Tensor) -> Tensor:
    """Factors that :func:`interpolate` leaves out for tiles of 4x4, (height, width, 1); powers of NEAR.

    Args:
        height: rows.
        width: columns.
        like: tensor whose device and type the factors get.

    Returns:
        (height, width, 1).
    """
    powers = [like.new_tensor([NEAR ** (i % 4) for i in range(size)]) for size in (height, width)]
    return (powers[0][:, None] * powers[1])[..., None]


def strips(batch: int, height: int, width: int, tile: Tile = 4) -> Iterator[tuple[slice, slice]]:
    """Pictures and rows to work on at a time: several whole pictures, or some rows of tiles of one.

    Args:
        batch: number of pictures.
        height: rows.
        width: columns.
        tile: side of a tile of outputs.

    Yields:
        Slices of pictures and of rows.
    """
    down, across = -(-height // tile), -(-width // tile)
    rows = min(max(STRIP_TILES // across, 1), down)
    pictures = max(STRIP_TILES // (down * across), 1)
    for first in range(0, batch, pictures):
        for top in range(0, height, rows * tile):
            yield slice(first, min(first + pictures, batch)), slice(top, min(top + rows * tile, height))


def evaluate(pictures: Tensor, rows: slice, tile: Tile) -> Tensor:
    """Bᵀ d B of the tiles whose outputs are ``rows``, (B, H, W, C) → (P, P, B, tiles down, across, C).

    P is ``tile + 2``, the number of points.

    Args:
        pictures: (B, H, W, C).
        rows: rows of the outputs.
        tile: side of a tile of outputs.

    Returns:
        (P, P, B, tiles down, tiles across, C).
    """
    batch, height, width, channels = pictures.shape
    points = tile + 2
    down, across = -(-(rows.stop - rows.start) // tile), -(-width // tile)
    top, bottom = rows.start - 1, rows.start + tile * down + 1
    missing = (0, 0, 1, tile * across + 1 - width, max(-top, 0), max(bottom - height, 0))
    padded = F.pad(pictures[:, max(top, 0) : min(bottom, height)], missing)
    halfway = padded.new_empty(points, batch, down, padded.shape[2], channels)
    evaluate_axis([padded[:, i::tile][:, :down] for i in range(points)], halfway)
    values = padded.new_empty(points, points, batch, down, across, channels)
    columns = [halfway[..., i::tile, :][..., :across, :] for i in range(points)]
    evaluate_axis(columns, values.transpose(0, 1))
    return values


def interpolate(products: Tensor, tile: Tile) -> Tensor:
    """Aᵀ m A without the scales, (P, P, B, tiles down, across, C) → (B, tile · down, tile · across, C).

    Args:
        products: (P, P, B, tiles down, tiles across, C).
        tile: side of a tile of outputs.

    Returns:
        (B, tile · down, tile · across, C).
    """
    _, _, batch, down, across, channels = products.shape
    halfway = products.new_empty(tile, *products.shape[1:])
    interpolate_axis(products, halfway)
    tiles = products.new_empty(batch, down, tile, across, tile, channels)
    interpolate_axis(halfway.transpose(0, 1), tiles.permute(4, 2, 0, 1, 3, 5))
    return tiles.view(batch, down * tile, across * tile, channels)


def evaluate_axis(d: Sequence[Tensor], out: Tensor) -> None:
    """Bᵀ: inputs to values at the points, in the first dimension of ``out``.

    The points are 0, 1, -1 and ∞ for four inputs, 0, ±NEAR, ±FAR and ∞ for six.

    Args:
        d: inputs.
        out: values, the points in the first dimension; it is written to.
    """
    if len(d) == 4:
        torch.sub(d[0], d[2], out=out[0])
        torch.add(d[1], d[2], out=out[1])
        torch.sub(d[2], d[1], out=out[2])
        torch.sub(d[3], d[1], out=out[3])
        return
    near, far = NEAR**2, FAR**2
    torch.add(d[4], d[2], alpha=-near - far, out=out[0]).add_(d[0], alpha=near * far)
    for first, point, other in ((1, NEAR, far), (3, FAR, near)):
        even = torch.add(d[4], d[2], alpha=-other)
        odd = torch.add(d[3], d[1], alpha=-other)
        torch.add(even, odd, alpha=point, out=out[first])
        torch.add(even, odd, alpha=-point, out=out[first + 1])
    torch.add(d[5], d[3], alpha=-near - far, out=out[5]).add_(d[1], alpha=near * far)


def interpolate_axis(m: Tensor, out: Tensor) -> None:
    """Aᵀ: values at the points to outputs; of four outputs the i-th still lacks the factor NEAR ** i.

    Args:
        m: values at the points.
        out: outputs, in the first dimension; it is written to.
    """
    even, odd = m[1] + m[2], m[1] - m[2]
    if len(m) == 4:
        torch.add(even, m[0], out=out[0])
        torch.add(odd, m[3], out=out[1])
        return
    far_even, far_odd = m[3] + m[4], m[3] - m[4]
    torch.add(even, far_even, out=out[0]).add_(m[0])
    torch.add(odd, far_odd, alpha=FAR / NEAR, out=out[1])
    torch.add(even, far_even, alpha=(FAR / NEAR) ** 2, out=out[2])
    torch.add(odd, far_odd, alpha=(FAR / NEAR) ** 3, out=out[3]).add_(m[5])
