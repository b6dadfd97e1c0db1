"""An image and a short clip of each event."""

from __future__ import annotations

import math
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from segue.entries import SQUARE
from segue.errors import SinkError
from segue.events.archive import PENDING, EventArchive
from segue.events.images.best_views import view_score
from segue.events.images.clips import MAX_FRAMES, Clip, ClipWriter, Moment, to_jpeg
from segue.events.marks import MARKS, NAME
from segue.events.retention import JOURNAL, LOST, DeletionJournal, Retention, delete_expired, warn_once
from segue.events.table import Event
from segue.types import Frame, Segmentation
from segue.utils.files import make_folder, write_complete, writing
from segue.utils.notices import warn_caller
from segue.video.decoding.packets import PacketBuffer

SECONDS_BEFORE_EVENT, SECONDS_AFTER_EVENT = 3.0, 3.0
"""Seconds of a clip before and after the moment at which the event is known."""

TOGETHER = 20.0
"""Seconds from the first event of a clip on in which further ones share it while it is open. So two clips are
open at most, and a camera before a busy road encodes each frame 1.3 times on average."""

ROUNDING = 1e-6  # seconds by which times may differ

WAITING = 16
"""Clips that may wait to be encoded; a live source drops further ones, a file waits."""

BETTER = 1.5
"""By how much a later view of an object must show more for the image of its coming to be replaced."""

BOX = (40, 90, 255)  # colour of the box around the object, BGR

KEEP_SECONDS = 60.0
"""How often a camera looks for images and clips that are no longer kept."""

_OURS = re.compile(
    rf"(?P<whole>{NAME})|\.{NAME}\.[0-9a-f]{{8}}\.partial|(?P<pending>\.{NAME}{re.escape(PENDING)})"
)
"""Files of an earlier run, also those that it was writing when it was killed."""


class SnapshotWarning(UserWarning):
    """Images or clips of a camera were not written: wanted faster than they can be encoded, or no room."""


class _LeftOut:
    """Counts images and clips that are not written, and says that they are not, or are again.

    Attributes:
        count: how many.
        reason: why the first one was not.
    """

    def __init__(self, on_disk: Callable[[str, str], None]) -> None:
        self._on_disk, self._problem = on_disk, ""
        self.count, self.reason = 0, ""

    def note(self, problem: str) -> None:
        """Take why one is not written; an empty text where it is."""
        if problem:
            self.count += 1
            self.reason = self.reason or problem
        if bool(problem) != bool(self._problem):
            self._on_disk("images", problem)
        self._problem = problem


