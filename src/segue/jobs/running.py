"""Run jobs: the only way from a job to its results, for every interface."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import cast

import torch

from segue.errors import ArgumentError, SegueError, UndeliveredError, memory_errors
from segue.inference.cpu.features import instruction_set
from segue.inference.cpu.forms import Forms, recorded
from segue.jobs.ahead import Plan
from segue.jobs.frame_loop import FrameRun, first_pass, forget_state, forms_of_run
from segue.jobs.observer import Observer
from segue.jobs.opened import Frames, Run, open_video
from segue.jobs.places import OutputPlaces, with_defaults
from segue.jobs.record import identified, runtime_objects
from segue.jobs.values import ForegroundJob, InstancesJob, TrackJob, VideoJob
from segue.jobs.writing import JobOutputs
from segue.sessions.session import ExplainedSession, Passes
from segue.sinks import Sink, output_paths
from segue.types import Frame, Segmentation
from segue.utils.allocation import reserve_products
from segue.utils.cancel import Cancelled, CancelToken, interrupt_on_signals
from segue.video import Source
from segue.video.sources.images import write_image


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C or a signal stopped a job; earlier results are saved, and the message tells how to resume."""


class RunCancelledError(SegueError):
    """The program cancelled a job; earlier results are saved, and the message tells how to resume."""


def run(
    job: VideoJob,
    observer: Observer | None = None,
    cancel: CancelToken | None = None,
    source: Source | None = None,
    *,
    plan: Plan | None = None,
) -> dict[str, Path]:
    """Run a job.

    Results appear under their names when they are complete. To resume an interrupted run, run the same job
    with ``outputs.resume``. The job, with the identity of its source and the digests of its weights, is
    written next to its results as ``job.json``.

    Args:
        job: the job to run.
        observer: receives the progress.
        cancel: stops the job after the current frame, from any thread.
        source: the source of the job if it is already open; it is closed at the end.
        plan: the plan of the job if it is already checked.

    Returns:
        The file or folder of each written format or kind.

    Raises:
        RunCancelledError: ``cancel`` stopped the job; earlier results are saved.
        RunInterrupted: Ctrl-C or a signal stopped the job; earlier results are saved.
        SegueError: the job failed; complete files are kept.

    Example:
        >>> source, model = VideoSource(place="dog.mp4"), Model(name="stcn-lite")
        >>> job = TrackJob(source=source, model=model, prompts=(BoxPrompt(1, (120, 80, 310, 260)),))
        >>> run(job)["png"]
        PosixPath('segue-out/dog/masks')
    """
    plan = plan or Plan.of(job, source)
    return run_open(open_job(job, plan.source, plan=plan), observer, cancel)


def open_job(job: VideoJob, source: Source | None = None, *, plan: Plan | None = None) -> Run:
    """Open a job: source, network and prompts.

    Args:
        job: the job.
        source: the source of the job, where it is open already.
        plan: the checked job of a run where nobody looks at each result: then a job that does not do what
            it says is an error, as where no object is found, or a required frame is not in the source. None
            is a job of a program.
    """
    reserve_products()
    for argument, item in runtime_objects(job):
        if item.value is None and (argument != "source" or source is None):
            raise ArgumentError(
                f"{argument}: this job was run with an object of a program ({item.type}), which JSON "
                f"does not hold; call segue.{job.kind} with it"
            )
    forms = None
    if job.outputs.resume:
        source = source or open_video(job.source)
        with memory_errors("close other programs and run it again"):
            forms = forms_to_resume(job, source)
    with recorded(forms):
        opened: Run = resolve_name(_OPENERS[type(job)])(job, source, plan)
    return opened


def forms_to_resume(job: VideoJob, source: Source) -> Forms | None:
    """Layer forms of the run to resume; None on another kind of processor.

    Args:
        job: with the place of its outputs.
        source: its source.
    """
    formats = with_defaults(job, endless=source.endless).outputs.formats or ()
    masks = output_paths(OutputPlaces.of(job, source.name).folder, formats).get("png")
    forms = None if masks is None else forms_of_run(masks)
    return None if forms is None or forms.instruction_set != instruction_set() else forms


