"""Cut-outs with soft edges: closed-form matting (Levin, Lischinski, Weiss, PAMI 2008) by PyMatting."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from segue.errors import SegueError
from segue.types import Image
from segue.utils.extras import missing_packages

BAND = 0.012
"""Half the width of the band along the edge of a mask in which the transparency is estimated, as a share of
the shorter side of the image."""

MIN_BAND = 2
"""The same in pixels, at least."""


def need_matting() -> None:
    """See that PyMatting is installed."""
    if missing := missing_packages("matting"):
        raise SegueError(f"soft edges need {missing}")


def soft_cut_out(image: Image, mask: npt.NDArray[np.bool_]) -> Image:
    """RGBA (H, W, 4), uint8, of the pixels of a mask (H, W) of an RGB image, with soft edges."""
    import pymatting  # an extra

    cut_out = np.zeros((*mask.shape, 4), np.uint8)
    band = max(MIN_BAND, round(BAND * min(mask.shape)))
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * band + 1, 2 * band + 1))
    reach = cv2.dilate(mask.astype(np.uint8), brush) > 0
    if not reach.any():
        return cut_out
    x, y, width, height = cv2.boundingRect(reach.astype(np.uint8))
    here = np.s_[
        max(0, y - band) : min(mask.shape[0], y + height + band),
        max(0, x - band) : min(mask.shape[1], x + width + band),
    ]
    # Outside the image the object goes on, so that its edge there is none.
    inside = cv2.erode(mask.astype(np.uint8), brush, borderType=cv2.BORDER_CONSTANT, borderValue=1) > 0
    trimap = np.where(inside, 1.0, np.where(reach, 0.5, 0.0))[here]
    colours = np.asarray(image[here], np.float64) / 255
    if (trimap == 1).any() and (trimap == 0).any():
        alpha = np.clip(np.asarray(pymatting.estimate_alpha_cf(colours, trimap), np.float64), 0, 1)
    else:  # too thin, or all of the image: there is nothing to learn its colours from
        alpha = mask[here].astype(np.float64)
    pure = np.clip(np.asarray(pymatting.estimate_foreground_ml(colours, alpha), np.float64), 0, 1)
    cut_out[here] = np.round(255 * np.dstack([pure, alpha]))
    cut_out[cut_out[..., 3] == 0] = 0
    return cut_out
