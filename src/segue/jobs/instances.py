"""Jobs that find and follow all instances, in windows of frames or, as published, in a video as one clip."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from segue.errors import ArgumentError, PromptError, SegueError, SinkError, SourceDamageError
from segue.jobs.observer import Observer
from segue.jobs.opened import Run, first_frame, open_video
from segue.jobs.record import write_record
from segue.jobs.values import InstancesJob, Outputs
from segue.models.base import InstanceNetwork
from segue.models.seqformer.network import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from segue.options import unwrap
from segue.registry import DETECTORS
from segue.sessions import TrackSession
from segue.sessions.detected import DetectionOptions, DetectionSession
from segue.sessions.detecting import detector
from segue.sessions.instances import InstanceSession, WindowOptions, allowed_classes
from segue.sessions.networks import instance_network
from segue.sessions.official import resized, sure_results, whole_clip
from segue.sinks.outputs import default_folder, output_paths
from segue.types import Frame, Image
from segue.utils.cancel import Cancelled, CancelToken, cancel_on_signals
from segue.utils.files import prepare, write_complete
from segue.utils.inputs import kind_of
from segue.video import Source
from segue.weights import Prepared

EDITIONS = {"ytvis2019": YOUTUBE_VIS_2019, "ytvis2021": YOUTUBE_VIS_2021}
"""Class names that need no file."""


def open_instances(job: InstancesJob, source: Source | None = None, *, strict: bool = False) -> Run:
    """Open the source and load the network of a job; see :func:`segue.jobs.running.open_job`."""
    source = source or open_video(job.source)
    model = job.model.choice
    names = as_class_names(unwrap(job.names))
    if isinstance(model, str) and "+" in model:
        if names is not None:
            raise PromptError(f"{model} knows the names of its classes; leave the names out")
        run = _open_detector(job, source, *model.split("+", 1))
    else:
        made = instance_network(model, job.model.weights, device=job.device, fast=job.fast)
        run = _open_network(job, source, made, names)
    if job.explain is not None and not isinstance(run.session, InstanceSession):
        raise SegueError(f"--explain shows where a network's queries look; {job.model.name} has none")
    return run


def _open_detector(job: InstancesJob, source: Source, finding: str, following: str) -> Run:
    """A detector by name and the network that tracks its objects."""
    options = job.options
    classed = [entry.name for entry in DETECTORS if "classes" in entry.supported_options]
    if finding not in classed:
        raise PromptError(f"{finding}+{following}: the detector is one of {', '.join(classed)}")
    tracker = TrackSession(following, device=job.device, fast=job.fast)
    find = detector(
        finding,
        weights=job.model.weights,
        classes=job.classes,
        score=options.score,
        max_objects=options.top,
        device=job.device,
        fast=job.fast,
    )
    asked: dict[str, Any] = {"every": options.window, "score": options.score}
    asked = {name: value for name, value in asked.items() if value is not None}
    session = DetectionSession(tracker, find, DetectionOptions(top=options.top, **asked))
    return Run(job, source, session, names=DETECTORS.find(finding).categories or find.names)


def _open_network(
    job: InstancesJob, source: Source, prepared: Prepared[InstanceNetwork], names: Mapping[int, str] | None
) -> Run:
    network = prepared.network
    channels = network.class_names if names is None else names
    names = {channel: name for channel, name in channels.items() if 0 <= channel < network.classes}
    wanted = allowed_classes(job.classes, names) if job.classes else frozenset(names)
    suited = {"score": network.score, "short_side": network.short_side}
    asked = suited | job.options.model_dump(exclude_none=True)
    windows = WindowOptions(classes=wanted or None, **asked)
    session = InstanceSession(prepared, windows, names=names)
    notice = memory_notice(network, windows.window, source.size, windows.short_side)
    return Run(job, source, session, names=names, notice=notice)


WORTH_SAYING = 1.0
"""Gigabytes of memory from which on a clip is announced."""


def memory_notice(
    network: InstanceNetwork, frames: int | None, size: tuple[int, int] | None, short_side: int
) -> str:
    """Say how much memory a large network needs for a clip; empty where it is small or nobody knows."""
    needed = getattr(network, "memory_bytes", None)
    if needed is None or frames is None or size is None:
        return ""
    height, width = (round(side * short_side / min(size)) for side in size)
    gigabytes = needed(frames, (height, width)) / 1e9
    if gigabytes < WORTH_SAYING:
        return ""
    return f"about {gigabytes:.1f} GB of memory for {frames} frames of {width}x{height} at a time"


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


def run_whole(job: InstancesJob, observer: Observer, cancel: CancelToken | None) -> dict[str, Path]:
    """Look at a video as one clip."""
    _check_options(job)
    source = open_video(job.source)
    observer.ready(source, ())
    path = output_paths(job.outputs.folder or default_folder(source.name), ["ytvis"])["ytvis"]
    if path.exists() and not job.outputs.overwrite:
        raise SinkError(f"{path}: exists already; give --overwrite, or another output")
    prepared = instance_network(job.model.name, job.model.weights, device=job.device, fast=job.fast)
    network = prepared.network
    side = job.options.short_side or network.short_side
    seen: list[Frame] = []
    damage: list[SourceDamageError] = []
    with source, cancel_on_signals(cancel) as token:
        first, frames = first_frame(source.name, source)
        if text := memory_notice(network, source.frame_count, first.size, side):
            observer.notice(text)
        observer.begin("frames", source.frame_count)

        def images() -> Iterator[Image]:
            try:
                for frame in frames:
                    if token.cancelled:
                        raise Cancelled("interrupted; a video that is one clip begins anew")
                    seen.append(replace(frame, image=resized(frame.image, side)))
                    observer.count(len(seen))
                    yield seen[-1].image
            except SourceDamageError as error:
                damage.append(error)  # the clip ends here

        records = whole_clip(
            prepared,
            images(),
            source.original_size or first.size,
            short_side=side,
        )
    prepare(path)
    write_complete(path, json.dumps(records).encode())
    write_record(job, job.outputs.folder or path.parent, {"ytvis": path})
    for frame, result in zip(seen, sure_results(records, seen, network.score), strict=True):
        observer.frame(frame, result, "")
    observer.written("ytvis", path)
    if damage:
        raise damage[0]
    return {"ytvis": path}


def _check_options(job: InstancesJob) -> None:
    """Refuse options that mean nothing where the video is looked at as a whole."""
    outputs = job.outputs
    by_ending = outputs.formats == Outputs(folder=outputs.folder).formats  # nobody has asked for it
    meant = {
        *job.model_dump(include={"classes", "names", "explain"}, exclude_defaults=True),
        *job.options.model_dump(exclude={"short_side"}, exclude_defaults=True),
        *outputs.model_dump(
            exclude={"folder", "overwrite", *(("formats",) if by_ending else ())}, exclude_defaults=True
        ),
    }
    for name in meant:
        flag = "format" if name == "formats" else name.replace("_", "-")
        raise SegueError(f"--{flag} means nothing with --whole; leave it out")
