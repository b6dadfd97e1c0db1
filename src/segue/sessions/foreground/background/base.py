"""Interface of background models."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.background.recurrence import Past, RecentPast
from segue.sessions.foreground.camera.changes import Change
from segue.sessions.foreground.camera.scene_events import SceneEvents
from segue.state import Checkpointable, checkpointed
from segue.types import Image
from segue.utils.arrays import BoolArray, UInt8Array


class Background(Checkpointable):
    """Base class of background models.

    Attributes:
        scene: what is known, or None before the first frame; another object when it has changed.
        view: number of the view of the camera to which it belongs, if it is known.
        collects: frames are collected for a later pass, and nothing is to be found in them.
        recent: the last frames, whatever was found in them.
    """

    collects: ClassVar[bool] = False
    scene: Scene | None = None
    view: int | None = None
    recent: RecentPast = checkpointed(RecentPast, later=True)

    @property
    def past(self) -> Past:
        """Frames with which those of now are compared."""
        return Past((), recent=self.recent.frames, places=self.recent.places)

    def recurrence(self, image: Image, rows: slice, columns: slice) -> UInt8Array:
        """How often the colours of a part of an image were seen at their places, see :class:`Past`."""
        return self.past.recurrence(image, rows, columns)

    def learn(self, frame: Image, foreground: npt.NDArray[np.generic]) -> None:
        """Take the next frame, RGB (H, W, 3), and where something was found in it, (H, W)."""
        self.recent.update(frame, foreground)
        self.update(frame, foreground)

    @property
    def image(self) -> Image | None:
        """The image of the empty scene, RGB (H, W, 3), uint8, if it is known."""
        return None if self.scene is None else self.scene.image

    def observe(self, index: int, image: Image, event: Change, events: SceneEvents) -> None:
        """Note what happens to the image as a whole on a frame, RGB (H, W, 3), as it was taken."""
        if events.views.current is not None:
            self.view = events.views.current

    def update(self, frame: Image, foreground: npt.NDArray[np.generic] | None = None) -> None:
        """Take the next frame, RGB (H, W, 3), and where something was before the scene, (H, W)."""

    def apply_gain(self, gains: Sequence[float]) -> None:
        """Make the scene brighter or darker by factors of red, green and blue."""

    def adopt(self, image: Image, region: BoolArray) -> None:
        """Take a part of the scene, (H, W), as an image, RGB (H, W, 3), shows it."""

    def enter(self, view: int | None, known: Collection[int], frames: Sequence[Image] = ()) -> None:
        """Begin the scene of a view, of which something may be known.

        Args:
            view: its number, if it is known.
            known: numbers of the views that may come back.
            frames: some that have shown the view already, RGB (H, W, 3), uint8.
        """
        self.restart()

    def replace(self, image: Image) -> None:
        """Forget everything and begin with an image of the empty scene."""

    def check(self, size: tuple[int, int]) -> None:
        """Check that the background can be that of frames of a height and width; PromptError if not."""

    def fit(self, size: tuple[int, int]) -> None:
        """Take frames of another height and width, for which :meth:`check` was made."""
