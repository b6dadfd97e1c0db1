"""Winograd's algorithm for wide 3x3 convolutions on a CPU.

Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), F(4x4, 3x3): a tile of 4x4 outputs
is a product of polynomials, evaluated at points instead of multiplied out, ``y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A``
with a kernel ``g`` and a tile ``d`` of 6x6 inputs. Over the channels the products ⊙ are matrix products, one
for each of 36 pairs of points: a quarter of the multiplications of the direct form. The transforms are matrix
products, too, over all tiles and channels at once: ``Bᵀ d B`` is ``(Bᵀ ⊗ Bᵀ) d`` with the tile as a vector.

The points of the paper, {0, ±1, ±2, ∞}, lose digits. Ours are the same times 3/4, which lose fewer, and the
constants of the input transform are still exact. For random numbers the largest error in float32 over the
largest output is 3e-6; a direct convolution has 3e-7.
"""

from __future__ import annotations

import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from segue.inference.threads import set_own_threads

TILE, WINDOW = 4, 6
"""Sides of a tile of outputs, and of its inputs."""

POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)
"""Finite points of evaluation; ∞ is one more."""

STRIP_TILES = 108
"""Tiles whose products are computed together: many for efficient products, few to stay near the cache."""

PIECE_NUMBERS = 56 << 8
"""Tiles times channels that are transformed together, near the cache size."""

KERNEL_BYTES = 20 << 20
"""Maximum bytes of a transformed kernel; a larger one is transformed in parts, one per thread."""

VALUE_BYTES = 30 << 20
"""Maximum bytes of transformed inputs that are kept for all parts of a kernel."""


Item = TypeVar("Item")


@functools.cache
def _transforms() -> tuple[Tensor, Tensor, Tensor]:
    """``G ⊗ G`` (36, 9), ``Bᵀ ⊗ Bᵀ`` (36, 36) and ``Aᵀ ⊗ Aᵀ`` (16, 36) of the paper (section 4), float32.

    ``Aᵀ`` has the powers of the points, ``G`` the same divided by the products of their distances, and ``Bᵀ``
    the coefficients of the polynomials that are zero at all other points.
    """
    finite = np.array(POINTS)
    other_points = [np.delete(finite, i) for i in range(len(finite))]
    norms = [np.prod(point - rest) for point, rest in zip(finite, other_points, strict=True)]
    kernel = np.vander(finite, 3, increasing=True) / np.array(norms)[:, None]
    # np.poly begins with the highest power. All but the last polynomial have one power less.
    inputs = [np.append(np.poly(rest)[::-1], 0.0) for rest in other_points] + [np.poly(finite)[::-1]]
    outputs = np.vander(finite, TILE, increasing=True).T
    along_an_axis = (
        np.vstack([kernel, np.eye(3)[-1]]),
        np.vstack(inputs),
        np.hstack([outputs, np.eye(TILE)[:, -1:]]),
    )
    with torch.inference_mode(False):
        kernels, inputs_, outputs_ = (torch.from_numpy(np.kron(each, each)).float() for each in along_an_axis)
    return kernels, inputs_, outputs_


def arrange(weight: Tensor) -> Tensor:
    """Rearrange a kernel (cout, cin, 3, 3) to (9, cin, cout), for :func:`convolve`."""
    return weight.permute(2, 3, 1, 0).flatten(0, 1).contiguous()


