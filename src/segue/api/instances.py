"""Find, classify, segment and follow all instances: the function behind ``segue instances``."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from segue.api.results import Progress, Results
from segue.datasets.ytvis import read_class_names
from segue.errors import ArgumentError, PromptError
from segue.inputs import kind_of
from segue.jobs.loop import FrameLoop, no_prompts, prompted
from segue.jobs.options import InstanceOptions, checked
from segue.models.base import InstanceNetwork
from segue.models.seqformer.network import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from segue.registry import DETECTORS, MODELS, DetectorEntry, Entry
from segue.sessions import TrackSession
from segue.sessions.detected import DetectionOptions, DetectionSession
from segue.sessions.detecting import detector
from segue.sessions.instances import InstanceOptions as WindowOptions
from segue.sessions.instances import InstanceSession, allowed_classes
from segue.sessions.networks import check_path, instance_network
from segue.video import Source, open_source
from segue.weights import load_for, read_checkpoint, recognise
from segue.weights.download import is_available

DEFAULT_MODEL = "msstsvis-lite"
"""The network that comes with segue; what is taken for a weight file that nothing recognises."""

EDITIONS = {"ytvis2019": YOUTUBE_VIS_2019, "ytvis2021": YOUTUBE_VIS_2021}
"""Class names that need no file."""


def instances(
    source: Source | str | Path | int | Iterable[Any],
    *,
    model: str | InstanceNetwork | None = None,
    weights: str | Path | None = None,
    names: Mapping[int, str] | str | Path | None = None,
    classes: Collection[str] | str | None = None,
    score: float | None = None,
    top: int = 10,
    window: int | None = None,
    overlap: int = 3,
    short_side: int | None = None,
    device: str | torch.device | None = None,
    fast: bool = False,
    progress: Progress | None = None,
) -> Results[DetectionSession | InstanceSession]:
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
        names: names of the class channels, where the weight file does not have them: by number, or
            ``ytvis2019``, ``ytvis2021`` or an annotation file.
        classes: names or numbers of the classes that are wanted, in a list or separated by commas; None is
            all that have a name.
        score: least class score of an object, in 0..1; None is what suits the network, 0.3 for the published
            ones, and for detectors 0.5.
        top: most objects of a window, or of a look of the detector.
        window: frames that are looked at together, or from one look of a detector to the next; None is 10, of
            detectors 5.
        overlap: frames that neighbouring windows share; not for detectors.
        short_side: pictures are resized to this short side for the network, None is the one that it was made
            for; not for detectors.
        device: for example ``"cpu"`` or ``"cuda:1"``; None takes a GPU if there is one.
        fast: bfloat16 where the hardware has it; a detector itself stays in float32.
        progress: called after each result with the number of results so far and the expected one, or None.

    Returns:
        An iterator of results that knows its session, see :class:`segue.api.Results`: one result per frame,
        in order, ``window - 1`` frames or less after its frame was read. The objects carry their class as
        label.

    Raises:
        SourceError, CheckpointError: as described there.
        PromptError: there is no such class.
        ArgumentError: an argument has the wrong type or range.

    Example:
        >>> for result in segue.instances("street.mp4", classes=["person"]):
        ...     print(result.index, [(item.id, item.label, item.box) for item in result.objects])
    """
    given = {"score": score, "top": top, "window": window, "overlap": overlap, "short_side": short_side}
    checked(InstanceOptions, given)
    check_path("weights", weights)
    classes, class_names = as_classes(classes), as_class_names(names)
    opened = source if isinstance(source, Source) else open_source(source)
    if model is None:
        model = default_model(weights)
    if isinstance(model, str) and "+" in model:
        if class_names is not None:
            raise PromptError(f"{model} knows the names of its classes; leave the names out")
        finding, _, following = model.partition("+")
        classed = [entry.name for entry in DETECTORS if "classes" in entry.supported_options]
        if finding not in classed:
            raise PromptError(f"{model}: the detector is one of {', '.join(classed)}")
        tracker = TrackSession(load_for("track", following), device=device, fast=fast)
        found = detector(
            finding, weights=weights, classes=classes, score=score, max_objects=top, device=device
        )
        numbers = DETECTORS.find(finding).categories
        options = DetectionOptions(top=top, **_given(every=window, score=score))
        known = found.names if numbers is None else numbers
        return _results(DetectionSession(tracker, found, options), opened, known, progress)
    network = instance_network(model, weights)
    suited = {"score": network.score, "short_side": network.short_side}
    if isinstance(model, str):
        entry = MODELS.find(model)
        suited |= _given(score=entry.threshold, short_side=entry.short_side)
    channels = network.class_names if class_names is None else class_names
    known = {channel: name for channel, name in channels.items() if 0 <= channel < network.classes}
    wanted = (frozenset(known) or None) if classes is None else allowed_classes(classes, known)
    asked = suited | _given(score=score, short_side=short_side, window=window)
    windows = WindowOptions(overlap=overlap, top=top, classes=wanted, **asked)
    session = InstanceSession(network, windows, names=known, device=device, fast=fast)
    return _results(session, opened, known, progress)