class Snapshots:
    """Writes ``00007-enter-3.jpg`` and ``.mp4``, encoded in a thread, for the seventh event, about object 3.

    Events within twenty seconds share the clip of the first of them. The image of an ``enter`` shows the best
    view of the object so far: a better one replaces it.

    Args:
        folder: where they are written.
        fps: frames a second of clips; None takes the times of the frames.
        replace: remove those of an earlier run.
        append: keep them, and go on with their numbers.
        live: drop clips rather than wait for the encoder, and go on where images cannot be written.
        on_clip: called by :meth:`close` with the number of clips that are encoded, 0 first, and of those that
            were left, if any.
        on_disk: called with ``images`` and why those of a live source are not written; with an empty text
            where they are again.
        pixel_aspect: width of a pixel by its height.
        waiting: clips that may wait for the encoder.
        keep: how long images and clips are kept; None for ever.
        keep_every: seconds after which a live source looks for those that are no longer kept.
        archive: all parts: the limits apply to them, and their clips are finished; None for this folder.
        stop_time: says when the run was asked to stop, by ``time.monotonic()``: until a second after it clips
            of a live source are waited for, and the next run finishes the others. None while it was not.
        packets: those of the stream, of which clips are made as they came; None has clips encoded, with the
            masks in their images.

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
        keep_every: float = KEEP_SECONDS,
        archive: EventArchive | None = None,
        stop_time: Callable[[], float | None] = lambda: None,
        packets: PacketBuffer | None = None,
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
        if not append:
            (folder / MARKS).unlink(missing_ok=True)
            (folder / JOURNAL).unlink(missing_ok=True)
        self._keep, self._keep_every, self._archive, self._stop_time = keep, keep_every, archive, stop_time
        self._looked = -math.inf  # when what is kept was looked at
        self._retention: Future[None] | None = None  # that looks at it
        self._journal = DeletionJournal(folder)
        self._table_changed = threading.Event()  # its table is to be looked at
        self._folder, self._live, self._on_clip = folder, live, on_clip
        self._size = (0, 0)
        self._past: deque[Moment] = deque(maxlen=MAX_FRAMES)
        self._open: list[Clip] = []
        self._views: dict[int, tuple[Path, float]] = {}  # image of the coming of an object, and its worth
        self._left_out = _LeftOut(on_disk)  # apart, so that no cycle keeps a run in memory that has ended
        self._newest: Frame | None = None
        self._clips = ClipWriter(
            fps, pixel_aspect, live=live, waiting=waiting, report=self._left_out.note, packets=packets
        )
        if live:
            self._clips.finish(dict.fromkeys([folder, *self._folders()]), self._note_lost)

    def see(self, frame: Frame, segmentation: Segmentation, size: tuple[int, int]) -> None:
        """Take a frame, before the events that are known on it."""
        if self._live and time.monotonic() - self._looked > self._keep_every:
            self._looked = time.monotonic()
            if self._retention is None or self._retention.done():
                self._retention = self._clips.submit(self._tidy)
        make = Moment.outlined if self._clips.copies else Moment.of
        moment, self._size, self._newest = make(frame, segmentation), size, frame
        self._past.append(moment)
        while self._past[0].time < frame.time - SECONDS_BEFORE_EVENT - ROUNDING:
            self._past.popleft()
        for clip in self._open:
            clip.moments.append(moment)
        for clip in [clip for clip in self._open if clip.until <= frame.time + ROUNDING]:
            self._open.remove(clip)
            self._clips.encode(clip)

    def deleted(self, table: Path, *, last: bool = False) -> dict[str, str]:
        """What the table of these images is to say in place of names, if that is due or ``last``."""
        if not (last or self._table_changed.is_set()):
            return {}
        self._table_changed.clear()
        return self._journal.words() if last or self._journal.needs_update(table) else {}

    def marked_deleted(self, names: Collection[str]) -> None:
        """The table says so."""
        self._journal.remove(names)

    def _folders(self) -> list[Path]:
        try:
            return [] if self._archive is None else self._archive.folders()
        except OSError:
            return []

    def _tidy(self) -> None:
        """Delete what is no longer kept; tables that nobody writes say what is gone from time to time."""
        try:
            if self._keep is not None and self._archive is None:
                delete_expired([self._folder], self._keep, report=warn_once)
            elif self._keep is not None and self._archive is not None:
                self._archive.delete_expired(self._keep, self._folder)
            self._note_in_other_tables()
        except (SinkError, OSError) as error:
            warn_once(f"retention in {self._folder}", f"{self._folder}: --keep waits: {error}")
        else:
            warn_once(f"retention in {self._folder}", "")
        self._table_changed.set()

    def _note_lost(self, clip: Path) -> None:
        """Let the table of a clip say that it is lost."""
        DeletionJournal(clip.parent).add([clip.name], LOST)
        self._table_changed.set()

    def _note_in_other_tables(self) -> None:
        """Let tables of other parts, which nobody writes, say what is gone, where that is due."""
        for part in () if self._archive is None else self._archive.parts():
            if part.folder not in (None, self._folder):
                part.note_deleted()

    def add(self, number: int, event: Event) -> tuple[str, str]:
        """Write the image of an event and begin its clip, unless one is open; gives the names of both."""
        if not self._past:
            return "", ""
        name = f"{number:05d}-{event.event}-{event.object}"
        path, now = self._folder / f"{name}.jpg", self._past[-1]
        self._write_image(path, event)
        if event.event == "enter":
            self._views[event.object] = path, self._score(event)
        elif event.event in ("leave", "end"):
            self._views.pop(event.object, None)
        if not (self._open and now.time <= self._open[-1].first + TOGETHER + ROUNDING):
            until = now.time + SECONDS_AFTER_EVENT
            self._open.append(self._clips.begin(path.with_suffix(".mp4"), now.time, until, self._past))
        self._open[-1].until = now.time + SECONDS_AFTER_EVENT
        return path.name, self._open[-1].path.name

    def improve(self, event: Event) -> None:
        """Take an object as the newest frame shows it, which may be a better view of it."""
        path, score = self._views.get(event.object, (None, 0.0))
        if path is not None and self._score(event) > BETTER * score:
            self._views[event.object] = path, self._score(event)
            self._write_image(path, event)

    def _score(self, event: Event) -> float:
        return view_score((event.x0, event.y0, event.x1, event.y1), event.area, self._size)

    def _write_image(self, path: Path, event: Event) -> None:
        """Write the frame of an event with a box around the object."""
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
        with self._lenient():
            write_complete(path, to_jpeg(image))

    def close(self) -> None:
        """Complete all clips, with what has come; of a run that is to stop the next run may finish some."""
        clips, self._open = self._open, []
        stop_time = self._stop_time()
        kept = self._clips.close(clips, stop_time=stop_time, on_clip=self._on_clip)
        if stop_time is None and self._retention is not None and not self._retention.cancelled():
            self._retention.result()
        if self._left_out.count:
            reason = self._left_out.reason
            message = f"{self._folder}: {self._left_out.count} images or clips left out ({reason})"
            warn_caller(message, SnapshotWarning)
        if kept:
            warn_caller(f"{self._folder}: the next run finishes {kept} clips", SnapshotWarning)

    def abort(self) -> None:
        """End without the clips that are not complete; those that are stay."""
        clips, self._open = self._open, []
        self._clips.abort(clips)

    @contextmanager
    def _lenient(self) -> Iterator[None]:
        """What cannot be written ends a run with an end, and is counted in a live one."""
        try:
            yield
        except SinkError as error:
            if not self._live:
                raise
            self._left_out.note(str(error))
        else:
            self._left_out.note("")
