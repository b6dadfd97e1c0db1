"""What knows the empty scene: the interface, and a picture that was given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from segue.errors import PromptError
from segue.sessions.base import Checkpointable, checkpointed
from segue.sessions.empty_scene import Scene, resized, same_shape
from segue.sessions.stages import Change
from segue.types import Image


class Background(Checkpointable):
    """What knows the empty scene; a class that derives from this one says only what it does.

    Attributes:
        scene: what is known, or None before the first frame; another object when it has changed.
    """

    scene: Scene | None = None

    def update(self, frame: Image, foreground: npt.NDArray[np.generic] | None = None) -> None:
        """Take the next frame, RGB (H, W, 3), and where something was before the scene, (H, W)."""

    def apply_gain(self, gains: Sequence[float]) -> None:
        """Make the scene brighter or darker by factors of red, green and blue."""

    def follow_light(self, picture: Image) -> None:
        """Replace the picture by that of the same scene in another light; the statistics stay."""

    def replace(self, picture: Image, *, trusted: bool) -> None:
        """Forget everything and begin with a picture; if it is not trusted, what moves may be in it."""

    def remove_ghost(self, frame: Image, ghost: npt.NDArray[np.bool_]) -> None:
        """Take the frame for the scene in a part, (H, W), that still shows an object that has left."""

    def restart(self) -> None:
        """Forget all frames."""

    def begins(self, index: int) -> bool:
        """Whether :meth:`seek` would take another scene for a frame."""
        return False

    def seek(self, index: int) -> Change | None:
        """Take the scene of a frame, and tell what happens on it; None where the film is not known."""
        return None

    def fit(self, size: tuple[int, int]) -> None:
        """Take frames of another height and width; a PromptError if there can be none."""


class FixedBackground(Background):
    """A picture of the empty scene that was given, RGB (H, W, 3), uint8, such as one taken at night.

    Frames of another size but the same shape get it resized. It follows the exposure of the frames.
    """

    scene: Scene | None = checkpointed()
    _gains: tuple[float, float, float] = checkpointed()
    _size: tuple[int, int] = checkpointed()
    state_types = (Scene,)

    def __init__(self, picture: Image) -> None:
        if picture.ndim != 3 or picture.shape[2] != 3:
            raise PromptError(f"a background is a picture (H, W, 3), not an array {picture.shape}")
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
        # From the picture as it was given: rounded levels that are scaled again and again drift away.
        red, green, blue = (before * gain for before, gain in zip(self._gains, gains, strict=True))
        self._gains = (red, green, blue)
        self.scene = Scene.of(resized(self._given, self._size)).in_other_light(self._gains)
