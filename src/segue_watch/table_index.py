"""Where in a table of events each quarter of an hour stands, and how many events of each kind it has."""

from __future__ import annotations

import csv
import json
import os
import threading
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import IO, NamedTuple

from segue.errors import SourceError
from segue.events.table import COLUMNS, Row

SPAN = 900
"""Seconds of a part of the index: hours and days of all zones of time begin at a multiple of it."""

_BLOCK = 1 << 20
"""Bytes of a table that are read at once."""

_TAIL = 64
"""Bytes before the end of what was read by which a table that goes on is told from another one."""

_AT, _EVENT, _ZONE, _LABEL = (COLUMNS.index(name) for name in ("at", "event", "zone", "label"))


class Kind(NamedTuple):
    """What events are counted by."""

    event: str
    zone: str
    label: str


@dataclass(slots=True)
class Span:
    """Rows of a quarter of an hour, among which others may stand.

    Attributes:
        start: byte at which the first of them begins.
        end: byte behind the last of them.
        counts: number of events of each kind.
    """

    start: int
    end: int
    counts: Counter[Kind] = field(default_factory=Counter)


Matches = Callable[[Kind], bool]
"""Whether events of a kind are meant."""


class TableIndex:
    """Rows of a table by quarters of an hour; only rows that have come since are read again.

    A table whose rows were marked as deleted, or that was begun anew, is read from its start.

    Its methods raise SourceError where the table cannot be read.

    Args:
        table: CSV or JSON file, which may be written meanwhile.
    """

    def __init__(self, table: Path) -> None:
        self._table = table
        self._as_json = table.suffix.lower() == ".json"
        self._lock = threading.Lock()
        self._kinds: dict[Kind, Kind] = {}
        self._spans: dict[int, Span] = {}
        self._numbers: list[int] = []  # of the spans, ascending
        self._file, self._end, self._tail = 0, 0, b""

    def numbers(self, matches: Matches, first: int, last: int) -> list[int]:
        """The quarters of an hour that have events of some kinds.

        Args:
            matches: whether events of a kind are meant.
            first: number of the first one that may be named.
            last: number of the last one.

        Returns:
            Their numbers since the epoch, ascending; 0 has the events without a time.
        """
        with self._lock:
            selected = self._select(matches)
            numbers = self._numbers[bisect_left(self._numbers, first) : bisect_right(self._numbers, last)]
            if len(selected) == len(self._kinds):
                return numbers
            return [number for number in numbers if not selected.isdisjoint(self._spans[number].counts)]

    def kinds(self) -> list[Kind]:
        """The kinds of all events."""
        with self._lock:
            return [*self._select(lambda _: True)]

    def counts(self, matches: Matches, edges: Sequence[float]) -> list[Counter[Kind]]:
        """The number of events of each kind from each edge to the next one, and from the last one on.

        Args:
            matches: whether events of a kind are counted.
            edges: seconds of the epoch, at quarters of an hour, ascending.
        """
        with self._lock:
            selected = self._select(matches)
            starts = [bisect_left(self._numbers, span_of(edge)) for edge in edges]
            counts = []
            for start, end in pairwise([*starts, len(self._numbers)]):
                totals = Counter[Kind]()
                for number in self._numbers[start:end]:
                    for kind, count in self._spans[number].counts.items():
                        totals[kind] += count
                counts.append(Counter({kind: totals[kind] for kind in totals.keys() & selected}))
            return counts

    def _select(self, matches: Matches) -> set[Kind]:
        """Take what has come since; gives the kinds that are meant."""
        with self._reading():
            about = self._table.stat()
            if about.st_ino != self._file or about.st_size != self._end:
                with self._table.open("rb") as stream:
                    self._read(stream)
        return {*filter(matches, self._kinds)}

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """A table that is not there has no rows; one that cannot be read is an error, not a table without."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            self._forget(0)
        except OSError as error:
            raise SourceError(f"{self._table}: cannot be read ({error.strerror or error})") from error

    def _forget(self, file: int) -> None:
        self._file, self._end, self._tail = file, 0, b""
        self._kinds, self._spans, self._numbers = {}, {}, []

    def rows(self, number: int) -> list[tuple[int, Row]]:
        """The rows of a quarter of an hour in their order, each with its place, which does not change."""
        lines = list[bytes]()
        with self._lock, self._reading(), self._table.open("rb") as stream:
            self._read(stream)
            if (span := self._spans.get(number)) is not None:
                stream.seek(span.start)
                lines = stream.read(span.end - span.start).split(b"\n")
        rows = [row for line in lines if (row := self._parse(line)) is not None]
        return [(place, row) for place, row in enumerate(rows) if span_of(moment_of(row)) == number]

    def _read(self, stream: IO[bytes]) -> None:
        """Take the rows that have come, or all of a table that is another one."""
        about = os.fstat(stream.fileno())
        stream.seek(max(0, self._end - _TAIL))
        if about.st_ino != self._file or stream.read(self._end - stream.tell()) != self._tail:
            self._forget(about.st_ino)
        stream.seek(self._end)
        rest = b""
        while block := stream.read(_BLOCK):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                self._take(line, len(line) + 1)
        # The last row of a JSON table has no end of line yet; of a CSV table it is still written.
        if rest and self._as_json and self._parse(rest) is not None:
            self._take(rest, len(rest))
        stream.seek(max(0, self._end - _TAIL))
        self._tail = stream.read(self._end - stream.tell())

    def _take(self, line: bytes, size: int) -> None:
        start = self._end
        self._end += size
        values = self._values(line)
        if values is None:
            return
        kind = Kind(values[_EVENT], values[_ZONE], values[_LABEL])
        number = span_of(_moment(values[_AT]))
        span = self._spans.get(number)
        if span is None:
            span = self._spans[number] = Span(start, self._end)
            insort(self._numbers, number)
        span.end = self._end
        span.counts[self._kinds.setdefault(kind, kind)] += 1

    def _parse(self, line: bytes) -> Row | None:
        if self._as_json:
            return _json_row(line)
        values = _csv_values(line)
        return None if values is None else dict(zip(COLUMNS, values, strict=True))

    def _values(self, line: bytes) -> list[str] | None:
        if not self._as_json:
            return _csv_values(line)
        row = _json_row(line)
        return None if row is None else ["" if row[name] is None else str(row[name]) for name in COLUMNS]


def span_of(moment: float) -> int:
    """The number of the quarter of an hour of a moment."""
    return int(moment // SPAN)


def moment_of(row: Row) -> float:
    """When an event was, in seconds of the epoch; 0 where its table does not say."""
    return _moment(row["at"])


def _moment(at: object) -> float:
    try:
        return datetime.fromisoformat(str(at)).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


def _csv_values(line: bytes) -> list[str] | None:
    text = line.decode("utf-8", "replace")
    try:
        values = next(csv.reader([text]), []) if '"' in text else text.rstrip("\r").split(",")
    except csv.Error:  # a field without an end
        return None
    return values if len(values) == len(COLUMNS) and values[0] != COLUMNS[0] else None


def _json_row(line: bytes) -> Row | None:
    try:
        row = json.loads(line.strip().removeprefix(b"[").removesuffix(b","))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and {*row} == {*COLUMNS} else None
