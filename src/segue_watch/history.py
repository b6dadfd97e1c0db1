"""Events of cameras as their tables have them, newest first, with filters and counts."""

from __future__ import annotations

import csv
import heapq
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs

from segue.errors import SegueError
from segue.events.retention import Marks
from segue.events.table import COLUMNS, Row

MOST_EVENTS = 200
"""Events of an answer."""

MOST_ROWS = 50_000
"""Rows of the tables of a camera that are looked at for an answer."""

_BLOCK = 1 << 16
"""Bytes of a table that are read at once."""

_OUT_OF_ORDER = 3600.0
"""Seconds by which a row may be older than those before it: an ``enter`` is known after ``min-seconds``."""


@dataclass(frozen=True, slots=True)
class Place:
    """A table of events with the folder of their images; ``part`` is empty, or names a part of a run."""

    part: str
    table: Path
    folder: Path


@dataclass(frozen=True, slots=True)
class Query:
    """Which events are asked for; empty fields ask for all.

    Attributes:
        cameras: names of cameras.
        zones: names of zones and lines.
        labels: classes.
        kinds: such as ``enter``.
        after, before: seconds of the epoch.
        unreviewed: only events that nobody has reviewed.
        limit: events at most.
    """

    cameras: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    after: float = 0.0
    before: float = float("inf")
    unreviewed: bool = False
    limit: int = 60

    @classmethod
    def parse(cls, text: str) -> Query:
        """Read the part of an address behind ``?``; raises SegueError if it means nothing."""
        try:
            given = parse_qs(text, max_num_fields=100)
            limit = min(MOST_EVENTS, max(1, int(given.get("limit", ["60"])[0][:9])))
            after, before = float(given.get("after", ["0"])[0]), float(given.get("before", ["inf"])[0])
        except ValueError as error:
            raise SegueError(f"no such question: {error}") from None
        cameras, zones, labels, kinds = (
            frozenset(given.get(word, ())) for word in ("camera", "zone", "label", "event")
        )
        return cls(cameras, zones, labels, kinds, after, before, "unreviewed" in given, limit)

    def wants(self, row: Row) -> bool:
        """Whether an event is asked for."""
        return (
            (not self.zones or not self.zones.isdisjoint(row["zone"].split(";")))
            and (not self.labels or (row["label"] or "") in self.labels)
            and (not self.kinds or row["event"] in self.kinds)
        )


def newest_first(table: Path) -> Iterator[Row]:
    """The events of a table, the last one first; it may be written meanwhile."""
    as_json = table.suffix.lower() == ".json"
    parse = _json_row if as_json else _csv_row
    try:
        with table.open("rb") as stream:
            # Behind the last end of a line of a CSV table there is nothing, or a row that is still written.
            for line in islice(_lines_backwards(stream), 0 if as_json else 1, None):
                if (row := parse(line)) is not None:
                    yield row
    except OSError:
        return


def moment_of(row: Row) -> float:
    """When an event was, in seconds of the epoch; 0 where its table does not say."""
    try:
        return datetime.fromisoformat(row["at"]).timestamp()
    except ValueError:
        return 0.0


def events_of(archives: Mapping[str, Iterable[Place]], query: Query) -> list[dict[str, Any]]:
    """The events that are asked for, newest first, each with its camera, part, time and marks."""
    cameras = [name for name in archives if not query.cameras or name in query.cameras]
    found = [_of_camera(name, archives[name], query) for name in cameras]
    merged = heapq.merge(*found, key=lambda event: -event["moment"])
    return [*islice(merged, query.limit)]


@dataclass
class Counts:
    """How many events there were in an hour or a day.

    Attributes:
        begin: seconds of the epoch.
        events: number of each kind of event; of zones and lines with their names.
    """

    begin: float
    events: Counter[str] = field(default_factory=Counter)


def counts_of(
    archives: Mapping[str, Iterable[Place]],
    query: Query,
    *,
    by_day: bool,
    number: int,
    now: float | None = None,
) -> list[dict[str, Any]]:
    """How many events there were in each of the last hours or days of the clock, oldest first."""
    end = datetime.fromtimestamp(time.time() if now is None else now).astimezone()
    last = end.replace(hour=0 if by_day else end.hour, minute=0, second=0, microsecond=0)
    # Days by the calendar: with the change of the clocks they are of 23 or 25 hours.
    step = timedelta(days=1) if by_day else timedelta(hours=1)
    local = last.replace(tzinfo=None)
    if by_day:
        begins = [(local - step * back).astimezone().timestamp() for back in reversed(range(number))]
    else:
        begins = [last.timestamp() - 3600.0 * back for back in reversed(range(number))]
    counts = [Counts(begin) for begin in begins]
    for name in (name for name in archives if not query.cameras or name in query.cameras):
        for row, _ in _rows(archives[name], begins[0]):
            moment = moment_of(row)
            if moment < begins[0] or not query.wants(row):
                continue
            place = max(i for i, begin in enumerate(begins) if begin <= moment)
            zone = row["zone"] if row["event"] in ("zone-enter", "zone-leave", "loiter", "cross") else ""
            counts[place].events[f"{row['event']} {zone}".strip()] += 1
    return [{"begin": each.begin, "events": dict(each.events)} for each in counts]


def _of_camera(name: str, places: Iterable[Place], query: Query) -> Iterator[dict[str, Any]]:
    marks: dict[Path, Marks] = {}
    wanted = []
    for row, place in _rows(places, query.after):
        moment = moment_of(row)
        if not query.after <= moment < query.before or not query.wants(row):
            continue
        if place.folder not in marks:
            marks[place.folder] = Marks(place.folder)
        noted = marks[place.folder].of(row["snapshot"])
        if query.unreviewed and noted["reviewed"]:
            continue
        wanted.append(row | noted | {"camera": name, "part": place.part, "moment": moment})
        if len(wanted) >= query.limit + MOST_EVENTS:  # enough to put them into order
            break
    yield from sorted(wanted, key=lambda event: -event["moment"])


def _rows(places: Iterable[Place], after: float) -> Iterator[tuple[Row, Place]]:
    """Rows of tables, newest first, back to a moment."""
    left = MOST_ROWS
    for place in places:
        for row in newest_first(place.table):
            left -= 1
            if left < 0 or 0 < moment_of(row) < after - _OUT_OF_ORDER:
                return
            yield row, place


def _lines_backwards(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file, the last one first."""
    position, rest = stream.seek(0, os.SEEK_END), b""
    while position > 0:
        size = min(_BLOCK, position)
        position -= size
        stream.seek(position)
        rest, *lines = (stream.read(size) + rest).split(b"\n")
        yield from reversed(lines)
    yield rest


def _csv_row(line: bytes) -> Row | None:
    values = next(csv.reader([line.decode("utf-8", "replace")]), [])
    if len(values) != len(COLUMNS) or tuple(values) == COLUMNS:
        return None
    return dict(zip(COLUMNS, values, strict=True))


def _json_row(line: bytes) -> Row | None:
    try:
        row = json.loads(line.strip().removeprefix(b"[").removesuffix(b","))
    except ValueError:
        return None
    return row if isinstance(row, dict) and {*row} == {*COLUMNS} else None