_OPENERS: dict[type[VideoJob], str] = {
    TrackJob: "segue.jobs.tracking:open_track",
    ForegroundJob: "segue.jobs.foreground:open_foreground",
    InstancesJob: "segue.jobs.instances:open_instances",
}
"""Function that opens a job, by class; imported late, since a job needs the sessions of its own kind only."""


def run_open(
    opened: Run, observer: Observer | None = None, cancel: CancelToken | None = None
) -> dict[str, Path]:
    """Run an open job and close its source."""
    observer = observer or Observer()
    if opened.notice:
        observer.notice(opened.notice)
    if opened.job.fast and opened.session.precision in (None, torch.float32):
        reason = "is not faster here with less than float32" if opened.session.precision else "has no network"
        observer.notice(f"--fast does not change {opened.job.model.name}: it {reason}")
    cancel = cancel or CancelToken()
    opened.frames.token = cancel
    try:
        with (
            memory_errors(_memory_advice(opened)),
            opened.source,
            opened.source.until(cancel),
            recorded(opened.forms),  # also for what is loaded late, such as a prompter
        ):
            if cancel.cancelled:
                raise Cancelled
            opened.job = identified(opened.job).model_copy(update={"forms": opened.forms.digest})
            return _run_video(opened, observer, cancel)
    except Cancelled:
        raise _ended(cancel, "interrupted before the first frame; nothing is written") from None


def _ended(cancel: CancelToken, text: str) -> RunCancelledError | RunInterrupted:
    """Error of a stopped run: cancelled by the program, or interrupted."""
    return RunCancelledError(text) if cancel.by_program else RunInterrupted(text)


def _run_video(opened: Run, observer: Observer, cancel: CancelToken) -> dict[str, Path]:
    """Run a job: first pass if needed, all frames, messages."""
    outputs = JobOutputs(opened, observer)
    with _delivering(opened, observer, outputs):
        outputs.begin()
        passes = _begin(opened, cancel)
        # An address tells with its first frame whether it has an end.
        opened.job = with_defaults(opened.job, endless=opened.source.endless)
        report = _reporter(opened, observer)
        outputs.open()
    saves = getattr(opened.session, "restorable", True) and not (opened.source.endless or opened.in_memory)
    states = outputs.paths.get("png") if saves else None
    start = time.perf_counter()
    with _interruptible(opened, observer, outputs, cancel, saves=states is not None):
        with interrupt_on_signals(), outputs.sink as sink:
            observer.ready(opened.source, opened.events.zones)
            loop = FrameRun(opened, sink, states, report, outputs.add_events)
            if passes is not None:
                loop.restored = _first_pass(opened, passes, observer, sink, states, cancel)
                start = time.perf_counter()
            observer.begin("frames", opened.total)
            loop.run(cancel)
        outputs.record()
        if states:
            forget_state(states)
        seconds = time.perf_counter() - start
        undelivered = outputs.deliver()
    observer.computed(loop.steps, loop.step_seconds)
    observer.end(loop.done, seconds)
    return _finish(opened, observer, outputs, loop, undelivered)


@contextmanager
def _delivering(opened: Run, observer: Observer, outputs: JobOutputs) -> Iterator[None]:
    """Send waiting messages if a live run ends before its first frame; stop its outputs."""
    try:
        yield
    except BaseException as error:
        opened.source.on_change(observer.connection)
        if opened.source.endless and isinstance(error, (SegueError, Cancelled)):
            outputs.deliver()
        outputs.stop()
        raise


def _begin(opened: Run, cancel: CancelToken) -> Passes | None:
    """Open the frames of a job; return the first of two passes, if any."""
    if not isinstance(opened.input_frames, Passes):
        opened.begin()
        return None
    opened.frames = Frames(opened.input_frames.second(), opened.source, cancel)
    return opened.input_frames


