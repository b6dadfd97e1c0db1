"""Publish the events of a run: alarms first, then files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from segue.entries.events import EventSettings
from segue.entries.formats import SinkOptions
from segue.errors import SinkError
from segue.events.archive import EventArchive
from segue.events.deliveries import Notifiers
from segue.events.images.snapshots import Snapshots
from segue.events.receivers.base import BetterView, EventReceiver, FileReceiver, ReceiverContext
from segue.events.receivers.table import TableReceiver
from segue.events.store.records import RecordedEvent
from segue.events.store.store import MAX_WAITING, RETRY_SECONDS, EventStore
from segue.events.table import Event
from segue.events.zones import Zone
from segue.formats.base import Sink
from segue.registry import EVENT_SINKS
from segue.types import Frame, Segmentation
from segue.utils.notices import warn_caller


class TableWarning(UserWarning):
    """Events wait until their store or their table can be written."""


@dataclass
class EventPublisher:
    """Numbers events and sends them to all receivers of a run, alarms before files.

    Attributes:
        store: stores the events.
        zones: watched zones and lines.
        name: of the camera or source.
        notifiers: send to the addresses of ``--notify``; None without any.
        home_assistant: whether ``--home-assistant`` is given.
        archive: place of all parts.
        images: folder of the images of all parts.
        is_full: whether events wait for room on the disk.
        files: files of the open parts.
        early: events of before the first frame, for the first table.
        tell, report, count_clips, stop_time: as for :class:`.receivers.base.ReceiverContext`.
    """

    store: EventStore
    zones: tuple[Zone, ...] = ()
    name: str = ""
    notifiers: Notifiers | None = None
    home_assistant: bool = False
    archive: EventArchive | None = None
    images: Path | None = None
    tell: Callable[[Event], object] | None = None
    report: Callable[[str, str], None] = lambda *_: None
    count_clips: Callable[[int, int], None] | None = None
    stop_time: Callable[[], float | None] = lambda: None
    is_full: bool = False
    files: list[EventFiles] = field(default_factory=list)
    early: list[RecordedEvent] = field(default_factory=list)
    _alarms: list[EventReceiver] = field(default_factory=list)

    def __post_init__(self) -> None:
        context = self.context()
        entries = sorted(EVENT_SINKS, key=lambda each: each.rank)
        opened = (each.open(context) for each in entries if not (each.schemes or each.part))
        self._alarms = [each for each in opened if each is not None]

    def context(self) -> ReceiverContext:
        """Context with which the receivers of the run are opened."""
        return ReceiverContext(
            name=self.name,
            zones=self.zones,
            store=self.store,
            archive=self.archive,
            images=self.images,
            targets=() if self.notifiers is None else self.notifiers.targets,
            home_assistant=self.home_assistant,
            show_better=self.show_better,
            tell=self.tell,
            report=self.report,
            count_clips=self.count_clips,
            stop_time=self.stop_time,
        )

    def change(self, zones: Sequence[Zone]) -> None:
        """Change the zones."""
        self.zones = tuple(zones)
        for alarm in self._alarms:
            alarm.change(zones)
        for files in self.files:
            files.change(zones)

    def see(self, frame: Frame, result: Segmentation) -> None:
        """Pass a frame to receivers; called before its events."""
        for alarm in self._alarms:
            alarm.see(frame, result)

    def show_better(self, view: BetterView) -> None:
        """Pass a better view of an object to receivers."""
        notified = () if self.notifiers is None else self.notifiers.targets
        for receiver in (*self._alarms, *(receiver for _, receiver in notified)):
            receiver.show_better(view)

    def announce(self, online: bool) -> None:
        """Report whether the camera gives frames."""
        if self.notifiers is not None:
            self.notifiers.announce(online)

    def publish(
        self, events: Iterable[Event], part: str, files: Sequence[FileReceiver]
    ) -> list[RecordedEvent]:
        """Number events and send alarms; raises SinkError like :meth:`.EventStore.put`.

        Args:
            events: the events.
            part: name of the part of the run, or nothing.
            files: the events to write afterwards, possibly with more details.

        Returns:
            The numbered events, to be written.
        """
        recorded = []
        for event in events:
            each = self.store.record(event, part)
            for receiver in files:
                each = receiver.describe(each)
            self.store.put(each)
            for alarm in self._alarms:
                alarm.send(each, 0.0)
            recorded.append(each)
        if recorded and self.notifiers is not None:
            self.notifiers.wake()
        return [each for each in recorded if each.is_event]

    def publish_early(self, events: Iterable[Event]) -> None:
        """Publish events before files are open; the table gets them when it opens."""
        self.store.begin_part("", "" if self.archive is None else self.archive.table.name)
        recorded = self.publish(events, "", ())
        with suppress(SinkError):  # on a full disk they wait in memory
            self.store.flush()
        for each in recorded:
            self.early.append(each)
            if self.tell is not None:
                self.tell(each.event)


class EventFiles(Sink):
    """Files of the events of a part of a run: table, images, clips and counts.

    Args:
        path: the table.
        options: options of the run.
        publisher: publishes the events of all parts.
        images: saves an image and a clip of each event, if the options do not.
    """

    def __init__(
        self, path: Path, options: SinkOptions, publisher: EventPublisher, images: Snapshots | None = None
    ) -> None:
        settings: EventSettings = options.events
        self._publisher, self._part, self._live = publisher, settings.part, options.live
        self._tried = 0.0
        publisher.store.begin_part(self._part, path.name)
        context = replace(publisher.context(), table=path, part=self._part, options=options)
        self._files: list[FileReceiver] = []
        try:
            if images is not None:
                images.attach(publisher.store, self._part, options.source_size)
                images.on_better = publisher.show_better
                self._files.append(images)
            for entry in sorted(EVENT_SINKS, key=lambda each: each.rank):
                receiver = entry.open(context) if entry.part else None
                if receiver is not None:
                    self._files.append(receiver)
        except BaseException:
            self.abort()
            raise
        self._table = next((each for each in self._files if isinstance(each, TableReceiver)), None)
        while self._table is not None and publisher.early:
            self._table.send(publisher.early.pop(0), 0.0)
        publisher.files.append(self)

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        if self._table is not None:
            self._table.begin()
        self._publisher.see(frame, segmentation)
        for each in self._files:
            each.see(frame, segmentation)
        if not self._publisher.is_full or time.monotonic() - self._tried >= RETRY_SECONDS:
            self._flush()

    def events(self, events: Sequence[Event], objects: Mapping[int, Event]) -> None:
        """Write events, and the objects of the newest frame."""
        for each in self._files:
            if isinstance(each, Snapshots):
                each.know(objects)
        if events:
            self._flush(self._publisher.publish(events, self._part, self._files))
        for each in self._files:
            each.improve(objects)

    def change(self, zones: Sequence[Zone]) -> None:
        """Change the zones."""
        for each in self._files:
            each.change(zones)

    def flush(self) -> None:
        pass  # each event is on the disk as soon as there is room

    def close(self) -> None:
        self._leave()
        with ExitStack() as rest:  # each also where another one fails
            for each in reversed(self._files):
                rest.callback(each.close)

    def abort(self) -> None:
        self._leave()
        for each in self._files:
            with suppress(SinkError):
                each.abort()

    def _leave(self) -> None:
        if self in self._publisher.files:
            self._publisher.files.remove(self)

    def _flush(self, events: Sequence[RecordedEvent] = ()) -> None:
        """Write events and earlier ones that wait; a live run waits for room on the disk.

        When a receiver gets an event, its row and image are written, unless the disk is full.
        """
        self._tried = time.monotonic()
        problem: SinkError | None = None
        for each in self._files:
            for event in events:
                each.send(event, 0.0)
            try:
                each.flush()
            except SinkError as error:
                if not self._live:
                    raise
                problem = problem or error
        waiting = self._table.num_waiting if self._table is not None else 0
        if problem is not None and waiting > MAX_WAITING:
            raise problem
        if problem is not None and not self._publisher.is_full:
            warn_caller(f"{problem}; its events wait, messages are sent", TableWarning)
            self._publisher.report("events", str(problem))
        elif problem is None and self._publisher.is_full:
            self._publisher.report("events", "")
        self._publisher.is_full = problem is not None
