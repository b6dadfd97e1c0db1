"""The frame loop: frames through a session, results into a sink, saved for resuming."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from segue.errors import CheckpointError, PromptError, ResumeError, SourceError
from segue.inference.cpu.forms import DIRECT, Forms
from segue.jobs.opened import Run
from segue.masks.values import MAX_ID
from segue.sessions.session import Passes, Session
from segue.sinks import Sink, replayed
from segue.state import Checkpointable, DamagedStateError, SessionState, blaming_state, saved_values
from segue.types import Frame, ObjectInfo, Segmentation
from segue.utils.cancel import Cancelled, CancelToken, cancel_on_signals

STATE = ".segue.session.safetensors"  # file in the mask folder from which an interrupted run goes on
FIRST_PASS = ".segue.first-pass.safetensors"  # the same for the first of two passes

Item = TypeVar("Item")

SAVE_EVERY_SECONDS = 20.0
SAVE_SHARE = 0.05  # share of the time that saving may take: a large state is saved less often


class FrameLoop:
    """Processes frames in a session and pairs each result with its frame.

    Args:
        session: computes the results, at most ``session.lag`` frames late.
        step: processes a frame; None is the session's own method.
        required: indices of the frames that have results; None is all of them.

    Attributes:
        pending: frames whose results are still due.
        last_index: index of the last frame that the session has taken, or None.
        steps: number of frames that the session has taken.
        step_seconds: time that it took for them, without reading and writing.
    """

    def __init__(
        self,
        session: Session,
        step: Callable[[Frame], Segmentation | None] | None = None,
        *,
        required: Container[int] | None = None,
    ) -> None:
        self._session, self._required = session, required
        self._step = step or session.step
        self.steps, self.step_seconds = 0, 0.0
        self.pending: deque[Frame] = deque()
        self.last_index: int | None = None
        self._num_expected = 0  # frames that have or get a result

    def over(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Segmentation]]:
        """Results of all frames, each with its frame."""
        return itertools.chain(self.take(frames), self.finish())

    def take(
        self, frames: Iterable[Frame], between: Callable[[], object] | None = None
    ) -> Iterator[tuple[Frame, Segmentation]]:
        """Results that become available while frames are processed, each with its frame."""
        for frame in frames:
            start = time.perf_counter()
            result = self._step(frame)
            self.step_seconds += time.perf_counter() - start
            self.steps += 1
            self.last_index = frame.index
            if self._required is None or frame.index in self._required:
                self._num_expected += 1
                self.pending.append(frame)
                if result is not None:
                    yield self.pending.popleft(), result
            if between is not None:
                between()

    def finish(self) -> Iterator[tuple[Frame, Segmentation]]:
        """Remaining results after the last frame."""
        results = self._session.finish()
        while True:
            start = time.perf_counter()
            result = next(results, None)
            self.step_seconds += time.perf_counter() - start
            if result is None:
                return
            yield self.pending.popleft(), result


class Progress(NamedTuple):
    """Position of a saved run.

    Attributes:
        next_frame: index of the first frame without a result.
        waiting: number of frames that the session has taken and whose results are due.
        taken: index of the last frame that the session has taken.
        done: number of results that are written.
    """

    next_frame: int
    waiting: int
    taken: int
    done: int

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Progress:
        """Read the progress from the values of a saved state."""
        return cls(*(int(values[name]) for name in cls._fields))


class FrameRun(FrameLoop):
    """A frame loop with written results that can be saved and resumed.

    Attributes:
        done: number of results that are written.
        read_error: why a live source broke off, or None.
        restored: file from which the run resumed; errors of the session name it.
    """

    def __init__(
        self,
        run: Run,
        sink: Sink,
        folder: Path | None,
        report: Callable[[Frame, Segmentation], None],
        monitor: Callable[[Frame, Segmentation], Segmentation] = lambda _, result: result,
    ) -> None:
        pool = run.pool
        step = run.step
        if pool is not None:  # its threads warn of the camera that they work for
            step = lambda frame: pool.submit(copy_context().run, run.step, frame).result()  # noqa: E731
        super().__init__(run.session, step, required=run.required)
        self._run, self._sink, self._folder, self._report = run, sink, folder, report
        self._monitor = monitor
        self.done, self.read_error = 0, cast("SourceError | None", None)
        self.restored: Path | None = None

    def run(self, cancel: CancelToken | None = None) -> None:
        """Process all frames of a job and write the results; an interrupted run is saved."""
        folder, endless = self._folder, self._run.source.endless
        if folder is not None and self._run.job.outputs.resume and (folder / STATE).exists():
            self._catch_up(folder, self._run.frames)
        elif folder is not None:
            (folder / STATE).unlink(missing_ok=True)
        frames: Iterator[Frame] = self._run.frames
        if self.restored is not None:
            frames = _blamed_on(self.restored, frames)  # what a first pass knows of them
            self._step = blaming_state(self.restored)(self._step)
        with cancel_on_signals(cancel) as token:  # the current frame is finished first
            self._run.frames.token = token
            try:
                for frame, result in self.take(frames, now_and_then(self._save)):
                    self._write(frame, result)
                if token.cancelled and not endless:
                    raise Cancelled
                self._write_pending(None if endless else token)
            except (SourceError, PromptError, Cancelled) as error:
                if not endless or isinstance(error, PromptError):
                    self._save()
                    if isinstance(error, SourceError):  # what waits for frames that will not come
                        self._write_pending()
                    self._sink.suspend()  # completes what shows the results so far
                    raise
                self.read_error = cast(SourceError, error)
                self._write_pending()
            except Exception:
                with suppress(Exception):  # the first error is the one to tell
                    self._save()
                raise

    def _write_pending(self, token: CancelToken | None = None) -> None:
        """Write the remaining results after the last frame, unless the run is stopping."""
        for frame, result in self.finish():
            self._write(frame, result)
            if token is not None and token.cancelled and self.pending:
                raise Cancelled

    def _save(self) -> None:
        """Save the session after earlier results are written, unless a frame is half done."""
        is_complete = (
            self.done + len(self.pending) == self._num_expected
            and getattr(self._session, "torn", None) is None
        )
        if self._folder is None or self.last_index is None or not is_complete:
            return
        self._sink.flush()
        state = self._session.state(copy=False)
        next_frame = self.pending[0].index if self.pending else self.last_index + 1
        progress = Progress(next_frame, len(self.pending), self.last_index, self.done)
        values = {**state.values, **progress._asdict(), "forms": self._run.forms.as_json()}
        with _blaming(self.restored):
            replace(state, values=values).save(self._folder / STATE)

    def _catch_up(self, folder: Path, frames: Iterator[Frame]) -> None:
        """Restore the session, and write the earlier results again."""
        self.restored = folder / STATE
        with blaming_state(self.restored):
            state = SessionState.load(self.restored)
            progress = Progress.of(state.values)
            self._session.restore(state)
            if progress.waiting > self._session.lag:
                raise ValueError("more results are due than can be")
        self.last_index = progress.taken
        self._rewrite(folder, frames, progress)
        if self._run.frames.token.cancelled:
            raise Cancelled
        if missing := progress.done - self.done:
            raise ResumeError(
                f"{folder}: {missing} masks of the interrupted run are missing; give --overwrite"
            )
        self.pending.extend(itertools.islice(frames, max(progress.waiting, 0)))
        self._num_expected = self.done + len(self.pending)

    def _rewrite(self, folder: Path, frames: Iterator[Frame], progress: Progress) -> None:
        """Write the results of the interrupted run, and skip frames that its session has processed."""
        last_read, sparse = None, self._required is not None
        for frame, result in replayed(folder, frames, progress.next_frame, sparse=sparse):
            self._write(frame, result)
            last_read = frame.index
        if sparse and last_read != progress.taken:  # frames without a result
            next((frame for frame in frames if frame.index == progress.taken), None)

    def finish(self) -> Iterator[tuple[Frame, Segmentation]]:
        """Remaining results after the last frame."""
        return _blamed_on(self.restored, super().finish())

    def _write(self, frame: Frame, result: Segmentation) -> None:
        if self.restored is not None:
            # Masks that are read back have the size of the source.
            sizes = frame.size, self._run.source.original_size
            if not is_result_of(frame, result, sizes):
                raise DamagedStateError("a wrong result of a frame", self.restored)
        result = self._monitor(frame, result)  # the one that everybody sees
        self._sink.write(frame, result)
        self._report(frame, result)
        self.done += 1


def is_result_of(frame: Frame, result: object, sizes: Container[tuple[int, int] | None]) -> bool:
    """Whether a value is a result of a frame, with one of some sizes."""
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
    forms: Forms = DIRECT,
    cancel: CancelToken | None = None,
) -> Path | None:
    """Run the first of two passes, saving its state in ``folder``; return the state file it resumed from."""
    saved = passes if isinstance(passes, Checkpointable) else None
    path = None if folder is None else folder / FIRST_PASS
    restored = None
    if saved is not None and path is not None and resume and path.exists():
        restored = path
        with blaming_state(path):
            saved.restore(SessionState.load(path))
    elif folder is not None:
        forget_state(folder)

    def save() -> None:
        if saved is not None and path is not None:
            with _blaming(restored):
                state = saved.state(copy=False)
                replace(state, values={**state.values, "forms": forms.as_json()}).save(path)

    save_periodically = now_and_then(save)
    with cancel_on_signals(cancel) as token:
        try:
            for number in _blamed_on(restored, passes.learning()):
                report(number)
                if token.cancelled:
                    raise Cancelled
                save_periodically()
        except (Exception, Cancelled):
            with suppress(Exception):  # the first error is the one to tell, and a torn pass refuses
                save()
            raise
        save()
    return restored


def _blamed_on(restored: Path | None, items: Iterator[Item]) -> Iterator[Item]:
    """Iterate over items; errors name the state file from which the run resumed."""
    with _blaming(restored):
        yield from items


def _blaming(restored: Path | None) -> AbstractContextManager[None]:
    return nullcontext() if restored is None else blaming_state(restored)


def now_and_then(save: Callable[[], None]) -> Callable[[], bool]:
    """Make a function that saves periodically, within a small share of the time, and tells if it did."""
    next_save_time = time.monotonic() + SAVE_EVERY_SECONDS

    def save_periodically() -> bool:
        nonlocal next_save_time
        start = time.monotonic()
        if start <= next_save_time:
            return False
        save()
        ended = time.monotonic()
        next_save_time = ended + max(SAVE_EVERY_SECONDS, (ended - start) / SAVE_SHARE)
        return True

    return save_periodically


def forms_of_run(folder: Path) -> Forms | None:
    """Layer forms of an interrupted run; None if there is none to resume."""
    for path in (folder / STATE, folder / FIRST_PASS):
        # Restoring the state tells what is wrong with it.
        with suppress(OSError, CheckpointError, ValueError, KeyError, TypeError):
            return Forms.of_json(saved_values(path)["forms"])
    return None


def forget_state(folder: Path) -> None:
    """Remove the saved state of a completed or restarted run."""
    for name in (STATE, FIRST_PASS):
        (folder / name).unlink(missing_ok=True)
