"""Detectors by name, with their weights."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import cast

import torch

from segue.errors import PromptError
from segue.models.base import MemoryNetwork
from segue.models.deeplab import DeepLabV3
from segue.models.detection.classes import COCO_NAMES, COCO_ORDER
from segue.models.detection.mask_rcnn import MaskRCNN
from segue.models.detection.pointrend import PointRend
from segue.models.dino import DINO, FeatureName
from segue.prompts.detectors import (
    Detector,
    DiscoveryDetector,
    NetworkDetector,
    Refinement,
    SemanticDetector,
    key_features,
)
from segue.prompts.selection import Rules
from segue.sessions.inference import choose_device
from segue.sessions.motion import MotionDetector
from segue.sessions.track import TrackSession
from segue.weights import load

DEFAULT = "motion"
"""The detector that needs no weights that segue does not bring."""

CLASSED = ("maskrcnn", "maskrcnn-v1", "pointrend", "deeplab")
"""Detectors that know classes and give scores."""

DISCOVERIES = {"lost": "dino-s16", "lost-b16": "dino-b16", "lost-lite": "stcn-lite"}
"""Detectors without classes on the features of a network, and its name."""

DETECTORS = (DEFAULT, *CLASSED, *DISCOVERIES)


def detector(
    name: str = DEFAULT,
    *,
    weights: str | os.PathLike[str] | None = None,
    classes: Collection[str] | None = None,
    score: float | None = None,
    max_objects: int | None = None,
    features: FeatureName | None = None,
    refine: Refinement | None = None,
    device: str | torch.device | None = None,
) -> Detector:
    """What finds objects by itself, for :class:`segue.Auto` or to be called with a frame.

    Args:
        name: ``motion`` comes with segue and finds what moves against the scene; ``maskrcnn``,
            ``maskrcnn-v1`` and ``pointrend`` know COCO's 80 classes, ``deeplab`` the 20 of PASCAL VOC;
            ``lost``, ``lost-b16`` and ``lost-lite`` find one object without knowing any class.
        weights: weight file; by default what `segue weights get` made.
        classes: labels that are wanted; None is all that it knows.
        score: least score, in 0..1; None is 0.5.
        max_objects: most objects of a frame; None is 10 with classes, else 1.
        features: for ``lost`` and ``lost-b16``: ``keys``, ``queries`` or ``values`` of the last attention;
            None is ``keys``.
        refine: for ``lost``, ``lost-b16`` and ``lost-lite``, how the mask is drawn to the edges: ``crf``,
            ``grabcut`` or ``none``; None is ``crf``.
        device: None takes a GPU if there is one.

    Raises:
        PromptError: the name or a class is unknown, or something is asked for that this detector lacks.
        CheckpointError: the weights are not there or do not fit.

    Example:
        >>> find = segue.detector("maskrcnn", classes=["person"])  # doctest: +SKIP
        >>> [item.box for item in find(frame).objects]  # doctest: +SKIP
    """
    if name not in DETECTORS:
        raise PromptError(f"no detector is called {name!r}; known are {', '.join(DETECTORS)}")
    if max_objects is not None and max_objects < 1:
        raise PromptError(f"max_objects is {max_objects}, but must be at least 1")
    if name not in DISCOVERIES and (features is not None or refine is not None):
        raise PromptError(
            f"{name} takes no features and no refinement; they belong to {', '.join(DISCOVERIES)}"
        )
    if name in CLASSED:
        rules = _rules(classes, score, max_objects)
        return _classed(name, load(name, weights), rules, choose_device(device))
    if classes is not None or score is not None:
        raise PromptError(f"{name} knows no classes and gives no scores; choose {', '.join(CLASSED)}")
    if name in DISCOVERIES:
        network, place = load(DISCOVERIES[name], weights), choose_device(device)
        return DiscoveryDetector(
            network if isinstance(network, DINO) else key_features(cast(MemoryNetwork, network.to(place))),
            which=features or "keys",
            max_objects=max_objects or 1,
            refine=refine or "crf",
            # The keys of a memory network all agree in part: without their mean they tell more apart.
            centre=not isinstance(network, DINO),
            device=place,
        )
    if weights is not None:
        raise PromptError(f"{name} needs no weight file; leave it out, or choose another detector")
    follower = TrackSession(cast(MemoryNetwork, load("stcn-lite")), device=device)
    return MotionDetector(follower, max_objects=max_objects or 1)


def _classed(name: str, network: torch.nn.Module, rules: Rules, device: torch.device) -> Detector:
    if isinstance(network, DeepLabV3):
        return SemanticDetector(network, rules, device)
    names = COCO_ORDER if name == "pointrend" else COCO_NAMES
    return NetworkDetector(cast("MaskRCNN | PointRend", network), names, rules, device)


def _rules(classes: Collection[str] | None, score: float | None, max_objects: int | None) -> Rules:
    standard = Rules()
    if score is not None and not 0 <= score <= 1:
        raise PromptError(f"score {score:g}: give a number in 0..1")
    return Rules(
        score=standard.score if score is None else score,
        max_objects=max_objects or standard.max_objects,
        classes=None if classes is None else frozenset(classes),
    )
