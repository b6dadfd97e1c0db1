"""What became of every video, in one SQLite file that outlives its process."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from segue.batch.plan import Task
from segue.errors import SegueError

State = Literal["queued", "running", "done", "failed"]

_SCHEMA = """
create table if not exists settings (key text primary key, value text not null);
create table if not exists videos (
    name text primary key, source text not null, arguments text not null,
    cost real not null, memory real not null,
    state text not null default 'queued', worker text, tries integer not null default 0, error text,
    heartbeat real, begun real, ended real, frames integer not null default 0, seconds real, digest text
);
create unique index if not exists by_task on videos (source, arguments);
create index if not exists by_state on videos (state);
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One video of the ledger.

    Attributes:
        name: name of its results.
        source: where it comes from.
        state: queued, running, done or failed.
        worker: who has or had it.
        tries: how often it was begun.
        error: why it failed, one line.
        frames: frames with results.
        seconds: time that its last try took.
        digest: SHA-256 over names and contents of its results.
    """

    name: str
    source: str
    state: State
    worker: str | None
    tries: int
    error: str | None
    frames: int
    seconds: float | None
    digest: str | None


class Ledger:
    """Table of all videos; one process writes it, any number may read.

    What is said of videos between two calls of :meth:`save` is kept together or not at all, so a batch costs
    one disk write for each round of news, however many videos there are.

    Args:
        path: the SQLite file.
        create: make it if it does not exist.

    Raises:
        SegueError: there is no such file, or it is not a ledger.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        if not create and not path.is_file():
            raise SegueError(f"{path}: there is no batch here")
        try:
            self._base = sqlite3.connect(path, timeout=30)
            self._base.execute("pragma journal_mode = wal")
            self._base.execute("pragma synchronous = normal")
            self._base.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise SegueError(f"{path}: the ledger cannot be used ({error})") from None

    def close(self) -> None:
        """Save and close."""
        self.save()
        self._base.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def settle(self, settings: dict[str, Any]) -> None:
        """Keep the settings of a new batch, or see that they are those of the batch that goes on.

        Raises:
            SegueError: they differ.
        """
        with self._base:
            for key, value in settings.items():
                text = json.dumps(value)
                known = self._base.execute("select value from settings where key = ?", (key,)).fetchone()
                if known is None:
                    self._base.execute("insert into settings values (?, ?)", (key, text))
                elif known[0] != text:
                    raise SegueError(
                        f"this batch was begun with {key} {known[0]}, not {text}; choose another output"
                    )

    def add(self, tasks: Iterable[Task]) -> None:
        """Queue the videos that are not known yet; one source with other arguments is another video.

        A name that another video has gets a number.
        """
        with self._base:
            taken = {row[0] for row in self._base.execute("select name from videos")}
            known = set(self._base.execute("select source, arguments from videos"))
            for task in tasks:
                arguments = json.dumps(task.arguments)
                if (task.source, arguments) in known:
                    continue
                known.add((task.source, arguments))
                name, number = task.name, 2
                while name in taken:
                    name, number = f"{task.name}-{number}", number + 1
                taken.add(name)
                self._base.execute(
                    "insert into videos (name, source, arguments, cost, memory) values (?, ?, ?, ?, ?)",
                    (name, task.source, arguments, task.cost, task.memory),
                )

    def recover(self, *, failed: bool = False) -> None:
        """Queue what was in work when the last process ended, and with ``failed`` what has failed."""
        with self._base:
            self._base.execute("update videos set state = 'queued' where state = 'running'")
            if failed:
                self._base.execute(
                    "update videos set state = 'queued', error = null, tries = 0 where state = 'failed'"
                )

    def queued(self) -> Iterator[Task]:
        """The videos that wait."""
        for name, source, arguments, cost, memory in self._base.execute(
            "select name, source, arguments, cost, memory from videos where state = 'queued' order by rowid"
        ):
            yield Task(name, source, tuple(json.loads(arguments)), cost, memory)

    def begun(self, name: str, worker: str) -> None:
        """A worker has taken the video."""
        now = time.time()
        self._base.execute(
            "update videos set state = 'running', worker = ?, tries = tries + 1, begun = ?, heartbeat = ?"
            " where name = ?",
            (worker, now, now, name),
        )

    def beat(self, name: str, frames: int) -> None:
        """A worker has given a sign of life."""
        self._base.execute(
            "update videos set heartbeat = ?, frames = ? where name = ? and state = 'running'",
            (time.time(), frames, name),
        )

    def done(self, name: str, worker: str, frames: int, seconds: float, digest: str) -> None:
        """The results are there; a second report of the same video changes nothing."""
        self._base.execute(
            "update videos set state = 'done', worker = ?, ended = ?, frames = ?, seconds = ?, digest = ?,"
            " error = null where name = ? and state != 'done'",
            (worker, time.time(), frames, seconds, digest, name),
        )

    def failed(self, name: str, error: str) -> None:
        """The video has failed for good."""
        self._base.execute(
            "update videos set state = 'failed', ended = ?, error = ? where name = ? and state != 'done'",
            (time.time(), error, name),
        )

    def waits(self, name: str) -> None:
        """The video is queued again."""
        self._base.execute("update videos set state = 'queued' where name = ? and state = 'running'", (name,))

    def save(self) -> None:
        """Write what was said since the last time."""
        self._base.commit()

    def counts(self) -> dict[State, int]:
        """How many videos are in each state."""
        found = dict(self._base.execute("select state, count(*) from videos group by state"))
        return {state: found.get(state, 0) for state in ("queued", "running", "done", "failed")}

    def rows(self, state: State | None = None) -> Iterator[Row]:
        """All videos, or those in one state, in the order of the list."""
        columns = ", ".join(Row.__slots__)
        where, values = ("where state = ?", (state,)) if state else ("", ())
        for row in self._base.execute(f"select {columns} from videos {where} order by rowid", values):
            yield Row(*row)


def only_process(path: Path) -> AbstractContextManager[object]:
    """A lock that is held until its end, or that of the process."""
    try:
        return FileLock(path).acquire(timeout=0)
    except Timeout:
        raise SegueError(f"{path.parent}: another batch is at work here; see it with --status") from None
