"""SQLite store of the events of a camera, safe against crashes, power cuts and full disks."""

from __future__ import annotations

import sqlite3
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from segue.errors import SinkError
from segue.events.store.clock import StoreClock
from segue.events.store.file import StoreFile
from segue.events.store.records import (
    EVENT_COLUMNS,
    FIRST,
    LAST,
    PART_NUMBER,
    RecordedEvent,
    insert_event,
    recorded_of,
)
from segue.events.table import UNKNOWN, Event
from segue.masks.values import MAX_ID
from segue.utils.database import VersionError
from segue.utils.files import reason_of

MAX_WAITING = 10_000
"""Maximum number of events that wait for a full disk; beyond it the run fails."""

RETRY_SECONDS = 1.0
"""Seconds between two tries to write a file after a failure."""

Mark = Literal["reviewed", "kept"]
MARK_NAMES = get_args(Mark)

MediaState = Literal["pending", "complete", "lost", "deleted"]

_BYTES_OF_EVENT = 64
"""Minimum size of an event in the journal."""


class Marks(NamedTuple):
    """Marks of a visit by users."""

    reviewed: bool
    kept: bool
    reviewer: str


class PartState(NamedTuple):
    """Progress of the table of a part: its size in bytes, and the last event in it."""

    position: int
    written: int


@dataclass(slots=True)
class _Visit:
    """A visit that has not ended."""

    id: int
    object: int
    classes: set[str] = field(default_factory=set)


Change = Callable[[sqlite3.Connection], object]
"""Something that is written in a transaction."""

_OPEN: dict[Path, EventStore] = {}
"""Stores of this process that are open, or whose last events did not fit on the disk."""

_OPEN_LOCK = threading.RLock()


