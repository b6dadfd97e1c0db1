"""3x3 convolutions with fewer multiplications, for inference on a processor.

Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (2015): ``y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A``
for a kernel ``g`` and a tile ``d`` of inputs, each transform as one product over all tiles and channels.

For tiles of 4x4 the points of the paper, {0, ±1, ±2, ∞}, lose digits. Ours are the same times 3/4, which lose
fewer, and the constants of the input transform are still exact. Tiles of 2x2 are evaluated at {0, ±1, ∞}, as
in the paper. For 128 channels and 30x54 positions of random numbers the largest error in float32 over the
largest output is 2.6e-7 directly, 4.3e-7 with tiles of 2x2 and 2.4e-6 with those of 4x4.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from segue.layers.activated import ActivatedConv2d, Activation
from segue.layers.fused import InferenceConv2d

POINTS = {2: (0.0, 1.0, -1.0), 4: (0.0, 0.75, -0.75, 1.5, -1.5)}
"""Finite points at which tiles of outputs of each size are evaluated; ∞ is one more."""

STRIP_TILES = 108  # tiles to work on at a time: many for efficient products, few to stay near the cache
PIECE_COLUMNS = 56 << 8  # of these, tiles times input channels that are transformed at a time: near the cache
STRIP_BYTES = 16 << 20  # largest transformed inputs of a strip
KERNEL_BYTES = 20 << 20  # largest transformed kernel, or part of one

Tile = Literal[2, 4]
"""Rows and columns of outputs that are computed together."""


class Scratch:
    """Memory that the layers of a network use in turn; asking the system anew each time takes long."""

    def __init__(self) -> None:
        self._memory: Tensor | None = None

    def take(self, like: Tensor, *shapes: Sequence[int]) -> list[Tensor]:
        """Tensors of unknown values, valid until the next call."""
        counts = [math.prod(shape) for shape in shapes]
        if self._memory is None or len(self._memory) < sum(counts) or self._memory.dtype != like.dtype:
            self._memory = None  # before there is another
            self._memory = like.new_empty(sum(counts))
        pieces = self._memory[: sum(counts)].split(counts)
        return [piece.view(*shape) for piece, shape in zip(pieces, shapes, strict=True)]


class WinogradConv2d(InferenceConv2d):
    """A plain 3x3 convolution, and perhaps ReLU, by Winograd's algorithm; equal up to rounding."""

    weight: Tensor
    bias: Tensor | None
    kernel_transform: Tensor
    input_transform: Tensor
    output_transform: Tensor

    def __init__(
        self, conv: nn.Conv2d, scratch: Scratch, tile: Tile = 4, activation: Activation = "none"
    ) -> None:
        super().__init__()
        self._scratch, self._tile = scratch, tile
        weight = conv.weight.detach()
        parts = outputs_in_parts(conv.in_channels, conv.out_channels, weight.element_size(), tile)
        by_part = weight.view(parts, -1, *weight.shape[1:]).permute(0, 3, 4, 2, 1).flatten(1, 2)
        self.register_buffer("weight", by_part.contiguous())
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach())
        for name, matrix in zip(("kernel", "input", "output"), transforms(tile), strict=True):
            self.register_buffer(f"{name}_transform", matrix.to(weight))
        ones = weight.new_ones(len(self.output_transform), 1)
        self.output_transform = torch.cat([self.output_transform, ones], 1)  # for the bias
        self._rectify = activation == "relu"

    def dense_weight(self) -> Tensor:
        parts, _, cin, size = self.weight.shape
        by_part = self.weight.view(parts, 3, 3, cin, size).permute(0, 4, 3, 1, 2)
        return by_part.reshape(parts * size, cin, 3, 3)

    def run(
        self,
        x: Tensor,
        skip: Tensor | None = None,
        *,
        first: int = 0,
        bias: bool = True,
        rectify: bool = False,
        rectify_input: bool = False,
        overwrite: bool = False,
    ) -> Tensor:
        out = skip if skip is None or overwrite else skip.clone()
        shift, rectify = self.bias if bias else None, rectify or self._rectify
        parts, _, _, size = self.weight.shape
        tile, pictures, adds = self._tile, x.permute(0, 2, 3, 1), out is not None
        batch, height, width, channels = pictures.shape
        target = x.new_empty(batch, height, width, parts * size) if out is None else out.permute(0, 2, 3, 1)
        points, outputs = len(self.input_transform), len(self.output_transform)
        to_outputs = self.output_transform if shift is not None else self.output_transform[:, :points]
        rows = to_outputs.shape[1]
        most = STRIP_BYTES // (points * channels * x.element_size()) if parts > 1 else STRIP_TILES
        regions = list(strips(slice(0, batch), slice(0, height), width, most, tile))
        at_once = max(PIECE_COLUMNS // channels, 1)
        pieces = [list(strips(strip.pictures, strip.rows, width, at_once, tile)) for strip in regions]
        tiles = max((strip.tiles for strip in regions), default=0)
        piece_tiles = max((piece.tiles for strip in pieces for piece in strip), default=0)
        padded = max((math.prod(piece.padded(tile)) for strip in pieces for piece in strip), default=0)
        kernel, values_room, products_room, padded_room, tiles_room = self._scratch.take(
            x,
            (points, channels, size),
            (points * tiles * channels,),
            (rows * tiles * size,),
            (padded * channels,),
            (piece_tiles * max(points * channels, outputs * size),),  # of inputs, then of outputs
        )
        weights = self.weight[:, :, first : first + channels].flatten(2)
        for strip, parted in zip(regions, pieces, strict=True):
            values = _within(values_room, points, strip.tiles * channels)
            for piece, columns in zip(parted, spans(parted, channels), strict=True):
                inputs = overlapping(pictures, piece, padded_room, tile, rectify=rectify_input)
                gathered = _within(tiles_room, *inputs.shape).copy_(inputs)
                torch.mm(self.input_transform, gathered.view(points, -1), out=values[:, columns])
            for part, weight in enumerate(weights):
                of_part = slice(part * size, (part + 1) * size)
                if parts > 1 or strip is regions[0]:
                    torch.mm(self.kernel_transform, weight, out=kernel.flatten(1))
                products = _within(products_room, rows, strip.tiles, size)
                torch.bmm(values.view(points, -1, channels), kernel, out=products[:points])
                if shift is not None:
                    products[points] = shift[of_part]  # what is added to all outputs
                for piece, columns in zip(parted, spans(parted, size), strict=True):
                    found = _within(tiles_room, outputs, piece.tiles * size)
                    torch.mm(to_outputs, products.flatten(1)[:, columns], out=found)
                    found = found.view(tile, tile, *piece.grid, size)
                    place(found, target[piece.pictures, piece.rows, :, of_part], adds=adds, rectify=rectify)
        return target.permute(0, 3, 1, 2)


def _within(memory: Tensor, *shape: int) -> Tensor:
    """The first numbers of ``memory`` as a tensor of this shape."""
    return memory[: math.prod(shape)].view(shape)


def is_plain_3x3(conv: nn.Conv2d) -> bool:
    """Whether :class:`WinogradConv2d` can replace a convolution."""
    form = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode)
    known = not isinstance(conv, ActivatedConv2d) or conv.activation in ("none", "relu")
    return known and form == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")


