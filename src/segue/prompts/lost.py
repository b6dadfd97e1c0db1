"""Find objects without any labels from the features of a Vision Transformer.

Siméoni et al., "Localizing Objects with Self-Supervised Transformers and no Labels" (LOST, BMVC 2021).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segue.arrays import BoolArray, Float32Array
from segue.errors import PromptError

POTENTIAL = 100  # patches of lowest degree among which the seed's companions are sought; k of the paper
LEAST_PATCHES, MOST = 4, 0.5  # of several objects: patches, and share of the image


def pixels_of_patches(mask: BoolArray, patch: int, size: tuple[int, int]) -> BoolArray:
    """The patches (gh, gw) of an object at the size of the image. Returns (H, W)."""
    return np.ascontiguousarray(mask.repeat(patch, 0).repeat(patch, 1)[: size[0], : size[1]])


def discover(
    features: Float32Array, grid: tuple[int, int], max_objects: int = 1, *, k: int = POTENTIAL
) -> list[BoolArray]:
    """The most prominent objects of an image as patches (gh, gw), by one row of features per patch, (N, d).

    Features are neither normalised nor centred. To look for more than one object is ours, not the paper's.
    """
    least, most = (0, 1.0) if max_objects == 1 else (LEAST_PATCHES, MOST)
    left = np.arange(len(features))
    found: list[BoolArray] = []
    while len(found) < max_objects and len(left) >= least:
        find = _discover_among(features, left, grid, k)
        if find is None and not found:
            raise PromptError("object discovery: the features of the seed are zero; is the image empty?")
        if find is None or find.sum() < least or find.mean() > most:
            break
        found.append(find)
        left = left[~find.flat[left]]
    return found


def _discover_among(
    features: Float32Array, left: npt.NDArray[np.int64], grid: tuple[int, int], k: int
) -> BoolArray | None:
    """The object among the patches ``left``; None where the features of the seed are zero."""
    from scipy import ndimage  # late, for a quick start

    part = features[left]
    correlation = part @ part.T
    positive = correlation > 0
    degree = positive.sum(1) - np.diagonal(positive)
    order = np.argsort(degree, kind="stable")
    candidates = order[:k]
    similar = candidates[correlation[order[0], candidates] > 0]
    votes = np.zeros(len(features), features.dtype)
    votes[left] = correlation[similar].sum(0)
    components, _ = ndimage.label((votes > 0).reshape(grid))
    label = components.flat[left[order[0]]]
    if label == 0:
        return None
    return np.asarray(components == label)
