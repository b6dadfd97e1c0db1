"""Fused linear layers give what the layer and its activation give one after the other."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from segue.inference.cpu.features import can_fuse
from segue.inference.cpu.linear import FusedLinear
from segue.layers.linear import ActivatedLinear, LinearActivation

pytestmark = pytest.mark.skipif(not can_fuse(), reason="PyTorch has no fused layers on this processor")


@pytest.mark.parametrize("activation", ["none", "relu", "gelu"])
@pytest.mark.parametrize("shape", [(7, 24), (2, 5, 6, 24), (1, 300, 24)])
@torch.inference_mode()
def test_equals_the_layer_and_the_activation(shape: tuple[int, ...], activation: LinearActivation) -> None:
    torch.manual_seed(0)
    linear = ActivatedLinear(24, 40, activation)
    x = 3 * torch.randn(*shape)
    y = F.linear(x, linear.weight, linear.bias)
    expected = {"none": y, "relu": y.clamp(min=0), "gelu": y * 0.5 * (1 + torch.erf(y / 2**0.5))}[activation]
    assert torch.allclose(linear(x), expected, atol=1e-5)
    fused = FusedLinear(linear)
    assert torch.allclose(fused(x), expected, atol=1e-5)
    assert torch.allclose(fused(x[..., 1:, :]), expected[..., 1:, :], atol=1e-5), "for another number of rows"


@torch.inference_mode()
def test_bits_do_not_depend_on_the_first_call() -> None:
    torch.manual_seed(0)
    linear, x = ActivatedLinear(256, 64), torch.randn(40, 256)
    first = FusedLinear(linear)(x[:1])
    for rows in (2, 40):
        fused = FusedLinear(linear)
        fused(x[:rows])
        assert torch.equal(fused(x[:1]), first)