def outputs_in_parts(cin: int, cout: int, element_size: int, tile: Tile = 4) -> int:
    """In how many equal parts the output channels are worked out, to keep a transformed kernel small."""
    whole = (tile + 2) ** 2 * cin * cout * element_size
    return next(parts for parts in range(1, cout + 1) if cout % parts == 0 and whole <= parts * KERNEL_BYTES)


def transforms(tile: Tile) -> tuple[Tensor, Tensor, Tensor]:
    """``G ⊗ G``, ``Bᵀ ⊗ Bᵀ`` and ``Aᵀ ⊗ Aᵀ`` of the paper (section 4), for a number P of points.

    Returns (P², 9), (P², P²) and (tile², P²), float64, with P = tile + 2.
    """
    finite = np.array(POINTS[tile])
    others = [np.delete(finite, i) for i in range(len(finite))]
    norms = [np.prod(point - rest) for point, rest in zip(finite, others, strict=True)]
    kernel = np.vander(finite, 3, increasing=True) / np.array(norms)[:, None]
    # np.poly begins with the highest power. All but the last polynomial have one power less.
    inputs = [np.append(np.poly(rest)[::-1], 0.0) for rest in others] + [np.poly(finite)[::-1]]
    outputs = np.vander(finite, tile, increasing=True).T
    along_an_axis = (
        np.vstack([kernel, np.eye(3)[-1]]),
        np.vstack(inputs),
        np.hstack([outputs, np.eye(tile)[:, -1:]]),
    )
    of_kernel, of_inputs, of_outputs = (torch.from_numpy(np.kron(each, each)) for each in along_an_axis)
    return of_kernel, of_inputs, of_outputs


