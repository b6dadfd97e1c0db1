"""A form of a layer is used only where the libraries say that the processor has what it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from segue.errors import ArgumentError
from segue.inference.cpu import features
from segue.inference.cpu.features import can_fuse, has_bfloat16_products, has_int8, instruction_set
from segue.inference.cpu.fused import FusedConv2d
from segue.inference.cpu.int8 import Int8Conv2d
from segue.inference.running import choose_precision, inference_copy
from segue.layers.mobilenet import MobileNetV2Trunk
from segue.models.stcn import STCNLite

CPU = torch.device("cpu")

Without = Callable[..., None]


@torch.inference_mode()
def trunk_outputs(precision: torch.dtype) -> tuple[nn.Module, list[Tensor], list[Tensor]]:
    """A prepared trunk, its outputs, and those of the plain layers in float32."""
    torch.manual_seed(0)
    trunk = MobileNetV2Trunk().eval()
    x = torch.randn(1, 3, 48, 64).contiguous(memory_format=torch.channels_last)
    trunk.int8_parts = ("stem", "blocks")  # type: ignore[assignment]
    copy = inference_copy(trunk, CPU, precision)
    dtype = torch.bfloat16 if precision == torch.bfloat16 else torch.float32
    return copy, [y.float() for y in copy(x.to(dtype))], list(trunk(x))


@pytest.mark.parametrize("missing", features.get_args(features.Feature))
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16, torch.int8])
def test_every_precision_computes_on_a_processor_without(
    missing: str, precision: torch.dtype, without: Without
) -> None:
    without(missing)
    _, found, exact = trunk_outputs(precision)
    tolerance = 1e-4 if precision == torch.float32 else 0.06
    for one, other in zip(found, exact, strict=True):
        assert (one - other).abs().mean() <= tolerance * other.abs().max()


def test_layers_stay_plain_where_the_processor_lacks_what_they_need(without: Without) -> None:
    without("fma")
    assert (instruction_set(), can_fuse(), has_int8(), has_bfloat16_products()) == ("other", *[False] * 3)
    network, *_ = trunk_outputs(torch.float32)
    assert not any(isinstance(layer, FusedConv2d) for layer in network.modules())


def test_without_avx512_nothing_is_computed_in_bfloat16(without: Without) -> None:
    without("avx512")
    assert instruction_set() in ("AVX2", "other")
    assert not can_fuse(torch.bfloat16)
    assert not has_bfloat16_products()
    network, *_ = trunk_outputs(torch.bfloat16)
    assert not any(isinstance(layer, FusedConv2d) for layer in network.modules())


def test_without_vnni_no_layer_has_8_bit_integers(without: Without) -> None:
    without("vnni")
    assert choose_precision(STCNLite(), CPU, fast=True) != torch.int8
    network, *_ = trunk_outputs(torch.int8)
    assert not any(isinstance(layer, Int8Conv2d) for layer in network.modules())


def test_fast_is_float32_where_nothing_is_faster(without: Without) -> None:
    without("vnni", "bfloat16", "amx")
    assert choose_precision(STCNLite(), CPU, fast=True) == torch.float32


def test_a_feature_that_does_not_exist_is_named(without: Without) -> None:
    without("avx512", "avx1024")
    with pytest.raises(ArgumentError, match="SEGUE_CPU_WITHOUT: no feature is called 'avx1024'; give fma, "):
        instruction_set()


SATURATED = """
import torch
from torch import nn
from segue.inference.cpu.features import can_fuse, has_int8, int8_weight_limit
from segue.inference.cpu.fused import FusedConv2d
from segue.inference.cpu.int8 import Int8Conv2d

torch.manual_seed(0)
limit, conv = int8_weight_limit(), nn.Conv2d(8, 16, 3, bias=False)
weight = torch.randint(0, 2, conv.weight.shape) * 2.0 * limit - limit
conv.weight.data.copy_(weight)
x = torch.full((1, 8, 6, 6), 255.0).contiguous(memory_format=torch.channels_last)
with torch.inference_mode():
    exact = torch.equal(Int8Conv2d(FusedConv2d(conv, "none"))(x), conv(x))
print(has_int8(), can_fuse(), limit, exact)
"""


@pytest.mark.skipif(not has_int8(), reason="this processor has no instructions for 8-bit integers")
def test_a_library_that_saturates_is_asked_before_it_computes_integers() -> None:
    """oneDNN with AVX2 alone adds pairs of products in 16 bits; it is limited when a process starts."""
    limits = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    run = subprocess.run(
        [sys.executable, "-c", SATURATED],
        env={**os.environ, **limits},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["True", "True", "63", "True"]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("AVX2", "AVX2"), ("AVX2_VNNI", "AVX2"), ("AVX512_CORE", "AVX512"), ("ALL", "AVX512")],
)
def test_limits_of_the_environment_count(limit: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.delenv(features.WITHOUT, raising=False)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert instruction_set() == expected


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("AVX512_CORE", False), ("AVX512_CORE_VNNI", False), ("AVX512_CORE_BF16", True), ("DEFAULT", True)],
)
def test_bfloat16_needs_instructions_that_the_limit_leaves(
    limit: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "can_fuse", lambda dtype: True)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert has_bfloat16_products() == expected
