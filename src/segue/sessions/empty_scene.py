"""The interface of what gives a picture of the empty scene, and a picture that was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from segue.errors import PromptError
from segue.sessions.base import SessionState
from segue.types import Image

PLANES = 21  # planes of a scene


class Scene:
    """What is known of the empty scene.

    Args:
        planes: (21, H, W), uint8; not written to. Three times red, green and blue: 10 % quantile, median and
            90 % quantile of the frames in which the pixel was background; the same of all frames; shares of
            255: of the frames in which the pixel was foreground, and of the steps from one to the next at
            which it changed sides; and seven times the number of frames.

    Attributes:
        picture: the median of the background, RGB (H, W, 3), uint8.
    """

    __slots__ = ("picture", "planes")

    def __init__(self, planes: npt.NDArray[np.uint8]) -> None:
        self.planes = planes
        self.picture: Image = np.ascontiguousarray(planes[3:6].transpose(1, 2, 0))

    @classmethod
    def of(cls, picture: Image, frames: int = 35) -> Scene:
        """A scene that is known from a picture, RGB (H, W, 3), as if from so many frames."""
        known = np.tile(picture.transpose(2, 0, 1), (6, 1, 1))
        height, width = picture.shape[:2]
        count = np.full((1, height, width), min(255, 7 * frames), np.uint8)
        return cls(np.concatenate([known, np.zeros((2, height, width), np.uint8), count]))

    @property
    def range_of_all(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Low and high quantile of all frames, each (3, H, W)."""
        return self.planes[9:12], self.planes[15:18]

    def in_other_light(self, gains: Sequence[float]) -> Scene:
        """The scene brighter or darker by factors of red, green and blue."""
        planes = self.planes.copy()
        for channel, gain in enumerate(gains):
            planes[channel:18:3] = gain_table(gain)[planes[channel:18:3]]
        return Scene(planes)


class Background(Protocol):
    """What knows the empty scene."""

    @property
    def scene(self) -> Scene | None:
        """What is known, or None before the first frame; another object when it has changed."""

    def update(self, frame: Image, foreground: npt.NDArray[np.generic] | None = None) -> None:
        """Take the next frame, and what was foreground in it, (H, W)."""

    def relight(self, gains: Sequence[float]) -> None:
        """Make the background brighter or darker by factors of red, green and blue."""

    def follow_light(self, picture: Image) -> None:
        """Take the empty scene in another light, RGB (H, W, 3), for what it was; the past stays."""

    def replace(self, picture: Image, *, trusted: bool) -> None:
        """Take a picture for the background, and nothing that was before.

        Args:
            picture: RGB (H, W, 3), uint8.
            trusted: it is the empty scene for certain; else what moves may be in it.
        """

    def remove_ghost(self, frame: Image, ghost: npt.NDArray[np.bool_]) -> None:
        """Believe a frame where the background shows something that has left, (H, W)."""

    def restart(self) -> None:
        """Forget all frames."""

    def fit(self, size: tuple[int, int]) -> None:
        """Learn height and width of the frames that come.

        Raises:
            PromptError: the background cannot have them.
        """

    def state(self) -> SessionState:
        """All that :meth:`restore` needs."""

    def restore(self, state: SessionState) -> None:
        """Go on from where :meth:`state` was called."""


class FixedBackground:
    """A picture of the empty scene that was given, such as one taken at night.

    Args:
        picture: RGB (H, W, 3), uint8; frames of another size but the same shape get it resized.
    """

    def __init__(self, picture: Image) -> None:
        if picture.ndim != 3 or picture.shape[2] != 3:
            raise PromptError(f"a background is a picture (H, W, 3), not an array {picture.shape}")
        self._given = picture
        self.scene = Scene.of(picture)  # at the size of the frames

    def fit(self, size: tuple[int, int]) -> None:
        (height, width), (rows, columns) = size, self._given.shape[:2]
        if not same_shape(size, (rows, columns)):
            raise PromptError(f"the background is {columns}x{rows}, but the frames are {width}x{height}")
        self.scene = Scene.of(resized(self._given, size))

    def update(self, frame: Image, foreground: npt.NDArray[np.generic] | None = None) -> None:
        """Frames change nothing."""

    def relight(self, gains: Sequence[float]) -> None:
        self.scene = self.scene.in_other_light(gains)

    def follow_light(self, picture: Image) -> None:
        """The picture stays: frames change no more than its light, see :meth:`relight`."""

    def replace(self, picture: Image, *, trusted: bool) -> None:
        """The picture stays, as above."""

    def remove_ghost(self, frame: Image, ghost: npt.NDArray[np.bool_]) -> None:
        """The picture is the empty scene."""

    def restart(self) -> None:
        """Go back to the picture that was given."""
        self.scene = Scene.of(resized(self._given, self.scene.picture.shape[:2]))

    def state(self) -> SessionState:
        return SessionState.of({"picture": self.scene.picture}, {})

    def restore(self, state: SessionState) -> None:
        self.scene = Scene.of(state.arrays()["picture"])


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes (height, width) are the same picture enlarged or reduced, up to rounding."""
    (height, width), (rows, columns) = size, other
    return abs(height * columns - width * rows) <= max(height, width, rows, columns)


def resized(picture: Image, size: tuple[int, int]) -> Image:
    """A picture at another height and width."""
    if picture.shape[:2] == size:
        return picture
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def gain_table(gain: float) -> npt.NDArray[np.uint8]:
    """Each level after a gain."""
    return np.asarray(np.clip(np.rint(np.arange(256) * gain), 0, 255), np.uint8)
