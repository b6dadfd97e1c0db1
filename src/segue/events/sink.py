"""Sink of the format ``events``: objects that enter and leave, zones, and lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path

from segue.entries.events import EventSettings
from segue.entries.formats import SinkOptions
from segue.errors import SinkError
from segue.events.archive import EventArchive
from segue.events.deliveries import Notifiers, NotifyWarning
from segue.events.images.best_views import Name
from segue.events.images.snapshots import Snapshots
from segue.events.monitor import EventMonitor
from segue.events.options import check_table_path
from segue.events.publisher import EventFiles, EventPublisher
from segue.events.publisher import TableWarning as TableWarning
from segue.events.rules import EventRules
from segue.events.scene.memory import SceneMemory
from segue.events.store.importing import import_archive
from segue.events.store.store import EventStore
from segue.events.store.upkeep import UPKEEP
from segue.events.table import Event as Event
from segue.events.zones import Zone
from segue.formats.base import Sink
from segue.formats.frames import Size
from segue.types import Frame, Segmentation
from segue.utils.notices import warn_caller
from segue.video.decoding.readers import ConnectionChange


class EventSink(Sink):
    """Writes the events of objects; see :class:`Event` for the columns.

    Everything follows from the results alone: an object is there as long as it is listed. Events are in the
    order of their times, those of a live run in the order in which they are known: an ``enter`` on the third
    frame on which the object is large enough, and a zone is entered or left after three frames. A job detects
    events itself, before its outputs, see :class:`.monitor.EventMonitor`.

    Args:
        path: file to write, ending in ``.csv`` or ``.json``.
        size: height and width for boxes and areas; None takes the size of each mask.
        zones: regions and lines that are watched; ``NAME.counts.csv`` says in the end how often.
        notify: address that receives each event as soon as it is known, also with filters, or several; see
            :class:`segue.events.Notifier`.
        rules: which objects and stays are worth an event.
        live: write each event to the file as soon as it is known; else the file appears when it is complete.
        append: go on after the events that a live file has already. They are in ``NAME.db``, too: objects
            that were there when a run was killed leave in this one, and messages that wait are sent.
        snapshots: saves an image and a clip of each event.
        on_event: called with each event as soon as it is written, also while the disk is full.
        on_disk: called with ``events`` and why the table of a live run cannot be written, or nothing where it
            can again.
        source: name of the source, for the events.
        at: converts a time of the source to a date and time of day, or None.
        name: classifies an object without a label, from the best view of it so far; called when there is an
            event of it, and with ``only`` in the rules whenever a view shows more of it.
        memory: knowledge of the scene, also from earlier runs; None starts without it.
        stop_time: returns when a live run was asked to stop, or None: objects that stand go on in
            the next one, and have no ``end``.

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
        notify: str | Sequence[str] | None = None,
        snapshots: Snapshots | None = None,
        on_event: Callable[[Event], None] | None = None,
        on_disk: Callable[[str, str], None] = lambda *_: None,
        name: Name | None = None,
        memory: SceneMemory | None = None,
        stop_time: Callable[[], float | None] = lambda: None,
        source: str = "",
        at: Callable[[float], datetime | None] = lambda _: None,
    ) -> None:
        path = Path(path)
        check_table_path(path)
        archive = EventArchive(path, None if snapshots is None else snapshots.folder)
        targets = [notify] if isinstance(notify, str) else [*(notify or ())]
        with ExitStack() as opened:
            self._store = EventStore.open(archive.store if live and append else None)
            opened.callback(self._store.close)
            import_archive(self._store, archive)
            self._stop_time = stop_time
            memory = memory or (SceneMemory(without_light=False) if live else None)
            present = {number: [each.event for each in events if each.is_event]
                       for number, events in self._store.present().items()}  # fmt: skip
            # Zones are checked before anything is on the disk.
            self._monitor = EventMonitor(
                zones, rules, size, name=name, memory=memory, present=present, source=source, at=at
            )
            self._store.begin_run(source)
            self._notifiers = Notifiers(targets, self._store) if targets else None
            if self._notifiers is not None:
                opened.callback(self._notifiers.stop)
            publisher = EventPublisher(
                self._store,
                tuple(zones),
                source,
                self._notifiers,
                tell=on_event,
                report=on_disk,
                stop_time=stop_time,
            )
            options = SinkOptions(live=live, append=append, source=source, events=EventSettings(tuple(zones)))
            self._files = EventFiles(path, options, publisher, snapshots)
            self._publisher = publisher
            self._cared_archive: EventArchive | None = None
            if live and snapshots is not None and snapshots.retention is not None:
                self._cared_archive = archive
                UPKEEP.care(self._store, archive, snapshots.retention)
            opened.pop_all()

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        segmentation, events = self._monitor.update(frame, segmentation)
        self._files.write(frame, segmentation)
        self._files.events(events, self._monitor.objects)

    def connection(self, change: ConnectionChange) -> None:
        self._files.events(self._monitor.connection(change), {})

    def change_events(self, settings: EventSettings) -> None:
        """Change zones and rules; objects are kept.

        Args:
            settings: the new ones; only its zones and rules count.
        """
        self._publisher.change(settings.zones)
        self._files.events(self._monitor.change(settings.zones, settings.rules or EventRules()), {})

    def close(self) -> None:
        with ExitStack() as rest:
            rest.callback(self._end)
            rest.callback(self._files.close)
            self._files.events(self._monitor.finish(goes_on=self._stop_time() is not None), {})

    def _end(self) -> None:
        self._leave(maintain=self._stop_time() is None)
        self._store.end_run()
        notifiers, self._notifiers = self._notifiers, None
        if notifiers is not None and (left := notifiers.close()):
            warn_caller(f"{left} of {notifiers.total} events not delivered", NotifyWarning)
        self._store.close()

    def _leave(self, *, maintain: bool = False) -> None:
        """Stop the upkeep of images."""
        archive, self._cared_archive = self._cared_archive, None
        if archive is not None:
            UPKEEP.leave(archive, maintain=maintain)

    def abort(self) -> None:
        """Remove incomplete files; events of a live run stay, in a complete file."""
        self._files.abort()
        self._leave()
        if self._notifiers is not None:
            self._notifiers.stop()
        with suppress(SinkError):
            self._monitor.save()
        self._store.close()


def with_publisher(path: Path, options: SinkOptions) -> Sink:
    """Open the files for a run that detects events itself, or a sink that detects them."""
    events = options.events
    if events.publisher is not None:
        return EventFiles(path, options, events.publisher)
    return EventSink(
        path,
        size=options.source_size,
        zones=events.zones,
        rules=events.rules,
        live=options.live,
        append=options.append,
        notify=events.notify,
        snapshots=Snapshots.of(options),
        memory=events.memory,
        source=options.source,
        at=options.at,
    )
