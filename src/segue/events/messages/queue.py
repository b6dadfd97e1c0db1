"""Messages that wait to be delivered, in a file, so that they outlive the process."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from segue.errors import SinkError
from segue.utils.files import make_folder

MAX_MESSAGES = 100_000
"""Messages that may wait; when there are more, the oldest ones are lost."""

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


@dataclass(frozen=True, slots=True)
class Message:
    """What waits to be delivered, and how often its receiver has refused it."""

    id: str
    body: bytes
    refused: int = 0


class MessageQueue:
    """Messages in the order in which they came; what :meth:`put` has taken survives a power cut.

    Any thread may call the methods.

    Args:
        path: the SQLite file; None keeps the messages in memory.
        max_messages: messages that may wait.

    Attributes:
        lost: messages that had to go because too many waited.

    Raises:
        SinkError: the file cannot be used; so of all methods.
    """

    def __init__(self, path: Path | None = None, max_messages: int = MAX_MESSAGES) -> None:
        self._path, self._max_messages = path, max_messages
        self._lock = threading.Lock()
        self.lost = 0
        with self._errors():
            if path is not None:
                make_folder(path.parent)
            self._base = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
            try:
                self._base.execute("pragma auto_vacuum = full")
                self._base.execute("pragma journal_mode = wal")
                self._base.execute(f"pragma wal_autocheckpoint = {MAX_JOURNAL // PAGE}")
                self._base.execute(f"pragma journal_size_limit = {MAX_JOURNAL}")
                self._base.execute("pragma synchronous = full")
                self._base.execute(_SCHEMA)
            except BaseException:
                self._base.close()
                raise

    def __len__(self) -> int:
        with self._using() as base:
            return int(base.execute("select count(*) from messages").fetchone()[0])

    def put(self, message: Message) -> bool:
        """Add a message, and say whether it is new; one of that id may wait already."""
        with self._using() as base:
            added = base.execute(
                "insert or ignore into messages (id, body) values (?, ?)", (message.id, message.body)
            ).rowcount
            newest = "select number from messages order by number desc limit ?"
            waiting = base.execute("select count(*) from messages").fetchone()[0]
            if waiting > self._max_messages:
                self.lost += base.execute(
                    f"delete from messages where number not in ({newest})", (self._max_messages,)
                ).rowcount
            return added > 0

    def first(self) -> Message | None:
        """The message whose turn it is; those that were refused come last."""
        with self._using() as base:
            cursor = base.execute("select id, body, refused from messages order by refused, number limit 1")
            row: tuple[str, bytes, int] | None = cursor.fetchone()
            return None if row is None else Message(*row)

    def remove(self, id: str) -> None:
        """Forget a message, which was delivered."""
        with self._using() as base:
            base.execute("delete from messages where id = ?", (id,))

    def postpone(self, id: str) -> None:
        """Try the others first."""
        with self._using() as base:
            base.execute("update messages set refused = refused + 1 where id = ?", (id,))

    def close(self, *, keep: bool = True, shared: bool = False) -> None:
        """Close the file, and remove it where nothing is to be kept, or nothing waits in it.

        A ``shared`` one, which another run has opened meanwhile, stays in any case.
        """
        with self._lock, suppress(sqlite3.Error):
            empty = self._base.execute("select count(*) from messages").fetchone()[0] == 0
            self._base.close()
            if self._path is not None and not shared and (empty or not keep):
                self._path.unlink(missing_ok=True)

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors():
            yield self._base

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            where = self._path or "messages"
            raise SinkError(
                f"{where}: messages cannot wait there ({error}); free some space, or remove the file"
            ) from None
