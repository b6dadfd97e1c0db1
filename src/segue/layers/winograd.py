"""3x3 convolutions with fewer multiplications, for inference on a processor.

Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), F(4x4, 3x3) and F(2x2, 3x3): a tile
of outputs is a product of polynomials, evaluated at points instead of multiplied out,
``y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A`` with a kernel ``g`` and a tile ``d`` of inputs, which is two larger than
that of the outputs. Over the channels the products ⊙ are ordinary matrix products, one for each pair of
points: 36 for a tile of 4x4, a quarter of the multiplications of the direct form; 16 for a tile of 2x2, four
ninths.

``Bᵀ d B`` is ``(Bᵀ ⊗ Bᵀ) d`` with the tile as one vector, and so are the other two. All three are computed as
matrix products over all tiles and channels at once: that takes more multiplications than sums along each axis
and fewer passes over memory, which is what they wait for.

For tiles of 4x4 the points of the paper, {0, ±1, ±2, ∞}, lose digits. Ours are the same times 3/4: that
brings the error in float32 down to that of the direct form, and the constants of the input transform are
still exact. For tiles of 2x2 the points {0, ±1, ∞} of the paper lose none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.fused import ActivatedConv2d, Activation, folded_weight

POINTS = {2: (0.0, 1.0, -1.0), 4: (0.0, 0.75, -0.75, 1.5, -1.5)}
"""Finite points at which tiles of outputs of each size are evaluated; ∞ is one more."""

STRIP_TILES = 64  # tiles to work on at a time: many for efficient products, few to stay near the cache
STRIP_CHANNELS = 512  # with more of them, fewer tiles, so that the memory of a strip stays bounded
KERNEL_BYTES = 20 << 20  # largest transformed kernel

Tile = Literal[2, 4]
"""Rows and columns of outputs that are computed together."""


class Scratch:
    """Memory that the layers of a network use in turn; asking the system anew each time takes long."""

    def __init__(self) -> None:
        self._memory: Tensor | None = None

    def take(self, like: Tensor, *shapes: Sequence[int]) -> list[Tensor]:
        """Tensors of unknown values, valid until the next call.

        Args:
            like: tensor whose device and type they get.
            shapes: their shapes.

        Returns:
            One tensor for each shape, which share no memory.
        """
        counts = [math.prod(shape) for shape in shapes]
        if self._memory is None or len(self._memory) < sum(counts) or self._memory.dtype != like.dtype:
            self._memory = like.new_empty(sum(counts))
        pieces = self._memory[: sum(counts)].split(counts)
        return [piece.view(*shape) for piece, shape in zip(pieces, shapes, strict=True)]


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
    of_kernel: Tensor
    of_inputs: Tensor
    to_outputs: Tensor

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
        for name, matrix in zip(("of_kernel", "of_inputs", "to_outputs"), transforms(tile), strict=True):
            self.register_buffer(name, matrix.to(weight))
        self._rectify = activation == "relu"

    def dense_weight(self) -> Tensor:
        """The weights of the convolution, (cout, cin, 3, 3).

        Returns:
            A copy in the layer's type.
        """
        parts, _, cin, size = self.weight.shape
        by_part = self.weight.view(parts, 3, 3, cin, size).permute(0, 4, 3, 1, 2)
        return by_part.reshape(parts * size, cin, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) → (B, cout, H, W), channels last in memory."""
        return self._convolve(x, 0, self.bias, None, rectify=self._rectify)

    def joined(
        self, x: Tensor, skip: Tensor | None, *, rectify: bool = False, overwrite: bool = False
    ) -> Tensor:
        """See :meth:`segue.layers.fused.FusedConv2d.joined`.

        Args:
            x: (B, cin, H, W).
            skip: (B, cout, H, W), what is added, or None.
            rectify: ReLU after the sum.
            overwrite: the result takes the place of ``skip``.

        Returns:
            (B, cout, H, W).
        """
        out = skip if skip is None or overwrite else skip.clone()
        return self._convolve(x, 0, self.bias, out, rectify=rectify or self._rectify)

    def channels(self, x: Tensor, first: int, *, bias: bool) -> Tensor:
        """The part that acts on input channels ``first`` to ``first + x.shape[1]``, with or without bias.

        Args:
            x: (B, C, H, W), the input channels ``first`` to ``first + C``.
            first: number of the first channel.
            bias: add the bias, which one part alone may do.

        Returns:
            (B, cout, H, W), without the activation.
        """
        return self._convolve(x, first, self.bias if bias else None, None, rectify=False)

    def _convolve(
        self, x: Tensor, first: int, bias: Tensor | None, out: Tensor | None, *, rectify: bool
    ) -> Tensor:
        """``relu(conv(x) + bias + out)`` of input channels from ``first`` on, in the memory of ``out``."""
        parts, _, _, size = self.weight.shape
        pictures, adds = x.permute(0, 2, 3, 1), out is not None
        batch, height, width, channels = pictures.shape
        target = x.new_empty(batch, height, width, parts * size) if out is None else out.permute(0, 2, 3, 1)
        shift = x.new_zeros(parts * size) if bias is None else bias
        regions = list(strips(batch, height, width, channels, self._tile))
        points, outputs = len(self.of_inputs), len(self.to_outputs)
        tiles = count_tiles(pictures[regions[0][0]], regions[0][1], self._tile)  # no strip has more
        kernel, first_room, values_room, last_room = self._scratch.take(
            x,
            (points, channels, size),
            (points * tiles * max(channels, size),),  # of inputs, then of products
            (points * tiles * channels,),
            (outputs * tiles * size,),
        )
        for part, weight in enumerate(self.weight[:, :, first : first + channels]):
            of_part = slice(part * size, (part + 1) * size)
            torch.mm(self.of_kernel, weight.flatten(1), out=kernel.flatten(1))
            for group, rows in regions:
                inputs = overlapping(pictures[group], rows, self._tile)
                grid = inputs.shape[2:5]  # pictures, tiles down, tiles across
                count = math.prod(grid)
                values = _within(values_room, points, count * channels)
                if part == 0 or len(regions) > 1:  # what fits into one strip is evaluated once for all parts
                    gathered = _within(first_room, *inputs.shape).copy_(inputs)
                    torch.mm(self.of_inputs, gathered.view(values.shape), out=values)
                products = _within(first_room, points, count, size)
                torch.bmm(values.view(points, count, channels), kernel, out=products)
                found = _within(last_room, outputs, count * size)
                torch.mm(self.to_outputs, products.flatten(1), out=found)
                found = found.view(self._tile, self._tile, *grid, size).add_(shift[of_part])
                place(found, target[group, rows, :, of_part], adds=adds, rectify=rectify)
        return target.permute(0, 3, 1, 2)


