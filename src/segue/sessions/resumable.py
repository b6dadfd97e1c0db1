"""The frame loop of a run that writes files: it can be interrupted and gone on with."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from segue.errors import PromptError, SinkError, SourceError
from segue.sessions.base import Session, SessionState
from segue.types import Frame, IndexMask, Prompt, Segmentation
from segue.video import Sink, replayed

STATE = ".segue.session.safetensors"
"""File in the mask folder from which an interrupted run goes on."""

SAVE_EVERY_SECONDS = 20.0

PromptSource = Callable[[Frame], "IndexMask | Sequence[Prompt] | None"]

Report = Callable[[Frame, Segmentation], None]


def run(
    session: Session,
    frames: Iterator[Frame],
    prompts: PromptSource,
    sink: Sink,
    *,
    folder: Path | None,
    resume: bool,
    report: Report,
) -> None:
    """Take all frames through the session into the sink.

    The session is saved into ``folder`` now and then, when the run is interrupted and when a frame cannot be
    read or prompted, always after the results before it are written. On Ctrl-C the current frame is finished
    first.

    Args:
        prompts: gives the prompts of a frame, or None.
        folder: mask folder of the run, or None for a run that cannot be resumed.
        resume: go on with the session saved in ``folder``, if there is one.
        report: called after each frame.

    Raises:
        KeyboardInterrupt: the run was interrupted, and everything before is saved.
        SinkError: masks of the interrupted run are missing, or something cannot be written.
    """
    done = 0
    if folder is not None and resume and (folder / STATE).exists():
        done = _catch_up(session, frames, sink, folder, report)
    elif folder is not None:
        forget_state(folder)
    saved = time.monotonic()
    next_frame: int | None = None

    def save() -> None:
        if folder is not None and next_frame is not None:
            sink.flush()
            _save(session, folder / STATE, next_frame, done)

    with interruptible() as interrupted:
        try:
            for frame in frames:
                result = session.step(frame, prompts(frame))
                if result is not None:
                    sink.write(frame, result)
                    report(frame, result)
                    done += 1
                next_frame = frame.index + 1
                if interrupted():
                    save()
                    raise KeyboardInterrupt
                if time.monotonic() - saved > SAVE_EVERY_SECONDS:
                    save()
                    saved = time.monotonic()
        except (SourceError, PromptError):  # they come before the session has taken the frame
            save()
            raise


def _catch_up(session: Session, frames: Iterator[Frame], sink: Sink, folder: Path, report: Report) -> int:
    """Restore the session and write the results before it once more; gives their number."""
    state = SessionState.load(folder / STATE)
    session.restore(state)
    done = 0
    for frame, result in replayed(folder, frames, int(state.values["next_frame"])):
        sink.write(frame, result)
        report(frame, result)
        done += 1
    missing = int(state.values["done"]) - done
    if missing:
        raise SinkError(f"{folder}: {missing} masks of the interrupted run are missing; give --overwrite")
    return done


def forget_state(folder: Path) -> None:
    """Remove the saved session of a run that is complete, or of one that begins anew."""
    (folder / STATE).unlink(missing_ok=True)


def _save(session: Session, path: Path, next_frame: int, done: int) -> None:
    state = session.state()
    replace(state, values={**state.values, "next_frame": next_frame, "done": done}).save(path)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a flag; the second one interrupts at once."""
    asked = False

    def ask(number: int, _: object) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
