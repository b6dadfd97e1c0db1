"""Brush run lengths of Label Studio."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from segue.errors import DatasetError
from segue.masks.rle import check_size

_RUN_BITS = (3, 4, 9, 16)
"""Bits for the length of a run in Label Studio's format; runs are written in the shortest that holds them."""


def encode_brush(mask: npt.NDArray[np.generic]) -> list[int]:
    """Encode a mask as Label Studio's brush bytes: RGBA values of 8 bits along the rows, 0 or 255.

    The bits: number of values (32), size of a value less 1 (5), four sizes of run lengths less 1 (4 each);
    then for each run a 1, which of the four sizes (2), the length less 1, and the value.

    ``mask``: (H, W), inside where not 0.
    """
    flat = mask.ravel() != 0
    ends = np.append(np.flatnonzero(np.diff(flat)) + 1, flat.size)
    starts = np.append(0, ends[:-1])
    parts = [f"{4 * flat.size:032b}", f"{7:05b}", *(f"{bits - 1:04b}" for bits in _RUN_BITS)]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        left, value = 4 * (end - start), "1" * 8 if flat[start] else "0" * 8
        while left:
            length = min(left, 1 << _RUN_BITS[-1])
            which = next(n for n, bits in enumerate(_RUN_BITS) if length <= 1 << bits)
            parts.append(f"1{which:02b}{length - 1:0{_RUN_BITS[which]}b}{value}")
            left -= length
    bits = np.frombuffer("".join(parts).encode(), np.uint8) - ord("0")
    return [int(byte) for byte in np.packbits(bits)]


def decode_brush(values: Sequence[int], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Decode Label Studio's brush bytes to a mask (H, W) of non-zero alpha."""
    height, width = check_size(*size)
    try:
        bits = "".join(f"{byte:08b}" for byte in bytes(values))
    except (TypeError, ValueError):
        raise DatasetError("brush: its run lengths are no bytes") from None
    place = 0

    def take(count: int) -> int:
        nonlocal place
        if place + count > len(bits):
            raise DatasetError("brush: its run lengths end early")
        place += count
        return int(bits[place - count : place], 2)

    total, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    if total != 4 * height * width or word != 8:
        raise DatasetError(f"brush: is not of an image of {width}x{height} pixels")
    flat, done = np.zeros(total, np.uint8), 0
    while done < total:
        run = take(1)
        length = take(sizes[take(2)]) + 1
        if done + length > total:
            raise DatasetError("brush: its run lengths are too long")
        if run:
            flat[done : done + length] = take(word)
        else:
            flat[done : done + length] = [take(word) for _ in range(length)]
        done += length
    return np.asarray(flat.reshape(height, width, 4)[..., 3] > 0)