def _within(memory: Tensor, *shape: int) -> Tensor:
    """The first numbers of ``memory`` as a tensor of this shape."""
    return memory[: math.prod(shape)].view(shape)


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


def transforms(tile: Tile) -> tuple[Tensor, Tensor, Tensor]:
    """``G ⊗ G``, ``Bᵀ ⊗ Bᵀ`` and ``Aᵀ ⊗ Aᵀ`` of the paper (section 4), for a number P of points.

    ``Aᵀ`` has the powers of the points, ``G`` the same divided by the products of their distances, and ``Bᵀ``
    the coefficients of the polynomials that are zero at all other points.

    Args:
        tile: side of a tile of outputs.

    Returns:
        (P², 9), (P², P²) and (tile², P²), float64, with P = tile + 2.
    """
    finite = np.array(POINTS[tile])
    others = [np.delete(finite, i) for i in range(len(finite))]
    norms = [np.prod(point - rest) for point, rest in zip(finite, others, strict=True)]
    of_kernel = np.vander(finite, 3, increasing=True) / np.array(norms)[:, None]
    # np.poly begins with the highest power. All but the last polynomial have one power less.
    of_inputs = [np.append(np.poly(rest)[::-1], 0.0) for rest in others] + [np.poly(finite)[::-1]]
    to_outputs = np.vander(finite, tile, increasing=True).T
    matrices = (
        np.vstack([of_kernel, np.eye(3)[-1]]),
        np.vstack(of_inputs),
        np.hstack([to_outputs, np.eye(tile)[:, -1:]]),
    )
    of_kernel, by_inputs, to_outputs = (torch.from_numpy(np.kron(matrix, matrix)) for matrix in matrices)
    return of_kernel, by_inputs, to_outputs


