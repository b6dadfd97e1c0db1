"""What a job writes and sends while its frames are taken: files, events, and messages about them."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from segue.errors import SinkError, SourceError
from segue.events.counts import ZoneCounts
from segue.events.images.clips import END_SECONDS
from segue.events.messages.home_assistant import HomeAssistant
from segue.events.messages.notify import FILE_SECONDS, LAST_SECONDS
from segue.events.messages.targets import Messages
from segue.events.options import RULES
from segue.events.scene.memory import SceneMemory
from segue.events.sink import TableWarning
from segue.events.table import Event
from segue.jobs.observer import Observer
from segue.jobs.opened import Run
from segue.jobs.places import EVENTS, OutputPlaces
from segue.jobs.plan import refuse_live_options
from segue.jobs.record import result_settings, write_record
from segue.jobs.values import ForegroundJob
from segue.sessions.session import Passes
from segue.sinks import Sink, open_sinks
from segue.sinks.base import BackgroundSink
from segue.sinks.rotation import RotatingSink, part_name
from segue.utils.notices import warn_caller
from segue.video.decoding.packets import PacketBuffer
from segue.video.decoding.readers import ConnectionChange
from segue.video.sources.span import parse_duration

MIN_LAST_SECONDS = 0.5
"""Seconds in which the last messages of a run that is to stop are tried in any case."""


class JobOutputs:
    """The open outputs of a job; :meth:`stop` ends what sends messages.

    Attributes:
        sink: takes the results.
        paths: file or folder of each format.
        counts: how often zones were entered and left.
    """

    def __init__(self, opened: Run, observer: Observer) -> None:
        _check(opened)
        self._opened, self._observer = opened, observer
        self._places = OutputPlaces.of(opened.job, opened.source.name)
        self.paths: dict[str, Path] = {}
        self.counts = ZoneCounts(opened.events.zones)
        self.messages = self._open_messages()
        self._memory = self._open_memory()
        self._home = list[HomeAssistant]()
        job = opened.job
        try:
            if self.messages is not None and isinstance(job, ForegroundJob) and job.home_assistant:
                self._home = [
                    HomeAssistant(notifier, opened.source.name, opened.events.zones, target.concerns)
                    for target, notifier in self.messages.notifiers
                    if notifier.topic is not None
                ]
            self.sink = self._open_sink()
        except BaseException:
            self.stop()
            raise
        opened.change_events = self.change_events

    def change_events(self, job: ForegroundJob) -> None:
        """Go on with the zones and rules of another job; any thread may call it."""
        opened, settings = self._opened, job.event_settings(job.outputs.formats or (EVENTS,))
        opened.job = opened.job.model_copy(update={name: getattr(job, name) for name in RULES})
        rules = replace(settings.rules, min_frames=opened.events.rules.min_frames)
        opened.events = replace(opened.events, zones=settings.zones, rules=rules)
        self.counts.change(settings.zones)
        self.sink.change_events(opened.events)
        for home in self._home:
            home.change(settings.zones)

    def connection(self, change: ConnectionChange) -> None:
        """Tell everybody that a live source was lost or is back."""
        self.sink.connection(change)
        if self.messages is not None:
            self.messages.announce(change.online)
        self._observer.connection(change)

    def record(self) -> None:
        """Write the job beside its results; parts of a run have records of their own."""
        outputs = self._opened.job.outputs
        if outputs.rotate is None and not outputs.append:
            self._record(self._places, self.paths)

    def deliver(self) -> str:
        """Wait until the messages about events have arrived; says how many have not, or nothing."""
        messages, endless = self.messages, self._opened.source.endless
        if messages is None:
            return ""
        if messages.undelivered:
            self._observer.begin("messages", messages.total)
        try:
            left = messages.close(self._delivery_seconds(), self._observer.count, keep=endless)
        except KeyboardInterrupt:  # all else is complete
            left = messages.undelivered
        return f"{left} of {messages.total} events not delivered{_later(messages, endless)}" if left else ""

    def _delivery_seconds(self) -> float:
        """Seconds for messages that have not arrived; of those of a run that is to stop some are over."""
        if self._observer.goes_on:
            return 0.0
        if not self._opened.source.endless:
            return FILE_SECONDS
        stop_time = self._stop_time()
        over = 0.0 if stop_time is None else time.monotonic() - stop_time
        return max(MIN_LAST_SECONDS, LAST_SECONDS - max(0.0, over - END_SECONDS))

    def stop(self) -> None:
        """Send no more messages; other zones and rules are too late now."""
        self._opened.change_events = None
        if self.messages is not None:
            self.messages.stop()

    def _open_messages(self) -> Messages | None:
        """What sends the events of all parts of a job, and those that an earlier run could not deliver."""
        job, outputs = self._opened.job, self._opened.job.outputs
        if not isinstance(job, ForegroundJob) or not job.notify:
            return None
        queue = self._places.messages(outputs.formats or ())
        if outputs.overwrite:
            for path in (queue, *queue.parent.glob(f"{queue.name}-*")):
                path.unlink(missing_ok=True)
        return Messages(job.notify, queue, images=self._places.snapshots)

    def _open_memory(self) -> SceneMemory | None:
        """What a camera knows of its scene, also from earlier runs."""
        opened, outputs, endless = self._opened, self._opened.job.outputs, self._opened.source.endless
        is_foreground = isinstance(opened.job, ForegroundJob)
        if not (is_foreground or endless):
            return None
        memory: SceneMemory = opened.events.memory or SceneMemory(
            self._observer.notice, without_light=is_foreground
        )
        resumes = bool(outputs.append or outputs.rotate) and not outputs.overwrite
        memory.begin(self._places.scene(outputs.formats or ()) if endless else None, resumes=resumes)
        return memory

    def _open_sink(self) -> Sink:
        outputs = self._opened.job.outputs
        if outputs.rotate is not None:
            seconds = parse_duration(outputs.rotate, "--rotate")
            part = RotatingSink(lambda begin: self._open_part(self._places.part(part_name()), begin), seconds)
            return BackgroundSink(part)
        if outputs.append:
            return self._open_part(self._places.next_run(part_name(), outputs.formats or ()))
        return self._open_part(self._places)

    def _open_part(self, places: OutputPlaces, begin: float = 0.0) -> Sink:
        """Open the outputs of a run, or of a part of it."""
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
            settings=self._settings(),
            categories={label: number for number, label in opened.names.items()},
            begin=begin,
            records=opened.records,
            events=replace(
                opened.events,
                snapshots=places.snapshots,
                earlier=self._earlier(),
                archive=self._places.archive(outputs.formats or ()),
                stop_time=self._stop_time,
                packets=self._packets(),
                memory=self._memory,
                on_resumed=self._resumed,
                on_event=partial(self._event, places.snapshots),
                on_disk=self._observer.unwritten,
                on_clip=self._encoding if alone else None,
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
        """The packets of the stream where clips are made of them."""
        job = self._opened.job
        copies = isinstance(job, ForegroundJob) and job.clips == "packets"
        return self._opened.source.packets() if copies and self._places.snapshots is not None else None

    def _settings(self) -> dict[str, Any]:
        """What the masks of the folder depend on; whole ones are recorded beside them."""
        opened = self._opened
        settings = result_settings(opened.job, whole=isinstance(opened.given, Passes))
        return settings | ({"whole": True} if opened.job.outputs.whole else {})

    def _earlier(self) -> tuple[Path, ...]:
        """Tables of earlier runs, for the first part of this one; the objects of its own parts go on."""
        outputs, first = self._opened.job.outputs, not self.paths
        if not first or outputs.overwrite or not (outputs.append or outputs.rotate):
            return ()
        return tuple(self._places.tables(outputs.formats or ()))

    def _stop_time(self) -> float | None:
        """When the run was asked to stop before its end, by ``time.monotonic()``; None while it was not."""
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

    def _event(self, images: Path | None, event: Event) -> None:
        self.counts.add(asdict(event))
        if self.messages is not None:
            self.messages.send(event)
        for home in self._home:
            home.see(event, images)
        self._observer.event(event)

    def _resumed(self, event: Event) -> None:
        """Restore the sensor of an object that is still in a zone after a restart; no message is sent."""
        for home in self._home:
            home.see(event, None)

    def _encoding(self, done: int, total: int) -> None:
        if not done:
            self._observer.begin("clips", total)
        self._observer.count(done)


def _later(messages: Messages, endless: bool) -> str:
    """What happens to messages that have not arrived, in words."""
    if not endless:
        return ""
    if messages.num_unsaved:
        return f"; {messages.problem}"
    return "; the next run with --append or --rotate sends them"


def _check(opened: Run) -> None:
    """Refuse outputs that the source of a job cannot have."""
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
