"""Common range of values for images of more than 8 bits from one source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from segue.video.decoding.reformat import ONE_THREAD

LevelKind = TypeVar("LevelKind", np.uint8, np.uint16)

FEW = 10_000
"""One of so many values may be a dead or hot pixel."""

SAMPLES = 16
"""Number of images, spread over a source, that determine its range of values beyond 8 bits."""


@dataclass(frozen=True, slots=True)
class Range:
    """Values that become black and white in images of more than 8 bits."""

    black: float
    white: float

    @classmethod
    def of(cls, samples: Sequence[npt.NDArray[Any]]) -> Range:
        """Find the range of the values of some images."""
        # Whole numbers have the white of the fewest bits that hold them, floats up to 1 that of 1. What fills
        # less than a quarter of that, and all other values, is stretched from its least to its largest value.
        finite = [values[np.isfinite(values)] if values.dtype.kind == "f" else values for values in samples]
        finite = [values for values in finite if values.size]
        low = min((float(values.min()) for values in finite), default=0.0)
        high = max((float(values.max()) for values in finite), default=0.0)
        if low == high:  # a flat image has no range of its own
            low, high = min(low, 0.0), max(high, 0.0)
        whites = [1.0] if any(values.dtype.kind == "f" for values in finite) else []
        whites += [float((1 << bits) - 1) for bits in (8, 10, 12, 14, 16)]
        white = next((value for value in whites if high <= value), high)
        full = low >= 0 and white <= 65535 and (whites[0] > 1 or white <= 255)
        if not full or (low > 0 and high - low < white / 4):
            return cls(low, high)
        # Dead and hot pixels of a thermal camera are few, and far from all others.
        inner_low = min((_extreme(values, 0) for values in finite), default=0.0)
        inner_high = max((_extreme(values, -1) for values in finite), default=0.0)
        if white > 255 and inner_low > white / 4 and 0 < inner_high - inner_low < white / 4:
            return cls(inner_low, inner_high)
        return cls(0.0, white)

    def __str__(self) -> str:
        return f"values from {self.black:g} to {self.white:g} are shown as black to white, in all images"

    def to_levels(self, values: npt.NDArray[Any], kind: type[LevelKind]) -> npt.NDArray[LevelKind]:
        """Scale values of any type to 0 to the largest value of a type."""
        top = np.iinfo(kind).max
        if values.dtype == np.uint16 and (self.black, self.white, top) == (0, 65535, 65535):
            return np.asarray(values, kind)
        scale = top / ((self.white - self.black) or 1)
        if values.dtype == np.uint16:  # a table is faster
            table = np.clip(np.round((np.arange(65536) - self.black) * scale), 0, top).astype(kind)
            return np.asarray(table[values])
        level = np.nan_to_num(values.astype(np.float64), nan=self.black)
        return np.clip(np.round((level - self.black) * scale), 0, top).astype(kind)


def _extreme(values: npt.NDArray[Any], end: int) -> float:
    """Least (0) or largest (-1) value, ignoring one pixel of ten thousand."""
    few = values.size // FEW
    place = few if end == 0 else values.size - 1 - few
    return float(np.partition(values, place, None)[place])


def deep_bits(frame: VideoFrame) -> int:
    """Bits of a deep grey or RGB frame; 0 for others, also YUV, which has a standard range."""
    form = frame.format
    if form.has_palette or not (form.is_rgb or len(form.components) <= 2):
        return 0
    bits = min(max(int(component.bits) for component in form.components), 16)
    return bits if bits > 8 else 0


def frame_values(frame: VideoFrame, bits: int) -> npt.NDArray[np.uint16]:
    """Values of a frame with this many bits, (H, W) or (H, W, 3)."""
    form = "rgb48le" if frame.format.is_rgb else "gray16le"
    return np.asarray(frame.to_ndarray(format=form, **ONE_THREAD), np.uint16) >> np.uint16(16 - bits)
