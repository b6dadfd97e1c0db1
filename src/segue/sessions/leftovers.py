"""Patches that waving leaves behind: foreground that stays in one place and looks like its surroundings."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import BoolArray, UInt8Array
from segue.sessions.background import EVERY
from segue.sessions.base import Checkpointable, checkpointed
from segue.sessions.empty_scene import Scene
from segue.types import Image

LEAST = 20  # pieces with fewer pixels are left to the median
LOOKS = 8  # looks, every ninth frame, for which most of a piece must have been foreground
AROUND = 7  # pixels up to which the scene counts as the surroundings of a pixel
NOISE = 6  # levels by which a pixel may leave the range of its surroundings
INSIDE = 0.95  # share of a piece that must lie in that range

HALF, FAR = 0.5, 0.08
"""A piece has travelled if its centre has gone half of its longer side and this share of the picture's."""

SAME_AREA = 1.5  # a piece is that of the frame before if one is larger by this factor at most
HEIR = 0.2  # share of a piece that must lie where something that has travelled was ...
MEMORY = 25  # ... in so many frames before


@dataclass(frozen=True, slots=True, eq=False)
class _Pieces:
    """The pieces of a frame, in the order of their numbers, which begin at 1.

    Attributes:
        labels: number of the piece at each pixel, (H, W), int32; 0 elsewhere.
        areas: in pixels, (n,).
        centres: to the right and down in pixels, (n, 2).
        ways: from where each was first seen to where it is, (n, 2); where pieces have parted or met, the
            mean of what they were.
    """

    labels: npt.NDArray[np.int32]
    areas: npt.NDArray[np.float64]
    centres: npt.NDArray[np.float64]
    ways: npt.NDArray[np.float64]


class LeftoverDetector(Checkpointable):
    """Looks for pieces of foreground that never moved as a whole and look like their surroundings.

    After branches have swept over a place and come to rest elsewhere, patches of them are not what the
    scene was there, and the masks hide them, so that the background does not learn them. Such a piece has
    never travelled, and nothing in it is brighter, darker or of another colour than what has been seen
    within a few pixels of it. What came from elsewhere, and what parts from it, is never one.
    """

    _seen: int = checkpointed()
    _looks: UInt8Array | None = checkpointed()
    _lately: UInt8Array | None = checkpointed()
    _pieces: _Pieces | None = checkpointed()
    state_types = (_Pieces,)

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Another scene."""
        self._seen = 0
        self._looks = self._lately = self._pieces = None

    def look(self, image: Image, scene: Scene, mask: BoolArray) -> BoolArray | None:
        """Where there is nothing but a leftover in the next frame.

        Args:
            image: the frame, RGB (H, W, 3), uint8.
            scene: what is known of the empty scene.
            mask: (H, W), bool, the foreground of the frame.

        Returns:
            (H, W), bool; None where there is none, and on frames that are not looked at.
        """
        self._seen += 1
        travelled = self._follow(mask)
        if self._seen % EVERY:
            return None
        before = np.zeros(mask.shape, np.uint8) if self._looks is None else self._looks
        self._looks = np.where(mask, np.minimum(before, 254) + 1, 0).astype(np.uint8)
        assert self._pieces is not None
        labels, areas = self._pieces.labels, self._pieces.areas
        long_there = np.bincount(labels.reshape(-1), (self._looks >= LOOKS).reshape(-1), len(areas) + 1)[1:]
        found = np.zeros(mask.shape, bool)
        for number in np.flatnonzero(~travelled & (2 * long_there > areas)) + 1:
            piece = labels == number
            if _is_like_surroundings(piece, image, scene):
                found |= piece
        return found if found.any() else None

    def _follow(self, mask: BoolArray) -> BoolArray:
        """Follow the pieces to the next frame, and tell which of them have travelled, (n,)."""
        _, found, stats, centres = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
        large = stats[:, cv2.CC_STAT_AREA] >= LEAST
        large[0] = False
        places = np.flatnonzero(mask)
        own = np.where(large, np.cumsum(large), 0).astype(np.int32)[found.reshape(-1)[places]]
        labels = np.zeros(mask.shape, np.int32)
        labels.reshape(-1)[places] = own
        areas, centres = (
            np.asarray(each[large], np.float64) for each in (stats[:, cv2.CC_STAT_AREA], centres)
        )
        ways = self._ways(own, places, areas, centres)
        sides = stats[large, cv2.CC_STAT_WIDTH : cv2.CC_STAT_HEIGHT + 1].max(axis=1)
        lately = np.zeros(mask.shape, np.uint8) if self._lately is None else self._lately
        inherited = np.bincount(own, lately.reshape(-1)[places] > 0, len(areas) + 1)[1:]
        travelled = inherited > HEIR * areas
        travelled |= np.abs(ways).max(axis=1, initial=0) > np.maximum(HALF * sides, FAR * max(mask.shape))
        lately = np.maximum(lately, 1) - np.uint8(1)
        lately.reshape(-1)[places[np.append(False, travelled)[own]]] = MEMORY
        self._pieces, self._lately = _Pieces(labels, areas, centres, ways), lately
        return np.asarray(travelled)

    def _ways(
        self,
        own: npt.NDArray[np.int32],
        places: npt.NDArray[np.intp],
        areas: npt.NDArray[np.float64],
        centres: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """How far the pieces numbered ``own`` at ``places`` have come from where they began, (n, 2)."""
        before, count = self._pieces, len(areas)
        if before is None or not count or not len(before.areas):
            return np.zeros((count, 2))
        many = len(before.areas) + 1
        pairs = np.bincount(own * many + before.labels.reshape(-1)[places], minlength=(count + 1) * many)
        shared = pairs.reshape(count + 1, many)[1:, 1:]
        ways = np.asarray(shared @ before.ways / np.maximum(shared.sum(axis=1), 1)[:, None])
        last = shared.argmax(axis=1)
        factor = areas / before.areas[last]
        same = (shared.max(axis=1) > 0) & (shared.argmax(axis=0)[last] == np.arange(count))
        same &= (factor < SAME_AREA) & (factor > 1 / SAME_AREA)
        ways[same] = (before.ways[last] + centres - before.centres[last])[same]
        return ways


def _is_like_surroundings(piece: BoolArray, image: Image, scene: Scene) -> bool:
    """Whether a piece, (H, W), lies in the range in which the scene around each of its pixels was."""
    rows, columns = (
        slice(max(0, int(at.min()) - AROUND), int(at.max()) + 1 + AROUND) for at in piece.nonzero()
    )
    around = np.ones((2 * AROUND + 1, 2 * AROUND + 1), np.uint8)
    inside = piece[rows, columns].copy()
    for channel in range(3):
        levels = image[rows, columns, channel].astype(np.int16)
        low = cv2.erode(scene.planes[channel, rows, columns], around)
        high = cv2.dilate(scene.planes[6 + channel, rows, columns], around)
        inside &= (levels >= low.astype(np.int16) - NOISE) & (levels <= high.astype(np.int16) + NOISE)
    return bool(inside.sum() >= INSIDE * piece.sum())
