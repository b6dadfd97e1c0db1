"""Thin-plate splines in the plane.

Bookstein, "Principal Warps: Thin-Plate Splines and the Decomposition of Deformations" (PAMI 1989): the map
through given points that bends least, ``f(x) = a + A x + sum_i w_i U(|x - p_i|)`` with ``U(r) = r² log r²``
and weights without constant and linear moment.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


class ThinPlateSpline:
    """Maps ``source`` to ``target`` exactly, and an affine map everywhere.

    Args:
        source: (N, 2), not all on one line.
        target: (N, D).
    """

    def __init__(self, source: Points, target: Points) -> None:
        count = len(source)
        self.source = source
        affine = np.concatenate([np.ones((count, 1)), source], axis=1)
        system = np.zeros((count + 3, count + 3))
        system[:count, :count] = _radial(_squared_distances(source, source))
        system[:count, count:] = affine
        system[count:, :count] = affine.T
        right = np.concatenate([target, np.zeros((3, target.shape[1]))])
        self._weights, self._affine = np.split(np.linalg.solve(system, right), [count])

    def __call__(self, points: Points) -> Points:
        """(M, 2) → (M, D)."""
        bent = _radial(_squared_distances(points, self.source)) @ self._weights
        return np.asarray(self._affine[0] + points @ self._affine[1:] + bent, np.float64)


def _squared_distances(a: Points, b: Points) -> Points:
    return (a[:, None, 0] - b[:, 0]) ** 2 + (a[:, None, 1] - b[:, 1]) ** 2


def _radial(squared: Points) -> Points:
    """``r² log r²``, 0 at 0."""
    return np.asarray(squared * np.log(np.maximum(squared, np.finfo(np.float64).tiny)), np.float64)
