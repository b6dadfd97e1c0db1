"""Products with a large table, such as the keys of a memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from segue.layers.onednn import arrange_rows, can_fuse, product

Product = Callable[[Tensor], Tensor]


def product_with(rows: Tensor, block: int) -> Product:
    """A function that multiplies (B, C) with ``rows`` (N, C), giving (B, N), float32, without gradients."""
    if rows.device.type != "cpu" or not can_fuse():
        return lambda x: x @ rows.T
    return partial(product, rows=arrange_rows(rows, block))
