"""What has come to a stand stays foreground, although nothing of it moves any more."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from segue.sessions.empty_scene import Scene
from segue.sessions.snapshot import Kept
from segue.types import Image

UNCHANGED = 10
"""Levels up to which a pixel, averaged with its neighbours, is as it was on the frame before."""

DIFFERENT = 14
"""Levels above which it is not the empty scene."""

SURE = 0.5
"""Probability above which a pixel may be held."""

PART = 0.5
"""Share of a piece that the network itself must take for foreground, for the rest to be held."""


class StandingWatch(Kept):
    """Holds the parts of standing objects that a network loses.

    A network that sees what changes gives up parts of an object that stops, those first that look like the
    scene, though nothing has happened to them. Here a pixel keeps its probability as long as it is as it was
    on the frame before and is not the empty scene, and as long as the network still takes most of the piece
    that it belongs to for foreground. What moves, flickers or waves is never held, and nothing outlives what
    is left of it.

    Args:
        threshold: probability from which on a pixel is foreground for the network.
    """

    kept = "_before _held"

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self.restart()

    def restart(self) -> None:
        """Forget the frame before."""
        self._before: Image | None = None
        self._held: npt.NDArray[np.float32] | None = None
        self._scene: tuple[Scene, Image] | None = None

    def hold(
        self, image: Image, scene: Scene, foreground: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Take the next frame, RGB (h, w, 3), uint8, its empty scene and its probabilities, (h, w).

        Returns:
            The probabilities, higher where something is held.
        """
        smooth = np.asarray(cv2.blur(image, (3, 3)), np.uint8)
        if self._before is not None and self._held is not None:
            lost = (self._held > SURE) & (self._held > foreground)
            if lost.any():
                lost &= _alike(smooth, self._before, UNCHANGED)
                lost &= ~_alike(smooth, self._smooth(scene), DIFFERENT)
            if lost.any():
                foreground = self._joined(foreground, np.where(lost, self._held, foreground))
        self._before, self._held = smooth, foreground
        return foreground

    def _joined(self, own: npt.NDArray[np.float32], held: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """``held`` in pieces most of which are foreground in the network's ``own`` eyes, else ``own``."""
        count, pieces, stats, _ = cv2.connectedComponentsWithStats(
            (held > SURE).view(np.uint8), connectivity=8
        )
        found = np.bincount(pieces[own >= self._threshold], minlength=count)
        seen = found > PART * stats[:, cv2.CC_STAT_AREA]
        seen[0] = False
        return np.where(seen[pieces], held, own)

    def _smooth(self, scene: Scene) -> Image:
        if self._scene is None or self._scene[0] is not scene:
            self._scene = scene, np.asarray(cv2.blur(scene.picture, (3, 3)), np.uint8)
        return self._scene[1]


def _alike(one: Image, other: Image, levels: int) -> npt.NDArray[np.bool_]:
    """Where all channels of two pictures differ by at most so many levels, (h, w)."""
    return np.asarray(cv2.inRange(cv2.absdiff(one, other), (0, 0, 0), (levels, levels, levels)) > 0)
