"""Carry out a job: the one way from a job to its results, for every interface of segue."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from segue.cancel import CancelToken, interrupt_on_signals
from segue.errors import SinkError, SourceError
from segue.jobs.describing import FramesDigest
from segue.jobs.files import write_record
from segue.jobs.identity import identified, result_settings
from segue.jobs.observer import Observer
from segue.jobs.prepared import Explains, Objects, Prepared, first_frame, own_pictures
from segue.jobs.processes import annotate, export, train
from segue.jobs.resumable import first_pass, forget_state
from segue.jobs.resumable import run as run_frames
from segue.jobs.values import (
    AnnotateJob,
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
class Outcome:
    """What a job has done.

    Attributes:
        paths: what it has written, by format or kind.
        frames: number of results; 0 for jobs without frames.
        seconds: time from the first frame to the last.
    """

    paths: dict[str, Path] = field(default_factory=dict)
    frames: int = 0
    seconds: float = 0.0


def run(job: Job | VideoJob, observer: Observer | None = None, cancel: CancelToken | None = None) -> Outcome:
    """Carry out a job.

    Results appear under their names when they are complete; a run that is interrupted can be resumed by
    the same job with ``outputs.resume``. The job itself, with the identity of its source and the digests of
    its weights, is written beside its results as ``job.json``.

    Args:
        job: what is done.
        observer: receives the progress.
        cancel: asks the job to stop after the frame in work, as Ctrl-C does.

    Returns:
        What was written.

    Raises:
        RunInterrupted: it was interrupted, and everything before is saved.
        SegueError: it cannot be done; what is complete stays.

    Example:
        >>> source, model = VideoSource(place="dog.mp4"), Model(name="stcn-lite")
        >>> job = TrackJob(source=source, model=model, prompts=(BoxValue(box=(120, 80, 310, 260)),))
        >>> run(job).paths["png"]
        PosixPath('segue-out/dog/masks')
    """
    observer = observer or Observer()
    if isinstance(job, TrainJob):
        return Outcome({"weights": train(job, observer, cancel)})
    if isinstance(job, ExportJob):
        return Outcome({path.name: path for path in export(job)})
    if isinstance(job, AnnotateJob):
        annotate(job, observer)
        return Outcome()
    Objects().check(job)
    if isinstance(job, InstancesJob) and job.whole:
        from segue.jobs.whole import run_whole

        paths, count, seconds = run_whole(identified(job), observer, cancel)
        return Outcome(paths, count, seconds)
    return run_prepared(job, prepare(job), observer, cancel)


def prepare(job: VideoJob, objects: Objects | None = None) -> Prepared:
    """Open the source of a job, load its network and read its prompts."""
    objects = objects or Objects()
    objects.check(job)
    # Late: a job needs the sessions of its own kind.
    if isinstance(job, TrackJob):
        from segue.jobs.tracking import prepare_track

        return prepare_track(job, objects)
    if isinstance(job, ForegroundJob):
        from segue.jobs.foreground import prepare_foreground

        return prepare_foreground(job, objects)
    assert isinstance(job, InstancesJob)
    from segue.jobs.instances import prepare_instances

    return prepare_instances(job, objects)


def run_prepared(
    job: VideoJob,
    prepared: Prepared,
    observer: Observer | None = None,
    cancel: CancelToken | None = None,
    objects: Objects | None = None,
) -> Outcome:
    """Take the frames of a job through its session into its outputs, and close the source."""
    observer = observer or Observer()
    if prepared.notice:
        observer.notice(prepared.notice)
    with prepared.source:
        return _run_video(identified(job, objects), prepared, observer, cancel or CancelToken())


def _run_video(job: VideoJob, prepared: Prepared, observer: Observer, cancel: CancelToken) -> Outcome:
    outputs, source = job.outputs, prepared.source
    part = None if outputs.rotate is None else parse_duration(outputs.rotate, "--rotate")
    passes = prepared.frames if isinstance(prepared.frames, Passes) else None
    if passes is None:
        first, frames = first_frame(source.name, prepared.frames)
        prepared.begin(first)
    else:
        frames = passes.second()
    if part is not None and not source.endless:
        raise SourceError(f"{source.name}: has an end; --rotate is for cameras and live streams")
    if outputs.resume and source.endless:
        raise SourceError(f"{source.name}: what a live source gave is gone; leave out --resume")
    resumable = not (source.endless or prepared.in_memory)
    if outputs.resume and not resumable:
        raise SinkError(f"{source.name}: a run over pictures in memory cannot be resumed; leave out resume")
    explain, explaining = prepared.extras.explain, cast(Explains, prepared.session)
    if explain is not None:
        explaining.explain()
    written: dict[str, Path] = {}
    sink = _open_sink(job, prepared, part, written, observer)
    masks = written.get("png")
    states = masks if prepared.saves and resumable else None
    taken = FramesDigest()
    if prepared.in_memory:
        frames = own_pictures(frames)
    begun, count = time.perf_counter(), 0
    lost: SourceError | None = None
    cancel.on_cancel(source.stop)
    observer.ready(source, prepared.zones)

    def report(frame: Frame, result: Segmentation) -> None:
        nonlocal count
        count += 1
        if prepared.in_memory:
            taken.add(frame)
        # A run that is resumed goes through its first results again, without a strip.
        if explain is not None:
            for kind, picture in explaining.explanations.items():
                write_picture(explain / f"{result.index:06d}{kind}.png", picture)
        observer.frame(frame, result, prepared.note(result))

    try:
        with interrupt_on_signals(), sink:
            total = prepared.total or source.frame_count
            if passes is not None:
                observer.begin(passes.title, passes.total or total)
                sink.flush()  # the folder says from now on which run it belongs to
                first_pass(passes, folder=states, resume=outputs.resume, report=observer.count, cancel=cancel)
                begun = time.perf_counter()
            observer.begin("frames", total)
            try:
                run_frames(
                    prepared.session,
                    frames,
                    prepared.step,
                    sink,
                    folder=states,
                    resume=outputs.resume,
                    report=report,
                    sparse=prepared.required is not None,
                    cancel=cancel,
                    endless=source.endless,
                )
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
    observer.end(count, seconds)
    for name, path in written.items():
        observer.written(name, path)
    if lost is not None:
        raise lost
    for name, path in prepared.finish().items():
        observer.written(name, path)
        written[name] = path
    if text := prepared.summary():
        observer.notice(text)
    return Outcome(written, count, seconds)


def _open_sink(
    job: VideoJob, prepared: Prepared, part: float | None, written: dict[str, Path], observer: Observer
) -> Sink:
    """Open everything that a job writes; the places go into ``written``."""
    outputs, source, extras = job.outputs, prepared.source, prepared.extras

    def encoding(done: int, total: int) -> None:
        if not done:
            observer.begin("clips", total)
        observer.count(done)

    def open_part(begin: float, name: str | None = None) -> Sink:
        folder = outputs.folder or default_folder(source)
        places = {} if extras.events is None else {"events": extras.events}
        snapshots = extras.snapshots
        if name is not None:
            folder = part_path(folder, name)
            places = {kind: part_path(path, name) for kind, path in places.items()}
            snapshots = None if snapshots is None else snapshots / name
        opened = open_sinks(
            folder,
            outputs.formats,
            source,
            overwrite=outputs.overwrite,
            resume=outputs.resume,
            settings=result_settings(job, whole=isinstance(prepared.frames, Passes)),
            side_by_side=outputs.side_by_side,
            background=name is None,
            places=places,
            categories={label: number for number, label in prepared.names.items()},
            begin=begin,
            zones=prepared.zones,
            notify=extras.notify,
            on_clip=encoding if name is None else None,
            on_event=observer.event,
            name_object=prepared.name_object,
            snapshots=snapshots,
        )
        written.update(opened.paths)
        if name is not None:
            write_record(job, folder, opened.paths)
        return opened.sink

    if part is None:
        return open_part(0.0)
    return BackgroundSink(RotatingSink(lambda begin: open_part(begin, part_name()), part))


def default_folder(source: Source) -> Path:
    """Where the results of a source go if nobody says."""
    return Path("segue-out") / source.name


def _hint(source: Source, masks: Path | None, saves: bool) -> str:
    if source.endless:
        return "interrupted again; what was not complete is gone"
    if source.request.place is None:
        return "interrupted; frames in memory cannot be resumed"
    if masks is None:
        return "interrupted; without the format png there is nothing to resume from"
    return f"interrupted; give the same command with --resume to go {'on' if saves else 'through it again'}"
