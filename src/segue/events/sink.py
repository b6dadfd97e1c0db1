"""Tables of events: objects that come and go, enter zones, and cross lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from operator import attrgetter
from pathlib import Path

from segue.entries import EventSettings
from segue.errors import SinkError
from segue.events.counts import ZoneCounts, counts_path
from segue.events.images.best_views import BestViews, Name
from segue.events.images.snapshots import Snapshots
from segue.events.messages.notify import NotifyWarning
from segue.events.messages.targets import Messages
from segue.events.options import check_table_path
from segue.events.rules import UNKNOWN, ClassFilter, EventRules
from segue.events.scene.memory import SceneMemory
from segue.events.table import Event, EventTable, Kind, Row, event_of, read_events
from segue.events.zone_events import ZoneEvents
from segue.events.zones import Zone
from segue.formats.base import FileSink, Sink
from segue.formats.frames import Size, known_size
from segue.types import Frame, Segmentation
from segue.utils.files import writing
from segue.utils.notices import warn_caller
from segue.video.decoding.readers import ConnectionChange

MAX_WAITING = 10_000
"""Events that a full disk may keep out of the table of a live run; with more the run fails."""

RETRY_SECONDS = 1.0
"""How often a table is tried again for which the disk had no room."""


class TableWarning(UserWarning):
    """Events wait until their table can be written."""


@dataclass(slots=True)
class _CutOff:
    """An object whose end a run that was killed could not tell, by the events of it."""

    first: Event
    last: Event = field(init=False)
    inside: dict[str, Event] = field(default_factory=dict)  # zones that it has entered and not left
    loitered: set[str] = field(default_factory=set)  # of these, where it was reported for it
    entries: int = 0  # less the times that it has left: tables are in no order of time

    @property
    def events(self) -> tuple[Event, ...]:
        """Its coming, and that into each zone in which it is."""
        return self.first, *self.inside.values()


class EventSink(FileSink):
    """Writes what happens to objects; see :class:`Event` for the columns.

    Everything follows from the results alone: an object is there as long as it is listed. Events are in the
    order of their times, those of a live run in the order in which they are known: an ``enter`` on the third
    frame on which the object is large enough, and a zone is entered or left after three frames.

    Args:
        path: file to write, ending in ``.csv`` or ``.json``.
        size: height and width for boxes and areas; None takes the size of each mask.
        zones: regions and lines that are watched; ``NAME.counts.csv`` says in the end how often.
        notify: address that receives each event as soon as it is known, also with filters, or several; see
            :class:`segue.events.messages.notify.Notifier`.
        rules: which objects and stays are worth an event.
        live: write each event to the file as soon as it is known; else the file appears when it is complete.
        append: go on after the events that a live file has already.
        earlier: tables of earlier runs; objects that were there when a run was killed leave in this one.
        snapshots: takes an image and a clip of each event.
        on_event: called with each event as soon as it is known, also while the disk is full.
        on_disk: called with ``events`` and why the table of a live run cannot be written, or nothing where it
            can again.
        source: name of the source, for the events.
        at: tells the date and time of day of a moment of the source, or None.
        name: says what an object without a label is, from the best view of it so far; called when there is an
            event of it, and with ``only`` in the rules whenever a view shows more of it.
        memory: what is known of the scene, also from earlier runs; None of a live run begins anew.
        stop_time: says when a live run was asked to stop, None while it was not: objects that stand go on in
            the next one, and have no ``end``.
        on_resumed: called with the ``zone-enter`` of objects of an earlier run that go on.

    Raises:
        SinkError: the file has another ending, or cannot be written.
        SegueError: a zone lies outside the image; where the size is not known yet it is raised with the
            first result.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        size: Size = None,
        zones: Sequence[Zone] = (),
        rules: EventRules | None = None,
        live: bool = False,
        append: bool = False,
        earlier: Iterable[Path] = (),
        notify: str | Sequence[str] | None = None,
        snapshots: Snapshots | None = None,
        on_event: Callable[[Event], None] | None = None,
        on_disk: Callable[[str, str], None] = lambda *_: None,
        name: Name | None = None,
        memory: SceneMemory | None = None,
        stop_time: Callable[[], float | None] = lambda: None,
        on_resumed: Callable[[Event], None] = lambda _: None,
        source: str = "",
        at: Callable[[float], datetime | None] = lambda _: None,
    ) -> None:
        path = Path(path)
        check_table_path(path)
        rules = rules or EventRules()
        self._memory = memory or (SceneMemory(without_light=False) if live else None)
        self._stop_time, self._on_resumed = stop_time, on_resumed
        self._classes = ClassFilter(rules.only)  # here, where objects are named
        self._labels = dict[int, str | None]()  # of the last result
        # Zones are checked before anything is on the disk.
        self._events = ZoneEvents(zones, replace(rules, only=frozenset()), size)
        self._live, self._append = live, append
        self._table: EventTable | None = None
        self._waiting: list[Event] = []  # for the table, which a live run begins with its first result
        self._snapshots, self._on_event = snapshots, on_event
        self._source, self._at = source, at
        self._count = 0  # number of the last event
        self._on_disk = on_disk
        self._is_full = False  # events wait for room on the disk
        self._tried = 0.0  # when the table was written the last time, or could not be
        self._counts = ZoneCounts(self._events.zones)
        self._cut_off: dict[int, _CutOff] = {}  # objects that were there when an earlier run was killed
        for table in (each for each in earlier if each != path):
            for row in _rows(table):
                self._see_earlier(row)
        if append:
            for row in _rows(path):
                self._count += 1
                self._counts.add(row)
                self._see_earlier(row)
            self._count = max(self._count, 0 if snapshots is None else snapshots.last)
        self._views = None if name is None else BestViews(name)
        super().__init__(path, size)
        try:
            targets = [notify] if isinstance(notify, str) else [*(notify or ())]
            self._messages = Messages(targets) if targets else None
        except BaseException:
            super().abort()
            raise

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        if self._live and self._table is None:
            self._file.discard()
            with writing(self._file.final):
                self._table = EventTable(self._file.final, append=self._append)
            self._save()
            self._resume_earlier(frame)
        if self._is_full and time.monotonic() - self._tried >= RETRY_SECONDS:
            self._save()
        if self._snapshots is not None and self._table is not None:
            self._note_deleted(self._snapshots, self._table)
        if self._memory is not None:
            segmentation = self._memory.see(frame, segmentation)
        height, width = known_size(self._size) or segmentation.mask.shape
        if self._snapshots is not None:
            self._snapshots.see(frame, segmentation, (height, width))
        self._labels = {item.id: item.label for item in segmentation.objects}
        previous = self._events.objects if self._views is not None else {}
        events = self._events.update(segmentation)
        if self._views is not None:  # the views of this frame may name the objects of its events
            for number, object_event in self._events.objects.items():
                if object_event.frame == segmentation.index and object_event.label is None:
                    self._views.see(
                        frame,
                        number,
                        (object_event.x0, object_event.y0, object_event.x1, object_event.y1),
                        object_event.area,
                        (height, width),
                    )
        self._pass(events)
        if self._snapshots is not None:
            for object_event in self._events.objects.values():
                if object_event.frame == segmentation.index:
                    self._snapshots.improve(object_event)
        if self._views is not None:
            for number in previous.keys() - self._events.objects.keys():
                self._views.forget(number)

    def connection(self, change: ConnectionChange) -> None:
        kind: Kind = "online" if change.online else "offline"
        seconds = round(change.seconds, 6)
        self._emit(Event(kind, 0, change.frame, change.time, 0.0, 0.0, 0.0, 0.0, 0, seconds, 0))

    def change_events(self, settings: EventSettings) -> None:
        self._counts.change(settings.zones)
        self._classes.only = settings.rules.only
        self._pass(self._events.change(settings.zones, replace(settings.rules, only=frozenset())))

    def hand_over(self, successor: Sink) -> None:
        """Objects that are there go on in the next part: they neither end nor enter."""
        if isinstance(successor, EventSink):
            successor._events, self._events = self._events, successor._events
            successor._views, self._views = self._views, None
            successor._memory = self._memory
            successor._classes, self._classes = self._classes, successor._classes

    def close(self) -> None:
        if self._table is None:
            super().close()
        else:
            with writing(self._file.final), ExitStack() as rest:  # each also where another one fails
                rest.callback(self._table.close)
                if self._snapshots is not None:
                    rest.callback(self._note_deleted, self._snapshots, self._table, last=True)
                rest.callback(self._save, last=True)
                self._finish()
        if self._messages is not None and (left := self._messages.close()):
            message = f"{left} of {self._messages.total} events not delivered"
            warn_caller(message, NotifyWarning)

    def abort(self) -> None:
        """Remove what is half-written; what a live run has written stays, in a complete file."""
        if self._table is not None:
            with suppress(OSError):
                self._table.close()
        if self._messages is not None:
            self._messages.stop()
        if self._snapshots is not None:
            self._snapshots.abort()
        if self._memory is not None:
            self._memory.save()
        super().abort()

    def _complete(self) -> None:
        self._finish()
        table = EventTable(self._file.path, self._file.final.suffix)
        for event in sorted(self._waiting, key=attrgetter("time")):
            table.add(asdict(event))
        table.close()

    def _release(self) -> None:
        pass

    def _see_earlier(self, row: Row) -> None:
        """Take an event of an earlier run."""
        event = event_of(row)
        if not event.object:
            return
        cut_off = self._cut_off.setdefault(event.object, _CutOff(event))
        cut_off.last = event
        if event.event == "zone-enter":
            cut_off.inside[event.zone] = event
            cut_off.loitered.discard(event.zone)
        elif event.event == "zone-leave":
            cut_off.inside.pop(event.zone, None)
        elif event.event == "loiter":
            cut_off.loitered.add(event.zone)
        elif event.event == "enter":
            cut_off.first, cut_off.entries = event, cut_off.entries + 1
        elif event.event in ("leave", "end"):
            cut_off.entries -= 1
        if not cut_off.entries:
            del self._cut_off[event.object]

    def _resume_earlier(self, frame: Frame) -> None:
        """Go on with objects of an earlier run that stand; others whose end it has not told are gone."""
        present = {number: cut_off for number, cut_off in self._cut_off.items() if cut_off.entries > 0}
        resumed = set[int]() if self._memory is None else self._memory.resume(present)
        for number in sorted(resumed):
            cut_off = present.pop(number)
            first, *entered = (self._rebased(event, cut_off, frame) for event in cut_off.events)
            last = replace(cut_off.last, event="enter", direction="", snapshot="", clip="", at="")
            last = replace(last, frame=frame.index, time=frame.time)
            self._classes.admit(number)
            self._pass(self._events.resume(first, last, entered, cut_off.loitered))
            for event in entered:
                self._on_resumed(replace(event, snapshot="", clip=""))
        self._end_earlier(present)

    def _rebased(self, event: Event, cut_off: _CutOff, frame: Frame) -> Event:
        """An event of an earlier run, by the clock of this one."""
        now = self._at(frame.time)
        if now is not None and event.at:
            seconds = max(0.0, (now - datetime.fromisoformat(event.at)).total_seconds())
        else:
            seconds = cut_off.last.time - event.time
        return replace(event, frame=frame.index, time=frame.time - seconds, at="")

    def _end_earlier(self, present: Mapping[int, _CutOff]) -> None:
        """Tell that objects are gone whose end an earlier run could not tell: as far as is known of them."""
        for cut_off in (cut_off for _, cut_off in sorted(present.items())):
            last = replace(cut_off.last, direction="", snapshot="", clip="")
            for zone, inside in cut_off.inside.items():
                seconds = round(last.time - inside.time, 6)
                self._emit(replace(last, event="zone-leave", zone=zone, seconds=seconds))
            seconds = round(last.time - cut_off.first.time, 6)
            self._emit(replace(last, event="leave", seconds=seconds))
        self._cut_off = {}

    def _finish(self) -> None:
        retained = set[int]() if self._memory is None else self._memory.save()
        self._pass(self._events.finish(() if self._stop_time() is None else retained))
        if self._snapshots is not None:
            self._snapshots.close()
        if self._events.zones:
            self._counts.write(counts_path(self._file.final))

    def _note_deleted(self, snapshots: Snapshots, table: EventTable, *, last: bool = False) -> None:
        """Let the table say from time to time which images are deleted; on a full disk later."""
        with suppress(SinkError), writing(self._file.final):
            if words := snapshots.deleted(self._file.final, last=last):
                table.note_deleted(words)
                snapshots.marked_deleted(words)

    def _best_view(self, event: Event) -> Event:
        """An event as its image shows it: an ``enter`` is known frames later, mostly with more to see."""
        now = self._events.objects.get(event.object)
        if event.event != "enter" or now is None or now.area <= event.area:
            return event
        return replace(now, event="enter")

    def _pass(self, events: Iterable[Event]) -> None:
        """Take what has happened; of objects whose class is not listed nothing is told."""
        for event in self._classes.take(events, self._label_of):
            self._emit(event)

    def _label_of(self, number: int) -> str | None:
        """The class of an object, by its result or by its best view."""
        if (label := self._labels.get(number)) or self._views is None:
            return label
        return (self._views.name(number) or (None,))[0]

    def _emit(self, event: Event) -> None:
        self._count += 1
        if self._views is not None and event.object and event.label is None:
            label, score = self._views.name(event.object) or (UNKNOWN, None)
            event = replace(event, label=label, label_score=None if score is None else round(score, 4))
        if not event.at:  # else it is of an earlier run
            at = self._at(event.time)
            when = at.isoformat(timespec="milliseconds") if at else ""
            event = replace(event, source=self._source, at=when)
        if self._snapshots is not None and event.object:
            image, clip = self._snapshots.add(self._count, self._best_view(event))
            event = replace(event, snapshot=image, clip=clip)
        self._waiting.append(event)
        self._save()  # whoever hears of it finds its row, unless the disk is full
        self._counts.add(asdict(event))
        if self._on_event is not None:
            self._on_event(event)
        if self._messages is not None:
            self._messages.send(event)

    def _save(self, *, last: bool = False) -> None:
        """Write the events that wait into the table of a live run; on a full disk later, unless ``last``."""
        if self._table is None:
            return
        for event in self._waiting:
            self._table.add(asdict(event))
        self._waiting.clear()
        self._tried = time.monotonic()
        try:
            with writing(self._file.final):
                self._table.flush()
        except SinkError as error:
            waiting = self._table.num_waiting
            if last:
                raise SinkError(f"{error}; {waiting} events are lost there") from None
            if waiting > MAX_WAITING:
                raise
            if not self._is_full:
                warn_caller(f"{error}; its events wait, messages are sent", TableWarning)
                self._on_disk("events", str(error))
            self._is_full = True
            return
        if self._is_full:
            self._on_disk("events", "")
        self._is_full = False


def _rows(table: Path) -> Iterator[Row]:
    """The events of a table that may not be there."""
    if table.exists():
        with writing(table):
            yield from read_events(table)
