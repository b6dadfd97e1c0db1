"""State of every video in one SQLite file that survives crashes and power cuts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from segue.batch.places import without_secrets
from segue.batch.plan import State, Task, check_name, jobs_of
from segue.errors import SegueError, SourceError
from segue.jobs.values import VideoJob, from_json, to_json
from segue.utils.database import Migration, VersionError, connect, migrate
from segue.utils.inputs import parse_json
from segue.video.sources.identity import SourceIdentity

STATES: tuple[State, ...] = get_args(State)

VERSION = 8
"""Version of the tables, as SQLite's ``user_version``."""

_PACE = "pace real check (typeof(pace) in ('null', 'real'))"
"""Column added in version 8."""

_SCHEMA = (
    "create table settings (key text primary key, value text not null)",
    f"""create table videos (
    name text primary key, source text not null check (typeof(source) = 'text'), arguments text not null,
    identity text, job text,
    state text not null default 'queued' check (state in {STATES}), worker text,
    tries integer not null default 0 check (typeof(tries) = 'integer'), error text,
    frames integer not null default 0 check (typeof(frames) = 'integer'),
    seconds real check (typeof(seconds) in ('null', 'real')), digest text, stamp text,
    {_PACE}
)""",
    "create unique index by_task on videos (source, arguments)",
    "create index by_state on videos (state)",
)


def _begin(base: sqlite3.Connection) -> None:
    for statement in _SCHEMA:
        base.execute(statement)


_MIGRATIONS = {
    0: Migration(VERSION, _begin),
    7: Migration(VERSION, lambda base: base.execute(f"alter table videos add column {_PACE}")),
}

_OUTCOME = ("state", "worker", "tries", "error", "frames", "seconds", "pace", "digest", "stamp")
"""Columns that change, in the order of the attributes of :class:`Task`."""


class Ledger(AbstractContextManager["Ledger"]):
    """Table of all videos; one process writes it, any number may read.

    Changes between two calls of :meth:`save` are kept together or not at all. Saved changes survive a power
    cut: SQLite's write-ahead log is synced with each save. Addresses are kept without users, passwords and
    queries; only the owner of the file may read it.

    Args:
        path: the SQLite file.
        create: make it if it does not exist.

    Raises:
        SegueError: there is no such file, it is damaged or no ledger, or it cannot be written; so of all
            methods.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        if not create and not path.is_file():
            raise SegueError(f"{path}: there is no batch here")
        self._path = path
        with self._errors("used"):
            self._base = connect(path)
            # Names of files need not be valid text; see _bytes.
            self._base.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
            try:
                with self._base:
                    self._base.execute("begin immediate")
                    migrate(self._base, _MIGRATIONS)
            except BaseException as error:
                self._base.close()
                if isinstance(error, VersionError):
                    raise SegueError(
                        f"{path}: the ledger of another version of segue; choose another output"
                    ) from None
                raise

    def close(self) -> None:
        """Save and close."""
        with closing(self._base):
            self.save()

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Turn errors of SQLite and the system, and damaged values, into a one-line error."""
        try:
            yield
        except (sqlite3.Error, OSError, SourceError, TypeError, ValueError) as error:
            full = "full" in str(error)
            hint = "free some space, then continue with --resume" if full else "choose another output"
            raise SegueError(f"{self._path}: the ledger cannot be {what} ({error}); {hint}") from None

    def _all(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Execute a statement; returns the selected rows."""
        with self._errors("read" if statement.startswith("select") else "written"):
            return self._base.execute(statement, values).fetchall()

    def settle(self, settings: dict[str, Any], earlier: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Store the settings of a new batch, or check that they equal those of the resumed one.

        Args:
            settings: JSON values by name.
            earlier: the same settings as earlier versions recorded them, where that differs.

        Raises:
            SegueError: they differ.
        """
        for key, value in settings.items():
            text, other = (without_secrets(json.dumps(each)) for each in (value, earlier.get(key, value)))
            self._all("insert or ignore into settings values (?, ?)", key, text)
            ((recorded,),) = self._all("select value from settings where key = ?", key)
            if recorded not in (text, other):
                raise SegueError(
                    f"this batch was begun with {key} {recorded}, not {text}; give the same to go on, or "
                    "choose another output"
                )

    def add(self, tasks: Iterable[Task]) -> None:
        """Queue new videos.

        Args:
            tasks: videos in the order of the list; the ledger has none of their names.
        """
        new = list(tasks)
        texts = {id(job): without_secrets(to_json(job)) for job in jobs_of(new)}
        rows = [
            (
                *(_bytes(task.name), _bytes(task.key[0]), json.dumps(task.key[1])),
                *(_identity(task), texts.get(id(task.job))),
            )
            for task in new
        ]
        with self._errors("written"), self._base:
            self._base.executemany(
                "insert into videos (name, source, arguments, identity, job)"
                " values (cast(? as text), cast(? as text), ?, ?, ?)",
                rows,
            )

    def recover(self) -> None:
        """Queue the videos that were in work when the last process ended."""
        self._all("update videos set state = 'queued' where state = 'running'")
        self.save()

    def tasks(self, *states: State) -> list[Task]:
        """Read the videos in some states.

        Args:
            states: such as ``"queued"``; without any, all videos are read.

        Returns:
            Videos in the order of the list; those with equal jobs share one.
        """
        tasks = []
        jobs: dict[str | None, VideoJob | None] = {None: None}
        where = f"where state in ({', '.join('?' * len(states))})" if states else ""
        columns = f"name, source, arguments, identity, job, {', '.join(_OUTCOME)}"
        rows = self._all(f"select {columns} from videos {where} order by rowid", *states)
        with self._errors("read"):
            for name, source, arguments, identity, job, *outcome in rows:
                check_name(name, SourceError)
                recorded = None if identity is None else SourceIdentity.from_json(parse_json(identity))
                if job not in jobs:
                    jobs[job] = _job(job)
                tasks.append(Task(name, source, tuple(parse_json(arguments)), recorded, jobs[job], *outcome))
        return tasks

    def record(self, task: Task) -> None:
        """Record the outcome of a video and the identity of its source.

        Args:
            task: the current state of the video, which is identified by its name.
        """
        # Columns of numbers take texts as numbers.
        columns = ", ".join(f"{column} = cast(? as text)" for column in ("identity", *_OUTCOME))
        values = [_identity(task), *(getattr(task, column) for column in _OUTCOME), task.name]
        self._all(
            f"update videos set {columns} where name = cast(? as text)",
            *(_bytes(value) if isinstance(value, str) else value for value in values),
        )

    def save(self) -> None:
        """Write all records since the last save."""
        with self._errors("written"):
            self._base.commit()

    def counts(self) -> dict[State, int]:
        """Count the videos in each state.

        Returns:
            Number of videos by state, 0 included.
        """
        counts = dict(self._all("select state, count(*) from videos group by state"))
        return {state: counts.get(state, 0) for state in STATES}


def _identity(task: Task) -> str | None:
    return None if task.identity is None else json.dumps(task.identity.to_json())


def _job(text: str) -> VideoJob:
    job = from_json(text)
    if not isinstance(job, VideoJob):
        raise TypeError(f"a batch does videos, not a job of the kind {job.kind}")
    return job


def _bytes(text: str) -> bytes:
    """Encode a text that SQLite casts back to text: file names need not be valid UTF-8."""
    return text.encode("utf-8", "surrogateescape")
