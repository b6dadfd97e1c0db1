"""Find, classify, segment and follow all instances: the function behind ``segue instances``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from segue.errors import CheckpointError, PromptError
from segue.models.base import MemoryNetwork
from segue.models.detection.classes import COCO_NAMES
from segue.models.seqformer import SeqFormer
from segue.prompts.detectors import Detector
from segue.sessions import TrackSession
from segue.sessions.auto import AutoSession
from segue.sessions.base import Session, results
from segue.sessions.detecting import detector
from segue.sessions.instances import InstanceOptions, InstanceSession, allowed_classes
from segue.types import Segmentation
from segue.video import Source, open_source
from segue.weights import find, load, read_checkpoint
from segue.weights.cache import cached
from segue.weights.catalogue import recognise

DEFAULT_MODEL = "msstsvis-lite"
"""What is taken where no weights of a better one are at hand."""

DETECTORS = ("maskrcnn", "pointrend", "maskrcnn-v1", "deeplab")
"""What may find the objects that a network for tracking follows, the best first."""

FOLLOWERS = ("stcn-lite", "stcn", "stm")
"""What may follow the finds of a detector."""

BETTER = ("seqformer-swin-l", "seqformer-r101", "seqformer-r50")
"""Networks with published weights, by their published AP, the best first."""


def instances(
    source: Source | str | Path | int | Iterable[Any],
    *,
    model: str | SeqFormer | None = None,
    weights: str | Path | None = None,
    names: Mapping[int, str] | None = None,
    classes: Collection[str] | None = None,
    score: float | None = None,
    top: int = 10,
    window: int = 10,
    overlap: int = 3,
    short_side: int | None = None,
    device: str | torch.device | None = None,
    fast: bool = False,
) -> Iterator[Segmentation]:
    """Find every instance of a video of any length, say what it is, and follow it.

    The video is looked at in windows of frames that overlap; on the frames that two windows share, objects
    are known again. Memory does not grow with the video.

    Args:
        source: anything :func:`segue.open_source` takes, such as a file, a folder, a camera's number or
            address, or a list of RGB arrays.
        model: name for :func:`segue.load`, or a network. ``maskrcnn+stcn-lite`` has a detector look every
            ``window`` frames, and a network for tracking follow what it finds. None is what
            :func:`default_model` names.
        weights: weight file for a network by name, or for the detector.
        names: names of the class channels, where the weight file does not have them.
        classes: names or numbers of the classes that are wanted; None is all that have a name.
        score: least class score of an object, in 0..1; None is what suits the network, 0.3 for the published
            ones, and for detectors 0.5.
        top: most objects of a window, or of a look of the detector.
        window: frames that are looked at together.
        overlap: frames that neighbouring windows share; not for detectors.
        short_side: pictures are resized to this short side for the network, None is the one that it was made
            for; not for detectors.
        device: for example ``"cpu"`` or ``"cuda:1"``; None takes a GPU if there is one.
        fast: bfloat16 where the hardware has it; a detector itself stays in float32.

    Yields:
        One result per frame, in order, ``window - 1`` frames or less after its frame was read. The objects
        carry their class as label.

    Raises:
        SourceError, CheckpointError: as described there.
        PromptError: there is no such class.
        ValueError: a number is out of range.

    Example:
        >>> for result in segue.instances("street.mp4", classes=["person"]):
        ...     print(result.index, [(item.id, item.label, item.box) for item in result.objects])
    """
    finder = make_finder(
        default_model(weights) if model is None else model,
        weights,
        names=names,
        classes=classes,
        score=score,
        top=top,
        window=window,
        overlap=overlap,
        short_side=short_side,
        device=device,
        fast=fast,
    )
    opened = source if isinstance(source, Source) else open_source(source)
    return _results(finder.session, opened)


@dataclass(frozen=True, slots=True)
class Finder:
    """What finds and follows instances.

    Attributes:
        session: takes the frames.
        names: class names by number, as files of results number them.
    """

    session: Session
    names: Mapping[int, str]


def make_finder(
    model: str | SeqFormer,
    weights: str | Path | None,
    *,
    names: Mapping[int, str] | None,
    classes: Collection[str] | None,
    score: float | None,
    top: int,
    window: int,
    overlap: int,
    short_side: int | None,
    device: str | torch.device | None,
    fast: bool,
) -> Finder:
    """What :func:`instances` describes.

    Raises:
        CheckpointError, PromptError, ValueError: as described there.
    """
    if isinstance(model, str) and "+" in model:
        if names is not None:
            raise PromptError(f"{model} knows the names of its classes; leave the names out")
        finding, _, following = model.partition("+")
        if finding not in DETECTORS:
            raise PromptError(f"{model}: the detector is one of {', '.join(DETECTORS)}")
        if following not in FOLLOWERS:
            raise PromptError(f"{model}: what follows its finds is one of {', '.join(FOLLOWERS)}")
        found = detector(
            finding, weights=weights, classes=classes, score=score, max_objects=top, device=device
        )
        follower = TrackSession(cast(MemoryNetwork, load(following)), device=device, fast=fast)
        return Finder(AutoSession(follower, found, window), _numbering(finding, found))
    network = instance_model(model, weights)
    known = class_names(network, names)
    options = InstanceOptions(
        window=window,
        overlap=overlap,
        score=network.score if score is None else score,
        top=top,
        classes=wanted_channels(classes, known),
        short_side=network.short_side if short_side is None else short_side,
    )
    return Finder(InstanceSession(network, options, names=known, device=device, fast=fast), known)


def default_model(weights: str | Path | None = None, *, detectors: bool = True) -> str:
    """The network that finds instances where none is named.

    It is that of the weight file, if there is one. Else it is the best whose official weights are in the
    cache folder: a SeqFormer by its published AP, then a detector of torchvision or Detectron 2 with a
    network that follows its finds; and where there are none, the small one that comes with segue.

    Args:
        weights: a weight file.
        detectors: whether a detector with a follower may be named.

    Raises:
        CheckpointError: the file cannot be read.
    """
    if weights is not None:
        entry = recognise(read_checkpoint(weights).tensors)
        name = DEFAULT_MODEL if entry is None else entry.name
        return f"{name}+{_default_follower()}" if detectors and name in DETECTORS else name
    for name in BETTER:
        if _at_hand(name):
            return name
    for name in DETECTORS if detectors else ():
        if _at_hand(name):
            return f"{name}+{_default_follower()}"
    return DEFAULT_MODEL


def _at_hand(name: str) -> bool:
    return cached(find(name)).exists()


def _default_follower() -> str:
    return "stcn" if _at_hand("stcn") else "stcn-lite"


def _numbering(finding: str, found: Detector) -> Mapping[int, str]:
    """How files of results number the classes of a detector: those of COCO as COCO does."""
    return found.names if finding == "deeplab" else COCO_NAMES


def instance_model(model: str | SeqFormer, weights: str | Path | None = None) -> SeqFormer:
    """A network that finds instances, by its name, or as it is.

    Raises:
        CheckpointError: no network has the name, it finds no instances, or the weights do not fit.
    """
    if not isinstance(model, str):
        return model
    network = load(model, weights)
    if not isinstance(network, SeqFormer):
        raise CheckpointError(f"{model} finds no instances; take {DEFAULT_MODEL}, seqformer-r50 or another")
    return network


def class_names(network: SeqFormer, names: Mapping[int, str] | None = None) -> dict[int, str]:
    """Names of a network's class channels: those that are given, or those that came with its weights."""
    return {
        channel: name
        for channel, name in (network.class_names if names is None else names).items()
        if 0 <= channel < network.size.classes
    }


def wanted_channels(classes: Collection[str] | None, names: Mapping[int, str]) -> frozenset[int] | None:
    """Channels of the classes that are wanted; all that have a name if nothing was said.

    Raises:
        PromptError: there is no such class.
    """
    if classes is not None:
        return allowed_classes(classes, names)
    return frozenset(names) or None


def _results(session: Session, source: Source) -> Iterator[Segmentation]:
    with source:
        yield from results(session, source)
