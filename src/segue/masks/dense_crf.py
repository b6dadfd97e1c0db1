"""Sharpen masks with a dense conditional random field.

Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials" (NIPS
2011). The filters run on the permutohedral lattice (Adams, Baek and Davis, Eurographics 2010), which is two
sparse matrices and one sparse blur per axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.special import softmax

from segue.utils.arrays import Float64Array, Image, IndexMask


@dataclass(frozen=True, slots=True)
class CrfParameters:
    """Gaussian kernel, bilateral kernel and mean-field steps, by default those of the STCN report."""

    smooth_reach: float = 3.0
    smooth_weight: float = 3.0
    colour_reach: float = 40.0
    colour_range: float = 13.0
    colour_weight: float = 10.0
    iterations: int = 10


def refine(mask: IndexMask, image: Image) -> IndexMask:
    """Align a rough index mask (H, W) with the edges of its image; ids stay."""
    ids = np.unique(mask[mask != 0])
    if len(ids) == 0:
        return np.array(mask)
    scores = np.ones((len(ids) + 1, mask.size))
    scores[0] = 10.0
    for row, number in enumerate(ids, start=1):
        scores[row, (mask == number).ravel()] = 100.0
    unary = -np.log(scores / scores.sum(0))
    marginals = mean_field(unary, image, CrfParameters())
    table = np.concatenate(([0], ids)).astype(mask.dtype)
    refined: IndexMask = table[marginals.argmax(0)].reshape(mask.shape)
    return refined


def mean_field(unary: Float64Array, image: Image, parameters: CrfParameters) -> Float64Array:
    """Run mean-field steps of a dense CRF (Krähenbühl and Koltun, 2011); ``unary``: -log p (L, N)."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width].reshape(2, -1).astype(np.float64)
    place = np.stack((x, y), 1)
    colour = image.reshape(-1, 3).astype(np.float64) / parameters.colour_range
    features = (
        (parameters.smooth_weight, place / parameters.smooth_reach),
        (parameters.colour_weight, np.hstack((place / parameters.colour_reach, colour))),
    )
    kernels = [(weight, Lattice(points)) for weight, points in features if weight != 0]
    scales = [1 / np.sqrt(lattice.filter(np.ones((1, unary.shape[1])))[0] + 1e-20) for _, lattice in kernels]
    marginals: Float64Array = softmax(-unary, axis=0)
    for _ in range(parameters.iterations):
        energy = -unary
        for (weight, lattice), scale in zip(kernels, scales, strict=True):
            energy = energy + weight * scale * lattice.filter(marginals * scale)
        marginals = softmax(energy, axis=0)
    return marginals


class Lattice:
    """Gaussian filter of unit deviation among points (N, d), without normalisation."""

    def __init__(self, features: Float64Array) -> None:
        count, dims = features.shape
        keys, weights = _simplices(features)
        # One number per vertex: coordinates as digits, with room for neighbours on both sides.
        low = keys.min((0, 1)) - (dims + 1)
        spans = (keys.max((0, 1)) + (dims + 1) - low + 1).astype(np.int64)
        factors = np.concatenate((np.cumprod(spans[:0:-1])[::-1], [1])).astype(np.int64)
        codes = ((keys - low) * factors).sum(-1)
        vertices, index = np.unique(codes, return_inverse=True)
        rows = np.repeat(np.arange(count), dims + 1)
        shape = (count, len(vertices))
        self._spread = sparse.csr_matrix((weights.ravel(), (rows, index.ravel())), shape)
        self._gather = self._spread.T.tocsr()
        self._blurs = [_blur(vertices, factors, axis, dims) for axis in range(dims + 1)]

    def filter(self, values: Float64Array) -> Float64Array:
        """Filter rows (L, N)."""
        y = self._gather @ values.T
        for blur in self._blurs:
            y = y + 0.5 * (blur @ y)
        filtered: Float64Array = (self._spread @ y).T
        return filtered


def _simplices(features: Float64Array) -> tuple[npt.NDArray[np.int64], Float64Array]:
    """Keys (N, d + 1, d) and weights (N, d + 1) of the lattice points around each point."""
    count, dims = features.shape
    elevated = _elevate(features)
    nearest = np.ceil(elevated / (dims + 1) - 0.5) * (dims + 1)
    surplus = np.rint(nearest.sum(1) / (dims + 1)).astype(np.int64)
    offset = elevated - nearest
    rank = np.zeros((count, dims + 1), np.int64)
    for i in range(dims + 1):
        for j in range(i + 1, dims + 1):
            lower = offset[:, i] < offset[:, j]
            rank[:, i] += lower
            rank[:, j] += ~lower
    rank += surplus[:, None]
    for outside, step in ((rank < 0, dims + 1), (rank > dims, -(dims + 1))):
        nearest[outside] += step
        rank[outside] += step
    weights = np.zeros((count, dims + 2))
    share = (elevated - nearest) / (dims + 1)
    rows = np.arange(count)
    for i in range(dims + 1):
        weights[rows, dims - rank[:, i]] += share[:, i]
        weights[rows, dims + 1 - rank[:, i]] -= share[:, i]
    weights[:, 0] += 1 + weights[:, dims + 1]
    step = np.arange(dims + 1)[None, :, None]
    corner_steps = step - (dims + 1) * (rank[:, None, :dims] > dims - step)
    return nearest[:, None, :dims].astype(np.int64) + corner_steps, weights[:, : dims + 1]


def _elevate(features: Float64Array) -> Float64Array:
    """Map points (N, d) to the plane of d + 1 coordinates that sum to zero."""
    count, dims = features.shape
    axis = np.arange(dims)
    scaled = features * (np.sqrt(2 / 3) * (dims + 1) / np.sqrt((axis + 1) * (axis + 2)))
    elevated = np.empty((count, dims + 1))
    running = np.zeros(count)
    for j in range(dims, 0, -1):
        elevated[:, j] = running - j * scaled[:, j - 1]
        running += scaled[:, j - 1]
    elevated[:, 0] = running
    return elevated


def _blur(
    vertices: npt.NDArray[np.int64], factors: npt.NDArray[np.int64], axis: int, dims: int
) -> sparse.csr_matrix:
    """Adjacency of the vertices along one axis of the lattice."""
    step = np.ones(dims, np.int64)
    if axis < dims:
        step[axis] = -dims
    neighbours = vertices + int((step * factors).sum())
    place = np.minimum(np.searchsorted(vertices, neighbours), len(vertices) - 1)
    exists = vertices[place] == neighbours
    size = len(vertices)
    links = sparse.csr_matrix(
        (np.ones(int(exists.sum())), (np.flatnonzero(exists), place[exists])), (size, size)
    )
    return (links + links.T).tocsr()
