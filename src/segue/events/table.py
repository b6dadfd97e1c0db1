"""Events, and tables of events: CSV, or a JSON array."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, Literal, get_args

from segue.errors import SinkError
from segue.types import Point
from segue.utils.system import sync_open_file

Kind = Literal["enter", "leave", "end", "zone-enter", "zone-leave", "loiter", "cross", "offline", "online"]

UNKNOWN = "unknown"
"""Class of objects without a known class."""


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


FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters of texts that spreadsheets take for formulas; such texts get a leading ``'``."""

_END = b"\n]\n"


class EventTable:
    """A table of events that is being written; :meth:`flush` puts events on the disk.

    Events wait while the disk is full; the file never ends with a part of an event because of it. Existing
    rows stay as they are.

    Args:
        path: the file.
        suffix: ``.csv`` or ``.json``, where the name of the file has another one.
        append: append to the existing events.

    Raises:
        SinkError: the existing file is no table of events of this version.
    """

    def __init__(self, path: Path, suffix: str | None = None, *, append: bool = False) -> None:
        self._path = path
        self._as_json = (suffix or path.suffix).lower() == ".json"
        self._begin = begin = b"[" if self._as_json else _csv_line(COLUMNS)
        self._is_first, self._is_torn = True, False  # the last line has no end
        self._waiting = deque[bytes]()
        if append and path.exists() and path.stat().st_size:
            self._go_on(begin)
        else:
            path.write_bytes(b"")
            self._waiting.append(begin)
        self._stream: IO[bytes] = path.open("ab", buffering=0)
        self._closed = False

    def _go_on(self, begin: bytes) -> None:
        """Continue an existing file; only the end of a JSON array is removed."""
        with self._path.open("r+b") as file:
            head = file.read(len(begin))
            size = file.seek(0, os.SEEK_END)
            if size < len(begin) and begin.startswith(head):  # a full disk has taken a part of the head
                self._waiting.append(begin[size:])
                return
            if head != begin and head.splitlines()[:1] != begin.splitlines():
                raise SinkError(
                    f"{self._path}: is no table of events of this version; move it away, or give another file"
                )
            if self._as_json:
                file.seek(max(0, size - len(_END)))
                if file.read() == _END:
                    size -= len(_END)
                    file.truncate(size)
                self._is_first = size <= len(begin)
            else:
                file.seek(size - 1)
                self._is_torn = file.read() != b"\n"

    @property
    def num_waiting(self) -> int:
        """Number of events that are not in the file yet."""
        return len(self._waiting)

    @property
    def position(self) -> int:
        """Size of the file in bytes, without the end of a JSON array."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def add(self, event: Row) -> None:
        """Add an event, written with the next :meth:`flush`."""
        self._take(self._encoded(event))

    def _take(self, data: bytes) -> None:
        if self._is_torn:
            self._waiting.append(b"\r\n")
            self._is_torn = False
        self._waiting.append(data)

    def add_missing(self, events: Iterable[Row], position: int) -> None:
        """Add events unless they follow a position in the file already, as after a crash.

        Args:
            events: in their order.
            position: position of the first one.
        """
        position = max(position, len(self._begin))
        self._is_first = position == len(self._begin)
        data = b"".join([self._encoded(event) for event in events])
        self._is_first = self.position <= len(self._begin) and not data
        with self._path.open("rb") as file:
            file.seek(position)
            tail = file.read(len(data) + 1)
        if data.startswith(tail):
            self._is_torn = self._is_torn and not tail
            data = data[len(tail) :]
        elif tail.startswith(data):
            data = b""
        if data:
            self._take(data)

    def _encoded(self, event: Row) -> bytes:
        if self._as_json:
            separator, self._is_first = b"\n" if self._is_first else b",\n", False
            return separator + json.dumps(event).encode()
        return _csv_line(
            [
                value if name in _NUMBERS else without_formula(value)
                for name, value in csv_texts(event).items()
            ]
        )

    def flush(self) -> None:
        """Write all events to the disk; after an OSError they still wait."""
        if self._waiting:
            self._write()

    def close(self) -> None:
        """Complete the file."""
        if not self._closed:
            self._closed = True
            if self._as_json:
                self._waiting.append(_END)
            try:
                self.flush()
            finally:
                self._stream.close()

    def _write(self) -> None:
        """Write all waiting events, or none."""
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


def csv_texts(event: Row) -> Row:
    """Format the columns of an event as texts for CSV."""
    times = {name: f"{event[name]:.3f}" for name in ("time", "seconds")}
    return {name: "" if (value := (event | times)[name]) is None else str(value) for name in COLUMNS}


def without_formula(value: Any) -> Any:
    """Escape a text so that no program reads a formula in it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _csv_line(values: Iterable[object]) -> bytes:
    line = io.StringIO(newline="")
    csv.writer(line).writerow(values)
    return line.getvalue().encode()


