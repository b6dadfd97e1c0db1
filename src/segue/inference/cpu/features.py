"""Features of the CPU according to PyTorch and oneDNN, which determine the forms of layers.

``ONEDNN_MAX_CPU_ISA`` and ``ATEN_CPU_CAPABILITY`` limit the libraries, ``SEGUE_CPU_WITHOUT`` what they say.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, Literal, get_args

import torch

from segue.errors import ArgumentError

Feature = Literal["fma", "avx512", "vnni", "bfloat16", "amx"]
InstructionSet = Literal["AVX512", "AVX2", "other"]

WITHOUT = "SEGUE_CPU_WITHOUT"
"""Environment variable with features, separated by commas, that count as missing."""

_BFLOAT16_LIMITS = ("ALL", "DEFAULT", "AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX512_CORE_AMX", "AVX10")
"""Values of ONEDNN_MAX_CPU_ISA with which products in bfloat16 have instructions of their own."""


def disabled_features() -> frozenset[str]:
    """Features disabled by :data:`WITHOUT`; ArgumentError for an unknown one."""
    names = frozenset(filter(None, os.environ.get(WITHOUT, "").replace(" ", "").lower().split(",")))
    features = get_args(Feature)
    if unknown := sorted(names.difference(features)):
        raise ArgumentError(f"{WITHOUT}: no feature is called {unknown[0]!r}; give {', '.join(features)}")
    return names


def instruction_set() -> InstructionSet:
    """Widest instruction set that PyTorch and oneDNN both use."""
    capability, missing = torch.backends.cpu.get_cpu_capability(), disabled_features()
    if "fma" in missing or not capability.startswith("AVX"):
        return "other"
    wide = capability.startswith("AVX512") and _onednn_limit().startswith(
        ("ALL", "DEFAULT", "AVX512", "AVX10")
    )
    return "AVX512" if wide and "avx512" not in missing else "AVX2"


def can_fuse(dtype: torch.dtype = torch.float32) -> bool:
    """Whether oneDNN supports fused layers and rearranged weights of this type."""
    available = torch.backends.mkldnn.is_available() and hasattr(_MKLDNN, "_convolution_pointwise")
    if not available or instruction_set() == "other":
        return False
    if dtype == torch.bfloat16:
        return disabled_features().isdisjoint({"avx512", "bfloat16"}) and _supports(
            "_is_mkldnn_bf16_supported"
        )
    return dtype == torch.float32


def has_bfloat16_products() -> bool:
    """Whether bfloat16 is faster than float32: with AMX and AVX512-BF16."""
    if not can_fuse(torch.bfloat16) or not _onednn_limit().startswith(_BFLOAT16_LIMITS):
        return False
    has_amx = "amx" not in disabled_features() and _reports("_is_amx_tile_supported")
    return has_amx or _reports("_is_avx512_bf16_supported")


def has_int8() -> bool:
    """Whether convolutions of 8-bit integers are exact and faster than float32."""
    return int8_weight_limit() > 0


def has_full_int8() -> bool:
    """Whether sums of products are exact with all 8-bit weights, so with VNNI."""
    return int8_weight_limit() == 127


def int8_weight_limit() -> int:
    """Largest 8-bit weight with exact sums of products: 127 with VNNI, else 63, or 0 without such layers.

    Without VNNI oneDNN adds two products in 16 bits (``vpmaddubsw``): 2 x 255 x 63 fit, 2 x 255 x 127 do not.
    """
    operators = hasattr(torch.ops.onednn, "qconv2d_pointwise") and hasattr(torch, "quantize_per_tensor")
    if not operators or not can_fuse() or "vnni" in disabled_features():
        return 0
    return next(filter(_sums_integers_exactly, (127, 63)), 0)


_MKLDNN: Any = torch.ops.mkldnn


def _supports(name: str) -> bool:
    """Result of a PyTorch operator about oneDNN; False if it is missing."""
    return bool(hasattr(_MKLDNN, name) and getattr(_MKLDNN, name)())


def _reports(name: str) -> bool:
    """Result of a function of ``torch.cpu``; False if it is missing."""
    return bool(getattr(torch.cpu, name, bool)())


def _onednn_limit() -> str:
    return os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "ALL")).upper()


@cache
@torch.inference_mode()
def _sums_integers_exactly(limit: int) -> bool:
    """Whether oneDNN's sums of products with weights up to a limit do not saturate."""
    operators, channels = torch.ops.onednn, 64
    x = torch.full((1, channels, 4, 4), 255, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    weight = torch.full((channels, channels, 1, 1), limit, dtype=torch.int8)
    scale, zero = torch.ones(channels), torch.zeros(channels, dtype=torch.int8)
    layout: tuple[Any, ...] = [1, 1], [0, 0], [1, 1], 1
    try:
        packed = operators.qconv_prepack(weight, scale, 1.0, 0, *layout, list(x.shape))
        y = operators.qconv2d_pointwise(
            x, 1.0, 0, packed, scale, zero, None, *layout, 1.0, 0, torch.float32, "none", [], ""
        )
    except RuntimeError:  # oneDNN has no such layer for this processor
        return False
    return bool((y == channels * 255 * limit).all())
