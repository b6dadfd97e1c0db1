"""Detectors by name, with their weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, cast

import torch

from segue.errors import PromptError
from segue.models.base import MemoryNetwork
from segue.models.detection.boxes import COCO_NAMES, COCO_ORDER
from segue.models.dino import FeatureName
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
from segue.prompts.prompter import MakePrompter, Prompter, prepared
from segue.prompts.selection import Rules
from segue.registry import DETECTORS, DetectorEntry, DetectorOptions
from segue.sessions.base import choose_device, inference_copy
from segue.sessions.motion import MotionDetector
from segue.sessions.track import TrackSession
from segue.weights import load

DEFAULT = "motion"  # the detector that needs no weights that segue does not bring
BOX_MASKS = ("network", "grabcut", "none")  # what may make masks of boxes
MAX_TILES = 8


def detector(
    name: str = DEFAULT,
    *,
    weights: str | os.PathLike[str] | None = None,
    classes: Collection[str] | None = None,
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
        weights: weight file; by default what `segue weights get` made.
        classes: labels that are wanted; None is all that it knows.
        score: least score, in 0..1; None is 0.5.
        max_objects: most objects of a frame; None is 10 with classes, else 1.
        features: for ``lost`` and ``lost-b16``: ``keys``, ``queries`` or ``values`` of the last attention;
            None is ``keys``.
        refine: for ``lost``, ``lost-b16`` and ``lost-lite``, how the mask is drawn to the edges: ``crf``,
            ``grabcut`` or ``none``; None is ``crf``. For ``nanodet``, what makes masks of its boxes:
            ``network`` for segue-prompt, ``grabcut``, or ``none`` for the boxes themselves; None is
            ``network``.
        tiles: for ``nanodet``: look at so many overlapping parts a side besides, for objects that are small
            in large pictures; None looks at the whole alone.
        device: None takes a GPU if there is one.

    Raises:
        PromptError: the name or a class is unknown, or something is asked for that this detector lacks.
        CheckpointError: the weights are not there or do not fit.

    Example:
        >>> find = segue.detector("maskrcnn", classes=["person"])  # doctest: +SKIP
        >>> [item.box for item in find(frame).objects]  # doctest: +SKIP
    """
    entry = DETECTORS.find(name)
    options = DetectorOptions(weights, classes, score, max_objects, features, refine, tiles, device)
    if max_objects is not None and max_objects < 1:
        raise PromptError(f"max_objects is {max_objects}, but must be at least 1")
    if score is not None and not 0 <= score <= 1:
        raise PromptError(f"score {score:g}: give a number in 0..1")
    for option, what in _OPTIONS.items():
        if getattr(options, option) is not None and option not in entry.takes:
            others = ", ".join(other.name for other in DETECTORS if option in other.takes)
            raise PromptError(f"{name} takes no {what}; {what} belong to {others}")
    return entry.build(options)


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
    place = choose_device(options.device)
    network: Any = load("nanodet", options.weights)
    made: dict[str, MakePrompter] = {"grabcut": GrabCut, "none": FilledBox}
    if refine == "network":
        made["network"] = partial(Prompter, network=prepared(device=place))
    return BoxDetector(
        inference_copy(network, place, torch.float32), made[refine], _rules(options), tiles=tiles
    )


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
