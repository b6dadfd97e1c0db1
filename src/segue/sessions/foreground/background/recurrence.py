"""How often the colours of each pixel of a frame were seen at its place before.

Leaves before the sky show two colours in turn, water shows many: a median has one of them, and a range has
none that a person or a car could not have, too. A model with several modes, as those of MOG2 (Zivkovic, 2004)
and ViBe (Barnich and Van Droogenbroeck, 2011), knows them all. Here the kept frames are the model: a colour
is known by the share of them that show it, and by how often it came back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from segue.types import Image
from segue.utils.arrays import UInt8Array

TOLERANCE = 10  # levels by which a colour may leave those of the 3 x 3 pixels around it and still be the same
VISIT = 16  # of 255, for each time that a colour came back
MOST = 18  # kept frames that are looked at; each costs time on every frame


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """Kept frames at half size, with all that was to be seen in them.

    Attributes:
        frames: RGB (ceil(H / 2), ceil(W / 2), 3), uint8, the oldest first; not written to.
        gains: factors of red, green and blue by which the light is another one now.
    """

    frames: Sequence[npt.NDArray[np.uint8]]
    gains: tuple[float, ...] = (1.0, 1.0, 1.0)

    def recurrence(self, image: Image, rows: slice = slice(None), columns: slice = slice(None)) -> UInt8Array:
        """How often the colours of an image were seen at their places.

        Args:
            image: RGB (H, W, 3), uint8.
            rows: rows to look at, from an even one on.
            columns: columns to look at, alike.

        Returns:
            Two planes (2, ceil(h / 2), ceil(w / 2)), uint8, at half the size of that part: the share of the
            kept frames that show the colour, in parts of 255, and 16 for each time that it came back.
        """
        low, high = colours_around(halved(image[rows, columns]), self.gains)
        top, left = (0 if side.start is None else side.start // 2 for side in (rows, columns))
        height, width = low.shape[:2]
        count, back = np.zeros((2, height, width), np.uint8)
        before = np.full((height, width), 255, np.uint8)
        kept = len(self.frames)
        places = np.linspace(kept - 1, 0, min(kept, MOST)).round().astype(int).tolist()
        for frame in (self.frames[place] for place in places):
            part = frame[top : top + height, left : left + width]
            same = np.asarray(cv2.inRange(part, low, high), np.uint8)
            count -= same  # 255 is -1
            back -= same & ~before
            before = same
        shares = np.minimum(np.arange(256) * 255 // max(1, len(places)), 255).astype(np.uint8)
        visits = np.minimum(np.arange(256) * VISIT, 255).astype(np.uint8)
        return np.stack([cv2.LUT(count, shares), cv2.LUT(back, visits)])

    def in_other_light(self, gains: Sequence[float]) -> Past:
        """The same frames, brighter or darker by factors of red, green and blue."""
        return Past(self.frames, tuple(one * other for one, other in zip(self.gains, gains, strict=True)))


NO_PAST = Past(())
"""No frame was kept: nothing was seen before."""


def halved(image: Image) -> Image:
    """An image (H, W, 3) at half size, rounded up."""
    height, width = image.shape[:2]
    size = -(-width // 2), -(-height // 2)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def colours_around(image: Image, gains: Sequence[float] = (1.0, 1.0, 1.0)) -> tuple[Image, Image]:
    """Lowest and highest colours that are those of each pixel of an image or of one beside it.

    ``gains``: of the image over the frames with which they are compared.
    """
    square = np.ones((3, 3), np.uint8)
    room = np.full_like(image, TOLERANCE)
    low = np.asarray(cv2.subtract(cv2.erode(image, square), room), np.uint8)
    high = np.asarray(cv2.add(cv2.dilate(image, square), room), np.uint8)
    if max(gains) == min(gains) == 1:
        return low, high
    levels = np.arange(256)[:, None] / np.maximum(gains, 1e-3)
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)[:, None]
    return np.asarray(cv2.LUT(low, table), np.uint8), np.asarray(cv2.LUT(high, table), np.uint8)