def read_events(path: Path) -> Iterator[Row]:
    """Read the events of a table; invalid lines, such as one cut off by a crash, are skipped.

    Args:
        path: a file of events, CSV or JSON.

    Returns:
        Each event by its columns, which are the attributes of :class:`Event`; texts in a CSV table.

    Raises:
        SinkError: it is no table of events.
    """
    return (row for _, row in numbered_events(path) if row is not None)


def numbered_events(path: Path) -> Iterator[tuple[int, Row | None]]:
    """Read the lines of a table by number; invalid lines are None."""
    with path.open("rb") as stream:
        yield from (_json_rows if path.suffix.lower() == ".json" else _csv_rows)(stream, path)


def event_of(row: Row) -> Event:
    """Parse a row of a table; ValueError for an invalid value."""
    values: Row = dict(row)
    for name, kind in _NUMBERS.items():
        number = None if values[name] in ("", None) else kind(values[name])
        if number is None and name != "label_score":
            raise ValueError(f"{name} is missing")
        if number is not None and not math.isfinite(number):
            raise ValueError(f"{name} is {number}")
        values[name] = number
    for name in COLUMNS:
        if name not in _NUMBERS and not isinstance(values[name], str) and name != "label":
            raise ValueError(f"{name} is no text")
    if values["event"] not in get_args(Kind):
        raise ValueError(f"there is no event {values['event']!r}")
    return Event(**(values | {"label": values["label"] or None}))


def _json_rows(stream: IO[bytes], path: Path) -> Iterator[tuple[int, Row | None]]:
    is_first = True
    for number, line in enumerate(stream, 1):
        text = line.strip()
        if number == 1 and not text.startswith(b"["):
            raise SinkError(_no_table(path))
        text = (text.removeprefix(b"[") if number == 1 else text).removesuffix(b",")
        if text in (b"", b"]"):
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            row = None
        is_event = isinstance(row, dict) and {*row} == {*COLUMNS}
        if is_first and row is not None and not is_event:
            raise SinkError(_no_table(path))
        is_first = False
        yield number, row if is_event else None


def _csv_rows(stream: IO[bytes], path: Path) -> Iterator[tuple[int, Row | None]]:
    for number, line in enumerate(stream, 1):
        values = _csv_values(line)
        if number == 1:
            is_cut = not line.endswith(b"\n") and ",".join(COLUMNS).encode().startswith(line)
            if values != [*COLUMNS] and not is_cut:
                raise SinkError(_no_table(path))
            continue
        if len(values) != len(COLUMNS) or not line.endswith(b"\n"):
            yield number, None
        elif values != [*COLUMNS]:
            yield number, {name: _read(name, value) for name, value in zip(COLUMNS, values, strict=True)}


def _read(name: str, value: str) -> str:
    """Reverse :func:`without_formula`."""
    is_escaped = name not in _NUMBERS and value[:1] == "'" and value[1:].startswith(FORMULA)
    return value[1:] if is_escaped else value


def _csv_values(line: bytes) -> list[str]:
    text = line.decode("utf-8", "replace")
    try:
        return next(csv.reader([text]), []) if '"' in text else text.rstrip("\r\n").split(",")
    except csv.Error:  # a field without an end
        return []


def _no_table(path: Path) -> str:
    return f"{path}: is no table of events of this version; move it away, or give another file"
