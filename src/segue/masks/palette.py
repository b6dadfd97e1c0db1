"""The one palette of the project: the colours of PASCAL VOC and DAVIS."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segue.types import IndexMask


def davis_palette() -> npt.NDArray[np.uint8]:
    """Colour of every id, (256, 3), uint8, RGB; 0 is black.

    The bit rule of the PASCAL VOC development kit: the three lowest bits of the id become the highest
    bits of red, green and blue, the next three the second highest, and so on.
    """
    ids = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for level in range(8):
        for channel in range(3):
            bit = (ids >> (3 * level + channel)) & 1
            palette[:, channel] |= (bit << (7 - level)).astype(np.uint8)
    return palette


DAVIS_PALETTE = davis_palette()
"""The result of :func:`davis_palette`, computed once; do not write to it."""
DAVIS_PALETTE.setflags(write=False)


def fold_ids(mask: IndexMask) -> npt.NDArray[np.uint8]:
    """Palette entries for an index mask of any integer type: ids beyond 255 start again at 1, never at 0."""
    if mask.dtype == np.uint8:
        return np.asarray(mask, np.uint8)
    folded = np.where(mask > 0, (mask.astype(np.int64) - 1) % 255 + 1, 0)
    return folded.astype(np.uint8)
