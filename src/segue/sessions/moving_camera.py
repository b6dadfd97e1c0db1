"""Networks on cameras that pan or are carried: what was seen before is brought onto the current frame."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from segue.errors import SegueError
from segue.models.base import Features, ForegroundNetwork
from segue.sessions.background import MASK_ABOVE
from segue.sessions.base import SessionState
from segue.sessions.camera import METHODS, Homography, Method, is_moderate, seen_from
from segue.sessions.empty_scene import Scene
from segue.sessions.extra_inputs import Plane
from segue.sessions.quantiles import scene_planes
from segue.sessions.segmenters import Maps, NetworkSegmenter
from segue.types import Image

PAST = (4, 6, 8, 10, 12, 14, 16, 18)  # frames back to those whose median is the background

_GROW = np.ones((9, 9), np.uint8)


class MovingCameraSegmenter(NetworkSegmenter):
    """Runs a foreground network whose context and background follow the camera.

    The motion from each frame to the next is a homography, found outside of what was foreground. Context
    frames are warped by the motions between them and the current frame; pixels without a source come from
    the current frame, where nothing then seems to move, and so does a whole frame to which no way leads. The
    background is the median of past frames, warped as well and without their foreground. Warped frames are
    encoded anew for each result, which takes as long as that of all members of a window.

    Args:
        network: in evaluation mode; it is not changed.
        method: how motion is found: ``features`` (ORB and RANSAC), or ``ecc``, which refines it.
        device: None takes a GPU if there is one.
        fast: bfloat16 where the processor or GPU has it.

    Raises:
        SegueError: there is no such method.
    """

    follows_camera = True

    def __init__(
        self,
        network: ForegroundNetwork,
        method: Method = "ecc",
        *,
        device: str | torch.device | None = None,
        fast: bool = False,
    ) -> None:
        if method not in METHODS:
            raise SegueError(f"camera motion {method!r}: choose {' or '.join(METHODS)}")
        self._find = METHODS[method]
        self._steps: dict[int, Homography | None] = {}
        self._masks: dict[int, npt.NDArray[np.uint8]] = {}
        super().__init__(network, device=device, fast=fast)
        self._wants_background = self.uses_background
        # The session's background is of a camera that stands still.
        self.uses_background = False
        self.name = f"{self.name}, camera followed by {method}"

    def restart(self) -> None:
        super().restart()
        self._steps, self._masks = {}, {}

    def step(self, image: Image, scene: Scene, plane: Plane | None = None) -> Maps | None:
        """Take the next frame; the scene does not count."""
        last = self._seen - 1
        if last in self._images:
            nothing = np.zeros(image.shape[:2], np.uint8)
            before = self._images[last], self._masks.get(last, nothing)
            self._steps[self._seen] = self._find(before, (image, nothing))
        return super().step(image, scene, plane)

    def state(self) -> SessionState:
        """The frames that later results need, their masks and the motions between them."""
        steps = {str(i): matrix for i, matrix in self._steps.items() if matrix is not None}
        masks = {str(i): mask for i, mask in self._masks.items()}
        numbered = {"steps": SessionState.of(steps, {}), "masks": SessionState.of(masks, {})}
        return SessionState.joined({"frames": super().state(), **numbered}, {})

    def restore(self, state: SessionState) -> None:
        super().restore(state.part("frames"))
        self._steps = _numbered(state.part("steps"))
        self._masks = _numbered(state.part("masks"))

    def _decode(self, scene: Scene) -> Maps:
        now = self._due
        maps = super()._decode(scene)
        mask = (maps[0] > MASK_ABOVE).astype(np.uint8)
        self._masks[now] = np.asarray(cv2.dilate(mask, _GROW), np.uint8)
        return maps

    def _encoded(self, index: int, role: str) -> Features:
        if index == self._due:
            return super()._encoded(index, role)
        return self._network.encode(self._prepared(self._warped(index)), role)

    def _encoded_background(self, scene: Scene) -> Features | None:
        if not self._wants_background or self._network.background is None:
            return None
        return self._network.encode(self._known(self._past()), self._network.background)

    def _evict(self, first: int) -> None:
        images = self._images
        super()._evict(first)
        self._images = {i: image for i, image in images.items() if i >= min(first, self._due - max(PAST))}
        self._steps = {i: matrix for i, matrix in self._steps.items() if i in self._images}
        self._masks = {i: mask for i, mask in self._masks.items() if i in self._images}

    def _motion(self, start: int) -> Homography | None:
        """From a frame to the current one, over the frames between them; None if a link is missing."""
        low, high = sorted((start, self._due))
        total: Homography = np.eye(3)
        for i in range(low + 1, high + 1):
            step = self._steps.get(i)
            if step is None:
                return None
            total = step @ total
        return total if start <= self._due else np.asarray(np.linalg.inv(total))

    def _warped(self, index: int) -> Image:
        """A frame as the current one sees it."""
        current, matrix = self._images[self._due], self._motion(index)
        if matrix is None or not is_moderate(matrix, (current.shape[0], current.shape[1])):
            return current
        return seen_from(self._images[index], matrix, current)

    def _past(self) -> Scene:
        """The empty scene as the current frame sees it: the current frame where nothing tells more."""
        current = self._images[self._due]
        size = current.shape[0], current.shape[1]
        frames, hidden = [], []
        for back in PAST:
            matrix = self._motion(self._due - back) if self._due - back in self._images else None
            if matrix is None or not is_moderate(matrix, size):
                continue
            frames.append(seen_from(self._images[self._due - back], matrix, current).transpose(2, 0, 1))
            unknown = np.ones(size, np.uint8)
            mask = self._masks.get(self._due - back, np.zeros(size, np.uint8))
            hidden.append(seen_from(mask, matrix, unknown) > 0)
        if not frames:
            return Scene.of(current, 1)
        return Scene(scene_planes(np.ascontiguousarray(np.stack(frames)), np.stack(hidden), least=1))


def _numbered(state: SessionState) -> dict[int, Any]:
    return {int(name): array for name, array in state.arrays().items()}
