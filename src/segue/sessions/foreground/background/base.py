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
        scene: background statistics; None before the first frame; a new object after each change.
        view: number of the view of the camera to which it belongs, if it is known.
        collects: frames are collected for a later pass, and nothing is to be found in them.
        recent: the last frames, regardless of their masks.
    """

    collects: ClassVar[bool] = False
    scene: Scene | None = None
    view: int | None = None
    recent: RecentPast = checkpointed(RecentPast, later=True)

    @property
    def past(self) -> Past:
        """Past frames to compare with current ones."""
        return Past((), recent=self.recent.frames, places=self.recent.places)

    def recurrence(self, image: Image, rows: slice, columns: slice) -> UInt8Array:
        """Frequency of an image part's colours at their places, see :class:`Past`."""
        return self.past.recurrence(image, rows, columns)

    def learn(self, frame: Image, foreground: npt.NDArray[np.generic]) -> None:
        """Learn from the next frame, RGB (H, W, 3), and its foreground mask, (H, W)."""
        self.recent.update(frame, foreground)
        self.update(frame, foreground)

    @property
    def image(self) -> Image | None:
        """Image of the background, RGB (H, W, 3), uint8, if known."""
        return None if self.scene is None else self.scene.image

    def observe(self, index: int, image: Image, event: Change, events: SceneEvents) -> None:
        """Record the global event of an original frame, RGB (H, W, 3)."""
        if events.views.current is not None:
            self.view = events.views.current

    def update(self, frame: Image, foreground: npt.NDArray[np.generic] | None = None) -> None:
        """Update with the next frame, RGB (H, W, 3), and its foreground mask, (H, W)."""

    def apply_gain(self, gains: Sequence[float]) -> None:
        """Scale the background by factors of red, green and blue."""

    def adopt(self, image: Image, region: BoolArray) -> None:
        """Take over a region, (H, W), of the background from an image, RGB (H, W, 3)."""

    def enter(self, view: int | None, known: Collection[int], frames: Sequence[Image] = ()) -> None:
        """Begin the scene of a view, possibly a known one.

        Args:
            view: its number, if it is known.
            known: numbers of the views that may come back.
            frames: some that have shown the view already, RGB (H, W, 3), uint8.
        """
        self.restart()

    def replace(self, image: Image) -> None:
        """Reset to an image of the background."""

    def check(self, size: tuple[int, int]) -> None:
        """Raise PromptError unless the background fits frames of a height and width."""

    def fit(self, size: tuple[int, int]) -> None:
        """Adapt to frames of another size, already checked by :meth:`check`."""
