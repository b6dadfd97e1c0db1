"""Fused convolutions give what the convolution and its activation give one after the other."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from segue.inference.cpu.features import can_fuse
from segue.inference.cpu.fused import FusedConv2d
from segue.inference.running import inference_copy
from segue.layers.activated import Activation
from segue.layers.mobilenet import MobileNetV2Trunk
from segue.layers.residual import joint_conv

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


class Arrangements(TorchDispatchMode):
    """Counts the kernels that are arranged inside."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket.__name__ == "_reorder_convolution_weight"
        return func(*args, **(kwargs or {}))


@torch.inference_mode()
def test_weights_are_arranged_once_for_all_sizes_and_numbers_of_objects() -> None:
    fused = FusedConv2d(nn.Conv2d(512, 64, 3, padding=1), "none")
    with Arrangements() as arranged:
        for objects, side in [(1, 6), (2, 6), (1, 30), (2, 4), (1, 6)]:
            joint_conv(fused, random(objects, 256, side, side), random(1, 256, side, side))
    assert arranged.count == 3, "as a whole for one object, and in two parts for several"


@torch.inference_mode()
def test_small_kernels_are_arranged_for_two_sizes_and_give_the_same_bits() -> None:
    conv = nn.Conv2d(16, 24, 1)
    fused = FusedConv2d(conv, "none")
    with Arrangements() as arranged:
        for side in (6, 9, 12, 9, 6, 12):
            alone = FusedConv2d(conv, "none")(random(2, 16, side, side))
            assert torch.equal(fused(random(2, 16, side, side)), alone)
    assert arranged.count == 6 + 2


@torch.inference_mode()
def test_can_be_copied_also_after_it_has_run() -> None:
    fused, x = FusedConv2d(nn.Conv2d(4, 8, 3, padding=1), "relu"), random(1, 4, 6, 5)
    before = fused(x)
    assert torch.equal(copy.deepcopy(fused)(x), before)


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
