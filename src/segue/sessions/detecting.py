"""Make detectors by name, with their weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any, cast

import torch

from segue.errors import ArgumentError, CheckpointError, PromptError
from segue.inference.running import choose_device
from segue.models.detection.classes import COCO_ORDER
from segue.models.detection.released import OWLV2, RELEASED, Released
from segue.prompts.answers import MakePrompter
from segue.prompts.catalogue import DEFAULT
from segue.prompts.detectors import (
    BoxDetector,
    Detector,
    DiscoveryDetector,
    PhraseDetector,
    detect_boxes,
    detections_of,
)
from segue.prompts.phrases import Phrase, parse_phrases, unmatched
from segue.prompts.prompter import Prompter
from segue.prompts.proposals import Rules
from segue.registry import DETECTORS, DetectorOptions
from segue.sessions.motion import MotionDetector
from segue.sessions.track import TrackSession
from segue.types import FeatureName, Image, Refinement
from segue.utils.inputs import kind_of
from segue.utils.keywords import suggests_names
from segue.weights import Prepared, load, prepare

BOX_MASKS = ("network", "none")  # what may make masks of boxes
MAX_TILES = 8
MAX_OF_A_FUNCTION = 100  # objects of a frame that the function of a caller may find
MAX_COLOURED = 100  # objects of a class among which those of a colour are sought
MIN_OPEN = 0.3  # least score of a model in a folder


@suggests_names
def detector(
    name: str | Callable[[Image], Any] | None = None,
    *,
    text: str | Sequence[str] | None = None,
    weights: str | os.PathLike[str] | None = None,
    classes: Collection[str | int] | str | None = None,
    score: float | None = None,
    max_objects: int | None = None,
    features: FeatureName | None = None,
    refine: Refinement | None = None,
    tiles: int | None = None,
    device: str | int | torch.device | None = None,
    fast: bool = False,
) -> Detector:
    """Make a detector by name or of a function, for :class:`segue.Auto` or to be called with a frame.

    Args:
        name: ``motion`` and ``nanodet`` come with segue: the first finds what moves against the scene, the
            second, as ``maskrcnn``, ``maskrcnn-v1`` and ``pointrend``, COCO's 80 classes; ``deeplab`` knows
            the 20 of PASCAL VOC;
            ``lost`` and ``lost-b16`` find one object without knowing any class;
            ``owlv2``, ``grounding-dino`` and ``sam3`` of transformers find what ``text`` says,
            ``zero-shot`` is any such model in a folder ``weights``.
            None is ``motion``, and with ``text`` what :func:`choose_for_text` says. A function takes an
            image, RGB (H, W, 3), uint8, and gives ``supervision.Detections``, boxes (N, 4), or boxes with
            scores, labels and masks, see :func:`segue.prompts.detectors.detections_of`. Boxes without masks
            get them from segue-prompt.
        text: phrases to look for, such as ``"person, red car"`` or a list; they become the labels.
        weights: weight file or folder, for all but ``motion``; by default the one that comes with segue or
            that `segue weights get` made; for models of transformers the cache of the Hugging Face Hub.
        classes: names or numbers of the classes that are wanted, also as one text with commas; None is all
            that it knows. ``names`` of a detector has its numbers.
        score: least score, in 0..1; None is 0.5, for open-vocabulary detectors their own, for a function 0.
        max_objects: most objects of a frame, at least 1; None is 10 with classes or text, else 1; ``lost``
            and ``lost-b16`` find one; for a function 100.
        features: for ``lost`` and ``lost-b16``: ``keys``, ``queries`` or ``values`` of the last attention;
            None is ``keys``.
        refine: for ``lost`` and ``lost-b16``, how the mask is drawn to the edges: ``crf`` or
            ``none``; None is ``crf``. For detectors that find boxes, what makes masks of them: ``network``
            for segue-prompt, or ``none`` for the boxes themselves; None is ``network``.
        tiles: for ``nanodet``, 1 to 8: look also at so many overlapping parts a side, for objects that are
            small in large images; None is the whole alone.
        device: None selects a GPU if there is one.
        fast: half precision or 8-bit integers if they are faster on the device: for ``motion``,
            ``nanodet`` and the masks of boxes.

    Returns:
        The detector. It takes a frame, or an image (H, W, 3) of uint8, and the ``lookahead`` ones after it,
        and gives the objects of the frame, best first. ``names`` holds its labels by class number, and is
        empty where it knows no classes.

    Raises:
        PromptError: the name, a class or a phrase is unknown, or something is asked for that this detector
            lacks.
        CheckpointError: the weights are not there or do not fit.
        ArgumentError: there is no such device here, or the classes are no names.

    Example:
        >>> find = segue.detector("maskrcnn", classes=["person"])  # doctest: +SKIP
        >>> [item.box for item in find(frame).objects]  # doctest: +SKIP
        >>> yolo = YOLO("yolo11n.pt")  # doctest: +SKIP
        >>> find = segue.detector(lambda image: Detections.from_ultralytics(yolo(image)[0]))  # doctest: +SKIP
    """
    requested_classes = as_classes(classes)
    phrases = None if text is None else parse_phrases(text)
    if phrases is not None and requested_classes is not None:
        raise PromptError("text says what to look for; leave out classes")
    if max_objects is not None and max_objects < 1:
        raise PromptError(f"max_objects is {max_objects}, but must be at least 1")
    if score is not None and not 0 <= score <= 1:
        raise PromptError(f"score {score:g}: give a number in 0..1")
    if name is None:
        name = DEFAULT if phrases is None else choose_for_text(phrases)
    if callable(name):
        network_options = {"weights": weights, "features": features, "tiles": tiles}
        if superfluous := [option for option, value in network_options.items() if value is not None]:
            raise PromptError(f"{superfluous[0]} goes with a detector by name; the function has its own")
        max_of_function = max_objects or MAX_OF_A_FUNCTION
        built = _of_function(name, requested_classes, score or 0.0, max_of_function, refine, device, fast)
        return built if phrases is None else restrict_to_phrases(built, phrases)
    options = DetectorOptions(
        weights, requested_classes, score, max_objects, features, refine, tiles, device, fast=fast
    )
    entry = DETECTORS.find(name)
    supported = entry.supported_options
    if phrases is not None and "text" in supported:
        return entry.build(replace(options, text=tuple(phrase.text for phrase in phrases)))
    if phrases is not None and "classes" not in supported:
        names = ", ".join(other.name for other in DETECTORS if {"text", "classes"} & other.supported_options)
        raise PromptError(f"{name} knows no classes and takes no text; {names} do")
    _check_options(name, options, supported)
    if phrases is None and "text" in supported:
        raise PromptError(f"{name} finds what a text says; give text")
    built = entry.build(options)
    return built if phrases is None else restrict_to_phrases(built, phrases)


def box_detector(
    name: str,
    classes: Collection[str] | None = None,
    *,
    score: float | None = None,
    device: str | int | torch.device | None = None,
    fast: bool = False,
) -> Detector:
    """Create a detector with classes for boxes only; masks are skipped where possible.

    Arguments are those of :func:`detector`; it finds all objects of a frame.
    """
    entry = DETECTORS.find(name)
    if "classes" not in entry.supported_options:
        classed = ", ".join(other.name for other in DETECTORS if "classes" in other.supported_options)
        raise PromptError(f"{name} knows no classes; {classed} do")
    boxes: Refinement | None = "none" if "refine" in entry.supported_options else None
    return detector(
        name,
        classes=classes,
        score=score,
        max_objects=MAX_OF_A_FUNCTION,
        refine=boxes,
        device=device,
        fast=fast,
    )


def _of_function(
    find: Callable[[Image], Any],
    classes: Collection[str] | None,
    score: float,
    max_objects: int,
    refine: Refinement | None,
    device: str | int | torch.device | None,
    fast: bool,
) -> Detector:
    """Make a detector from a function of an image."""
    allowed = None if classes is None else frozenset(classes)
    return BoxDetector(
        lambda image, _: detections_of(find(image), image.shape[:2]),
        {},
        _box_prompter(refine, device, fast),
        Rules(score=score, max_objects=max_objects, classes=allowed),
    )


def choose_for_text(phrases: Sequence[Phrase]) -> str:
    """Choose the detector for phrases if none is named; nothing is downloaded."""
    strange = unmatched(phrases, COCO_ORDER)
    if not strange and not any(phrase.colour for phrase in phrases):
        return "nanodet"
    cached = next((model.name for model in RELEASED if model.folder()), None)
    if cached is not None:
        return cached
    if strange:
        raise PromptError(
            f"text {strange[0].text!r} is no class of the detector in segue (segue detect --help); "
            f"to find it: {OWLV2.how_to_get}"
        )
    return "nanodet"


def restrict_to_phrases(base: Detector, phrases: Sequence[Phrase]) -> PhraseDetector:
    """Restrict a detector to phrases; the detector itself does not change."""
    rules = getattr(base, "rules", None) or Rules()
    if base.names and hasattr(base, "rules"):  # its bound on objects counts those that are wanted
        matching = (name for name in base.names.values() if any(phrase.fits(name) for phrase in phrases))
        limit = max(rules.max_objects, MAX_COLOURED) if any(p.colour for p in phrases) else rules.max_objects
        base = copy(base)  # the caller, and runs that go on, have the detector as it was
        base.rules = replace(rules, classes=frozenset(matching), max_objects=limit)
    return PhraseDetector(base, phrases, rules)


def _check_options(name: str, options: DetectorOptions, supported: Collection[str]) -> None:
    """Raise PromptError if a detector does not support an option that is set."""
    for option, what in _OPTIONS.items():
        if getattr(options, option) is not None and option not in supported:
            names = ", ".join(other.name for other in DETECTORS if option in other.supported_options)
            raise PromptError(f"{name} takes no {what}; {what} belong to {names}")


def as_classes(classes: Collection[str | int] | str | None) -> list[str] | None:
    """Class names and numbers as texts, from a list or comma-separated text."""
    if classes is None:
        return None
    if isinstance(classes, str):
        return [name.strip() for name in classes.split(",")]
    if not isinstance(classes, (list, tuple, set, frozenset)) or not all(
        isinstance(name, (str, Integral)) and not isinstance(name, bool) for name in classes
    ):
        raise ArgumentError(
            f"classes: {kind_of(classes)}; give a list of names or numbers, or both separated by commas"
        )
    return [str(name) for name in classes]


_OPTIONS = {
    "classes": "classes",
    "score": "scores",
    "features": "features",
    "refine": "refinements",
    "tiles": "tiles",
    "weights": "weights",
}
"""Options that some detectors lack, and their names in messages."""


def build_motion(options: DetectorOptions) -> Detector:
    """Make the motion detector."""
    return MotionDetector(
        TrackSession("stcn-lite", device=options.device, fast=options.fast),
        max_objects=options.max_objects or 1,
    )


def build_network(
    name: str, factory: Callable[..., Detector], options: DetectorOptions, **arguments: Any
) -> Detector:
    """Make the detector of a network by name; ``arguments`` are further arguments of its class."""
    network = load(name, options.weights)
    return factory(network, rules=_rules(options), device=choose_device(options.device), **arguments)


def _box_prompter(
    refine: Refinement | None, device: str | int | torch.device | None, fast: bool
) -> MakePrompter | None:
    """Prompter that segments the boxes of a detector; None keeps whole boxes."""
    if refine not in (None, *BOX_MASKS):
        raise PromptError(f"refine is {refine!r}; for boxes choose {', '.join(BOX_MASKS)}")
    if refine == "none":
        return None
    return partial(Prompter, network=prepare("segue-prompt", device=device, fast=fast))


def build_nanodet(options: DetectorOptions) -> Detector:
    """Make NanoDet-Plus with a prompter that segments its boxes."""
    tiles = 1 if options.tiles is None else options.tiles
    if not 1 <= tiles <= MAX_TILES:
        raise PromptError(f"tiles is {tiles}; give 1 to {MAX_TILES} a side")
    network: Prepared[Any] = prepare("nanodet", options.weights, device=options.device, fast=options.fast)
    prompter = _box_prompter(options.refine, options.device, options.fast)
    return BoxDetector(partial(detect_boxes, network, tiles), COCO_ORDER, prompter, _rules(options))


def build_open_vocabulary(options: DetectorOptions, released: Released | None = None) -> Detector:
    """Make a transformers model that detects phrases; ``released`` is in the user's cache."""
    from segue.models.detection.open_vocabulary import ask_phrases, read_model  # few jobs need transformers

    folder = _folder_of(options.weights, released)
    model, processor = read_model(folder, None if released is None else released.types)
    text = options.text or ()
    find = ask_phrases(model, processor, text, choose_device(options.device))
    suited = MIN_OPEN if released is None else released.score
    rules = _rules(replace(options, score=suited if options.score is None else options.score))
    prompter = _box_prompter(options.refine, options.device, options.fast)
    return BoxDetector(find, dict(enumerate(text, start=1)), prompter, rules)


def _folder_of(weights: str | os.PathLike[str] | None, released: Released | None) -> Path:
    """Folder of a transformers model; ``released`` is in the user's cache."""
    if weights is not None:
        return Path(weights)
    if released is None:
        raise CheckpointError("zero-shot is a model of transformers in a folder: give its weights")
    if (cached := released.folder()) is None:
        raise CheckpointError(f"{released.name}: its weights are not here: {released.how_to_get}")
    return cached


def build_discovery(name: str, options: DetectorOptions) -> Detector:
    """Make LOST with the features of a network by name."""
    return DiscoveryDetector(
        cast(Any, load(name, options.weights)),
        which=options.features or "keys",
        refine=options.refine or "crf",
        device=choose_device(options.device),
    )


def _rules(options: DetectorOptions) -> Rules:
    standard = Rules()
    return Rules(
        score=standard.score if options.score is None else options.score,
        max_objects=options.max_objects or standard.max_objects,
        classes=None if options.classes is None else frozenset(options.classes),
    )
