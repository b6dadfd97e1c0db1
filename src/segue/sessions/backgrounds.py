"""Interface of background models, and a given background image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from segue.errors import PromptError
from segue.sessions.base import Checkpointable, checkpointed
from segue.sessions.empty_scene import Scene, resized, same_shape
from segue.sessions.stages import Change
from segue.types import Image


class Background(Checkpointable):
    """Base class of background models.

    Attributes:
        scene: what is known, or None before the first frame; another object when it has changed.
        restorable: whether its state can be saved.
    """

    scene: Scene | None = None
    restorable: ClassVar[bool] = True

    @property
    def picture(self) -> Image | None:
        """The image of the empty scene, RGB (H, W, 3), uint8, if it is known."""
        return None if self.scene is None else self.scene.picture

    def update(self, frame: Image, foreground: npt.NDArray[np.generic] | None = None) -> None:
        """Take the next frame, RGB (H, W, 3), and where something was before the scene, (H, W)."""

    def apply_gain(self, gains: Sequence[float]) -> None:
        """Make the scene brighter or darker by factors of red, green and blue."""

    def follow_light(self, picture: Image) -> None:
        """Replace the image by the same scene in another light; the statistics are kept."""

    def replace(self, picture: Image) -> None:
        """Forget everything and begin with an image of the empty scene."""

    def restart(self) -> None:
        """Forget all frames."""

    def begins(self, index: int) -> bool:
        """Whether :meth:`seek` would take another scene for a frame."""
        return False

    def seek(self, index: int) -> Change | None:
        """Take the scene of a frame, and tell what happens on it; None where the video is not known."""
        return None

    def fit(self, size: tuple[int, int]) -> None:
        """Take frames of another height and width; a PromptError if there can be none."""


class FixedBackground(Background):
    """An image of the empty scene that was given, RGB (H, W, 3), uint8, such as one taken at night.

    Frames of another size but the same shape get it resized. It follows the exposure of the frames.
    """

    scene: Scene | None = checkpointed()
    _gains: tuple[float, float, float] = checkpointed()
    _size: tuple[int, int] = checkpointed()
    state_types = (Scene,)

    def __init__(self, picture: Image) -> None:
        if picture.ndim != 3 or picture.shape[2] != 3:
            raise PromptError(f"a background is an image (H, W, 3), not an array {picture.shape}")
        self._given = picture
        self._size = picture.shape[0], picture.shape[1]
        self.restart()

    def fit(self, size: tuple[int, int]) -> None:
        (height, width), (rows, columns) = size, self._given.shape[:2]
        if not same_shape(size, (rows, columns)):
            raise PromptError(f"the background is {columns}x{rows}, but the frames are {width}x{height}")
        self._size = size
        self.restart()

    def restart(self) -> None:
        self._gains = (1.0, 1.0, 1.0)
        self.scene = Scene.of(resized(self._given, self._size))

    def apply_gain(self, gains: Sequence[float]) -> None:
        # From the image as it was given: rounded levels that are scaled again and again drift away.
        red, green, blue = (before * gain for before, gain in zip(self._gains, gains, strict=True))
        self._gains = (red, green, blue)
        self.scene = Scene.of(resized(self._given, self._size)).in_other_light(self._gains)
