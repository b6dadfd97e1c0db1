"""Reload the file of cameras when it is saved, or on SIGHUP."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from ssl import SSLContext
from threading import Lock
from typing import TYPE_CHECKING

from segue.errors import SegueError
from segue.jobs.values import ForegroundJob
from segue_watch.configuration import check_devices, check_port, parse_file, read_text
from segue_watch.log import Log
from segue_web.access.encryption import certificate, load_certificate
from segue_web.access.table import Access

if TYPE_CHECKING:  # PyTorch is imported when the file is checked
    from segue_watch.cameras import CameraSet
    from segue_watch.web.page import CameraPage

_Stamp = tuple[int, int, int, int]

Prepare = Callable[[Mapping[str, ForegroundJob], Access], Callable[[], Iterable[str]]]
"""Receives the new jobs and the users of the page; raises if the page cannot adopt them, else returns
a function that adopts them and returns notices."""


class CameraFile:
    """A file of cameras that may change at any time.

    Args:
        path: TOML file.
        output: folder for tables of events and images.
    """

    def __init__(self, path: Path, output: Path) -> None:
        self.path, self.output = path, output
        self._stamp: _Stamp | None = None  # before it was read; None where it could not be

    def read(self) -> tuple[dict[str, ForegroundJob], Access]:
        """Read the jobs of the cameras, and the access rules of the page; raises SegueError."""
        self._stamp, stamp = None, self._current_stamp()
        text = read_text(self.path)
        self._stamp = stamp
        return parse_file(text, self.path, self.output)

    @property
    def is_read(self) -> bool:
        """Whether the last read succeeded, valid or not."""
        return self._stamp is not None

    @property
    def has_changed(self) -> bool:
        """Whether the file was saved since the last read began."""
        return self._stamp is None or self._stamp != self._current_stamp()

    def _current_stamp(self) -> _Stamp | None:
        try:
            status = self.path.stat()
        except (OSError, ValueError):  # an editor is just saving it
            return None
        # With the time of its last change of mode or place: it may become readable, or be another file.
        return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


class Reload:
    """Applies changes of the file to cameras and page; an invalid file changes nothing.

    Args:
        file: the file, as it was read when the cameras began.
        cameras: watched cameras.
        log: receives changes and errors.
        lock: held while the file is read and the cameras are changed.

    Attributes:
        prepare: updates the page.
    """

    def __init__(self, file: CameraFile, cameras: CameraSet, log: Log, lock: Lock) -> None:
        self._file, self._cameras, self._log, self._lock = file, cameras, log, lock
        self.prepare: Prepare = lambda _, __: tuple
        self._requested = False
        self._error = ""

    @contextmanager
    def on_hangup(self) -> Iterator[None]:
        """Reload on SIGHUP, unless the signal is ignored, as under nohup."""
        number = getattr(signal, "SIGHUP", None)
        main = threading.current_thread() is threading.main_thread()
        if number is None or not main or signal.getsignal(number) == signal.SIG_IGN:
            yield
            return
        previous = signal.signal(number, lambda *_: setattr(self, "_requested", True))
        try:
            yield
        finally:
            signal.signal(number, previous)

    def poll(self) -> None:
        """Reload the file if it was saved or a reload was requested; log errors."""
        if not (self._requested or self._file.has_changed):
            return
        if self._requested:
            self._requested, self._error = False, ""
        try:
            self._apply()
        except SegueError as error:
            self._refuse(str(error))
        except Exception as error:  # a defect of segue ends no camera
            self._refuse(f"{self._file.path}: {type(error).__name__}: {error}")

    def _apply(self) -> None:
        """Apply the file to cameras and page, after validating all of it."""
        with self._lock:
            jobs, access = self._file.read()
            check_devices(jobs)
            self._cameras.check(jobs)
            change_page = self.prepare(jobs, access)
            self._cameras.page = access.address
            changes = self._cameras.update(jobs)
        if self._error:
            self._log.notice("", f"{self._file.path}: counts again")
        self._error = ""
        for name, what in changes.items():
            self._log.notice(name, f"{what} in {self._file.path}")
        for notice in change_page():
            self._log.notice("", notice)

    def _refuse(self, text: str) -> None:
        """Log why the file is not applied, once if it cannot be read."""
        if text != self._error or self._file.is_read:
            for problem in text.splitlines():
                self._log.warning("", f"{problem}; the cameras go on as before")
        self._error = text


class PageReload:
    """Applies the table ``[page]`` and renewed certificates to the page.

    Args:
        page: the page.
        host: address to listen on.
        port: its port; 0 is a free one.
        printed: the token that was printed when it began; empty for none.
        encryption: TLS settings with certificate files; None uses HTTP.
    """

    def __init__(
        self,
        page: CameraPage,
        host: str,
        port: int,
        printed: str,
        encryption: tuple[SSLContext, Path, Path | None] | None,
    ) -> None:
        self._page, self._host, self._port, self._printed = page, host, port, printed
        self._encryption = encryption

    def prepare(self, jobs: Mapping[str, ForegroundJob], access: Access) -> Callable[[], list[str]]:
        """Validate changes of the page; returns a function that applies them and returns notices."""
        check_port(self._port, jobs)
        complete, printed = access.for_host(self._host, self._printed)
        if self._encryption is not None:
            certificate(*self._encryption[1:])

        def follow() -> list[str]:
            previous = self._page.authenticator.access
            self._page.authenticator.access = complete
            if self._encryption is not None:
                load_certificate(*self._encryption)
            notices = [f"[page]: {changes}"] if (changes := complete.changes(previous)) else []
            if printed and complete.token != previous.token:
                notices.append(self.announcement(printed))
            self._printed = printed or self._printed
            return notices

        return follow

    def announcement(self, token: str) -> str:
        """Address of the page, with the token if it is new."""
        return f"cameras: {self._page.address}{f'?token={token}' if token else ''}"
