"""Messages until they have arrived: in memory at once, and in a file, so that they outlive the process."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from segue.errors import SinkError
from segue.utils.files import make_folder, reason_of

MAX_MESSAGES = 100_000
"""Messages that may wait; when there are more, the oldest ones are lost."""

MAX_IN_MEMORY = 1000
"""Messages that wait in memory while their file takes none."""

RETRY_SECONDS = 1.0
"""How often a file is tried again that takes no messages."""

BUSY_SECONDS = 0.2
"""Seconds that a message waits for a file that another process has locked."""

PAGE = 4096
"""Bytes of a page of the file."""

MAX_JOURNAL = 64 * PAGE
"""Bytes of the journal beside the file; SQLite's own limit is 4 MB, also where no message waits."""

_SCHEMA = """
create table if not exists messages (
    number integer primary key autoincrement, id text unique not null, body blob not null,
    refused integer not null default 0
)
"""

_INSERT = "insert or ignore into messages (id, body, refused) values (?, ?, ?)"
_TRIM = (
    "delete from messages where number <= (select number from messages order by number desc limit 1 offset ?)"
)

_OUTBOXES: dict[Path, Outbox] = {}
"""Those of this process that are open, or that their file had no room for, by their files."""

_OUTBOXES_LOCK = threading.RLock()


@dataclass(frozen=True, slots=True)
class Message:
    """What waits to be delivered.

    Attributes:
        id: tells it from others.
        body: what is sent.
        refused: how often its receiver has refused it.
        stored: whether it is in the file.
    """

    id: str
    body: bytes
    refused: int = 0
    stored: bool = False


