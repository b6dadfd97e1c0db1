"""Find objects without any labels from the features of a Vision Transformer.

Siméoni et al., "Localizing Objects with Self-Supervised Transformers and no Labels" (LOST, BMVC 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segue.arrays import Float32Array
from segue.errors import PromptError
from segue.prompts.planes import tight_box

POTENTIAL = 100  # patches of lowest degree among which the seed's companions are sought; k of the paper
LEAST_PATCHES, MOST = 4, 0.5  # of several objects: patches, and share of the image


@dataclass(frozen=True)
class Discovery:
    """One object on the patch grid."""

    degree: npt.NDArray[np.int64]  # for each patch, with how many others it correlates positively, (N,)
    seed: int  # patch of the smallest degree
    similar: npt.NDArray[np.int64]  # companions of the seed in order of degree, the seed among them
    votes: Float32Array  # sum of the correlations with the companions, (N,)
    mask: npt.NDArray[np.bool_]  # the object's patches, (gh, gw)

    def box(self, patch: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Box around the object."""
        x0, y0, x1, y1 = (int(side) * patch for side in tight_box(self.mask))
        return x0, y0, min(x1, int(size[1])), min(y1, int(size[0]))

    def pixels(self, patch: int, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """The mask at the size of the image. Returns (H, W), bool."""
        grown = self.mask.repeat(patch, 0).repeat(patch, 1)
        return np.ascontiguousarray(grown[: size[0], : size[1]])


def discover(
    features: Float32Array, grid: tuple[int, int], max_objects: int = 1, *, k: int = POTENTIAL
) -> list[Discovery]:
    """The most prominent objects of an image, by one row of features per patch, (N, d).

    Features are neither normalised nor centred; the grid is rows and columns of the patches. The paper finds
    a single object. Looking for more, each among what is left, is ours, and ends with the first find of fewer
    patches than :data:`LEAST_PATCHES` or more than the share :data:`MOST` of the image.
    """
    least, most = (0, 1.0) if max_objects == 1 else (LEAST_PATCHES, MOST)
    left = np.arange(len(features))
    found: list[Discovery] = []
    while len(found) < max_objects and len(left) >= least:
        find = _discover_among(features, left, grid, k)
        if find is None and not found:
            raise PromptError("object discovery: the features of the seed are zero; is the image empty?")
        if find is None or find.mask.sum() < least or find.mask.mean() > most:
            break
        found.append(find)
        left = left[~find.mask.flat[left]]
    return found


def _discover_among(
    features: Float32Array, left: npt.NDArray[np.int64], grid: tuple[int, int], k: int
) -> Discovery | None:
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
    degrees = np.zeros(len(features), np.int64)
    degrees[left] = degree
    return Discovery(degrees, int(left[order[0]]), left[similar], votes, components == label)
