"""Output of ``segue watch``: events on standard output, a log on standard error."""

from __future__ import annotations

import json
import sys
import warnings
from contextlib import AbstractContextManager
from contextvars import ContextVar
from datetime import datetime
from typing import Literal

from segue.events.deliveries import NotifyWarning
from segue.events.images.snapshots import SnapshotWarning
from segue.events.publisher import TableWarning
from segue.events.store.importing import ImportWarning
from segue.events.store.retention import RetentionWarning
from segue.utils.inputs import printable
from segue.utils.notices import LineWriter, is_quiet
from segue.utils.redaction import redact
from segue.video.sources.live import LiveWarning

LogFormat = Literal["lines", "json"]

CAMERA: ContextVar[str] = ContextVar("camera", default="")
"""Name of the camera that a thread works for."""


class CameraWarning(UserWarning):
    """A camera failed and restarts; the message names it and says why."""


_LOST_EVENTS = "their tables have them, the standard output does not"


class Log(AbstractContextManager["Log"]):
    """Writes events, notices and warnings without waiting for a reader.

    Args:
        form: ``lines`` for people, or ``json``.
    """

    def __init__(self, form: LogFormat = "lines") -> None:
        self._as_json, self._quiet = form == "json", is_quiet()
        self._errors = LineWriter(sys.stderr)
        self._events = LineWriter(
            sys.stdout,
            lambda reason: self._write("warning", "", f"events are lost here ({reason}); {_LOST_EVENTS}"),
        )
        self._warnings = warnings.catch_warnings()

    def __enter__(self) -> Log:
        self._warnings.__enter__()
        # A camera that fails again the next day is to say so again.
        for category in (
            CameraWarning,
            ImportWarning,
            LiveWarning,
            NotifyWarning,
            RetentionWarning,
            SnapshotWarning,
            TableWarning,
        ):
            warnings.simplefilter("always", category)
        warnings.showwarning = lambda message, *_: self._write("warning", CAMERA.get(), str(message))
        return self

    def __exit__(self, *_: object) -> None:
        self._warnings.__exit__(None, None, None)
        self._events.close()
        if self._events.lost:
            self.notice("", f"{self._events.lost} events: {_LOST_EVENTS}")
        self._errors.close()

    def event(self, line: str) -> None:
        """Write an event to the standard output."""
        self._events.write(line)

    def notice(self, camera: str, text: str) -> None:
        """Write a notice about a camera, or about all with an empty name."""
        if not self._quiet:
            self._write("info", camera, text)

    def warning(self, camera: str, text: str) -> None:
        """Write a warning about a camera, or about all with an empty name."""
        self._write("warning", camera, text)

    def _write(self, level: str, camera: str, text: str) -> None:
        text = redact(" ".join(text.removeprefix(f"{camera}: ").split()))
        now = datetime.now().astimezone()
        if self._as_json:
            about = {"time": now.isoformat(timespec="milliseconds"), "level": level, "camera": camera}
            self._errors.write(json.dumps(about | {"text": text}))
            return
        words = [f"{now:%Y-%m-%d %H:%M:%S}", *([f"{camera}:"] if camera else [])]
        self._errors.write(printable(" ".join([*words, *(["warning:"] if level == "warning" else []), text])))
