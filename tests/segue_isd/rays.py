"""Closed-form ray casting of the unit shapes: what a renderer must agree with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from segue_isd.scene.camera import View
from segue_isd.scene.parts import Part, Shape

Floats = npt.NDArray[np.float64]
NEVER = np.inf


def cast(parts: Sequence[Part], origins: Floats, ways: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Multiple of ``ways`` (N, 3) at which each ray first meets a part, and the place of that part, or -1."""
    best = np.full(len(ways), NEVER)
    which = np.full(len(ways), -1)
    for number, part in enumerate(parts):
        hit = _meet(part, origins, ways)
        closer = hit < best
        best[closer], which[closer] = hit[closer], number
    return best, which


def pixel_rays(view: View, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """Origins and ways (H W, 3) of the rays through the centres of the pixels, one metre deep."""
    height, width = size
    y, x = np.mgrid[:height, :width] + 0.5
    focal = view.focal * width
    inside = np.stack([(x - width / 2) / focal, (y - height / 2) / focal, np.ones_like(x)], axis=-1).reshape(
        -1, 3
    )
    ways = inside @ view.pose[:, :3]
    return np.broadcast_to(view.place, ways.shape), ways


def _meet(part: Part, origins: Floats, ways: Floats) -> Floats:
    matrix, shift = part.pose[:, :3], part.pose[:, 3]
    inverse = np.linalg.inv(matrix)
    o, d = (origins - shift) @ inverse.T, ways @ inverse.T
    if part.shape is Shape.BOX:
        return _box(o, d)
    if part.shape is Shape.BALL:
        return _first(_ellipsoid(o, d, np.zeros(3), np.ones(3)))
    if part.shape is Shape.CYLINDER:
        return np.minimum(_side(o, d, 1.0), np.minimum(_disc(o, d, 0.0), _disc(o, d, 1.0)))
    assert part.shape is Shape.TUBE
    lengths = np.linalg.norm(matrix, axis=0)
    round_ = 0.5 * (lengths[0] + lengths[1]) / lengths[2]
    taper = part.taper
    near = _cap(o, d, np.zeros(3), np.array([1, 1, round_]), below=True)
    far = _cap(o, d, np.array([0, 0, 1.0]), taper * np.array([1, 1, round_]), below=False)
    return np.minimum(_side(o, d, taper), np.minimum(near, far))


def _first(pair: tuple[Floats, Floats]) -> Floats:
    near, far = pair
    return np.where(near > 1e-6, near, np.where(far > 1e-6, far, NEVER))


def _box(o: Floats, d: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (-0.5 - o) / d, (0.5 - o) / d
    low, high = np.fmin(a, b).max(axis=1), np.fmax(a, b).min(axis=1)
    hit = np.where(low > 1e-6, low, high)
    return np.where((low <= high) & (hit > 1e-6), hit, NEVER)


def _roots(a: Floats, b: Floats, c: Floats) -> tuple[Floats, Floats]:
    inside = b * b - 4 * a * c
    root = np.sqrt(np.maximum(inside, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (-b - root) / (2 * a), (-b + root) / (2 * a)
    low, high = np.minimum(first, second), np.maximum(first, second)
    return np.where(inside < 0, NEVER, low), np.where(inside < 0, NEVER, high)


def _ellipsoid(o: Floats, d: Floats, middle: Floats, radii: Floats) -> tuple[Floats, Floats]:
    o, d = (o - middle) / radii, d / radii
    return _roots((d * d).sum(1), 2 * (o * d).sum(1), (o * o).sum(1) - 1)


def _cap(o: Floats, d: Floats, middle: Floats, radii: Floats, below: bool) -> Floats:
    best = np.full(len(o), NEVER)
    for hit in _ellipsoid(o, d, middle, radii):
        with np.errstate(invalid="ignore"):
            z = o[:, 2] + hit * d[:, 2] - middle[2]
        right = (z <= 0 if below else z >= 0) & (hit > 1e-6)
        best = np.where(right & (hit < best), hit, best)
    return best


def _side(o: Floats, d: Floats, taper: float) -> Floats:
    """The cone frustum between z = 0 (radius 1) and z = 1 (radius ``taper``), without its ends."""
    k = taper - 1
    radius, slope = 1 + k * o[:, 2], k * d[:, 2]
    a = (d[:, :2] ** 2).sum(1) - slope**2
    b = 2 * ((o[:, :2] * d[:, :2]).sum(1) - radius * slope)
    c = (o[:, :2] ** 2).sum(1) - radius**2
    best = np.full(len(o), NEVER)
    for hit in _roots(a, b, c):
        with np.errstate(invalid="ignore"):
            z = o[:, 2] + hit * d[:, 2]
        right = (z >= 0) & (z <= 1) & (hit > 1e-6)
        best = np.where(right & (hit < best), hit, best)
    return best


def _disc(o: Floats, d: Floats, height: float) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        hit = (height - o[:, 2]) / d[:, 2]
        spot = o[:, :2] + hit[:, None] * d[:, :2]
        return np.where(((spot**2).sum(1) <= 1) & (hit > 1e-6), hit, NEVER)
