"""Triangles of the unit shapes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segue.arrays import Float64Array
from segue_isd.parts import Shape

Vertices = npt.NDArray[np.float32]
"""(N, 11): point with end mark, normal, texture place, local axes of the texture."""
Corners = npt.NDArray[np.uint32]
"""(M,), rows of the vertices, three to a triangle."""


@dataclass(frozen=True)
class Detail:
    """Tessellation: corners of a circle, and rows of a half sphere."""

    segments: int
    rings: int


COARSE = Detail(10, 2)
"""Enough for images of people; every triangle costs, however small it is."""
FINE = Detail(64, 16)
"""Within a thousandth of the true shape."""


def mesh(shape: Shape, detail: Detail = COARSE) -> tuple[Vertices, Corners]:
    """Vertices and triangles of a shape, seen from outside counter-clockwise."""
    flat = {Shape.BOX: _box, Shape.SHEET: _sheet}
    round_ = {Shape.BALL: _ball, Shape.CYLINDER: _cylinder, Shape.TUBE: _tube}
    rows = (flat[shape]() if shape in flat else round_[shape](detail)).astype(np.float32)
    vertices, corners = np.unique(rows, axis=0, return_inverse=True)
    return vertices, corners.ravel().astype(np.uint32)


def _grid(rows: int, columns: int) -> npt.NDArray[np.intp]:
    """Corner numbers of the triangles of a grid of (rows + 1) x (columns + 1) points."""
    first = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).ravel()
    right, below = first + 1, first + columns + 1
    return np.stack([first, right, below + 1, first, below + 1, below], axis=1).ravel()


def _rows(point: Float64Array, normal: Float64Array, uv: Float64Array, axes: tuple[int, int]) -> Float64Array:
    return np.concatenate([point, normal, uv, np.broadcast_to(axes, uv.shape)], axis=1)


def _box() -> Float64Array:
    sides = []
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    for axis in range(3):
        for sign in (-1.0, 1.0):
            u, v = ((1, 2), (0, 2), (0, 1))[axis]
            point = np.zeros((6, 4))
            point[:, u], point[:, v], point[:, axis] = corners[:, 0], corners[:, 1], 0.5 * sign
            normal = np.zeros((6, 3))
            normal[:, axis] = sign
            # Images stand upright and are not mirrored, whichever side is looked at.
            across = corners[:, 0] * (sign if axis == 0 else -sign if axis == 1 else 1.0)
            rows = _rows(point, normal, np.stack([0.5 + across, 0.5 - corners[:, 1]], axis=1), (u, v))
            inside_out = np.cross(np.eye(3)[u], np.eye(3)[v])[axis] * sign < 0
            sides.append(rows[::-1] if inside_out else rows)
    return np.concatenate(sides)


def _revolved(
    detail: Detail,
    radius: Float64Array,
    height: Float64Array,
    slope: Float64Array,
    end: Float64Array,
    along: Float64Array,
) -> Float64Array:
    """Solid of revolution from its rows, lowest first; ``slope`` is (rows, 2): outward and up."""
    share = np.linspace(0, 1, detail.segments + 1)
    around = np.stack([np.cos(2 * np.pi * share), np.sin(2 * np.pi * share)], axis=1)
    rows, columns = len(radius), len(share)
    point = np.zeros((rows, columns, 4))
    point[..., :2] = radius[:, None, None] * around
    point[..., 2], point[..., 3] = height[:, None], end[:, None]
    normal = np.zeros((rows, columns, 3))
    normal[..., :2] = slope[:, None, :1] * around
    normal[..., 2] = slope[:, None, 1]
    uv = np.stack(np.broadcast_arrays(share, 1 - along[:, None]), axis=-1)
    flat = _rows(point.reshape(-1, 4), normal.reshape(-1, 3), uv.reshape(-1, 2), (0, 2))
    return flat[_grid(rows - 1, columns - 1)]


def _ball(detail: Detail) -> Float64Array:
    angle = np.linspace(-np.pi / 2, np.pi / 2, 2 * detail.rings + 1)
    out, up = np.cos(angle), np.sin(angle)
    return _revolved(detail, out, up, np.stack([out, up], axis=1), 0 * up, 0.5 + angle / np.pi)


def _tube(detail: Detail) -> Float64Array:
    low = np.linspace(-np.pi / 2, 0, detail.rings)
    angle = np.concatenate([low, -low[::-1]])
    out, up = np.cos(angle), np.sin(angle)
    end = np.repeat([0.0, 1.0], detail.rings)
    return _revolved(detail, out, up, np.stack([out, up], axis=1), end, end)


def _cylinder(detail: Detail) -> Float64Array:
    out, none, height = np.ones(2), np.zeros(2), np.arange(2.0)
    side = _revolved(detail, out, height, np.array([[1.0, 0], [1, 0]]), none, height)
    bottom = _revolved(detail, height, none, np.array([[0.0, -1], [0, -1]]), none, height)
    top = _revolved(detail, height[::-1], out, np.array([[0.0, 1], [0, 1]]), none, height)
    return np.concatenate([bottom, side, top])


def _sheet() -> Float64Array:
    columns, rows = 24, 1  # waves run across; along z a sheet is straight
    z, x = np.mgrid[-0.5 : 0.5 : (rows + 1) * 1j, -0.5 : 0.5 : (columns + 1) * 1j].reshape(2, -1)
    point = np.stack([x, 0 * x, z, 0 * x], axis=1)
    normal = np.broadcast_to([0.0, -1.0, 0.0], (len(x), 3))
    return _rows(point, normal, np.stack([0.5 + x, 0.5 - z], axis=1), (0, 2))[_grid(rows, columns)]
