"""Extend a clicked mask to regions that move with it: from a shirt to the dancer.

A click in one image cannot tell a part from the whole. Between two frames of a video all of an object moves
otherwise than the scene ("common fate", Wertheimer 1923), so that the region that moves with what was clicked
says how much is meant; the prompter that found the first mask draws it anew within the box of that region.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from segue.flow import DIS, against_scene
from segue.flow.providers import Flow
from segue.masks.measure import iou
from segue.masks.pieces import Pieces
from segue.models.geometry import reduced_to
from segue.prompt_types import ImagePrompts
from segue.prompts.answers import ImagePrompter, MaskPrediction, as_image_prompter, distinct
from segue.prompts.planes import tight_box
from segue.types import Box, Image, Point
from segue.utils.arrays import BoolArray, Float32Array


@dataclass(frozen=True, slots=True)
class MotionSettings:
    """Settings of :class:`MotionPrompter`; no source of the values is recorded, except of ``same_scene``.

    Attributes:
        long_side: longer side in pixels of the images for flow.
        min_motion: motion in pixels, against the scene, that half of the first mask exceeds.
        min_share: share of that motion from which on a pixel moves with the mask.
        min_growth: size of the moving region in first masks, for the mask to be a part of it.
        min_inside: share of the first mask inside the moving region.
        max_area: share of the image from which on the region is the scene.
        min_match: IoU of the new mask with the region.
        min_gain: gain of that IoU over the first mask's.
        min_expected: predicted IoU of the new mask.
        same_scene: correlation with the next image, moved back by flow, below which there is a cut. On 28
            frames of the seven development videos it is at least 0.94 between neighbours, and at most 0.45
            between two videos.
    """

    long_side: int = 320
    min_motion: float = 1.0
    min_share: float = 0.5
    min_growth: float = 1.3
    min_inside: float = 0.6
    max_area: float = 0.5
    min_match: float = 0.4
    min_gain: float = 0.1
    min_expected: float = 0.55
    same_scene: float = 0.7


SETTINGS = MotionSettings()

FRINGE = np.ones((5, 5), np.uint8)  # by which flow blurs what moves beyond its outline


def moves_with(mask: BoolArray, motion: Float32Array) -> BoolArray | None:
    """Connected region with the same motion as a mask."""
    typical = float(np.median(motion[mask])) if mask.any() else 0.0
    if typical < SETTINGS.min_motion:
        return None
    moving = cv2.morphologyEx(
        (motion > SETTINGS.min_share * typical).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)
    )
    pieces = Pieces.of(np.asarray(moving, np.bool_))
    shared = pieces.count(mask)
    return pieces.where(np.arange(len(shared)) == shared.argmax()) if shared.any() else None


class MotionPrompter(ImagePrompter):
    """Prompter that extends a clicked part to the region that moves with it.

    Only where clicks alone are given: a box, or an earlier mask, says how much is meant.

    Args:
        prompter: answers prompts on the image; it may do no more than that.
        image: the image, RGB (H, W, 3), uint8.
        neighbour: gives the next or previous frame of the video, of the same size, or None; called at most
            once, with the first click.
    """

    def __init__(self, prompter: ImagePrompter, image: Image, neighbour: Callable[[], Image | None]) -> None:
        super().__init__(image)
        self._prompter, self._neighbour = as_image_prompter(prompter, image), neighbour
        self._last: tuple[ImagePrompts, MaskPrediction] | None = None  # the page asks where the pointer rests

    def candidates(self, prompts: ImagePrompts) -> list[MaskPrediction]:
        """Predict several masks for the same prompts.

        Args:
            prompts: prompts of one object.

        Returns:
            The region that moves with the click, then the candidates of the wrapped prompter.
        """
        return distinct([self.answer(prompts).one(0), *self._prompter.candidates(prompts)])

    def predict_near(self, prompts: ImagePrompts, click: Point, reach: float) -> list[MaskPrediction]:
        """Predict the region near a click; a mask already defines the extent of the object.

        Args:
            prompts: prompts of one object, with its mask.
            click: point (x, y) in pixels.
            reach: distance of the click from the outline of the mask, in pixels.

        Returns:
            The predictions of the wrapped prompter.
        """
        return self._prompter.predict_near(prompts, click, reach)

    def objects_at(self, point: Point) -> Iterator[MaskPrediction]:
        """Find objects at a point.

        Args:
            point: (x, y) in pixels.

        Returns:
            An iterator over the masks of the wrapped prompter.
        """
        return self._prompter.objects_at(point)

    def _segment(self, prompts: ImagePrompts) -> MaskPrediction:
        if prompts.box is not None or prompts.mask is not None:
            return self._prompter.answer(prompts)
        if self._last is None or self._last[0] != prompts:
            still = self._prompter.answer(prompts)
            self._last = prompts, self._extended(prompts, still) or still
        return self._last[1]

    def _extended(self, prompts: ImagePrompts, still: MaskPrediction) -> MaskPrediction | None:
        """Refined mask of regions that move with a first mask; None if they add little."""
        motion = self._motion
        if motion is None or not still.mask.any():
            return None
        mask = _shrunk(still.mask, motion)
        region = moves_with(mask, motion)
        if (
            region is None
            or region.mean() > SETTINGS.max_area
            or region.sum() < SETTINGS.min_growth * mask.sum()
            or (region & mask).sum() < SETTINGS.min_inside * mask.sum()
        ):
            return None
        down, across = (n / m for n, m in zip(motion.shape, self.image.shape[:2], strict=True))
        if any(region[int(y * down), int(x * across)] for x, y in prompts.negative):
            return None
        core = cv2.erode(region.astype(np.uint8), FRINGE)
        x0, y0, x1, y1 = tight_box(core if core.any() else region)
        wide: Box = (x0 / across, y0 / down, x1 / across, y1 / down)
        extended = self._prompter.answer(replace(prompts, box=wide))
        match = iou(_shrunk(extended.mask, motion), region)
        doubtful = extended.iou[0] < SETTINGS.min_expected  # not NaN, of a prompter that expects nothing
        return (
            None
            if doubtful or match < max(SETTINGS.min_match, iou(mask, region) + SETTINGS.min_gain)
            else extended
        )

    @cached_property
    def _motion(self) -> Float32Array | None:
        """Motion of each pixel relative to the scene, (h, w), in pixels of a small image."""
        other = self._neighbour()
        if other is None or other.shape != self.image.shape:
            return None
        first, second = (reduced_to(image, SETTINGS.long_side) for image in (self.image, other))
        flow = DIS()(first, second)
        return against_scene(flow) if _same_scene(first, second, flow) else None


def _same_scene(first: Image, second: Image, flow: Flow) -> bool:
    """Whether the flow makes the second image look like the first."""
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    warped = cv2.remap(
        second, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    one, other = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (first, np.asarray(warped)))
    if not one.std() or not other.std():  # nothing to see in one of them
        return False
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1]) >= SETTINGS.same_scene


def _shrunk(mask: BoolArray, motion: Float32Array) -> BoolArray:
    """Reduce a mask to the size of the motion; pixels covered by at least half stay."""
    size = motion.shape[1], motion.shape[0]
    share = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(share >= 0.5)
