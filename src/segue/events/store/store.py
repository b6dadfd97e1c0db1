"""What happened in front of a camera, in one SQLite file that survives crashes, power cuts and full disks."""

from __future__ import annotations

import sqlite3
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

from segue.errors import SinkError
from segue.events.store.clock import StoreClock
from segue.events.store.schema import MIGRATIONS, SPAN
from segue.events.table import UNKNOWN, Event, Kind
from segue.masks.values import MAX_ID
from segue.utils.database import VersionError, connect, migrate
from segue.utils.files import make_folder, reason_of

FIRST, LAST = ("enter", "offline"), ("leave", "end", "online")
"""Events that begin and end a visit."""

CLASS = "class"
"""What is recorded where the class of an object becomes known between two events; it is no event."""

MAX_WAITING = 10_000
"""Events that a full disk may keep out of the file; with more the run fails."""

RETRY_SECONDS = 1.0
"""How often a file is tried again that takes nothing."""

BUSY_SECONDS = 1.0
"""Seconds to wait for another process that has locked the file."""

CHECKPOINT_PAGES = 64
"""Pages of 4096 bytes of the journal after which they go into the file."""

MAX_READERS = 4
"""Connections for questions that stay open."""

Mark = Literal["reviewed", "kept"]
MARK_NAMES = get_args(Mark)

MediaState = Literal["pending", "complete", "lost", "deleted"]

_BYTES_OF_EVENT = 64
"""An event takes no fewer bytes of a journal."""

_COLUMNS = tuple(each.name for each in fields(Event) if each.name != "event")

EVENT_COLUMNS = "seq, visit, (select name from parts where id = part), armed, earlier, kind, " + ", ".join(
    _COLUMNS
)
"""What :func:`recorded_of` reads."""

