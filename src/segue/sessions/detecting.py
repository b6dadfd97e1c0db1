"""Detectors by name, with their weights; and the one that finds what moves, which needs none."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch

from segue.errors import ArgumentError, PromptError
from segue.flow import DIS, FlowProvider, against_scene
from segue.inputs import kind_of
from segue.layers.running import choose_device, prepare_for_inference
from segue.masks import measure, resize_mask
from segue.models.base import MemoryNetwork
from segue.models.detection.boxes import COCO_NAMES, COCO_ORDER
from segue.models.dino import FeatureName
from segue.prompts.answers import MakePrompter, Prompts
from segue.prompts.detectors import (
    BoxDetector,
    DenseFeatures,
    Detector,
    DiscoveryDetector,
    FilledBox,
    NetworkDetector,
    Refinement,
    SemanticDetector,
    key_features,
)
from segue.prompts.grabcut import GrabCut
from segue.prompts.prompter import Prompter, prepared
from segue.prompts.selection import Found, Rules, found_in
from segue.registry import DETECTORS, DetectorEntry, DetectorOptions
from segue.sessions.track import TrackSession
from segue.types import Frame, Image, IndexMask
from segue.video.readers import FrameLike, as_frame
from segue.weights import load

DEFAULT = "motion"  # the detector that needs no weights that segue does not bring
BOX_MASKS = ("network", "grabcut", "none")  # what may make masks of boxes
MAX_TILES = 8

SHORT_SIDE = 240  # short side to which pictures are reduced for the flow
LEAST_SIDE = 16  # pictures with a shorter side than this many pixels are too small for a flow
SMOOTH = 2.0  # standard deviation of the filter over the differences, in pixels
LEAST = 0.25  # pixels a frame that something must move against the scene
FLOOR = 0.5  # added to the strongest motion, so that where nothing moves noise is not blown up
SMALLEST = 0.0005  # share of the picture below which nothing is an object
WEAKEST = 0.25  # moving regions with less than this share of the strongest one's motion are left out


def detector(
    name: str = DEFAULT,
    *,
    weights: str | os.PathLike[str] | None = None,
    classes: Collection[str] | str | None = None,
    score: float | None = None,
    max_objects: int | None = None,
    features: FeatureName | None = None,
    refine: Refinement | None = None,
    tiles: int | None = None,
    device: str | torch.device | None = None,
) -> Detector:
    """What finds objects by itself, for :class:`segue.Auto` or to be called with a frame.

    Args:
        name: ``motion`` and ``nanodet`` come with segue: the first finds what moves against the scene, the
            second, as ``maskrcnn``, ``maskrcnn-v1`` and ``pointrend``, COCO's 80 classes; ``deeplab`` knows
            the 20 of PASCAL VOC;
            ``lost``, ``lost-b16`` and ``lost-lite`` find one object without knowing any class.
        weights: weight file, for all but ``motion``; by default the one that comes with segue or that
            `segue weights get` made.
        classes: labels that are wanted, also as one text with commas; None is all that it knows.
        score: least score, in 0..1; None is 0.5.
        max_objects: most objects of a frame, at least 1; None is 10 with classes, else 1.
        features: for ``lost`` and ``lost-b16``: ``keys``, ``queries`` or ``values`` of the last attention;
            None is ``keys``.
        refine: for ``lost``, ``lost-b16`` and ``lost-lite``, how the mask is drawn to the edges: ``crf``,
            ``grabcut`` or ``none``; None is ``crf``. For ``nanodet``, what makes masks of its boxes:
            ``network`` for segue-prompt, ``grabcut``, or ``none`` for the boxes themselves; None is
            ``network``.
        tiles: for ``nanodet``, 1 to 8: look also at so many overlapping parts a side, for objects that are
            small in large pictures; None is the whole alone.
        device: None takes a GPU if there is one.

    Returns:
        The detector. It takes a frame, or a picture (H, W, 3) of uint8, and the ``lookahead`` ones after it,
        and gives the objects of the frame, best first. ``names`` holds its labels by class number, and is
        empty where it knows no classes.

    Raises:
        PromptError: the name or a class is unknown, or something is asked for that this detector lacks.
        CheckpointError: the weights are not there or do not fit.
        ArgumentError: there is no such device here, or the classes are no names.

    Example:
        >>> find = segue.detector("maskrcnn", classes=["person"])  # doctest: +SKIP
        >>> [item.box for item in find(frame).objects]  # doctest: +SKIP
    """
    entry = DETECTORS.find(name)
    wanted = as_classes(classes)
    options = DetectorOptions(weights, wanted, score, max_objects, features, refine, tiles, device)
    if max_objects is not None and max_objects < 1:
        raise PromptError(f"max_objects is {max_objects}, but must be at least 1")
    if score is not None and not 0 <= score <= 1:
        raise PromptError(f"score {score:g}: give a number in 0..1")
    for option, what in _OPTIONS.items():
        if getattr(options, option) is not None and option not in entry.supported_options:
            others = ", ".join(other.name for other in DETECTORS if option in other.supported_options)
            raise PromptError(f"{name} takes no {what}; {what} belong to {others}")
    return entry.build(options)


def as_classes(classes: Collection[str] | str | None) -> list[str] | None:
    """Names of classes from a list, or from a text with commas."""
    if classes is None:
        return None
    if isinstance(classes, str):
        return [name.strip() for name in classes.split(",")]
    if not isinstance(classes, (list, tuple, set, frozenset)) or not all(
        isinstance(name, str) for name in classes
    ):
        raise ArgumentError(
            f"classes: {kind_of(classes)}; give a list of names, or names separated by commas"
        )
    return list(classes)


_OPTIONS = {
    "classes": "classes",
    "score": "scores",
    "features": "features",
    "refine": "refinements",
    "tiles": "tiles",
    "weights": "weights",
}
"""Options that not every detector takes, and what they are called."""

_CLASSED = frozenset({"weights", "classes", "score"})
_DISCOVERY = frozenset({"weights", "features", "refine"})


class MotionDetector:
    """Finds what moves against the scene in a frame and the next two, at most ``max_objects`` regions.

    The flow from a frame to the next two is compared with the movement of the camera, a homography. What
    moves has to do so on the way to both: flow is wrong where something is covered, and that is elsewhere
    each time. It is also coarse at the edges of things; so a prompter (segue-prompt) draws the mask anew, and
    then the tracker, used for nothing else, follows it to the next frame and back. Measured beside other ways
    on first frames of DAVIS: docs/detection.md.
    """

    names: Mapping[int, str] = {}
    lookahead = 2

    def __init__(
        self,
        tracker: TrackSession,
        flow: FlowProvider | None = None,
        max_objects: int = 1,
        prompter: MakePrompter | None = None,
    ) -> None:
        self._tracker = tracker
        self._flow = flow or DIS()
        self._max_objects = max_objects
        self._prompter = prompter or Prompter

    def __call__(self, frame: FrameLike, *following: FrameLike) -> Found:
        """What moves, the strongest first; scores say only the order. Without a next frame it is nothing."""
        first, *later = (as_frame(each) for each in (frame, *following))
        if not later:
            return found_in(np.zeros(first.size, np.uint8))
        rough = self.moving(first.image, *(item.image for item in later))
        cut = cut_out(first.image, rough, self._prompter)
        return found_in(_without_gaps(self.there_and_back(first, later[0], cut) if cut.any() else rough))

    def moving(self, first: Image, *later: Image) -> npt.NDArray[np.uint8]:
        """Rough index mask (H, W) of what moves from the first picture to each of the later ones.

        Args:
            first: RGB (H, W, 3), uint8.
            later: the frames after it, of the same size; at least one.

        Returns:
            (H, W), uint8: 0 what stands still, 1.. regions; all 0 below :data:`LEAST_SIDE`.
        """
        height, width = size = first.shape[:2]
        if min(size) < LEAST_SIDE:
            return np.zeros(size, np.uint8)
        scale = min(1.0, SHORT_SIDE / min(size))
        small = max(1, round(width * scale)), max(1, round(height * scale))
        begin, *ends = (
            np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
            for image in (first, *later)
        )
        ways = [against_scene(self._flow(begin, end)) / count for count, end in enumerate(ends, start=1)]
        steady = np.min(ways, axis=0)
        strength = cv2.GaussianBlur(steady, (0, 0), SMOOTH)
        regions = _strongest(np.asarray(strength, np.float32), self._max_objects)
        return np.asarray(resize_mask(regions, size), np.uint8)

    def there_and_back(self, frame: Frame, following: Frame, mask: IndexMask) -> IndexMask:
        """A mask (H, W) after the way to the next frame and back; unchanged where it gets lost.

        Args:
            frame: the frame of the mask.
            following: the next one.
            mask: (H, W), 0 background, 1.. objects.

        Returns:
            (H, W), with the ids of the mask.
        """
        there = self._follow(frame, following, mask)
        back = self._follow(following, frame, there) if there.any() else there
        return back if back.any() else mask

    def _follow(self, start: Frame, end: Frame, mask: IndexMask) -> IndexMask:
        self._tracker.reset()
        self._tracker.step(start, mask)
        return self._tracker.step(end).mask


def cut_out(image: Image, mask: IndexMask, make: MakePrompter) -> npt.NDArray[np.uint8]:
    """Objects of a rough index mask (H, W), each drawn anew by a prompter; the first keep their pixels.

    Args:
        image: RGB (H, W, 3), uint8.
        mask: rough index mask (H, W).
        make: makes a prompter of a picture.

    Returns:
        Index mask (H, W), uint8, with the same ids.
    """
    cut = np.zeros(mask.shape, np.uint8)
    prompter = make(image)
    for number in measure(mask):
        cut[prompter.answer(Prompts(mask=mask == number)).mask & (cut == 0)] = number
    return cut


def _strongest(strength: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.uint8]:
    """Index mask of the regions with the most motion, the strongest first."""
    from scipy import ndimage  # late, for a quick start

    top = float(np.percentile(strength, 99)) + FLOOR
    levels = np.asarray(np.clip(strength / top * 255, 0, 255), np.uint8)
    threshold, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)
    labels, number = ndimage.label((levels > threshold) & (strength > LEAST))
    numbers = np.arange(1, number + 1)
    areas = ndimage.sum_labels(np.ones_like(strength), labels, numbers)
    motion = ndimage.sum_labels(strength, labels, numbers)
    kept = [i for i in np.argsort(-motion, kind="stable") if areas[i] >= SMALLEST * strength.size][:count]
    table = np.zeros(number + 1, np.uint8)
    for rank, i in enumerate(kept, start=1):
        table[i + 1] = rank if motion[i] >= WEAKEST * motion[kept[0]] else 0
    return np.asarray(table[labels], np.uint8)


def _without_gaps(mask: IndexMask) -> npt.NDArray[np.uint8]:
    """An index mask whose ids go on from 1."""
    return np.searchsorted([0, *measure(mask)], mask).astype(np.uint8)


def _motion(options: DetectorOptions) -> Detector:
    return MotionDetector(
        TrackSession(cast(MemoryNetwork, load("stcn-lite")), device=options.device),
        max_objects=options.max_objects or 1,
    )


def _network(name: str, made: Callable[..., Detector], options: DetectorOptions) -> Detector:
    network = load(name, options.weights)
    return made(network, rules=_rules(options), device=choose_device(options.device))


def _nanodet(options: DetectorOptions) -> Detector:
    refine, tiles = options.refine or "network", 1 if options.tiles is None else options.tiles
    if refine not in BOX_MASKS:
        raise PromptError(f"refine is {refine!r}; for nanodet choose {', '.join(BOX_MASKS)}")
    if not 1 <= tiles <= MAX_TILES:
        raise PromptError(f"tiles is {tiles}; give 1 to {MAX_TILES} a side")
    network, place, _ = prepare_for_inference(
        cast(Any, load("nanodet", options.weights)), options.device, fast=False
    )
    made: dict[str, MakePrompter] = {"grabcut": GrabCut, "none": FilledBox}
    if refine == "network":
        made["network"] = partial(Prompter, network=prepared(device=place))
    return BoxDetector(network, made[refine], _rules(options), tiles=tiles)


def _discovery(
    name: str,
    options: DetectorOptions,
    *,
    wrap: Callable[[Any], DenseFeatures] = lambda network: network,
    centre: bool = False,
) -> Detector:
    place = choose_device(options.device)
    return DiscoveryDetector(
        wrap(load(name, options.weights).to(place)),
        which=options.features or "keys",
        max_objects=options.max_objects or 1,
        refine=options.refine or "crf",
        centre=centre,
        device=place,
    )


def _rules(options: DetectorOptions) -> Rules:
    standard = Rules()
    return Rules(
        score=standard.score if options.score is None else options.score,
        max_objects=options.max_objects or standard.max_objects,
        classes=None if options.classes is None else frozenset(options.classes),
    )


def _coco(name: str, names: Mapping[int, str], rank: int) -> DetectorEntry:
    made = partial(NetworkDetector, names=names)
    return DetectorEntry(name, partial(_network, name, made), _CLASSED, name, COCO_NAMES, rank)


ENTRIES = (
    DetectorEntry(DEFAULT, _motion),
    _coco("maskrcnn", COCO_NAMES, 1),
    _coco("maskrcnn-v1", COCO_NAMES, 3),
    _coco("pointrend", COCO_ORDER, 2),
    DetectorEntry("nanodet", _nanodet, _CLASSED | {"refine", "tiles"}, "nanodet", COCO_NAMES, 4),
    DetectorEntry("deeplab", partial(_network, "deeplab", SemanticDetector), _CLASSED, "deeplab", None, 5),
    DetectorEntry("lost", partial(_discovery, "dino-s16"), _DISCOVERY, "dino-s16"),
    DetectorEntry("lost-b16", partial(_discovery, "dino-b16"), _DISCOVERY, "dino-b16"),
    # The keys of a memory network all agree in part: without their mean they tell more apart.
    DetectorEntry(
        "lost-lite", partial(_discovery, "stcn-lite", wrap=key_features, centre=True), _DISCOVERY, "stcn-lite"
    ),
)
"""The detectors of segue, for the registry; their ranks are those of the published AP of masks on COCO."""
