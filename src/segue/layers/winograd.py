"""3x3 convolutions with fewer multiplications, for inference on a processor.

Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (2015): a tile of m x m outputs is a product
of polynomials, evaluated at m + 2 points instead of multiplied out, ``y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A``. Over
the channels the products ⊙ are ordinary matrix products, one for each of the (m + 2)² pairs of points: of the
multiplications of the direct form 4/9 remain with m = 2, and 1/4 with m = 4.

The points of the paper for m = 4, {0, ±1, ±2, ∞}, lose digits. Scaled by 3/4 they lose about as few as the
direct form, and all constants of the input transform are still exact in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIP_TILES = 160
"""Tiles that are transformed at a time: enough for efficient products, few enough to stay in the cache."""

CHUNK = 64
"""Output channels whose weights are transformed at a time: in float64 they are large."""

LARGE = 512 * 256
"""Product of channels above which weights for 4x4 tiles, four times the direct ones, take too much memory."""

NEAR, FAR = 3 / 4, 3 / 2
"""Positive points of the 4x4 tiling; the negative ones mirror them."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """How one dimension is cut and transformed; tiles use it for rows and then for columns.

    Attributes:
        size: outputs of a tile, m.
        kernel: G, (m + 2) x 3, rows as the transforms below need them.
        scales: factors of the m outputs, which are left to the end.
        evaluate: Bᵀ: m + 2 inputs to the values at m + 2 points, stacked in the first dimension of the target.
        interpolate: Aᵀ without the scales: values at m + 2 points to m outputs, likewise.
    """

    size: int
    kernel: tuple[tuple[float, ...], ...]
    scales: tuple[float, ...]
    evaluate: Callable[[Sequence[Tensor], Tensor], None]
    interpolate: Callable[[Tensor, Tensor], None]

    def transform(self, weight: Tensor) -> Tensor:
        """Weights (O, I, 3, 3) at all pairs of points, ((m + 2)², I, O); worked out in float64."""
        cout, cin = weight.shape[:2]
        g = torch.tensor(self.kernel, dtype=torch.float64, device=weight.device)
        values = weight.new_empty(len(g) ** 2, cin, cout)
        for part, target in zip(weight.detach().split(CHUNK), values.split(CHUNK, 2), strict=True):
            rows = torch.einsum("ai,ocij->acoj", g, part.double())
            target.copy_(torch.einsum("bj,acoj->abco", g, rows).flatten(0, 1))
        return values


def _evaluate2(d: Sequence[Tensor], out: Tensor) -> None:
    torch.sub(d[0], d[2], out=out[0])
    torch.add(d[1], d[2], out=out[1])
    torch.sub(d[2], d[1], out=out[2])
    torch.sub(d[1], d[3], out=out[3])


def _interpolate2(m: Tensor, out: Tensor) -> None:
    torch.add(m[0], m[1], out=out[0]).add_(m[2])
    torch.sub(m[1], m[2], out=out[1]).sub_(m[3])


def _evaluate4(d: Sequence[Tensor], out: Tensor) -> None:
    near, far = NEAR**2, FAR**2
    torch.add(d[4], d[2], alpha=-near - far, out=out[0]).add_(d[0], alpha=near * far)
    for first, point, other in ((1, NEAR, far), (3, FAR, near)):
        even = torch.add(d[4], d[2], alpha=-other)
        odd = torch.add(d[3], d[1], alpha=-other)
        torch.add(even, odd, alpha=point, out=out[first])
        torch.add(even, odd, alpha=-point, out=out[first + 1])
    torch.add(d[5], d[3], alpha=-near - far, out=out[5]).add_(d[1], alpha=near * far)


def _interpolate4(m: Tensor, out: Tensor) -> None:
    even, odd = m[1] + m[2], m[1] - m[2]
    far_even, far_odd = m[3] + m[4], m[3] - m[4]
    torch.add(even, far_even, out=out[0]).add_(m[0])
    torch.add(odd, far_odd, alpha=2, out=out[1])
    torch.add(even, far_even, alpha=4, out=out[2])
    torch.add(odd, far_odd, alpha=8, out=out[3]).add_(m[5])


def _kernel4() -> tuple[tuple[float, ...], ...]:
    near, far = NEAR**2, FAR**2
    rows: list[tuple[float, ...]] = [(1 / (near * far), 0, 0)]
    for point, square, other in ((NEAR, near, far), (FAR, far, near)):
        norm = 1 / (2 * square * (square - other))
        rows += [(norm, sign * norm * point, norm * square) for sign in (1, -1)]
    return (*rows, (0, 0, NEAR**-3))


TILING2 = Tiling(
    2, ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1)), (1, 1), _evaluate2, _interpolate2
)  # fmt: skip
TILING4 = Tiling(4, _kernel4(), (1, NEAR, NEAR**2, NEAR**3), _evaluate4, _interpolate4)


class WinogradConv2d(nn.Module):
    """A 3x3 convolution with stride 1 and padding 1 as matrix products at points; same result up to rounding.

    Args:
        conv: the convolution; its weights are transformed once, the bias is shared.
        tiling: the size of its tiles.

    Raises:
        ValueError: the convolution has another kernel, stride or padding, or groups.
    """

    kernel: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d, tiling: Tiling = TILING4) -> None:
        super().__init__()
        if not is_plain_3x3(conv):
            raise ValueError(f"{conv} is not a zero-padded 3x3 convolution of stride 1 without groups")
        self.tiling = tiling
        self.register_buffer("kernel", tiling.transform(conv.weight))
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) → (B, cout, H, W), channels last in memory."""
        return self.channels(x, 0, bias=True)

    def channels(self, x: Tensor, first: int, *, bias: bool) -> Tensor:
        """The part that acts on input channels ``first`` to ``first + x.shape[1]``, with or without bias."""
        kernel = self.kernel[:, first : first + x.shape[1]]
        shift = self.bias if bias and self.bias is not None else x.new_zeros(())
        pictures = x.permute(0, 2, 3, 1)
        batch, height, width, _ = pictures.shape
        out = x.new_empty(batch, height, width, kernel.shape[2])
        scales = self._scales(height, width, x)
        for group, rows in strips(batch, height, width, self.tiling.size):
            target = out[group, rows]
            tiles = self._tiles(pictures[group], rows, kernel)[:, : target.shape[1], :width]
            torch.addcmul(shift, tiles, scales[rows], out=target)
        return out.permute(0, 3, 1, 2)

    def _tiles(self, pictures: Tensor, rows: slice, kernel: Tensor) -> Tensor:
        """Unscaled outputs of whole tiles from ``rows`` on, (B, H, W, C) → (B, >= rows, >= W, O)."""
        size, points = self.tiling.size, self.tiling.size + 2
        batch, height, width, cin = pictures.shape
        down, across = -(-(rows.stop - rows.start) // size), -(-width // size)
        top, bottom = max(rows.start - 1, 0), min(rows.start + size * down + 1, height)
        above, below = top - (rows.start - 1), rows.start + size * down + 1 - bottom
        right = size * across + 1 - width
        padded = F.pad(pictures[:, top:bottom], (0, 0, 1, right, above, below))
        by_row = padded.new_empty(points, batch, down, size * across + 2, cin)
        self.tiling.evaluate([padded[:, i::size][:, :down] for i in range(points)], by_row)
        values = padded.new_empty(points, points, batch, down, across, cin)
        columns = [by_row[..., j::size, :][..., :across, :] for j in range(points)]
        self.tiling.evaluate(columns, values.transpose(0, 1))
        products = torch.bmm(values.view(points * points, -1, cin), kernel)
        products = products.view(points, points, batch, down, across, -1)
        half = products.new_empty(size, *products.shape[1:])
        self.tiling.interpolate(products, half)
        tiles = products.new_empty(batch, down, size, across, size, products.shape[-1])
        self.tiling.interpolate(half.transpose(0, 1), tiles.permute(4, 2, 0, 1, 3, 5))
        return tiles.view(batch, down * size, across * size, -1)

    def _scales(self, height: int, width: int, like: Tensor) -> Tensor:
        """Factor of each output pixel, (height, width, 1)."""
        down = _repeated(self.tiling.scales, height, like)
        return (down[:, None] * _repeated(self.tiling.scales, width, like))[..., None]


def _repeated(values: Sequence[float], length: int, like: Tensor) -> Tensor:
    return like.new_tensor(values).repeat(-(-length // len(values)))[:length]


def strips(batch: int, height: int, width: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Pictures and rows to work on at a time: several whole pictures, or whole rows of tiles of one."""
    across, down = -(-width // size), -(-height // size)
    rows = min(max(STRIP_TILES // across, 1), down)
    pictures = max(STRIP_TILES // (across * down), 1)
    for first in range(0, batch, pictures):
        for top in range(0, height, rows * size):
            yield slice(first, min(first + pictures, batch)), slice(top, min(top + rows * size, height))


def is_plain_3x3(conv: nn.Conv2d) -> bool:
    """Whether :class:`WinogradConv2d` can replace a convolution."""
    form = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode)
    return form == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")


def use_winograd(module: nn.Module) -> None:
    """Replace the convolutions inside ``module`` that become faster, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and is_plain_3x3(child):
            tiling = choose_tiling(child.in_channels, child.out_channels)
            if tiling:
                setattr(module, name, WinogradConv2d(child, tiling))
        else:
            use_winograd(child)


def choose_tiling(cin: int, cout: int) -> Tiling | None:
    """The tiling for a layer by its channels; None where the direct form is as good."""
    if min(cin, cout) < 128:
        return None
    return TILING4 if cin * cout <= LARGE else TILING2
