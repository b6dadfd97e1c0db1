"""Find ways over free floor on a grid, smooth them, and walk them at a speed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from segue.utils.arrays import Float64Array
from segue_isd.scene.rooms import CELL

OccupancyGrid = npt.NDArray[np.bool_]
"""Occupied cells of the floor, (cells along x, cells along y)."""
Cell = tuple[int, int]

Indices = npt.NDArray[np.intp]


def nearest_free(point: tuple[float, float], grid: OccupancyGrid) -> Cell | None:
    """Free cell nearest to a point, or None."""
    free = np.argwhere(~grid)
    if not len(free):
        return None
    distance = ((free + 0.5) * CELL - np.asarray(point)) ** 2
    x, y = free[int(distance.sum(axis=1).argmin())]
    return int(x), int(y)


def find_way(grid: OccupancyGrid, start: Cell, goal: Cell) -> list[Cell] | None:
    """Shortest way between free cells, or None. ``grid``: (X, Y), bool, True for occupied cells."""
    blocked = np.pad(grid, 1, constant_values=True)
    links = [_links(blocked, dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy]
    lengths, first, second = (np.concatenate(part) for part in zip(*links, strict=True))
    graph = coo_array((lengths, (first, second)), (blocked.size, blocked.size))
    begin, end = (int(np.ravel_multi_index(np.add(cell, 1), blocked.shape)) for cell in (start, goal))
    _, predecessors = dijkstra(graph, indices=begin, return_predecessors=True)
    way = [end]
    while way[-1] != begin:
        if (last := int(predecessors[way[-1]])) < 0:
            return None
        way.append(last)
    return [
        (int(x) - 1, int(y) - 1) for x, y in zip(*np.unravel_index(way[::-1], blocked.shape), strict=True)
    ]


def _links(blocked: OccupancyGrid, dx: int, dy: int) -> tuple[Float64Array, Indices, Indices]:
    """Lengths of the steps in a direction, and the cells that they connect without cutting corners."""
    shifted = (np.roll(blocked, (-x, -y), (0, 1)) for x, y in ((0, 0), (dx, 0), (0, dy), (dx, dy)))
    free = np.flatnonzero(~np.logical_or.reduce(list(shifted)))
    return np.full(len(free), np.hypot(dx, dy)), free, free + dx * blocked.shape[1] + dy


def _clear(grid: OccupancyGrid, first: Cell, second: Cell) -> bool:
    steps = 2 * max(abs(first[0] - second[0]), abs(first[1] - second[1])) + 1
    line = np.linspace(first, second, steps + 1).round().astype(int)
    return not grid[line[:, 0], line[:, 1]].any()


def smooth_way(grid: OccupancyGrid, way: list[Cell]) -> Float64Array:
    """Simplify a way along a grid to points (N, 2) in metres with rounded corners."""
    corners, last = [way[0]], 0
    while last < len(way) - 1:
        farther = range(len(way) - 1, last + 1, -1)
        last = next((i for i in farther if _clear(grid, way[last], way[i])), last + 1)
        corners.append(way[last])
    points = (np.asarray(corners, float) + 0.5) * CELL
    for _ in range(3):  # Chaikin's corner cutting
        if len(points) < 3:
            break
        first, second = points[:-1], points[1:]
        cut = np.stack([0.75 * first + 0.25 * second, 0.25 * first + 0.75 * second], axis=1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut[1:-1], points[-1:]])
    return points


@dataclass(frozen=True)
class Walk:
    """Path along points (N, 2) in metres, N at least 2."""

    points: Float64Array

    @cached_property
    def lengths(self) -> Float64Array:
        """Distances from the start in metres, (N,)."""
        steps = np.linalg.norm(np.diff(self.points, axis=0), axis=1)
        return np.concatenate([[0.0], steps.cumsum()])

    @property
    def length(self) -> float:
        return float(self.lengths[-1])

    def at(self, distance: float) -> tuple[float, float]:
        """Position at a distance along the way."""
        x, y = (float(np.interp(distance, self.lengths, self.points[:, axis])) for axis in (0, 1))
        return x, y

    def heading(self, distance: float) -> float:
        """Direction of the way in radians, smoothed over a quarter of a metre on both sides."""
        (x0, y0), (x1, y1) = self.at(distance - 0.25), self.at(distance + 0.25)
        return float(np.arctan2(y1 - y0, x1 - x0))
