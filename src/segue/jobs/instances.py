"""Jobs that find and follow all instances: the session that a job asks for, and the default network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segue.errors import ArgumentError, PromptError, SegueError
from segue.inputs import kind_of
from segue.jobs.opened import Inputs, OpenJob
from segue.jobs.values import InstancesJob
from segue.models.base import InstanceNetwork
from segue.models.seqformer.network import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from segue.registry import DETECTORS, MODELS
from segue.sessions import TrackSession
from segue.sessions.detected import DetectionOptions, DetectionSession
from segue.sessions.detecting import detector
from segue.sessions.instances import InstanceSession, WindowOptions, allowed_classes
from segue.sessions.networks import instance_network
from segue.weights import load_for

EDITIONS = {"ytvis2019": YOUTUBE_VIS_2019, "ytvis2021": YOUTUBE_VIS_2021}
"""Class names that need no file."""


class OpenInstances(OpenJob):
    """A job that finds instances, with its session."""

    job: InstancesJob
    session: DetectionSession | InstanceSession

    def __init__(self, job: InstancesJob, inputs: Inputs) -> None:
        super().__init__(job, inputs)
        model = inputs.get("model", job.model.name)
        names = as_class_names(inputs.get("names", job.names))
        if isinstance(model, str) and "+" in model:
            if names is not None:
                raise PromptError(f"{model} knows the names of its classes; leave the names out")
            self._open_detector(*model.split("+", 1))
        else:
            self._open_network(instance_network(model, job.model.weights), names)
        if job.explain is not None and not isinstance(self.session, InstanceSession):
            raise SegueError(f"--explain shows where a network's queries look; {job.model.name} has none")

    def _open_detector(self, finding: str, following: str) -> None:
        """A detector by name and the network that tracks its objects."""
        job, options = self.job, self.job.options
        classed = [entry.name for entry in DETECTORS if "classes" in entry.supported_options]
        if finding not in classed:
            raise PromptError(f"{finding}+{following}: the detector is one of {', '.join(classed)}")
        tracker = TrackSession(load_for("track", following), device=job.device, fast=job.fast)
        found = detector(
            finding,
            weights=job.model.weights,
            classes=job.classes,
            score=options.score,
            max_objects=options.top,
            device=job.device,
        )
        looks = DetectionOptions(top=options.top, **_given(every=options.window, score=options.score))
        self.session = DetectionSession(tracker, found, looks)
        self.names = DETECTORS.find(finding).categories or found.names

    def _open_network(self, network: InstanceNetwork, names: Mapping[int, str] | None) -> None:
        job, options = self.job, self.job.options
        suited = {"score": network.score, "short_side": network.short_side}
        if "model" not in self.inputs:
            entry = MODELS.find(job.model.name)
            suited |= _given(score=entry.threshold, short_side=entry.short_side)
        channels = network.class_names if names is None else names
        self.names = {channel: name for channel, name in channels.items() if 0 <= channel < network.classes}
        wanted = allowed_classes(job.classes, self.names) if job.classes else frozenset(self.names)
        asked = suited | _given(score=options.score, short_side=options.short_side, window=options.window)
        windows = WindowOptions(overlap=options.overlap, top=options.top, classes=wanted or None, **asked)
        self.session = InstanceSession(network, windows, names=self.names, device=job.device, fast=job.fast)


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
