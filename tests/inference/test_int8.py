"""Convolutions of 8-bit integers are exact where numbers are integers, and near to float32 in a network."""

from __future__ import annotations

from collections import OrderedDict
from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from segue.errors import SegueError
from segue.inference.cpu.features import has_int8, int8_weight_limit
from segue.inference.cpu.fused import FusedConv2d
from segue.inference.cpu.int8 import RELU6_SCALE, FineInt8Conv2d, Int8Conv2d, balanced, quantize, use_int8
from segue.inference.running import choose_precision, inference_copy
from segue.layers.activated import Activation
from segue.layers.mobilenet import InvertedResidual, MobileNetV2Trunk
from segue.models.xmem import XMem
from segue.sessions import TrackSession
from segue.weights import Prepared, prepare
from tests.clips import clip

pytestmark = pytest.mark.skipif(
    not has_int8(), reason="this processor has no instructions for 8-bit integers"
)

CPU = torch.device("cpu")


def integers(*shape: int, low: int, high: int) -> Tensor:
    """Whole numbers from ``low`` to ``high``, both of which occur."""
    x = torch.randint(low, high + 1, shape).float()
    x.view(-1)[0], x.view(-1)[-1] = low, high
    return x.contiguous(memory_format=torch.channels_last)


def of_integers(kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution of 8 to 16 channels whose weights are whole numbers that 8 bits hold."""
    conv, limit = nn.Conv2d(8, 16, kernel, stride, kernel // 2, groups=groups), int8_weight_limit()
    with torch.no_grad():
        conv.weight.copy_(torch.randint(-limit, limit + 1, conv.weight.shape))
        conv.weight[:, 0, 0, 0] = limit
        assert conv.bias is not None
        conv.bias.copy_(torch.randint(-500, 500, (16,)))
    return conv


def plainly(conv: nn.Conv2d, x: Tensor) -> Tensor:
    bias = None if conv.bias is None else conv.bias.double()
    return F.conv2d(
        x.double(), conv.weight.double(), bias, conv.stride, conv.padding, conv.dilation, conv.groups
    ).float()


@settings(max_examples=40)
@given(
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 2),
    groups=st.sampled_from([1, 8]),
    activation=st.sampled_from(["none", "relu", "relu6"]),
    signed=st.booleans(),
    size=st.tuples(st.integers(3, 20), st.integers(3, 20)),
)
@torch.inference_mode()
def test_integers_are_convolved_exactly(
    kernel: int, stride: int, groups: int, activation: Activation, signed: bool, size: tuple[int, int]
) -> None:
    conv = of_integers(kernel, stride, groups)
    layer = Int8Conv2d(FusedConv2d(conv, activation))
    for batch in (1, 2):
        x = integers(batch, 8, *size, low=-128 if signed else 0, high=127 if signed else 255)
        expected = plainly(conv, x)
        expected = {"none": expected, "relu": expected.relu(), "relu6": expected.clamp(0, 6)}[activation]
        assert torch.equal(layer(x), expected)


@pytest.mark.parametrize("rectify", [False, True])
@pytest.mark.parametrize("overwrite", [False, True])
@torch.inference_mode()
def test_a_map_is_added_and_the_sum_rectified(rectify: bool, overwrite: bool) -> None:
    conv, x, skip = (
        of_integers(),
        integers(1, 8, 9, 7, low=0, high=255),
        integers(1, 16, 9, 7, low=-9, high=9),
    )
    expected, before = plainly(conv, x) + skip, skip.clone()
    found = Int8Conv2d(FusedConv2d(conv, "none"))(x, skip, rectify=rectify, overwrite=overwrite)
    assert torch.equal(found, expected.relu() if rectify else expected)
    assert torch.equal(skip, found if overwrite else before)


@torch.inference_mode()
def test_some_input_channels_are_convolved_alone() -> None:
    conv, few, rest = (
        of_integers(),
        integers(1, 3, 9, 7, low=0, high=255),
        integers(1, 5, 9, 7, low=0, high=255),
    )
    layer = Int8Conv2d(FusedConv2d(conv, "none"))
    found = layer(few) + layer(rest, first=3, bias=False)
    assert torch.equal(found, plainly(conv, torch.cat([few, rest], 1)))


@torch.inference_mode()
def test_fine_weights_keep_small_differences_of_large_numbers() -> None:
    conv = FusedConv2d(nn.Conv2d(2, 16, 3, padding=1), "none")
    weight = conv.dense_weight()
    weight[:, 1] = -weight[:, 0]
    near = torch.randint(200, 203, (2, 1, 2, 16, 16)).to(torch.uint8)
    x = torch.cat([*near], 1)[:, ::2].contiguous(memory_format=torch.channels_last)
    skip = torch.randn(1, 16, 16, 16).contiguous(memory_format=torch.channels_last)
    expected = conv(x.float(), skip)
    before = skip.clone()
    found = FineInt8Conv2d(conv)(x, skip, rectify=True)
    assert (found - expected.relu()).abs().max() < 0.02
    assert torch.equal(skip, before)


@given(size=st.tuples(*[st.integers(1, 6)] * 4), seed=st.integers(0, 99))
def test_rounded_weights_have_the_sums_of_the_exact_ones(size: tuple[int, ...], seed: int) -> None:
    weight = 20 * torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rounded = balanced(weight)
    errors = rounded - weight
    assert torch.equal(rounded, rounded.round())
    assert errors.abs().max() <= 1
    assert errors.sum((1, 2, 3)).abs().max() <= 0.5 + 1e-9
    whole = weight.round()
    assert torch.equal(balanced(whole), whole)


@torch.inference_mode()
def test_a_map_is_rounded_to_at_most_half_a_step() -> None:
    for x in (
        torch.randn(2, 5, 7, 9),
        torch.rand(1, 3, 4, 4) + 3,
        -torch.rand(1, 3, 4, 4),
        torch.zeros(1, 2, 3, 3),
    ):
        values, step, zero = quantize(x.contiguous(memory_format=torch.channels_last))
        assert values.dtype == torch.uint8
        assert ((values.float() - zero) * step - x).abs().max() <= step * 0.51


@torch.inference_mode()
def test_maps_within_a_block_stay_in_8_bits() -> None:
    copy = inference_copy(InvertedResidual(8, 8, 1, 6), CPU, torch.float32)
    use_int8(copy, ["expand", "depthwise", "project"])
    x = torch.randn(1, 8, 16, 16).contiguous(memory_format=torch.channels_last)
    assert copy.expand is not None
    wide = copy.expand(x)
    assert wide.dtype == torch.uint8
    assert copy.depthwise(wide).dtype == torch.uint8
    assert copy(x).dtype == torch.float32
    assert wide.float().mul(RELU6_SCALE).max() <= 6


@torch.inference_mode()
def test_a_trunk_differs_by_its_precision_only() -> None:
    torch.manual_seed(0)
    trunk = MobileNetV2Trunk().eval()
    x = torch.randn(1, 3, 48, 64).contiguous(memory_format=torch.channels_last)
    copy = inference_copy(trunk, CPU, torch.float32)
    use_int8(copy, ["stem", "blocks"])
    for one, other in zip(copy(x), trunk(x), strict=True):
        assert one.dtype == torch.float32
        assert (one - other).abs().mean() < 0.05 * other.abs().max()


@torch.inference_mode()
def test_parts_are_named_by_their_path() -> None:
    network = nn.Sequential(OrderedDict(first=nn.Conv2d(3, 8, 3), second=nn.Sequential(nn.Conv2d(8, 8, 3))))
    network.append(nn.Sequential(OrderedDict(up=nn.Conv2d(8, 8, 3), upper=nn.Conv2d(8, 8, 3))))
    copy = inference_copy(network, CPU, torch.float32)
    use_int8(copy, ["second", "2.up"])
    rounded = [name for name, layer in copy.named_modules() if isinstance(layer, Int8Conv2d)]
    assert rounded == ["second.0", "2.up"]


@pytest.mark.slow  # sessions/test_track.py tracks with fewer bits
def test_a_published_network_is_rounded_where_a_program_says_so(xmem_network: XMem) -> None:
    network, (frames, masks) = deepcopy(xmem_network), clip(11, 2, 64, 96, 2)
    assert choose_precision(network, CPU, fast=True) != torch.int8
    network.int8_parts = ("key_encoder", "key_proj", "value_encoder", "decoder")  # type: ignore[assignment]
    rounded: Prepared[XMem] = prepare(network, device="cpu", fast=True)
    assert rounded.precision == torch.int8
    sessions = [TrackSession(each) for each in (prepare(xmem_network, device="cpu"), rounded)]
    for number, frame in enumerate(frames):
        exact, found = (session.step(frame, None if number else masks[0]) for session in sessions)
        assert np.abs(exact.probabilities - found.probabilities).mean() < 0.05  # as measured: 0.03
    assert not np.array_equal(exact.probabilities, found.probabilities)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_map_without_a_range_is_an_error_of_the_network(value: float) -> None:
    x = torch.zeros(1, 2, 3, 3)
    x[0, 1, 1, 1] = value
    with pytest.raises(SegueError, match="NaN or infinity"):
        quantize(x)
