"""Clips of events, encoded in a thread; packets of unfinished clips are kept for the next run."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from segue.errors import SinkError
from segue.events.archive import pending_path
from segue.events.images.outlines import Outline, append_outlines, outline_track, outlines_of
from segue.formats.overlay import OverlayVideoSink
from segue.types import Frame, Image, ObjectInfo, Segmentation
from segue.utils.allocation import release_freed_memory
from segue.utils.files import replacing, writing
from segue.utils.system import num_cores
from segue.utils.threads import context_thread
from segue.video.decoding.packets import PacketBuffer

MAX_FRAMES = 200
"""Maximum number of frames kept for clips, at any frame rate; bounds memory."""

MAX_PACKETS = 1 << 30
"""Maximum size in bytes of a packet file; larger files are refused."""

END_SECONDS = 1.0
"""Seconds that the end of a stopped run waits for clips; the next run finishes the rest."""

QUALITY = 90
"""JPEG quality in percent."""

_LOOK_SECONDS = 0.1  # how often one that waits for its turn looks whether the run ends

_ENCODERS = threading.BoundedSemaphore(num_cores())
"""Limits the clips of all cameras encoded at once: an encoder takes 10 MB for 320x240, 30 MB for 640x480."""

_in_work: set[Path] = set()
"""Clips in work in this process; other pending clips belong to an ended run."""


Note = Callable[[Path, Literal["complete", "lost"]], None]
"""Receives a clip and its outcome."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame and its result, compressed or as outlines."""

    index: int
    time: float
    jpeg: bytes
    mask: bytes
    objects: tuple[ObjectInfo, ...]
    outlines: tuple[Outline, ...] = ()

    @classmethod
    def outlined(cls, frame: Frame, segmentation: Segmentation) -> Moment:
        """Outlines of a frame whose packets are kept, and its image if it shows objects."""
        outlines = tuple(outlines_of(segmentation))
        jpeg = to_jpeg(cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)) if outlines else b""
        return cls(segmentation.index, segmentation.time, jpeg, b"", segmentation.objects, outlines)

    @classmethod
    def of(cls, frame: Frame, segmentation: Segmentation) -> Moment:
        """Compress a frame and its result."""
        mask = bytes(cv2.imencode(".png", segmentation.mask)[1].tobytes())
        jpeg = to_jpeg(cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
        return cls(segmentation.index, segmentation.time, jpeg, mask, segmentation.objects)

    @property
    def image(self) -> Image:
        """Decode the image: RGB, (H, W, 3), uint8."""
        coded = cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR)
        return np.asarray(cv2.cvtColor(np.asarray(coded), cv2.COLOR_BGR2RGB), np.uint8)

    def result(self) -> tuple[Frame, Segmentation]:
        """Decode the frame and its result."""
        mask = cv2.imdecode(np.frombuffer(self.mask, np.uint8), cv2.IMREAD_UNCHANGED)
        frame = Frame(self.index, self.time, self.image)
        return frame, Segmentation(self.index, self.time, np.asarray(mask), self.objects)


@dataclass(slots=True)
class Clip:
    """A clip that waits for its last frame; events close together share one.

    Attributes:
        packets: packets of the stream to copy; None encodes the clip.
    """

    path: Path
    first: float
    until: float
    moments: list[Moment] = field(default_factory=list)
    packets: PacketBuffer | None = None


