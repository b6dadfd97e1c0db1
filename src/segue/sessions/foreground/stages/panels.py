"""Adopt rectangular parts of the image that change at once and then stay into the background.

Examples: a view of a multi-camera recording turns to infrared or shows "VIDEO LOSS", a screen is switched on,
a shutter opens. Objects do not appear this way.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from segue.masks.pieces import Pieces, Window
from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.stages.base import Stage, WorkFrame
from segue.state import checkpointed
from segue.types import Image
from segue.utils.arrays import UInt8Array


@dataclass(frozen=True, slots=True)
class PanelSettings:
    """Settings of :class:`Panels`, chosen on a synthetic recording of four views, SBI2015 and CDnet2014.

    Attributes:
        min_share: share of the image that a panel covers; smaller values adopt objects.
        min_filled: share of its box that changes at once; smaller values adopt other shapes.
        settle_seconds: seconds in which it may keep changing.
        adopt_seconds: seconds after which it becomes background.
        min_change: levels by which a pixel changes; smaller values react to noise.
        max_changes: share of pixels that may change in a panel at rest.
    """

    min_share: float = 0.04
    min_filled: float = 0.85
    settle_seconds: float = 0.4
    adopt_seconds: float = 1.0
    min_change: int = 14
    max_changes: float = 0.03


SETTINGS = PanelSettings()

ROW_STEP = 4
"""Rows from one to the next that are compared first; larger values miss flat panels."""

SPARSE = 0.6 * SETTINGS.min_share, 0.8 * SETTINGS.min_filled
"""Shares of the image and of its box that a panel must cover in these rows."""

_GAP = np.ones((3, 3), np.uint8)


class Panels(Stage):
    """Removes panels from the foreground, and adopts them into the background after a second."""

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
        if _share(_changes(image[part], previous[part])) > SETTINGS.max_changes:
            self._box = None if frame.time - self._since > SETTINGS.settle_seconds else self._box
            return
        foreground = frame.foreground.copy()
        foreground[part] = 0
        frame.foreground = foreground
        if frame.time - self._since >= SETTINGS.adopt_seconds:
            region = np.zeros(image.shape[:2], np.bool_)
            region[part] = True
            background.adopt(image, region)
            self._box = None


def _changed_part(image: Image, previous: Image) -> tuple[int, int, int, int] | None:
    """Box of a large part of the image that changed as a whole since the previous frame."""
    # Some rows tell that there is none, which holds for nearly all frames.
    rows = slice(None, None, ROW_STEP)
    if _filled_box(_changes(image[rows], previous[rows]), _GAP[:1], *SPARSE) is None:
        return None
    return _filled_box(_changes(image, previous), _GAP, SETTINGS.min_share, SETTINGS.min_filled)


def _filled_box(
    changed: UInt8Array, gap: UInt8Array, min_share: float, min_filled: float
) -> tuple[int, int, int, int] | None:
    """Box of the largest component with closed gaps if it covers and fills enough."""
    if _share(changed) < min_share:
        return None
    pieces = Pieces.of(cv2.morphologyEx(changed, cv2.MORPH_CLOSE, gap) > 0)
    number = int(np.argmax(pieces.areas))
    left, top, width, height = (int(side) for side in pieces.boxes[number])
    if pieces.areas[number] < max(min_filled * width * height, min_share * changed.size):
        return None
    top, left = top + pieces.window[0].start, left + pieces.window[1].start
    return top, top + height, left, left + width


def _changes(image: Image, previous: Image) -> UInt8Array:
    """Pixels that changed since the previous frame, (h, w): 255, others 0."""
    same = cv2.inRange(cv2.absdiff(image, previous), (0, 0, 0), (SETTINGS.min_change,) * 3)
    return np.asarray(cv2.bitwise_not(same), np.uint8)


def _share(changed: UInt8Array) -> float:
    return cv2.countNonZero(changed) / max(1, changed.size)


def _window(box: tuple[int, int, int, int]) -> Window:
    top, bottom, left, right = box
    return slice(top, bottom), slice(left, right)
