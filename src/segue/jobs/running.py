"""Carry out a job: the one way from a job to its results, for every interface of segue."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import cast

from segue.cancel import CancelToken, interrupt_on_signals
from segue.errors import SinkError, SourceError
from segue.jobs.describing import FramesDigest
from segue.jobs.files import write_record
from segue.jobs.identity import identified, result_settings
from segue.jobs.loop import FrameRun, first_pass, forget_state
from segue.jobs.observer import Observer
from segue.jobs.opened import Explains, Inputs, OpenJob, check_inputs, first_frame
from segue.jobs.processes import export, train
from segue.jobs.values import (
    AnnotateJob,
    DetectJob,
    ExportJob,
    ForegroundJob,
    InstancesJob,
    Job,
    TrackJob,
    TrainJob,
    VideoJob,
)
from segue.sessions.passes import Passes
from segue.types import Frame, Segmentation
from segue.video import Sink, Source, open_sinks
from segue.video.images import write_picture
from segue.video.rotation import RotatingSink, part_name, part_path
from segue.video.sinks import BackgroundSink
from segue.video.span import parse_duration


class RunInterrupted(KeyboardInterrupt):
    """A job was interrupted, and everything before is saved; the message says how to go on."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """Result of a job.

    Attributes:
        paths: what it has written, by format or kind.
        frames: number of results; 0 for jobs without frames.
        seconds: time from the first frame to the last.
    """

    paths: dict[str, Path] = field(default_factory=dict)
    frames: int = 0
    seconds: float = 0.0


def run(
    job: Job | VideoJob, observer: Observer | None = None, cancel: CancelToken | None = None
) -> RunResult:
    """Carry out a job.

    Results appear under their names when they are complete; a run that is interrupted can be resumed by
    the same job with ``outputs.resume``. The job itself, with the identity of its source and the digests of
    its weights, is written beside its results as ``job.json``.

    Args:
        job: what is done.
        observer: receives the progress.
        cancel: asks the job to stop after the frame in work, as Ctrl-C does.

    Returns:
        Written files.

    Raises:
        RunInterrupted: it was interrupted, and everything before is saved.
        SegueError: it cannot be done; what is complete stays.

    Example:
        >>> source, model = VideoSource(place="dog.mp4"), Model(name="stcn-lite")
        >>> job = TrackJob(source=source, model=model, prompts=(BoxPrompt(1, (120, 80, 310, 260)),))
        >>> run(job).paths["png"]
        PosixPath('segue-out/dog/masks')
    """
    observer = observer or Observer()
    if isinstance(job, TrainJob):
        return RunResult({"weights": train(job, observer, cancel)})
    if isinstance(job, ExportJob):
        return RunResult({path.name: path for path in export(job)})
    if isinstance(job, AnnotateJob):
        resolve_name("segue_web.running:run_job")(job, observer)  # until the page is closed
        return RunResult()
    if isinstance(job, DetectJob):
        from segue.jobs.detecting import detect  # a job needs the detectors of its own kind alone

        return detect(job, observer)
    if isinstance(job, InstancesJob) and job.whole:
        from segue.jobs.instances import run_whole  # a job needs the sessions of its own kind alone

        return run_whole(identified(job), observer, cancel)
    return run_open(open_job(job), observer, cancel)


def open_job(job: VideoJob, inputs: Inputs | None = None) -> OpenJob:
    """Open the source of a job, load its network and read its prompts."""
    check_inputs(job, inputs or {})
    opened: OpenJob = resolve_name(_OPENED[type(job)])(job, inputs or {})
    return opened


_OPENED: dict[type[VideoJob], str] = {
    TrackJob: "segue.jobs.tracking:open_track",
    ForegroundJob: "segue.jobs.foreground:OpenForeground",
    InstancesJob: "segue.jobs.instances:OpenInstances",
}
"""What opens a job, by its class; a job needs the sessions of its own kind alone."""


def run_open(
    opened: OpenJob, observer: Observer | None = None, cancel: CancelToken | None = None
) -> RunResult:
    """Take the frames of a job through its session into its outputs, and close the source."""
    observer = observer or Observer()
    if opened.notice:
        observer.notice(opened.notice)
    with opened.source:
        opened.job = identified(opened.job, opened.inputs.get("model"))
        return _run_video(opened, observer, cancel or CancelToken())


def _run_video(opened: OpenJob, observer: Observer, cancel: CancelToken) -> RunResult:
    job, source = opened.job, opened.source
    outputs = job.outputs
    part = None if outputs.rotate is None else parse_duration(outputs.rotate, "--rotate")
    passes = opened.frames if isinstance(opened.frames, Passes) else None
    if passes is None:
        first, frames = first_frame(source.name, opened.frames)
        opened.plan(first)
    else:
        frames = passes.second()
    if part is not None and not source.endless:
        raise SourceError(f"{source.name}: has an end; --rotate is for cameras and live streams")
    if outputs.resume and source.endless:
        raise SourceError(f"{source.name}: what a live source gave is gone; leave out --resume")
    resumable = not (source.endless or opened.in_memory)
    if outputs.resume and not resumable:
        raise SinkError(f"{source.name}: a run over images in memory cannot be resumed; leave out resume")
    explain = job.explain if isinstance(job, (ForegroundJob, InstancesJob)) else None
    explaining = cast(Explains, opened.session)
    if explain is not None:
        explaining.explain()
    written: dict[str, Path] = {}
    sink = _open_sink(opened, part, written, observer)
    masks = written.get("png")
    states = masks if resumable and getattr(opened.session, "restorable", True) else None
    taken = FramesDigest()
    frames = opened.own_pictures(frames)
    begun = time.perf_counter()
    lost: SourceError | None = None
    cancel.on_cancel(source.stop)
    observer.ready(source, opened.zones)

    def report(frame: Frame, result: Segmentation) -> None:
        if opened.in_memory:
            taken.add(frame)
        # A run that is resumed goes through its first results again, without a strip.
        if explain is not None:
            for kind, picture in explaining.explanations.items():
                write_picture(explain / f"{result.index:06d}{kind}.png", picture)
        observer.frame(frame, result, opened.note(result))

    loop = FrameRun(opened, sink, states, report)
    try:
        with interrupt_on_signals(), sink:
            if passes is not None:
                observer.begin(passes.title, passes.total or opened.total)
                sink.flush()  # the folder says from now on which run it belongs to
                first_pass(passes, folder=states, resume=outputs.resume, report=observer.count, cancel=cancel)
                begun = time.perf_counter()
            observer.begin("frames", opened.total)
            try:
                loop.run(frames, cancel)
            except SourceError as error:
                if not source.endless:
                    raise
                lost = error  # what was recorded until then is completed
        if part is None:
            given = (taken.complete(item) if item.argument == "source" else item for item in job.given)
            complete = job.model_copy(update={"given": tuple(given)})
            write_record(complete, outputs.folder or default_folder(source), written)
        if states:
            forget_state(states)
    except KeyboardInterrupt:
        for name, path in written.items():
            if path.is_file():  # what shows the frames so far is complete; masks are continued
                observer.written(name, path)
        raise RunInterrupted(_hint(source, masks, states is not None)) from None
    seconds = time.perf_counter() - begun
    observer.end(loop.done, seconds)
    for name, path in written.items():
        observer.written(name, path)
    if lost is not None:
        raise lost
    for name, path in opened.finish().items():
        observer.written(name, path)
        written[name] = path
    if text := opened.summary():
        observer.notice(text)
    return RunResult(written, loop.done, seconds)


def _open_sink(opened: OpenJob, part: float | None, written: dict[str, Path], observer: Observer) -> Sink:
    """Open everything that a job writes; the places go into ``written``."""
    job, source = opened.job, opened.source
    outputs = job.outputs
    events = snapshots = notify = None
    if isinstance(job, ForegroundJob):
        events, snapshots, notify = job.events, job.snapshots, job.notify

    def encoding(done: int, total: int) -> None:
        if not done:
            observer.begin("clips", total)
        observer.count(done)

    def open_part(begin: float, name: str | None = None) -> Sink:
        folder = outputs.folder or default_folder(source)
        places = {} if events is None else {"events": events}
        pictures = snapshots
        if name is not None:
            folder = part_path(folder, name)
            places = {kind: part_path(path, name) for kind, path in places.items()}
            pictures = None if pictures is None else pictures / name
        sinks = open_sinks(
            folder,
            outputs.formats,
            source,
            overwrite=outputs.overwrite,
            resume=outputs.resume,
            settings=result_settings(job, whole=isinstance(opened.frames, Passes)),
            side_by_side=outputs.side_by_side,
            background=name is None,
            places=places,
            categories={label: number for number, label in opened.names.items()},
            begin=begin,
            zones=opened.zones,
            notify=notify,
            on_clip=encoding if name is None else None,
            on_event=observer.event,
            name_object=opened.name_object,
            snapshots=pictures,
        )
        written.update(sinks.paths)
        if name is not None:
            write_record(job, folder, sinks.paths)
        return sinks.sink

    if part is None:
        return open_part(0.0)
    return BackgroundSink(RotatingSink(lambda begin: open_part(begin, part_name()), part))


def default_folder(source: Source) -> Path:
    """Default output path of a source."""
    return Path("segue-out") / source.name


def _hint(source: Source, masks: Path | None, saves: bool) -> str:
    if source.endless:
        return "interrupted again; what was not complete is gone"
    if source.request.place is None:
        return "interrupted; frames in memory cannot be resumed"
    if masks is None:
        return "interrupted; without the format png there is nothing to resume from"
    return f"interrupted; give the same command with --resume to go {'on' if saves else 'through it again'}"
