"""Take a rectangular part of the image that changes at once, and then stands still, into the background.

Recorders show several cameras in one image, of which one turns to infrared or shows "VIDEO LOSS"; screens and
shop windows are switched on, shutters go up. No object begins so.
"""

from __future__ import annotations

import cv2
import numpy as np

from segue.masks.pieces import Pieces, Window
from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.stages.base import Stage, WorkFrame
from segue.state import checkpointed
from segue.types import Image
from segue.utils.arrays import UInt8Array

# Chosen on a made recording of four views and on SBI2015, CDnet highway and office, which have no such part.
MIN_SHARE = 0.04  # of the image that the part takes
FILLED = 0.85  # share of its box that changes from one frame to the next
SETTLES = 0.4  # seconds in which it may go on to change
SECONDS = 1.0  # after which it is background
CHANGED = 14  # levels by which a pixel changes
FEW = 0.03  # share of pixels that may change where a part stands still


class Panels(Stage):
    """Leaves such a part out of the foreground, and makes it background after a second."""

    name = "panels"
    _box: tuple[int, int, int, int] | None = checkpointed(None)  # top, bottom, left, right
    _since: float = checkpointed(0.0)
    _image: Image | None = checkpointed(None)  # the last frame

    def after_segment(self, frame: WorkFrame, background: Background) -> None:
        if frame.pans or background.scene is None:
            self.restart()
            return
        image, previous = frame.image, self._image
        self._image = image
        if previous is None or previous.shape != image.shape:
            self._box = None
            return
        if self._box is None:
            self._box, self._since = _changed_part(image, previous), frame.time
            return
        part = _window(self._box)
        if _share(_changes(image[part], previous[part])) > FEW:
            self._box = None if frame.time - self._since > SETTLES else self._box
            return
        foreground = frame.foreground.copy()
        foreground[part] = 0
        frame.foreground = foreground
        if frame.time - self._since >= SECONDS:
            region = np.zeros(image.shape[:2], np.bool_)
            region[part] = True
            background.adopt(image, region)
            self._box = None


def _changed_part(image: Image, previous: Image) -> tuple[int, int, int, int] | None:
    """The box of a large part of an image that has changed as a whole since the frame before."""
    changed = _changes(image, previous)
    if _share(changed) < MIN_SHARE:
        return None
    pieces = Pieces.of(cv2.morphologyEx(changed, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0)
    number = int(np.argmax(pieces.areas))
    left, top, width, height = (int(side) for side in pieces.boxes[number])
    if pieces.areas[number] < max(FILLED * width * height, MIN_SHARE * changed.size):
        return None
    top, left = top + pieces.window[0].start, left + pieces.window[1].start
    return top, top + height, left, left + width


def _changes(image: Image, previous: Image) -> UInt8Array:
    """Pixels that have changed since the frame before, (h, w): 255, others 0."""
    same = cv2.inRange(cv2.absdiff(image, previous), (0, 0, 0), (CHANGED,) * 3)
    return np.asarray(cv2.bitwise_not(same), np.uint8)


def _share(changed: UInt8Array) -> float:
    return cv2.countNonZero(changed) / max(1, changed.size)


def _window(box: tuple[int, int, int, int]) -> Window:
    top, bottom, left, right = box
    return slice(top, bottom), slice(left, right)
