"""Notices of commands on standard error, which ``--quiet`` hides."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, TextIO

from segue.utils.inputs import printable

_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)

MAX_LINES = 10_000
"""Lines that wait to be written; further ones are lost."""

LAST_SECONDS = 2.0
"""Seconds that the end of a command waits for its lines to be written."""


def notice(text: str) -> None:
    """Print a notice for the person at the terminal; not for errors or results."""
    if not _QUIET.get():
        with suppress(OSError):  # a terminal that is gone ends no run
            print(printable(text), file=sys.stderr)


def be_quiet() -> None:
    """Hide notices and progress from now on, in this context (see :mod:`contextvars`)."""
    _QUIET.set(True)


def is_quiet() -> bool:
    """Whether notices and progress are hidden."""
    return _QUIET.get()


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warn at the line that called segue, so that each such line warns once."""
    frame, level = sys._getframe(1), 2
    # Decorators of PyTorch and context managers lie between calls of segue.
    inner = {"segue", "torch", "contextlib"}
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in inner:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


class LineWriter:
    """Writes lines to a stream in a thread, so that a slow reader blocks nobody.

    Args:
        stream: such as ``sys.stdout``; None, as where it was closed from the start, takes all lines and shows
            none.
        on_failure: receives the reason when the first line is lost.
        max_lines: lines that may wait.
        last_seconds: for which closing it waits for them.

    Attributes:
        lost: lines that could not be written.
    """

    def __init__(
        self,
        stream: TextIO | None,
        on_failure: Callable[[str], object] = lambda _: None,
        max_lines: int = MAX_LINES,
        last_seconds: float = LAST_SECONDS,
    ) -> None:
        self._stream, self._on_failure, self._max_lines = stream, on_failure, max_lines
        self._last_seconds = last_seconds
        # Without the buffers of Python: these keep what could not be written, and lock their readers out.
        binary: Any = getattr(stream, "buffer", None)
        self._out: Any = getattr(binary, "raw", binary)
        self.lost = 0
        self._is_closed = self._out is None
        self._torn = False  # a part of the last line was written
        self._lines: deque[str] = deque()
        self._ends = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="segue-lines", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queue a line."""
        with self._changed:
            full = len(self._lines) >= self._max_lines
            if not full:
                self._lines.append(line)
                self._changed.notify()
        if full:
            self._lose("nobody reads it")

    def close(self) -> None:
        """Write queued lines within some seconds; later writes fail silently."""
        with self._changed:
            self._ends = True
            self._changed.notify()
        self._thread.join(self._last_seconds)
        if self._thread.is_alive():
            self.lost += len(self._lines) + 1
        if self._thread.is_alive() or self._is_closed:
            _redirect_to_null(self._stream)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._ends)
                if not self._lines:
                    return
                line = self._lines.popleft()
            try:
                self._write_line(line)
            except (OSError, ValueError) as error:  # ValueError: somebody closed it
                self._is_closed = isinstance(error, (BrokenPipeError, ValueError))
                self._lose(getattr(error, "strerror", None) or str(error))

    def _write_line(self, line: str) -> None:
        if self._is_closed:
            self.lost += self._stream is not None
            return
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        rest = f"{line}\n".encode(encoding, "backslashreplace")
        if self._torn:  # by a disk that was full
            rest = b"\n" + rest
        while rest:
            count = self._out.write(rest)
            if count:
                self._torn = not rest[:count].endswith(b"\n")
                rest = rest[count:]

    def _lose(self, reason: str) -> None:
        self.lost += 1
        if self.lost == 1:
            self._on_failure(reason)


def _redirect_to_null(stream: TextIO | None) -> None:
    """Redirect a stream to nowhere, so that the process can end without its reader."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[union-attr]
