"""Outputs of a running job: files, events, and messages."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import Any

from segue.errors import SinkError, SourceError
from segue.events.archive import EventArchive
from segue.events.deliveries import FILE_SECONDS, LAST_SECONDS, Notifiers, begin_receivers
from segue.events.images.clips import END_SECONDS
from segue.events.monitor import EventMonitor
from segue.events.options import RULES
from segue.events.publisher import EventPublisher, TableWarning
from segue.events.receivers.counts import counts_of, counts_text
from segue.events.scene.blind import BlindTracker
from segue.events.scene.memory import SceneMemory
from segue.events.store.store import EventStore, source_key
from segue.events.store.upkeep import UPKEEP
from segue.events.table import Event
from segue.jobs.observer import Observer
from segue.jobs.opened import Run
from segue.jobs.places import EVENTS, OutputPlaces, with_defaults
from segue.jobs.plan import refuse_live_options
from segue.jobs.record import result_settings, write_record
from segue.jobs.values import ForegroundJob, VideoJob
from segue.sessions.session import Passes
from segue.sinks import Sink, open_sinks
from segue.sinks.base import BackgroundSink
from segue.sinks.rotation import RotatingSink, clear_parts, part_name
from segue.types import Frame, Segmentation
from segue.utils.files import locked
from segue.utils.notices import warn_caller
from segue.video.decoding.packets import PacketBuffer
from segue.video.decoding.readers import ConnectionChange
from segue.video.sources.span import parse_duration

MIN_LAST_SECONDS = 0.5
"""Minimum seconds for the last messages of a run that is stopping."""


class JobOutputs:
    """Open outputs of a job; :meth:`stop` ends messages.

    Attributes:
        sink: writes the results.
        paths: file or folder of each format.
        messages: sends to the addresses of ``--notify``; None without any.
    """

    def __init__(self, opened: Run, observer: Observer) -> None:
        self._opened, self._observer = opened, observer
        self._places = OutputPlaces.of(opened.job, opened.source.name)
        self.paths: dict[str, Path] = {}
        self.counts = counts_text(opened.events.zones, {})
        self.messages: Notifiers | None = None
        self._store: EventStore | None = None
        self._cared_archive: EventArchive | None = None  # cared for as long as the run lasts
        self._locks = ExitStack()  # of the store
        self._monitor: EventMonitor | None = None
        self._publisher: EventPublisher | None = None
        self._outage: Event | None = None  # the loss of the camera that an earlier run has reported
        self._pending: list[Event] = []
        self._lock = RLock()  # held while events are found and handed on, so that they stay in order
        self._inner: Sink | None = None
        self.sink = Sink()

    def begin(self) -> None:
        """Open event outputs before the first frame of a live source.

        Messages that wait are sent at once, and a camera that is away is reported.
        """
        opened, source = self._opened, self._opened.source
        if source.endless:
            self._open_events(with_defaults(opened.job, endless=True), is_empty=False)
        if self._publisher is not None:
            source.on_change(self.connection)

    def open(self) -> None:
        """Open all outputs once the first frame shows whether the source has an end."""
        opened, outputs = self._opened, self._opened.job.outputs
        _check(opened)
        if self._store is not None and (outputs.overwrite or not opened.source.endless):
            self._close_events()
        self._places = OutputPlaces.of(opened.job, opened.source.name)
        self._places.check(opened.job, opened.source)
        if self._store is None:
            self._open_events(opened.job)
        with self._lock:
            self._inner = self._opened_sink()
            self.sink = _MonitoredSink(self._inner, self)
        opened.source.on_change(self.connection)
        opened.change_events = self.change_events
        if self.messages is not None:
            self.messages.announce(online=True)
        if self._outage is not None:
            self._tell_of(ConnectionChange(opened.source.name, online=True, frame=0, time=0.0))

    def add_events(self, frame: Frame, result: Segmentation) -> Segmentation:
        """Add a result's events and ids; events wait for :meth:`_MonitoredSink.write`."""
        if self._monitor is None:
            return result
        with self._lock:
            result, events = self._monitor.update(frame, result)
            self._pending += events
            return result

    def pass_events(self) -> None:
        """Send events of the newest frame, which is written."""
        if self._monitor is not None:
            with self._lock:
                events, self._pending = self._pending, []
                self._hand_on(events, self._monitor.objects)

    def _hand_on(self, events: Sequence[Event], objects: Mapping[int, Event] | None = None) -> None:
        """Send events to all outputs; before the first frame only to messages."""
        if self._inner is not None:
            self._inner.events(events, objects or {})
        elif self._publisher is not None:
            self._publisher.publish_early(events)

    def finish_events(self) -> None:
        """Send events of objects present at the end."""
        if self._monitor is not None:
            with self._lock:
                self._pending += self._monitor.finish(goes_on=self._stop_time() is not None)
                self.pass_events()

    def change_events(self, job: ForegroundJob) -> None:
        """Switch to the zones and rules of another job; thread-safe."""
        opened, settings = self._opened, job.event_settings(job.outputs.formats or (EVENTS,))
        opened.job = opened.job.model_copy(update={name: getattr(job, name) for name in RULES})
        rules = replace(settings.rules, min_frames=opened.events.rules.min_frames)
        opened.events = replace(opened.events, zones=settings.zones, rules=rules)
        if self._monitor is not None and self._publisher is not None:
            with self._lock:
                events = self._monitor.change(settings.zones, rules)
                self._publisher.change(settings.zones)
                self._hand_on(events)

    def connection(self, change: ConnectionChange) -> None:
        """Report that a live source was lost or is back."""
        if self._inner is not None:
            self._inner.connection(change)
        self._tell_of(change)
        if self.messages is not None:
            self.messages.announce(change.online)
        self._observer.connection(change)

    def _tell_of(self, change: ConnectionChange) -> None:
        """Send the event of a lost camera; for an outage that an earlier run reported, only its end."""
        with self._lock:
            if self._monitor is not None and (change.online or self._outage is None):
                self._hand_on(self._monitor.connection(change, self._outage))
                self._outage = None

    def end_events(self) -> None:
        """Count zone events of the run, and close the store; messages may still be sent."""
        store = self._store
        if store is None:
            return
        with suppress(SinkError):
            counts = counts_of(store, "run = ?", store.run)
            self.counts = counts_text(self._publisher.zones if self._publisher else (), counts)
        store.end_run()

    def abandon(self) -> None:
        """Save the scene memory of a failed run."""
        if self._monitor is not None:
            with suppress(SinkError):
                self._monitor.save()

    def record(self) -> None:
        """Write the job's record; parts of a run have their own."""
        outputs = self._opened.job.outputs
        if outputs.rotate is None and not outputs.append:
            self._record(self._places, self.paths)

    def deliver(self) -> str:
        """Wait for messages about events; return a text about undelivered ones, or an empty one."""
        messages = self.messages
        if messages is None:
            return ""
        if messages.undelivered:
            self._observer.begin("messages", messages.total)
        try:
            left = messages.close(self._delivery_seconds(), self._observer.count)
        except KeyboardInterrupt:  # all else is complete
            left = messages.undelivered
        return f"{left} of {messages.total} events not delivered{self._later(messages)}" if left else ""

    def _later(self, messages: Notifiers) -> str:
        """Text about the later delivery of messages."""
        if not self._opened.source.endless:
            return ""
        if messages.num_unsaved:
            return f"; {messages.problem}"
        outputs = self._opened.job.outputs
        option = "" if outputs.append or outputs.rotate else " with --append or --rotate"
        return f"; the next run{option} sends them"

    def _delivery_seconds(self) -> float:
        """Seconds to wait for messages; fewer if the run is already stopping."""
        if self._observer.goes_on:
            return 0.0
        if not self._opened.source.endless:
            return FILE_SECONDS
        stop_time = self._stop_time()
        over = 0.0 if stop_time is None else time.monotonic() - stop_time
        return max(MIN_LAST_SECONDS, LAST_SECONDS - max(0.0, over - END_SECONDS))

    def stop(self) -> None:
        """Stop messages and changes of zones and rules."""
        self._opened.change_events = None
        if self.messages is not None:
            self.messages.stop()
        # They know this run, which would stay in memory.
        self._monitor = self._publisher = None
        self._inner, self.sink = None, Sink()
        self._close_store()

    def _close_store(self) -> None:
        """Close the event store and stop its upkeep."""
        archive, self._cared_archive = self._cared_archive, None
        if archive is not None:
            UPKEEP.leave(archive, maintain=self._stop_time() is None)
        store, self._store = self._store, None
        if store is not None and (num_unsaved := store.close()) and self._opened.source.endless:
            warn_caller(f"{store.problem}; {num_unsaved} events wait for room", TableWarning)
        self._locks.close()

    def _close_events(self) -> None:
        """Deliver messages and close event outputs opened before the first frame."""
        messages, self.messages = self.messages, None
        if messages is not None:
            messages.close(LAST_SECONDS)
        self._monitor = self._publisher = None
        self._close_store()

    def _open_events(self, job: VideoJob, *, is_empty: bool = True) -> None:
        """Open event store, receivers and monitor if the job has events.

        Args:
            job: with the outputs that it has.
            is_empty: whether what ``overwrite`` replaces goes.
        """
        opened, source = self._opened, self._opened.source
        outputs, formats = job.outputs, job.outputs.formats or ()
        self._places = OutputPlaces.of(job, source.name)
        archive = self._places.archive(formats)
        if archive is None:
            return
        if source.endless:
            # Tables of several names, such as e.csv and e.json, have one store.
            self._locks.enter_context(locked([archive.store]))
            if outputs.overwrite and is_empty:
                EventStore.remove(archive.store)
            goes_on = (outputs.append or outputs.rotate) and not outputs.overwrite
            earlier_store = self._places.open_store(formats) if goes_on else None
            store = earlier_store or EventStore.open(archive.store)
        else:
            store = EventStore.open(None)
        self._store = store
        key = source_key(str(job.source.place))
        self._outage = store.outage
        store.begin_run(key)
        is_foreground = isinstance(job, ForegroundJob)
        targets = job.notify if isinstance(job, ForegroundJob) else ()
        images = self._places.snapshots
        if targets:
            self.messages = Notifiers(
                targets,
                store,
                images,
                online=not source.endless,
                page=opened.events.page,
                size=lambda: source.original_size,
            )
            self._observer.messages(self.messages)
        else:
            begin_receivers(store, ())
        memory: SceneMemory | None = None
        if is_foreground or source.endless:
            memory = opened.events.memory or SceneMemory(self._observer.notice, without_light=is_foreground)
            memory.begin(store if source.endless else None, key)
        settings = opened.events
        present = {
            number: [each.event for each in events if each.is_event]
            for number, events in store.present().items()
        }
        self._monitor = EventMonitor(
            settings.zones,
            settings.rules,
            lambda: source.original_size,
            name=opened.name_object,
            memory=memory,
            blind=self._blind_tracker(store),
            filters=()
            if self.messages is None
            else [each for target, _ in self.messages.targets for each in target.class_lists],
            present=present,
            source=source.name,
            at=source.at,
        )
        if source.endless and images is not None:
            UPKEEP.care(store, archive, settings.keep)
            self._cared_archive = archive
        self._publisher = EventPublisher(
            store,
            settings.zones,
            source.name,
            self.messages,
            home_assistant=isinstance(job, ForegroundJob) and job.home_assistant,
            archive=archive,
            images=images,
            tell=self._observer.event,
            report=self._observer.unwritten,
            count_clips=self._encoding if outputs.rotate is None else None,
            stop_time=self._stop_time,
        )

    def _blind_tracker(self, store: EventStore) -> BlindTracker | None:
        """Make the tracker that carries a camera's objects while the background is unknown."""
        opened = self._opened
        if opened.detect_objects is None or not opened.source.endless:
            return None
        return BlindTracker(opened.detect_objects, opened.is_blind, store.last_object, opened.camera_motion)

    def _opened_sink(self) -> Sink:
        outputs = self._opened.job.outputs
        if outputs.rotate is not None:
            self._places.clear_parts()
            seconds = parse_duration(outputs.rotate, "--rotate")
            monitor = self._monitor
            part = RotatingSink(
                lambda begin: self._open_part(self._places.part(part_name()), begin),
                seconds,
                final=lambda: [] if monitor is None else monitor.finish(),
            )
            return BackgroundSink(part)
        if outputs.append:
            clear_parts(self._places.folder)
            return self._open_part(self._places.next_run(part_name(), outputs.formats or ()))
        return self._open_part(self._places)

    def _open_part(self, places: OutputPlaces, begin: float = 0.0) -> Sink:
        """Open the outputs of a run, or of one of its parts."""
        opened, job = self._opened, self._opened.job
        outputs, alone = job.outputs, job.outputs.rotate is None
        sinks = open_sinks(
            places.folder,
            outputs.formats or (),
            opened.source,
            places=places.other_outputs,
            background=alone,
            overwrite=outputs.overwrite,
            resume=outputs.resume,
            append=bool(outputs.append),
            side_by_side=outputs.side_by_side,
            whole=outputs.whole,
            sound=outputs.sound,
            settings=self._settings(),
            categories={label: number for number, label in opened.names.items()},
            begin=begin,
            records=opened.records,
            events=replace(
                opened.events,
                snapshots=places.snapshots,
                packets=self._packets(),
                publisher=self._publisher,
                part=places.name,
            ),
        )
        if places is not self._places:
            try:
                self._record(places, sinks.paths)
            except BaseException:
                sinks.sink.abort()  # else its files stay locked as long as the process lives
                raise
        self.paths.update(sinks.paths)
        return sinks.sink

    def _packets(self) -> PacketBuffer | None:
        """Stream packets for clips copied without encoding."""
        job = self._opened.job
        copies = isinstance(job, ForegroundJob) and job.clips == "packets"
        packets = self._opened.source.packets() if copies and self._places.snapshots is not None else None
        if packets is not None:
            packets.has_sound = job.outputs.sound
        return packets

    def _settings(self) -> dict[str, Any]:
        """Settings that determine the masks of the folder, with a mark for whole ones."""
        opened = self._opened
        settings = result_settings(opened.job, whole=isinstance(opened.input_frames, Passes))
        return settings | ({"whole": True} if opened.job.outputs.whole else {})

    def _stop_time(self) -> float | None:
        """Time of a requested stop by ``time.monotonic()``; None without one."""
        token = self._opened.frames.token
        if token.cancelled:
            return token.cancel_time
        return time.monotonic() if self._observer.goes_on else None

    def _record(self, places: OutputPlaces, paths: dict[str, Path]) -> None:
        job = self._opened.job
        try:
            write_record(job, places.record(job, paths), paths)
        except SinkError as error:
            if not self._opened.source.endless:
                raise
            warn_caller(f"{error}; the run goes on without", TableWarning)  # on a full disk, for its alarms

    def _encoding(self, done: int, total: int) -> None:
        if not done:
            self._observer.begin("clips", total)
        self._observer.count(done)


class _MonitoredSink(Sink):
    """Outputs of a job, each frame with its events."""

    def __init__(self, sink: Sink, outputs: JobOutputs) -> None:
        self._sink, self._outputs = sink, outputs

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        self._sink.write(frame, segmentation)
        self._outputs.pass_events()

    def flush(self) -> None:
        self._sink.flush()

    def close(self) -> None:
        self._outputs.finish_events()
        self._sink.close()
        self._outputs.end_events()

    def suspend(self) -> None:
        self._outputs.finish_events()
        self._sink.suspend()

    def abort(self) -> None:
        self._sink.abort()
        self._outputs.abandon()


def _check(opened: Run) -> None:
    """Raise an error for outputs that the source cannot have."""
    outputs, source = opened.job.outputs, opened.source
    if not source.endless:
        refuse_live_options(opened.job, source.name)
    if outputs.append and outputs.overwrite:
        raise SinkError("append and overwrite exclude each other; give one of them")
    if outputs.resume and source.endless:
        raise SourceError(
            f"{source.name}: what a live source gave is gone; --append goes on after it, instead of --resume"
        )
    if outputs.resume and opened.in_memory:
        raise SinkError(f"{source.name}: a run over images in memory cannot be resumed; leave out resume")
