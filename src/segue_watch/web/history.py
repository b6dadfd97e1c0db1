"""Select events and visits of cameras, newest first, with filters and counts."""

from __future__ import annotations

import math
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice, pairwise
from typing import Any

from segue.errors import SegueError
from segue.events.store.records import CLASS
from segue.events.store.schema import SPAN
from segue.events.store.store import EventStore
from segue.events.table import COLUMNS, UNKNOWN, csv_texts
from segue_watch.web.query import Place, Query

_ZONE_EVENTS = ("zone-enter", "zone-leave", "loiter", "cross")

Stores = Mapping[str, EventStore]
"""Stores of cameras by their names."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Selected events or visits.

    Attributes:
        events: newest first.
        next: start of the next page; None at the end.
        problems: errors of unreadable stores.
    """

    events: list[dict[str, Any]]
    next: str | None
    problems: list[str]


Row = dict[str, Any]
_Match = tuple[float, str, int]
"""Time, camera and number of a match."""


class _Problems:
    """Errors of stores that could not be read."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note an error of a store, and continue."""
        try:
            yield
        except SegueError as error:
            if (text := str(error)) not in self.texts:
                self.texts.append(text)


def visits_of(stores: Stores, query: Query) -> Answer:
    """Select visits, the latest first.

    A visit matches if one of its events does.
    """
    return _answer(stores, query, _visits_matching, _visit_rows)


def events_of(stores: Stores, query: Query) -> Answer:
    """Select events, the newest first."""
    return _answer(stores, query, _events_matching, _event_rows)


def _answer(
    stores: Stores,
    query: Query,
    matching: Callable[[sqlite3.Connection, str, Query], list[_Match]],
    rows_of: Callable[[sqlite3.Connection, str, Sequence[int]], Mapping[int, Row]],
) -> Answer:
    problems, matches, last = _Problems(), list[list[_Match]](), dict[str, int]()
    query = _at_moment(stores, query, problems)
    for camera in filter(query.asks_for, stores):
        with problems.noted(), stores[camera].reading() as base:
            last[camera] = stores[camera].last + 1
            matches.append(matching(base, camera, query))
    # Each camera is in its own order, whatever its clock said; clocks put cameras in order.
    merged = merge(*matches, key=lambda each: (-each[0], each[1]))
    selected = [*islice(merged, query.limit + 1)]
    listed, following = selected[: query.limit], None
    if len(selected) > query.limit:
        positions = {camera: (query.cursor or {}).get(camera, number) for camera, number in last.items()}
        positions |= {camera: number for _, camera, number in listed}
        following = ",".join(f"{camera}:{number}" for camera, number in positions.items())
    numbers = defaultdict[str, list[int]](list)
    for _, camera, number in listed:
        numbers[camera].append(number)
    rows: dict[tuple[str, int], Row] = {}
    for camera, some in numbers.items():
        with problems.noted(), stores[camera].reading() as base:
            rows |= {(camera, number): row for number, row in rows_of(base, camera, some).items()}
    return Answer(
        [rows[camera, number] for _, camera, number in listed if (camera, number) in rows],
        following,
        problems.texts,
    )


def _at_moment(stores: Stores, query: Query, problems: _Problems) -> Query:
    """Add the moment of the query's place, for the other cameras."""
    behind = query.behind
    if behind is None or behind.camera not in stores:
        return query
    with problems.noted():
        rows = stores[behind.camera].read("select moment from events where seq = ?", behind.number)
        if rows:
            moment = float(rows[0][0])
            return replace(query, behind_moment=moment)
    return query