class Outbox:
    """Messages in the order in which they came, until they have arrived; no method waits for a disk or fails.

    A message is in memory at once, and in the file as soon as that takes it; then it survives a power cut.
    Any thread may call the methods. Runs of one process with one file share one outbox, see :meth:`open`.

    Args:
        path: the SQLite file; None keeps the messages in memory.
        max_messages: messages that may wait.

    Attributes:
        problem: why its file takes no messages; empty where it does.
        lost: messages that had to go because too many waited.

    Raises:
        SinkError: there is another file in the place of that file.
    """

    def __init__(self, path: Path | None = None, max_messages: int = MAX_MESSAGES) -> None:
        self._path, self._max_messages = path, max_messages
        self._lock = threading.RLock()
        self._base: sqlite3.Connection | None = None
        self._pending: dict[str, Message | None] = {}  # what the file lacks; None: it is to forget a message
        self._num_waiting = self._num_users = 0
        self._retry_time = 0.0
        self.problem, self.lost = "", 0
        try:
            base = self._connect()
            self._num_waiting = int(base.execute("select count(*) from messages").fetchone()[0])
        except sqlite3.OperationalError as error:  # as on a full disk
            self._note(error)
        except sqlite3.DatabaseError as error:
            raise SinkError(f"{path}: is no file of messages ({error}); remove it") from None
        except OSError as error:
            self._note(error)

    @classmethod
    def open(cls, path: Path | None) -> Outbox:
        """The outbox of a file for a run, with what earlier runs of this process could not store.

        Args:
            path: the SQLite file; None keeps the messages in memory.

        Returns:
            One that other runs of this process may have open, too; each calls :meth:`close`.

        Raises:
            SinkError: there is another file in the place of that file.
        """
        with _OUTBOXES_LOCK:
            if path is None:
                outbox = cls()
            else:
                path = path.resolve()
                outbox = _OUTBOXES.get(path) or cls(path)
                _OUTBOXES[path] = outbox
            outbox._num_users += 1
        return outbox

    def __len__(self) -> int:
        """Messages that wait."""
        return self._num_waiting

    @property
    def num_unsaved(self) -> int:
        """Messages that wait in memory alone, and are lost when the process ends."""
        with self._lock:
            return sum(message is not None and not message.stored for message in self._pending.values())

    def put(self, id: str, body: bytes) -> None:
        """Add a message, unless one of that id waits already."""
        with self._lock:
            if self._pending.get(id) is not None:
                return
            self._pending[id] = Message(id, body)
            self._num_waiting += 1
            self._flush()
            if self.num_unsaved > MAX_IN_MEMORY:
                oldest = next(each for each in self._pending.values() if each is not None and not each.stored)
                del self._pending[oldest.id]
                self._lose(1)

    def first(self) -> Message | None:
        """The message whose turn it is; those that were refused come last."""
        with self._lock:
            self._flush()
            in_memory = [message for message in self._pending.values() if message is not None]
            first = min(in_memory, key=lambda message: message.refused, default=None)
            stored = self._first_stored()
            if stored is None or (first is not None and first.refused < stored.refused):
                return first
            return stored  # which came earlier

    def remove(self, message: Message) -> None:
        """Forget a message, which has arrived."""
        with self._lock:
            in_memory = self._pending.pop(message.id, None)
            if message.stored or in_memory is None or in_memory.stored:
                self._pending[message.id] = None
            self._num_waiting -= 1
            self._flush()

    def postpone(self, message: Message) -> None:
        """Try the others first."""
        with self._lock:
            in_memory = self._pending.pop(message.id, None)
            stored = message.stored or in_memory is None or in_memory.stored
            self._pending[message.id] = replace(message, refused=message.refused + 1, stored=stored)
            self._flush()

    def close(self, *, keep: bool = True) -> None:
        """End the use of a run; the last one closes the file, and removes it where nothing waits in it.

        What the file has no room for waits in memory for the next run of this process.

        Args:
            keep: leave what waits for the next run.
        """
        with _OUTBOXES_LOCK, self._lock:
            self._num_users -= 1
            if self._num_users > 0:
                return
            self._retry_time = 0.0
            self._flush()
            if not (keep and self._pending) and self._path is not None:
                _OUTBOXES.pop(self._path, None)
            self._disconnect(keep=keep)

    def _lose(self, number: int) -> None:
        self._num_waiting -= number
        self.lost += number

    def _flush(self) -> None:
        """Have the file take what waits in memory, and forget what has arrived."""
        if not self._pending or time.monotonic() < self._retry_time:
            return
        with self._lenient():
            base = self._connect()
            for id, message in [*self._pending.items()]:
                self._store(base, id, message)
                del self._pending[id]
            self.problem = ""

    def _store(self, base: sqlite3.Connection, id: str, message: Message | None) -> None:
        if message is None:
            if not base.execute("delete from messages where id = ?", (id,)).rowcount:
                self._num_waiting += 1  # two runs have sent it, and both have counted it
        elif message.stored:
            base.execute("update messages set refused = ? where id = ?", (message.refused, id))
        elif not base.execute(_INSERT, (id, message.body, message.refused)).rowcount:
            self._num_waiting -= 1  # it waits already
        elif self._num_waiting > self._max_messages:
            self._lose(base.execute(_TRIM, (self._max_messages,)).rowcount)

    def _first_stored(self) -> Message | None:
        with self._lenient():
            for id, body, refused in self._connect().execute(
                "select id, body, refused from messages order by refused, number"
            ):
                if id not in self._pending:
                    return Message(id, body, refused, stored=True)
            if not self._pending:
                self.problem = ""
        return None

    def _connect(self) -> sqlite3.Connection:
        if self._base is not None:
            return self._base
        if self._path is not None:
            make_folder(self._path.parent)
        base = sqlite3.connect(
            self._path or ":memory:", BUSY_SECONDS, check_same_thread=False, isolation_level=None
        )
        try:
            base.execute("pragma auto_vacuum = full")
            base.execute("pragma journal_mode = wal")
            base.execute(f"pragma wal_autocheckpoint = {MAX_JOURNAL // PAGE}")
            base.execute(f"pragma journal_size_limit = {MAX_JOURNAL}")
            base.execute("pragma synchronous = full")
            base.execute(_SCHEMA)
        except BaseException:
            base.close()
            raise
        self._base = base
        return base

    def _disconnect(self, *, keep: bool) -> None:
        base, self._base = self._base, None
        with suppress(sqlite3.Error, OSError):
            empty = base is not None and not base.execute("select 1 from messages limit 1").fetchone()
            if base is not None:
                base.close()
            if self._path is not None and (empty or not keep):
                self._path.unlink(missing_ok=True)

    @contextmanager
    def _lenient(self) -> Iterator[None]:
        """Go on where the file cannot be used; it is tried again later."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self._note(error)

    def _note(self, error: Exception) -> None:
        self.problem = f"{self._path}: messages cannot wait there ({reason_of(error)})"
        self._retry_time = time.monotonic() + RETRY_SECONDS
