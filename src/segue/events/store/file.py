"""Connections to the SQLite file of the events of a camera."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from segue.errors import SinkError
from segue.events.store.schema import MIGRATIONS
from segue.utils.database import connect, migrate
from segue.utils.files import make_folder, reason_of

BUSY_SECONDS = 1.0
"""Seconds to wait for another process that has locked the file."""

CHECKPOINT_PAGES = 64
"""Number of pages of 4096 bytes in the journal that starts a checkpoint."""

MAX_READERS = 4
"""Maximum number of idle connections for reading."""


class StoreFile:
    """One connection that writes, and connections for reading, which do not wait for it.

    Callers of :meth:`connect`, :meth:`transaction` and :meth:`close` take turns; any thread may read.

    Args:
        path: the SQLite file; None keeps the tables in memory, in the connection that writes.

    Attributes:
        path: see above.
        keeps_readers: whether connections for reading stay open for the next reader.
    """

    def __init__(self, path: Path | None) -> None:
        self.path, self.keeps_readers = path, False
        self._base: sqlite3.Connection | None = None
        self._readers: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    @property
    def is_connected(self) -> bool:
        """Whether the connection that writes is open."""
        return self._base is not None

    def connect(self) -> sqlite3.Connection:
        """Return the connection that writes; creates the file and its tables."""
        if self._base is not None:
            return self._base
        if self.path is not None:
            make_folder(self.path.parent)
        base = connect(
            self.path,
            timeout=BUSY_SECONDS,
            checkpoint_pages=CHECKPOINT_PAGES,
            check_same_thread=False,
            isolation_level=None,
        )
        try:
            base.execute("begin immediate")
            migrate(base, MIGRATIONS)
            base.execute("commit")
        except BaseException:
            base.close()
            raise
        self._base = base
        return base

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction; errors of SQLite pass."""
        base = self.connect()
        base.execute("begin immediate")
        try:
            yield base
            base.execute("commit")
        except BaseException:
            with suppress(sqlite3.Error):
                base.execute("rollback")
            raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open a connection for reading a file; raises SinkError."""
        assert self.path is not None
        reader: sqlite3.Connection | None = None
        try:
            with self._lock:
                reader = self._readers.pop() if self._readers else None
            if reader is None:
                if not self.path.exists():
                    self.connect()
                reader = connect(self.path, timeout=BUSY_SECONDS, check_same_thread=False)
                reader.execute("pragma query_only = on")
            yield reader
        except (sqlite3.Error, OSError) as error:
            raise SinkError(f"{self.path}: cannot be read ({reason_of(error)})") from None
        finally:
            if reader is not None:
                with self._lock:
                    keeps = self.keeps_readers and len(self._readers) < MAX_READERS
                    if keeps:
                        self._readers.append(reader)
                if not keeps:
                    reader.close()

    def close(self) -> None:
        """Close all idle connections; those for reading in use are closed by their readers."""
        with self._lock:
            self.keeps_readers = False
            readers, self._readers = self._readers, []
        for each in (*readers, *([self._base] if self._base is not None else [])):
            with suppress(sqlite3.Error):
                each.close()
        self._base = None
