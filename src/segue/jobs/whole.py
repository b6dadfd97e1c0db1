"""The published inference over a video as one clip, into a result file of YouTube-VIS."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

from segue.cancel import CancelToken, cancel_on_signals
from segue.errors import SegueError, SinkError
from segue.jobs.files import write_record
from segue.jobs.observer import Observer
from segue.jobs.opened import first_frame, open_video
from segue.jobs.options import InstanceOptions
from segue.jobs.parts import DEFAULT_FORMATS
from segue.jobs.running import RunResult
from segue.jobs.values import InstancesJob
from segue.sessions.networks import instance_network
from segue.sessions.official import sure_results, whole_clip
from segue.types import Frame, Image
from segue.video.outputs import output_paths
from segue.video.partial import prepare, write_complete


def run_whole(job: InstancesJob, observer: Observer, cancel: CancelToken | None) -> RunResult:
    """Look at a video as one clip."""
    _check_options(job)
    source = open_video(job.source)
    observer.ready(source, ())
    path = output_paths(job.outputs.folder or Path("segue-out") / source.name, ["ytvis"])["ytvis"]
    if path.exists() and not job.outputs.overwrite:
        raise SinkError(f"{path}: exists already; give --overwrite, or another output")
    network = instance_network(job.model.name, job.model.weights)
    seen: list[Frame] = []
    begun, total = time.perf_counter(), 0
    with source, cancel_on_signals(cancel) as token:
        first, frames = first_frame(source.name, source)
        observer.begin("frames", source.frame_count)

        def pictures() -> Iterator[Image]:
            nonlocal total
            for total, frame in enumerate(frames, start=1):
                if token.cancelled:
                    raise KeyboardInterrupt("interrupted; a video that is one clip begins anew")
                if observer.sees_results:
                    seen.append(frame)
                observer.count(total)
                yield frame.image

        records = whole_clip(
            network,
            pictures(),
            source.original_size or first.size,
            short_side=job.options.short_side or network.short_side,
            device=job.device,
            fast=job.fast,
        )
    prepare(path)
    write_complete(path, json.dumps(records).encode())
    write_record(job, job.outputs.folder or path.parent, {"ytvis": path})
    for frame, result in zip(seen, sure_results(records, seen, network.score) if seen else (), strict=True):
        observer.frame(frame, result, "")
    observer.written("ytvis", path)
    return RunResult({"ytvis": path}, total, time.perf_counter() - begun)


def _check_options(job: InstancesJob) -> None:
    """Refuse options that mean nothing where the video is looked at as a whole."""
    plain = InstanceOptions()
    given = {
        **{name: getattr(job.options, name) for name in ("window", "score", "overlap", "top")},
        "classes": job.classes,
        "names": job.names,
        "format": None if job.outputs.formats == DEFAULT_FORMATS else job.outputs.formats,
        "explain": job.explain,
        "side_by_side": job.outputs.side_by_side or None,
        "resume": job.outputs.resume or None,
    }
    for name, value in given.items():
        if value != getattr(plain, name, None):
            raise SegueError(f"--{name.replace('_', '-')} means nothing with --whole; leave it out")