class EventStore:
    """Runs, visits, events, images and clips, marks and receivers of a camera.

    Records of a run are in memory at once and in the file with :meth:`flush`; on a full disk they wait.
    Any thread may call the methods; the users of one file in a process share one store, see :meth:`open`.

    Args:
        path: the SQLite file; None keeps all in memory.

    Attributes:
        path: see above.
        problem: why the file takes nothing; empty where it does.
        armed: whether people get alerts of further events; see :meth:`arm`.
        clock: the time of day, unless the clock of the machine is wrong for a while.

    Raises:
        SinkError: there is another file in the place of that file.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path, self.problem = path, ""
        self._num_users = 0
        self._disk, self._memory = threading.RLock(), threading.RLock()
        self._changed = threading.Condition(self._memory)
        self._file = StoreFile(path)
        self._pending = deque[Change]()
        self._unsaved: list[RecordedEvent] = []
        self._cursors: dict[str, tuple[int, int]] = {}  # of receivers, that the file lacks
        self._latest: dict[str, tuple[str, tuple[object, ...]]] = {}  # the last of each kind counts
        self._parts: dict[str, PartState] = {}
        self._present: dict[int, _Visit] = {}
        self._run: int | None = None
        self._last = self._saved = self._last_run = 0
        self._retry_time = 0.0
        self.clock, self.armed = StoreClock(), True
        try:
            self._load()
        except VersionError as error:
            raise SinkError(f"{path}: is no store of events ({error}); move it away") from None
        except (sqlite3.OperationalError, OSError) as error:  # as on a full disk
            self._note_failure(error)
            self._last = self._saved = self._last_run = self._estimate()
        except sqlite3.DatabaseError as error:
            raise SinkError(f"{path}: is no store of events ({error}); move it away") from None

    @classmethod
    def open(cls, path: Path | None) -> EventStore:
        """Open the store of a file, shared within the process; each user closes it.

        Args:
            path: the SQLite file; None keeps all in memory.

        Returns:
            The store.

        Raises:
            SinkError: there is another file in the place of that file.
        """
        with _OPEN_LOCK:
            if path is None:
                store = cls()
            else:
                path = path.resolve()
                store = _OPEN.get(path) or cls(path)
                _OPEN[path] = store
            store._num_users += 1
            store._file.keeps_readers = True
        return store

    def share(self) -> EventStore:
        """Return this store for another user, who closes it."""
        with _OPEN_LOCK:
            self._num_users += 1
            self._file.keeps_readers = True
        return self

    def close(self) -> int:
        """End one use; the last one closes the file.

        Returns:
            The number of events that had no room in it; they wait in memory for the next user in the process.
        """
        with _OPEN_LOCK:
            self._num_users -= 1
            if self._num_users > 0:
                return 0
            self._retry_time = 0.0
            with suppress(SinkError):
                self.flush()
            with self._disk:
                if self.path is not None and not self._pending:
                    _OPEN.pop(self.path, None)
                self._file.close()
            return self.num_unsaved

    @staticmethod
    def remove(path: Path) -> None:
        """Delete a store before a run starts over; SinkError while another user has it open."""
        with _OPEN_LOCK:
            store = _OPEN.get(path.resolve())
            if store is not None:
                store._empty()
                return
            for each in (path, *(path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm"))):
                each.unlink(missing_ok=True)

    # What a run records

    def begin_run(self, source: str) -> None:
        """Begin a run over a source, by its key."""
        with self._memory:
            self._last_run += 1
            self._run = run = self._last_run
            now = time.time()

            def begin(base: sqlite3.Connection) -> None:
                base.execute("insert or ignore into sources (key) values (?)", (source,))
                base.execute(
                    "insert into runs (id, source, begun) select ?, id, ? from sources where key = ?",
                    (run, now, source),
                )

            self._pending.append(begin)

    def end_run(self) -> None:
        """End the run."""
        with self._memory:
            run, self._run = self._run, None
            self.change("update runs set ended = ? where id = ?", time.time(), run)

    def begin_part(self, name: str, file: str) -> PartState:
        """Add or continue the part of a name, whose table is a file beside the store."""
        with self._memory:
            state = self._parts.get(name)
            if state is None:
                state = self._parts[name] = PartState(0, self._last)
            # By its name everywhere: its number is unknown as long as the file cannot be read.
            self.change(
                "insert into parts (name, file, position, written) values (?, ?, ?, ?)"
                " on conflict (name) do update set file = excluded.file",
                *(name, file, state.position, state.written),
            )
            return state

    def note_written(self, name: str, position: int, written: int) -> None:
        """Note the progress of the table of a part; written with the next :meth:`flush`."""
        with self._memory:
            self._parts[name] = PartState(position, written)
            self.change_last(
                f"part {name}",
                "update parts set position = ?, written = ? where name = ?",
                *(position, written, name),
            )

    def _require_part(self, name: str) -> None:
        """Raise KeyError for a part that has not begun: a change without its row would never be written."""
        if name not in self._parts:
            raise KeyError(name)

    def reserve(self, number: int) -> None:
        """Skip numbers up to this one: images already use them."""
        with self._memory:
            self._last = max(self._last, number)

    def record(self, event: Event, part: str = "") -> RecordedEvent:
        """Assign a number and a visit to an event."""
        with self._memory:
            seq = self._next()
            visit = self._present.get(event.object)
            if visit is None or event.event in FIRST:
                visit = self._present[event.object] = _Visit(seq, event.object)
            recorded = RecordedEvent(seq, visit.id, event, frozenset(visit.classes), part, self.armed)
            visit.classes.add(event.label or UNKNOWN)
            if event.event in LAST:
                del self._present[event.object]
            return recorded

    def put(self, recorded: RecordedEvent) -> None:
        """Add a recorded event in memory, for receivers; :meth:`flush` writes it.

        Raises:
            SinkError: too many wait for room on the disk.
        """
        with self._memory:
            if len(self._unsaved) >= MAX_WAITING:
                raise SinkError(f"{self.problem or self.path}; too many events wait")
            self._require_part(recorded.part)
            run = self._run
            self._unsaved.append(recorded)
            self._pending.append(lambda base: insert_event(base, recorded, run))
            self._changed.notify_all()

    def change(self, statement: str, *values: object) -> None:
        """Queue a statement for the next :meth:`flush`."""
        with self._memory:
            self._pending.append(lambda base: base.execute(statement, values))

    def change_last(self, what: str, statement: str, *values: object) -> None:
        """Queue a statement that replaces a waiting one of the same kind."""
        with self._memory:
            self._latest[what] = statement, values

    def flush(self) -> None:
        """Write all queued changes in one transaction; if that fails, keep them and raise SinkError."""
        with self._disk:
            if not self._file.is_connected and self.problem and time.monotonic() < self._retry_time:
                raise SinkError(self.problem)
            with self._memory:
                changes, cursors, latest = [*self._pending], self._cursors, self._latest
                last = self._unsaved[-1].seq if self._unsaved else self._saved
                self._cursors, self._latest = {}, {}
            if not (changes or cursors or latest):
                return
            try:
                with self._file.transaction() as base:
                    for change in changes:
                        change(base)
                    for key, (delivered, within) in cursors.items():
                        base.execute(
                            "update receivers set delivered = ?, within = ? where key = ?",
                            (delivered, within, key),
                        )
                    for statement, values in latest.values():
                        base.execute(statement, values)
            except (sqlite3.Error, OSError) as error:
                with self._memory:
                    self._cursors, self._latest = cursors | self._cursors, latest | self._latest
                self._note_failure(error)
                raise SinkError(self.problem) from None
            with self._memory:
                for _ in changes:
                    self._pending.popleft()
                self._saved = max(self._saved, last)
                del self._unsaved[: bisect_right(self._unsaved, last, key=lambda each: each.seq)]
                self.problem = ""

    @property
    def run(self) -> int | None:
        """Number of the run; None between runs."""
        return self._run

    @property
    def num_unsaved(self) -> int:
        """Number of events that are in memory only."""
        return len(self._unsaved)

    @property
    def last(self) -> int:
        """Last number in use."""
        return self._last

    @property
    def last_object(self) -> int:
        """Last id of an object; 0 without objects."""
        last = 0
        rows = self.read("select object from visits where object > 0 order by id desc limit 1000")
        for (number,) in reversed(rows):
            # After the largest id comes 1 again: an id is later if the way on to it is the shorter one.
            if not last or (number - last) % MAX_ID < MAX_ID // 2:
                last = number
        return int(last)

    def present(self) -> dict[int, list[RecordedEvent]]:
        """Objects whose visit has not ended, each with the events of its visit."""
        with self._memory:
            visits = {number: visit.id for number, visit in self._present.items() if number}
        return {number: self.events_of(visit) for number, visit in visits.items()}

    def labels(self) -> list[str]:
        """Classes that objects have had; none while the file cannot be read."""
        with suppress(SinkError):
            return [label for (label,) in self.read("select distinct label from choices where label != ''")]
        return []

    @property
    def outage(self) -> Event | None:
        """Loss of the camera that has not ended; None also while the file cannot be read."""
        with self._memory:
            visit = self._present.get(0)
        if visit is None:
            return None
        with suppress(SinkError):
            return next(
                (each.event for each in self.events_of(visit.id) if each.event.event == "offline"), None
            )
        return None

    # What receivers ask

    def after(self, seq: int, limit: int = 100) -> list[RecordedEvent]:
        """Events after a number, in order; unsaved ones come from memory."""
        with self._memory:
            start = bisect_right(self._unsaved, seq, key=lambda each: each.seq)
            unsaved, saved = self._unsaved[start : start + limit], self._saved
        if seq >= saved:
            return unsaved
        rows = self.read(f"select {EVENT_COLUMNS} from events where seq > ? order by seq limit ?", seq, limit)
        stored = [recorded_of(row) for row in rows]
        if len(stored) >= limit:
            return stored
        newest = stored[-1].seq if stored else seq
        return [*stored, *(each for each in unsaved if each.seq > newest)][:limit]

    def find(self, seq: int) -> RecordedEvent | None:
        """Event of a number."""
        events = self.after(seq - 1, 1)
        return events[0] if events and events[0].seq == seq else None

    def events_of(self, visit: int) -> list[RecordedEvent]:
        """Events of a visit, in order."""
        with self._memory:
            unsaved, saved = [each for each in self._unsaved if each.visit == visit], self._saved
        if visit > saved:
            return unsaved
        rows = self.read(f"select {EVENT_COLUMNS} from events where visit = ? order by seq", visit)
        stored = [recorded_of(row) for row in rows]
        newest = stored[-1].seq if stored else 0
        return [*stored, *(each for each in unsaved if each.seq > newest)]

    def of_part(self, part: str, seq: int = 0) -> list[RecordedEvent]:
        """Saved events of a part after a number, in order."""
        rows = self.read(
            f"select {EVENT_COLUMNS} from events where part = {PART_NUMBER} and seq > ? order by seq",
            *(part, seq),
        )
        return [recorded_of(row) for row in rows]

    def wait(self, seq: int, seconds: float | None) -> None:
        """Wait for an event after a number, or for :meth:`wake`."""
        with self._changed:
            if self._last_recorded <= seq:
                self._changed.wait(seconds)

    def wake(self) -> None:
        """Wake all threads in :meth:`wait`."""
        with self._changed:
            self._changed.notify_all()

    @property
    def _last_recorded(self) -> int:
        return self._unsaved[-1].seq if self._unsaved else self._saved

    def note_delivered(self, key: str, delivered: int, within: int) -> None:
        """Note the progress of a receiver; written with the next :meth:`flush`."""
        with self._memory:
            self._cursors[key] = delivered, within

    # What people, and what deletes images, change

    def mark(self, visits: Iterable[int], mark: Mark, value: bool, user: str = "") -> dict[int, Marks]:
        """Set one mark of visits; other marks stay.

        Args:
            visits: their numbers.
            mark: the changed mark.
            value: whether it is so.
            user: name of who changes it.

        Returns:
            The marks now of those visits that there are.

        Raises:
            SinkError: it cannot be written.
        """
        numbers = [*visits]
        columns = "reviewed = ?, reviewer = ?" if mark == "reviewed" else "kept = ?"
        values = (value, user if value else "") if mark == "reviewed" else (value,)
        with self._disk:
            self.flush()  # a visit may have begun just now
            with self.changing() as base:
                base.executemany(
                    f"update visits set {columns} where id = ?", [(*values, number) for number in numbers]
                )
                selected = ", ".join("?" * len(numbers))
                rows = base.execute(
                    f"select id, reviewed, kept, reviewer from visits where id in ({selected})", numbers
                ).fetchall()
        return {number: Marks(bool(reviewed), bool(kept), by) for number, reviewed, kept, by in rows}

    def set_media(self, part: str, name: str, state: MediaState, size: int = 0) -> None:
        """Set the state of an image or clip; written with the next :meth:`flush`."""
        with self._memory:
            self._require_part(part)
            self.change(
                f"insert into media (part, name, bytes, state, created) values ({PART_NUMBER}, ?, ?, ?, ?)"
                " on conflict (part, name) do update set bytes = excluded.bytes, state = excluded.state",
                *(part, name, size, state, self.clock.now()),
            )

    def scene(self, source: str) -> str | None:
        """Saved scene of a source; None if there is none."""
        rows = self.read("select scene from sources where key = ?", source)
        if rows and rows[0][0] is not None:
            return str(rows[0][0])
        return self.settings().get("scene")  # of before the store, of whatever source it was

    def save_scene(self, source: str, text: str, *, now: bool = True) -> None:
        """Save the scene of a source, with the next events or ``now``.

        Raises:
            SinkError: it cannot be written now.
        """
        self.change_last(
            f"scene {source}",
            "insert into sources (key, scene) values (?, ?)"
            " on conflict (key) do update set scene = excluded.scene",
            *(source, text),
        )
        self.change_last("scene", "delete from meta where key = 'scene'")
        if now:
            self.flush()

    def arm(self, armed: bool) -> None:
        """Turn alerts of new events on or off, until the next call."""
        with self._memory:
            self.armed = armed
            self.set(armed=str(int(armed)))
        with suppress(SinkError):  # of a full disk the next flush
            self.flush()

    def settings(self) -> dict[str, str]:
        """Settings of the camera by their names."""
        return dict(self.read("select key, value from meta"))

    def set(self, **settings: str) -> None:
        """Set settings of the camera; written with the next :meth:`flush`."""
        for key, value in settings.items():
            self.change("insert or replace into meta values (?, ?)", key, value)

    # The file

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Open a separate transaction; raises SinkError if it cannot be written."""
        with self._disk:
            try:
                with self._file.transaction() as base:
                    yield base
            except (sqlite3.Error, OSError) as error:
                self._note_failure(error)
                raise SinkError(self.problem) from None
            self.problem = "" if not self._pending else self.problem

    def read(self, statement: str, *values: object) -> list[Any]:
        """Select rows of the file; raises SinkError."""
        with self.reading() as base:
            return base.execute(statement, values).fetchall()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open a connection for reading, which does not wait for writers."""
        if self.path is None:
            with self._disk:
                self.flush()
                yield self._file.connect()
        else:
            with self._file.reading() as base:
                yield base

    def _load(self) -> None:
        """Load the state of the file."""
        base = self._file.connect()
        self._last, self._last_run = base.execute(
            "select coalesce((select max(seq) from events), 0), coalesce((select max(id) from runs), 0)"
        ).fetchone()
        self._saved = self._last
        self._parts = {
            name: PartState(*rest)
            for name, *rest in base.execute("select name, position, written from parts")
        }
        self._present = {}
        for number, visit in base.execute("select object, id from visits where ended is null order by id"):
            labels = base.execute("select distinct label from events where visit = ?", (visit,))
            self._present[number] = _Visit(visit, number, {label or UNKNOWN for (label,) in labels})
        stored = dict(base.execute("select key, value from meta where key like 'clock%'"))
        self.clock = StoreClock(stored)
        self.armed = _is_armed(base)

    def reload(self) -> None:
        """Load the state again after the file was changed, as by an import."""
        with self._disk, self._memory:
            self._load()

    def _empty(self) -> None:
        """Delete all rows while other users have the file open."""
        with self._disk, self._memory:
            self._pending.clear()
            self._unsaved.clear()
            self._cursors, self._latest = {}, {}
            with suppress(SinkError), self.changing() as base:
                for (name,) in base.execute("select name from sqlite_master where type = 'table'").fetchall():
                    base.execute(f'delete from "{name}"')
            self._parts, self._present, self._run = {}, {}, None
            self._last = self._saved = self._last_run = 0
            if not self.armed:
                self.set(armed="0")

    def _estimate(self) -> int:
        """Estimate a number above all events, and load the state, of a file that can at most be read."""
        if self.path is None or not self.path.exists():
            return 0
        journal = self.path.with_name(f"{self.path.name}-wal")
        waiting = journal.stat().st_size // _BYTES_OF_EVENT if journal.exists() else 0
        try:
            base = sqlite3.connect(f"{self.path.as_uri()}?mode=ro&immutable=1", uri=True)
        except sqlite3.Error:
            return waiting
        try:
            [(last,)] = base.execute("select max(seq) from events").fetchall()
            with suppress(sqlite3.Error):
                self.armed = _is_armed(base)
            return int(last or 0) + waiting
        except sqlite3.Error:  # an empty file
            return waiting
        finally:
            base.close()

    def _next(self) -> int:
        self._last += 1
        return self._last

    def _note_failure(self, error: Exception) -> None:
        self.problem = f"{self.path}: cannot be written ({_reason(error)})"
        self._retry_time = time.monotonic() + RETRY_SECONDS


def _is_armed(base: sqlite3.Connection) -> bool:
    return ("0",) not in base.execute("select value from meta where key = 'armed'").fetchall()


def _reason(error: Exception) -> str:
    return "the disk is full" if "is full" in str(error) else reason_of(error)


def source_key(address: str) -> str:
    """Key of a source, independent of its password."""
    import hashlib
    from urllib.parse import urlsplit

    with suppress(ValueError):
        parts = urlsplit(address)
        if parts.hostname:
            place = f"{parts.hostname}:{parts.port or ''}"
            address = parts._replace(netloc=place).geturl()
    return hashlib.sha256(address.encode()).hexdigest()[:16]
