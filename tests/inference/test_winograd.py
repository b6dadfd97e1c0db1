"""Wide 3x3 convolutions by Winograd's algorithm equal direct ones up to rounding."""

from __future__ import annotations

import threading
import time

import pytest
import torch
from torch import nn

from segue.inference.cpu import winograd
from segue.inference.cpu.features import can_fuse
from segue.inference.cpu.forms import DIRECT, Forms
from segue.inference.cpu.fused import FusedConv2d

pytestmark = pytest.mark.skipif(not can_fuse(), reason="this processor has no fused layers")

TOLERANCE = 1e-5  # of the largest output
WIDE = Forms("AVX2", 2, ((96, 1024),))


@pytest.mark.parametrize("kernel_bytes", [1, winograd.KERNEL_BYTES])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("after", ["nothing", "relu", "skip", "skip and relu"])
@pytest.mark.parametrize("size", [(32, 32), (41, 53)])
def test_winograd_equals_a_direct_convolution(
    size: tuple[int, int], after: str, bias: bool, kernel_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "KERNEL_BYTES", kernel_bytes)  # a larger kernel is made in parts
    torch.manual_seed(0)
    conv = nn.Conv2d(100, 96, 3, padding=1, bias=bias).requires_grad_(False)
    x, skip = torch.randn(2, 100, *size), torch.randn(2, 96, *size) if "skip" in after else None
    x = x.contiguous(memory_format=torch.channels_last)
    expected = conv(x) if skip is None else conv(x) + skip
    expected = expected.relu() if "relu" in after else expected
    rectify, limit = "relu" in after, TOLERANCE * float(expected.abs().max())
    direct = FusedConv2d(conv, "none", DIRECT)(x, skip, rectify=rectify)
    found = FusedConv2d(conv, "none", WIDE)(x, skip, rectify=rectify)
    assert not torch.equal(found, direct)
    torch.testing.assert_close(found, expected, rtol=0, atol=limit)


@pytest.mark.parametrize("forms", [DIRECT, WIDE])
@torch.inference_mode()
def test_inputs_are_rectified_as_by_a_relu_before_the_layer(forms: Forms) -> None:
    conv = nn.Conv2d(100, 96, 3, padding=1)
    x = torch.randn(2, 100, 41, 53).contiguous(memory_format=torch.channels_last)
    before = x.clone()
    expected = FusedConv2d(conv, "relu", forms)(x.relu())
    assert torch.equal(FusedConv2d(conv, "relu", forms)(x, rectify_input=True), expected)
    assert torch.equal(x, before)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 4), (7, 70), (200, 3)])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_maps_of_any_size_are_divided_for_any_number_of_threads(size: tuple[int, int], threads: int) -> None:
    conv = nn.Conv2d(8, 6, 3, padding=1).requires_grad_(False)
    x = torch.randn(3, 8, *size)
    found = winograd.convolve(x, winograd.arrange(conv.weight), conv.bias, threads=threads)
    torch.testing.assert_close(found, conv(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_positions_of_all_objects_count_on_one_thread(threads: int) -> None:
    conv = nn.Conv2d(96, 96, 3, padding=1).requires_grad_(False)
    x = torch.randn(2, 96, 16, 32).contiguous(memory_format=torch.channels_last)
    found = FusedConv2d(conv, "none", Forms("AVX2", threads, ((96, 1024),)))(x)
    assert torch.equal(found, FusedConv2d(conv, "none", DIRECT)(x)) == (threads > 1)
    torch.testing.assert_close(found, conv(x), rtol=0, atol=1e-5)


def test_arranged_weights_are_the_same_weights() -> None:
    weight = torch.randn(5, 7, 3, 3)
    assert torch.equal(winograd.dense(winograd.arrange(weight)), weight)


def test_the_sum_is_written_over_the_skip_only_where_that_is_allowed() -> None:
    conv = nn.Conv2d(96, 96, 3, padding=1).requires_grad_(False)
    x, skip = torch.randn(1, 96, 32, 32), torch.zeros(1, 96, 32, 32)
    FusedConv2d(conv, "none", WIDE)(x, skip)
    assert not skip.any()
    found = FusedConv2d(conv, "none", WIDE)(x, skip, overwrite=True)
    assert torch.equal(found, skip)


def test_parts_of_the_channels_add_up() -> None:
    conv = nn.Conv2d(224, 96, 3, padding=1).requires_grad_(False)
    x = torch.randn(1, 224, 32, 40)
    fused = FusedConv2d(conv, "none", WIDE)
    found = fused(x[:, :128], bias=False) + fused(x[:, 128:], first=128)
    expected = conv(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE * float(expected.abs().max()))


def test_a_layer_serves_small_and_large_maps_in_turn() -> None:
    conv = nn.Conv2d(512, 128, 3, padding=1).requires_grad_(False)  # arranged weights of one form are kept
    fused = FusedConv2d(conv, "relu", WIDE)
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
            found.append(FusedConv2d(conv, "relu", WIDE)(x))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def number_is_kept(count: int, x: torch.Tensor, kernel: torch.Tensor, conv: nn.Conv2d) -> bool:
    """Whether new threads have so many after a convolution; a thread of another test may set its own."""
    torch.set_num_threads(count)
    winograd.convolve(x, kernel, conv.bias, threads=count)
    deadline = time.monotonic() + 5
    while number_of_a_new_thread() != count:  # but for the moment in which a helper begins
        if time.monotonic() > deadline:
            return False
    return True


def number_of_a_new_thread() -> int:
    begun: list[int] = []
    other = threading.Thread(target=lambda: begun.append(torch.get_num_threads()))
    other.start()
    other.join()
    return begun[0]


@pytest.mark.slow
def test_there_is_one_pool_however_often_the_number_of_threads_changes() -> None:
    conv = nn.Conv2d(96, 96, 3, padding=1).requires_grad_(False)
    x, before = torch.randn(1, 96, 64, 40), torch.get_num_threads()
    kernel = winograd.arrange(conv.weight)
    try:
        for count in (3, 2, 4, 2, 3, 4, 1):
            assert any(number_is_kept(count, x, kernel, conv) for _ in range(3))
    finally:
        torch.set_num_threads(before)
    helpers = [thread for thread in threading.enumerate() if thread.name.startswith("segue-winograd")]
    for helper in helpers:
        helper.join(0.1)  # those of a pool that was closed end by themselves
    assert sum(helper.is_alive() for helper in helpers) <= 4
