"""An image and a short clip of each event."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace as replace_fields
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from segue.entries.formats import SQUARE, SinkOptions
from segue.errors import SinkError
from segue.events.archive import NAME, PENDING
from segue.events.images.best_views import BETTER, view_score
from segue.events.images.clips import MAX_FRAMES, Clip, ClipWriter, Moment, to_jpeg
from segue.events.receivers.base import SENT, BetterView, Delivery, FileReceiver
from segue.events.store.records import RecordedEvent
from segue.events.store.retention import Retention
from segue.events.store.store import EventStore, MediaState
from segue.events.table import Event
from segue.formats.frames import Size, known_size
from segue.types import Frame, Segmentation
from segue.utils.files import make_folder, write_complete, writing
from segue.utils.notices import warn_caller
from segue.video.decoding.packets import PacketBuffer

SECONDS_BEFORE_EVENT, SECONDS_AFTER_EVENT = 3.0, 3.0
"""Default length of a clip before and after its event, in seconds."""

MARGIN = 5.0
"""Seconds of packets kept in addition to a clip, since it begins at an earlier key frame."""

TOGETHER = 20.0
"""Seconds from the first event of an open clip in which later events share it. So at most two clips are
open, and a camera at a busy road encodes each frame 1.3 times on average."""

ROUNDING = 1e-6
"""Tolerance of times in seconds."""

WAITING = 16
"""Maximum number of clips waiting to be encoded; a live source drops further ones, a file waits."""

BOX = (40, 90, 255)  # colour of the box around the object, BGR

_OURS = re.compile(
    rf"(?P<whole>{NAME})|\.{NAME}\.[0-9a-f]{{8}}\.partial|(?P<pending>\.{NAME}{re.escape(PENDING)})"
)
"""Files of an earlier run, including unfinished ones."""


class SnapshotWarning(UserWarning):
    """Images or clips of a camera were not written: the encoder is too slow, or the disk is full."""


class _LeftOut:
    """Counts images and clips that were not written; warns at the first one and when writing resumes.

    Attributes:
        count: number.
        reason: why the first one was not.
    """

    def __init__(self, on_disk: Callable[[str, str], None]) -> None:
        self._on_disk, self._problem = on_disk, ""
        self.count, self.reason = 0, ""

    def note(self, problem: str) -> None:
        """Note the reason why one was not written; an empty text if it was."""
        if problem:
            self.count += 1
            self.reason = self.reason or problem
        if bool(problem) != bool(self._problem):
            self._on_disk("images", problem)
        self._problem = problem


class Snapshots(FileReceiver):
    """Writes ``00007-enter-3.jpg`` and ``.mp4`` for the seventh event, about object 3, in a thread.

    Events within twenty seconds share the clip of the first of them. The image of an ``enter`` shows the best
    view of the object so far: a better one replaces it.

    Args:
        folder: folder for images and clips.
        fps: frames a second of clips; None takes the times of the frames.
        replace: remove files of an earlier run.
        append: keep them, and continue their numbers.
        live: drop clips rather than wait for the encoder, and continue if images cannot be written.
        on_clip: called by :meth:`close` with the number of clips encoded so far, first 0, and their total,
            if any were left.
        on_disk: called with ``images`` and why those of a live source are not written; with an empty text
            where they are again.
        pixel_aspect: width of a pixel by its height.
        waiting: clips that may wait for the encoder.
        keep: retention of a camera's images and clips; None keeps them.
        stop_time: returns when the run was asked to stop, by ``time.monotonic()``, or None. Clips of a live
            source may end until a second after it; the next run finishes the others.
        packets: packets of the stream, which clips copy; None encodes clips, with the
            masks in their images.
        before: seconds of a clip before its event is known.
        after: seconds of a clip after its event is known.

    Attributes:
        on_better: called with each better view that has replaced an image.

    Raises:
        SinkError: the folder is not empty, or cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        fps: float | None = None,
        *,
        replace: bool = False,
        append: bool = False,
        live: bool = False,
        on_clip: Callable[[int, int], None] | None = None,
        on_disk: Callable[[str, str], None] = lambda *_: None,
        pixel_aspect: Fraction = SQUARE,
        waiting: int = WAITING,
        keep: Retention | None = None,
        stop_time: Callable[[], float | None] = lambda: None,
        packets: PacketBuffer | None = None,
        before: float = SECONDS_BEFORE_EVENT,
        after: float = SECONDS_AFTER_EVENT,
    ) -> None:
        with writing(folder):
            make_folder(folder)
            existing = sorted(folder.iterdir())
        if existing and not (replace or append):
            raise SinkError(f"{folder}: is not empty; give --overwrite, or another folder")
        self.last = 0  # number of the last event that has an image or a clip
        for path in existing:
            if (match := _OURS.fullmatch(path.name)) is None:
                continue
            if append and match["whole"]:
                self.last = max(self.last, int(path.name.partition("-")[0]))
            elif not (append and match["pending"]):
                path.unlink()
        self.retention, self._stop_time = keep, stop_time
        self._store: EventStore | None = None
        self._part = ""
        self._size_of: Size = None
        self.folder, self._live, self._on_clip = folder, live, on_clip
        self._size = (0, 0)
        self._waiting: list[tuple[Path, bytes]] = []  # images of events that are to be written
        self._before, self._after = before, after
        longer = max(1.0, before / SECONDS_BEFORE_EVENT)
        self._past: deque[Moment] = deque(maxlen=round(MAX_FRAMES * longer))
        if packets is not None:
            packets.keep_seconds = max(packets.keep_seconds, before + MARGIN)
        self._objects: Mapping[int, Event] = {}
        self._open: list[Clip] = []
        self._views: dict[int, BetterView] = {}  # of the image of the enter of an object
        self.on_better: Callable[[BetterView], object] = lambda _: None
        self._left_out = _LeftOut(on_disk)  # apart, so that no cycle keeps a run in memory that has ended
        self._newest: Frame | None = None
        self._clips = ClipWriter(
            fps, pixel_aspect, live=live, waiting=waiting, report=self._left_out.note, packets=packets
        )

    @classmethod
    def of(cls, options: SinkOptions, **more: Any) -> Snapshots | None:
        """Create the writer that the options of a run ask for; None if they ask for no images.

        Args:
            options: of the run.
            **more: further arguments, such as ``on_clip``.

        Returns:
            The writer.
        """
        events = options.events
        if events.snapshots is None:
            return None
        return cls(
            events.snapshots,
            options.fps,
            replace=options.overwrite or options.resume,
            append=options.append,
            live=options.live,
            pixel_aspect=options.pixel_aspect,
            packets=events.packets,
            keep=events.keep,
            before=events.before,
            after=events.after,
            **more,
        )

    def attach(
        self, store: EventStore, part: str = "", size: Size = None, images: Path | None = None
    ) -> None:
        """Note existing files in a store, and finish the clips that earlier runs have left.

        Args:
            store: of the run.
            part: name of the part of it whose images these are.
            size: height and width of the boxes of events; None is that of each mask.
            images: folder of the images of all parts.
        """
        self._store, self._part, self._size_of = store, part, size
        self._clips.note = partial(_note_clip, store, part)
        store.reserve(self.last)
        if self._live:
            self._finish_clips(store, images or self.folder)

    def _finish_clips(self, store: EventStore, images: Path) -> None:
        try:
            rows = store.read(
                "select parts.name, media.name from media join parts on parts.id = part"
                " where state = 'pending' and media.name like '%.mp4'"
            )
        except SinkError:  # as on a full disk: the next run does it
            return
        parts = {(images / part / name if part else images / name): part for part, name in rows}

        def note(clip: Path, state: Literal["complete", "lost"]) -> None:
            _note_clip(store, parts[clip], clip, state)

        self._clips.finish(parts, note)

    def see(self, frame: Frame, result: Segmentation) -> None:
        """Add a frame; called before its events."""
        make = Moment.outlined if self._clips.copies else Moment.of
        height, width = known_size(self._size_of) or result.mask.shape
        moment, self._size, self._newest = make(frame, result), (height, width), frame
        self._past.append(moment)
        while self._past[0].time < frame.time - self._before - ROUNDING:
            self._past.popleft()
        for clip in self._open:
            clip.moments.append(moment)
        for clip in [clip for clip in self._open if clip.until <= frame.time + ROUNDING]:
            self._open.remove(clip)
            self._clips.encode(clip)

    def describe(self, event: RecordedEvent) -> RecordedEvent:
        """Name the image and the clip of an event, and begin a clip unless one is open."""
        if not (self._past and event.event.object and event.is_event):
            return event
        happened = event.event
        name = f"{event.seq:05d}-{happened.event}-{happened.object}"
        path, now = self.folder / f"{name}.jpg", self._past[-1]
        view = self._best_view(happened)
        image = self._image_of(view)
        if happened.event == "enter":
            self._views[happened.object] = BetterView(event.visit, path, b"", self._score(view))
        elif happened.event in ("leave", "end"):
            self._views.pop(happened.object, None)
        self._waiting.append((path, image))
        if not (self._open and now.time <= self._open[-1].first + TOGETHER + ROUNDING):
            until = now.time + self._after
            self._open.append(self._clips.begin(path.with_suffix(".mp4"), now.time, until, self._past))
            self._note(path.with_suffix(".mp4").name, "pending")
        self._open[-1].until = now.time + self._after
        described = replace_fields(happened, snapshot=path.name, clip=self._open[-1].path.name)
        return replace_fields(event, event=described, image=image)

    def _best_view(self, event: Event) -> Event:
        """Replace an ``enter`` by the view of its image, which is some frames later."""
        now = self._objects.get(event.object)
        if event.event != "enter" or now is None or now.area <= event.area:
            return event
        return replace_fields(now, event="enter")

    def know(self, objects: Mapping[int, Event]) -> None:
        """Set the present objects, each as an event at its last position."""
        self._objects = objects

    def send(self, message: RecordedEvent, timeout: float) -> Delivery:
        return SENT  # flush writes it

    def flush(self) -> None:
        """Write the images of events."""
        waiting, self._waiting = self._waiting, []
        for path, image in waiting:
            self._write_image(path, image)

    def improve(self, objects: Mapping[int, Event]) -> None:
        """Replace the views of objects by better ones of the newest frame."""
        for event in objects.values():
            view, score = self._views.get(event.object), self._score(event)
            if view is not None and score > BETTER * view.score:
                self._views[event.object] = view = view._replace(score=score)
                image = self._image_of(event)
                self._write_image(view.path, image)
                self.on_better(view._replace(image=image))

    def _note(self, name: str, state: MediaState, size: int = 0) -> None:
        if self._store is not None:
            self._store.set_media(self._part, name, state, size)

    def _score(self, event: Event) -> float:
        return view_score((event.x0, event.y0, event.x1, event.y1), event.area, self._size)

    def _image_of(self, event: Event) -> bytes:
        """Encode the frame of an event as JPEG, with a box around the object."""
        moment = next((item for item in self._past if item.index == event.frame), self._past[-1])
        newest = self._newest
        if newest is not None and (moment is self._past[-1] or not moment.jpeg):
            picture = newest.image  # as it came: neither decoded nor compressed twice
        else:
            picture = moment.image
        image = np.ascontiguousarray(picture[..., ::-1])
        thick = max(1, round(min(image.shape[:2]) / 240))
        down, across = (side / full for side, full in zip(image.shape, self._size, strict=False))
        start = round(event.x0 * across) - thick, round(event.y0 * down) - thick
        end = round(event.x1 * across) + thick - 1, round(event.y1 * down) + thick - 1
        cv2.rectangle(image, start, end, BOX, thick)
        return to_jpeg(image)

    def _write_image(self, path: Path, image: bytes) -> None:
        with self._lenient():
            write_complete(path, image)
        is_complete = path.exists()
        self._note(path.name, "complete" if is_complete else "lost", len(image) if is_complete else 0)

    def close(self) -> None:
        """Complete all clips; if a run is stopped, the next run may finish some."""
        self.flush()
        clips, self._open = self._open, []
        stop_time = self._stop_time()
        num_deferred = self._clips.close(clips, stop_time=stop_time, on_clip=self._on_clip)
        if self._left_out.count:
            reason = self._left_out.reason
            message = f"{self.folder}: {self._left_out.count} images or clips left out ({reason})"
            warn_caller(message, SnapshotWarning)
        if num_deferred:
            warn_caller(f"{self.folder}: the next run finishes {num_deferred} clips", SnapshotWarning)

    def abort(self) -> None:
        """End without the incomplete clips; complete ones stay."""
        clips, self._open = self._open, []
        self._clips.abort(clips)

    @contextmanager
    def _lenient(self) -> Iterator[None]:
        """Count write errors of a live run; a run with an end raises them."""
        try:
            yield
        except SinkError as error:
            if not self._live:
                raise
            self._left_out.note(str(error))
        else:
            self._left_out.note("")


def _note_clip(store: EventStore, part: str, clip: Path, state: Literal["complete", "lost"]) -> None:
    """Note the outcome of a clip in the store; a function, so that no cycle keeps a run in memory."""
    size = 0
    with suppress(OSError):
        size = clip.stat().st_size if state == "complete" else 0
    store.set_media(part, clip.name, state, size)
