"""Products with a table give what the plain product gives, in every form."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.layers import products
from segue.layers.onednn import can_fuse
from segue.layers.products import product_with
from segue.layers.tuning import PRODUCTS, Tuner

pytestmark = pytest.mark.skipif(not can_fuse(), reason="PyTorch multiplies in one form on this processor")


class Recording(Tuner):
    """Takes one form; keeps the keys, and what the forms gave."""

    def __init__(self, form: str) -> None:
        super().__init__(None, times=False)
        self.form = form
        self.given: dict[str, dict[str, object]] = {}

    def choose(self, key: str, forms: Mapping[str, Callable[[], object]], fallback: str) -> str:
        self.given[key] = {name: run() for name, run in forms.items()}
        return self.form


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 40),
    queries=st.integers(1, 20),
    channels=st.integers(1, 20),
    form=st.sampled_from(PRODUCTS),
)
@torch.inference_mode()
def test_every_form_gives_the_plain_product(rows: int, queries: int, channels: int, form: str) -> None:
    generator = torch.Generator().manual_seed(rows)
    table, x = (
        torch.randn(rows, channels, generator=generator),
        torch.randn(queries, channels, generator=generator),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "LEAST_ROWS", 1)
        multiply = product_with(table, 7, Recording(form))
    torch.testing.assert_close(multiply(x), x @ table.T, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(multiply(x[:1]), x[:1] @ table.T, rtol=1e-5, atol=1e-5)
