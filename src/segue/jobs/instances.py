"""Instance jobs: windows of frames, or whole videos as one clip as published."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segue.errors import ArgumentError, PromptError, SegueError
from segue.jobs.ahead import Plan
from segue.jobs.opened import Run, open_video
from segue.jobs.values import InstancesJob
from segue.models.base import InstanceNetwork
from segue.models.seqformer.network import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from segue.options import unwrap
from segue.registry import DETECTORS, FORMATS
from segue.sessions import TrackSession
from segue.sessions.detected import DetectionOptions, DetectionSession
from segue.sessions.detecting import detector
from segue.sessions.instances import InstanceSession, WindowOptions, allowed_classes
from segue.sessions.networks import instance_network
from segue.sessions.official import WholeVideo, WholeVideoSession
from segue.utils.inputs import kind_of
from segue.video import Source
from segue.weights import Prepared

EDITIONS = {"ytvis2019": YOUTUBE_VIS_2019, "ytvis2021": YOUTUBE_VIS_2021}
"""Class names that need no file."""


def open_instances(job: InstancesJob, source: Source | None = None, plan: Plan | None = None) -> Run:
    """Open the source and load the network of a job; see :func:`segue.jobs.running.open_job`."""
    if job.whole:
        _check_options(job)
    source = source or open_video(job.source)
    model = job.model.choice
    names = as_class_names(unwrap(job.names))
    if isinstance(model, str) and "+" in model:
        if job.whole:
            raise PromptError(f"{model}: a detector looks at single images; leave out --whole")
        if names is not None:
            raise PromptError(f"{model} knows the names of its classes; leave the names out")
        run = _open_detector(job, source, *model.split("+", 1))
    else:
        network = instance_network(model, job.model.weights, device=job.device, fast=job.fast)
        run = (_open_whole_video if job.whole else _open_network)(job, source, network, names)
    if job.explain is not None and not isinstance(run.session, InstanceSession):
        raise SegueError(f"--explain shows where a network's queries look; {job.model.name} has none")
    return run


def _open_detector(job: InstancesJob, source: Source, finding: str, following: str) -> Run:
    """Open a detector by name with the network that tracks its objects."""
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
    changed_options: dict[str, Any] = {"every": options.window, "score": options.score}
    changed_options = {name: value for name, value in changed_options.items() if value is not None}
    session = DetectionSession(tracker, find, DetectionOptions(top=options.top, **changed_options))
    return Run(job, source, session, names=DETECTORS.find(finding).categories or find.names)


def _open_network(
    job: InstancesJob, source: Source, prepared: Prepared[InstanceNetwork], names: Mapping[int, str] | None
) -> Run:
    network, names = prepared.network, _names_of(prepared.network, names)
    allowed = allowed_classes(job.classes, names) if job.classes else frozenset(names)
    suited = {"score": network.score, "short_side": network.short_side}
    options = suited | job.options.model_dump(exclude_none=True)
    windows = WindowOptions(classes=allowed or None, **options)
    session = InstanceSession(prepared, windows, names=names)
    notice = memory_notice(network, windows.window, source.size, windows.short_side)
    return Run(job, source, session, names=names, notice=notice)


def _open_whole_video(
    job: InstancesJob, source: Source, prepared: Prepared[InstanceNetwork], names: Mapping[int, str] | None
) -> Run:
    """Open a network that processes the video as one clip, as published."""
    network, names = prepared.network, _names_of(prepared.network, names)
    side = job.options.short_side or network.short_side

    def shows_images() -> bool:
        formats = run.job.outputs.formats  # None where a program takes the results
        return formats is None or any(FORMATS.find(name).needs_frames for name in formats)

    video = WholeVideo(
        prepared,
        lambda: source,
        lambda: source.original_size,
        short_side=side,
        images=shows_images,
        read_once=source.once,
    )
    run = Run(
        job,
        source,
        WholeVideoSession(video, names, network.score),
        input_frames=video,
        names=names,
        records=lambda: video.records,
        notice=memory_notice(network, source.frame_count, source.size, side),
    )
    return run


def _names_of(network: InstanceNetwork, names: Mapping[int, str] | None) -> dict[int, str]:
    """Class names by channel of a network."""
    channels = network.class_names if names is None else names
    return {channel: name for channel, name in channels.items() if 0 <= channel < network.classes}


WORTH_SAYING = 1.0
"""Minimum gigabytes of a clip that are reported."""


def memory_notice(
    network: InstanceNetwork, frames: int | None, size: tuple[int, int] | None, short_side: int
) -> str:
    """Memory that a large network needs for a clip, as text; empty if small or unknown."""
    needed = getattr(network, "memory_bytes", None)
    if needed is None or frames is None or size is None:
        return ""
    height, width = (round(side * short_side / min(size)) for side in size)
    gigabytes = needed(frames, (height, width)) / 1e9
    if gigabytes < WORTH_SAYING:
        return ""
    return f"about {gigabytes:.1f} GB of memory for {frames} frames of {width}x{height} at a time"


def as_class_names(names: Mapping[int, str] | str | Path | None) -> Mapping[int, str] | None:
    """Class names by channel from a mapping, an edition of YouTube-VIS, or an annotation file."""
    if names is None or isinstance(names, Mapping):
        return names
    if isinstance(names, (str, os.PathLike)):
        from segue.datasets.ytvis import read_class_names  # few jobs read an annotation file

        return EDITIONS.get(str(names)) or read_class_names(Path(names))
    raise ArgumentError(
        f"names: {kind_of(names)}; give names by number, {' or '.join(EDITIONS)}, or an annotation file"
    )


def _check_options(job: InstancesJob) -> None:
    """Raise an error for options without effect on whole videos."""
    expected = {
        *job.model_dump(include={"classes", "explain"}, exclude_defaults=True),
        *job.options.model_dump(exclude={"short_side"}, exclude_defaults=True),
    }
    for name in expected:
        raise SegueError(f"--{name.replace('_', '-')} has no effect with --whole; leave it out")
