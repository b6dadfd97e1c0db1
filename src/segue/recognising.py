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
from segue.sessions import TrackSession
from segue.sessions.auto import AutoSession
from segue.sessions.base import Session, results
from segue.sessions.clips import SHORT_SIDE
from segue.sessions.detecting import detector
from segue.sessions.instances import InstanceOptions, InstanceSession, allowed_classes
from segue.types import Segmentation
from segue.video import Source, open_source
from segue.weights import load

DEFAULT_MODEL = "msstsvis-lite"

SCORE = 0.3
"""Least class score of an object, where nothing else is said."""

DETECTORS = ("maskrcnn", "maskrcnn-v1", "pointrend")
"""What may find the objects that a network for tracking follows."""


def instances(
    source: Source | str | Path | int | Iterable[Any],
    *,
    model: str | SeqFormer = DEFAULT_MODEL,
    weights: str | Path | None = None,
    names: Mapping[int, str] | None = None,
    classes: Collection[str] | None = None,
    score: float | None = None,
    top: int = 10,
    window: int = 10,
    overlap: int = 3,
    short_side: int = SHORT_SIDE,
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
            ``window`` frames, and a network for tracking follow what it finds.
        weights: weight file for a network by name, or for the detector.
        names: names of the class channels, where the weight file does not have them.
        classes: names or numbers of the classes that are wanted; None is all that have a name.
        score: least class score of an object, in 0..1; None is 0.3, and for detectors 0.5.
        top: most objects of a window, or of a look of the detector.
        window: frames that are looked at together.
        overlap: frames that neighbouring windows share; not for detectors.
        short_side: pictures are resized to this short side for the network; not for detectors.
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
        model,
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
    short_side: int,
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
        found = detector(
            finding, weights=weights, classes=classes, score=score, max_objects=top, device=device
        )
        follower = TrackSession(cast(MemoryNetwork, load(following)), device=device, fast=fast)
        return Finder(AutoSession(follower, found, window), COCO_NAMES)
    network = instance_model(model, weights)
    known = class_names(network, names)
    options = InstanceOptions(
        window=window,
        overlap=overlap,
        score=SCORE if score is None else score,
        top=top,
        classes=wanted_channels(classes, known),
        short_side=short_side,
    )
    return Finder(InstanceSession(network, options, names=known, device=device, fast=fast), known)


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
