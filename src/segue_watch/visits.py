"""Visits: what one object did from its first event to its last one, newest first."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from segue.events.archive import EventArchive
from segue.events.table import Row
from segue_watch.history import (
    MAX_ROWS,
    UNKNOWN,
    AllMarks,
    Answer,
    Cursor,
    History,
    Problems,
    Query,
    Table,
    numbered,
    start_of,
)
from segue_watch.table_index import moment_of

_FIRST = ("enter", "offline")
_LAST = ("leave", "end", "online")


class _Placed(NamedTuple):
    """An event, and where it stands."""

    cursor: Cursor
    table: Table
    row: Row

    @property
    def key(self) -> tuple[str, str]:
        """Whose event it is: ids of objects are used again by later visits."""
        return self.cursor.camera, str(self.row["object"])

    @property
    def event(self) -> str:
        """Its kind."""
        return str(self.row["event"])


@dataclass(frozen=True)
class _Visit:
    """What one object did, or how a camera was lost, in order of time."""

    events: list[_Placed]

    @property
    def first(self) -> _Placed:
        return self.events[0]

    @cached_property
    def zones(self) -> list[str]:
        """The zones and lines in which it was."""
        return [*dict.fromkeys(zone for each in self.events for zone in _zones(each.row))]

    @cached_property
    def label(self) -> str:
        """Its class as it was known at last."""
        return next((str(each.row["label"]) for each in reversed(self.events) if each.row["label"]), "")

    def matches(self, query: Query) -> bool:
        """Whether it is asked for, as far as its events say."""
        is_camera = self.first.event == "offline"
        label = self.label or ("" if is_camera else UNKNOWN)
        text = " ".join(
            [*self.first.key, label, *self.zones, *(each.event for each in self.events)]
        ).casefold()
        return (
            (not query.labels or label in query.labels)
            and any(
                (not query.kinds or each.event in query.kinds)
                and (not query.zones or not query.zones.isdisjoint(_zones(each.row)))
                for each in self.events
            )
            and all(word in text for word in query.words)
        )

    def values(self, marks: AllMarks, archive: EventArchive) -> dict[str, Any]:
        """It as JSON values, with the marks of its first event, whose image is its best view."""
        first, last = self.first, self.events[-1]
        return {
            "camera": first.cursor.camera,
            "place": str(first.cursor),
            "object": int(first.row["object"]),
            "label": self.label or None,
            "zones": self.zones,
            "moment": first.cursor.moment,
            "end": last.cursor.moment if last.event in _LAST else None,
            **marks.of(first.table.part, first.row["snapshot"]),
            "by": marks.reviewer(first.table.part, first.row["snapshot"]),
            "events": [_values(each, archive) for each in self.events],
        }


def _zones(row: Row) -> list[str]:
    return [zone for zone in row["zone"].split(";") if zone]


def _values(placed: _Placed, archive: EventArchive) -> dict[str, Any]:
    row, part = placed.row, placed.cursor.part
    return {
        "event": placed.event,
        "part": part,
        "moment": placed.cursor.moment,
        "seconds": float(row["seconds"] or 0),
        "zone": row["zone"],
        "direction": row["direction"],
        "snapshot": row["snapshot"],
        "clip": row["clip"],
        "clip_state": archive.part(part).state_of(row["clip"]),
    }


def visits_of(history: History, archives: Mapping[str, EventArchive], query: Query) -> Answer:
    """The visits that are asked for, the one that began last first.

    A visit is asked for where one of its events is; its place is that of its first event. At most
    :data:`MAX_ROWS` rows are looked at; ``next`` of the answer says where further ones begin.
    """
    problems = Problems()
    marks, tables = AllMarks(problems), [*history.tables(archives, query, problems)]
    visits, following = list[_Visit](), None
    for batch in _assembled(tables, query, problems):
        if isinstance(batch, Cursor):
            following = batch
            break
        for visit in batch:
            if visit.matches(query) and not (query.unreviewed and _is_reviewed(visit, marks)):
                visits.append(visit)
        if len(visits) > query.limit:
            del visits[query.limit :]
            following = visits[-1].first.cursor
            break
    rows = [visit.values(marks, archives[visit.first.cursor.camera]) for visit in visits]
    return Answer(rows, following, problems.texts)


def _is_reviewed(visit: _Visit, marks: AllMarks) -> bool:
    return marks.of(visit.first.table.part, visit.first.row["snapshot"])["reviewed"]


def _assembled(tables: list[Table], query: Query, problems: Problems) -> Iterator[list[_Visit] | Cursor]:
    """The visits that began in each quarter of an hour, newest first; at last the place where to go on."""
    everything = replace(query, zones=frozenset(), labels=frozenset(), kinds=frozenset())
    newest_first = heapq.merge(
        *(numbered(table, everything, problems) for table in tables), key=itemgetter(0), reverse=True
    )
    ahead = {
        camera: _Ahead([*group], query.numbers[1], problems)
        for camera, group in groupby(tables, key=attrgetter("camera"))
    }
    later = defaultdict[tuple[str, str], list[_Placed]](
        list
    )  # events whose visits began before, newest first
    remaining = MAX_ROWS
    for number, group in groupby(newest_first, key=itemgetter(0)):
        if remaining <= 0:
            yield start_of(number)
            return
        events = _events((table for _, table in group), number, problems)
        remaining -= len(events)
        visits = list[_Visit]()
        for placed in sorted(events, key=lambda each: each.cursor.order):
            if placed.event not in _FIRST:
                later[placed.key].append(placed)
                continue
            visit = [placed, *reversed(later.pop(placed.key, []))]
            if query.reaches(placed.cursor):
                if not any(each.event in _LAST for each in visit):
                    visit += ahead[placed.cursor.camera].events(placed.key)
                visits.append(_Visit(_until_last(visit)))
        yield visits


def _until_last(events: list[_Placed]) -> list[_Placed]:
    """The events up to the first one that ends a visit."""
    end = next((place for place, each in enumerate(events) if each.event in _LAST), len(events) - 1)
    return events[: end + 1]


def _events(tables: Iterable[Table], number: int, problems: Problems) -> list[_Placed]:
    """All events of a quarter of an hour."""
    return [
        _Placed(Cursor(moment_of(row), table.camera, table.part.name, place), table, row)
        for table in tables
        for place, row in problems.collect(partial(table.index.rows, number))
    ]


class _Ahead:
    """Events of a camera behind a quarter of an hour, in order of time, as far as somebody needs them."""

    def __init__(self, tables: list[Table], number: int, problems: Problems) -> None:
        self._tables, self._number, self._problems = tables, number, problems
        self._numbers: Iterator[int] | None = None
        self._remaining = MAX_ROWS
        self._events = defaultdict[tuple[str, str], list[_Placed]](list)
        self._ended = set[tuple[str, str]]()

    def events(self, key: tuple[str, str]) -> list[_Placed]:
        """Those of the visit that goes on there."""
        if self._numbers is None:
            self._numbers = iter(self._older())
        while key not in self._ended and self._remaining > 0:
            number = next(self._numbers, None)
            if number is None:
                break
            events = _events(self._tables, number, self._problems)
            self._remaining -= len(events)
            for placed in sorted(events, key=lambda each: each.cursor.order, reverse=True):
                if placed.key in self._ended:
                    continue
                if placed.event not in _FIRST:
                    self._events[placed.key].append(placed)
                if placed.event in (*_FIRST, *_LAST):
                    self._ended.add(placed.key)
        return self._events[key]

    def _older(self) -> list[int]:
        """The quarters of an hour in which there are further events."""
        numbers = {number for table in self._tables for number, _ in numbered(table, Query(), self._problems)}
        return sorted(number for number in numbers if number > self._number)
