"""Periodic upkeep of cameras, with or without frames."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from pathlib import Path

from segue.errors import SegueError, SinkError
from segue.events.archive import EventArchive
from segue.events.store.retention import Retention, delete_expired, warn_on_change
from segue.events.store.store import EventStore
from segue.utils.system import lower_thread_priority

KEEP_SECONDS = 60.0
"""Seconds between two rounds of upkeep."""

END_SECONDS = 2.0
"""Seconds that the end of the last camera waits for its last round."""


@dataclass
class _Camera:
    """A camera under upkeep."""

    store: EventStore
    archive: EventArchive
    retention: Retention | None
    context: Context = field(default_factory=copy_context)  # its warnings name the camera

    def maintain(self) -> None:
        """Write waiting events, and delete expired files."""
        topic = f"retention of {self.archive.store}"
        try:
            self.store.change_last("clock", *_CLOCK, self.store.clock.state()["clock_now"])
            with suppress(SinkError):  # on a full disk; the run says so
                self.store.flush()
            if self.retention is not None:
                delete_expired(self.store, self.archive, self.retention, warn_on_change)
        except (SegueError, OSError) as error:
            warn_on_change(topic, f"{self.archive.images}: --keep waits: {error}")
        else:
            warn_on_change(topic, "")


_CLOCK = ("insert or replace into meta values ('clock_now', ?)",)


class Upkeep:
    """Maintains the cameras of a process in one thread, while there are any.

    Args:
        seconds: returns the time between two rounds.
    """

    def __init__(self, seconds: Callable[[], float] = lambda: KEEP_SECONDS) -> None:
        self._seconds = seconds
        self._cameras: dict[Path, _Camera] = {}
        self._users: dict[Path, int] = {}
        self._lock = threading.RLock()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None

    def care(self, store: EventStore, archive: EventArchive, retention: Retention | None) -> None:
        """Begin the upkeep of a camera or change its limits; each call needs one :meth:`leave`."""
        with self._lock:
            path = archive.store.resolve()
            self._users[path] = self._users.get(path, 0) + 1
            previous = self._cameras.pop(path, None)
            self._cameras[path] = _Camera(store.share(), archive, retention)
            if previous is not None:
                previous.store.close()
            self._changed.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="segue-upkeep", daemon=True)
                self._thread.start()

    def leave(self, archive: EventArchive, *, maintain: bool = False) -> None:
        """End the upkeep of a camera, after a last round if ``maintain`` is set."""
        path = archive.store.resolve()
        with self._lock:
            camera = self._cameras.get(path)
        if camera is not None and maintain:
            camera.maintain()
        with self._lock:
            self._users[path] = self._users.get(path, 1) - 1
            if self._users[path] > 0 or camera is None:
                return
            self._users.pop(path)
            self._cameras.pop(path, None)
            ending = self._thread if not self._cameras else None
            if ending is not None:
                self._changed.set()
        if ending is not None and ending is not threading.current_thread():
            ending.join(END_SECONDS)
        camera.store.close()

    def knows(self, path: Path) -> bool:
        """Whether the camera of a store is under upkeep."""
        with self._lock:
            return path.resolve() in self._cameras

    def maintain(self) -> None:
        """Maintain all cameras now."""
        with self._lock:
            cameras = [*self._cameras.values()]
        for each in cameras:
            each.context.copy().run(each.maintain)

    def _work(self) -> None:
        lower_thread_priority()
        while True:
            with self._lock:
                if not self._cameras:
                    self._thread = None
                    return
                self._changed.clear()
            self.maintain()
            self._changed.wait(self._seconds())


UPKEEP = Upkeep()
"""Shared instance of the process."""
