"""The face of what gives a picture of the empty scene, and a picture that was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from segue.errors import PromptError
from segue.sessions.base import SessionState
from segue.types import Image


class Background(Protocol):
    """What gives a picture of the empty scene."""

    @property
    def picture(self) -> Image | None:
        """RGB (H, W, 3), uint8, or None before the first frame; another array when it has changed."""
        ...

    def update(self, frame: Image, foreground: npt.NDArray[np.generic] | None = None) -> None:
        """Take the next frame, and what was foreground in it, (H, W)."""
        ...

    def relight(self, gains: Sequence[float]) -> None:
        """Make the background brighter or darker by factors of red, green and blue."""
        ...

    def replace(self, picture: Image, *, trusted: bool) -> None:
        """Take a picture for the background, and nothing that was before.

        Args:
            picture: RGB (H, W, 3), uint8.
            trusted: it is the empty scene for certain; else what moves may be in it.
        """
        ...

    def heal(self, frame: Image, ghost: npt.NDArray[np.bool_]) -> None:
        """Believe a frame where the background shows something that has left, (H, W)."""
        ...

    def restart(self) -> None:
        """Forget all frames."""
        ...

    def fit(self, size: tuple[int, int]) -> None:
        """Learn height and width of the frames that come.

        Raises:
            PromptError: the background cannot have them.
        """
        ...

    def state(self) -> SessionState:
        """All that :meth:`restore` needs."""
        ...

    def restore(self, state: SessionState) -> None:
        """Go on from where :meth:`state` was called."""
        ...


class FixedBackground:
    """A picture of the empty scene that was given, such as one taken at night.

    Args:
        picture: RGB (H, W, 3), uint8; frames of another size but the same shape get it resized.
    """

    def __init__(self, picture: Image) -> None:
        if picture.ndim != 3 or picture.shape[2] != 3:
            raise PromptError(f"a background is a picture (H, W, 3), not an array {picture.shape}")
        self._given = picture
        self._picture = picture

    @property
    def picture(self) -> Image:
        """The picture at the size of the frames."""
        return self._picture

    def fit(self, size: tuple[int, int]) -> None:
        """Bring the picture to this height and width.

        Raises:
            PromptError: it has another shape.
        """
        height, width = size
        rows, columns = self._given.shape[:2]
        if not same_shape(size, (rows, columns)):
            raise PromptError(f"the background is {columns}x{rows}, but the frames are {width}x{height}")
        self._picture = resized(self._given, size)

    def update(self, frame: Image, foreground: npt.NDArray[np.generic] | None = None) -> None:
        """Frames change nothing."""

    def relight(self, gains: Sequence[float]) -> None:
        """Make the picture brighter or darker by factors of red, green and blue."""
        self._picture = in_other_light(self._picture, gains)

    def replace(self, picture: Image, *, trusted: bool) -> None:
        """Take another picture."""
        self._picture = picture

    def heal(self, frame: Image, ghost: npt.NDArray[np.bool_]) -> None:
        """Frames change nothing: the picture is the empty scene."""

    def restart(self) -> None:
        """Go back to the picture that was given."""
        self.fit((self._picture.shape[0], self._picture.shape[1]))

    def state(self) -> SessionState:
        """The picture as it is now."""
        return SessionState.of({"picture": self._picture}, {})

    def restore(self, state: SessionState) -> None:
        """Go on from where :meth:`state` was called."""
        self._picture = state.arrays()["picture"]


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes (height, width) are the same picture enlarged or reduced, up to rounding."""
    (height, width), (rows, columns) = size, other
    return abs(height * columns - width * rows) <= max(height, width, rows, columns)


def resized(picture: Image, size: tuple[int, int]) -> Image:
    """A picture at another height and width."""
    height, width = size
    if picture.shape[:2] == size:
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def gain_table(gain: float) -> npt.NDArray[np.uint8]:
    """Each level after a gain."""
    return np.asarray(np.clip(np.rint(np.arange(256) * gain), 0, 255), np.uint8)


def in_other_light(picture: Image, gains: Sequence[float]) -> Image:
    """A picture brighter or darker by factors of red, green and blue."""
    planes = [gain_table(gain)[picture[..., channel]] for channel, gain in enumerate(gains)]
    return np.asarray(np.stack(planes, axis=-1), np.uint8)
