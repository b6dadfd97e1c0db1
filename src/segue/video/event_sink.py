"""When objects come and go, as a table: CSV, or JSON by the ending of the file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Literal

from segue.errors import SinkError
from segue.masks import measure
from segue.types import Frame, Segmentation
from segue.video.partial import writing
from segue.video.sinks import FileSink, sized_mask

MIN_FRAMES = 3
"""Objects that were seen on fewer frames are not worth an event."""


@dataclass(frozen=True, slots=True)
class Event:
    """An object has come or gone.

    Attributes:
        event: ``enter``; ``leave`` when it has not been seen for a while; ``end`` when it was still there at
            the end.
        object: its id.
        frame, time: where it was seen first or, for the other two, last; time in seconds.
        x0, y0, x1, y1: its box there, in pixels; the far side is exclusive.
        area: its pixels there.
        seconds: time since it came, 0 for ``enter``.
        largest: most pixels that it had so far.
    """

    event: Literal["enter", "leave", "end"]
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


@dataclass(slots=True)
class _Visit:
    """An object from its coming to its going, by the events that tell of its first and its last frame."""

    first: Event
    last: Event
    frames: int = 0


class EventSink(FileSink):
    """Writes an event for every object that comes or goes; see :class:`Event` for the columns.

    Everything is told from the results alone: an object is there as long as it is listed. Events are in the
    order in which they are known; an ``enter`` is known on the third frame with the object.

    Args:
        path: file to write, ending in ``.csv`` or ``.json``.
        size: height and width that boxes and areas refer to; None takes those of each mask.

    Raises:
        SinkError: the file has another ending, or cannot be written.
    """

    def __init__(self, path: Path, *, size: tuple[int, int] | None = None) -> None:
        if path.suffix.lower() not in (".csv", ".json"):
            raise SinkError(f"{path}: events go to a file ending in .csv or .json")
        super().__init__(path, size)
        self._as_json = path.suffix.lower() == ".json"
        self._visits: dict[int, _Visit] = {}
        with writing(path):
            self._stream = self._file.path.open("w", encoding="utf-8", newline="")
            if self._as_json:
                self._stream.write("[")
            else:
                csv.writer(self._stream).writerow(column.name for column in fields(Event))
        self._count = 0

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        events = []
        index, time = segmentation.index, segmentation.time
        for number, extent in measure(sized_mask(segmentation, self._size)).items():
            seen = Event("enter", number, index, time, *extent.box, extent.area, 0.0, extent.area)
            visit = self._visits.setdefault(number, _Visit(seen, seen))
            largest = max(visit.last.largest, extent.area)
            visit.last = replace(seen, seconds=round(time - visit.first.time, 6), largest=largest)
            visit.frames += 1
            if visit.frames == MIN_FRAMES:
                events.append(replace(visit.first, largest=largest))
        for number in sorted(set(self._visits) - set(segmentation.ids)):
            events += self._gone("leave", number)
        self._put(events)

    def flush(self) -> None:
        with writing(self._file.final):
            self._stream.flush()

    def _complete(self) -> None:
        self._put(event for number in sorted(self._visits) for event in self._gone("end", number))
        if self._as_json:
            self._stream.write("\n]\n")
        self._stream.close()

    def _release(self) -> None:
        with suppress(OSError):
            self._stream.close()

    def _gone(self, what: Literal["leave", "end"], number: int) -> list[Event]:
        visit = self._visits.pop(number)
        return [replace(visit.last, event=what)] if visit.frames >= MIN_FRAMES else []

    def _put(self, events: Iterable[Event]) -> None:
        with writing(self._file.final):
            for event in events:
                if self._as_json:
                    self._stream.write(("," if self._count else "") + "\n" + json.dumps(asdict(event)))
                else:
                    csv.writer(self._stream).writerow(asdict(event).values())
                self._count += 1
