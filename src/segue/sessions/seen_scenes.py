"""Scenes that a camera showed before: their background is restored when they come back."""

from __future__ import annotations

from dataclasses import dataclass

from segue.arrays import Float32Array
from segue.sessions.align import Aligner
from segue.sessions.background import MaskedMedian
from segue.sessions.base import Checkpointable, SessionState, checkpointed
from segue.sessions.changes import reduced, shown_share
from segue.types import Image

MOST = 3  # scenes that are kept, the last ones
LEAST_FRAMES = 25  # a scene that was seen for a shorter time is not kept
FOUND = 0.5  # share of a kept scene that a picture must show ...
MORE = 0.25  # ... and so much more of it than of the present scene


@dataclass(frozen=True, slots=True, eq=False)
class SeenScene:
    """What was known of a scene when it ended.

    Attributes:
        small: its empty scene, reduced, (h, w, 3), float32.
        size: height and width of its pictures.
        frames: number of frames for which it was seen.
        background: state of the background.
        aligner: state of what holds the picture still; None without it.
    """

    small: Float32Array
    size: tuple[int, int]
    frames: int
    background: SessionState
    aligner: SessionState | None

    def give_back(self, background: MaskedMedian, aligner: Aligner | None) -> None:
        """Go on with the scene."""
        background.restore(self.background)
        if aligner is not None and self.aligner is not None:
            aligner.restore(self.aligner)


class SeenScenes(Checkpointable):
    """The last scenes of a camera that goes round its places, or whose lens is covered for a while."""

    _scenes: list[SeenScene] = checkpointed()
    state_types = (SeenScene, SessionState)

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all scenes."""
        self._scenes = []

    def keep(self, frames: int, background: MaskedMedian, aligner: Aligner | None) -> None:
        """Note a scene that ends."""
        if frames < LEAST_FRAMES or background.scene is None:
            return
        held = None if aligner is None else aligner.state()
        picture = background.scene.picture
        size = picture.shape[0], picture.shape[1]
        scene = SeenScene(reduced(picture), size, frames, background.state(), held)
        self._scenes = [*self._scenes, scene][-MOST:]

    def come_back(self, image: Image, picture: Image | None) -> SeenScene | None:
        """Give a scene that was kept, and forget it, if a picture shows it and not the present one.

        Args:
            image: the frame, RGB (H, W, 3), uint8.
            picture: the present empty scene, of the same form; None if there is none.

        Returns:
            The scene, or None if no kept one is seen.
        """
        if not self._scenes:
            return None
        frame = reduced(image)
        shares = [
            shown_share(frame, scene.small) if scene.size == image.shape[:2] else 0.0
            for scene in self._scenes
        ]
        best = max(range(len(shares)), key=shares.__getitem__)
        if shares[best] < FOUND:
            return None
        now = 0.0 if picture is None else shown_share(frame, reduced(picture))
        return self._scenes.pop(best) if shares[best] >= now + MORE else None
