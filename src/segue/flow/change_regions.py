"""Limit a correction on other frames to the region that it changed.

A network that has seen a corrected frame gives other masks on all frames around it. Where they differ from
the masks before in places that the correction was not about, they are as often worse as better. So the region
that a correction changed follows the optical flow from frame to frame, and a new mask replaces the one before
only in connected regions of difference that touch it, and only where it is not less sure. Frames that are
nearer to another corrected frame keep their masks unless the new one is surer.
"""

from __future__ import annotations

from collections.abc import Collection

import cv2
import numpy as np

from segue.flow import DIS
from segue.masks.pieces import Pieces
from segue.masks.unsure import resize_nearest
from segue.models.geometry import reduced_to
from segue.state import Checkpointable, SessionState, checkpointed
from segue.types import Image, IndexMask
from segue.utils.arrays import BoolArray, Float32Array

LONG_SIDE = 432
"""Longer side of the images whose flow is computed, in pixels."""

PRESENT = 0.3
"""Share of the region above which a pixel belongs to it; the flow blurs its outline."""

MARGIN = 0.04
"""Maximum distance of a difference from the region, as a share of the shorter side: flow is inexact."""

LARGE = 0.06
"""Thickness of accepted differences, as a share of the shorter side, from which on they belong to the region.
A lost object that was found again is followed so; outlines that tremble are not."""

TOUCHED = 0.02
"""Minimum share of a difference in or beside the region."""

LESS_SURE = 0.2
"""Maximum loss of sure pixels of a new mask, as a share of the difference."""

SURER = 0.1
"""Minimum gain of sure pixels if another corrected frame is nearer, as the same share."""


class ChangeRegion(Checkpointable):
    """Region changed by corrections, warped along the optical flow.

    Args:
        image: a corrected frame, RGB (H, W, 3), uint8.
        changed: pixels that the correction changed there, (H, W).
    """

    _region: Float32Array = checkpointed()  # (h, w) in [0, 1]
    _image: Image = checkpointed()  # the last frame, reduced

    def __init__(self, image: Image, changed: BoolArray) -> None:
        super().__init__()
        self._flow = DIS(quick=True)
        self._image = reduced_to(image, LONG_SIDE)
        self._region = self._reduced(changed)

    @classmethod
    def of_state(cls, state: SessionState) -> ChangeRegion:
        """Restore a region from its state."""
        region = cls(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.bool_))
        region.restore(state)
        return region

    def advance(self, image: Image) -> None:
        """Warp the region to a neighbouring frame of the same size."""
        reduced = reduced_to(image, LONG_SIDE)
        motion = self._flow(reduced, self._image)
        y, x = np.mgrid[: motion.shape[0], : motion.shape[1]].astype(np.float32)
        warped = cv2.remap(self._region, x + motion[..., 0], y + motion[..., 1], cv2.INTER_LINEAR)
        self._region, self._image = np.asarray(warped, np.float32), reduced

    def extend(self, changed: BoolArray) -> None:
        """Add pixels, (H, W), that another correction changed on the current frame."""
        self._region = np.maximum(self._region, self._reduced(changed))

    @property
    def is_gone(self) -> bool:
        """Whether the region is empty; :meth:`advance` cannot bring it back."""
        return not bool((self._region > PRESENT).any())

    def limit(
        self,
        previous: IndexMask,
        new: IndexMask,
        unsure: tuple[BoolArray, BoolArray] | None = None,
        kept: Collection[int] = (),
    ) -> IndexMask:
        """Take a new index mask, (H, W), where it differs from the previous one in or beside the region.

        Args:
            previous: the mask before.
            new: the mask of a tracking from the correction.
            unsure: the unsure pixels of both, (h, w) each; None where they are not known.
            kept: objects of which another corrected frame is nearer than the correction.

        Returns:
            An index mask (H, W).
        """
        pieces = Pieces.of(previous != new)
        accepted_pieces = in_surroundings(pieces, self.surroundings(new.shape))
        if unsure is not None:
            counts = [pieces.count(resize_nearest(each, new.shape) > 0) for each in unsure]
            gains = (counts[0] - counts[1]) / np.maximum(pieces.areas, 1)
            is_kept = pieces.count(np.isin(previous, [*kept]) | np.isin(new, [*kept])) > 0
            accepted_pieces &= gains >= np.where(is_kept, SURER, -LESS_SURE)
        accepted = pieces.where(accepted_pieces)
        size = max(3, round(LARGE * min(self._region.shape)))
        reduced = (self._reduced(accepted) > 0.5).astype(np.uint8)
        thick = cv2.morphologyEx(reduced, cv2.MORPH_OPEN, np.ones((size, size), np.uint8))
        self._region = np.maximum(self._region, thick.astype(np.float32))
        return np.where(accepted, new, previous)

    def surroundings(self, size: tuple[int, ...]) -> BoolArray:
        """The region with its margin, (H, W), bool."""
        width = max(3, round(MARGIN * min(self._region.shape)))
        inside = (self._region > PRESENT).astype(np.uint8)
        wide = cv2.dilate(inside, np.ones((width, width), np.uint8))
        return resize_nearest(wide, size) > 0

    def _reduced(self, mask: BoolArray) -> Float32Array:
        height, width = self._image.shape[:2]
        return np.asarray(
            cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA), np.float32
        )


def in_surroundings(pieces: Pieces, surroundings: BoolArray) -> BoolArray:
    """Components, by number, with more than a share of :data:`TOUCHED` in the surroundings of a region."""
    return np.asarray(pieces.count(surroundings) > TOUCHED * pieces.areas)
