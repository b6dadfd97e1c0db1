"""Detect the events of objects frame by frame: enter, leave, zones and lines."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from segue.errors import ArgumentError
from segue.events.rules import ClassFilter, EventRules
from segue.events.table import Event
from segue.events.zones import Zone
from segue.formats.frames import Size, known_size, sized_mask
from segue.masks import measure
from segue.masks.measure import MIN_SIDE, min_object_area
from segue.types import Point, Segmentation
from segue.utils.arrays import BoolArray

SMALL_SIDE = 25
"""Very small objects were never larger than a square of the shorter image side divided by this."""

ZONE_FRAMES = 3
"""Consecutive frames after which a zone counts as entered or left; larger values react later."""


@dataclass(slots=True)
class _Place:
    """State of an object at a zone or line: time of entry, and last side of the line."""

    inside: Event | None = None
    loiters: bool = False  # and has been reported for it
    frames: int = 0  # in a row on which it was otherwise
    since: Event | None = None  # the first of these
    clear: Point | None = None


@dataclass(slots=True)
class _Visit:
    """Visit of an object: events of its first and its last frame."""

    first: Event
    last: Event
    frames: int = 0
    reported: bool = False
    pending: list[Event] = field(default_factory=list)  # at zones and lines, until it is reported
    places: dict[str, _Place] = field(default_factory=dict)


class ZoneEvents:
    """Detects events of objects in a sequence of results; does not write files.

    An object is present while the results list it. Its ``enter`` event comes on the third frame on which it
    is large enough, or on the tenth for a very small object. A zone is entered or left after three frames.
    :class:`EventSink` writes the same events to a file.

    Args:
        zones: regions and lines to watch, also as texts for :meth:`Zone.parse`; without zones, there are only
            events for entering and leaving objects.
        rules: rules for the objects that cause events.
        size: height and width for boxes, areas and zones; None uses the size of each mask.
        fps: frames per second, for results without times, such as converted detections; None uses the time of
            each result.

    Raises:
        ArgumentError: ``fps`` is not positive.
        SegueError: a text is not a valid zone, or a zone is outside the image; if the size is not known yet,
            this is raised with the first result.
    """

    def __init__(
        self,
        zones: Iterable[Zone | str] = (),
        rules: EventRules | None = None,
        size: Size = None,
        fps: float | None = None,
    ) -> None:
        if fps is not None and not fps > 0:
            raise ArgumentError(f"fps is {fps}, but must be positive")
        self._zones = _parsed(zones)
        self._rules = rules or EventRules()
        self._size, self._fps, self._zones_fit = size, fps, False
        self._ignored: BoolArray | None = None
        self._visits: dict[int, _Visit] = {}
        self._classes, self._labels = ClassFilter(self._rules.only), dict[int, str | None]()
        video_size = known_size(size)
        if video_size is not None:
            self._check_zones(video_size)

    @property
    def zones(self) -> tuple[Zone, ...]:
        """Zones; in pixels once the image size is known."""
        return self._zones

    @property
    def objects(self) -> Mapping[int, Event]:
        """Present objects by id, each as an event at its last position."""
        return {number: visit.last for number, visit in self._visits.items()}

    def update(self, result: Segmentation) -> list[Event]:
        """Process the result of the next frame.

        Args:
            result: result of any session; results come in order of time.

        Returns:
            New events. Some of them happened a few frames earlier; see their ``frame`` and ``time``.

        Raises:
            SegueError: a zone lies outside the image.
        """
        events = [*self._update(result)]
        return self._classes.take(events, self._labels.get)

    def change(self, zones: Iterable[Zone | str], rules: EventRules | None = None) -> list[Event]:
        """Change the zones and rules; the state of the objects is kept.

        Args:
            zones: all zones from now on; a zone with an existing name is the same zone with new corners.
            rules: all rules from now on.

        Returns:
            A ``zone-leave`` of each object in a removed zone.

        Raises:
            SegueError: a text is not a valid zone. A zone outside the image raises an error with the next
                result.
        """
        previous = {zone.name: zone.is_line for zone in self._zones}
        self._zones, self._rules, self._zones_fit = _parsed(zones), rules or EventRules(), False
        self._classes.only = self._rules.only
        now = {zone.name: zone.is_line for zone in self._zones}
        events = list[Event]()
        for name in (name for name, is_line in previous.items() if now.get(name) != is_line):
            for visit in self._visits.values():
                place = visit.places.pop(name, None)
                if place is not None and place.inside is not None:
                    target = events if visit.reported else visit.pending
                    target.append(_leaving(name, place.inside, visit.last))
        return self._classes.take(events, self._labels.get)

    def resume(
        self, first: Event, last: Event, entered: Iterable[Event], loitered: Container[str] = ()
    ) -> list[Event]:
        """Continue with an object whose ``enter`` an earlier run has reported.

        Args:
            first: its ``enter``, by the clock of this run.
            last: the object at the start of this run.
            entered: the ``zone-enter`` of each zone in which it is.
            loitered: zones in which its loitering was reported.

        Returns:
            A ``zone-leave`` for each removed zone.
        """
        names = {zone.name for zone in self._zones}
        places = {event.zone: _Place(event, event.zone in loitered) for event in entered}
        removed = [_leaving(name, places.pop(name).inside or last, last) for name in {*places} - names]
        self._visits[first.object] = _Visit(first, last, reported=True, places=places)
        return removed

    def finish(self, retained: Container[int] = ()) -> list[Event]:
        """End the video: objects that are still present get an ``end`` event.

        Args:
            retained: objects that a later run continues; they get no ``end``.

        Returns:
            These events. Later results start from scratch.
        """
        numbers = [number for number in sorted(self._visits) if number not in retained]
        events = [event for number in numbers for event in self._end("end", number)]
        self._visits = {}
        return self._classes.take(events, self._labels.get)

    def _update(self, result: Segmentation) -> Iterator[Event]:
        index, time = result.index, result.time if self._fps is None else result.index / self._fps
        mask = sized_mask(result, self._size)
        if not self._zones_fit:  # a camera tells its size with the first frame
            self._check_zones((mask.shape[0], mask.shape[1]))
        if self._ignored is not None:
            mask = np.where(self._ignored, 0, mask)
        min_area = min_object_area(mask.shape)
        self._labels = labels = {item.id: item.label or None for item in result.objects}
        for number, extent in measure(mask).items():
            label = labels.get(number)
            event = Event("enter", number, index, time, *extent.box, extent.area, 0.0, extent.area, label)
            event = replace(event, zone=self._zones_at(event.foot))
            if number not in self._visits and extent.area < min_area:
                continue
            visit = self._visits.setdefault(number, _Visit(event, event))
            largest = max(visit.last.largest, extent.area)
            visit.last = replace(event, seconds=round(time - visit.first.time, 6), largest=largest)
            large = extent.area >= min_area and self._rules.tall_enough(extent.box)
            visit.frames += large
            small = largest < (min(mask.shape) / SMALL_SIDE) ** 2
            rules = self._rules
            often = visit.frames >= (rules.min_small_frames if small else rules.min_frames)
            long = often and visit.last.seconds >= self._rules.min_seconds
            if large or visit.reported:
                visit.pending += self._watch(visit, min(mask.shape))
            if large and long and not visit.reported:
                visit.reported = True
                yield replace(visit.first, largest=largest)
            if visit.reported:
                yield from visit.pending
                visit.pending = []
        for number in sorted(set(self._visits) - set(result.ids)):
            yield from self._end("leave", number)

    def _end(self, what: Literal["leave", "end"], number: int) -> Iterator[Event]:
        visit = self._visits.pop(number)
        if visit.reported:
            for name, place in visit.places.items():
                if place.inside is not None:
                    yield _leaving(name, place.inside, visit.last)
            yield replace(visit.last, event=what)

    def _check_zones(self, size: tuple[int, int]) -> None:
        self._zones = tuple(zone.in_pixels(size) for zone in self._zones)
        for zone in self._zones:
            zone.check(size)
        self._ignored = self._rules.ignored_pixels(size)
        self._zones_fit = True

    def _zones_at(self, point: Point) -> str:
        return ";".join(zone.name for zone in self._zones if zone.contains(point))

    def _watch(self, visit: _Visit, side: int) -> Iterator[Event]:
        """Detect zone events and line crossings of the last step of an object."""
        now = visit.last
        for zone in self._zones:
            place = visit.places.setdefault(zone.name, _Place())
            if zone.is_line:
                if abs(zone.side(now.foot)) > side / MIN_SIDE:  # else it may tremble on the line
                    if place.clear is not None and zone.crossed(place.clear, now.foot):
                        direction = "right" if zone.side(now.foot) > 0 else "left"
                        yield replace(now, event="cross", zone=zone.name, direction=direction)
                    place.clear = now.foot
                continue
            if zone.contains(now.foot) == (place.inside is not None):
                place.frames, place.since = 0, None
                yield from self._loitering(zone.name, place, now)
                continue
            place.since = place.since or now
            place.frames += 1
            if place.frames < ZONE_FRAMES:
                continue
            since, place.frames, place.since = place.since, 0, None
            if place.inside is None:
                place.inside = since
                yield replace(since, event="zone-enter", zone=zone.name)
            else:
                yield _leaving(zone.name, place.inside, since)
                place.inside, place.loiters = None, False

    def _loitering(self, name: str, place: _Place, now: Event) -> Iterator[Event]:
        limit = self._rules.loiter.get(name)
        if limit is None or place.inside is None or place.loiters:
            return
        seconds = round(now.time - place.inside.time, 6)
        if seconds >= limit:
            place.loiters = True
            yield replace(now, event="loiter", zone=name, seconds=seconds)


def _parsed(zones: Iterable[Zone | str]) -> tuple[Zone, ...]:
    return tuple(zone if isinstance(zone, Zone) else Zone.parse(zone) for zone in zones)


def _leaving(name: str, inside: Event, now: Event) -> Event:
    """Create the ``zone-leave`` event for an object, from its event of entry and the present one."""
    return replace(now, event="zone-leave", zone=name, seconds=round(now.time - inside.time, 6))
