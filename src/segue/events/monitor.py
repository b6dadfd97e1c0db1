"""Detect the events of a run, with names, scene memory and objects of earlier runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import cast

from segue.events.images.best_views import BestViews, Name
from segue.events.rules import ClassFilter, EventRules
from segue.events.scene.blind import BlindTracker
from segue.events.scene.memory import SceneMemory
from segue.events.store.records import CLASS
from segue.events.table import UNKNOWN, Event, Kind
from segue.events.zone_events import ZoneEvents
from segue.events.zones import Zone
from segue.formats.frames import Size, known_size
from segue.types import Frame, Segmentation
from segue.video.decoding.readers import ConnectionChange


@dataclass(slots=True)
class _CutOff:
    """An object that was present when an earlier run ended, with its events."""

    first: Event
    last: Event
    inside: dict[str, Event] = field(default_factory=dict)  # zones that it has entered and not left
    loitered: set[str] = field(default_factory=set)  # of these, where it was reported for it

    @classmethod
    def of(cls, events: Iterable[Event]) -> _CutOff:
        first, *rest = events
        cut_off = cls(first, first)
        for event in rest:
            cut_off.take(event)
        return cut_off

    def take(self, event: Event) -> None:
        self.last = event
        if event.event == "zone-enter":
            self.inside[event.zone] = event
            self.loitered.discard(event.zone)
        elif event.event == "zone-leave":
            self.inside.pop(event.zone, None)
        elif event.event == "loiter":
            self.loitered.add(event.zone)


class EventMonitor:
    """Detects the events of a run frame by frame, and holds all state for that.

    It leaves out what is scene, adds objects that stand and that the background has taken in, names objects,
    and decides once for each whether its class is one that is reported. Any thread may call its methods.

    Args:
        zones: regions and lines that are watched.
        rules: which objects and stays are worth an event.
        size: height and width for boxes and zones; None takes the size of each mask.
        name: classifies an object without a label, from the best view of it so far; called when there is an
            event of it, and where its class decides which receivers get events, whenever a view shows more of
            it.
        memory: knowledge of the scene; None uses results unchanged.
        blind: carries objects over frames without a known background; None leaves them out.
        filters: the classes of each receiver that takes some classes only.
        present: objects of an earlier run without a reported end, with their events.
        source: name of the source, for the events.
        at: converts a time of the source to a date and time of day, or None.

    Raises:
        SegueError: a zone lies outside the image; where the size is not known yet it is raised with the
            first result.
    """

    def __init__(
        self,
        zones: Sequence[Zone] = (),
        rules: EventRules | None = None,
        size: Size = None,
        *,
        name: Name | None = None,
        memory: SceneMemory | None = None,
        blind: BlindTracker | None = None,
        filters: Iterable[frozenset[str]] = (),
        present: Mapping[int, Sequence[Event]] | None = None,
        source: str = "",
        at: Callable[[float], datetime | None] = lambda _: None,
    ) -> None:
        rules = rules or EventRules()
        self._size, self._memory, self._blind = size, memory, blind
        self._classes = ClassFilter(rules.only)  # here, where objects are named
        self._labels = dict[int, str | None]()  # of the last result
        self._events = ZoneEvents(zones, replace(rules, only=frozenset()), size)
        self._views = None if name is None else BestViews(name)
        self._filters = [each for each in filters if each]
        self._reported: dict[int, set[str]] = {}  # classes of objects that were published
        self._present = {number: _CutOff.of(events) for number, events in (present or {}).items() if events}
        self._source, self._at = source, at
        self._begins = True
        self._lock = threading.RLock()

    @property
    def objects(self) -> Mapping[int, Event]:
        """Present objects, each as an event at its last position."""
        return self._events.objects

    def update(self, frame: Frame, result: Segmentation) -> tuple[Segmentation, list[Event]]:
        """Process the result of the next frame.

        Args:
            frame: the frame.
            result: its result.

        Returns:
            The result as everybody sees it, and the new events, with all that is known of them.

        Raises:
            SegueError: a zone lies outside the image.
        """
        with self._lock:
            events = self._resume(frame) if self._begins else []
            if self._blind is not None:
                result = self._blind.update(frame, result)
            if self._memory is not None:
                result = self._memory.update(frame, result)
            if self._blind is not None:  # boxes that do not move are no objects that stand
                result = self._blind.carry(result)
            size = known_size(self._size) or (result.mask.shape[0], result.mask.shape[1])
            self._labels = {item.id: item.label for item in result.objects}
            previous = self._events.objects if self._views is not None else {}
            new = self._events.update(result)
            if self._views is not None:  # the views of this frame may name the objects of its events
                for number, event in self._events.objects.items():
                    if event.frame == result.index and event.label is None:
                        box = event.x0, event.y0, event.x1, event.y1
                        self._views.update(frame, number, box, event.area, size)
            events += self._passing(new)
            events += self._label_events()
            if self._views is not None:
                for number in previous.keys() - self._events.objects.keys():
                    self._views.forget(number)
                result = self._with_names(result, self._views)
            return result, events

    def connection(self, change: ConnectionChange, outage: Event | None = None) -> list[Event]:
        """Report that the camera was lost or is back.

        Args:
            change: which, when and why.
            outage: its loss, where an earlier run has reported it.

        Returns:
            Its event; none of one that was lost before.
        """
        if change.was_lost:
            return []
        with self._lock:
            kind: Kind = "online" if change.online else "offline"
            seconds, now = round(change.seconds, 6), self._at(change.time)
            if outage is not None and outage.at and now is not None:
                seconds = max(0.0, (now - datetime.fromisoformat(outage.at)).total_seconds())
            event = Event(kind, 0, max(0, change.frame), change.time, 0.0, 0.0, 0.0, 0.0, 0, seconds, 0)
            return [self._complete(event)]

    def change(self, zones: Sequence[Zone], rules: EventRules) -> list[Event]:
        """Change zones and rules; objects are kept.

        Args:
            zones: all zones from now on.
            rules: all rules from now on.

        Returns:
            A ``zone-leave`` of each object in a removed zone.
        """
        with self._lock:
            self._classes.only = rules.only
            return self._passing(self._events.change(zones, replace(rules, only=frozenset())))

    def finish(self, *, goes_on: bool = False) -> list[Event]:
        """End the run.

        Args:
            goes_on: standing objects continue in the next run, without an ``end``.

        Returns:
            The events of objects that are still there.
        """
        with self._lock:
            retained = set[int]() if self._memory is None else self._memory.save()
            return self._passing(self._events.finish(retained if goes_on else ()))

    def save(self) -> None:
        """Save the scene of a run that failed."""
        with self._lock:
            if self._memory is not None:
                self._memory.save()

    def _passing(self, events: Iterable[Event]) -> list[Event]:
        """Select the events of objects whose class is reported."""
        return [self._complete(event) for event in self._classes.take(events, self._label_of)]

    def _label_of(self, number: int) -> str | None:
        """Class of an object, from its result or its best view."""
        if (label := self._labels.get(number)) or self._views is None:
            return label
        return (self._views.name(number) or (None,))[0]

    def _label_events(self) -> list[Event]:
        """Create events for classes found since the last event, if receivers depend on them."""
        events = []
        for number, classes in self._reported.items() if self._filters else ():
            object_event = self._events.objects.get(number)
            if object_event is None or all(not each.isdisjoint(classes) for each in self._filters):
                continue
            label = self._label_of(number)
            if label and label not in classes:
                label_event = replace(
                    object_event, event=cast(Kind, CLASS), label=label, zone="", direction=""
                )
                classes.add(label)
                events.append(self._complete(label_event))
        return events

    def _complete(self, event: Event) -> Event:
        """Add class and position to an event."""
        number = event.object
        if self._views is not None and number and event.label is None:
            label, score = self._views.name(number) or (UNKNOWN, None)
            event = replace(event, label=label, label_score=None if score is None else round(score, 4))
        if number and event.event in ("leave", "end"):
            self._reported.pop(number, None)
        elif number:
            self._reported.setdefault(number, set()).add(event.label or UNKNOWN)
        if event.at:  # it is of an earlier run
            return event
        at = self._at(event.time)
        return replace(event, source=self._source, at=at.isoformat(timespec="milliseconds") if at else "")

    @staticmethod
    def _with_names(result: Segmentation, views: BestViews) -> Segmentation:
        """Label the objects of a result with the classes found so far."""
        names = {item.id: views.label_of(item.id) for item in result.objects if not item.label}
        if not any(names.values()):
            return result
        objects = tuple(replace(item, label=item.label or names[item.id]) for item in result.objects)
        return replace(result, objects=objects)

    def _resume(self, frame: Frame) -> list[Event]:
        """Continue objects of an earlier run that are still present, and end the others."""
        self._begins, present = False, self._present
        resumed = set[int]() if self._memory is None else self._memory.resume(present)
        events: list[Event] = []
        for number in sorted(resumed):
            cut_off = present.pop(number)
            first = self._rebased(cut_off.first, cut_off, frame)
            entered = [self._rebased(event, cut_off, frame) for event in cut_off.inside.values()]
            last = replace(cut_off.last, event="enter", direction="", snapshot="", clip="", at="")
            last = replace(last, frame=frame.index, time=frame.time)
            if self._views is not None and last.label not in (None, UNKNOWN):
                self._views.resume(number, str(last.label), last.label_score or 0.0)
            self._classes.admit(number)
            self._reported[number] = {last.label or UNKNOWN}
            events += self._passing(self._events.resume(first, last, entered, cut_off.loitered))
        for _, cut_off in sorted(present.items()):
            events += self._end_events(cut_off)
        self._present = {}
        return events

    def _rebased(self, event: Event, cut_off: _CutOff, frame: Frame) -> Event:
        """Convert the time of an event of an earlier run to the clock of this run."""
        now = self._at(frame.time)
        if now is not None and event.at:
            seconds = max(0.0, (now - datetime.fromisoformat(event.at)).total_seconds())
        else:
            seconds = cut_off.last.time - event.time
        return replace(event, frame=frame.index, time=frame.time - seconds, at="", snapshot="", clip="")

    def _end_events(self, cut_off: _CutOff) -> list[Event]:
        """End an object of an earlier run, with its recorded values."""
        last = replace(cut_off.last, direction="", snapshot="", clip="")
        events = []
        for zone, inside in cut_off.inside.items():
            events.append(
                replace(last, event="zone-leave", zone=zone, seconds=_seconds_between(inside, last))
            )
        events.append(replace(last, event="leave", seconds=_seconds_between(cut_off.first, last)))
        return [self._complete(event) for event in events]


def _seconds_between(first: Event, last: Event) -> float:
    """Seconds between two events, which may be of runs with different clocks."""
    if first.at and last.at:
        seconds = (datetime.fromisoformat(last.at) - datetime.fromisoformat(first.at)).total_seconds()
    else:
        seconds = last.time - first.time
    return max(0.0, round(seconds, 6))
