"""Events of cameras as their tables have them, newest first, with filters and counts."""

from __future__ import annotations

import heapq
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from math import nextafter
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qs

from segue.errors import SegueError
from segue.events.archive import ArchivePart, EventArchive
from segue.events.marks import Marks
from segue.events.table import Row
from segue_watch.table_index import SPAN, Kind, TableIndex, moment_of, span_of

MAX_EVENTS = 200
"""Events of an answer."""

MAX_ROWS = 50_000
"""Rows that are looked at for an answer; where they do not suffice, it says where the next one goes on."""

MAX_EDGES = 366
"""Hours or days that counts may be asked for."""

UNKNOWN = "unknown"
"""What questions call the class of an object that no detector has named."""

_UNMARKED = {"reviewed": False, "kept": False}

Value = TypeVar("Value")

_LAST = 1e12
"""A moment after all others."""

_ZONE_EVENTS = ("zone-enter", "zone-leave", "loiter", "cross")


class Cursor(NamedTuple):
    """A place in the list of events, which begins with the newest; events of one moment have an order, too.

    Attributes:
        moment: seconds of the epoch, less than none.
        camera, part, place: the last event that was listed, among those of the moment.
    """

    moment: float
    camera: str
    part: str
    place: int

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read what an answer gave as ``next``, or as the ``place`` of an event; raises ValueError."""
        moment, camera, part, place = text.split("/")
        return cls(float(moment), camera, part, int(place[:12]))

    def __str__(self) -> str:
        return f"{self.moment!r}/{self.camera}/{self.part}/{self.place}"

    @property
    def order(self) -> tuple[float, str, str, int]:
        """What sorts places from the newest event to the oldest."""
        return -self.moment, self.camera, self.part, -self.place


def start_of(number: int) -> Cursor:
    """The place before all events of a quarter of an hour, and behind all later ones."""
    return Cursor(nextafter((number + 1) * SPAN, 0), "", "", 0)


@dataclass(frozen=True, slots=True)
class Query:
    """Which events are asked for; empty fields ask for all.

    Attributes:
        cameras: names of cameras.
        zones: names of zones and lines.
        labels: classes.
        kinds: such as ``enter``.
        after, before: seconds of the epoch; ``before=`` also takes the place of an event.
        cursor: only events behind it.
        unreviewed: only events that nobody has reviewed.
        words: what the name of the camera, the object, its class, its zones or its events have in them.
        place: of the visit that is asked for alone.
        limit: events at most.
    """

    cameras: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    after: float = 0.0
    before: float = float("inf")
    cursor: Cursor | None = None
    unreviewed: bool = False
    words: tuple[str, ...] = ()
    place: Cursor | None = None
    limit: int = 60

    @classmethod
    def parse(cls, text: str) -> Query:
        """Read the part of an address behind ``?``; raises SegueError if it means nothing."""
        try:
            fields = parse_qs(text, max_num_fields=100)
            limit = min(MAX_EVENTS, max(1, int(fields.get("limit", ["60"])[0][:9])))
            after, limits = float(fields.get("after", ["0"])[0]), fields.get("before", ["inf"])
            # Events of one moment have an order: behind the place of one of them the others still come.
            texts = [*fields.get("cursor", ()), *(each for each in limits if "/" in each)]
            places = [Cursor.parse(each) for each in texts]
            before = min((float(each) for each in limits if "/" not in each), default=float("inf"))
            cursor = max(places, key=lambda place: place.order, default=None)
            place = Cursor.parse(fields["place"][0]) if "place" in fields else None
        except ValueError as error:
            raise SegueError(f"invalid query: {error}") from None
        cameras, zones, labels, kinds = (
            frozenset(fields.get(word, ())) for word in ("camera", "zone", "label", "event")
        )
        words = tuple(" ".join(fields.get("search", ())).casefold().split())
        unreviewed = "unreviewed" in fields
        return cls(cameras, zones, labels, kinds, after, before, cursor, unreviewed, words, place, limit)

    def matches(self, kind: Kind) -> bool:
        """Whether events of a kind are asked for."""
        return (
            (not self.zones or not self.zones.isdisjoint(kind.zone.split(";")))
            and (not self.labels or _class_of(kind) in self.labels)
            and (not self.kinds or kind.event in self.kinds)
        )

    @property
    def numbers(self) -> tuple[int, int]:
        """The first and the last quarter of an hour that may have such events."""
        if self.place is not None:
            return span_of(self.place.moment), span_of(self.place.moment)
        last = min(self.before, _LAST if self.cursor is None else self.cursor.moment, _LAST)
        return span_of(max(0.0, min(self.after, _LAST))), span_of(last)

    def reaches(self, place: Cursor) -> bool:
        """Whether an event at a place is asked for, as far as times and places say."""
        if self.place is not None:
            return place == self.place
        is_behind = self.cursor is None or place.order > self.cursor.order
        return is_behind and self.after <= place.moment < self.before


def _class_of(kind: Kind) -> str:
    """What questions call the class of an event; nothing for those of a camera."""
    return kind.label or ("" if kind.event in ("offline", "online") else UNKNOWN)


def edges_of(text: str) -> list[float]:
    """The begins of hours or days of which counts are asked for, of the part of an address behind ``?``.

    The one who asks knows in which zone of time: `edges=1764370800,1764374400`.

    Raises:
        SegueError: they are no such begins.
    """
    try:
        edges = [int(word[:12]) for word in parse_qs(text, max_num_fields=100)["edges"][0].split(",")]
    except (KeyError, ValueError):
        raise SegueError("counts: give edges=SECONDS,SECONDS,... of the epoch") from None
    if len(edges) > MAX_EDGES or any(edge % SPAN for edge in edges) or sorted({*edges}) != edges:
        raise SegueError(
            f"counts: give at most {MAX_EDGES} edges, each later than the one before, at quarters of an hour"
        )
    return [float(edge) for edge in edges]


@dataclass(frozen=True, slots=True)
class Answer:
    """Events that were asked for.

    Attributes:
        events: newest first, each with its camera, part, moment and marks.
        next: where further ones begin; None where there are none.
        problems: what could not be read.
    """

    events: list[Row]
    next: Cursor | None
    problems: list[str]


class History:
    """Answers questions about the events of cameras; it reads again only what has come since the last one."""

    def __init__(self) -> None:
        self._indexes: dict[Path, TableIndex] = {}
        self._lock = threading.Lock()

    def events(self, archives: Mapping[str, EventArchive], query: Query) -> Answer:
        """The events that are asked for, newest first."""
        problems = Problems()
        tables = (numbered(table, query, problems) for table in self.tables(archives, query, problems))
        newest_first = heapq.merge(*tables, key=itemgetter(0), reverse=True)
        marks, events = AllMarks(problems), list[tuple[Cursor, Row]]()
        remaining, following = MAX_ROWS, None
        for number, group in groupby(newest_first, key=itemgetter(0)):
            if remaining <= 0:
                following = start_of(number)
                break
            batch = list[tuple[Cursor, Row]]()
            for _, table in group:
                rows = problems.collect(partial(table.index.rows, number))
                remaining -= len(rows)
                batch += _matching(table, rows, query, marks)
            events += sorted(batch, key=lambda each: each[0].order)
            if len(events) > query.limit:
                del events[query.limit :]
                following = events[-1][0]
                break
        for cursor, event in events:
            event["place"] = str(cursor)
            event["clip_state"] = archives[event["camera"]].part(event["part"]).state_of(event["clip"])
        return Answer([event for _, event in events], following, problems.texts)

    def choices(self, archives: Mapping[str, EventArchive]) -> dict[str, list[str]]:
        """The zones and lines, and the classes, that there are among all events; of what can be read."""
        problems, everything = Problems(), Query()
        tables = self.tables(archives, everything, problems)
        kinds = {kind for table in tables for kind in problems.collect(table.index.kinds)}
        zones = {zone for kind in kinds for zone in kind.zone.split(";")}
        labels = {_class_of(kind) for kind in kinds} - {""}
        return {"zones": sorted(zones - {""}), "labels": sorted(labels) if labels != {UNKNOWN} else []}

    def counts(
        self, archives: Mapping[str, EventArchive], query: Query, edges: Sequence[float]
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """How many events there were from each of some moments to the next one, and from the last one on.

        Args:
            archives: cameras by their names.
            query: which events; its times do not count.
            edges: seconds of the epoch, at quarters of an hour, ascending.

        Returns:
            The moment, and the number of each kind of event, of zones and lines with their names; and what
            could not be read.
        """
        counts, problems = [Counter[str]() for _ in edges], Problems()
        for table in self.tables(archives, query, problems):
            of_table = problems.collect(partial(table.index.counts, query.matches, edges))
            for total, numbers in zip(counts, of_table, strict=False):  # of none that cannot be read
                for kind, count in numbers.items():
                    zone = kind.zone if kind.event in _ZONE_EVENTS else ""
                    total[f"{kind.event} {zone}".strip()] += count
        begins = zip(edges, counts, strict=True)
        return [{"begin": edge, "events": dict(each)} for edge, each in begins], problems.texts

    def tables(
        self, archives: Mapping[str, EventArchive], query: Query, problems: Problems
    ) -> Iterator[Table]:
        """The tables of the cameras that are asked for; those that are gone are forgotten."""
        parts = {name: problems.collect(archive.parts) for name, archive in archives.items()}
        with self._lock:
            present = {part.table for each in parts.values() for part in each}
            for path in self._indexes.keys() - present:
                del self._indexes[path]
            for path in present - self._indexes.keys():
                self._indexes[path] = TableIndex(path)
            indexes = dict(self._indexes)
        for name in (name for name in parts if not query.cameras or name in query.cameras):
            for part in parts[name]:
                yield Table(name, part, indexes[part.table])


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a camera."""

    camera: str
    part: ArchivePart
    index: TableIndex


