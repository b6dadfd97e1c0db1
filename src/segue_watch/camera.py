"""Watch one camera: run it again after failures, and report its state, events and images."""

from __future__ import annotations

import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, Literal

import cv2
import numpy as np

from segue.entries.events import EventSettings
from segue.errors import SegueError, SourceError, UndeliveredError, memory_error
from segue.events.archive import EventArchive
from segue.events.deliveries import Notifiers
from segue.events.options import RULES
from segue.events.scene.memory import SceneMemory
from segue.events.store.retention import DiskUse, Retention, disk_use, note_limits
from segue.events.store.store import EventStore
from segue.events.store.upkeep import KEEP_SECONDS, UPKEEP
from segue.events.table import Event
from segue.events.zones import Zone
from segue.jobs.observer import Observer
from segue.jobs.opened import Run, open_video
from segue.jobs.places import OutputPlaces, with_defaults
from segue.jobs.running import RunCancelledError, open_job, run_open
from segue.jobs.values import ForegroundJob, VideoSource
from segue.masks import overlay
from segue.types import Frame, Segmentation
from segue.utils.cancel import CancelToken
from segue.utils.redaction import redact
from segue.video import Reconnect, Source
from segue.video.decoding.readers import ConnectionChange
from segue_watch.log import CAMERA, CameraWarning

RATE_FRAMES = 50
"""Number of frames over which the frame rate is measured."""

SILENT = 30.0
"""Seconds without a frame after which a camera is unhealthy."""

BLIND_SECONDS = 2.0
"""Seconds without a known background after which the log reports it."""

QUALITY = 80
"""JPEG quality in percent."""

Tell = Callable[[str, str], None]
"""Receives the name of a camera and a one-line message about it."""


