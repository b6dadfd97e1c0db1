"""Tell what has happened to the whole picture: another scene, another light, a pause."""

from __future__ import annotations

from enum import Enum

import cv2
import numpy as np
import numpy.typing as npt

from segue.sessions.align import normalised
from segue.sessions.base import SessionState
from segue.types import Image

LONG_SIDE = 16
"""Pictures are compared at this longer side, in pixels: a shaken camera changes little there."""

STEP = 16.0
"""Levels by which a pixel must differ from the frame before to have jumped."""

SHARE = 0.5
"""Share of the pixels that must have jumped for another light."""

SCENE_SHARE = 0.2
"""Share of the pixels that must have jumped for another scene."""

LIKENESS = 0.5
"""Correlation of local structure above which it is the same scene, whatever the light."""

PAUSE_SECONDS = 2.0
PAUSE_FRAMES = 10.0
"""A pause is longer than both: these seconds, and this many times the usual distance of two frames."""

RATE_FRAMES = 3
"""So many pauses in a row are no pauses: the camera has become slower."""

GAIN = 0.08
"""Logarithm of the gain beyond which the background follows the exposure."""

Small = npt.NDArray[np.float32]
"""A reduced picture, RGB (h, w, 3), float32, 0 to 255."""


class Change(Enum):
    """What is different from the frame before, as a whole."""

    none = "none"
    pause = "pause"
    light = "light"
    scene = "scene"


class ChangeWatch:
    """Compares each frame, reduced to some two hundred pixels, with the one before."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget the frame before."""
        self._before: Small | None = None
        self._time: float | None = None
        self._usual: float | None = None
        self._pauses = 0

    def look(self, image: Image, time: float) -> Change:
        """Take the next frame, RGB (H, W, 3), uint8, and its time stamp in seconds."""
        small = reduced(image)
        before, self._before = self._before, small
        paused = self._paused(time)
        if before is None or before.shape != small.shape:
            return Change.none
        if other_scene(small, before):
            return Change.scene
        if jumped(small, before) > SHARE:
            return Change.light
        return Change.pause if paused else Change.none

    def state(self) -> SessionState:
        """All that :meth:`restore` needs."""
        arrays = {} if self._before is None else {"before": self._before}
        return SessionState.of(arrays, {"time": self._time, "usual": self._usual, "pauses": self._pauses})

    def restore(self, state: SessionState) -> None:
        """Go on from where :meth:`state` was called."""
        self._before = state.arrays().get("before")
        values = state.values
        self._time, self._usual, self._pauses = values["time"], values["usual"], values["pauses"]

    def _paused(self, time: float) -> bool:
        """Whether the camera has skipped something, or its clock has gone back."""
        before, self._time = self._time, time
        if before is None:
            return False
        gap, usual = time - before, self._usual
        if gap < 0:
            return True
        if usual is not None and gap > max(PAUSE_SECONDS, PAUSE_FRAMES * usual):
            self._pauses += 1
            if self._pauses == RATE_FRAMES:
                self._usual, self._pauses = gap, 0
            return True
        self._pauses = 0
        self._usual = gap if usual is None else 0.9 * usual + 0.1 * gap
        return False


def reduced(image: Image) -> Small:
    """A picture, (H, W, 3), reduced by averaging to a longer side of at most :data:`LONG_SIDE`."""
    height, width = image.shape[:2]
    scale = min(1.0, LONG_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)


def jumped(one: Small, other: Small) -> float:
    """Share of the pixels in which two reduced pictures differ clearly."""
    return float((np.abs(one - other).max(axis=2) > STEP).mean())


def other_scene(one: Small, other: Small) -> bool:
    """Whether two reduced pictures of one size show different scenes, not one in another light."""
    return jumped(one, other) > SCENE_SHARE and likeness(one, other) < LIKENESS


def likeness(one: Small, other: Small) -> float:
    """Correlation of the local structure of two reduced pictures, -1 to 1; light does not count."""
    first, second = (normalised(picture.mean(axis=2), sigma=3.0) for picture in (one, other))
    energy = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / energy if energy > 0 else 0.0


def exposure(image: Image, background: Image) -> tuple[float, float, float] | None:
    """How much brighter a frame is than the background, as factors of red, green and blue.

    The median over the picture, so that what moves in a part of it does not count.

    Returns:
        None where the difference is too small to matter.
    """
    frame, empty = reduced(image), reduced(background)
    lit = (empty > 16) & (frame < 250)
    gains = []
    for channel in range(3):
        ratios = (frame[..., channel] / np.maximum(empty[..., channel], 1))[lit[..., channel]]
        gains.append(float(np.median(ratios)) if ratios.size > LONG_SIDE else 1.0)
    red, green, blue = np.clip(gains, 0.25, 4.0)
    if max(abs(np.log(gain)) for gain in (red, green, blue)) < GAIN:
        return None
    return float(red), float(green), float(blue)


def relit(background: Image, image: Image, hidden: npt.NDArray[np.bool_]) -> Image:
    """The background in the light of a frame: the frame itself, and the old background behind what is hidden.

    Args:
        background: picture of the empty scene in the old light, RGB (H, W, 3), uint8.
        image: the frame in the new light.
        hidden: (H, W), where something stands before the background.
    """
    if not hidden.any() or hidden.all():
        return np.array(image)
    sigma = max(image.shape[:2]) / 16
    seen = (~hidden).astype(np.float32)[..., None]
    now = cv2.GaussianBlur(image * seen, (0, 0), sigma)
    then = cv2.GaussianBlur(background * seen, (0, 0), sigma)
    gain = np.clip(now / np.maximum(then, 1e-3), 0.1, 10.0)
    result: Image = np.array(image)
    result[hidden] = np.clip(np.rint(background * gain), 0, 255)[hidden]
    return result
