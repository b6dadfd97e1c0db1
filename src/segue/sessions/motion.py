"""Detect objects that move against the scene."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from segue.flow import DIS, FlowProvider, against_scene
from segue.masks import measure, resize_mask
from segue.models.geometry import ResizePadGeometry
from segue.prompt_types import ImagePrompts
from segue.prompts.answers import MakePrompter
from segue.prompts.prompter import Prompter
from segue.prompts.proposals import found_in
from segue.sessions.track import TrackSession
from segue.types import Frame, Image, IndexMask, Segmentation
from segue.utils.arrays import id_type
from segue.utils.forks import ForkSafeLock
from segue.video.decoding.readers import FrameLike, as_frame

SHORT_SIDE = 240  # short side to which images are reduced for the flow
MIN_SIDE = 16  # images with a shorter side than this many pixels are too small for a flow
SMOOTH = 2.0  # standard deviation of the filter over the differences, in pixels
MIN_MOTION = 0.25  # pixels a frame that something must move against the scene
FLOOR = 0.5  # added to the strongest motion, so that where nothing moves noise is not blown up
MIN_AREA_SHARE = 0.0005  # share of the image below which nothing is an object
MIN_MOTION_SHARE = 0.25  # moving regions with less than this share of the strongest one's motion are left out


class MotionDetector:
    """Detects regions that move in a frame and the next two, at most ``max_objects``."""

    names: Mapping[int, str] = {}
    lookahead = 2

    def __init__(
        self,
        tracker: TrackSession,
        flow: FlowProvider | None = None,
        max_objects: int = 1,
        prompter: MakePrompter | None = None,
    ) -> None:
        self._tracker, self._lock = tracker, ForkSafeLock()
        self._flow = flow or DIS()
        self._max_objects = max_objects
        self._prompter = prompter or Prompter

    def __call__(self, frame: FrameLike, *following: FrameLike) -> Segmentation:
        """Detect moving objects, strongest first; scores only rank them. Empty without a next frame."""
        first, *later = (as_frame(each) for each in (frame, *following))
        if not later:
            return found_in(first, np.zeros(first.size, np.uint8))
        rough = self.moving(first.image, *(item.image for item in later))
        cut = cut_out(first.image, rough, self._prompter)
        refined = self.round_trip(first, later[0], cut) if cut.any() else rough
        return found_in(first, _without_gaps(refined))

    def moving(self, first: Image, *later: Image) -> IndexMask:
        """Rough index mask (H, W) of regions that move from the first image to each later one."""
        size = first.shape[:2]
        if min(size) < MIN_SIDE:
            return np.zeros(size, np.uint8)
        geometry = ResizePadGeometry.of(size, SHORT_SIDE, 1)
        begin, *ends = map(geometry.to_network, (first, *later))
        ways = [against_scene(self._flow(begin, end)) / count for count, end in enumerate(ends, start=1)]
        steady = np.min(ways, axis=0)
        strength = cv2.GaussianBlur(steady, (0, 0), SMOOTH)
        regions = _strongest(np.asarray(strength, np.float32), self._max_objects)
        return resize_mask(regions, size)

    def round_trip(self, frame: Frame, following: Frame, mask: IndexMask) -> IndexMask:
        """Warp a mask (H, W) to the next frame and back; unchanged if it gets lost."""
        with self._lock.current():  # runs in several threads may share the detector
            forward = self._follow(frame, following, mask)
            backward = self._follow(following, frame, forward) if forward.any() else forward
        return backward if backward.any() else mask

    def _follow(self, start: Frame, end: Frame, mask: IndexMask) -> IndexMask:
        self._tracker.reset()
        self._tracker.step(start, mask)
        return self._tracker.step(end).mask


def cut_out(image: Image, mask: IndexMask, make: MakePrompter) -> IndexMask:
    """Resegment objects of a rough index mask (H, W); earlier objects keep their pixels."""
    cut = np.zeros_like(mask)
    prompter = make(image)
    for number in measure(mask):
        cut[prompter.answer(ImagePrompts(mask=mask == number)).mask & (cut == 0)] = number
    return cut


def _strongest(strength: npt.NDArray[np.float32], count: int) -> IndexMask:
    """Index mask of the regions with the most motion, the strongest first."""
    from scipy import ndimage  # late, for a quick start

    top = float(np.percentile(strength, 99)) + FLOOR
    levels = np.asarray(np.clip(strength / top * 255, 0, 255), np.uint8)
    threshold, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)
    labels, number = ndimage.label((levels > threshold) & (strength > MIN_MOTION))
    numbers = np.arange(1, number + 1)
    areas = ndimage.sum_labels(np.ones_like(strength), labels, numbers)
    motion = ndimage.sum_labels(strength, labels, numbers)
    keep_indices = [
        i for i in np.argsort(-motion, kind="stable") if areas[i] >= MIN_AREA_SHARE * strength.size
    ][:count]
    table = np.zeros(number + 1, id_type(len(keep_indices)))
    for rank, i in enumerate(keep_indices, start=1):
        table[i + 1] = rank if motion[i] >= MIN_MOTION_SHARE * motion[keep_indices[0]] else 0
    return np.asarray(table[labels])


def _without_gaps(mask: IndexMask) -> IndexMask:
    """Renumber an index mask without gaps, from 1."""
    numbers = [0, *measure(mask)]
    return np.searchsorted(numbers, mask).astype(id_type(len(numbers)))
