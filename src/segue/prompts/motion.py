"""Extend a clicked mask to regions that move with it: from a shirt to the dancer.

A click in one image cannot tell a part from the whole. Between two frames of a video all of an object moves
otherwise than the scene ("common fate", Wertheimer 1923), so that the region that moves with what was clicked
says how much is meant; the prompter that found the first mask draws it anew within the box of that region.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
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

LONG_SIDE = 320  # longer side of the images whose flow is computed, in pixels
MIN_MOTION = 1.0  # pixels of those that half of the first mask must move against the scene
MIN_SHARE = 0.5  # share of that motion from which on a pixel moves with the mask
FRINGE = np.ones((5, 5), np.uint8)  # by which flow blurs what moves beyond its outline

LARGER = 1.3  # how much larger than the first mask what moves is, so that the mask is a part
INSIDE = 0.6  # share of the first mask that it holds
MAX_SHARE = 0.5  # share of the image above which it is the scene that was taken for what moves
MIN_MATCH = 0.4  # IoU of the new mask with it
MIN_GAIN = 0.1  # how much more that is than the first one's
MIN_EXPECTED = 0.55  # predicted IoU of the new mask

SAME_SCENE = 0.7
"""Correlation of the first image with the second one, moved back by the flow, below which there is a cut
between them. On 28 frames of the seven development videos it is at least 0.94 from one frame to the next, and
at most 0.45 between frames of two of these videos."""


def moves_with(mask: BoolArray, motion: Float32Array) -> BoolArray | None:
    """The connected region that moves as much as a mask does."""
    typical = float(np.median(motion[mask])) if mask.any() else 0.0
    if typical < MIN_MOTION:
        return None
    moving = cv2.morphologyEx(
        (motion > MIN_SHARE * typical).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)
    )
    pieces = Pieces.of(np.asarray(moving, np.bool_))
    shared = pieces.count(mask)
    return pieces.where(np.arange(len(shared)) == shared.argmax()) if shared.any() else None


class MotionPrompter(ImagePrompter):
    """A prompter that extends a clicked part to all that moves with it.

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
        """The first is what moves with the click, the others are those of the prompter."""
        return distinct([self.answer(prompts).one(0), *self._prompter.candidates(prompts)])

    def predict_near(self, prompts: ImagePrompts, click: Point, reach: float) -> list[MaskPrediction]:
        """The looks of the prompter itself: a mask says how much is meant."""
        return self._prompter.predict_near(prompts, click, reach)

    def objects_at(self, point: Point) -> Iterator[MaskPrediction]:
        """The objects of the prompter."""
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
            or region.mean() > MAX_SHARE
            or region.sum() < LARGER * mask.sum()
            or (region & mask).sum() < INSIDE * mask.sum()
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
        doubtful = extended.iou[0] < MIN_EXPECTED  # not NaN, of a prompter that expects nothing
        return None if doubtful or match < max(MIN_MATCH, iou(mask, region) + MIN_GAIN) else extended

    @cached_property
    def _motion(self) -> Float32Array | None:
        """Motion of each pixel relative to the scene, (h, w), in pixels of a small image."""
        other = self._neighbour()
        if other is None or other.shape != self.image.shape:
            return None
        first, second = (reduced_to(image, LONG_SIDE) for image in (self.image, other))
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
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1]) >= SAME_SCENE


def _shrunk(mask: BoolArray, motion: Float32Array) -> BoolArray:
    """A mask at the size of the motion; a pixel counts from a half on."""
    size = motion.shape[1], motion.shape[0]
    share = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(share >= 0.5)
