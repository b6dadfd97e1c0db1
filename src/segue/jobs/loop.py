"""The one frame loop: frames go through a session, results meet their frames; it can be saved and resumed."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from segue.cancel import CancelToken, cancel_on_signals
from segue.errors import PromptError, ResumeError, SourceError
from segue.jobs.opened import OpenJob
from segue.models.base import FramePrompts
from segue.sessions.base import SessionState
from segue.sessions.passes import Passes
from segue.sessions.session import Session
from segue.sessions.track import TrackSession
from segue.types import Frame, Prompt, Segmentation
from segue.video import Sink, replayed

STATE = ".segue.session.safetensors"  # file in the mask folder from which an interrupted run goes on
FIRST_PASS = ".segue.first-pass.safetensors"  # the same for the first of two passes

SAVE_EVERY_SECONDS = 20.0
SAVE_SHARE = 0.05  # share of the time that saving may take: a large state is saved less often

Report = Callable[[Frame, Segmentation], None]


def step_required(
    session: TrackSession,
    frame: Frame,
    prompts: Sequence[Prompt] | FramePrompts | None,
    required: Container[int],
) -> Segmentation | None:
    """Take a frame into the session; only a required one has a result, as in YouTube-VOS."""
    if frame.index in required:
        return session.step(frame, prompts)
    if session.requires_update:
        session.step(frame, prompts)
    elif prompts is not None:
        session.step(frame, prompts, predict=False)
    else:
        session.skip(frame)
    return None


def results(session: Session, frames: Iterable[Frame]) -> Iterator[Segmentation]:
    """All results of frames without prompts, each as soon as it is there."""
    for _, result in FrameLoop(session, session.step).over(frames):
        yield result


class FrameLoop:
    """Takes frames through a session, and gives each result together with its frame.

    Args:
        session: gives the results, ``session.lag`` frames late at most.
        step: takes a frame through it.
        required: indices of the frames that have results; None is all of them.

    Attributes:
        waiting: frames whose results are still due.
        taken: index of the last frame that the session has taken, or None.
    """

    def __init__(
        self,
        session: Session,
        step: Callable[[Frame], Segmentation | None],
        *,
        required: Container[int] | None = None,
    ) -> None:
        self._session, self._step, self._required = session, step, required
        self.waiting: deque[Frame] = deque()
        self.taken: int | None = None

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
                self.waiting.append(frame)
                if result is not None:
                    yield self.waiting.popleft(), result
            between()

    def finish(self) -> Iterator[tuple[Frame, Segmentation]]:
        """The results that are due after the last frame."""
        for result in self._session.finish():
            yield self.waiting.popleft(), result


def _until_cancelled(frames: Iterator[Frame], token: CancelToken) -> Iterator[Frame]:
    """The frames until the run is to stop."""
    while not token.cancelled:
        frame = next(frames, None)
        if frame is None or token.cancelled:
            return
        yield frame


class FrameRun(FrameLoop):
    """A frame loop whose results are written, and which can be saved and resumed."""

    def __init__(self, opened: OpenJob, sink: Sink, folder: Path | None, report: Report) -> None:
        super().__init__(opened.session, opened.step, required=opened.required)
        self._opened, self._sink, self._folder, self._report = opened, sink, folder, report
        self.done = 0  # results that are written

    def run(self, frames: Iterator[Frame], cancel: CancelToken | None = None) -> None:
        """Take all frames of a job through its session into the sink; what stops before the end is saved."""
        folder, endless = self._folder, self._opened.source.endless
        if folder is not None and self._opened.job.outputs.resume and (folder / STATE).exists():
            self._catch_up(folder, frames)
        elif folder is not None:
            (folder / STATE).unlink(missing_ok=True)
        with cancel_on_signals(cancel) as token:  # the current frame is finished first
            try:
                for frame, result in self.take(_until_cancelled(frames, token), _now_and_then(self._save)):
                    self._write(frame, result)
            except (SourceError, PromptError) as error:  # they come before the session has taken the frame
                if endless and isinstance(error, SourceError):
                    self._write_rest()
                else:
                    self._suspend()
                raise
            if token.cancelled and not endless:
                self._suspend()
                raise KeyboardInterrupt
            self._write_rest()

    def _save(self) -> None:
        """Save the session after the results before it are written."""
        if self._folder is None or self.taken is None:
            return
        self._sink.flush()
        state = self._session.state(copy=False)
        progress = {
            "next_frame": self.waiting[0].index if self.waiting else self.taken + 1,
            "waiting": len(self.waiting),
            "taken": self.taken,
            "done": self.done,
        }
        replace(state, values={**state.values, **progress}).save(self._folder / STATE)

    def _suspend(self) -> None:
        """Save the session, and complete what shows the results so far."""
        self._save()
        self._sink.suspend()

    def _write_rest(self) -> None:
        """Write the results that are due after the last frame."""
        for frame, result in self.finish():
            self._write(frame, result)

    def _catch_up(self, folder: Path, frames: Iterator[Frame]) -> None:
        """Restore the session, and write the results before it once more."""
        with _damaged(folder / STATE) as state:
            next_frame, done, waiting, self.taken = (
                int(state.values[name]) for name in ("next_frame", "done", "waiting", "taken")
            )
            self._session.restore(state)
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

    def _write(self, frame: Frame, result: Segmentation) -> None:
        self._sink.write(frame, result)
        self._report(frame, result)
        self.done += 1


def first_pass(
    passes: Passes,
    *,
    folder: Path | None,
    resume: bool,
    report: Callable[[int], None],
    cancel: CancelToken | None = None,
) -> None:
    """Make the first of two passes; its state is saved into ``folder``."""
    path = None if folder is None else folder / FIRST_PASS
    if path is not None and resume and path.exists():
        with _damaged(path) as state:
            passes.restore(state)
    elif folder is not None:
        forget_state(folder)

    def save() -> None:
        if path is not None:
            passes.state().save(path)

    save_if_due = _now_and_then(save)
    with cancel_on_signals(cancel) as token:
        for number in passes.learning():
            report(number)
            if token.cancelled:
                save()
                raise KeyboardInterrupt
            save_if_due()
        save()


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


@contextmanager
def _damaged(path: Path) -> Iterator[SessionState]:
    """A state in a file that may come from anywhere; restoring it fails with one error."""
    state = SessionState.load(path)
    try:
        yield state
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ResumeError(f"{path}: damaged ({type(error).__name__}); give --overwrite") from error


def forget_state(folder: Path) -> None:
    """Remove what is saved of a run that is complete, or of one that begins anew."""
    for name in (STATE, FIRST_PASS):
        (folder / name).unlink(missing_ok=True)
