"""Hold the parts of stationary objects that a network loses."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import Float32Array
from segue.masks.pieces import Pieces
from segue.sessions.backgrounds import Background
from segue.sessions.base import checkpointed
from segue.sessions.empty_scene import Scene
from segue.sessions.stages import Change, Stage, WorkFrame
from segue.types import Image

UNCHANGED = 10  # levels up to which a pixel, averaged with its neighbours, is as it was on the frame before
DIFFERENT = 14  # levels above which it is not the empty scene
SURE = 0.5  # probability above which a pixel may be held
PART = 0.5  # share of a piece that the network itself must take for foreground, for the rest to be held


class StationaryObjects(Stage):
    """Keeps the probability of a pixel that neither changes nor looks like the empty scene."""

    name = "stationary"
    _before: Image | None = checkpointed()
    _held: Float32Array | None = checkpointed()

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self.reset(Change.scene)

    def reset(self, event: Change) -> None:
        self._before = self._held = None
        self._scene: tuple[Scene, Image] | None = None

    def after(self, frame: WorkFrame, background: Background) -> None:
        if frame.pans:
            return
        assert frame.scene is not None
        image = frame.image if frame.tone is None else frame.tone.act(frame.image)
        frame.foreground = self.retain(image, frame.scene, frame.foreground)
        self._held = frame.foreground  # the frame's own array: what later stages take out is not held

    def retain(self, image: Image, scene: Scene, foreground: Float32Array) -> Float32Array:
        """Probabilities (h, w) of the next frame, raised where something is held."""
        smooth = np.asarray(cv2.blur(image, (3, 3)), np.uint8)
        if self._before is not None and self._held is not None:
            lost = (self._held > SURE) & (self._held > foreground)
            if lost.any():
                lost &= _alike(smooth, self._before, UNCHANGED)
                lost &= ~_alike(smooth, self._smooth(scene), DIFFERENT)
            if lost.any():
                foreground = self._held_where_seen(foreground, np.where(lost, self._held, foreground))
        self._before, self._held = smooth, foreground
        return foreground

    def _held_where_seen(self, own: Float32Array, held: Float32Array) -> Float32Array:
        """``held`` in pieces most of which are foreground to the network itself, else ``own``."""
        pieces = Pieces.of(held > SURE)
        seen = pieces.count(own >= self._threshold) > PART * pieces.areas
        return np.where(pieces.where(seen), held, own)

    def _smooth(self, scene: Scene) -> Image:
        if self._scene is None or self._scene[0] is not scene:
            self._scene = scene, np.asarray(cv2.blur(scene.picture, (3, 3)), np.uint8)
        return self._scene[1]


def _alike(one: Image, other: Image, levels: int) -> npt.NDArray[np.bool_]:
    """Mask of pixels whose channels all differ by at most some levels, (h, w)."""
    return np.asarray(cv2.inRange(cv2.absdiff(one, other), (0, 0, 0), (levels, levels, levels)) > 0)
