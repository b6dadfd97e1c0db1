"""State of every video in one SQLite file that survives crashes and power cuts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from segue.batch.places import hide_secrets
from segue.batch.plan import Task, check_name, check_names, unique
from segue.errors import SegueError, SourceError
from segue.inputs import parse_json
from segue.system import sync_folder
from segue.video.identity import SourceIdentity

State = Literal["queued", "running", "done", "failed"]

STATES: tuple[State, ...] = get_args(State)

VERSION = 4
"""Version of the tables, as SQLite's ``user_version``."""

_SCHEMA = f"""
create table settings (key text primary key, value text not null);
create table videos (
    name text primary key, source text not null, arguments text not null, job text not null, identity text,
    state text not null default 'queued', worker text, tries integer not null default 0, error text,
    frames integer not null default 0, seconds real, digest text, stamp text
);
create unique index by_task on videos (source, arguments);
create index by_state on videos (state);
pragma user_version = {VERSION};
"""

_TASK = "name, source, arguments, job, identity"
_KINDS = (str, str, str, str | None, int, str | None, int, float | None, str | None, str | None)


@dataclass(frozen=True, slots=True)
class Row:
    """One video of the ledger.

    Attributes:
        name: name of its results.
        source: where it comes from.
        state: queued, running, done or failed.
        worker: host and process that did it.
        tries: how often it was begun.
        error: why it failed, one line.
        frames: frames with results.
        seconds: time that its last try took.
        digest: SHA-256 over names and contents of its results.
        stamp: SHA-256 over names, sizes and times of its results, None at an address.
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
    stamp: str | None


_ROW = ", ".join(item.name for item in fields(Row))


class Ledger(AbstractContextManager["Ledger"]):
    """Table of all videos; one process writes it, any number may read.

    Changes between two calls of :meth:`save` are kept together or not at all. What was saved survives a power
    cut: SQLite's write-ahead log is synced with each save. Only its owner may read the file, because
    addresses of sources may hold passwords.

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
            if not path.exists():
                path.touch(mode=0o600)
                sync_folder(path.parent)
            self._base = sqlite3.connect(path, timeout=30)
            # Names of files need not be valid text; see _bytes.
            self._base.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
            try:
                self._base.execute("pragma journal_mode = wal")
                self._base.execute("pragma synchronous = full")
                if not self._base.execute("select count(*) from sqlite_master").fetchone()[0]:
                    self._base.executescript(f"begin; {_SCHEMA} commit")
                if self._base.execute("pragma user_version").fetchone()[0] != VERSION:
                    raise SegueError(f"{path}: the ledger of another version of segue; choose another output")
            except BaseException:
                self._base.close()
                raise

    def close(self) -> None:
        """Save and close."""
        with closing(self._base):
            self.save()

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Turn errors of SQLite and the system, and values that an editor has damaged, into one line."""
        try:
            yield
        except (sqlite3.Error, OSError, SourceError, TypeError, ValueError) as error:
            full = "full" in str(error)
            hint = "free some space, then continue with --resume" if full else "choose another output"
            raise SegueError(f"{self._path}: the ledger cannot be {what} ({error}); {hint}") from None

    def _all(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Carry out a statement, and give what it selects."""
        with self._errors("read" if statement.startswith("select") else "written"):
            return self._base.execute(statement, values).fetchall()

    def _set(self, name: str, changes: str, *values: object) -> None:
        self._all(f"update videos set {changes} where name = cast(? as text)", *values, _bytes(name))

    def settle(self, settings: dict[str, Any]) -> None:
        """Store the settings of a new batch, or check that they equal those of the resumed one.

        Args:
            settings: JSON values by name.

        Raises:
            SegueError: they differ.
        """
        for key, value in settings.items():
            text = json.dumps(value)
            if (known := self._setting(key, text)) != text:
                before, now = hide_secrets(known), hide_secrets(text)
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
        return self._setting("identity", new)

    def _setting(self, key: str, new: str) -> str:
        """A stored value; ``new`` is stored if there is none."""
        self._all("insert or ignore into settings values (?, ?)", key, new)
        return str(self._all("select value from settings where key = ?", key)[0][0])

    def unknown(self, tasks: Iterable[Task]) -> list[Task]:
        """Select the videos that the ledger does not have, each once; other arguments make another video.

        Args:
            tasks: videos in the order of the list.

        Returns:
            Videos that :meth:`add` would add.
        """
        known = set(self._all("select source, arguments from videos"))
        return [task for task in unique(tasks) if (task.source, json.dumps(task.arguments)) not in known]

    def add(self, tasks: Iterable[Task]) -> None:
        """Queue videos that are not known yet.

        Args:
            tasks: videos in the order of the list.

        Raises:
            SegueError: two videos would write to one folder, or into one another's.
        """
        new = self.unknown(tasks)
        check_names([*(row[0] for row in self._all("select name from videos")), *(task.name for task in new)])
        rows = [
            (
                *(_bytes(task.name), _bytes(task.source), json.dumps(task.arguments), task.job),
                None if task.identity is None else json.dumps(task.identity.to_json()),
            )
            for task in new
        ]
        with self._errors("written"), self._base:
            self._base.executemany(
                f"insert into videos ({_TASK}) values (cast(? as text), cast(? as text), ?, ?, ?)", rows
            )

    def recover(self) -> None:
        """Queue the videos that were in work when the last process ended."""
        self._all("update videos set state = 'queued' where state = 'running'")
        self.save()

    def tasks(self, *states: State) -> list[Task]:
        """Read the videos in some states.

        Args:
            states: such as ``"queued"``.

        Returns:
            Videos in the order of the list.
        """
        found, jobs = [], dict[str, str]()  # most videos share one text
        marks = ", ".join("?" * len(states))
        for name, source, arguments, job, identity in self._all(
            f"select {_TASK} from videos where state in ({marks}) order by rowid", *states
        ):
            with self._errors(f"read at the video {name!r}"):
                check_name(name, SourceError)
                known = None if identity is None else SourceIdentity.from_json(parse_json(identity))
                given = tuple(parse_json(arguments))
                if not all(isinstance(text, str) for text in (source, job, *given)):
                    raise TypeError("an entry is no text")
            found.append(Task(name, source, given, known, jobs.setdefault(job, job)))
        return found

    def jobs(self) -> list[str]:
        """Read the jobs of all videos.

        Returns:
            JSON texts, each once.
        """
        return [str(row[0]) for row in self._all("select distinct job from videos")]

    def again(self, name: str, identity: SourceIdentity | None = None) -> None:
        """Queue a video in any state.

        Args:
            name: name of the video.
            identity: identity of its source now; None keeps the stored one.
        """
        self._set(
            name,
            "state = 'queued', error = null, digest = null, stamp = null, tries = 0,"
            " identity = coalesce(?, identity)",
            None if identity is None else json.dumps(identity.to_json()),
        )

    def begun(self, name: str) -> None:
        """Record that a video was given to the workers.

        Args:
            name: name of the video.
        """
        self._set(name, "state = 'running', tries = tries + 1")

    def done(
        self, name: str, worker: str, frames: int, seconds: float, digest: str, stamp: str | None
    ) -> None:
        """Record that a video is done.

        Args:
            name: name of the video.
            worker: host and process that did it.
            frames: number of its frames.
            seconds: time that it took.
            digest: SHA-256 over names and contents of the results.
            stamp: SHA-256 over names, sizes and times of the results, None at an address.
        """
        changes = "state = 'done', worker = ?, frames = ?, seconds = ?, digest = ?, stamp = ?, error = null"
        self._set(name, changes, worker, frames, seconds, digest, stamp)

    def failed(self, name: str, error: str) -> None:
        """Record that a video has failed, even if it was done before.

        Args:
            name: name of the video.
            error: message.
        """
        self._set(name, "state = 'failed', error = cast(? as text)", _bytes(error))

    def stamped(self, name: str, stamp: str) -> None:
        """Record other times of the same results, which were copied for example.

        Args:
            name: name of the video.
            stamp: SHA-256 over names, sizes and times of the results.
        """
        self._set(name, "stamp = ?", stamp)

    def save(self) -> None:
        """Write what was recorded since the last time."""
        with self._errors("written"):
            self._base.commit()

    def counts(self) -> dict[State, int]:
        """Count the videos in each state.

        Returns:
            Number of videos by state, 0 included.
        """
        found = dict(self._all("select state, count(*) from videos group by state"))
        return {state: found.get(state, 0) for state in STATES}

    def rows(self, state: State | None = None) -> list[Row]:
        """Read the records of videos.

        Args:
            state: only videos in this state; None reads all.

        Returns:
            Records in the order of the list.
        """
        where = "where state = ?" if state else ""
        found = self._all(f"select {_ROW} from videos {where} order by rowid", *([state] if state else []))
        for row in found:
            if row[2] not in STATES or not all(map(isinstance, row, _KINDS)):
                raise SegueError(
                    f"{self._path}: the ledger is damaged at the video {row[0]!r}; choose another output"
                )
        return [Row(*row) for row in found]


def _bytes(text: str) -> bytes:
    """A text for SQLite, to be cast to text there: names of files need not be valid UTF-8."""
    return text.encode("utf-8", "surrogateescape")