def strips(
    batch: int, height: int, width: int, channels: int, tile: Tile = 4
) -> Iterator[tuple[slice, slice]]:
    """Pictures and rows to work on at a time: several whole pictures, or some rows of tiles of one.

    Args:
        batch: number of pictures.
        height: rows.
        width: columns.
        channels: input channels; the more, the fewer tiles at a time.
        tile: side of a tile of outputs.

    Yields:
        Slices of pictures and of rows.
    """
    most = max(min(STRIP_TILES, STRIP_TILES * STRIP_CHANNELS // channels), 1)
    down, across = -(-height // tile), -(-width // tile)
    rows = min(max(most // across, 1), down)
    pictures = max(most // (down * across), 1)
    for first in range(0, batch, pictures):
        for top in range(0, height, rows * tile):
            yield slice(first, min(first + pictures, batch)), slice(top, min(top + rows * tile, height))


def count_tiles(pictures: Tensor, rows: slice, tile: Tile) -> int:
    """Number of tiles whose outputs are ``rows`` of some pictures.

    Args:
        pictures: (B, H, W, C).
        rows: rows of the outputs.
        tile: side of a tile of outputs.

    Returns:
        A number.
    """
    batch, _, width, _ = pictures.shape
    return batch * -(-(rows.stop - rows.start) // tile) * -(-width // tile)


def overlapping(pictures: Tensor, rows: slice, tile: Tile) -> Tensor:
    """The inputs of each tile whose outputs are ``rows``, with zeros beyond the picture, as a view.

    Args:
        pictures: (B, H, W, C).
        rows: rows of the outputs.
        tile: side of a tile of outputs.

    Returns:
        (P, P, B, tiles down, tiles across, C), with P = tile + 2.
    """
    height, width = pictures.shape[1:3]
    down, across = -(-(rows.stop - rows.start) // tile), -(-width // tile)
    top, bottom = rows.start - 1, rows.start + tile * down + 1
    missing = (0, 0, 1, tile * across + 1 - width, max(-top, 0), max(bottom - height, 0))
    padded = F.pad(pictures[:, max(top, 0) : min(bottom, height)], missing)
    return padded.unfold(1, tile + 2, tile).unfold(2, tile + 2, tile).permute(4, 5, 0, 1, 2, 3)


def place(tiles: Tensor, out: Tensor, *, adds: bool, rectify: bool) -> None:
    """Write tiles of outputs; what lies beyond the picture is left out.

    Args:
        tiles: (tile, tile, B, tiles down, tiles across, C).
        out: (B, rows, W, C), which is written to.
        adds: add them to what is there.
        rectify: leave no negative number.
    """
    for below, rows, down in pieces(out.shape[1], len(tiles)):
        for beside, columns, across in pieces(out.shape[2], len(tiles)):
            piece = tiles[:below, :beside, :, down, across].permute(2, 3, 0, 4, 1, 5)
            target = out[:, rows, columns].unflatten(1, (-1, below)).unflatten(3, (-1, beside))
            if adds:
                target += piece
            else:
                target.copy_(piece)
    if rectify:
        out.relu_()


def pieces(size: int, tile: int) -> Iterator[tuple[int, slice, slice]]:
    """Whole tiles along an axis, and the rest.

    Args:
        size: number of outputs along the axis.
        tile: outputs of a tile.

    Yields:
        Outputs of each tile in this piece, its outputs, its tiles.
    """
    whole, rest = divmod(size, tile)
    if whole:
        yield tile, slice(0, whole * tile), slice(0, whole)
    if rest:
        yield rest, slice(whole * tile, size), slice(whole, whole + 1)
