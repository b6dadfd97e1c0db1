"""Foreground while a camera pans, from the frames shortly before and after each one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import cv2
import numpy as np

from segue.arrays import Float32Array, UInt8Array
from segue.flow import DIS
from segue.flow.providers import Flow
from segue.sessions.along_motion import along_motion
from segue.sessions.background import MASK_ABOVE
from segue.sessions.moving_camera import (
    GROW,
    PAST,
    Homography,
    camera_motion_by_ecc,
    motion_between,
    scene_around,
    seen_from,
)
from segue.sessions.scene_estimation import Probe, Sample
from segue.types import Image

FLOWED = 4  # frames before and after each one whose foreground is brought onto it
ROUNDS = 2  # times that the network is asked: without and with what was foreground in the other frames


class Nearby:
    """A video of a camera that pans, in which each frame is seen beside those before and after it."""

    def __init__(self, frames: Sequence[Image], probe: Probe, past: Sequence[int]) -> None:
        self._frames, self._probe, self._past = frames, probe, past
        self._size = frames[0].shape[0], frames[0].shape[1]
        self._step_to = cache(self._step)
        self._flow = lru_cache(2 * FLOWED + 2)(self._flow_between)
        self._flows = DIS()

    def foreground(self, rounds: int = ROUNDS) -> list[Float32Array]:
        """Probability of foreground in each frame."""
        masks: list[UInt8Array] = [np.zeros(self._size, np.uint8)] * len(self._frames)
        found: list[Float32Array] = []
        for _ in range(rounds):
            found = [self._looked_at(index, masks) for index in range(len(self._frames))]
            masks = [np.asarray(cv2.dilate((each > MASK_ABOVE).astype(np.uint8), GROW)) for each in found]
        return along_motion(found, self._flow, FLOWED)

    def _step(self, index: int) -> Homography | None:
        """Motion from the frame before one to it."""
        nothing = np.zeros(self._size, np.uint8)
        return camera_motion_by_ecc((self._frames[index - 1], nothing), (self._frames[index], nothing))

    def _flow_between(self, start: int, end: int) -> Flow:
        """Displacement of each pixel to the previous or next frame, (H, W, 2) in pixels."""
        return self._flows(self._frames[start], self._frames[end])

    def _looked_at(self, index: int, masks: Sequence[UInt8Array]) -> Float32Array:
        """Probability of foreground in a frame, from the masks of all frames."""
        last, current = len(self._frames) - 1, self._frames[index]
        near = [index + way for way in sorted((*PAST, *(-back for back in PAST))) if 0 <= index + way <= last]
        # Where there is no frame so far before, the one so far after it tells as much of what moves.
        beside = {way: index + way if index + way >= 0 else min(index - way, last) for way in self._past}
        motions = {i: motion_between(self._step_to, i, index, self._size) for i in {*near, *beside.values()}}
        scene = scene_around(
            current,
            [(self._frames[i], masks[i], motion) for i in near if (motion := motions[i]) is not None],
        )
        context = {
            way: current if (motion := motions[i]) is None else seen_from(self._frames[i], motion, current)
            for way, i in beside.items()
        }
        return self._probe(Sample(current, context), scene)
