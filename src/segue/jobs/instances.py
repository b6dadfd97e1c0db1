"""Jobs that find and follow all instances: the session that a job asks for, and the default network."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from segue.errors import ArgumentError, PromptError, SegueError
from segue.inputs import kind_of
from segue.jobs.options import InstanceOptions
from segue.jobs.prepared import Extras, Objects, Prepared, open_video
from segue.jobs.values import InstancesJob
from segue.models.base import InstanceNetwork
from segue.models.seqformer.network import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from segue.registry import DETECTORS, MODELS, DetectorEntry, Entry
from segue.sessions import TrackSession
from segue.sessions.detected import DetectionOptions, DetectionSession
from segue.sessions.detecting import as_classes, detector
from segue.sessions.instances import InstanceOptions as WindowOptions
from segue.sessions.instances import InstanceSession, allowed_classes
from segue.sessions.networks import check_path, instance_network
from segue.types import Segmentation
from segue.weights import load_for, read_checkpoint, recognise
from segue.weights.download import is_available

DEFAULT_MODEL = "msstsvis-lite"
"""The network that comes with segue; what is taken for a weight file that nothing recognises."""

EDITIONS = {"ytvis2019": YOUTUBE_VIS_2019, "ytvis2021": YOUTUBE_VIS_2021}
"""Class names that need no file."""


def instance_session(
    model: str | InstanceNetwork | None,
    options: InstanceOptions,
    *,
    weights: str | Path | None = None,
    names: Mapping[int, str] | str | Path | None = None,
    classes: Collection[str] | str | None = None,
    device: str | torch.device | None = None,
    fast: bool = False,
) -> tuple[DetectionSession | InstanceSession, Mapping[int, str]]:
    """A session that finds instances as options ask for, and its class names by number.

    The arguments are those of :func:`segue.instances`.
    """
    check_path("weights", weights)
    wanted, class_names = as_classes(classes), as_class_names(names)
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
            finding,
            weights=weights,
            classes=wanted,
            score=options.score,
            max_objects=options.top,
            device=device,
        )
        numbers = DETECTORS.find(finding).categories
        looks = DetectionOptions(top=options.top, **_given(every=options.window, score=options.score))
        return DetectionSession(tracker, found, looks), found.names if numbers is None else numbers
    network = instance_network(model, weights)
    suited = {"score": network.score, "short_side": network.short_side}
    if isinstance(model, str):
        entry = MODELS.find(model)
        suited |= _given(score=entry.threshold, short_side=entry.short_side)
    channels = network.class_names if class_names is None else class_names
    known = {channel: name for channel, name in channels.items() if 0 <= channel < network.classes}
    chosen = (frozenset(known) or None) if wanted is None else allowed_classes(wanted, known)
    asked = suited | _given(score=options.score, short_side=options.short_side, window=options.window)
    windows = WindowOptions(overlap=options.overlap, top=options.top, classes=chosen, **asked)
    return InstanceSession(network, windows, names=known, device=device, fast=fast), known


def prepare_instances(job: InstancesJob, objects: Objects) -> Prepared:
    """Open the source and load the network of a job; see :func:`segue.jobs.running.prepare`."""
    source = objects.source or open_video(job.source)
    session, names = instance_session(
        job.model.name if objects.model is None else objects.model,
        job.options,
        weights=job.model.weights,
        names=job.names if objects.names is None else objects.names,
        classes=job.classes,
        device=job.device,
        fast=job.fast,
    )
    if job.explain is not None and not isinstance(session, InstanceSession):
        raise SegueError(f"--explain shows where a network's queries look; {job.model.name} has none")
    return Prepared(session, source, source, counted, names=names, extras=Extras(explain=job.explain))


def counted(result: Segmentation) -> str:
    """How many objects are visible, in words."""
    return f"{sum(item.area > 0 for item in result.objects)} objects"


def as_class_names(names: Mapping[int, str] | str | Path | None) -> Mapping[int, str] | None:
    """Class names by channel: a mapping, an edition of YouTube-VIS, or an annotation file."""
    if names is None or isinstance(names, Mapping):
        return names
    if isinstance(names, (str, os.PathLike)):
        from segue.datasets.ytvis import read_class_names  # few jobs read an annotation file

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
        checkpoint = read_checkpoint(weights)
        known = recognise(checkpoint.tensors, checkpoint.metadata)
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
