"""Files of events: a CSV table or a JSON array, written one by one, read again, and continued."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, Literal

from segue.errors import SinkError
from segue.events.retention import note_deleted
from segue.masks.values import MAX_ID
from segue.types import Point
from segue.utils.system import sync_open_file

Kind = Literal["enter", "leave", "end", "zone-enter", "zone-leave", "loiter", "cross", "offline", "online"]


@dataclass(frozen=True, slots=True)
class Event:
    """An object appeared, left, or crossed or entered a zone; or a camera was lost or is back.

    Attributes:
        event: ``enter``; ``leave`` when it has not been seen for a while; ``end`` when it was still there at
            the end; ``zone-enter`` and ``zone-leave``; ``loiter`` for who stays in a zone; ``cross`` for a
            line; ``offline`` when a camera or stream is lost, and ``online`` when it is back, with the
            seconds that it was away.
        object: its id; 0 for a camera.
        frame, time: where it was seen first or, for ``leave`` and ``end``, last; for the others where it
            happened; time in seconds.
        x0, y0, x1, y1: its box there, in pixels; the far side is exclusive.
        area: its pixels there.
        seconds: time since it came, 0 for ``enter``; for ``zone-leave`` and ``loiter`` the time that it was
            in the zone.
        largest: largest area so far, in pixels.
        label: its class, or None if unknown.
        label_score: score of that class, in [0, 1], if a detector gave it.
        zone: name of the zone or line; for other events the zone that contains it, if any.
        at: date and time of day with its zone, as ISO 8601, for cameras and live streams.
        source: name of the source.
        snapshot, clip: names of its image and its clip; a clip may be left out where many are wanted at once.
        direction: ``right`` or ``left`` for ``cross``: the side to which it went, as seen when
            facing from the first point of the line to the second.
    """

    event: Kind
    object: int
    frame: int
    time: float
    x0: float
    y0: float
    x1: float
    y1: float
    area: int
    seconds: float
    largest: int
    label: str | None = None
    label_score: float | None = None
    zone: str = ""
    direction: str = ""
    at: str = ""
    source: str = ""
    snapshot: str = ""
    clip: str = ""

    @property
    def foot(self) -> Point:
        """Bottom centre of the box, where a person stands on the ground."""
        return (self.x0 + self.x1) / 2, self.y1


COLUMNS = tuple(column.name for column in fields(Event))

_NUMBERS: dict[str, type[int] | type[float]] = {
    **dict.fromkeys(("object", "frame", "area", "largest"), int),
    **dict.fromkeys(("time", "x0", "y0", "x1", "y1", "seconds", "label_score"), float),
}
"""Columns that are numbers."""

Row = dict[str, Any]
"""An event by its columns; of a CSV table all are texts."""


class EventTable:
    """A file of events that is being written; each event is on the disk after :meth:`flush`.

    What a full disk has no room for waits; the file never ends with a part of an event because of it.

    Args:
        path: the file.
        suffix: ``.csv`` or ``.json``, where the name of the file has another one.
        append: keep the events that are there; a last one that a crash has cut off is removed.

    Raises:
        SinkError: what is there is no table of events of this version.
    """

    def __init__(self, path: Path, suffix: str | None = None, *, append: bool = False) -> None:
        self._path = path
        self._as_json = (suffix or path.suffix).lower() == ".json"
        end: int | None = None
        self._any = False
        for position, row in _complete_rows(path) if append and path.exists() else ():
            end, self._any = position, bool(row)
        if end is not None:
            os.truncate(path, end)
        else:
            path.write_bytes(b"")
        self._stream: IO[bytes] = path.open("ab", buffering=0)
        self._waiting = deque[bytes]()
        self._closed = False
        if end is None:
            self._waiting.append(b"[" if self._as_json else _csv_line(COLUMNS))

    @property
    def num_waiting(self) -> int:
        """Events that are not in the file yet."""
        return len(self._waiting)

    def add(self, event: Row) -> None:
        """Take an event, for the next :meth:`flush`."""
        if self._as_json:
            self._waiting.append((b",\n" if self._any else b"\n") + json.dumps(event).encode())
        else:
            times = {name: f"{event[name]:.3f}" for name in ("time", "seconds")}
            self._waiting.append(_csv_line([(event | times)[name] for name in COLUMNS]))
        self._any = True

    def note_deleted(self, names: Collection[str] | Mapping[str, str]) -> None:
        """Say of images and clips that they are gone, see :func:`.retention.note_deleted`."""
        self.flush()
        note_deleted(self._path, names)
        self._stream.close()  # it leads to the file of before; the next event opens the new one

    def flush(self) -> None:
        """Return when all events are on the disk; after an OSError they are still to be written."""
        if self._waiting:
            self._write()

    def close(self) -> None:
        """Complete the file."""
        if not self._closed:
            self._closed = True
            if self._as_json:
                self._waiting.append(b"\n]\n")
            try:
                self.flush()
            finally:
                self._stream.close()

    def _write(self) -> None:
        """Write what waits, all of it or nothing."""
        if self._stream.closed:
            self._stream = self._path.open("ab", buffering=0)
        descriptor = self._stream.fileno()
        end = os.fstat(descriptor).st_size
        try:
            rest = memoryview(b"".join(self._waiting))
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            sync_open_file(descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, end)
            raise
        self._waiting.clear()


def _csv_line(values: Iterable[object]) -> bytes:
    line = io.StringIO(newline="")
    csv.writer(line).writerow(values)
    return line.getvalue().encode()


def read_events(path: Path) -> Iterator[Row]:
    """The events of a table, also of one that a crash has cut off, up to there.

    Args:
        path: a file of events, CSV or JSON.

    Returns:
        Each event by its columns, which are the attributes of :class:`Event`; texts in a CSV table.

    Raises:
        SourceError: it cannot be read, or is no table of events.
    """
    return (row for _, row in _complete_rows(path) if row)


def last_object(paths: Iterable[Path]) -> int:
    """The last id that objects got in tables of events, in their order; 0 where there is none."""
    last = 0
    for row in (row for path in paths if path.exists() for row in read_events(path)):
        number = int(row["object"]) if str(row["object"]).isdecimal() else 0
        # After the largest id comes 1 again: an id is later if the way on to it is the shorter one.
        if number and (not last or (number - last) % MAX_ID < MAX_ID // 2):
            last = number
    return last


def event_of(row: Row) -> Event:
    """The event of a row of a table."""
    values: Row = dict(row)
    for name, kind in _NUMBERS.items():
        values[name] = None if values[name] in ("", None) else kind(values[name])
    return Event(**(values | {"label": values["label"] or None}))


def _complete_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """The head of a table, without columns, and its events, each with the position behind it in bytes."""
    with path.open("rb") as stream:
        yield from (_json_rows if path.suffix.lower() == ".json" else _csv_rows)(stream, path)


def _json_rows(stream: IO[bytes], path: Path) -> Iterator[tuple[int, Row]]:
    position, head = 0, stream.readline()
    if head.strip() not in (b"", b"["):
        raise SinkError(_no_table(path))
    if head:
        yield 1, {}
        position = len(head)
    for line in stream:
        text = line.rstrip().removesuffix(b",")
        try:
            row = json.loads(text)
        except ValueError:  # the end of the table, or half an event
            return
        if not isinstance(row, dict) or {*row} != {*COLUMNS}:
            raise SinkError(_no_table(path))
        yield position + len(text), row
        position += len(line)


def _csv_rows(stream: IO[bytes], path: Path) -> Iterator[tuple[int, Row]]:
    position, whole = 0, True

    def lines() -> Iterator[str]:
        nonlocal position, whole
        for line in stream:
            position, whole = position + len(line), line.endswith(b"\n")
            yield line.decode("utf-8", "replace")

    rows = csv.reader(lines())
    head = next(rows, None)
    if head is None or (not whole and ",".join(COLUMNS).startswith(",".join(head))):
        return  # a full disk has taken a part of the head
    if tuple(head) != COLUMNS:
        raise SinkError(_no_table(path))
    yield position, {}
    for row in rows:
        if len(row) != len(COLUMNS) or not whole:
            return
        yield position, dict(zip(COLUMNS, row, strict=True))


def _no_table(path: Path) -> str:
    return f"{path}: is no table of events of this version; move it away, or give another file"
