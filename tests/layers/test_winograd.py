"""Winograd convolutions give what the direct form gives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from segue.layers import winograd
from segue.layers.activated import ActivatedConv2d
from segue.layers.residual import conv_channels
from segue.layers.winograd import (
    Scratch,
    Tile,
    WinogradConv2d,
    is_plain_3x3,
    outputs_in_parts,
    strips,
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
    tile=st.sampled_from((2, 4, 6)),
)
def test_equals_the_direct_form(
    batch: int, cin: int, cout: int, height: int, width: int, bias: bool, tile: Tile
) -> None:
    conv, x = layer(cin, cout, bias=bias), random(batch, cin, height, width)
    y = WinogradConv2d(conv, Scratch(), tile)(x)
    torch.testing.assert_close(y, conv(x), rtol=1e-12, atol=1e-12)
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("rectify", [False, True])
@pytest.mark.parametrize("overwrite", [False, True])
def test_joins_a_skip_in_its_own_memory_only_where_allowed(overwrite: bool, rectify: bool) -> None:
    conv, x, skip = layer(3, 4), random(2, 3, 9, 7), random(2, 4, 9, 7)
    before, expected = skip.clone(), conv(x) + skip
    y = WinogradConv2d(conv, Scratch()).joined(x, skip, rectify=rectify, overwrite=overwrite)
    torch.testing.assert_close(y, expected.relu() if rectify else expected, rtol=1e-12, atol=1e-12)
    assert (y.data_ptr() == skip.data_ptr()) == overwrite
    assert overwrite or torch.equal(skip, before)


@pytest.mark.parametrize("tile", [2, 4, 6])
def test_rectifies_its_input_and_leaves_it_as_it_is(tile: Tile) -> None:
    conv, x = layer(3, 4), random(2, 3, 9, 7)
    before = x.clone()
    torch.testing.assert_close(
        WinogradConv2d(conv, Scratch(), tile).of_rectified(x), conv(x.relu()), rtol=1e-12, atol=1e-12
    )
    assert torch.equal(x, before)


@few
@given(tiles=st.integers(1, 20), part=st.integers(1, 20), batch=st.integers(1, 5), height=sizes, width=sizes)
def test_strips_cover_every_row_of_every_picture_once(
    tiles: int, part: int, batch: int, height: int, width: int
) -> None:
    seen = torch.zeros(batch, height)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "STRIP_TILES", tiles)
        patch.setattr(winograd, "PIECE_COLUMNS", 2 * part)
        conv, x = layer(2, 3), random(batch, 2, height, width)
        torch.testing.assert_close(WinogradConv2d(conv, Scratch())(x), conv(x), rtol=1e-12, atol=1e-12)
        for strip in strips(slice(0, batch), slice(0, height), width, tiles):
            for piece in strips(strip.pictures, strip.rows, width, part):
                seen[piece.pictures, piece.rows] += 1
    assert (seen == 1).all()


@few
@given(first=st.integers(0, 3), count=st.integers(1, 3), bias=st.booleans())
def test_part_of_the_input_channels_acts_as_with_the_direct_form(first: int, count: int, bias: bool) -> None:
    conv, x = layer(6, 4), random(2, count, 7, 9)
    fast = WinogradConv2d(conv, Scratch())
    expected = F.conv2d(x, conv.weight[:, first : first + count], conv.bias if bias else None, padding=1)
    torch.testing.assert_close(conv_channels(fast, x, first, bias=bias), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("tiles_at_a_time", [1, 4, 100])
def test_outputs_in_parts_are_the_outputs_at_once(
    tiles_at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "STRIP_BYTES", tiles_at_a_time * 36 * 5 * 8)
    conv, x = layer(5, 6), random(2, 5, 9, 6)
    monkeypatch.setattr(winograd, "KERNEL_BYTES", 36 * 5 * 2 * 8)
    fast = WinogradConv2d(conv, Scratch())
    assert len(fast.weight) == outputs_in_parts(5, 6, 8) == 3
    torch.testing.assert_close(fast(x), conv(x), rtol=1e-12, atol=1e-12)
    sliced = fast.channels(x[:, :3], 2, bias=True)
    torch.testing.assert_close(sliced, F.conv2d(x[:, :3], conv.weight[:, 2:], conv.bias, padding=1))


@pytest.mark.parametrize(("tile", "bound"), [(2, 1e-5), (4, 1e-5), (6, 4e-5)])
def test_float32_is_about_as_exact_as_the_direct_form(tile: Tile, bound: float) -> None:
    conv, x = layer(128, 128), random(1, 128, 30, 54)
    exact = conv(x)
    single = layer(128, 128, torch.float32)
    single.load_state_dict(conv.state_dict())
    fast = WinogradConv2d(single, Scratch(), tile)(x.float())
    assert (fast - exact).abs().max() <= bound * exact.abs().max()


def test_one_scratch_serves_layers_of_all_sizes_and_types() -> None:
    scratch = Scratch()
    small, large, single = layer(2, 3), layer(4, 5), layer(2, 3, torch.float32)
    layers = [WinogradConv2d(conv, scratch) for conv in (small, large, single)]
    for conv, fast in zip((small, large, single), layers, strict=True):
        x = random(1, conv.in_channels, 6, 6, dtype=conv.weight.dtype)
        torch.testing.assert_close(fast(x), conv(x))
    again = random(1, 2, 6, 6)
    torch.testing.assert_close(layers[0](again), small(again))


def test_an_activation_comes_after_the_convolution() -> None:
    conv, x = ActivatedConv2d.rectified(3, 4).double(), random(1, 3, 6, 6)
    torch.testing.assert_close(WinogradConv2d(conv, Scratch())(x), conv(x))
    conv.activation = "relu6"
    assert not is_plain_3x3(conv)


@pytest.mark.parametrize("tile", [2, 4, 6])
def test_an_empty_batch_gives_an_empty_result(tile: Tile) -> None:
    conv, nothing = layer(3, 4), torch.empty(0, 3, 6, 7, dtype=torch.float64)
    fast = WinogradConv2d(conv, Scratch(), tile)
    assert fast(nothing).shape == conv(nothing).shape == (0, 4, 6, 7)
    assert fast.joined(nothing, torch.empty(0, 4, 6, 7, dtype=torch.float64)).shape == (0, 4, 6, 7)


def test_refuses_what_it_cannot_replace() -> None:
    with pytest.raises(ValueError, match="is not a zero-padded 3x3 convolution"):
        WinogradConv2d(nn.Conv2d(4, 4, 3, stride=2, padding=1), Scratch())
