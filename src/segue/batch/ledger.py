"""What became of every video, in one SQLite file that outlives its process and a power cut."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from segue.batch.names import TakenNames
from segue.batch.places import hide_secrets
from segue.batch.plan import Task
from segue.errors import SegueError
from segue.system import sync_folder
from segue.video.identity import SourceIdentity

State = Literal["queued", "running", "done", "failed"]

STATES: tuple[State, ...] = ("queued", "running", "done", "failed")

VERSION = 3
"""Version of the tables, as SQLite's ``user_version``."""

_SCHEMA = """
create table if not exists settings (key text primary key, value text not null);
create table if not exists videos (
    name text primary key, source text not null, arguments text not null,
    cost real not null, memory real not null,
    state text not null default 'queued', worker text, tries integer not null default 0, error text,
    frames integer not null default 0, seconds real, digest text,
    identity text, job text not null default ''
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

    Records of videos between two calls of :meth:`save` are kept together or not at all, so a batch costs
    one disk write for each round of news, however many videos there are. What was saved survives a power cut:
    SQLite's write-ahead log is synced with each save (``synchronous = full``). Only its owner may read the
    file, for addresses of sources may hold passwords.

    Args:
        path: the SQLite file.
        create: make it if it does not exist.

    Raises:
        SegueError: there is no such file, it is not a ledger, or it cannot be written; so of all methods.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        if not create and not path.is_file():
            raise SegueError(f"{path}: there is no batch here")
        self._path = path
        with self._telling("used"):
            if create and not path.exists():
                path.touch(mode=0o600)
                sync_folder(path.parent)
            self._base = sqlite3.connect(path, timeout=30)
            # Names of files need not be valid text; see _bytes.
            self._base.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
            try:
                self._base.execute("pragma journal_mode = wal")
                self._base.execute("pragma synchronous = full")
                known = self._base.execute("select count(*) from sqlite_master").fetchone()[0]
                version = self._base.execute("pragma user_version").fetchone()[0]
                if known and version != VERSION:
                    raise SegueError(f"{path}: the ledger of another version of segue; choose another output")
                self._base.executescript(_SCHEMA)
                self._base.execute(f"pragma user_version = {VERSION}")
            except BaseException:
                self._base.close()
                raise

    def close(self) -> None:
        """Save and close."""
        try:
            self.save()
        finally:
            with suppress(sqlite3.Error):
                self._base.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _telling(self, what: str = "written") -> Iterator[None]:
        """Turn errors of SQLite and the system into one that people can read."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            full = "full" in str(error)
            hint = "; free some space, then continue with --resume" if full else ""
            raise SegueError(f"{self._path}: the ledger cannot be {what} ({error}){hint}") from None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._telling(), self._base:
            yield

    def _say(self, statement: str, *values: object) -> None:
        """Change something, to be saved later."""
        with self._telling():
            self._base.execute(statement, values)

    def settle(self, settings: dict[str, Any]) -> None:
        """Store the settings of a new batch, or check that they are those of the batch that is continued.

        Args:
            settings: JSON values by name.

        Raises:
            SegueError: they differ.
        """
        with self._transaction():
            for key, value in settings.items():
                text = json.dumps(value)
                known = self._base.execute("select value from settings where key = ?", (key,)).fetchone()
                if known is None:
                    self._base.execute("insert into settings values (?, ?)", (key, text))
                elif known[0] != text:
                    before, now = hide_secrets(known[0]), hide_secrets(text)
                    raise SegueError(
                        f"this batch was begun with {key} {before}, not {now}; give the same to go on, or "
                        "choose another output"
                    )

    def identity(self, new: str) -> str:
        """Give the identity of the batch.

        Args:
            new: identity to store if there is none yet.

        Returns:
            The stored identity.
        """
        with self._transaction():
            self._base.execute("insert or ignore into settings values ('identity', ?)", (new,))
        return str(self._base.execute("select value from settings where key = 'identity'").fetchone()[0])

    def add(self, tasks: Iterable[Task]) -> None:
        """Queue videos that are not known yet; one source with other arguments is another video.

        A name that another video has, or that lies in the folder of another, gets a number.

        Args:
            tasks: videos in the order of the list.
        """
        with self._transaction():
            names = TakenNames(row[0] for row in self._base.execute("select name from videos"))
            known = set(self._base.execute("select source, arguments from videos"))
            for task in tasks:
                arguments = json.dumps(task.arguments)
                if (task.source, arguments) in known:
                    continue
                known.add((task.source, arguments))
                self._base.execute(
                    "insert into videos (name, source, arguments, cost, memory, identity, job)"
                    " values (cast(? as text), cast(? as text), ?, ?, ?, ?, ?)",
                    (
                        _bytes(names.take(task.name)),
                        _bytes(task.source),
                        arguments,
                        task.cost,
                        task.memory,
                        _identity_text(task.identity),
                        task.job,
                    ),
                )

    def recover(self, *, failed: bool = False) -> None:
        """Queue the videos that were in work when the last process ended.

        Args:
            failed: queue those that have failed as well.
        """
        with self._transaction():
            self._base.execute("update videos set state = 'queued' where state = 'running'")
            if failed:
                self._base.execute(
                    "update videos set state = 'queued', error = null, tries = 0 where state = 'failed'"
                )

    def tasks(self, *states: State) -> Iterator[Task]:
        """Read the videos in some states.

        Args:
            states: such as ``"queued"``.

        Returns:
            Videos in the order of the list, read as they are asked for.
        """
        marks = ", ".join("?" * len(states))
        for name, source, arguments, cost, memory, identity, job in self._base.execute(
            "select name, source, arguments, cost, memory, identity, job from videos"
            f" where state in ({marks}) order by rowid",
            states,
        ):
            known = None if identity is None else SourceIdentity.from_json(json.loads(identity))
            yield Task(name, source, tuple(json.loads(arguments)), cost, memory, known, job)

    def queued(self) -> Iterator[Task]:
        """Read the videos that wait.

        Returns:
            Videos in the order of the list.
        """
        return self.tasks("queued")

    def again(self, name: str, identity: SourceIdentity | None = None) -> None:
        """Queue a video whatever its state.

        Args:
            name: name of the video.
            identity: identity of its source now; None keeps the stored one.
        """
        self._say(
            "update videos set state = 'queued', error = null, digest = null, tries = 0,"
            " identity = coalesce(?, identity) where name = cast(? as text)",
            _identity_text(identity),
            _bytes(name),
        )

    def reject(self, name: str, error: str) -> None:
        """Record that a video has failed, even if it was done: its source has changed since.

        Args:
            name: name of the video.
            error: message.
        """
        self._say(
            "update videos set state = 'failed', error = cast(? as text) where name = cast(? as text)",
            *(_bytes(error), _bytes(name)),
        )

    def begun(self, name: str, worker: str) -> None:
        """Record that a worker has started a video.

        Args:
            name: name of the video.
            worker: name of the worker.
        """
        self._say(
            "update videos set state = 'running', worker = ?, tries = tries + 1 where name = cast(? as text)",
            *(worker, _bytes(name)),
        )

    def beat(self, name: str, frames: int) -> None:
        """Record how far the worker is.

        Args:
            name: name of the video.
            frames: frames that are done.
        """
        self._say(
            "update videos set frames = ? where name = cast(? as text) and state = 'running'",
            *(frames, _bytes(name)),
        )

    def done(self, name: str, worker: str, frames: int, seconds: float, digest: str) -> None:
        """Record that a video is done; a second report of the same video changes nothing.

        Args:
            name: name of the video.
            worker: name of the worker.
            frames: number of its frames.
            seconds: time that the worker took.
            digest: SHA-256 of the results.
        """
        self._say(
            "update videos set state = 'done', worker = ?, frames = ?, seconds = ?, digest = ?, error = null"
            " where name = cast(? as text) and state != 'done'",
            *(worker, frames, seconds, digest, _bytes(name)),
        )

    def failed(self, name: str, error: str) -> None:
        """Record that a video has failed for good; one that is done stays done.

        Args:
            name: name of the video.
            error: message.
        """
        self._say(
            "update videos set state = 'failed', error = cast(? as text)"
            " where name = cast(? as text) and state != 'done'",
            *(_bytes(error), _bytes(name)),
        )

    def waits(self, name: str) -> None:
        """Queue a video again whose worker was lost.

        Args:
            name: name of the video.
        """
        self._say(
            "update videos set state = 'queued' where name = cast(? as text) and state = 'running'",
            _bytes(name),
        )

    def save(self) -> None:
        """Write what was said since the last time."""
        with self._telling():
            self._base.commit()

    def counts(self) -> dict[State, int]:
        """Count the videos in each state.

        Returns:
            Number of videos by state, 0 included.
        """
        found = dict(self._base.execute("select state, count(*) from videos group by state"))
        return {state: found.get(state, 0) for state in STATES}

    def rows(self, state: State | None = None) -> Iterator[Row]:
        """Read the records of videos.

        Args:
            state: only videos in this state; None reads all.

        Returns:
            Records in the order of the list, read as they are asked for.
        """
        columns = ", ".join(Row.__slots__)
        where = "where state = ?" if state else ""
        values: Sequence[str] = (state,) if state else ()
        for row in self._base.execute(f"select {columns} from videos {where} order by rowid", values):
            yield Row(*row)


def _bytes(text: str) -> bytes:
    """A text for SQLite, to be cast to text there: names of files need not be valid UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _identity_text(identity: SourceIdentity | None) -> str | None:
    return None if identity is None else json.dumps(identity.to_json())


def only_process(path: Path) -> AbstractContextManager[object]:
    """A lock that is held until its end, or that of the process."""
    try:
        return FileLock(path).acquire(timeout=0)
    except Timeout:
        raise SegueError(f"{path.parent}: another batch is at work here; see it with --status") from None