def _reporter(opened: Run, observer: Observer) -> Callable[[Frame, Segmentation], None]:
    """Make a function that reports a result and writes its explanation, if requested."""
    job, session = opened.job, opened.session
    explain = job.explain if isinstance(job, (ForegroundJob, InstancesJob)) else None
    if explain is not None:
        cast(ExplainedSession, session).explain()

    def report(frame: Frame, result: Segmentation) -> None:
        # A run that is resumed goes through its first results again, without a strip.
        if explain is not None and (strip := cast(ExplainedSession, session).explanation) is not None:
            write_image(explain / f"{result.index:06d}.png", strip)
        opened.check_arrival(result)
        observer.frame(frame, result, opened.note(result))

    return report


@contextmanager
def _interruptible(
    opened: Run, observer: Observer, outputs: JobOutputs, cancel: CancelToken, *, saves: bool
) -> Iterator[None]:
    """On interruption, report complete files and how to resume; stop the outputs."""
    try:
        yield
    except KeyboardInterrupt:
        for name, path in outputs.paths.items():
            if path.is_file():  # what shows the frames so far is complete; masks are continued
                observer.written(name, path)
        raise _ended(cancel, _hint(opened, outputs.paths.get("png"), saves)) from None
    except Exception:
        if opened.source.endless:  # as on a full disk; messages do not need it
            outputs.deliver()
        raise
    finally:
        opened.source.on_change(observer.connection)  # and the source what the run has opened
        outputs.stop()


def _first_pass(
    opened: Run,
    passes: Passes,
    observer: Observer,
    sink: Sink,
    states: Path | None,
    cancel: CancelToken,
) -> Path | None:
    """Run the first pass; return the state file it resumed from."""

    def counted(done: int) -> None:
        if passes.latest is not None:
            observer.looked_at(passes.latest)
        observer.count(done)

    observer.begin(passes.title, passes.total or opened.total)
    sink.flush()  # the folder says from now on which run it belongs to
    resume, forms = opened.job.outputs.resume, opened.forms
    restored = first_pass(passes, folder=states, resume=resume, report=counted, forms=forms, cancel=cancel)
    if passes.summary:
        observer.notice(passes.summary)
    return restored


def _finish(
    opened: Run, observer: Observer, outputs: JobOutputs, loop: FrameRun, undelivered: str | None
) -> dict[str, Path]:
    """Report written files; raise the error of a broken live source."""
    paths = outputs.paths
    for name, path in paths.items():
        observer.written(name, path)
    if loop.read_error is not None:
        if undelivered:
            observer.notice(undelivered)
        try:
            raise loop.read_error
        finally:
            loop.read_error = None  # else it would keep itself, and with its traceback the session
    for name, path in opened.finish().items():
        observer.written(name, path)
        paths[name] = path
    for text in filter(None, (outputs.counts, *opened.summary().splitlines())):
        observer.notice(text)
    if undelivered:
        raise UndeliveredError(undelivered)
    return paths


def _hint(opened: Run, masks: Path | None, saves: bool) -> str:
    if opened.source.endless:
        return "interrupted again; what was not complete is gone"
    if opened.in_memory:
        return "interrupted; frames in memory cannot be resumed"
    if masks is None:
        return "interrupted; without the format png there is nothing to resume from"
    return f"interrupted; give the same command with --resume to go {'on' if saves else 'through it again'}"


def _memory_advice(opened: Run) -> str:
    """Advice for a job that runs out of memory."""
    if isinstance(opened.job, InstancesJob) and opened.job.whole:
        return "leave out --whole, which looks at all frames at once, or give a --short-side"
    smaller = "a smaller --short-side or fewer --workers"
    formats = with_defaults(opened.job, endless=opened.source.endless).outputs.formats or ()
    if opened.source.endless or opened.in_memory or "png" not in formats:
        return f"give {smaller}"
    return f"the work so far is saved: go on with --resume, or start anew with {smaller}"
