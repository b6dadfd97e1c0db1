"""Wide 3x3 convolutions by NNPACK equal direct ones up to rounding."""

from __future__ import annotations

import threading
import time

import pytest
import torch
from torch import nn

from segue.inference.cpu import winograd
from segue.inference.cpu.fused import FusedConv2d
from segue.inference.cpu.onednn import can_fuse

pytestmark = pytest.mark.skipif(
    not (torch.backends.nnpack.is_available() and can_fuse()),
    reason="this processor has no NNPACK or no fused layers",
)

TOLERANCE = 5e-5  # of the largest output


@pytest.mark.parametrize("strip_bytes", [1, winograd.STRIP_BYTES])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("after", ["nothing", "relu", "skip", "skip and relu"])
@pytest.mark.parametrize("size", [(32, 32), (41, 53)])
def test_it_equals_a_direct_convolution(
    size: tuple[int, int], after: str, bias: bool, strip_bytes: int
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(100, 96, 3, padding=1, bias=bias).requires_grad_(False)
    x, skip = torch.randn(2, 100, *size), torch.randn(2, 96, *size) if "skip" in after else None
    x = x.contiguous(memory_format=torch.channels_last)
    assert winograd.is_faster(x, 96)
    expected = conv(x) if skip is None else conv(x) + skip
    expected = expected.relu() if "relu" in after else expected
    rectify, limit = "relu" in after, TOLERANCE * float(expected.abs().max())
    for found in (
        winograd.convolve(x, conv.weight, conv.bias, skip, rectify=rectify, strip_bytes=strip_bytes),
        FusedConv2d(conv, "none")(x, skip, rectify=rectify),
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=limit)


def test_the_sum_is_written_over_the_skip_only_where_that_is_allowed() -> None:
    conv = nn.Conv2d(96, 96, 3, padding=1).requires_grad_(False)
    x, skip = torch.randn(1, 96, 32, 32), torch.zeros(1, 96, 32, 32)
    FusedConv2d(conv, "none")(x, skip)
    assert not skip.any()
    found = FusedConv2d(conv, "none")(x, skip, overwrite=True)
    assert torch.equal(found, skip)


def test_parts_of_the_channels_add_up() -> None:
    conv = nn.Conv2d(224, 96, 3, padding=1).requires_grad_(False)
    x = torch.randn(1, 224, 32, 40)
    fused = FusedConv2d(conv, "none")
    found = fused(x[:, :128], bias=False) + fused(x[:, 128:], first=128)
    expected = conv(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE * float(expected.abs().max()))


def test_a_layer_serves_small_and_large_maps_in_turn() -> None:
    conv = nn.Conv2d(512, 128, 3, padding=1).requires_grad_(False)  # arranged weights of one form are kept
    fused = FusedConv2d(conv, "relu")
    for side in (8, 32, 8, 32):
        x = torch.randn(1, 512, side, side)
        expected = conv(x).relu()
        torch.testing.assert_close(fused(x), expected, rtol=0, atol=TOLERANCE * float(expected.max()))


def test_threads_share_the_strips_and_give_the_same_bytes() -> None:
    threads = torch.get_num_threads()
    conv = nn.Conv2d(96, 128, 3, padding=1).requires_grad_(False)
    x = torch.randn(2, 96, 61, 40).contiguous(memory_format=torch.channels_last)
    found = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(FusedConv2d(conv, "relu")(x))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def number_of_a_new_thread() -> int:
    begun: list[int] = []
    other = threading.Thread(target=lambda: begun.append(torch.get_num_threads()))
    other.start()
    other.join()
    return begun[0]


def test_there_is_one_pool_however_often_the_number_of_threads_changes() -> None:
    conv = nn.Conv2d(96, 96, 3, padding=1).requires_grad_(False)
    x, before = torch.randn(1, 96, 64, 40), torch.get_num_threads()
    assert winograd.is_faster(x, 96)
    try:
        for count in (3, 2, 4, 2, 3, 4, 1):
            torch.set_num_threads(count)
            winograd.convolve(x, conv.weight, conv.bias)
            deadline = time.monotonic() + 10
            while number_of_a_new_thread() != count:  # but for the moment in which a helper begins
                assert time.monotonic() < deadline
    finally:
        torch.set_num_threads(before)
    helpers = [thread for thread in threading.enumerate() if thread.name.startswith("segue-winograd")]
    for helper in helpers:
        helper.join(0.1)  # those of a pool that was closed end by themselves
    assert sum(helper.is_alive() for helper in helpers) <= 3
