"""Table of the entries and exits of zones and the crossings of lines, written at the end."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segue.entries.events import EventSinkEntry
from segue.errors import SinkError
from segue.events.receivers.base import SENT, Delivery, FileReceiver, ReceiverContext
from segue.events.store.records import RecordedEvent
from segue.events.store.store import EventStore
from segue.events.table import without_formula
from segue.events.zones import Zone
from segue.utils.files import write_complete

_OF_REGIONS = (("zone-enter", "", "entered"), ("zone-leave", "", "left"))
_OF_LINES = (("cross", "right", "to the right"), ("cross", "left", "to the left"))

Counts = Mapping[tuple[str, str, str], int]
"""Numbers by zone, event and direction."""


def counts_path(table: Path) -> Path:
    """Path of the counts beside a table of events."""
    return table.with_suffix(".counts.csv")


def counts_of(store: EventStore, condition: str, *values: object) -> Counts:
    """Count the events of each zone by kind, under a condition."""
    rows = store.read(
        "select zone, kind, direction, count(*) from events join parts on parts.id = events.part"
        f" where zone != '' and {condition} group by zone, kind, direction",
        *values,
    )
    return {(zone, kind, direction): number for zone, kind, direction, number in rows}


def counts_text(zones: Sequence[Zone], counts: Counts) -> str:
    """All counts in one line."""
    words = {zone.name: list[str]() for zone in zones}
    for zone, _, _, word, count in _all(zones, counts):
        words[zone].append(f"{count} {word}")
    return "; ".join(f"{zone}: {', '.join(texts)}" for zone, texts in words.items())


def _all(zones: Sequence[Zone], counts: Counts) -> Iterator[tuple[str, str, str, str, int]]:
    """Zone, event, direction, these in a word, and the count."""
    for zone in zones:
        for kind, direction, word in _OF_LINES if zone.is_line else _OF_REGIONS:
            yield zone.name, kind, direction, word, counts.get((zone.name, kind, direction), 0)


class CountsReceiver(FileReceiver):
    """Writes a table at the end of a run or part: zone, event, direction, count."""

    def __init__(self, context: ReceiverContext) -> None:
        assert context.store is not None
        self._store, self._part = context.store, context.part
        self._path, self._zones = counts_path(context.table), [*context.zones]

    def send(self, message: RecordedEvent, timeout: float) -> Delivery:
        return SENT  # the store counts

    def change(self, zones: Sequence[Zone]) -> None:
        """Count other zones, too; earlier counts stay."""
        names = {zone.name for zone in zones}
        self._zones = [*zones, *(zone for zone in self._zones if zone.name not in names)]

    def close(self) -> None:
        if not self._zones:
            return
        try:
            counts = counts_of(self._store, "parts.name = ?", self._part)
        except SinkError:  # the store says why
            return
        text = io.StringIO(newline="")
        rows = csv.writer(text)
        rows.writerow(("zone", "event", "direction", "count"))
        rows.writerows(
            (without_formula(zone), kind, way, number)
            for zone, kind, way, _, number in _all(self._zones, counts)
        )
        write_complete(self._path, text.getvalue().encode())

    def abort(self) -> None:
        pass


ENTRIES = (EventSinkEntry("counts", CountsReceiver, part=True, rank=40),)