_INSERT = (
    f"insert into events (seq, visit, part, run, moment, armed, earlier, kind, {', '.join(_COLUMNS)})"
    f" values ({', '.join('?' * (8 + len(_COLUMNS)))})"
)


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event with its place in what happened.

    Attributes:
        seq: its number, which orders events and is given once.
        visit: number of the visit that it belongs to.
        event: the event.
        earlier: classes that the object had before it.
        part: name of the part of the run that it belongs to, or nothing.
        armed: whether the camera was armed.
        image: JPEG of its image where it is in memory.
    """

    seq: int
    visit: int
    event: Event
    earlier: frozenset[str] = frozenset()
    part: str = ""
    armed: bool = True
    image: bytes | None = field(default=None, compare=False)

    @property
    def is_event(self) -> bool:
        """Whether it is an event, and not a class that became known between two."""
        return self.event.event != CLASS

    @property
    def values(self) -> dict[str, Any]:
        """The columns of the event by their names."""
        return asdict(self.event)


class Marks(NamedTuple):
    """What people have noted of a visit."""

    reviewed: bool
    kept: bool
    reviewer: str


class PartState(NamedTuple):
    """How far the table of a part is written: bytes of it, and the last event in them."""

    id: int
    position: int
    written: int


@dataclass(slots=True)
class _Visit:
    """A visit that goes on."""

    id: int
    object: int
    classes: set[str] = field(default_factory=set)


Change = Callable[[sqlite3.Connection], object]
"""Something that is written in a transaction."""

_OPEN: dict[Path, EventStore] = {}
"""Those of this process that are open, or that their file had no room for."""

_OPEN_LOCK = threading.RLock()


class EventStore:
    """Runs, visits, events, images and clips, marks and receivers of a camera.

    What a run records is in memory at once and in the file with :meth:`flush`; a full disk keeps it waiting.
    Any thread may call the methods; the users of one file in a process share one store, see :meth:`open`.

    Args:
        path: the SQLite file; None keeps all in memory.

    Attributes:
        path: see above.
        problem: why the file takes nothing; empty where it does.
        armed: whether people get alerts of what is recorded from now on; see :meth:`arm`.
        clock: the time of day, unless the clock of the machine is wrong for a while.

    Raises:
        SinkError: there is another file in the place of that file.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path, self.problem = path, ""
        self._num_users = 0
        self._disk, self._memory = threading.RLock(), threading.RLock()
        self._changed = threading.Condition(self._memory)
        self._base: sqlite3.Connection | None = None
        self._readers: list[sqlite3.Connection] = []
        self._pending = deque[Change]()
        self._unsaved: list[RecordedEvent] = []
        self._cursors: dict[str, tuple[int, int]] = {}  # of receivers, that the file lacks
        self._latest: dict[str, tuple[str, tuple[object, ...]]] = {}  # the last of each kind counts
        self._parts: dict[str, PartState] = {}
        self._present: dict[int, _Visit] = {}
        self._run: int | None = None
        self._last = self._saved = self._last_part = self._last_run = 0
        self._retry_time = 0.0
        self.clock, self.armed = StoreClock(), True
        try:
            self._load()
        except VersionError as error:
            raise SinkError(f"{path}: is no store of events ({error}); move it away") from None
        except (sqlite3.OperationalError, OSError) as error:  # as on a full disk
            self._note(error)
            self._last = self._saved = self._last_part = self._last_run = self._estimate()
        except sqlite3.DatabaseError as error:
            raise SinkError(f"{path}: is no store of events ({error}); move it away") from None

    @classmethod
    def open(cls, path: Path | None) -> EventStore:
        """Open the store of a file, which other users of this process may have open, too; each closes it.

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
        return store

    def share(self) -> EventStore:
        """This store for a further user, which closes it."""
        with _OPEN_LOCK:
            self._num_users += 1
        return self

    def close(self) -> int:
        """End a use; the last one closes the file.

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
                self._disconnect()
            return self.num_unsaved

    @staticmethod
    def remove(path: Path) -> None:
        """Remove a store, as of a run that begins anew; SinkError while another user has it open."""
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
        """The part of a name, whose table is a file beside the store."""
        with self._memory:
            state = self._parts.get(name)
            if state is None:
                self._last_part += 1
                state = self._parts[name] = PartState(self._last_part, 0, self._last)
            self.change(
                "insert into parts (id, name, file, position, written) values (?, ?, ?, ?, ?)"
                " on conflict (name) do update set file = excluded.file",
                *(state.id, name, file, state.position, state.written),
            )
            return state

    def note_written(self, name: str, position: int, written: int) -> None:
        """Note how far the table of a part is; in the file with the next :meth:`flush`."""
        with self._memory:
            state = self._parts[name] = self._parts[name]._replace(position=position, written=written)
            self.change_last(
                f"part {state.id}",
                "update parts set position = ?, written = ? where id = ?",
                *(position, written, state.id),
            )

    def reserve(self, number: int) -> None:
        """Give no number up to this one: there are images of such numbers."""
        with self._memory:
            self._last = max(self._last, number)

    def record(self, event: Event, part: str = "") -> RecordedEvent:
        """Give an event its number and its visit, and nothing else yet."""
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
        """Take a recorded event into memory, where receivers find it; :meth:`flush` writes it.

        Raises:
            SinkError: too many wait for room on the disk.
        """
        with self._memory:
            if len(self._unsaved) >= MAX_WAITING:
                raise SinkError(f"{self.problem or self.path}; too many events wait")
            run, part = self._run, self._parts[recorded.part].id
            self._unsaved.append(recorded)
            self._pending.append(lambda base: insert_event(base, recorded, run, part))
            self._changed.notify_all()

    def change(self, statement: str, *values: object) -> None:
        """Take something else that is to be written."""
        with self._memory:
            self._pending.append(lambda base: base.execute(statement, values))

    def change_last(self, what: str, statement: str, *values: object) -> None:
        """Take something that is to be written in place of what waits of the same."""
        with self._memory:
            self._latest[what] = statement, values

    def flush(self) -> None:
        """Write all that waits, together; raises SinkError, and keeps it, where the disk does not take it."""
        with self._disk:
            if self._base is None and self.problem and time.monotonic() < self._retry_time:
                raise SinkError(self.problem)
            with self._memory:
                changes, cursors, latest = [*self._pending], self._cursors, self._latest
                last = self._unsaved[-1].seq if self._unsaved else self._saved
                self._cursors, self._latest = {}, {}
            if not (changes or cursors or latest):
                return
            try:
                with self._transaction() as base:
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
                self._note(error)
                raise SinkError(self.problem) from None
            with self._memory:
                for _ in changes:
                    self._pending.popleft()
                self._saved = max(self._saved, last)
                del self._unsaved[: bisect_right(self._unsaved, last, key=lambda each: each.seq)]
                self.problem = ""

    @property
    def run(self) -> int | None:
        """Number of the run; None between two."""
        return self._run

    @property
    def num_unsaved(self) -> int:
        """Events that wait in memory alone."""
        return len(self._unsaved)

    @property
    def last(self) -> int:
        """The last number that was given."""
        return self._last

    @property
    def last_object(self) -> int:
        """The last id of an object; 0 before the first."""
        last = 0
        rows = self.read("select object from visits where object > 0 order by id desc limit 1000")
        for (number,) in reversed(rows):
            # After the largest id comes 1 again: an id is later if the way on to it is the shorter one.
            if not last or (number - last) % MAX_ID < MAX_ID // 2:
                last = number
        return int(last)

    def present(self) -> dict[int, list[RecordedEvent]]:
        """The objects that are there, as far as events say, each with the events of its visit."""
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
        """The loss of the camera, if it is not back yet; None, too, while the file cannot be read."""
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
        """What was recorded after a number, in order; of what the disk lacks without looking at it."""
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
        """What was recorded with a number."""
        events = self.after(seq - 1, 1)
        return events[0] if events and events[0].seq == seq else None

    def events_of(self, visit: int) -> list[RecordedEvent]:
        """What was recorded of a visit, in order."""
        with self._memory:
            unsaved, saved = [each for each in self._unsaved if each.visit == visit], self._saved
        if visit > saved:
            return unsaved
        rows = self.read(f"select {EVENT_COLUMNS} from events where visit = ? order by seq", visit)
        stored = [recorded_of(row) for row in rows]
        newest = stored[-1].seq if stored else 0
        return [*stored, *(each for each in unsaved if each.seq > newest)]

    def of_part(self, part: str, seq: int = 0) -> list[RecordedEvent]:
        """What is in the file of a part after a number, in order."""
        state = self._parts[part]
        rows = self.read(
            f"select {EVENT_COLUMNS} from events where part = ? and seq > ? order by seq", state.id, seq
        )
        return [recorded_of(row) for row in rows]

    def wait(self, seq: int, seconds: float | None) -> None:
        """Wait until something after a number is recorded, or somebody calls :meth:`wake`."""
        with self._changed:
            if self._last_recorded <= seq:
                self._changed.wait(seconds)

    def wake(self) -> None:
        """End all waiting."""
        with self._changed:
            self._changed.notify_all()

    @property
    def _last_recorded(self) -> int:
        return self._unsaved[-1].seq if self._unsaved else self._saved

    def note_delivered(self, key: str, delivered: int, within: int) -> None:
        """Note how far a receiver is; in the file with the next :meth:`flush`."""
        with self._memory:
            self._cursors[key] = delivered, within

    # What people, and what deletes images, change

    def mark(self, visits: Iterable[int], mark: Mark, value: bool, user: str = "") -> dict[int, Marks]:
        """Set one mark of visits; others stay.

        Args:
            visits: their numbers.
            mark: what is changed.
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
        """Say what there is of an image or a clip; in the file with the next :meth:`flush`."""
        with self._memory:
            number, created = self._parts[part].id, self.clock.now()
            self.change(
                "insert into media (part, name, bytes, state, created) values (?, ?, ?, ?, ?)"
                " on conflict (part, name) do update set bytes = excluded.bytes, state = excluded.state",
                *(number, name, size, state, created),
            )

    def scene(self, source: str) -> str | None:
        """What is known of the scene of a source; None where nothing is."""
        rows = self.read("select scene from sources where key = ?", source)
        if rows and rows[0][0] is not None:
            return str(rows[0][0])
        return self.settings().get("scene")  # of before the store, of whatever source it was

    def save_scene(self, source: str, text: str, *, now: bool = True) -> None:
        """Take what is known of the scene of a source, to be written with the next events or ``now``.

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
        """Have alerts sent of what is recorded from now on, or not; it holds until somebody changes it."""
        with self._memory:
            self.armed = armed
            self.set(armed=str(int(armed)))
        with suppress(SinkError):  # of a full disk the next flush
            self.flush()

    def settings(self) -> dict[str, str]:
        """Settings of the camera by their names."""
        return dict(self.read("select key, value from meta"))

    def set(self, **settings: str) -> None:
        """Note settings of the camera; in the file with the next :meth:`flush`."""
        for key, value in settings.items():
            self.change("insert or replace into meta values (?, ?)", key, value)

    # The file

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction of its own; raises SinkError where the file does not take it."""
        with self._disk:
            try:
                with self._transaction() as base:
                    yield base
            except (sqlite3.Error, OSError) as error:
                self._note(error)
                raise SinkError(self.problem) from None
            self.problem = "" if not self._pending else self.problem

    def read(self, statement: str, *values: object) -> list[Any]:
        """The rows that a question selects, of what is in the file; raises SinkError."""
        with self.reading() as base:
            return base.execute(statement, values).fetchall()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for questions; they do not wait for what is written."""
        if self.path is None:
            with self._disk:
                self.flush()
                yield self._connect()
            return
        reader: sqlite3.Connection | None = None
        try:
            with self._memory:
                reader = self._readers.pop() if self._readers else None
            if reader is None:
                if not self.path.exists():
                    self._connect()
                reader = connect(self.path, timeout=BUSY_SECONDS, check_same_thread=False)
                reader.execute("pragma query_only = on")
            yield reader
        except (sqlite3.Error, OSError) as error:
            raise SinkError(f"{self.path}: cannot be read ({reason_of(error)})") from None
        finally:
            if reader is not None:
                with self._memory:
                    keeps = len(self._readers) < MAX_READERS and self._num_users > 0
                    if keeps:
                        self._readers.append(reader)
                if not keeps:
                    reader.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        base = self._connect()
        base.execute("begin immediate")
        try:
            yield base
            base.execute("commit")
        except BaseException:
            with suppress(sqlite3.Error):
                base.execute("rollback")
            raise

    def _connect(self) -> sqlite3.Connection:
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

    def _disconnect(self) -> None:
        with self._memory:
            readers, self._readers = self._readers, []
        for each in (*readers, *([self._base] if self._base is not None else [])):
            with suppress(sqlite3.Error):
                each.close()
        self._base = None

    def _load(self) -> None:
        """Learn what is in the file."""
        base = self._connect()
        self._last, self._last_run = base.execute(
            "select coalesce((select max(seq) from events), 0), coalesce((select max(id) from runs), 0)"
        ).fetchone()
        self._saved = self._last
        self._parts = {
            name: PartState(*rest)
            for name, *rest in base.execute("select name, id, position, written from parts")
        }
        self._last_part = max((each.id for each in self._parts.values()), default=0)
        self._present = {}
        for number, visit in base.execute("select object, id from visits where ended is null order by id"):
            labels = base.execute("select distinct label from events where visit = ?", (visit,))
            self._present[number] = _Visit(visit, number, {label or UNKNOWN for (label,) in labels})
        stored = dict(base.execute("select key, value from meta where key like 'clock%'"))
        self.clock = StoreClock(stored)
        self.armed = _is_armed(base)

    def reload(self) -> None:
        """Learn what is in the file after somebody has changed it, as an import does."""
        with self._disk, self._memory:
            self._load()

    def _empty(self) -> None:
        """Begin anew, where other users have the file open."""
        with self._disk, self._memory:
            self._pending.clear()
            self._unsaved.clear()
            self._cursors, self._latest = {}, {}
            with suppress(SinkError), self.changing() as base:
                for (name,) in base.execute("select name from sqlite_master where type = 'table'").fetchall():
                    base.execute(f'delete from "{name}"')
            self._parts, self._present, self._run = {}, {}, None
            self._last = self._saved = self._last_part = self._last_run = 0
            if not self.armed:
                self.set(armed="0")

    def _estimate(self) -> int:
        """A number that no event has, of a file that can be opened for reading at most; learns its state."""
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

    def _note(self, error: Exception) -> None:
        self.problem = f"{self.path}: cannot be written ({_reason(error)})"
        self._retry_time = time.monotonic() + RETRY_SECONDS


