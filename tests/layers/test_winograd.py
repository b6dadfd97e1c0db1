"""Winograd convolutions give what the direct form gives."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from segue.layers.winograd import (
    Scratch,
    Tile,
    WinogradConv2d,
)

few = settings(max_examples=40, deadline=None)
sizes = st.integers(1, 14)
channels = st.integers(1, 5)


def layer(cin: int, cout: int, dtype: torch.dtype = torch.float64, *, bias: bool = True) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(cin, cout, 3, padding=1, bias=bias, dtype=dtype).requires_grad_(False)


def random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


@few
@given(
    batch=st.integers(1, 4),
    cin=channels,
    cout=channels,
    height=sizes,
    width=sizes,
    bias=st.booleans(),
    tile=st.sampled_from((2, 4)),
)
def test_equals_the_direct_form(
    batch: int, cin: int, cout: int, height: int, width: int, bias: bool, tile: Tile
) -> None:
    conv, x = layer(cin, cout, bias=bias), random(batch, cin, height, width)
    y = WinogradConv2d(conv, Scratch(), tile)(x)
    torch.testing.assert_close(y, conv(x), rtol=1e-12, atol=1e-12)
    assert y.is_contiguous(memory_format=torch.channels_last)
