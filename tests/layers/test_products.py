"""Products with a table give what the plain product gives."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.layers.products import product_with


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 40), queries=st.integers(1, 20), channels=st.integers(1, 20))
@torch.inference_mode()
def test_gives_the_plain_product(rows: int, queries: int, channels: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    table, x = (
        torch.randn(rows, channels, generator=generator),
        torch.randn(queries, channels, generator=generator),
    )
    multiply = product_with(table, 7)
    torch.testing.assert_close(multiply(x), x @ table.T, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(multiply(x[:1]), x[:1] @ table.T, rtol=1e-5, atol=1e-5)
