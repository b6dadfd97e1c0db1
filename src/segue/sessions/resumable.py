"""The frame loop of a run that writes files: it can be interrupted and gone on with."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from segue.sessions.base import Session, SessionState
from segue.types import Frame, IndexMask, Prompt, Segmentation
from segue.video import Sink, replayed

STATE = ".segue.session.safetensors"
"""File in the mask folder from which an interrupted run goes on."""

SAVE_EVERY_SECONDS = 20.0

PromptSource = Callable[[Frame], "IndexMask | Sequence[Prompt] | None"]


def run(
    session: Session,
    frames: Iterator[Frame],
    prompts: PromptSource,
    sink: Sink,
    *,
    folder: Path | None,
    resume: bool,
    report: Callable[[Frame, Segmentation], None],
) -> bool:
    """Take all frames through the session into the sink.

    The session is saved into ``folder`` now and then and when the run is interrupted, always after the
    results before it are written. On Ctrl-C the current frame is finished first.

    Args:
        prompts: gives the prompts of a frame, or None.
        folder: mask folder of the run, or None for a run that cannot be resumed.
        resume: go on with the session saved in ``folder``, if there is one.
        report: called after each frame.

    Returns:
        Whether the run came to its end; False if it was interrupted.
    """
    state_file = None if folder is None else folder / STATE
    if resume and folder is not None and state_file is not None and state_file.exists():
        state = SessionState.load(state_file)
        session.restore(state)
        for frame, result in replayed(folder, frames, int(state.values["next_frame"])):
            sink.write(frame, result)
            report(frame, result)
    saved = time.monotonic()
    with _interruptible() as interrupted:
        for frame in frames:
            result = session.step(frame, prompts(frame))
            if result is not None:
                sink.write(frame, result)
                report(frame, result)
            stop = interrupted()
            if state_file is not None and (stop or time.monotonic() - saved > SAVE_EVERY_SECONDS):
                sink.flush()
                _save(session, state_file, frame.index + 1)
                saved = time.monotonic()
            if stop:
                return False
    return True


def forget_state(folder: Path) -> None:
    """Remove the saved session of a run that is complete."""
    (folder / STATE).unlink(missing_ok=True)


def _save(session: Session, path: Path, next_frame: int) -> None:
    state = session.state()
    replace(state, values={**state.values, "next_frame": next_frame}).save(path)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
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
