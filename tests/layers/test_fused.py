"""Fused convolutions give what the convolution and its activation give one after the other."""

from __future__ import annotations

import copy
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from segue.layers.activated import ActivatedConv2d, Activation, BatchNormReLU
from segue.layers.folding import fold_batch_norms
from segue.layers.fused import FusedConv2d, use_fused
from segue.layers.mobilenet import MobileNetV2Trunk, SameConv
from segue.layers.onednn import can_fuse
from segue.layers.residual import conv_channels
from segue.layers.running import inference_copy

pytestmark = pytest.mark.skipif(not can_fuse(), reason="PyTorch has no fused convolutions on this processor")

few = settings(max_examples=40)
sizes = st.integers(3, 20)
CPU = torch.device("cpu")


def random(*shape: int) -> Tensor:
    x = 4 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    return x.contiguous(memory_format=torch.channels_last)


def plainly(conv: nn.Conv2d, x: Tensor, activation: Activation) -> Tensor:
    y = F.conv2d(x, conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)
    return {"none": y, "relu": y.clamp(min=0), "relu6": y.clamp(0, 6)}[activation]


@few
@given(
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 2),
    groups=st.sampled_from([1, 2, 8]),
    activation=st.sampled_from(["none", "relu", "relu6"]),
    bias=st.booleans(),
    height=sizes,
    width=sizes,
)
@torch.inference_mode()
def test_equals_the_convolution_and_the_activation(
    kernel: int, stride: int, groups: int, activation: Activation, bias: bool, height: int, width: int
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 16, kernel, stride, kernel // 2, groups=groups, bias=bias)
    fused = FusedConv2d(conv, activation)
    for x in (random(1, 8, height, width), random(2, 8, width, height)):
        y = fused(x)
        torch.testing.assert_close(y, plainly(conv, x, activation), rtol=1e-5, atol=1e-5)
        assert y.is_contiguous(memory_format=torch.channels_last)


@few
@given(
    kernel=st.sampled_from([1, 3]),
    stride=st.integers(1, 2),
    added=st.booleans(),
    rectify=st.booleans(),
    overwrite=st.booleans(),
    planes=st.booleans(),
    height=sizes,
    width=sizes,
)
@torch.inference_mode()
def test_equals_the_convolution_with_what_is_added_to_it(
    kernel: int,
    stride: int,
    added: bool,
    rectify: bool,
    overwrite: bool,
    planes: bool,
    height: int,
    width: int,
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 16, kernel, stride, kernel // 2)
    fused, x = FusedConv2d(conv, "none"), random(2, 8, height, width)
    expected = conv(x)
    skip = random(*expected.shape) if added else None
    if skip is not None:
        skip = skip.contiguous() if planes else skip  # another order in memory
        expected = expected + skip
    kept = None if skip is None else skip.clone()
    y = fused.joined(x, skip, rectify=rectify, overwrite=overwrite)
    torch.testing.assert_close(y, expected.clamp(min=0) if rectify else expected, rtol=1e-5, atol=1e-5)
    if kept is not None and not overwrite:
        assert torch.equal(cast(Tensor, skip), kept)


def test_nothing_is_added_behind_an_activation() -> None:
    fused = FusedConv2d(nn.Conv2d(4, 4, 1), "relu6")
    with pytest.raises(ValueError, match="hardtanh"):
        fused.joined(random(1, 4, 3, 3), None)


@torch.inference_mode()
def test_can_be_copied_also_after_it_has_run() -> None:
    fused, x = FusedConv2d(nn.Conv2d(4, 8, 3, padding=1), "relu"), random(1, 4, 6, 5)
    before = fused(x)
    assert torch.equal(copy.deepcopy(fused)(x), before)


@few
@given(stride=st.integers(1, 2), height=sizes, width=sizes)
@torch.inference_mode()
def test_padding_on_two_sides_only_is_kept(stride: int, height: int, width: int) -> None:
    torch.manual_seed(0)
    conv, x = SameConv(4, 8, 3, stride, activation="relu6"), random(1, 4, height, width)
    one_sided = F.pad(x, (0, 1, 0, 1)) if stride == 2 else F.pad(x, (1, 1, 1, 1))
    expected = F.conv2d(one_sided, conv.weight, conv.bias, stride).clamp(0, 6)
    torch.testing.assert_close(FusedConv2d(conv, conv.activation)(x), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(conv(x), expected, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_a_trunk_runs_fused_and_is_itself_left_as_it_is() -> None:
    torch.manual_seed(0)
    trunk, x = MobileNetV2Trunk().eval(), random(1, 3, 48, 64)
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    fast = inference_copy(trunk, CPU, torch.float32)
    assert not any(isinstance(layer, nn.Conv2d) for layer in fast.modules())
    for one, other in zip(fast(x), trunk(x), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(before[name], value) for name, value in trunk.state_dict().items())


@torch.inference_mode()
def test_bfloat16_differs_by_its_precision_only() -> None:
    torch.manual_seed(0)
    trunk, x = MobileNetV2Trunk().eval(), random(1, 3, 48, 64)
    fast = inference_copy(trunk, CPU, torch.bfloat16)
    for one, other in zip(fast(x.bfloat16()), trunk(x), strict=True):
        assert (one.float() - other).abs().max() < 0.05 * other.abs().max()


@torch.inference_mode()
def test_a_norm_with_a_relu_becomes_part_of_the_convolution() -> None:
    torch.manual_seed(0)
    block = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), BatchNormReLU(4)).eval()
    assert isinstance(block[1], BatchNormReLU)
    block[1].running_mean = torch.tensor([0.5, -0.5, 0.1, 2.0])
    x = random(1, 3, 6, 8)
    expected = block(x)
    assert torch.equal(
        expected, F.batch_norm(block[0](x), block[1].running_mean, block[1].running_var).relu()
    )
    folded = fold_batch_norms(block)
    assert isinstance(folded[1], nn.ReLU)
    use_fused(folded)
    assert isinstance(folded[0], FusedConv2d)
    torch.testing.assert_close(folded(x), expected, rtol=1e-5, atol=1e-5)


def test_what_cannot_be_fused_stays() -> None:
    reflecting = nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
    same = nn.Conv2d(3, 4, 3, padding="same")
    block = nn.Sequential(reflecting, nn.ReLU(), same, nn.ReLU(), OwnConv2d(4, 4, 1))
    use_fused(block)
    assert not any(isinstance(layer, FusedConv2d) for layer in block)


class OwnConv2d(nn.Conv2d):
    """A convolution that does something else as well."""


@torch.inference_mode()
def test_a_convolution_that_nothing_follows_is_replaced_and_acts_on_parts_of_its_channels() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 4, 3, padding=1)
    block = nn.Sequential(conv)
    use_fused(block)
    fast = block[0]
    assert isinstance(fast, FusedConv2d)
    whole, part = random(1, 6, 7, 9), random(2, 2, 7, 9)
    for _ in range(2):  # the arrangements of the whole and of the part are kept apart
        torch.testing.assert_close(fast(whole), conv(whole), rtol=1e-5, atol=1e-5)
        expected = F.conv2d(part, conv.weight[:, 3:5], padding=1)
        torch.testing.assert_close(conv_channels(fast, part, 3), expected, rtol=1e-5, atol=1e-5)


def test_the_parameters_are_those_of_the_plain_layers() -> None:
    assert list(ActivatedConv2d(2, 3, 1).state_dict()) == list(nn.Conv2d(2, 3, 1).state_dict())
    assert list(BatchNormReLU(3).state_dict()) == list(nn.BatchNorm2d(3).state_dict())
