"""How often zones were entered and left, and lines crossed."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segue.events.zones import Zone
from segue.utils.files import write_complete

_OF_REGIONS = (("zone-enter", "", "entered"), ("zone-leave", "", "left"))
_OF_LINES = (("cross", "right", "to the right"), ("cross", "left", "to the left"))


class ZoneCounts:
    """Counts events of zones and lines."""

    def __init__(self, zones: Sequence[Zone]) -> None:
        self._zones = zones
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def change(self, zones: Sequence[Zone]) -> None:
        """Count other zones from now on; what was counted of earlier ones stays."""
        names = {zone.name for zone in zones}
        self._zones = [*zones, *(zone for zone in self._zones if zone.name not in names)]

    def add(self, event: Mapping[str, Any]) -> None:
        """Count an event, given by its columns; one that is not of a zone changes nothing."""
        self._counts[event["zone"], event["event"], event["direction"]] += 1

    def write(self, path: Path) -> None:
        """Write a table: zone, event, direction, count."""
        text = io.StringIO(newline="")
        rows = csv.writer(text)
        rows.writerow(("zone", "event", "direction", "count"))
        rows.writerows((zone, kind, direction, count) for zone, kind, direction, _, count in self._all())
        write_complete(path, text.getvalue().encode())

    def __str__(self) -> str:
        """All counts in one line."""
        words = {zone.name: list[str]() for zone in self._zones}
        for zone, _, _, word, count in self._all():
            words[zone].append(f"{count} {word}")
        return "; ".join(f"{zone}: {', '.join(counts)}" for zone, counts in words.items())

    def _all(self) -> Iterator[tuple[str, str, str, str, int]]:
        """Zone, event, direction, these in a word, and the count."""
        for zone in self._zones:
            for kind, direction, word in _OF_LINES if zone.is_line else _OF_REGIONS:
                yield zone.name, kind, direction, word, self._counts[zone.name, kind, direction]


def counts_path(table: Path) -> Path:
    """The file of counts beside a table of events."""
    return table.with_suffix(".counts.csv")
