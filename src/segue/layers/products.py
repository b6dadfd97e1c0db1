"""Products with a large table, such as the keys of a memory, in the form that is fastest on this machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from segue.layers.onednn import arrange_rows, can_fuse, product
from segue.layers.tuning import Tuner, tuner

LEAST_ROWS = 8192
"""Rows of a table from which on the forms are timed; the others take a small part of a frame."""

Product = Callable[[Tensor], Tensor]


def product_with(rows: Tensor, block: int, chooser: Tuner | None = None) -> Product:
    """A function that multiplies (B, C) with ``rows`` (N, C), giving (B, N), float32, without gradients."""
    if rows.device.type != "cpu" or not can_fuse():
        return lambda x: x @ rows.T
    if len(rows) < LEAST_ROWS:
        return _arranged(rows, block)
    forms = {"arranged": _arranged, "columns": _columns}
    prepared: dict[str, Product] = {}

    def run(name: str) -> Tensor:
        if name not in prepared:
            prepared[name] = forms[name](rows, block)
        return prepared[name](rows[:block])

    chosen = (chooser or tuner()).choose(
        f"product {rows.shape[1]} block 2^{block.bit_length() - 1} rows 2^{len(rows).bit_length() - 1}",
        {name: partial(run, name) for name in forms},
        "arranged",
    )
    return prepared.get(chosen) or forms[chosen](rows, block)


def _arranged(rows: Tensor, block: int) -> Product:
    return partial(product, rows=arrange_rows(rows, block))


def _columns(rows: Tensor, block: int) -> Product:
    columns = rows.T.contiguous()
    return lambda x: torch.mm(x, columns)
