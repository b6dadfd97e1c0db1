"""Rows of a project in SQLite (WAL), with the history of changes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any, Literal, NamedTuple, cast, get_args

from filelock import FileLock, Timeout

from segue.errors import SegueError, SinkError
from segue.utils.database import connect
from segue.utils.files import make_private, replacing, writing
from segue_web.project.migrations import WITH_PEOPLE, WITH_REVIEW, migrate, stored_version, tables
from segue_web.project.newest import newest_changes
from segue_web.project.source import SourceRecord, check_source, source_record
from segue_web.server.conflicts import ConflictError, LastChange

FORMAT, EARLIER_FORMATS = 3, ("2",)

HISTORY = 500
"""Steps that can be undone."""

LastId = Literal["last", "last_comment", "last_shape", "last_entry"]
"""Keys of the largest assigned ids: of objects, comments, shapes, and steps of the history."""

_actor: ContextVar[str] = ContextVar("actor", default="")


def actor() -> str:
    """Person of the current request; empty without one."""
    return _actor.get()


@contextmanager
def acting(user: str) -> Iterator[None]:
    """Attribute changes inside the block to a person."""
    token = _actor.set(user)
    try:
        yield
    finally:
        _actor.reset(token)


Row = dict[str, Any]


class Progress(NamedTuple):
    """Progress of a project: frames, annotated and reviewed frames, objects."""

    frames: int
    annotated: int
    reviewed: int
    objects: int


Target = tuple[str | int, ...]
"""Unit of change with its own version: ``schema``; ``frame`` with its index; ``mask`` with its
object and frame; ``comment`` and ``shape`` with their id; ``object`` with its id, and with a column and an
attribute."""


@dataclass(slots=True)
class Changed:
    """Frames touched by a change, and whether objects, schema or comments changed.

    ``numbers``: the objects that an undone or redone step is about. ``targets``: what has changed, but for
    frames. ``replaced``: by frame and object the masks in whose place a person gave another one. ``entry``:
    number of the step of the history, if something has changed.
    """

    frames: set[int]
    entry: int | None = None
    numbers: set[int] = field(default_factory=set)
    targets: set[Target] = field(default_factory=set)
    replaced: dict[tuple[int, int], str] = field(default_factory=dict)
    objects: bool = False
    schema: bool = False
    comments: bool = False
    shapes: bool = False


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a project's database read-only, as last saved; SegueError if it is damaged."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            yield database
    except (sqlite3.DatabaseError, ValueError, TypeError, KeyError) as error:
        raise SegueError(f"{path}: damaged or not a project ({error})") from None


class Store:
    """Rows with changes, undo and redo; see :class:`segue_web.project.project.Project`."""

    def __init__(
        self, folder: Path, video: Mapping[str, Any], source: Path | None = None, *, adopt: bool = False
    ) -> None:
        self.folder = folder
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._refuse_empty_database()
        self._entry: int | None = None
        self._changed = Changed(set())
        self.opened = LastChange()  # the last change of any part before it was opened
        self._last_changes: dict[Target, LastChange] = {}  # since then
        self._mask_changes: dict[int, dict[int, LastChange]] = {}  # of masks, by object and frame
        self._locked_objects: frozenset[int] = frozenset()
        self._lock = FileLock(folder / "project.lock", blocking=False, thread_local=False)
        with writing(folder):
            try:
                self._lock.acquire()
            except Timeout:
                raise SegueError(f"{folder}: is open in another process; close that one first") from None
        try:
            # project.db alone is to be seldom far behind.
            self._db = connect(
                folder / "project.db",
                timeout=5.0,
                synchronous="normal",
                checkpoint_pages=64,
                isolation_level=None,
                check_same_thread=False,
            )
            self._db.row_factory = sqlite3.Row
            self._prepare(dict(video))
            self.opened = LastChange(self.revision)
            if source is not None:
                self._take_source(source, adopt)
        except BaseException as error:
            self.close()
            if isinstance(error, sqlite3.OperationalError):
                raise SinkError(f"{folder / 'project.db'}: cannot be opened or written ({error})") from None
            if isinstance(error, sqlite3.DatabaseError | ValueError):  # ValueError: what is stored as JSON
                raise SegueError(f"{folder / 'project.db'}: damaged or not a project ({error})") from None
            raise

    @staticmethod
    def copy(folder: Path, target: Path, video: Path | None = None) -> None:
        """Copy a project as last saved, checking its video if given; it may be open."""
        source, copied = folder / "project.db", target / "project.db"
        if not source.is_file():
            raise SegueError(f"{folder}: there is no project to copy")
        if video is not None:
            check_source(folder, Store.source_of(folder), video)
        if copied.exists():
            raise SinkError(f"{copied}: exists already; choose another folder")
        with writing(target):
            target.mkdir(parents=True, exist_ok=True)
        try:
            with (
                replacing(copied) as path,
                closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as database,
            ):
                make_private(path)
                database.execute("VACUUM INTO ?", (str(path),))
        except sqlite3.DatabaseError as error:
            raise SegueError(f"{source}: cannot be copied ({error})") from None

    @staticmethod
    def progress(folder: Path) -> Progress | None:
        """Read the saved progress of a project; it may be open. None if there is none."""
        path = folder / "project.db"
        if not path.is_file() or not path.stat().st_size:
            return None
        with _reading(path) as database:
            done = "min(reviewed)" if stored_version(database) >= WITH_REVIEW else "0"
            frames = f"SELECT {done} AS done FROM marks GROUP BY frame"
            annotated, reviewed = database.execute(
                f"SELECT count(*), coalesce(sum(done), 0) FROM ({frames})"
            ).fetchone()
            [objects] = database.execute("SELECT count(*) FROM objects").fetchone()
            [video] = database.execute("SELECT value FROM meta WHERE key='film'").fetchone()
            return Progress(int(json.loads(video)["frames"]), annotated, int(reviewed), objects)

    @staticmethod
    def source_of(folder: Path) -> SourceRecord | None:
        """Video with which a project was last opened; None if unknown."""
        path = folder / "project.db"
        if not path.is_file() or not path.stat().st_size:
            return None
        with _reading(path) as database:
            row = database.execute("SELECT value FROM meta WHERE key='source'").fetchone()
            return None if row is None else _source_record(json.loads(row[0]))

    @staticmethod
    def video_of(folder: Path) -> Path | None:
        """Path of :meth:`source_of`."""
        source = Store.source_of(folder)
        return None if source is None else Path(source["path"])

    @staticmethod
    def people_of(folder: Path) -> list[Row]:
        """:meth:`people` of a project as last saved."""
        path = folder / "project.db"
        with _reading(path) as database:
            database.row_factory = sqlite3.Row
            return _people(database) if stored_version(database) >= WITH_PEOPLE else []

    def close(self) -> None:
        """Close the project for other processes."""
        if hasattr(self, "_db"):
            self._db.close()
        self._lock.release()

    @property
    def revision(self) -> int:
        """Number of the last change; it always grows."""
        return int(self._meta("revision"))

    def last_change(self, *target: str | int) -> LastChange:
        """Version of a :data:`Target`.

        Which part an earlier process changed is not known, so that each has the last change of that process.
        """
        if target == ("schema",):
            return LastChange(*(self.noted("schema_change") or ()))
        return self._last_changes.get(target, self.opened)

    def mask_changes(self, number: int) -> dict[int, LastChange]:
        """Last changes of an object's masks since the project was opened, by frame."""
        return self._mask_changes.get(number, {})

    def publish(self, changed: Changed) -> None:
        """Callback for each saved change."""

    def history(self) -> dict[str, Any]:
        """Names of the next undo and redo steps, with ``users`` and ``entries``."""
        rows = {"undo": self._next_entry(redo=False), "redo": self._next_entry(redo=True)}
        users = {name: "" if row is None else str(row["user"]) for name, row in rows.items()}
        labels = {name: None if row is None else str(row["label"]) for name, row in rows.items()}
        entries = {name: None if row is None else int(row["id"]) for name, row in rows.items()}
        return {**labels, "users": users, "entries": entries}

    def changes(self) -> list[Row]:
        """Newest steps of the history; see :func:`segue_web.project.newest.newest_changes`."""
        return newest_changes(self._db)

    def people(self) -> list[Row]:
        """Contributions: user, frames with their masks, reviewed frames, and comments."""
        return _people(self._db)

    def hold(self, objects: Iterable[int]) -> None:
        """Exclude steps of these objects from undo and redo while they are in use."""
        self._locked_objects = frozenset(objects)

    def _next_entry(self, *, redo: bool) -> sqlite3.Row | None:
        order = "WHERE undone ORDER BY id" if redo else "WHERE NOT undone ORDER BY id DESC"
        passed: list[int] = []
        for row in self._db.execute(f"SELECT id, label, user FROM history {order}"):
            if not self._touches(row["id"], self._locked_objects):
                return None if self._builds_on(row["id"], passed) else cast(sqlite3.Row, row)
            passed.append(row["id"])
        return None

    def _touches(self, entry: int, objects: frozenset[int]) -> bool:
        """Whether a step changes masks or prompts of one of these objects, or removes it."""
        if not objects:
            return False
        ids = ", ".join(map(str, sorted(objects)))
        sql = f"""SELECT 1 FROM steps WHERE entry=? AND (
            (tbl IN ('marks', 'prompts') AND json_extract(key, '$[1]') IN ({ids}))
            OR (tbl='objects' AND before IS NULL AND json_extract(key, '$[0]') IN ({ids}))) LIMIT 1"""
        return self._one(sql, entry) is not None

    def _shares_rows(self, entry: int, other_entries: Sequence[int]) -> bool:
        """Whether a later step that stays changed the rows of a step."""
        sql = f"""SELECT 1 FROM steps AS one JOIN steps AS other ON one.tbl=other.tbl AND one.key=other.key
            WHERE one.entry=? AND other.entry IN ({", ".join("?" * len(other_entries))}) LIMIT 1"""
        return self._one(sql, entry, *other_entries) is not None

    @contextmanager
    def change(
        self, label: str, *, entry: int | None = None, of: Iterable[int] | None = None
    ) -> Iterator[Changed]:
        """Make a history step, or part of ``entry``, if rows change; drops redo steps ``of`` some objects."""
        with self._transaction() as changed:
            is_new = entry is None
            if entry is None:
                entry = self._new_id("last_entry")
                sql = "INSERT INTO history (id, label, user) VALUES (?, ?, ?)"
                self._db.execute(sql, (entry, label, actor()))
            self._db.execute("UPDATE history SET time=? WHERE id=?", (time(), entry))
            self._entry = entry
            yield changed
            if self._one("SELECT 1 FROM steps WHERE entry=? LIMIT 1", entry) is None:
                self._db.execute("DELETE FROM history WHERE id=?", (entry,))
                return
            changed.entry = entry
            if is_new:
                self._drop_undone(None if of is None else frozenset(of))
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        """Drop the steps before the last :data:`HISTORY`."""
        oldest = self._one("SELECT id FROM history ORDER BY id DESC LIMIT 1 OFFSET ?", HISTORY)
        if oldest is not None:
            self._db.execute("DELETE FROM history WHERE id<=?", (oldest["id"],))
            self._db.execute("DELETE FROM steps WHERE entry<=?", (oldest["id"],))

    def _drop_undone(self, objects: frozenset[int] | None) -> None:
        """Drop redo steps of some objects, with dependent ones, or all; also those that change nothing."""
        self._db.execute("DELETE FROM history WHERE undone AND id NOT IN (SELECT entry FROM steps)")
        dropped: list[int] = []
        for (entry,) in self._db.execute("SELECT id FROM history WHERE undone ORDER BY id").fetchall():
            if objects is None or self._touches(entry, objects) or self._builds_on(entry, dropped):
                dropped.append(entry)
        for entry in dropped:
            self._db.execute("DELETE FROM steps WHERE entry=?", (entry,))
            self._db.execute("DELETE FROM history WHERE id=?", (entry,))

    def _builds_on(self, entry: int, other_entries: Sequence[int]) -> bool:
        return bool(other_entries) and self._shares_rows(entry, other_entries)

    @property
    def last_entry(self) -> int:
        """Number of the last step of the history; 0 if there is none."""
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM history").fetchone()[0])

    def is_open(self, entry: int | None) -> bool:
        """Whether a step is the last one of the history, and not undone, so that a change may join it."""
        row = self._one("SELECT id, undone FROM history ORDER BY id DESC LIMIT 1")
        return row is not None and row["id"] == entry and not row["undone"]

    def _refuse_empty_database(self) -> None:
        """Raise SegueError for an existing empty database, which a new one would hide."""
        path = self.folder / "project.db"
        if path.exists() and path.stat().st_size == 0 and not path.with_name("project.db-wal").exists():
            raise SegueError(
                f"{path}: is empty, as in a copy of an open project without project.db-wal; nothing was "
                "changed. Copy with `segue annotate --copy-to`, or begin another project with --project"
            )

    def undo(self, *, redo: bool = False, entry: int | None = None) -> tuple[str, Changed] | None:
        """Undo the last step, or redo the next; see :meth:`hold`.

        With the number of an ``entry`` it must be that one; ConflictError where another one has come.
        """
        row = self._next_entry(redo=redo)
        if entry is not None and (row is None or row["id"] != entry):
            self._refuse_other_step(row, "redo" if redo else "undo")
        if row is None:
            return None
        with self._transaction() as changed:
            steps = self._db.execute(
                "SELECT * FROM steps WHERE entry=? ORDER BY id DESC", (row["id"],)
            ).fetchall()
            self._db.execute("DELETE FROM steps WHERE entry=?", (row["id"],))
            self._entry = row["id"]
            for step in steps:
                table, key = step["tbl"], tuple(json.loads(step["key"]))
                self._set(table, key, None if step["before"] is None else json.loads(step["before"]))
                if table in ("marks", "prompts"):
                    changed.frames.add(key[0])
                    changed.numbers.add(key[1])
                elif table == "objects":
                    changed.numbers.add(key[0])
            self._db.execute("UPDATE history SET undone=? WHERE id=?", (int(not redo), row["id"]))
        return str(row["label"]), changed

    @staticmethod
    def _refuse_other_step(row: sqlite3.Row | None, verb: str) -> None:
        if row is None:
            raise ConflictError(
                f"the step to {verb} no longer exists: another window has changed the project"
            )
        whose = f" by {row['user']}" if row["user"] else ""
        raise ConflictError(
            f"the next step to {verb} is now “{row['label']}”{whose}; {verb} again to confirm"
        )

    def noted(self, key: str) -> Any:
        """Value saved by :meth:`note`: ``settings``, interrupted ``tracking``, ``queue``, ``source`` ...

        ``source`` is the video, ``defined`` the classes and attributes of the command that opened it last.
        """
        return json.loads(self._meta(key))

    def note(self, key: str, value: Row | None) -> None:
        """Save a value outside the history, inside or outside of :meth:`change`."""
        with self._saving():
            self._set_meta(key, json.dumps(value))

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Save all notes inside the block atomically, outside of :meth:`change`."""
        with self._saving(), self._sql_transaction():
            yield

    def _prepare(self, video: Row) -> None:
        with self._sql_transaction():
            self._bring_tables_up_to_date(video)
            self._check_video(video)

    def _bring_tables_up_to_date(self, video: Row) -> None:
        path = self.folder / "project.db"
        try:
            version = migrate(self._db)
        except SegueError as error:
            raise SegueError(f"{path}: {error}") from None
        if not version:
            start = {"format": FORMAT, "film": json.dumps(video), "revision": 0, "settings": "{}", "last": 0}
            for key, value in start.items():
                self._set_meta(key, value)
        for table, columns in tables().items():
            try:
                self._db.execute(f"SELECT {', '.join(columns)} FROM {table} LIMIT 0")
            except sqlite3.OperationalError as error:
                raise SegueError(f"{path}: damaged or not a project ({error})") from None

    def _check_video(self, video: Row) -> None:
        """Raise an error unless format and video size of the project match."""
        if self._meta("format") in EARLIER_FORMATS:  # programs that check no version of tables refuse it then
            self._set_meta("format", FORMAT)
        if self._meta("format") != str(FORMAT):
            raise SegueError(f"{self.folder}: a project of another version of segue")
        recorded = json.loads(self._meta("film"))
        last_ids = (int(self._meta(key)) for key in get_args(LastId))
        values = (recorded, self.noted("settings"), self.revision, *last_ids)  # ValueError if damaged
        if not all(isinstance(value, dict | int) for value in values):
            raise SegueError(f"{self.folder / 'project.db'}: damaged, its video is no video")
        for key in ("width", "height", "frames"):
            if recorded.get(key) != video.get(key):
                raise SegueError(
                    f"{self.folder}: a project of another video ({recorded.get('name')}, {key} "
                    f"{recorded.get(key)}, not {video.get(key)}); choose another folder with --project"
                )

    def _take_source(self, video: Path, adopt: bool) -> None:
        """Check and record the video of the project, unless it is adopted."""
        if self._one("SELECT 1 FROM objects") or self.last_entry:
            recorded = _source_record(self.noted("source"))
            if not adopt:
                check_source(self.folder, recorded, video)
        self.note("source", dict(source_record(video)))

    @contextmanager
    def _sql_transaction(self) -> Iterator[None]:
        """Run a transaction."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:  # it has failed
                self._db.execute("ROLLBACK")

    @contextmanager
    def _transaction(self) -> Iterator[Changed]:
        self._changed = Changed(set())
        with self._saving():
            try:
                with self._sql_transaction():
                    yield self._changed
                    last = LastChange(self.revision + 1, actor())
                    self._set_meta("revision", last.revision)
                    if ("schema",) in self._changed.targets:
                        self._set_meta("schema_change", json.dumps(last))
            finally:
                self._entry = None
        frames: set[Target] = {("frame", frame) for frame in self._changed.frames}
        self._last_changes.update(dict.fromkeys(self._changed.targets | frames, last))
        for kind, *numbers in self._changed.targets:
            if kind == "mask":
                number, frame = map(int, numbers)
                self._mask_changes.setdefault(number, {})[frame] = last
        self.publish(self._changed)

    @contextmanager
    def _saving(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            text = f"{self.folder}: cannot be saved ({error}); free some space and do it again"
            raise SinkError(text) from None

    def _one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute(sql, values).fetchone()
        return row

    def _new_id(self, key: LastId) -> int:
        """New id, which is never reused."""
        number = int(self._meta(key)) + 1
        self._set_meta(key, number)
        return number

    def _set(self, table: str, key: Sequence[int], row: Row | None) -> None:
        """Set or remove a row, and record its earlier value in the history."""
        columns = tables()[table]
        where = " AND ".join(f"{name}=?" for name in columns[: len(key)])
        current = self._one(f"SELECT * FROM {table} WHERE {where}", *key)
        old = None if current is None else dict(current)
        if old == row:
            return
        sql = "INSERT INTO steps (entry, tbl, key, before) VALUES (?, ?, ?, ?)"
        self._db.execute(sql, (self._entry, table, json.dumps(key), None if old is None else json.dumps(old)))
        if row is None:
            self._db.execute(f"DELETE FROM {table} WHERE {where}", tuple(key))
        else:
            stored = [name for name in columns if name in row]  # steps of an earlier segue lack columns
            names, places = ", ".join(stored), ", ".join("?" * len(stored))
            values = [row[name] for name in stored]
            self._db.execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({places})", values)
        self._changed.targets |= _targets(table, key, old or {}, row or {})
        self._changed.objects |= table == "objects"
        self._changed.schema |= table == "label_schema"
        self._changed.comments |= table == "comments"
        self._changed.shapes |= table == "shapes"

    def _meta(self, key: str) -> str:
        row = self._one("SELECT value FROM meta WHERE key=?", key)
        if row is None:
            raise SegueError(f"{self.folder / 'project.db'}: damaged, it lacks {key!r}")
        return str(row[0])

    def _set_meta(self, key: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, str(value)))


