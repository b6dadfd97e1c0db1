"""Soft edges of masks: shifted, feathered, blurred, or estimated from the image.

Opacities in the edge may be estimated from the image by closed-form matting (Levin, Lischinski, Weiss, PAMI
2008), by PyMatting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from segue.errors import ArgumentError, MissingExtraError
from segue.utils.arrays import BoolArray, Float32Array, Float64Array, Image
from segue.utils.extras import missing_packages

MAX_PIXELS = 200.0
"""Maximum shift, width and feather of an edge."""

BAND = 0.024
"""Usual width of an edge that is estimated from the image, as a share of the shorter side of the image."""

MIN_BAND = 4.0
"""Minimum of the same in pixels."""

SIGMAS = 3
"""Standard deviations at which a Gaussian is truncated."""

Window = tuple[slice, slice]
"""Rows and columns of an image."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Soft edge of a mask; lengths in pixels.

    Attributes:
        grow: outward shift of the edge, from -200 to 200; negative shrinks.
        width: across which the opacity rises from 0 to 1, up to 200; the edge is in the middle.
        feather: standard deviation of the Gaussian that blurs all of it, up to 200.
        detail: whether the opacity within the width is estimated from the image, as for hair; needs the extra
            ``matting``.

    Raises:
        ArgumentError: a length is out of its range.
    """

    grow: float = 0.0
    width: float = 0.0
    feather: float = 0.0
    detail: bool = False

    def __post_init__(self) -> None:
        for name, minimum in (("grow", -MAX_PIXELS), ("width", 0.0), ("feather", 0.0)):
            value = getattr(self, name)
            if not minimum <= value <= MAX_PIXELS:  # also of NaN
                raise ArgumentError(
                    f"{name} of an edge: {value}; give pixels from {minimum:g} to {MAX_PIXELS:g}"
                )

    @property
    def is_hard(self) -> bool:
        """Whether the edge stays hard."""
        return not (self.grow or self.width or self.feather)

    @property
    def reach(self) -> int:
        """Margin around the mask that the edge may use or change, in pixels."""
        band = self.width if self.detail else self.width / 2
        return math.ceil(max(0.0, self.grow) + band + SIGMAS * self.feather) + 2


def detailed_edge(size: tuple[int, int]) -> Edge:
    """Default edge that is estimated from images (H, W)."""
    return Edge(width=max(MIN_BAND, 2.0 * round(BAND / 2 * min(size))), detail=True)


def check_matting() -> None:
    """Raise an error unless PyMatting is installed, which detailed edges need."""
    if missing := missing_packages("matting"):
        raise MissingExtraError(f"soft edges need {missing}")


def opacity(mask: BoolArray, edge: Edge, image: Image | None = None) -> Float32Array:
    """Compute the opacity of an object with a soft edge.

    Args:
        mask: (H, W), bool.
        edge: the soft edge.
        image: RGB, (H, W, 3), uint8; only edges with detail need it.

    Returns:
        (H, W), float32, from 0 to 1.

    Raises:
        ArgumentError: the edge has detail, and there is no image.
        MissingExtraError: the edge has detail, and PyMatting is not installed.
    """
    alpha = np.zeros(mask.shape, np.float32)
    window, inside = soft_mask(mask, edge, image)
    alpha[window] = inside
    return alpha


def soft_mask(mask: BoolArray, edge: Edge, image: Image | None = None) -> tuple[Window, Float32Array]:
    """Image region that holds all opacity of an object, and the opacity; see :func:`opacity`."""
    window = _window(mask, edge.reach)
    cut = mask[window]
    if not cut.any() or edge.is_hard:
        return window, cut.astype(np.float32)
    distance = _signed_distance(cut) + np.float32(edge.grow)
    if edge.detail and edge.width:
        if image is None:
            raise ArgumentError("an edge with detail needs the image")
        alpha = _estimated(distance, edge.width, np.asarray(image[window], np.float64) / 255)
    elif edge.width:
        alpha = np.clip(distance / np.float32(edge.width) + np.float32(0.5), 0, 1)
    else:
        alpha = (distance > 0).astype(np.float32)
    if edge.feather:
        # The object goes on outside the image, so that its edge there is none.
        blurred = cv2.GaussianBlur(alpha, (0, 0), edge.feather, borderType=cv2.BORDER_REPLICATE)
        alpha = np.asarray(blurred, np.float32)
    return window, alpha


def soft_masks(
    masks: Sequence[BoolArray], edges: Sequence[Edge], image: Image | None = None
) -> list[tuple[Window, Float32Array]]:
    """Opacities of the objects of a frame; where objects touch, they add up to one.

    Two edges of .5 composited one over the other give .75, and the background shows as a line. So the lower
    object continues below the edge of the upper one, up to the opacity of both as one object. Edges with
    detail stay as in :func:`soft_mask`.

    Args:
        masks: masks of the objects, (H, W), bool, from below.
        edges: soft edge of each object.
        image: RGB, (H, W, 3), uint8; only edges with detail need it.

    Returns:
        Of each object the part of the image with its opacity, and the opacity, float32, from 0 to 1.

    Raises:
        ArgumentError, MissingExtraError: as :func:`opacity`.
    """
    if len(masks) < 2 or all(edge.is_hard for edge in edges):
        return [soft_mask(mask, edge, image) for mask, edge in zip(masks, edges, strict=True)]
    plain = [edge for edge in edges if not edge.detail]
    width = max((edge.width for edge in plain), default=0.0)
    feather = max((edge.feather for edge in plain), default=0.0)
    above = np.zeros(masks[0].shape, np.bool_)  # where the objects that were done are, their edges moved
    clear = np.ones(masks[0].shape, np.float32)  # what shines through them
    parts = []
    for mask, edge in zip(reversed(masks), reversed(edges), strict=True):
        base_mask = opacity(mask, Edge(edge.grow)) > 0 if edge.grow else mask
        softest = Edge(edge.grow, width, feather)
        window, outer = (_window(mask, reach * softest.reach) for reach in (1, 2))
        if edge.detail or not above[window].any():
            window, alpha = soft_mask(mask, edge, image)
        else:
            inner = tuple(
                slice(part.start - whole.start, part.stop - whole.start)
                for part, whole in zip(window, outer, strict=True)
            )
            soft = Edge(width=edge.width, feather=edge.feather)
            alone, joined = (opacity(each[outer], soft)[inner] for each in (base_mask, base_mask | above))
            alpha = opacity(mask, edge)[window]
            tail = soft_mask(mask, softest)[1] / np.maximum(clear[window], np.float32(1e-6))
            inside, outside = alpha + joined - alone, np.maximum(alpha, np.minimum(tail, joined))
            # Where no other object is near, the edge stays exactly as it is alone.
            alpha = np.where(joined == alone, alpha, np.where(base_mask[window], inside, outside)).clip(0, 1)
        parts.append((window, alpha))
        clear[window] *= 1 - alpha
        above |= base_mask
    return parts[::-1]


def pure_colours(colours: Float64Array, alpha: Float32Array) -> Float32Array:
    """Colours of an object without the background, (H, W, 3), float32, in [0, 1]."""
    check_matting()
    import pymatting  # an extra

    pure = pymatting.estimate_foreground_ml(np.asarray(colours, np.float64), alpha.astype(np.float64))
    return np.asarray(np.clip(pure, 0, 1), np.float32)


def _window(mask: BoolArray, reach: int) -> Window:
    """Box around a mask with a margin; empty for an empty mask."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    if not width:
        return slice(0, 0), slice(0, 0)
    return (
        slice(max(0, top - reach), min(mask.shape[0], top + height + reach)),
        slice(max(0, left - reach), min(mask.shape[1], left + width + reach)),
    )


def _signed_distance(mask: BoolArray) -> Float32Array:
    """Distance in pixels from the border between pixels: positive inside, (H, W)."""
    if mask.all():
        return np.full(mask.shape, np.float32(2 * MAX_PIXELS), np.float32)
    plane = mask.view(np.uint8)
    inner, outer = (
        cv2.distanceTransform(each, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for each in (plane, 1 - plane)
    )
    return np.asarray(np.where(mask, inner - 0.5, 0.5 - outer), np.float32)


def _estimated(distance: Float32Array, width: float, colours: np.ndarray) -> Float32Array:
    """Estimate opacity from image colours in [0, 1] within the width of an edge."""
    check_matting()
    import pymatting  # an extra

    trimap = np.where(distance > width / 2, 1.0, np.where(distance < -width / 2, 0.0, 0.5))
    if not ((trimap == 1).any() and (trimap == 0).any()):
        # Too thin, or all of the image: there is nothing to learn its colours from.
        return np.asarray(distance > 0, np.float32)
    alpha = pymatting.estimate_alpha_cf(colours, trimap)
    return np.asarray(np.clip(alpha, 0, 1), np.float32)