class _Where:
    """Conditions of an SQL query, and their values."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self.values: list[object] = []

    def add(self, text: str, *values: object) -> None:
        self._texts.append(text)
        self.values += values

    def among(self, column: str, names: Iterable[str]) -> None:
        """Require one of some names in a column, if there are any."""
        if texts := sorted(names):
            self.add(f"{column} in ({', '.join('?' * len(texts))})", *texts)

    def classes(self, names: Iterable[str]) -> None:
        """Require one of some classes, if there are any; without a class an object is unknown."""
        column = f"coalesce(label, iif(object, '{UNKNOWN}', ''))" if UNKNOWN in names else "label"
        self.among(column, names)  # the plain column has an index

    def zones(self, column: str, names: Iterable[str]) -> None:
        """Require one of some names in a column separated by ``;``, if there are any."""
        if texts := sorted(names):
            each = " or ".join([f"instr({column}, ?)"] * len(texts))
            self.add(f"({each})", *(f";{text};" for text in texts))

    def place(self, camera: str, query: Query, number: str, moment: str, table: str) -> None:
        """Require the times and places of a query."""
        if query.place is not None:
            self.add(f"{number} = ?", query.place.number)
        if query.earlier_place is not None:
            self.add(f"abs({moment} - ?) < 0.0005", query.earlier_place[0])
        if query.cursor is not None and camera in query.cursor:
            self.add(f"{number} < ?", query.cursor[camera])
        behind = query.behind
        if behind is not None and behind.camera == camera:
            self.add(f"{number} < ?", behind.number)
        stop_time = query.before
        if behind is not None and behind.camera != camera:
            # Of that moment, cameras in order of their names.
            after_it = math.nextafter(query.behind_moment, math.inf)
            stop_time = min(stop_time, after_it if camera > behind.camera else query.behind_moment)
        if query.after > 0 or stop_time < math.inf:
            limits = query.after, stop_time
            self.add(f"{moment} >= ? and {moment} < ?", *limits)
            # The numbers of a time are found by its index, and looked at in order.
            self.add(
                f"{number} between (select min({number}) from {table} where {moment} >= ? and {moment} < ?)"
                f" and (select max({number}) from {table} where {moment} >= ? and {moment} < ?)",
                *(2 * limits),
            )

    def __str__(self) -> str:
        return " and ".join(self._texts) or "1"


def _visits_matching(base: sqlite3.Connection, camera: str, query: Query) -> list[_Match]:
    where = _Where()
    where.place(camera, query, "id", "moment", "visits")
    where.classes(query.labels)
    if query.unreviewed:
        where.add("reviewed = 0")
    where.zones("zones", query.zones)
    if query.kinds:
        where.zones("kinds", query.kinds)
    if query.zones and query.kinds:  # of one event
        inner = _Where()
        inner.among("kind", query.kinds)
        inner.zones("';' || zone || ';'", query.zones)
        where.add(f"exists (select 1 from events where visit = visits.id and {inner})", *inner.values)
    label = f"coalesce(label, iif(object, '{UNKNOWN}', ''))"
    text = f"object || ' ' || {label} || zones || kinds"
    if query.words:
        base.create_function("folded", 1, lambda value: str(value).casefold(), deterministic=True)
    for word in query.words:
        if word in camera.casefold():
            continue
        folded, values = f"instr(folded({text}), ?)", [word]
        if word.isascii():  # faster, but for texts with letters such as ß, which is ss
            escaped = re.sub(r"([\\%_])", r"\\\1", word)
            columns = ("object", label, "zones", "kinds")
            each = " or ".join(f"{column} like ? escape '\\'" for column in columns)
            folded = f"({each} or ({text}) glob '*[^ -~]*' and {folded})"
            values = [*[f"%{escaped}%"] * len(columns), word]
        where.add(folded, *values)
    rows = base.execute(
        f"select coalesce(moment, 0), id from visits where {where} order by id desc limit ?",
        (*where.values, query.limit + 1),
    )
    return [(moment, camera, number) for moment, number in rows]


def _visit_rows(base: sqlite3.Connection, camera: str, numbers: Sequence[int]) -> Mapping[int, Row]:
    some = ", ".join("?" * len(numbers))
    rows: dict[int, Row] = {}
    for (
        number,
        object_id,
        label,
        zones,
        moment,
        finish,
        ended,
        reviewed,
        kept,
        reviewer,
        note,
    ) in base.execute(
        "select id, object, label, zones, moment, finish, ended, reviewed, kept, reviewer, note from visits"
        f" where id in ({some})",
        numbers,
    ):
        rows[number] = {
            "camera": camera,
            "place": str(Place(camera, number)),
            "object": object_id,
            "label": label or None,
            "zones": [zone for zone in zones.split(";") if zone],
            "moment": moment,
            "end": None if ended is None else finish,
            "reviewed": bool(reviewed),
            "kept": bool(kept),
            "by": reviewer if reviewed else "",
            "note": note,
            "events": [],
        }
    for visit, kind, part, moment, seconds, zone, direction, snapshot, image, clip, film in base.execute(
        "select visit, kind, parts.name, events.moment, seconds, zone, direction,"
        f" snapshot, {_STATE.format('snapshot')}, clip, {_STATE.format('clip')}"
        f" from events join parts on parts.id = events.part"
        f" where visit in ({some}) and kind != '{CLASS}' order by seq",
        numbers,
    ):
        rows[visit]["events"].append(
            {
                "event": kind,
                "part": part,
                "moment": moment,
                "seconds": seconds,
                "zone": zone,
                "direction": direction,
                "snapshot": _missing_file_text(snapshot, image),
                "clip": _missing_file_text(clip, film),
                "clip_state": _clip_state(clip, film),
            }
        )
    return rows


_STATE = "(select state from media where media.part = events.part and media.name = {})"


def _missing_file_text(name: str, state: str | None) -> str:
    """Text in place of the name of a missing file."""
    return state if name and state in ("deleted", "lost") else name


def _clip_state(name: str, state: str | None) -> str:
    return name if name in ("deleted", "lost") else (state or "lost" if name else "")


def _events_matching(base: sqlite3.Connection, camera: str, query: Query) -> list[_Match]:
    where = _Where()
    where.place(camera, query, "seq", "moment", "events")
    where.add(f"kind != '{CLASS}'")
    where.among("kind", query.kinds)
    where.classes(query.labels)
    if query.zones:
        names = ", ".join("?" * len(query.zones))
        where.add(
            f"exists (select 1 from event_zones z where z.zone in ({names}) and z.seq = events.seq)",
            *sorted(query.zones),
        )
    if query.unreviewed:
        where.add("exists (select 1 from visits where id = events.visit and reviewed = 0)")
    rows = base.execute(
        f"select moment, seq from events where {where} order by seq desc limit ?",
        (*where.values, query.limit + 1),
    )
    return [(moment, camera, number) for moment, number in rows]


def _event_rows(base: sqlite3.Connection, camera: str, numbers: Sequence[int]) -> Mapping[int, Row]:
    some = ", ".join("?" * len(numbers))
    columns = ", ".join(f"events.{name}" for name in COLUMNS if name != "event")
    rows = {}
    for seq, part, file, moment, reviewed, kept, image, film, kind, *values in base.execute(
        f"select seq, parts.name, parts.file, events.moment, reviewed, kept, {_STATE.format('snapshot')},"
        f" {_STATE.format('clip')}, kind, {columns} from events join parts on parts.id = events.part"
        f" join visits on visits.id = events.visit where seq in ({some})",
        numbers,
    ):
        row: Row = dict(zip(COLUMNS, (kind, *values), strict=True))
        texts = csv_texts(row) if file.lower().endswith(".csv") else row  # as its table has it
        rows[seq] = texts | {
            "snapshot": _missing_file_text(row["snapshot"], image),
            "clip": _missing_file_text(row["clip"], film),
            "clip_state": _clip_state(row["clip"], film),
            "camera": camera,
            "part": part,
            "moment": moment,
            "reviewed": bool(reviewed),
            "kept": bool(kept),
            "place": str(Place(camera, seq)),
        }
    return rows


def choices_of(stores: Stores) -> dict[str, list[str]]:
    """Zones, lines and classes that occur in all readable events."""
    problems, zones, labels = _Problems(), set[str](), set[str]()
    for store in stores.values():
        with problems.noted():
            for zone, label in store.read("select zone, label from choices"):
                zones.update(zone.split(";"))
                labels.add(label)
    labels -= {""}
    return {"zones": sorted(zones - {""}), "labels": sorted(labels) if labels != {UNKNOWN} else []}


def counts_of(stores: Stores, query: Query, edges: Sequence[float]) -> tuple[list[dict[str, Any]], list[str]]:
    """Number of events from each edge to the next one, and from the last one on.

    Args:
        stores: cameras by their names.
        query: which events; its times do not count.
        edges: seconds of the epoch, at quarters of an hour, ascending.

    Returns:
        The moment, and the number of each kind of event, of zones and lines with their names; and what
        could not be read.
    """
    counts, problems = [Counter[str]() for _ in edges], _Problems()
    where = _Where()
    where.among("kind", query.kinds)
    where.among("label", query.labels)
    where.zones("';' || zone || ';'", query.zones)
    spans = [int(edge // SPAN) for edge in edges]
    for camera in filter(query.asks_for, stores):
        with problems.noted(), stores[camera].reading() as base:
            for total, (start, end) in zip(counts, pairwise([*spans, 1 << 60]), strict=True):
                for kind, zone, number in base.execute(
                    "select kind, zone, sum(number) from counts where span >= ? and span < ?"
                    f" and {where} group by kind, zone",
                    (start, end, *where.values),
                ):
                    name = zone if kind in _ZONE_EVENTS else ""
                    total[f"{kind} {name}".strip()] += number
    begins = zip(edges, counts, strict=True)
    return [{"begin": edge, "events": dict(each)} for edge, each in begins], problems.texts