class Problems:
    """What could not be read for an answer: all else is in it.

    Attributes:
        texts: each problem once.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []

    def collect(self, read: Callable[[], list[Value]]) -> list[Value]:
        """What is read; nothing where that fails."""
        try:
            return read()
        except (OSError, SegueError) as error:
            if (text := str(error)) not in self.texts:
                self.texts.append(text)
            return []


def numbered(table: Table, query: Query, problems: Problems) -> Iterator[tuple[int, Table]]:
    """The quarters of an hour of a table that may have what is asked for, newest first."""
    for number in reversed(problems.collect(partial(table.index.numbers, query.matches, *query.numbers))):
        yield number, table


@dataclass
class AllMarks:
    """The marks of parts, each read once; where they cannot be read, that is a problem."""

    problems: Problems
    _marks: dict[ArchivePart, list[Marks | None]] = field(default_factory=dict)

    def of(self, part: ArchivePart, image: str) -> dict[str, bool]:
        """The marks of an image."""
        marks = self._of_part(part)
        return dict(_UNMARKED) if marks is None else marks.of(image)

    def reviewer(self, part: ArchivePart, image: str) -> str:
        """Name of who has reviewed the event of an image; empty for nobody."""
        marks = self._of_part(part)
        return "" if marks is None else marks.reviewer(image)

    def _of_part(self, part: ArchivePart) -> Marks | None:
        if part not in self._marks:
            self._marks[part] = self.problems.collect(lambda: [part.marks()])
        return next(iter(self._marks[part]), None)


def _matching(
    table: Table, rows: Collection[tuple[int, Row]], query: Query, marks: AllMarks
) -> Iterator[tuple[Cursor, Row]]:
    """The events of rows that are asked for, with their places in the list."""
    for place, row in rows:
        moment = moment_of(row)
        cursor = Cursor(moment, table.camera, table.part.name, place)
        kind = Kind(row["event"], row["zone"], row["label"] or "")
        if not (query.reaches(cursor) and query.matches(kind)):
            continue
        flags = marks.of(table.part, row["snapshot"])
        if not (query.unreviewed and flags["reviewed"]):
            yield cursor, row | flags | {"camera": table.camera, "part": table.part.name, "moment": moment}
