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
    chosen = (chooser or tuner()).choose(
        f"product {rows.shape[1]} block 2^{block.bit_length() - 1} rows 2^{len(rows).bit_length() - 1}",
        {name: _Run(form, rows, block) for name, form in forms.items()},
        "arranged",
    )
    return forms[chosen](rows, block)


class _Run:
    """One product of a form, whose table is prepared at the first call."""

    def __init__(self, form: Callable[[Tensor, int], Product], rows: Tensor, block: int) -> None:
        self._form, self._rows, self._block = form, rows, block
        self._multiply: Product | None = None

    def __call__(self) -> Tensor:
        if self._multiply is None:
            self._multiply = self._form(self._rows, self._block)
        return self._multiply(self._rows[: self._block])


def _arranged(rows: Tensor, block: int) -> Product:
    return partial(product, rows=arrange_rows(rows, block))


def _columns(rows: Tensor, block: int) -> Product:
    columns = rows.T.contiguous()
    return lambda x: torch.mm(x, columns)
