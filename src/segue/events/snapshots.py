"""An image and a short clip of each event."""

from __future__ import annotations

import math
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from segue.entries import SQUARE
from segue.errors import SinkError
from segue.events.best_views import view_score
from segue.events.marks import MARKS, NAME
from segue.events.retention import (
    JOURNAL,
    DeletionJournal,
    Retention,
    delete_expired,
    note_deleted,
    warn_once,
)
from segue.events.table import Event
from segue.sinks.overlay import OverlayVideoSink
from segue.types import Frame, Image, ObjectInfo, Segmentation
from segue.utils.files import make_folder, write_complete, writing
from segue.utils.notices import warn_caller
from segue.utils.system import num_cores

SECONDS_BEFORE_EVENT, SECONDS_AFTER_EVENT = 3.0, 3.0
"""Seconds of a clip before and after the moment at which the event is known."""

TOGETHER = 20.0
"""Seconds from the first event of a clip on in which further ones share it while it is open. So two clips are
open at most, and a camera before a busy road encodes each frame 1.3 times on average."""

ROUNDING = 1e-6  # seconds by which times may differ

MAX_FRAMES = 200
"""Frames that are kept for clips that may begin, at any frame rate."""

WAITING = 16
"""Clips that may wait to be encoded; a live source drops further ones, a file waits."""

BETTER = 1.5
"""By how much a later view of an object must show more for the image of its coming to be replaced."""

BOX = (40, 90, 255)  # colour of the box around the object, BGR

QUALITY = 90  # of JPEG, in percent

KEEP_SECONDS = 60.0
"""How often a camera looks for images and clips that are no longer kept."""

_ENCODERS = threading.BoundedSemaphore(num_cores())
"""Clips of all cameras that are encoded at a time: an encoder takes 10 MB for 320x240, 30 MB for 640x480."""

_OURS = re.compile(rf"(?P<whole>{NAME})|\.{NAME}\.[0-9a-f]{{8}}\.partial")
"""Files of an earlier run, also those that it was writing when it was killed."""