class ClipWriter:
    """Writes clips one after the other, in a thread: copies packets, or encodes frames.

    Args:
        fps: frames a second of clips; None takes the times of the frames.
        pixel_aspect: width of a pixel by its height.
        live: drop clips rather than wait for the encoder, and keep those that are not complete when a run is
            to stop.
        waiting: clips that may wait.
        report: called with nothing where a clip is complete, else why it was left out.
        packets: packets of the stream; None encodes all clips.

    Attributes:
        note: called with each clip that is made, or lost, in any thread.
    """

    def __init__(
        self,
        fps: float | None,
        pixel_aspect: Fraction,
        *,
        live: bool,
        waiting: int,
        report: Callable[[str], None],
        packets: PacketBuffer | None = None,
    ) -> None:
        self._fps, self._pixel_aspect, self._live, self._waiting = fps, pixel_aspect, live, waiting
        self._report, self._packets = report, packets
        self.note: Note = lambda *_: None
        self._work: list[tuple[Future[bool | SinkError], Clip]] = []
        self._ends = threading.Event()  # nothing more is encoded
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="segue-snapshots")
        self._finishing: threading.Thread | None = None

    def begin(self, path: Path, first: float, until: float, moments: Iterable[Moment]) -> Clip:
        """Begin a clip without writing."""
        if self._live:
            _in_work.add(path)
        clip = Clip(path, first, until, [*moments])
        if self.copies:
            clip.packets = self._packets
            assert self._packets is not None
            self._packets.hold(path, clip.moments[0].time)
        return clip

    @property
    def copies(self) -> bool:
        """Whether new clips copy the packets of the stream."""
        return self._packets is not None and self._packets.is_filled

    def encode(self, clip: Clip) -> None:
        """Queue a clip for encoding; a live source drops it if too many wait."""
        for done in [each for each in self._work if each[0].done()]:
            self._work.remove(done)
            self._note_outcome(*done)
        if len(self._work) >= self._waiting and not self._live:
            self._note_outcome(*self._work.pop(0))
        self._submit(clip)

    def finish(self, clips: Iterable[Path], note: Note) -> None:
        """Queue unfinished clips of earlier runs.

        Args:
            clips: incomplete clips.
            note: called with each finished or lost clip.
        """
        paths = [path for path in clips if path not in _in_work]
        if not paths:
            return
        _in_work.update(paths)

        def finish() -> None:
            for path in paths:
                if not self._ends.is_set() and (state := finish_clip(path, self._ends)) is not None:
                    note(path, state)
            _in_work.difference_update(paths)

        self._finishing = context_thread(finish, "segue-clips")
        self._finishing.start()

    def close(
        self,
        clips: Iterable[Clip],
        *,
        stop_time: float | None,
        on_clip: Callable[[int, int], None] | None,
    ) -> int:
        """Complete all clips; if a live run is stopped, only as many as time permits.

        Args:
            clips: open clips.
            stop_time: when the run was asked to stop, by ``time.monotonic()``; None where it is not.
            on_clip: called with the number of clips that are encoded, 0 first, and of those that were left.

        Returns:
            The number of clips that are kept for the next run.
        """
        limit = None if stop_time is None or not self._live else stop_time + END_SECONDS
        for clip in clips:
            self._submit(clip, drop=limit is None)
        left = [work for work, _ in self._work if not work.done()]
        for done, work in enumerate(left):
            if on_clip is not None:
                on_clip(done, len(left))
            wait([work], timeout=None if limit is None else max(0.0, limit - time.monotonic()))
        self._end(waits=limit is None)
        num_deferred = sum(self._note_outcome(*each) for each in self._work)
        self._forget_run()
        return num_deferred

    def abort(self, clips: Iterable[Clip]) -> None:
        """End without the incomplete clips; a live source keeps them for the next run."""
        self._end()
        for clip in (*(clip for work, clip in self._work if _outcome(work) is False), *clips):
            self._save_for_next_run(clip)
        self._forget_run()

    def _forget_run(self) -> None:
        """Drop the callback: it refers to this writer, and would keep an ended run in memory."""
        self._work, self._report = [], lambda _: None

    def _submit(self, clip: Clip, *, drop: bool = True) -> None:
        """Queue a clip for encoding, unless a live source has too many waiting."""
        if drop and self._live and len(self._work) >= self._waiting:
            self._forget(clip)
            self.note(clip.path, "lost")
            self._report("they came faster than they are encoded")
            return
        self._work.append((self._thread.submit(self._write, clip), clip))

    def _end(self, *, waits: bool = True) -> None:
        """Encode no further clips; the current frame may take seconds on a busy machine."""
        self._ends.set()
        self._thread.shutdown(wait=waits, cancel_futures=True)
        if waits and self._finishing is not None:
            self._finishing.join()

    def _write(self, clip: Clip) -> bool | SinkError:
        """Write a clip in the thread, and note the outcome."""
        outcome = self._encode(clip)
        if outcome is not False:
            clip.moments.clear()  # the clip itself is known until the next one
            self.note(clip.path, "complete" if outcome is True else "lost")
        return outcome

    def _encode(self, clip: Clip) -> bool | SinkError:
        try:
            if clip.packets is not None and copy_clip(clip, clip.packets):
                return True
            return write_clip(clip, self._fps, self._pixel_aspect, self._ends)
        except SinkError as error:
            return error

    def _note_outcome(self, work: Future[bool | SinkError], clip: Clip) -> bool:
        """Handle the outcome of a clip; returns whether it was not written and is kept."""
        outcome = _outcome(work)
        if outcome is False:
            return self._save_for_next_run(clip)
        self._take_outcome(clip, outcome)
        return False

    def _take_outcome(self, clip: Clip, outcome: bool | SinkError) -> None:
        self._forget(clip)
        if isinstance(outcome, SinkError) and not self._live:
            raise outcome
        self._report(str(outcome) if isinstance(outcome, SinkError) else "")

    def _save_for_next_run(self, clip: Clip) -> bool:
        """Write the packets of a clip for the next run; return whether there was room for them."""
        if not self._live:
            return False
        if clip.packets is not None:  # that takes milliseconds
            self._take_outcome(clip, self._write(clip))
            return False
        _in_work.discard(clip.path)
        try:
            write_packets(clip, self._fps, self._pixel_aspect)
        except SinkError as error:
            self._report(str(error))
            return False
        return True

    def _forget(self, clip: Clip) -> None:
        if clip.packets is not None:
            clip.packets.release(clip.path)
        if self._live:
            _in_work.discard(clip.path)
            with suppress(OSError):
                pending_path(clip.path).unlink(missing_ok=True)


