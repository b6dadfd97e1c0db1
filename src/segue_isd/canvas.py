"""Squares to paint textures on, and what all of them are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

SIDE = 128
"""Pixels along one side of a texture."""

Picture = npt.NDArray[np.float32]
"""(SIDE, SIDE, 3) in [0, 1]."""
Texture = npt.NDArray[np.uint8]
"""(SIDE, SIDE, 4), RGB with opacity."""
Field = npt.NDArray[np.float32]
Painter = Callable[[np.random.Generator], Picture]

V, U = np.mgrid[:SIDE, :SIDE].astype(np.float32) / np.float32(SIDE)
"""Places of the pixels in [0, 1): down and across."""


def noise(rng: np.random.Generator, power: float, stretch: tuple[float, float] = (1, 1)) -> Field:
    """Noise that joins at the borders, amplitude falling with frequency to ``power``; deviation 1."""
    v, u = np.fft.fftfreq(SIDE)[:, None] * stretch[0], np.fft.rfftfreq(SIDE) * stretch[1]
    strength = (np.hypot(v, u) + 1.0 / SIDE) ** -power
    strength[0, 0] = 0
    spectrum = np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) * strength
    field = np.fft.irfft2(spectrum, (SIDE, SIDE))
    return np.asarray(field / field.std(), np.float32)


def grey(field: npt.NDArray[np.floating[Any]]) -> Picture:
    """Equal channels."""
    return np.repeat(np.asarray(field, np.float32)[..., None], 3, axis=2)


def tinted(field: Field, low: npt.ArrayLike, high: npt.ArrayLike) -> Picture:
    """Between two colours by ``field`` in [0, 1]."""
    share = np.clip(field, 0, 1)[..., None]
    return np.asarray(np.asarray(low) * (1 - share) + np.asarray(high) * share, np.float32)


def cells(rows: int, columns: int, shift: float = 0.0) -> tuple[npt.NDArray[np.intp], Field]:
    """Numbers of the cells of a grid, odd rows shifted, and the distance to the cell's border in pixels."""
    row = (V * rows).astype(int)
    u = (U + shift / columns * (row % 2)) % 1.0
    column = (u * columns).astype(int)
    fv, fu = V * rows % 1, u * columns % 1
    border = np.minimum(np.minimum(fv, 1 - fv) * SIDE / rows, np.minimum(fu, 1 - fu) * SIDE / columns)
    return row * columns + column, np.asarray(border, np.float32)