def _targets(table: str, key: Sequence[int], previous: Row, current: Row) -> set[Target]:
    """Targets of a row's change."""
    if table == "marks":
        return {("mask", key[1], key[0])}
    if table == "label_schema":
        return {("schema",)}
    if table in ("comments", "shapes"):
        return {(table.removesuffix("s"), *key)}
    if table != "objects":
        return set()
    columns = {name for name in {*previous, *current} if previous.get(name) != current.get(name)}
    changed: Target = ("object", *key)
    targets: set[Target] = {changed, *((*changed, name) for name in columns)}
    for column in columns & {"attributes", "frame_attributes"}:
        old, new = (json.loads(row.get(column) or "{}") for row in (previous, current))
        names = {name for name in {*old, *new} if old.get(name) != new.get(name)}
        targets.update((*changed, column, str(name)) for name in names)
    return targets


def _source_record(value: Any) -> SourceRecord | None:
    """Recorded video; ValueError if it is damaged."""
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError("its video is damaged")
    if "path" not in value:
        raise ValueError("its video has no path")
    return value


def _people(database: sqlite3.Connection) -> list[Row]:
    """See :meth:`Store.people`."""
    sql = """SELECT user, sum(masks) AS masks, sum(reviewed) AS reviewed, sum(comments) AS comments FROM (
        SELECT user, count(DISTINCT frame) AS masks, 0 AS reviewed, 0 AS comments FROM marks GROUP BY user
        UNION ALL SELECT reviewer, 0, count(DISTINCT frame), 0 FROM marks WHERE reviewed GROUP BY reviewer
        UNION ALL SELECT user, 0, 0, count(*) FROM comments GROUP BY user
        ) WHERE user!='' GROUP BY user ORDER BY user"""
    return [dict(row) for row in database.execute(sql)]