class SnapshotWarning(UserWarning):
    """Images or clips of a camera were not written: wanted faster than they can be encoded, or no room."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """A frame and its result, compressed."""

    index: int
    time: float
    jpeg: bytes
    mask: bytes
    objects: tuple[ObjectInfo, ...]

    @property
    def image(self) -> Image:
        """RGB, (H, W, 3), uint8."""
        coded = cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR)
        return np.asarray(cv2.cvtColor(np.asarray(coded), cv2.COLOR_BGR2RGB), np.uint8)

    def result(self) -> tuple[Frame, Segmentation]:
        mask = cv2.imdecode(np.frombuffer(self.mask, np.uint8), cv2.IMREAD_UNCHANGED)
        frame = Frame(self.index, self.time, self.image)
        return frame, Segmentation(self.index, self.time, np.asarray(mask), self.objects)


@dataclass(slots=True)
class _Clip:
    """A clip that waits for its last frame; events that are known soon after one another have the same."""

    path: Path
    first: float
    until: float
    moments: list[_Moment] = field(default_factory=list)


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
        archive: gives folder and table of each part, to which the limits apply, too.

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
        archive: Callable[[], Mapping[Path, Path]] = dict,
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
            else:
                path.unlink()
        if not append:
            (folder / MARKS).unlink(missing_ok=True)
            (folder / JOURNAL).unlink(missing_ok=True)
        self._keep, self._archive = keep, archive
        self._looked = -math.inf  # when what is kept was looked at
        self._retention: Future[None] | None = None  # that looks at it
        self._journal = DeletionJournal(folder)
        self._table_changed = threading.Event()  # its table is to be looked at
        self._folder, self._fps, self._live, self._on_clip = folder, fps, live, on_clip
        self._pixel_aspect, self._waiting = pixel_aspect, waiting
        self._size = (0, 0)
        self._past: deque[_Moment] = deque(maxlen=MAX_FRAMES)
        self._open: list[_Clip] = []
        self._views: dict[int, tuple[Path, float]] = {}  # image of the coming of an object, and its worth
        self._work: list[Future[None]] = []
        self._left_out, self._reason = 0, ""
        self._on_disk, self._problem = on_disk, ""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="segue-snapshots")

    def see(self, frame: Frame, segmentation: Segmentation, size: tuple[int, int]) -> None:
        """Take a frame, before the events that are known on it."""
        if self._keep is not None and self._live and time.monotonic() - self._looked > KEEP_SECONDS:
            self._looked = time.monotonic()
            if self._retention is None or self._retention.done():
                run = copy_context().run  # its warnings name the camera
                self._retention = self._thread.submit(run, self._delete_expired, self._keep)
        moment, self._size = _moment(frame, segmentation), size
        self._past.append(moment)
        while self._past[0].time < frame.time - SECONDS_BEFORE_EVENT - ROUNDING:
            self._past.popleft()
        for clip in self._open:
            clip.moments.append(moment)
        for clip in [clip for clip in self._open if clip.until <= frame.time + ROUNDING]:
            self._open.remove(clip)
            self._encode(clip)

    def deleted(self, table: Path, *, last: bool = False) -> set[str]:
        """Names that the table of these images is to mark as deleted, if that is due or ``last``."""
        if not (last or self._table_changed.is_set()):
            return set()
        self._table_changed.clear()
        return self._journal.names() if last or self._journal.needs_update(table) else set()

    def marked_deleted(self, names: set[str]) -> None:
        """The table marks them as deleted."""
        self._journal.remove(names)

    def _delete_expired(self, keep: Retention) -> None:
        """Delete what is no longer kept; tables that nobody writes say so from time to time."""
        try:
            archive = self._archive()
            delete_expired([self._folder, *archive], keep, report=warn_once)
            for folder, table in archive.items():
                if folder != self._folder:
                    _note_deleted(DeletionJournal(folder), table)
        except (SinkError, OSError) as error:
            warn_once(f"retention in {self._folder}", f"{self._folder}: --keep waits: {error}")
        else:
            warn_once(f"retention in {self._folder}", "")
        self._table_changed.set()

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
            self._open.append(
                _Clip(path.with_suffix(".mp4"), now.time, now.time + SECONDS_AFTER_EVENT, [*self._past])
            )
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
        image = np.ascontiguousarray(moment.image[..., ::-1])
        thick = max(1, round(min(image.shape[:2]) / 240))
        down, across = (side / full for side, full in zip(image.shape, self._size, strict=False))
        start = round(event.x0 * across) - thick, round(event.y0 * down) - thick
        end = round(event.x1 * across) + thick - 1, round(event.y1 * down) + thick - 1
        cv2.rectangle(image, start, end, BOX, thick)
        with self._lenient():
            write_complete(path, _jpeg(image))

    def close(self) -> None:
        """Complete all clips, with what has come."""
        for clip in self._open:
            self._begin(clip)
        self._open = []
        left = [work for work in self._work if not work.done()]
        for done, work in enumerate(left):
            if self._on_clip is not None:
                self._on_clip(done, len(left))
            wait([work])
        self._thread.shutdown(wait=True)
        if self._retention is not None:
            self._retention.result()
        for work in self._work:
            self._complete(work)
        if self._left_out:
            message = f"{self._folder}: {self._left_out} images or clips left out ({self._reason})"
            warn_caller(message, SnapshotWarning)

    def abort(self) -> None:
        """End without the clips that are not complete; those that are stay."""
        self._open = []
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _encode(self, clip: _Clip) -> None:
        for work in [work for work in self._work if work.done()]:
            self._work.remove(work)
            self._complete(work)
        if len(self._work) >= self._waiting and not self._live:
            self._work.pop(0).result()
        self._begin(clip)

    def _begin(self, clip: _Clip) -> None:
        """Have a clip encoded; a live source drops it where too many wait."""
        if len(self._work) >= self._waiting and self._live:
            self._leave_out(1, "they came faster than they are encoded")
            return
        self._work.append(self._thread.submit(_write, clip.path, clip.moments, self._fps, self._pixel_aspect))

    def _complete(self, work: Future[None]) -> None:
        with self._lenient():
            work.result()

    @contextmanager
    def _lenient(self) -> Iterator[None]:
        """What cannot be written ends a run with an end, and is counted in a live one."""
        try:
            yield
        except SinkError as error:
            if not self._live:
                raise
            self._leave_out(1, str(error))
            self._note(str(error))
        else:
            self._note("")

    def _note(self, problem: str) -> None:
        """Say that images and clips are not written, or are again."""
        if bool(problem) != bool(self._problem):
            self._on_disk("images", problem)
        self._problem = problem

    def _leave_out(self, number: int, reason: str) -> None:
        self._left_out += number
        self._reason = self._reason or reason


def _note_deleted(journal: DeletionJournal, table: Path) -> None:
    """Let a table say what is deleted that nobody writes, if that is due."""
    if journal.needs_update(table):
        names = journal.names()
        if table.exists():
            note_deleted(table, names)
        journal.remove(names)


def _moment(frame: Frame, segmentation: Segmentation) -> _Moment:
    image = _jpeg(cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
    mask = bytes(cv2.imencode(".png", segmentation.mask)[1].tobytes())
    return _Moment(segmentation.index, segmentation.time, image, mask, segmentation.objects)


def _jpeg(image: object) -> bytes:
    coded = cv2.imencode(".jpg", np.asarray(image), (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[1]
    return bytes(coded.tobytes())


def _write(path: Path, moments: list[_Moment], fps: float | None, aspect: Fraction) -> None:
    with _ENCODERS, OverlayVideoSink(path, fps, begin=moments[0].time, pixel_aspect=aspect) as sink:
        for moment in moments:
            sink.write(*moment.result())