def _outcome(work: Future[bool | SinkError]) -> bool | SinkError:
    """Outcome of a finished clip: False if it was not written."""
    return False if work.cancelled() or not work.done() else work.result()


@contextmanager
def _encoder(ends: threading.Event) -> Iterator[bool]:
    """Wait for a free encoder; returns False if encoding ends first."""
    while not (acquired := _ENCODERS.acquire(timeout=_LOOK_SECONDS)) and not ends.is_set():
        pass
    try:
        yield acquired
    finally:
        if acquired:
            _ENCODERS.release()


class _StoppedError(Exception):
    """The run ended before a clip was written."""


def copy_clip(clip: Clip, packets: PacketBuffer) -> bool:
    """Write a clip from packets of the stream, with outlines; returns whether it has packets."""
    moments = clip.moments
    cut = packets.cut(moments[0].time, moments[-1].time)
    if cut is None:
        return False
    frames = ((cut.time_of(each.time), [*each.outlines]) for each in moments)
    with replacing(clip.path) as partial:
        cut.write(partial)
        append_outlines(partial, outline_track((time, each) for time, each in frames if time >= 0))
    return True


def write_clip(clip: Clip, fps: float | None, aspect: Fraction, ends: threading.Event) -> bool:
    """Encode a clip; returns False if encoding ends first."""
    with _encoder(ends) as acquired:
        if not acquired:
            return False
        try:
            _encode_moments(clip, fps, aspect, ends)
        except _StoppedError:
            return False
        finally:
            release_freed_memory()  # of the encoder, which glibc would keep
    return True


def _encode_moments(clip: Clip, fps: float | None, aspect: Fraction, ends: threading.Event) -> None:
    """Encode the frames of a clip; its encoder is freed at the end."""
    moments = [moment for moment in clip.moments if moment.mask]
    if not moments:
        raise SinkError(f"{clip.path}: the stream was lost before it was written")
    with OverlayVideoSink(clip.path, fps, begin=moments[0].time, pixel_aspect=aspect) as sink:
        for moment in moments:
            if ends.is_set():
                raise _StoppedError
            sink.write(*moment.result())


def write_packets(clip: Clip, fps: float | None, aspect: Fraction) -> None:
    """Write the packets of a clip that is not encoded yet; SinkError if the disk is full.

    The first line says in JSON what the bytes behind it are.
    """
    moments = [
        {
            "index": each.index,
            "time": each.time,
            "jpeg": len(each.jpeg),
            "mask": len(each.mask),
            "objects": [{"id": item.id, "label": item.label} for item in each.objects],
        }
        for each in clip.moments
    ]
    head = {"fps": fps, "aspect": [aspect.numerator, aspect.denominator], "moments": moments}
    path = pending_path(clip.path)
    with writing(path), path.open("wb") as file:  # one that is cut off is known by its length
        file.write(json.dumps(head).encode() + b"\n")
        for each in clip.moments:
            file.write(each.jpeg)
            file.write(each.mask)


def read_packets(clip: Path) -> tuple[Clip, float | None, Fraction]:
    """Read the frames of a clip from :func:`write_packets`; ValueError for other files."""
    with pending_path(clip).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not 0 < size <= MAX_PACKETS:
            raise ValueError("has no packets")
        head = json.loads(file.readline())
        moments, total = head["moments"], file.tell()
        lengths = [length for each in moments for length in (each["jpeg"], each["mask"])]
        if not moments or not all(isinstance(each, int) and each > 0 for each in lengths):
            raise ValueError("has no frames")
        if total + sum(lengths) != size:
            raise ValueError("is cut off")
        read = [
            Moment(
                int(each["index"]),
                float(each["time"]),
                file.read(each["jpeg"]),
                file.read(each["mask"]),
                tuple(ObjectInfo(int(item["id"]), item["label"]) for item in each["objects"]),
            )
            for each in moments
        ]
    fps, aspect = head["fps"], Fraction(*map(int, head["aspect"]))
    times = [each.time for each in read]
    return Clip(clip, times[0], times[-1], read), None if fps is None else float(fps), aspect


def finish_clip(path: Path, ends: threading.Event) -> Literal["complete", "lost"] | None:
    """Encode a clip that an earlier run has left; None if it is left to a later run."""
    state: Literal["complete", "lost"] = "complete"
    try:
        if not path.exists() and not write_clip(*read_packets(path), ends):
            return None
    except SinkError:  # on a full disk
        return None
    except Exception:  # whatever is in the file
        state = "lost"
    with suppress(OSError):
        pending_path(path).unlink(missing_ok=True)
    return state


def to_jpeg(image: object) -> bytes:
    """Encode a BGR image as JPEG."""
    coded = cv2.imencode(".jpg", np.asarray(image), (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[1]
    return bytes(coded.tobytes())
