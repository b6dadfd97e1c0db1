"""Unsure pixels of a frame: no label has a probability of 0.75.

These pixels are kept with tracked masks, reduced, as packed bits in a result and as run lengths in a file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.masks.rle import Rle, check_runs, decode_rle, encode_rle
from segue.utils.arrays import BoolArray, Float32Array, UInt8Array

LIKELY = 0.75
"""Minimum probability of a sure label."""

LONG_SIDE = 432
"""Longer side of the reduced frame, in pixels."""


def reduced_size(size: tuple[int, ...]) -> tuple[int, int]:
    """Stored size of the unsure pixels of a frame."""
    scale = min(1.0, LONG_SIDE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize_nearest(plane: npt.NDArray[Any], size: tuple[int, ...]) -> npt.NDArray[Any]:
    """Resize a plane (H, W) by nearest neighbour."""
    plane = plane.view(np.uint8) if plane.dtype == np.bool_ else plane
    return np.asarray(cv2.resize(plane, size[::-1], interpolation=cv2.INTER_NEAREST))


def unsure_bits(probability: Float32Array) -> UInt8Array:
    """Pack the unsure pixels of a frame, given the highest probability of each pixel, (H, W)."""
    return np.packbits(resize_nearest(probability, reduced_size(probability.shape)) < LIKELY)


def unpack(bits: UInt8Array, size: tuple[int, ...]) -> BoolArray:
    """Unpack the unsure pixels of a frame of this size, (h, w)."""
    height, width = reduced_size(size)
    return np.unpackbits(bits, count=height * width).reshape(height, width).view(np.bool_)


def to_runs(bits: UInt8Array | None, size: tuple[int, ...]) -> str | None:
    """Convert packed unsure pixels to run lengths; None if they are unknown."""
    return None if bits is None else encode_rle(unpack(bits, size))["counts"]


def from_runs(runs: Iterable[str], size: tuple[int, ...]) -> BoolArray:
    """Decode run lengths of a frame of this size to pixels, (h, w)."""
    unsure = np.zeros(reduced_size(size), np.bool_)
    for counts in {*runs}:
        unsure |= decode_rle(Rle(size=list(unsure.shape), counts=counts))
    return unsure


def check_unsure(runs: Iterable[str], size: tuple[int, ...]) -> None:
    """Raise DatasetError unless run lengths fit the unsure pixels of frames of this size."""
    check_runs([counts.encode() for counts in runs], math.prod(reduced_size(size)))