def _results(
    session: DetectionSession | InstanceSession,
    source: Source,
    names: Mapping[int, str],
    progress: Progress | None,
) -> Results[DetectionSession | InstanceSession]:
    loop = FrameLoop(session, prompted(session, no_prompts), copies=not source.files)
    return Results(session, source, loop.over(source), names=names, progress=progress)


def as_classes(classes: Collection[str] | str | None) -> list[str] | None:
    """Names of classes from a list, or from a text with commas.

    Raises:
        ArgumentError: these are no names.
    """
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


def as_class_names(names: Mapping[int, str] | str | Path | None) -> Mapping[int, str] | None:
    """Names of class channels by number, of an edition of YouTube-VIS by its name, or of an annotation file.

    Raises:
        ArgumentError: these are no names by number.
        DatasetError: the file is missing or is no annotation file.
    """
    if names is None or isinstance(names, Mapping):
        return names
    if isinstance(names, (str, os.PathLike)):
        return EDITIONS.get(str(names)) or read_class_names(Path(names))
    raise ArgumentError(
        f"names: {kind_of(names)}; give names by number, {' or '.join(EDITIONS)}, or an annotation file"
    )


def _given(**options: Any) -> dict[str, Any]:
    """The options that are not None."""
    return {name: value for name, value in options.items() if value is not None}


def default_model(weights: str | Path | None = None, *, detectors: bool = True) -> str:
    """What finds instances where nothing is named.

    It is the network of the weight file, if there is one. Else it is the best whose official weights are in
    the cache folder: a SeqFormer by its published AP, then a detector of torchvision or Detectron 2 with a
    network that follows its finds; and where there are none, what comes with segue: the small detector with
    a tracker, or alone msstsvis-lite. Without ``detectors`` no detector with a tracker is named.
    """
    classed = [entry for entry in DETECTORS if "classes" in entry.supported_options]
    by_network = {entry.network or entry.name: entry for entry in reversed(classed)}
    if weights is not None:
        known = recognise(read_checkpoint(weights).tensors)
        name = DEFAULT_MODEL if known is None else known.name
        finds = by_network[name].name if name in by_network else None
    else:
        best = _best((entry, entry) for entry in MODELS if entry.task == "instances")
        if best is not None:
            return best
        name = DEFAULT_MODEL
        finds = _best((entry, MODELS.find(key)) for key, entry in by_network.items() if key in MODELS)
    if finds is None or not detectors:
        return name
    follows = _best((entry, entry) for entry in MODELS if entry.task == "track")
    return f"{finds}+{follows or 'stcn-lite'}"


def _best(entries: Iterable[tuple[Entry | DetectorEntry, Entry]]) -> str | None:
    """The name of the lowest rank of those whose networks come with segue or are in the cache folder."""
    ranked = [
        (entry.rank, entry.name)
        for entry, network in entries
        if entry.rank is not None and is_available(network)
    ]
    return min(ranked, default=(0, None))[1]
