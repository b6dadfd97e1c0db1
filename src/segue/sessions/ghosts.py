"""Find ghosts: foreground where an object that was taken for background has left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import BoolArray
from segue.sessions.backgrounds import Background
from segue.sessions.base import checkpointed
from segue.sessions.stages import Change, Stage, WorkFrame
from segue.types import Image

Part = tuple[slice, slice]  # rows and columns of a picture

EVERY = 9  # frames from one look to the next
SMALLEST = 40  # pieces with fewer pixels are left to the median
STILL_LEVELS, STILL_SHARE = 16, 0.9  # what stands still: this share changed by at most so many levels
RATIO, MARGIN = 1.6, 3.0  # the background's outline is clearer by this factor, and so many levels a pixel
AROUND = 4  # what is looked at around a piece
BORDER = 3  # pixels by which a ghost is grown: the border of an object is blurred


class Ghosts(Stage):
    """Makes foreground whose outline is an edge of the background picture, not of the frame, background.

    Where somebody stands, the frame has an edge along the outline of the mask. Where somebody was taken for
    background and has left, the background has it. A piece must stand still and look like a ghost twice.
    """

    name = "ghosts"
    _seen: int = checkpointed()
    _before: tuple[Image, BoolArray, BoolArray] | None = checkpointed()

    def __init__(self) -> None:
        self.reset(Change.scene)

    def reset(self, event: Change) -> None:
        if event is Change.scene:
            self._seen = 0
            self._before = None

    def result(self, frame: WorkFrame, background: Background) -> None:
        if frame.pans or frame.relearn or frame.mask is None or background.scene is None:
            return
        ghost = self.look(frame.image, background.scene.picture, frame.mask)
        if ghost is not None:
            background.remove_ghost(frame.image, ghost)

    def look(self, image: Image, background: Image, mask: BoolArray) -> BoolArray | None:
        """Where there is nothing but a ghost in the next frame.

        Args:
            image: the frame, RGB (H, W, 3), uint8.
            background: the empty scene, RGB (H, W, 3), uint8.
            mask: (H, W), bool, the foreground of the frame.

        Returns:
            (H, W), bool, grown by a border; None where there is no ghost, and on frames that are not looked
            at.
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
                if has_clearer_outline(piece, background[where], image[where]):
                    ghosts[where] |= piece
                    if suspects[where][piece].mean() > STILL_SHARE:
                        found[where] |= piece
        self._before = np.array(image), np.array(mask), ghosts
        if not found.any():
            return None
        side = 2 * BORDER + 1
        return np.asarray(cv2.dilate(found.view(np.uint8), np.ones((side, side), np.uint8)) > 0)


def _pieces(mask: BoolArray) -> Iterator[tuple[Part, BoolArray]]:
    """Connected pieces that are large enough: a part of the picture, and the piece in it, (h, w)."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    for i in range(1, count):
        left, top, width, height, area = (int(value) for value in stats[i])
        if area >= SMALLEST:
            rows = slice(max(0, top - AROUND), top + height + AROUND)
            columns = slice(max(0, left - AROUND), left + width + AROUND)
            yield (rows, columns), np.asarray(labels[rows, columns] == i)


def has_clearer_outline(piece: BoolArray, picture: Image, other: Image) -> bool:
    """Whether the outline of a piece is an edge of one picture rather than of another.

    Args:
        piece: (H, W), bool.
        picture: RGB (H, W, 3), uint8.
        other: of the same size.

    Returns:
        True where it is clearer in ``picture`` by :data:`RATIO` and :data:`MARGIN`; False without an outline.
    """
    contrasts = outline_contrasts(piece, (other, picture))
    return contrasts is not None and contrasts[1] > RATIO * contrasts[0] + MARGIN


def outline_contrasts(piece: BoolArray, pictures: Iterable[Image]) -> list[float] | None:
    """How clear an edge the outline of a piece is in each of some pictures.

    Args:
        piece: (H, W).
        pictures: RGB (H, W, 3), uint8.

    Returns:
        Mean change of the colours across the outline, in levels a pixel; None if the piece has no outline.
    """
    smooth = cv2.GaussianBlur(piece.astype(np.float32), (0, 0), 1.5)
    across = np.stack([cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)])
    steepness = np.linalg.norm(across, axis=0)
    outline = steepness > max(0.5 * steepness.max(), 1e-3)
    if not outline.any():  # the piece fills the picture
        return None
    normal = across[:, outline] / steepness[outline]
    return [_contrast(picture, outline, normal) for picture in pictures]


def _contrast(picture: Image, outline: BoolArray, normal: npt.NDArray[np.float32]) -> float:
    """Mean change of the colours across an outline, in levels a pixel."""
    smooth = cv2.GaussianBlur(picture, (0, 0), 1.0).astype(np.float32)
    right, down = (cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx, scale=1 / 8)[outline] for dx in (1, 0))
    return float(np.abs(right * normal[0][:, None] + down * normal[1][:, None]).max(axis=1).mean())
