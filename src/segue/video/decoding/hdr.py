"""Convert HDR video (HLG and PQ) to SDR, by the formulas of ITU-R BT.2100, BT.2087 and BT.2390."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from segue.utils.arrays import Float32Array, Float64Array
from segue.video.decoding.levels import LevelKind

PEAK = 1000.0
"""Brightness in cd/m² that is mapped to white; brighter pixels are white, too."""

WHITE = 203.0
"""Brightness in cd/m² that is white in SDR: HDR reference white (ITU-R BT.2408)."""

_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
"""Linear BT.2020 to BT.709 (ITU-R BT.2087, annex 2)."""

_LUMA = (0.2627, 0.6780, 0.0593)

_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32

_STEPS = 4096


def to_sdr(image: npt.NDArray[np.uint16], *, hlg: bool, kind: type[LevelKind]) -> npt.NDArray[LevelKind]:
    """Convert an HDR image, RGB (H, W, 3), 16 bits, BT.2020, to BT.709 in a type."""
    linear = _linear_table(hlg)[image]  # cd/m²; of HLG the share of the scene's light
    if hlg:  # the OOTF of a display of PEAK cd/m²
        luma = cv2.transform(linear, np.array([_LUMA], np.float32))
        linear *= PEAK * np.power(np.maximum(luma, 1e-6), 0.2, dtype=np.float32)[..., None]
    linear = np.maximum(cv2.transform(linear, _TO_BT709), 0)
    strongest = np.minimum(linear.max(2), PEAK)
    place = np.sqrt(strongest * (_STEPS * _STEPS / PEAK)).astype(np.uint16)
    linear *= _gain_table()[place][..., None]
    place = np.minimum(np.sqrt(linear) * _STEPS, _STEPS).astype(np.uint16)
    levels = np.round(np.iinfo(kind).max * _display_table()).astype(kind)
    return np.asarray(levels[place])


def pq_to_light(signal: Float64Array) -> Float64Array:
    """Convert a PQ signal in [0, 1] to cd/m² (EOTF of BT.2100)."""
    power = np.power(signal, 1 / _M2)
    light: Float64Array = 10000 * np.power(np.maximum(power - _C1, 0) / (_C2 - _C3 * power), 1 / _M1)
    return light


def light_to_pq(light: Float64Array) -> Float64Array:
    """Convert cd/m² to a PQ signal in [0, 1]."""
    power = np.power(np.maximum(light, 0) / 10000, _M1)
    signal: Float64Array = np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2)
    return signal


def hlg_to_light(signal: Float64Array) -> Float64Array:
    """Convert an HLG signal in [0, 1] to scene light in [0, 1] (inverse OETF of BT.2100)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    light: Float64Array = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return light


def tone_curve(light: Float64Array) -> Float64Array:
    """Map 0 to PEAK cd/m² to 0 to WHITE: linear up to a knee, then a spline (EETF of BT.2390)."""
    top = light_to_pq(np.array(PEAK))
    maximum = float(light_to_pq(np.array(WHITE)) / top)
    signal = light_to_pq(light) / top
    knee = 1.5 * maximum - 0.5
    t = np.maximum(signal - knee, 0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee
    spline += (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * maximum
    return pq_to_light(np.where(signal < knee, signal, spline) * top)


@cache
def _linear_table(hlg: bool) -> Float32Array:
    signal = np.arange(65536) / 65535
    return (hlg_to_light(signal) if hlg else pq_to_light(signal)).astype(np.float32)


@cache
def _gain_table() -> Float32Array:
    """Gain of all channels, with white at 1, by the square root of the strongest channel."""
    light = np.maximum((np.arange(_STEPS + 1) / _STEPS) ** 2, 1e-8) * PEAK
    return (tone_curve(light) / light / WHITE).astype(np.float32)


@cache
def _display_table() -> Float64Array:
    """Signal of a BT.1886 display, gamma 2.4, in [0, 1], by the square root of the light."""
    light = (np.arange(_STEPS + 1) / _STEPS) ** 2
    return np.asarray(light ** (1 / 2.4), np.float64)
