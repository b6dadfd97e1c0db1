"""Tell somebody who stands still from the ghost of somebody who has left."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from segue.sessions.base import Kept
from segue.types import Image

Mask = npt.NDArray[np.bool_]

Part = tuple[slice, slice]  # rows and columns of a picture

EVERY = 9  # frames from one look to the next
SMALLEST = 40  # pieces with fewer pixels are left to the median
STILL_LEVELS, STILL_SHARE = 16, 0.9  # what stands still: this share changed by at most so many levels
RATIO, MARGIN = 1.6, 3.0  # the background's outline is clearer by this factor, and so many levels a pixel
AROUND = 4  # what is looked at around a piece
BORDER = 3  # pixels by which a ghost is grown: the border of an object is blurred


class GhostWatch(Kept):
    """Looks for pieces of foreground whose outline is an edge of the background picture, not of the frame.

    Where somebody stands, the frame has an edge along the outline of the mask. Where somebody was taken for
    background and has left, the background has it. A piece must stand still and look like a ghost twice.
    """

    kept = "_seen _before"

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self._seen = 0
        self._before: tuple[Image, Mask, Mask] | None = None

    def look(self, image: Image, background: Image, mask: Mask) -> Mask | None:
        """Where there is nothing but a ghost in the next frame, (H, W), or None.

        Frame and empty scene are RGB (H, W, 3), uint8; the mask, (H, W), is the foreground of the frame.
        """
        self._seen += 1
        if self._seen % EVERY:
            return None
        ghosts, found = np.zeros(mask.shape, bool), np.zeros(mask.shape, bool)
        if self._before is not None and mask.any():
            last, was, suspects = self._before
            still = was & (cv2.absdiff(image, last).max(axis=2) <= STILL_LEVELS)
            for where, piece in _pieces(mask):
                if still[where][piece].mean() < STILL_SHARE:
                    continue
                if _belongs_to(piece, image[where], background[where]):
                    ghosts[where] |= piece
                    if suspects[where][piece].mean() > STILL_SHARE:
                        found[where] |= piece
        self._before = np.array(image), np.array(mask), ghosts
        if not found.any():
            return None
        side = 2 * BORDER + 1
        return np.asarray(cv2.dilate(found.view(np.uint8), np.ones((side, side), np.uint8)) > 0)


def _pieces(mask: Mask) -> Iterator[tuple[Part, Mask]]:
    """Connected pieces that are large enough: a part of the picture, and the piece in it, (h, w)."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    for i in range(1, count):
        left, top, width, height, area = (int(value) for value in stats[i])
        if area >= SMALLEST:
            rows = slice(max(0, top - AROUND), top + height + AROUND)
            columns = slice(max(0, left - AROUND), left + width + AROUND)
            yield (rows, columns), np.asarray(labels[rows, columns] == i)


def _belongs_to(piece: Mask, image: Image, background: Image) -> bool:
    """Whether the outline of a piece is an edge of the background rather than of the frame."""
    smooth = cv2.GaussianBlur(piece.astype(np.float32), (0, 0), 1.5)
    across = np.stack([cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)])
    steepness = np.linalg.norm(across, axis=0)
    outline = steepness > max(0.5 * steepness.max(), 1e-3)
    if not outline.any():  # the piece fills the picture
        return False
    normal = across[:, outline] / steepness[outline]
    own, other = (_contrast(picture, outline, normal) for picture in (image, background))
    return other > RATIO * own + MARGIN


def _contrast(picture: Image, outline: Mask, normal: npt.NDArray[np.float32]) -> float:
    """Mean change of the colours across an outline, in levels a pixel."""
    smooth = cv2.GaussianBlur(picture, (0, 0), 1.0).astype(np.float32)
    right, down = (cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx, scale=1 / 8)[outline] for dx in (1, 0))
    return float(np.abs(right * normal[0][:, None] + down * normal[1][:, None]).max(axis=1).mean())
