"""Find objects without any labels from the features of a Vision Transformer.

Siméoni et al., "Localizing Objects with Self-Supervised Transformers and no Labels" (LOST, BMVC 2021).
"""

from __future__ import annotations

import numpy as np

from segue.arrays import BoolArray, Float32Array
from segue.errors import PromptError

POTENTIAL = 100  # patches of lowest degree among which the seed's companions are sought; k of the paper


def pixels_of_patches(mask: BoolArray, patch: int, size: tuple[int, int]) -> BoolArray:
    """The patches (gh, gw) of an object at the size of the image. Returns (H, W)."""
    return np.ascontiguousarray(mask.repeat(patch, 0).repeat(patch, 1)[: size[0], : size[1]])


def discover(features: Float32Array, grid: tuple[int, int], *, k: int = POTENTIAL) -> BoolArray:
    """The most prominent object of an image as patches (gh, gw), by one row of features per patch, (N, d).

    Features are neither normalised nor centred.
    """
    from scipy import ndimage  # late, for a quick start

    correlation = features @ features.T
    positive = correlation > 0
    degree = positive.sum(1) - np.diagonal(positive)
    order = np.argsort(degree, kind="stable")
    candidates = order[:k]
    similar = candidates[correlation[order[0], candidates] > 0]
    votes = correlation[similar].sum(0)
    components, _ = ndimage.label((votes > 0).reshape(grid))
    label = components.flat[order[0]]
    if label == 0:
        raise PromptError("object discovery: the features of the seed are zero; is the image empty?")
    return np.asarray(components == label)
