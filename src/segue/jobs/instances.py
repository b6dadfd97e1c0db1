"""Jobs that find and follow all instances: the session that a job asks for, and the default network."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from segue.errors import ArgumentError, PromptError, SegueError
from segue.inputs import kind_of
from segue.jobs.opened import Inputs, OpenJob, open_video
from segue.jobs.options import InstanceOptions
from segue.jobs.values import InstancesJob
from segue.models.base import InstanceNetwork
from segue.models.seqformer.network import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from segue.registry import DETECTORS, MODELS
from segue.sessions import TrackSession
from segue.sessions.detected import DetectionOptions, DetectionSession
from segue.sessions.detecting import as_classes, detector
from segue.sessions.instances import InstanceSession, WindowOptions, allowed_classes
from segue.sessions.networks import instance_network
from segue.types import Segmentation
from segue.weights import load_for

EDITIONS = {"ytvis2019": YOUTUBE_VIS_2019, "ytvis2021": YOUTUBE_VIS_2021}
"""Class names that need no file."""


def instance_session(
    model: str | InstanceNetwork,
    options: InstanceOptions,
    *,
    weights: str | Path | None = None,
    names: Mapping[int, str] | str | Path | None = None,
    classes: Collection[str] | str | None = None,
    device: str | torch.device | None = None,
    fast: bool = False,
) -> tuple[DetectionSession | InstanceSession, Mapping[int, str]]:
    """A session that finds instances as options ask for, and its class names by number.

    Takes the arguments of :func:`segue.instances`.
    """
    wanted, class_names = as_classes(classes), as_class_names(names)
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


def open_instances(job: InstancesJob, inputs: Inputs) -> OpenJob:
    """Open the source and load the network of a job; see :func:`segue.jobs.running.open_job`."""
    source = inputs.get("source") or open_video(job.source)
    session, names = instance_session(
        inputs.get("model", job.model.name),
        job.options,
        weights=job.model.weights,
        names=inputs.get("names", job.names),
        classes=job.classes,
        device=job.device,
        fast=job.fast,
    )
    if job.explain is not None and not isinstance(session, InstanceSession):
        raise SegueError(f"--explain shows where a network's queries look; {job.model.name} has none")
    return OpenJob(job, session, source, source, counted, names=names, inputs=inputs)


def counted(result: Segmentation) -> str:
    """Number of visible objects, in words."""
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