@dataclass(frozen=True, slots=True)
class Strip:
    """Outputs that are worked on at a time: several whole images, or some rows of tiles of one."""

    pictures: slice
    rows: slice
    grid: tuple[int, int, int]

    @property
    def tiles(self) -> int:
        return math.prod(self.grid)

    def padded(self, tile: Tile) -> tuple[int, int, int]:
        """Size of the inputs of the tiles, with what lies beyond the images."""
        batch, down, across = self.grid
        return batch, tile * down + 2, tile * across + 2


def strips(pictures: slice, rows: slice, width: int, most: int, tile: Tile = 4) -> Iterator[Strip]:
    """Divide outputs into what is worked on at a time."""
    down, across = -(-(rows.stop - rows.start) // tile), -(-width // tile)
    tiles_down = min(max(most // across, 1), down)
    together = max(most // (down * across), 1)
    for first in range(pictures.start, pictures.stop, together):
        last = min(first + together, pictures.stop)
        for top in range(0, down, tiles_down):
            bottom = min(top + tiles_down, down)
            inside = slice(rows.start + top * tile, min(rows.start + bottom * tile, rows.stop))
            yield Strip(slice(first, last), inside, (last - first, bottom - top, across))


def spans(parts: Sequence[Strip], channels: int) -> Iterator[slice]:
    """Offsets of the strips in one row of all of them."""
    start = 0
    for part in parts:
        stop = start + part.tiles * channels
        yield slice(start, stop)
        start = stop


def overlapping(pictures: Tensor, strip: Strip, room: Tensor, tile: Tile, *, rectify: bool = False) -> Tensor:
    """The inputs of each tile of a strip, with zeros beyond the image. ``pictures``: (B, H, W, C)."""
    _, height, width, channels = pictures.shape
    padded = _within(room, *strip.padded(tile), channels)
    top = strip.rows.start - 1  # the row of the images that is the first of these
    above, end = max(-top, 0), min(height - top, padded.shape[1])
    for border in (padded[:, :above], padded[:, end:], padded[:, :, :1], padded[:, :, width + 1 :]):
        border.zero_()
    seen, inside = pictures[strip.pictures, top + above : top + end], padded[:, above:end, 1 : width + 1]
    if rectify:
        torch.clamp_min(seen, 0, out=inside)
    else:
        inside.copy_(seen)
    return padded.unfold(1, tile + 2, tile).unfold(2, tile + 2, tile).permute(4, 5, 0, 1, 2, 3)


def place(tiles: Tensor, out: Tensor, *, adds: bool, rectify: bool) -> None:
    """Write tiles of outputs; what lies beyond the image is left out.

    ``out``: (B, rows, W, C), which is written to.
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
    """Whole tiles along an axis, and the rest."""
    whole, rest = divmod(size, tile)
    if whole:
        yield tile, slice(0, whole * tile), slice(0, whole)
    if rest:
        yield rest, slice(whole * tile, size), slice(whole, whole + 1)
