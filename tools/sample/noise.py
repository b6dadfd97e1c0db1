"""Smooth random fields, the stuff that all painted surfaces are made of."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
"""(H, W), float32."""

Floats = npt.NDArray[np.floating[Any]]


def octave_noise(
    rng: np.random.Generator, size: tuple[int, int], cell: float, octaves: int = 4, falloff: float = 0.55
) -> Field:
    """Sum of random grids, each twice as fine and ``falloff`` times as strong as the one before.

    Args:
        rng: source of all randomness.
        size: height and width in pixels.
        cell: distance of two grid points of the coarsest grid, in pixels.
        octaves: number of grids.
        falloff: in (0, 1].

    Returns:
        (H, W), mean 0, standard deviation 1.
    """
    height, width = size
    total = np.zeros(size, np.float32)
    for octave in range(octaves):
        step = cell / 2**octave
        grid = rng.standard_normal((int(height / step) + 4, int(width / step) + 4)).astype(np.float32)
        y, x = np.mgrid[:height, :width].astype(np.float32) / np.float32(step) + 1
        total += falloff**octave * cv2.remap(grid, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray((total - total.mean()) / total.std(), np.float32)


def smoothstep(low: float, high: float, value: Floats) -> Field:
    """0 below ``low``, 1 above ``high``, smooth between; reversed where ``low`` is larger."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def mix(first: npt.ArrayLike, second: npt.ArrayLike, weight: Floats) -> npt.NDArray[np.float32]:
    """Blend towards ``second`` by ``weight``, (H, W) in [0, 1].

    Args:
        first: image, (H, W, 3), or one colour, (3,).
        second: the same.
        weight: share of ``second``.

    Returns:
        (H, W, 3), float32.
    """
    share = weight[..., None]
    return np.asarray(np.asarray(first) * (1 - share) + np.asarray(second) * share, np.float32)
