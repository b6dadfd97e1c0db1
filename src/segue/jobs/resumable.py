"""The frame loop of a run that writes files: it can be interrupted and resumed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from segue.cancel import CancelToken, cancel_on_signals
from segue.errors import CheckpointError, PromptError, ResumeError, SourceError
from segue.jobs.loop import FrameLoop, Step
from segue.sessions.base import Session, SessionState
from segue.sessions.passes import Passes
from segue.types import Frame, Segmentation
from segue.video import Sink, replayed

STATE = ".segue.session.safetensors"  # file in the mask folder from which an interrupted run goes on
FIRST_PASS = ".segue.first-pass.safetensors"  # the same for the first of two passes

SAVE_EVERY_SECONDS = 20.0
SAVE_SHARE = 0.05  # share of the time that saving may take: a large state is saved less often

Report = Callable[[Frame, Segmentation], None]


def run(
    session: Session,
    frames: Iterator[Frame],
    step: Step,
    sink: Sink,
    *,
    folder: Path | None,
    resume: bool,
    report: Report,
    sparse: bool = False,
    cancel: CancelToken | None = None,
    endless: bool = False,
) -> None:
    """Take all frames through the session into the sink.

    The session is saved into ``folder`` now and then, when the run is interrupted and when a frame cannot be
    read or prompted, always after the results before it are written; then the sink is suspended. On Ctrl-C,
    SIGTERM and SIGHUP the current frame is finished first; a second Ctrl-C does not wait for it.
    """
    job = _Run(session, step, sink, folder, report, sparse)
    if folder is not None and resume and (folder / STATE).exists():
        job.catch_up(frames)
    elif folder is not None:
        (folder / STATE).unlink(missing_ok=True)
    with cancel_on_signals(cancel) as token:
        try:
            for frame, result in job.loop.take(_until_cancelled(frames, token), job.save_now_and_then):
                job.write(frame, result)
        except (SourceError, PromptError) as error:  # they come before the session has taken the frame
            if endless and isinstance(error, SourceError):
                job.finish()
            else:
                job.suspend()
            raise
        if token.cancelled and not endless:
            job.suspend()
            raise KeyboardInterrupt
        job.finish()


def _until_cancelled(frames: Iterator[Frame], token: CancelToken) -> Iterator[Frame]:
    """The frames until the run is to stop."""
    while not token.cancelled:
        frame = next(frames, None)
        if frame is None or token.cancelled:
            return
        yield frame


class _Run:
    """A run under way: what is done, and which frames wait for their results."""

    def __init__(
        self,
        session: Session,
        step: Step,
        sink: Sink,
        folder: Path | None,
        report: Report,
        sparse: bool,
    ) -> None:
        self._session, self._sink, self._folder, self._report = session, sink, folder, report
        self._sparse = sparse
        self.loop = FrameLoop(session, step)
        self._done = 0
        self._due = time.monotonic() + SAVE_EVERY_SECONDS

    def save_now_and_then(self) -> None:
        """Save the session if that is due."""
        begun = time.monotonic()
        if begun > self._due:
            self.save()
            ended = time.monotonic()
            self._due = ended + max(SAVE_EVERY_SECONDS, (ended - begun) / SAVE_SHARE)

    def save(self) -> None:
        """Save the session after the results before it are written."""
        if self._folder is None or self.loop.taken is None:
            return
        self._sink.flush()
        state = self._session.state(copy=False)
        progress = {
            "next_frame": self.loop.waiting[0].index if self.loop.waiting else self.loop.taken + 1,
            "waiting": len(self.loop.waiting),
            "taken": self.loop.taken,
            "done": self._done,
        }
        replace(state, values={**state.values, **progress}).save(self._folder / STATE)

    def suspend(self) -> None:
        """Save the session, and complete what shows the results so far."""
        self.save()
        self._sink.suspend()

    def finish(self) -> None:
        """Write the results that are due after the last frame."""
        for frame, result in self.loop.finish():
            self.write(frame, result)

    def catch_up(self, frames: Iterator[Frame]) -> None:
        """Restore the session, and write the results before it once more."""
        assert self._folder is not None
        state = SessionState.load(self._folder / STATE)
        try:
            next_frame, done, waiting, self.loop.taken = (
                int(state.values[name]) for name in ("next_frame", "done", "waiting", "taken")
            )
            self._session.restore(state)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            # The file may come from anywhere, and each session has a form of its own.
            raise ResumeError(
                f"{self._folder / STATE}: damaged session ({type(error).__name__}); give --overwrite"
            ) from error
        reached = None
        for frame, result in replayed(self._folder, frames, next_frame, sparse=self._sparse):
            self.write(frame, result)
            reached = frame.index
        if self._sparse and reached != self.loop.taken:  # frames without a result that the session has taken
            next((frame for frame in frames if frame.index == self.loop.taken), None)
        if missing := done - self._done:
            raise ResumeError(
                f"{self._folder}: {missing} masks of the interrupted run are missing; give --overwrite"
            )
        self.loop.waiting.extend(itertools.islice(frames, max(waiting, 0)))

    def write(self, frame: Frame, result: Segmentation) -> None:
        self._sink.write(frame, result)
        self._report(frame, result)
        self._done += 1


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
        try:
            passes.restore(SessionState.load(path))
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path}: damaged first pass ({type(error).__name__}); give --overwrite"
            ) from error
    elif folder is not None:
        forget_state(folder)

    def save() -> None:
        if path is not None:
            passes.state().save(path)

    due = time.monotonic() + SAVE_EVERY_SECONDS
    with cancel_on_signals(cancel) as token:
        for number in passes.learning():
            report(number)
            if token.cancelled:
                save()
                raise KeyboardInterrupt
            begun = time.monotonic()
            if begun > due:
                save()
                ended = time.monotonic()
                due = ended + max(SAVE_EVERY_SECONDS, (ended - begun) / SAVE_SHARE)
        save()


def forget_state(folder: Path) -> None:
    """Remove what is saved of a run that is complete, or of one that begins anew."""
    for name in (STATE, FIRST_PASS):
        (folder / name).unlink(missing_ok=True)