class Camera(Observer):
    """A camera that is watched until it is stopped; failures restart it without affecting others.

    Args:
        name: name in events.
        job: the job.
        tell: receives notices.
        on_event: receives events.
        pool: threads for networks that cameras share, so that they also share memory.
        patience: delays before a run restarts.

    Attributes:
        undelivered: number of messages that are waiting or failed.
        memory: knowledge of its scene, kept over runs.
        page: address of the page, for links in messages; empty for none.
        on_frame: called after each frame.
        disk_problem: output without room on the disk, and the reason; empty if there is none.
    """

    def __init__(
        self,
        name: str,
        job: ForegroundJob,
        tell: Tell,
        on_event: Callable[[Event], None],
        pool: Executor | None = None,
        patience: Reconnect | None = None,
    ) -> None:
        self.name, self.job = name, job
        self._tell, self._on_event = tell, on_event
        self._pool, self.page = pool, ""
        self.on_frame: Callable[[], None] = lambda: None
        self._patience = patience or Reconnect()
        self._online, self._error = False, ""
        self._frames = self._events = self._reconnects = self._restarts = 0
        self._dropped = self._damaged = 0  # by runs that have ended
        self._source: Source | None = None
        self._messages: Notifiers | None = None  # of the run
        self._left = 0, 0  # messages that the last run has not delivered, and those without room on the disk
        self._unwritten: dict[str, str] = {}  # what the disk does not take in this run, and why
        self._store: tuple[EventArchive, EventStore] | None = None
        self._cared_archive: EventArchive | None = None
        self._store_lock = threading.RLock()
        self._times: deque[float] = deque(maxlen=RATE_FRAMES)
        self._last: tuple[int, Frame, Segmentation] | None = None  # with the number of frames so far
        self._encoding = threading.Lock()
        self._encoded = dict[int | None, tuple[int, bytes]]()  # the number of a frame and its JPEG, by width
        self._last_time, self._delay = -float("inf"), 0.0
        self._blind_seconds, self._has_reported_blindness = 0.0, False
        self._blind_since: float | None = None
        self._current = job  # what runs now
        self._opened: Run | None = None
        self._disk: DiskUse | None = None
        self._disk_time = -float("inf")
        self._started_outputs = set[object]()  # outputs that hold what it has watched
        self.memory = SceneMemory(self.notice)
        self._pause = CancelToken()  # ends the wait before a run begins again
        self._since = time.time()  # when it began to be as it is
        self._image_size: tuple[VideoSource, tuple[int, int]] | None = None  # and whose it is

    def check(self, job: ForegroundJob) -> None:
        """Raise an error if a job has new zones outside the images, as far as their size is known."""
        if (size := self._size) is None or job.source != self.job.source:
            return
        current = {*_regions(self.job)}
        for zone in _regions(job):
            if zone not in current:
                zone.in_pixels(size).check(size)

    def change(self, job: ForegroundJob) -> None:
        """Change the job: zones and rules at once, anything else with a new run."""
        previous, self.job = self._current, job
        change = None if self._opened is None else self._opened.change_events
        if change is not None and previous == job.model_copy(
            update={name: getattr(previous, name) for name in RULES}
        ):
            try:
                change(job)
            except Exception:  # the run is just ending: the next one has them
                self._stop_run()
            else:
                self._current = job
        else:
            self._stop_run()

    def _pause_for(self, seconds: float, stop: CancelToken) -> None:
        """Wait before the next run, unless it is stopped or gets another job."""
        self._pause = pause = CancelToken()
        stop.on_cancel(pause.cancel)
        if not self.goes_on:
            pause.wait(seconds)
        stop.forget(pause.cancel)

    def _stop_run(self) -> None:
        """End the run, or the wait before the next one."""
        self._pause.cancel()
        if (source := self._source) is not None:
            source.stop()

    @property
    def goes_on(self) -> bool:
        """Whether the run is to end because the job has changed."""
        return self.job is not self._current

    @property
    def undelivered(self) -> int:
        """Number of messages about events that have not arrived."""
        messages = self._messages
        return self._left[0] if messages is None else messages.undelivered

    @property
    def num_unsaved(self) -> int:
        """Number of messages that wait in memory only."""
        messages = self._messages
        return self._left[1] if messages is None else messages.num_unsaved

    @property
    def disk_problem(self) -> str:
        """Files that could not be written, and the reason; empty without problems."""
        problems = [f"{what} wait: {problem}" for what, problem in [*self._unwritten.items()] if problem]
        messages = self._messages
        if messages is not None and messages.problem and not problems:
            problems.append(messages.problem)
        return redact("; ".join(problems))

    @property
    def well(self) -> bool:
        """Whether the camera delivers frames."""
        return self._online and time.monotonic() - self._last_time < SILENT

    @property
    def healthy(self) -> bool:
        """Whether the camera delivers frames and its files can be written."""
        return self.well and not self.disk_problem

    @property
    def status(self) -> tuple[Literal["starting", "online", "lost"], float]:
        """Status of the camera, and since when, in seconds of the epoch."""
        if self.well:
            return "online", self._since
        if self._online:  # and silent
            return "lost", time.time() - (time.monotonic() - self._last_time)
        return "lost" if self._frames or self._error else "starting", self._since

    def _set_online(self, *, online: bool) -> None:
        """Set whether the camera delivers frames."""
        if online != self._online:
            self._online, self._since = online, time.time()

    def state(self) -> dict[str, Any]:
        """State of the camera as JSON values."""
        source, opened = self._source, self._opened
        status, since = self.status
        return {
            "status": status,
            "since": datetime.fromtimestamp(since).astimezone().isoformat(timespec="seconds"),
            "online": self._online,
            "well": self.well,
            "blind": opened is not None and opened.is_blind_now,
            "blind_seconds": round(self._blind_seconds, 1),
            "healthy": self.healthy,
            "frames": self._frames,
            "fps": self._rate,
            "delay": round(self._delay, 3),
            "dropped": self._dropped + (source.dropped if source else 0),
            "damaged": self._damaged + (source.damaged if source else 0),
            "reconnects": self._reconnects,
            "restarts": self._restarts,
            "events": self._events,
            "undelivered": self.undelivered,
            "armed": self.armed,
            "error": self._error,
            "disk_problem": self.disk_problem,
            "disk_used": 0 if (disk := self.disk) is None else disk.used,
            "disk_per_day": 0 if disk is None else round(disk.per_day),
            "zones": [asdict(zone) for zone in self._settings.zones],
            "ignored": [asdict(zone) for zone in self._settings.rules.ignored],
            "heights": self._settings.rules.min_heights,
            "scene": [place._asdict() for place in self.memory.scenery.places],
            "size": self._size,
            "recording": self.job.recording or "",
        }

    @property
    def archive(self) -> EventArchive | None:
        """Files of its events in all parts; None without events."""
        job = with_defaults(self.job, endless=True)
        return OutputPlaces.of(job, self.name).archive(job.outputs.formats or ())

    @property
    def store(self) -> EventStore | None:
        """Store of its events, also before a run; None without events. Raises SegueError."""
        archive = self.archive
        with self._store_lock:
            if archive is None or (self._store is not None and self._store[0] == archive):
                return None if archive is None or self._store is None else self._store[1]
            self._close_store()
            job = with_defaults(self.job, endless=True)
            store = OutputPlaces.of(job, self.name).open_store(job.outputs.formats or ())
            if store is not None:
                self._store = archive, store
            return store

    @property
    def armed(self) -> bool:
        """Whether alerts are on; True if the store cannot be opened."""
        with suppress(SegueError, OSError):
            store = self.store
            return store is None or store.armed
        return True

    def arm(self, armed: bool) -> None:
        """Turn alerts of new events on or off; raises SegueError without events."""
        if (messages := self._messages) is not None:
            messages.arm(armed)
        elif (store := self.store) is not None:
            store.arm(armed)
        else:
            raise SegueError(f"{self.name} has no events")

    def care(self) -> None:
        """Begin the upkeep of its images, with or without frames; its store knows the limits."""
        archive, keep = self.archive, Retention.parse(self.job.keep)
        with self._store_lock:
            previous, self._cared_archive = self._cared_archive, None
            if archive is not None and (keep is not None or archive.store.exists()):
                store = self.store
                assert store is not None
                note_limits(store, archive, self.job.keep)
                if keep is not None:
                    UPKEEP.care(store, archive, keep)
                    self._cared_archive = archive
            if previous is not None:
                UPKEEP.leave(previous)

    def close(self) -> None:
        """Close the store."""
        with self._store_lock:
            self._close_store()

    def _close_store(self) -> None:
        if self._store is not None:
            self._store[1].close()
            self._store = None

    @property
    def disk(self) -> DiskUse | None:
        """Disk use of its images and clips, at most a minute old; None without files."""
        if time.monotonic() - self._disk_time > KEEP_SECONDS:
            with suppress(OSError, SegueError):  # as without a handle for a file: what was known holds
                archive, store = self.archive, self.store
                if archive is not None and store is not None:
                    self._disk = disk_use(store, archive, Retention.parse(self.job.keep))
            self._disk_time = time.monotonic()
        return self._disk

    @property
    def _rate(self) -> float:
        """Frame rate over the last frames; 0 without frames."""
        times = [*self._times]
        if len(times) < 2 or not self.well:
            return 0.0
        return round((len(times) - 1) / max(1e-3, times[-1] - times[0]), 1)

    @property
    def zones(self) -> tuple[Zone, ...]:
        """Zones of the current job."""
        return self._settings.zones

    @property
    def _settings(self) -> EventSettings:
        return self.job.event_settings(self.job.outputs.formats or ())

    @property
    def _size(self) -> tuple[int, int] | None:
        """Image size of the source, if known."""
        if self._image_size is None or self._image_size[0] != self.job.source:
            return None
        return self._image_size[1]

    def _note_size(self, source: Source) -> None:
        """Remember the image size of a source beyond its run."""
        if source.original_size is not None:
            self._image_size = self._current.source, source.original_size

    def image(self) -> bytes:
        """Newest frame with its objects, as JPEG; empty before the first one."""
        return self.numbered_image()[1]

    @property
    def num_frames(self) -> int:
        """Number of processed frames."""
        return self._frames

    def numbered_image(self, width: int | None = None) -> tuple[int, bytes]:
        """Number of the newest frame, and its JPEG with objects; empty before the first one.

        ``width``: pixels to which it is reduced; there are few of them.
        """
        with self._encoding:  # once for all who look
            encoded, last = self._encoded.get(width, (0, b"")), self._last
            if last is not None and last[0] != encoded[0]:
                image = overlay(last[1].image, last[2].mask)
                if width is not None and width < image.shape[1]:
                    size = width, max(1, round(image.shape[0] * width / image.shape[1]))
                    image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
                quality = (cv2.IMWRITE_JPEG_QUALITY, QUALITY)
                coded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
                self._encoded[width] = encoded = last[0], np.asarray(coded[1]).tobytes()
            return encoded

    def watch(self, stop: CancelToken) -> None:
        """Watch until stopped, or until the source or the job ends."""
        failures = 0
        CAMERA.set(self.name)
        while not stop.cancelled:
            previous_frames = self._frames
            self._current = self.job
            try:
                self._run(self._current, stop)
                failed = False
            except (KeyboardInterrupt, RunCancelledError):  # a file that has an end was to stop
                failed = False
            except SourceError as error:  # one that was waited for when all were to stop is no failure
                failed = not (self.goes_on or stop.cancelled) and self._fail(error)
            except Exception as error:  # another camera goes on
                failed = not self.goes_on and self._fail(memory_error(error) or error, stop.cancelled)
            if self.goes_on and not stop.cancelled:
                continue  # however the run has ended; what it could not deliver waits for the next one
            if not failed:
                return
            failures = 1 if self._frames > previous_frames else failures + 1
            self._restarts += 1
            self._pause_for(self._patience.delay(failures), stop)

    def _run(self, job: ForegroundJob, stop: CancelToken) -> None:
        outputs, frames = _outputs_of(job), self._frames
        self._unwritten = {}
        if not job.notify:  # what waits for receivers that are no longer given is not due
            self._left = 0, 0
        source = open_video(job.source)
        if outputs in self._started_outputs and source.endless:
            job = _going_on(job)
        source.name = self.name
        source.read_as_camera()
        self._source = source
        if self.goes_on:  # meanwhile; it has stopped the source before
            source.stop()
        stop.on_cancel(source.stop)
        try:
            self._opened = opened = open_job(job, source=source)
            opened.pool = self._pool
            opened.events = replace(opened.events, memory=self.memory, page=lambda: self.page)
            run_open(opened, self, stop)
        finally:
            stop.forget(source.stop)
            if self._frames > frames:
                self._started_outputs.add(outputs)
            self._set_online(online=False)
            self._note_size(source)
            self._source = self._opened = None
            self._unwritten = {}
            if (messages := self._messages) is not None:
                self._left, self._messages = (messages.undelivered, messages.num_unsaved), None
            self._dropped, self._damaged = self._dropped + source.dropped, self._damaged + source.damaged
            source.close()

    def _fail(self, error: Exception, ends: bool = False) -> bool:
        """Report an error, and whether the camera restarts."""
        if isinstance(error, UndeliveredError):
            self._tell(self.name, str(error))
            return False
        kind = "" if isinstance(error, SegueError) else f"{type(error).__name__}: "
        text = redact(kind + " ".join(str(error).split()))
        if text != self._error:  # else it has been said
            following = "" if ends else "; restarting"
            warnings.warn(f"{self.name}: {text}{following}", CameraWarning, stacklevel=2)
        self._error = text
        return True

    def notice(self, text: str) -> None:
        self._tell(self.name, text)

    def messages(self, messages: Notifiers) -> None:
        self._messages = messages

    def unwritten(self, what: str, problem: str) -> None:
        self._unwritten[what] = problem
        if not problem:
            self._tell(self.name, f"the disk has room for {what} again")

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        self._frames += 1
        self._note_blind(frame)
        self._last, self._last_time = (self._frames, frame, result), time.monotonic()
        if self._source is not None:
            self._note_size(self._source)
        self._times.append(time.monotonic())
        self._set_online(online=True)
        self._error = ""
        self._delay = (self._source.delay(frame) if self._source else None) or 0.0
        self.on_frame()

    def _note_blind(self, frame: Frame) -> None:
        """Count the seconds in which the background is unknown; report long ones."""
        is_blind = self._opened is not None and self._opened.is_blind_now
        if is_blind and self._last is not None and self._blind_since is not None:
            self._blind_seconds += max(0.0, frame.time - self._last[1].time)
        if not is_blind:
            if self._has_reported_blindness:
                self._tell(self.name, "the background is known again")
            self._blind_since, self._has_reported_blindness = None, False
        elif self._blind_since is None:
            self._blind_since = frame.time
        elif frame.time - self._blind_since > BLIND_SECONDS and not self._has_reported_blindness:
            self._has_reported_blindness = True
            self._tell(self.name, "the image changes as a whole, and the background is unknown")

    def event(self, event: Event) -> None:
        self._events += 1
        self._on_event(event)

    def connection(self, change: ConnectionChange) -> None:
        self._set_online(online=change.online)
        self._reconnects += change.online
        if not change.online:
            self._error = redact(change.reason)
        if change.online or change.frame >= 0:
            self._tell(self.name, str(change))
        else:
            warnings.warn(f"{self.name}: {change}", CameraWarning, stacklevel=2)


def _outputs_of(job: ForegroundJob) -> object:
    """Key of the outputs of a camera."""
    return job.outputs.folder, job.events, job.snapshots


def _going_on(job: ForegroundJob) -> ForegroundJob:
    """Job that continues the outputs, since this process has started them."""
    changes = {"overwrite": False, "append": job.outputs.rotate is None}
    return job.model_copy(update={"outputs": job.outputs.model_copy(update=changes)})


def _regions(job: ForegroundJob) -> tuple[Zone, ...]:
    """Zones and ignored regions of a job."""
    settings = job.event_settings(job.outputs.formats or ())
    return (*settings.zones, *settings.rules.ignored)