def _is_armed(base: sqlite3.Connection) -> bool:
    return ("0",) not in base.execute("select value from meta where key = 'armed'").fetchall()


def _reason(error: Exception) -> str:
    return "the disk is full" if "is full" in str(error) else reason_of(error)


def insert_event(
    base: sqlite3.Connection,
    recorded: RecordedEvent,
    run: int | None,
    part: int,
    moment: float | None = None,
) -> None:
    """Write an event, and what follows from it for its visit and the counts."""
    event, seq = recorded.event, recorded.seq
    moment = moment_of(event.at) if moment is None else moment
    earlier = _joined(recorded.earlier)
    values = (getattr(event, name) for name in _COLUMNS)
    base.execute(
        _INSERT, (seq, recorded.visit, part, run, moment, recorded.armed, earlier, event.event, *values)
    )
    zones = [zone for zone in event.zone.split(";") if zone]
    ended = seq if event.event in LAST else None
    if recorded.visit == seq:
        base.execute(
            "insert into visits (id, run, object, label, zones, kinds, moment, finish, last, ended)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(seq, run, event.object, event.label or None, _joined(zones), _joined([event.event])),
                *(moment, moment, seq, ended),
            ),
        )
    else:
        base.execute(
            "update visits set label = coalesce(?, label), last = ?, ended = ?, finish = ?,"
            " kinds = kinds || iif(instr(kinds, ?), '', ?) where id = ?",
            (
                *(event.label or None, seq, ended, moment),
                *(f";{event.event};", f"{event.event};", recorded.visit),
            ),
        )
        for zone in zones:
            base.execute(
                "update visits set zones = zones || iif(instr(zones, ?), '', ?) where id = ?",
                (f";{zone};", f"{zone};", recorded.visit),
            )
    if not recorded.is_event:
        return
    for zone in zones:
        base.execute("insert or ignore into event_zones values (?, ?)", (zone, seq))
    label = event.label or (UNKNOWN if event.object else "")
    base.execute(
        "insert into counts values (?, ?, ?, ?, 1)"
        " on conflict (span, kind, zone, label) do update set number = number + 1",
        (int(moment // SPAN), event.event, event.zone, label),
    )
    base.execute("insert or ignore into choices values (?, ?)", (event.zone, label))


def _joined(names: Iterable[str]) -> str:
    return ";" + "".join(f"{name};" for name in names)


def moment_of(at: str) -> float:
    """When an event was, in seconds of the epoch; 0 where it does not say."""
    try:
        return datetime.fromisoformat(at).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


def recorded_of(row: Iterable[Any]) -> RecordedEvent:
    """An event of a row of :data:`EVENT_COLUMNS`."""
    seq, visit, part, armed, earlier, kind, *values = row
    event = Event(cast(Kind, kind), **dict(zip(_COLUMNS, values, strict=True)))
    return RecordedEvent(seq, visit, event, frozenset(filter(None, earlier.split(";"))), part, bool(armed))


def source_key(address: str) -> str:
    """What tells a source from others; another password is the same source."""
    import hashlib
    from urllib.parse import urlsplit

    with suppress(ValueError):
        parts = urlsplit(address)
        if parts.hostname:
            place = f"{parts.hostname}:{parts.port or ''}"
            address = parts._replace(netloc=place).geturl()
    return hashlib.sha256(address.encode()).hexdigest()[:16]
