"""Trainings of a table, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from segue.cancel import LOOK_SECONDS, CancelToken, cancel_on_signals
from segue.errors import TrainingError
from segue.system import end_group, interrupt_group, killed_by, own_group, was_interrupted

LISTEN_SECONDS = 5.0
"""Seconds to wait for the last lines of an ended program; its child processes may hold its output."""


def train(words: Sequence[str], cancel: CancelToken | None = None) -> None:
    """Run ``segue train`` with these words in a process of its own.

    A training on several devices starts its program once for each of them. In a process of its own that
    program is the training alone, not whatever asked for it. What it says goes to the standard error.
    """
    code, message = _finished([sys.executable, "-m", "segue", "train", *words], cancel)
    if was_interrupted(code):
        raise KeyboardInterrupt("interrupted; give the same command with --resume to go on")
    if code:
        ended = killed_by(code) or f"ended with {code}; its messages say why"
        raise TrainingError(message or f"the training of {words[0]} {ended}")


def _finished(command: Sequence[str], cancel: CancelToken | None) -> tuple[int, str]:
    """Run a program in a process group of its own; gives its exit code and the last error that it told."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **own_group(),
        text=True,
        encoding="utf-8",
        errors="backslashreplace",
    )
    errors: list[str] = []
    listener = threading.Thread(target=_pass_on, args=(process.stdout, errors), daemon=True)
    listener.start()
    interrupted = False
    try:
        with cancel_on_signals(cancel) as token:
            while process.poll() is None:
                if token.cancelled and not interrupted:
                    interrupt_group(process)
                    interrupted = True
                with suppress(subprocess.TimeoutExpired):
                    process.wait(LOOK_SECONDS)
    finally:
        if process.poll() is None:  # interrupted twice
            end_group(process)
            process.wait()
        listener.join(LISTEN_SECONDS)
    return process.returncode, errors[-1] if errors else ""


def _pass_on(stream: IO[str], errors: list[str]) -> None:
    """Write the lines of a program to the standard error, and keep its errors."""
    for line in stream:
        sys.stderr.write(line)
        sys.stderr.flush()
        if line.startswith("error: "):
            errors.append(line.removeprefix("error: ").strip())
