"""Recorded events: their number and visit, and their rows in the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, cast

from segue.events.store.schema import SPAN
from segue.events.table import UNKNOWN, Event, Kind

FIRST, LAST = ("enter", "offline"), ("leave", "end", "online")
"""Events that begin and end a visit."""

CLASS = "class"
"""Kind of a record, not an event, of an object's class that becomes known between two events."""

_COLUMNS = tuple(each.name for each in fields(Event) if each.name != "event")

EVENT_COLUMNS = "seq, visit, (select name from parts where id = part), armed, earlier, kind, " + ", ".join(
    _COLUMNS
)
"""Columns read by :func:`recorded_of`."""

PART_NUMBER = "(select id from parts where name = ?)"
"""Number of a part in statements, by its name."""

_INSERT = (
    f"insert into events (seq, visit, part, run, moment, armed, earlier, kind, {', '.join(_COLUMNS)})"
    f" values (?, ?, {PART_NUMBER}, {', '.join('?' * (5 + len(_COLUMNS)))})"
)


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event with its number and visit.

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
        """Whether it is an event, not a class that was found between two events."""
        return self.event.event != CLASS

    @property
    def values(self) -> dict[str, Any]:
        """Columns of the event by name."""
        return asdict(self.event)


def insert_event(
    base: sqlite3.Connection,
    recorded: RecordedEvent,
    run: int | None,
    moment: float | None = None,
) -> None:
    """Insert an event, and update its visit and the counts."""
    event, seq = recorded.event, recorded.seq
    moment = moment_of(event.at) if moment is None else moment
    earlier = _joined(recorded.earlier)
    own = seq, recorded.visit, recorded.part, run, moment, recorded.armed, earlier, event.event
    base.execute(_INSERT, (*own, *(getattr(event, name) for name in _COLUMNS)))
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
    """Time of an event in seconds of the epoch; 0 if unknown."""
    try:
        return datetime.fromisoformat(at).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


def recorded_of(row: Iterable[Any]) -> RecordedEvent:
    """Convert a row of :data:`EVENT_COLUMNS` to an event."""
    seq, visit, part, armed, earlier, kind, *values = row
    event = Event(cast(Kind, kind), **dict(zip(_COLUMNS, values, strict=True)))
    return RecordedEvent(seq, visit, event, frozenset(filter(None, earlier.split(";"))), part, bool(armed))
