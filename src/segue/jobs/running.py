"""Carry out a job: the one way from a job to its results, and the one frame loop, for every interface."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import TypeVar, cast

import numpy as np
from torch import nn

from segue.cancel import Cancelled, CancelToken, cancel_on_signals, interrupt_on_signals
from segue.errors import (
    ArgumentError,
    PromptError,
    ResumeError,
    SinkError,
    SourceError,
    UndeliveredError,
    memory_errors,
)
from segue.jobs.observer import Observer
from segue.jobs.opened import Inputs, OpenJob, first_frame
from segue.jobs.places import OutputPlaces, with_defaults
from segue.jobs.record import identified, result_settings, write_record
from segue.jobs.values import ForegroundJob, InstancesJob, TrackJob, VideoJob
from segue.masks.values import MAX_ID
from segue.sessions.base import DamagedStateError, SessionState, blaming_state
from segue.sessions.passes import Passes
from segue.sessions.session import ExplainedSession, Session
from segue.types import Frame, ObjectInfo, Segmentation
from segue.video import Sink, Source, open_sinks, replayed
from segue.video.event_table import Event
from segue.video.home_assistant import HomeAssistant
from segue.video.images import write_image
from segue.video.notify import FILE_SECONDS, LAST_SECONDS, Notifier
from segue.video.readers import ConnectionChange
from segue.video.rotation import RotatingSink, part_name
from segue.video.sinks import BackgroundSink
from segue.video.span import parse_duration
from segue.video.zone_counts import ZoneCounts
from segue.weights.identity import network_digest

STATE = ".segue.session.safetensors"  # file in the mask folder from which an interrupted run goes on
FIRST_PASS = ".segue.first-pass.safetensors"  # the same for the first of two passes

Item = TypeVar("Item")

SAVE_EVERY_SECONDS = 20.0
SAVE_SHARE = 0.05  # share of the time that saving may take: a large state is saved less often


class RunInterrupted(KeyboardInterrupt):
    """A job was interrupted, and everything before is saved; the message says how to go on."""


def run(
    job: VideoJob,
    observer: Observer | None = None,
    cancel: CancelToken | None = None,
    source: Source | None = None,
) -> dict[str, Path]:
    """Carry out a job.

    Results appear under their names when they are complete; a run that is interrupted can be resumed by
    the same job with ``outputs.resume``. The job itself, with the identity of its source and the digests of
    its weights, is written beside its results as ``job.json``.

    Args:
        job: what is done.
        observer: receives the progress.
        cancel: asks the job to stop after the frame in work, as Ctrl-C does.
        source: the source of the job, where it is open already; it is closed at the end.

    Returns:
        The file or folder of each format or kind that it has written.

    Raises:
        RunInterrupted: it was interrupted, and everything before is saved.
        SegueError: it cannot be done; what is complete stays.

    Example:
        >>> source, model = VideoSource(place="dog.mp4"), Model(name="stcn-lite")
        >>> job = TrackJob(source=source, model=model, prompts=(BoxPrompt(1, (120, 80, 310, 260)),))
        >>> run(job)["png"]
        PosixPath('segue-out/dog/masks')
    """
    observer = observer or Observer()
    if isinstance(job, InstancesJob) and job.whole:
        from segue.jobs.instances import run_whole  # a job needs the sessions of its own kind alone

        with memory_errors("leave out --whole, which looks at all frames at once, or give a --short-side"):
            return run_whole(identified(job), observer, cancel)
    return run_open(open_job(job, source=source), observer, cancel)


def open_job(job: VideoJob, inputs: Inputs | None = None, source: Source | None = None) -> OpenJob:
    """Open the source of a job unless it is open, load its network and read its prompts."""
    inputs = inputs or {}
    for item in job.given:
        if inputs.get(item.argument) is None:
            raise ArgumentError(
                f"{item.argument}: this job was run with an object of a program ({item.type}), which JSON "
                f"does not hold; call segue.{job.kind} with it"
            )
    opened: OpenJob = resolve_name(_OPENED[type(job)])(job, inputs, source)
    return opened


_OPENED: dict[type[VideoJob], str] = {
    TrackJob: "segue.jobs.tracking:open_track",
    ForegroundJob: "segue.jobs.foreground:OpenForeground",
    InstancesJob: "segue.jobs.instances:OpenInstances",
}
"""What opens a job, by its class; a job needs the sessions of its own kind alone."""


def run_open(
    opened: OpenJob, observer: Observer | None = None, cancel: CancelToken | None = None
) -> dict[str, Path]:
    """Take the frames of a job through its session into its outputs, and close the source."""
    observer = observer or Observer()
    if opened.notice:
        observer.notice(opened.notice)
    opened.job = with_defaults(opened.job, endless=opened.source.endless)
    with memory_errors(_memory_advice(opened)), opened.source:
        network = opened.inputs.get("model")
        digest = network_digest(network) if isinstance(network, nn.Module) else None
        opened.job = identified(opened.job, digest)
        return _run_video(opened, observer, cancel or CancelToken())


def _run_video(opened: OpenJob, observer: Observer, cancel: CancelToken) -> dict[str, Path]:
    source = opened.source
    passes = opened.frames if isinstance(opened.frames, Passes) else None
    if passes is None:
        first, frames = first_frame(source.name, opened.frames)
        opened.plan(first)
    else:
        frames = passes.second()
    job, outputs = opened.job, opened.job.outputs
    _check_outputs(opened)
    explain = job.explain if isinstance(job, (ForegroundJob, InstancesJob)) else None
    explained = cast(ExplainedSession, opened.session)
    if explain is not None:
        explained.explain()
    written: dict[str, Path] = {}
    counts, notifier = ZoneCounts(opened.zones), _open_notifier(opened)
    try:
        sink = _open_sink(opened, written, observer, counts, notifier)
    except BaseException:
        if notifier is not None:
            notifier.stop()
        raise
    masks = written.get("png")
    saves = getattr(opened.session, "restorable", True) and not (source.endless or opened.in_memory)
    states = masks if saves else None
    begun = time.perf_counter()
    observer.ready(source, opened.zones)
    if notifier is not None:
        observer.messages(notifier)

    def report(frame: Frame, result: Segmentation) -> None:
        # A run that is resumed goes through its first results again, without a strip.
        if explain is not None and (strip := explained.explanation) is not None:
            write_image(explain / f"{result.index:06d}.png", strip)
        observer.frame(frame, result, opened.note(result))

    def changed(change: ConnectionChange) -> None:
        observer.connection(change)
        sink.connection(change)
        if notifier is not None:
            notifier.announce(change.online)

    source.on_change(changed)
    loop = FrameRun(opened, sink, states, report)
    try:
        cancel.on_cancel(source.stop)
        with interrupt_on_signals(), sink:
            if passes is not None:
                observer.begin(passes.title, passes.total or opened.total)
                sink.flush()  # the folder says from now on which run it belongs to
                loop.restored = first_pass(
                    passes, folder=states, resume=outputs.resume, report=observer.count, cancel=cancel
                )
                begun = time.perf_counter()
            observer.begin("frames", opened.total)
            loop.run(opened.own_images(frames), cancel)
        if outputs.rotate is None and not outputs.append:
            write_record(job, OutputPlaces.of(job, source).record(job, written), written)
        if states:
            forget_state(states)
        seconds = time.perf_counter() - begun
        undelivered = "" if notifier is None else _delivered(notifier, source.endless, observer)
    except KeyboardInterrupt:
        for name, path in written.items():
            if path.is_file():  # what shows the frames so far is complete; masks are continued
                observer.written(name, path)
        raise RunInterrupted(_hint(opened, masks, states is not None)) from None
    finally:
        cancel.forget(source.stop)  # a token may outlive the source
        if notifier is not None:
            notifier.stop()
    observer.end(loop.done, seconds)
    for name, path in written.items():
        observer.written(name, path)
    if loop.lost is not None:
        if undelivered:
            observer.notice(undelivered)
        raise loop.lost
    for name, path in opened.finish().items():
        observer.written(name, path)
        written[name] = path
    for text in filter(None, (str(counts), opened.summary())):
        observer.notice(text)
    if undelivered:
        raise UndeliveredError(undelivered)
    return written


def _check_outputs(opened: OpenJob) -> None:
    """Refuse outputs that the source of a job cannot have."""
    outputs, source = opened.job.outputs, opened.source
    if outputs.rotate is not None and not source.endless:
        raise SourceError(f"{source.name}: has an end; --rotate is for cameras and live streams")
    if outputs.append and not source.endless:
        raise SourceError(f"{source.name}: has an end; --append is for cameras and live streams")
    if outputs.append and outputs.overwrite:
        raise SinkError("append and overwrite exclude each other; give one of them")
    if outputs.resume and source.endless:
        raise SourceError(
            f"{source.name}: what a live source gave is gone; --append goes on after it, instead of --resume"
        )
    if outputs.resume and opened.in_memory:
        raise SinkError(f"{source.name}: a run over images in memory cannot be resumed; leave out resume")


def _open_notifier(opened: OpenJob) -> Notifier | None:
    """What sends the events of a job, all parts of it, and those that an earlier run could not deliver."""
    job, outputs = opened.job, opened.job.outputs
    if not isinstance(job, ForegroundJob) or job.notify is None:
        return None
    queue = OutputPlaces.of(job, opened.source).messages(outputs.formats or ())
    if outputs.overwrite:
        queue.unlink(missing_ok=True)
    return Notifier(job.notify, queue)


def _delivered(notifier: Notifier, endless: bool, observer: Observer) -> str:
    """Wait until the events of a run have arrived; says how many have not, or nothing."""
    if notifier.undelivered:
        observer.begin("messages", notifier.total)
    try:
        left = notifier.close(LAST_SECONDS if endless else FILE_SECONDS, observer.count, keep=endless)
    except KeyboardInterrupt:  # all else is complete
        left = notifier.undelivered
    later = "; the next run with --append or --rotate sends them" if endless else ""
    return f"{left} of {notifier.total} events not delivered{later}" if left else ""


def _open_sink(
    opened: OpenJob,
    written: dict[str, Path],
    observer: Observer,
    counts: ZoneCounts,
    notifier: Notifier | None,
) -> Sink:
    """Open everything that a job writes; the places go into ``written``."""
    job, outputs, source = opened.job, opened.job.outputs, opened.source
    whole = OutputPlaces.of(job, source)

    def encoding(done: int, total: int) -> None:
        if not done:
            observer.begin("clips", total)
        observer.count(done)

    home: HomeAssistant | None = None
    if notifier is not None and isinstance(job, ForegroundJob) and job.home_assistant:
        home = HomeAssistant(notifier, source.name, opened.zones)

    def tell(images: Path | None, event: Event) -> None:
        counts.add(asdict(event))
        if home is not None:
            home.see(event, images)
        if notifier is not None:
            notifier.send(asdict(event))
        observer.event(event)

    def open_part(begin: float, places: OutputPlaces = whole) -> Sink:
        sinks = open_sinks(
            places.folder,
            outputs.formats or (),
            source,
            overwrite=outputs.overwrite,
            resume=outputs.resume,
            append=bool(outputs.append),
            settings=result_settings(job, whole=isinstance(opened.frames, Passes)),
            side_by_side=outputs.side_by_side,
            background=outputs.rotate is None,
            places=places.others,
            categories={label: number for number, label in opened.names.items()},
            begin=begin,
            zones=opened.zones,
            rules=opened.rules,
            on_clip=encoding if outputs.rotate is None else None,
            on_event=partial(tell, places.snapshots),
            name_object=opened.name_object,
            snapshots=places.snapshots,
        )
        written.update(sinks.paths)
        if places is not whole:
            write_record(job, places.record(job, sinks.paths), sinks.paths)
        return sinks.sink

    if outputs.rotate is not None:
        seconds = parse_duration(outputs.rotate, "--rotate")
        return BackgroundSink(RotatingSink(lambda begin: open_part(begin, whole.part(part_name())), seconds))
    return open_part(0.0, whole.next_run(part_name(), outputs.formats or ()) if outputs.append else whole)


def _hint(opened: OpenJob, masks: Path | None, saves: bool) -> str:
    if opened.source.endless:
        return "interrupted again; what was not complete is gone"
    if opened.in_memory:
        return "interrupted; frames in memory cannot be resumed"
    if masks is None:
        return "interrupted; without the format png there is nothing to resume from"
    return f"interrupted; give the same command with --resume to go {'on' if saves else 'through it again'}"


def _memory_advice(opened: OpenJob) -> str:
    """What to do when memory runs out in a job."""
    smaller = "a smaller --short-side or fewer --workers"
    if opened.source.endless or opened.in_memory or "png" not in (opened.job.outputs.formats or ()):
        return f"give {smaller}"
    return f"the work so far is saved: go on with --resume, or start anew with {smaller}"


class FrameLoop:
    """Takes frames through a session, and gives each result together with its frame.

    Args:
        session: gives the results, ``session.lag`` frames late at most.
        step: takes a frame through it; None is the session's own.
        required: indices of the frames that have results; None is all of them.

    Attributes:
        waiting: frames whose results are still due.
        taken: index of the last frame that the session has taken, or None.
    """

    def __init__(
        self,
        session: Session,
        step: Callable[[Frame], Segmentation | None] | None = None,
        *,
        required: Container[int] | None = None,
    ) -> None:
        self._session, self._step, self._required = session, step or session.step, required
        self.waiting: deque[Frame] = deque()
        self.taken: int | None = None
        self._wanted = 0  # frames that have or get a result

    def over(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Segmentation]]:
        """All results of frames, each paired with its frame."""
        yield from self.take(frames)
        yield from self.finish()

    def take(
        self, frames: Iterable[Frame], between: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[Frame, Segmentation]]:
        """The results that come while frames are taken, each with its frame."""
        for frame in frames:
            result = self._step(frame)
            self.taken = frame.index
            if self._required is None or frame.index in self._required:
                self._wanted += 1
                self.waiting.append(frame)
                if result is not None:
                    yield self.waiting.popleft(), result
            between()

    def finish(self) -> Iterator[tuple[Frame, Segmentation]]:
        """The results that are due after the last frame."""
        for result in self._session.finish():
            yield self.waiting.popleft(), result


class FrameRun(FrameLoop):
    """A frame loop whose results are written, and which can be saved and resumed.

    Attributes:
        done: number of results that are written.
        lost: why a live source broke off, or None.
        restored: file that the run goes on from; what fails in the session is blamed on it.
    """

    def __init__(
        self, opened: OpenJob, sink: Sink, folder: Path | None, report: Callable[[Frame, Segmentation], None]
    ) -> None:
        super().__init__(opened.session, self._take_through, required=opened.required)
        self._opened, self._sink, self._folder, self._report = opened, sink, folder, report
        self.done, self.lost = 0, cast("SourceError | None", None)
        self.restored: Path | None = None

    def run(self, frames: Iterator[Frame], cancel: CancelToken | None = None) -> None:
        """Take all frames of a job through its session into the sink; what stops before the end is saved."""
        folder, endless = self._folder, self._opened.source.endless
        if folder is not None and self._opened.job.outputs.resume and (folder / STATE).exists():
            self._catch_up(folder, frames)
        elif folder is not None:
            (folder / STATE).unlink(missing_ok=True)
        frames = _blamed_on(self.restored, frames)  # what a first pass knows of them
        with cancel_on_signals(cancel) as token:  # the current frame is finished first
            try:
                for frame, result in self.take(_until_cancelled(frames, token), _now_and_then(self._save)):
                    self._write(frame, result)
                if token.cancelled and not endless:
                    raise Cancelled
            except (SourceError, PromptError, Cancelled) as error:
                if not endless or isinstance(error, PromptError):
                    self._save()
                    if isinstance(error, SourceError):  # what waits for frames that will not come
                        for frame, result in self.finish():
                            self._write(frame, result)
                    self._sink.suspend()  # completes what shows the results so far
                    raise
                self.lost = cast(SourceError, error)
            except Exception:
                with suppress(Exception):  # the first error is the one to tell
                    self._save()
                raise
            for frame, result in self.finish():
                self._write(frame, result)

    def _save(self) -> None:
        """Save the session after the results before it are written, unless a frame is half done."""
        whole = self.done + len(self.waiting) == self._wanted and getattr(self._session, "torn", None) is None
        if self._folder is None or self.taken is None or not whole:
            return
        self._sink.flush()
        state = self._session.state(copy=False)
        progress = {
            "next_frame": self.waiting[0].index if self.waiting else self.taken + 1,
            "waiting": len(self.waiting),
            "taken": self.taken,
            "done": self.done,
        }
        with _blaming(self.restored):
            replace(state, values={**state.values, **progress}).save(self._folder / STATE)

    def _catch_up(self, folder: Path, frames: Iterator[Frame]) -> None:
        """Restore the session, and write the results before it once more."""
        self.restored = folder / STATE
        with blaming_state(self.restored):
            state = SessionState.load(self.restored)
            next_frame, done, waiting, self.taken = (
                int(state.values[name]) for name in ("next_frame", "done", "waiting", "taken")
            )
            self._session.restore(state)
            if waiting > self._session.lag:
                raise ValueError("more results are due than can be")
        reached, sparse = None, self._required is not None
        for frame, result in replayed(folder, frames, next_frame, sparse=sparse):
            self._write(frame, result)
            reached = frame.index
        if sparse and reached != self.taken:  # frames without a result that the session has taken
            next((frame for frame in frames if frame.index == self.taken), None)
        if missing := done - self.done:
            raise ResumeError(
                f"{folder}: {missing} masks of the interrupted run are missing; give --overwrite"
            )
        self.waiting.extend(itertools.islice(frames, max(waiting, 0)))
        self._wanted = self.done + len(self.waiting)

    def finish(self) -> Iterator[tuple[Frame, Segmentation]]:
        """The results that are due after the last frame."""
        return _blamed_on(self.restored, super().finish())

    def _take_through(self, frame: Frame) -> Segmentation | None:
        with _blaming(self.restored):
            pool = self._opened.pool
            return (
                self._opened.step(frame) if pool is None else pool.submit(self._opened.step, frame).result()
            )

    def _write(self, frame: Frame, result: Segmentation) -> None:
        if self.restored is not None:
            # Masks that are read back have the size of the source.
            sizes = frame.size, self._opened.source.original_size
            if not is_result_of(frame, result, sizes):
                raise DamagedStateError("a wrong result of a frame", self.restored)
        self._sink.write(frame, result)
        self._report(frame, result)
        self.done += 1


def is_result_of(frame: Frame, result: object, sizes: Container[tuple[int, int] | None]) -> bool:
    """Whether something is the result of a frame, of the right types and of one of some sizes."""
    if not isinstance(result, Segmentation) or not _are_numbers(result.index, result.time):
        return False
    mask, objects = result.mask, result.objects
    if not isinstance(mask, np.ndarray) or mask.dtype.kind not in "ui" or mask.shape not in sizes:
        return False
    return result.index == frame.index and isinstance(objects, tuple) and all(map(_is_object, objects))


def _is_object(item: object) -> bool:
    if not isinstance(item, ObjectInfo) or not isinstance(item.label, (str, type(None))):
        return False
    box: object = () if item.box is None else item.box
    if not isinstance(box, tuple) or len(box) not in (0, 4):
        return False
    return _are_numbers(item.id, item.area, item.score, *box) and 0 <= item.id <= MAX_ID


def _are_numbers(*values: object) -> bool:
    numbers = (int, float, np.integer, np.floating)
    return all(isinstance(value, numbers) and bool(-(2.0**63) < value < 2.0**63) for value in values)


def first_pass(
    passes: Passes,
    *,
    folder: Path | None,
    resume: bool,
    report: Callable[[int], None],
    cancel: CancelToken | None = None,
) -> Path | None:
    """Make the first of two passes; its state is saved into ``folder``. Returns the file it goes on from."""
    path = None if folder is None else folder / FIRST_PASS
    restored = None
    if path is not None and resume and path.exists():
        restored = path
        with blaming_state(path):
            passes.restore(SessionState.load(path))
    elif folder is not None:
        forget_state(folder)

    def save() -> None:
        if path is not None:
            with _blaming(restored):
                passes.state().save(path)

    save_if_due = _now_and_then(save)
    with cancel_on_signals(cancel) as token:
        try:
            for number in _blamed_on(restored, passes.learning()):
                report(number)
                if token.cancelled:
                    raise Cancelled
                save_if_due()
        except (Exception, Cancelled):
            with suppress(Exception):  # the first error is the one to tell, and a torn pass refuses
                save()
            raise
        save()
    return restored


def _blamed_on(restored: Path | None, items: Iterator[Item]) -> Iterator[Item]:
    """The items; what fails while one is made is blamed on the state that a run goes on from."""
    with _blaming(restored):
        yield from items


def _blaming(restored: Path | None) -> AbstractContextManager[None]:
    return nullcontext() if restored is None else blaming_state(restored)


def _until_cancelled(frames: Iterator[Frame], token: CancelToken) -> Iterator[Frame]:
    """The frames until the run is to stop; none is read after that."""
    while not token.cancelled:
        frame = next(frames, None)
        if frame is None or token.cancelled:
            return
        yield frame


def _now_and_then(save: Callable[[], None]) -> Callable[[], None]:
    """A function that saves when that is due, so that saving takes a small share of the time."""
    due = time.monotonic() + SAVE_EVERY_SECONDS

    def save_if_due() -> None:
        nonlocal due
        begun = time.monotonic()
        if begun > due:
            save()
            ended = time.monotonic()
            due = ended + max(SAVE_EVERY_SECONDS, (ended - begun) / SAVE_SHARE)

    return save_if_due


def forget_state(folder: Path) -> None:
    """Remove what is saved of a run that is complete, or of one that begins anew."""
    for name in (STATE, FIRST_PASS):
        (folder / name).unlink(missing_ok=True)