def dense(kernel: Tensor) -> Tensor:
    """Reverse :func:`arrange`."""
    return kernel.unflatten(0, (3, 3)).permute(3, 2, 0, 1)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows of tiles of an image from ``row`` on; ``columns`` is their range in a strip."""

    image: int
    row: int
    count: int
    columns: slice


def _strips(rows: int, together: int, threads: int) -> list[range]:
    """Divide rows of tiles into strips of similar size, ``together`` at most, evenly over threads."""
    count = min(-(-rows // (together * threads)) * threads, rows)
    ends = (np.arange(count + 1) * rows // count).tolist()
    return list(map(range, ends, ends[1:]))


def convolve(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    skip: Tensor | None = None,
    *,
    rectify_input: bool = False,
    rectify: bool = False,
    overwrite: bool = False,
    threads: int = 1,
) -> Tensor:
    """``conv(x) + skip`` with zero padding, optionally with ReLU before and after, and in place of ``skip``.

    ``x``: (B, cin, H, W), float32; ``kernel``: (9, cin, cout), see :func:`arrange`; ``bias``: (cout,);
    ``skip``: (B, cout, H, W); returns (B, cout, H, W), channels last in memory unless ``skip`` is not.

    The work is split for ``threads`` threads of this module, each with one thread of PyTorch: threads of
    PyTorch would synchronise after each of the many products. As many run at a time as PyTorch has threads;
    the result does not depend on their number.
    """
    (images, cin, height, width), cout = x.shape, kernel.shape[2]
    if skip is None:
        out = x.new_empty(images, height, width, cout).permute(0, 3, 1, 2)
    else:
        out = skip if overwrite else skip.clone()
    down, across = -(-height // TILE), -(-width // TILE)
    planes, outputs = x.permute(0, 2, 3, 1), out.permute(0, 2, 3, 1)
    layer = _Layer(planes, bias, outputs, skip is not None, rectify_input, rectify, down, across)
    kernel_bytes = 4 * WINDOW**2 * cin * cout
    if kernel_bytes <= KERNEL_BYTES:
        strips = _strips(images * down, max(STRIP_TILES // across, 1), threads)
        _run_all(functools.partial(layer.compute, transform_kernel(kernel), slice(None)), strips)
        return out
    size = -(-cout // threads)
    while size > 1 and size * kernel_bytes * threads > KERNEL_BYTES * cout:
        size = -(-size // 2)
    parts = [slice(start, min(start + size, cout)) for start in range(0, cout, size)]
    rows = VALUE_BYTES // (4 * WINDOW**2 * cin * across)
    for strip in _strips(images * down, max(rows, 1), 1):
        values = layer.transform_inputs(strip)

        def compute(part: slice, strip: range = strip, values: Tensor = values) -> None:
            layer.compute(transform_kernel(kernel[:, :, part]), part, strip, values)

        _run_all(compute, parts)
    return out


def transform_kernel(kernel: Tensor) -> Tensor:
    """Transform kernels (9, cin, cout) to the points, (36, cin, cout)."""
    return torch.mm(_transforms()[0], kernel.reshape(9, -1)).view(-1, *kernel.shape[1:])


@dataclass(frozen=True, slots=True)
class _Layer:
    """One call of a layer: inputs (B, H, W, cin), outputs (B, H, W, cout), and options.

    An image has ``down`` rows of tiles with ``across`` of them each; a strip is a range of the rows of all
    images, one below the other.
    """

    x: Tensor
    bias: Tensor | None
    out: Tensor
    adds: bool
    rectify_input: bool
    rectify: bool
    down: int
    across: int

    def compute(self, kernel: Tensor, part: slice, strip: range, values: Tensor | None = None) -> None:
        """Compute some output channels of a strip, with their kernel (36, cin, channels)."""
        values = self.transform_inputs(strip) if values is None else values
        products = torch.bmm(values, kernel)
        channels = kernel.shape[2]
        for piece in self._near_cache(strip, channels):
            tiles = torch.mm(_transforms()[2], products.flatten(1)[:, piece.columns])
            self._place(tiles.view(TILE, TILE, piece.count, self.across, channels), piece, part)

    def transform_inputs(self, strip: range) -> Tensor:
        """Transform the input tiles of a strip to the points, (36, tiles, cin)."""
        channels = self.x.shape[3]
        transformed = self.x.new_empty(WINDOW**2, len(strip) * self.across, channels)
        pieces = list(self._near_cache(strip, channels))
        _run_all(functools.partial(self._transform_piece, transformed.flatten(1)), pieces)
        return transformed

    def _near_cache(self, strip: range, channels: int) -> Iterator[_Piece]:
        """Divide a strip into pieces that fit the cache."""
        together = max(PIECE_NUMBERS // (self.across * channels), 1)
        first = start = 0
        while first < len(strip):
            image, row = divmod(strip[first], self.down)
            count = min(together, self.down - row, len(strip) - first)
            stop = start + count * self.across * channels
            yield _Piece(image, row, count, slice(start, stop))
            first, start = first + count, stop

    def _transform_piece(self, output: Tensor, piece: _Piece) -> None:
        """Transform the input tiles of a piece, into its columns of (36, tiles * cin)."""
        _, height, width, channels = self.x.shape
        first = piece.row * TILE - 1  # row of the image that is the first of these
        rows = piece.count * TILE + 2
        padded = self.x.new_zeros(rows, self.across * TILE + 2, channels)
        above, below = max(-first, 0), min(height - first, rows)
        padded[above:below, 1 : width + 1] = self.x[piece.image, first + above : first + below]
        if self.rectify_input:
            padded.relu_()
        overlapping = padded.unfold(0, WINDOW, TILE).unfold(1, WINDOW, TILE).permute(3, 4, 0, 1, 2)
        torch.mm(_transforms()[1], overlapping.reshape(WINDOW**2, -1), out=output[:, piece.columns])

    def _place(self, tiles: Tensor, piece: _Piece, part: slice) -> None:
        """Write output tiles (4, 4, rows of tiles, tiles, channels), cropped to the output."""
        top = piece.row * TILE
        out = self.out[piece.image, top : top + piece.count * TILE, :, part]
        for below, rows, down in _whole_and_rest(out.shape[0]):
            for width, columns, across in _whole_and_rest(out.shape[1]):
                values = tiles[:below, :width, down, across].permute(2, 0, 3, 1, 4)
                target = out[rows, columns].unflatten(1, (-1, width)).unflatten(0, (-1, below))
                if self.adds:
                    target += values
                elif self.bias is None:
                    target.copy_(values)
                else:
                    torch.add(values, self.bias[part], out=target)
        if self.adds and self.bias is not None:
            out += self.bias[part]
        if self.rectify:
            out.relu_()


def _whole_and_rest(size: int) -> Iterator[tuple[int, slice, slice]]:
    """Split an axis into outputs and tiles of whole tiles, and those of the rest."""
    count, rest = divmod(size, TILE)
    if count:
        yield TILE, slice(0, count * TILE), slice(0, count)
    if rest:
        yield rest, slice(count * TILE, size), slice(count, count + 1)


def _run_all(compute: Callable[[Item], None], items: Sequence[Item]) -> None:
    """Run all items, here if PyTorch has one thread, else in as many workers."""
    threads = min(torch.get_num_threads(), len(items))
    if threads == 1:
        for item in items:
            compute(item)
        return
    left = deque(items)

    def work() -> None:
        with torch.inference_mode(inference), torch.set_grad_enabled(False):
            while left:
                try:
                    item = left.popleft()
                except IndexError:  # another thread was faster
                    return
                compute(item)

    inference = torch.is_inference_mode_enabled()
    for worker in _WORKERS.submit(work, threads):
        worker.result()
    work()  # what is left where the interpreter ends, and no thread begins any more


class _Workers:
    """Threads that compute strips for all callers, each with one PyTorch thread.

    There is one pool, as large as the most that a caller has wanted; a larger one takes its place.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start over in a fork, which has none of the threads."""
        self._lock, self._size = threading.Lock(), 0
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, work: Callable[[], None], times: int) -> list[Future[None]]:
        """Run a function several times in parallel."""
        with self._lock:
            if self._pool is None or times > self._size:
                if self._pool is not None:
                    self._pool.shutdown(wait=False)  # what it has begun is finished
                self._pool = ThreadPoolExecutor(
                    times, "segue-winograd", functools.partial(set_own_threads, 1)
                )
                self._size = times
            working: list[Future[None]] = []
            with suppress(RuntimeError):  # the interpreter ends
                working += [self._pool.submit(work) for _ in range(times)]
            return working


_WORKERS = _Workers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_WORKERS.reset)
