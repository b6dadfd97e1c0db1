"""Components of a predicted mask far from where the object was, removed before they become memory."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

LIKELY = -2.2
"""Log-odds (probability 0.1) above which a position belongs to a piece."""

UNLIKELY = -10.0
"""Log-odds that a position gets which is taken away."""

LARGE = 0.3
"""A piece this large, compared with all that is near, stays: it may well be the object."""


def suppress_distant_components(
    logits: npt.NDArray[np.float32], before: npt.NDArray[np.bool_], max_jump: int
) -> npt.NDArray[np.float32]:
    """Lower the log-odds of small pieces that nothing of the previous mask is near to.

    A piece is a connected region of likely positions. One that comes within ``max_jump`` rows and columns of
    the previous mask stays as a whole. Where no piece does, or where there was no mask, everything stays: an
    object that jumped or comes back is found anywhere.

    Args:
        logits: log-odds of the objects, (K, h, w), float32; changed in place.
        before: their masks on the frame before, (K, h, w).
        max_jump: in positions of the maps.

    Returns:
        The log-odds that were given.
    """
    kernel = np.ones((2 * max_jump + 1,) * 2, np.uint8)
    for plane, mask in zip(logits, before, strict=True):
        if not mask.any():
            continue
        likely = (plane > LIKELY).astype(np.uint8)
        count, pieces, stats, _ = cv2.connectedComponentsWithStats(likely, connectivity=8)
        if count <= 2:
            continue
        near = cv2.dilate(mask.astype(np.uint8), kernel)
        touched = np.bincount(pieces[near > 0], minlength=count) > 0
        areas = stats[:, cv2.CC_STAT_AREA]
        main = areas[1:][touched[1:]].sum()
        stray = ~touched & (areas < LARGE * main)
        stray[0] = False
        if stray.any():
            plane[stray[pieces]] = UNLIKELY
    return logits
