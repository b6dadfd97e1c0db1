"""Video files as a source, in order or at random, with the same numbers and times."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal
from weakref import WeakSet

import av.container
import av.error
from av.video.stream import VideoStream

from segue.errors import SourceError, memory_error
from segue.types import Image
from segue.utils.cancel import CancelToken
from segue.utils.notices import notice
from segue.video.decoding import frame_index
from segue.video.decoding.damage import DamageError
from segue.video.decoding.decode import (
    Clock,
    Decoded,
    EntryPoint,
    colour_bits,
    decode,
    describe,
    frame_rate,
    needs_range,
    open_container,
    owned_container,
    pixel_aspect,
    promised_end,
    range_of_values,
    to_deep_rgb,
    to_rgb,
    turned_by,
    video_stream,
)
from segue.video.decoding.frame_index import FrameIndex, numbered
from segue.video.decoding.levels import Range
from segue.video.decoding.readers import DEFAULT_FPS, LoadCancelledError, Reader, SourceImage
from segue.video.decoding.sound import Sound

FEW = 50
"""Frames that are rather decoded than sought."""

_EARLY_END = 5
"""Minimum missing frames at the end of a truncated file; fewer are rounding of durations."""


class VideoFileReader(Reader):
    """Reads a video file with FFmpeg; ``fps`` is the default frame rate."""

    def __init__(self, path: Path, fps: float | None, index: FrameIndex | None = None) -> None:
        self._path = path
        self._address = f"file:{path}"
        self.name = path.stem
        self.where = str(path)
        self.files = (path,)
        self._restart()
        _READERS.add(self)
        if index is not None:
            self.__dict__["index"] = index
        with owned_container(open_container(self._address, self.where)) as container:
            stream = video_stream(container)
            self.total = stream.frames or None
            self.fps = frame_rate(stream) or fps
            self._promised = promised_end(stream)
            first = self._first_frame(decode(container, stream))
            aspect = pixel_aspect(stream)
            self.sound = Sound.of(path, container, first.time)
        self.size = to_rgb(first, self.where).shape[:2]
        self.bits = colour_bits(first)
        self.turns = turned_by(first.matrix)
        self.pixel_aspect = 1 / aspect if self.turns % 2 else aspect
        self._scale: Range | None = None
        if needs_range(first):
            with owned_container(open_container(self._address, self.where)) as container:
                self._scale = range_of_values(container)
        if self._scale is not None:
            notice(f"{self.where}: {self._scale}")

    def _restart(self) -> None:
        """Drop open files; a fork leaves its parent's files open."""
        self._lock = threading.Lock()
        self._cursors: list[_Cursor] = []  # the one that was used last is the last

    @property
    def _step(self) -> float:
        return 1 / (self.fps or DEFAULT_FPS)

    def images(self, start: int | float = 0) -> Iterator[SourceImage]:
        """Read all frames in order; a lost frame keeps its position and raises when loaded."""
        time = duration = end = 0.0
        step, first, begin, frames = self._step, *self._from(start)
        index = first - 1
        for index, time, item in numbered(frames, step, first, begin):
            duration = item.duration
            end = max(end, item.time or 0.0)
            yield self._image(index, time, item)
        # The mean distance, because the rate in the header may be that of a finer clock.
        step = max(step, time / index if index > 0 else 0.0)
        missing = round(((self._promised or 0.0) - max(end, time) - max(duration, step)) / step)
        if missing >= _EARLY_END:
            ending = f"ends after frame {index}, about {missing} frames early (cut off or damaged)"
            yield SourceImage(index + 1, time + step, partial(_raise_damage, f"{self.where}: {ending}"))

    @cached_property
    def index(self) -> FrameIndex:
        """Frame index of the file, found by decoding it once if packets do not suffice."""
        if self._quick_index is not None:
            return self._quick_index
        self._announce()
        clock = Clock()
        index = FrameIndex.of_frames(self._decoded(clock=clock), clock, self._step)
        if not len(index):
            raise SourceError(f"{self.where}: has no frames that can be decoded")
        return index

    @cached_property
    def _quick_index(self) -> FrameIndex | None:
        """Frame index from the container or packets; None if only decoding tells."""
        if "index" in self.__dict__:
            return self.index
        with owned_container(open_container(self._address, self.where)) as container:
            listed = FrameIndex.of_container(video_stream(container), self._path.stat().st_size)
        checked = listed and listed.checked(self._decoded(), late=False)
        if checked is None:
            self._announce()
            with owned_container(open_container(self._address, self.where)) as container:
                listed = FrameIndex.of_packets(container, video_stream(container))
            checked = listed and listed.checked(self._decoded(), late=True)
        return checked

    def _announce(self) -> None:
        if self._path.stat().st_size > frame_index.LONG_BYTES:
            notice(f"{self._path}: has no index of its frames; reading it once ...")

    def load(self, index: int, cancel: CancelToken | None = None) -> SourceImage:
        self._check(index)
        with self._turn(lambda: self._cursor_to(index)) as cursor:
            item = cursor.item(index, cancel or CancelToken())
        return self._image(index, float(self.index.times[index]), item)

    def _image(self, index: int, time: float, item: Decoded) -> SourceImage:
        about = item, f"{self.where}: frame {index}", self._scale
        deep = partial(to_deep_rgb, *about) if self.bits > 8 else None
        return SourceImage(index, time, partial(to_rgb, *about), deep)

    @contextmanager
    def _turn(self, choose: Callable[[], _Cursor]) -> Iterator[_Cursor]:
        """Reserve a cursor for the block, in order of calls."""
        turn, cursor = threading.Event(), None
        try:
            with self._lock:
                cursor = choose()
                cursor.turns.append(turn)
                cursor.turns[0].set()
            turn.wait()
            yield cursor
        finally:
            with self._lock:
                if cursor is not None and turn in cursor.turns:
                    cursor.turns.remove(turn)
                    if cursor.turns:
                        cursor.turns[0].set()
                    else:
                        cursor.coming = cursor.position

    def _cursor_to(self, index: int) -> _Cursor:
        """Choose the cursor nearest before a frame, a new one, or the first to be free."""
        begin = self.index.entry_of(index).index
        on_way = [cursor for cursor in self._cursors if begin <= cursor.coming <= index]
        if on_way:
            cursor = max(on_way, key=lambda each: each.coming)
        elif len(self._cursors) < self.max_cursors:
            cursor = _Cursor(self._address, self.where, self.index)
            self._cursors.append(cursor)
        else:
            cursor = next((each for each in self._cursors if not each.turns), self._cursors[0])
        self._cursors.remove(cursor)
        self._cursors.append(cursor)
        cursor.coming = index + 1
        return cursor

    def times(self) -> list[float]:
        return [float(time) for time in self.index.times]

    def key_of(self, index: int) -> int:
        return self.index.entry_of(index).index

    def close(self) -> None:
        with self._lock:
            cursors, self._cursors = self._cursors, []
        for each in cursors:
            with self._turn(partial(_identity, each)):
                each.close()

    @property
    def count(self) -> int:
        return len(self.index)

    def _from(self, start: int | float) -> tuple[int, float | None, Iterator[Decoded]]:
        """Index of the last key frame not after ``start`` (or 0), time of frame 0, and frames from there."""
        if start >= (FEW if isinstance(start, int) else FEW * self._step):
            index = self._quick_index
            if index is not None and index.is_complete:
                place = start if isinstance(start, int) else int(index.times.searchsorted(start - 1e-9))
                goal = index.entry_of(min(place, len(index) - 1))
                is_exact = index.places.get(goal.stamp) == goal.index
                for entry in _ways_to(goal, index) if is_exact else ():
                    items = self._decoded(entry, index=index)
                    later = (item for item in items if item.stamp is not None and item.stamp >= goal.stamp)
                    item = next(later, None)
                    if item is not None and item.stamp == goal.stamp and item.frame is not None:
                        return goal.index, index.begin, itertools.chain([item], items)
        return 0, None, self._decoded()

    def _decoded(
        self, entry: EntryPoint | None = None, clock: Clock | None = None, index: FrameIndex | None = None
    ) -> Iterator[Decoded]:
        """Iterate over frames until the demuxer fails, which counts as one lost frame."""
        try:
            with owned_container(open_container(self._address, self.where)) as container:
                stream = video_stream(container)
                if entry is not None and index is not None:
                    clock = seek(container, stream, entry, index)
                yield from decode(container, stream, clock)
        except (av.error.FFmpegError, OSError) as error:
            if (exhausted := memory_error(error)) is not None:
                raise exhausted from error  # the file is good
            yield Decoded(None, None)

    def _first_frame(self, frames: Iterator[Decoded]) -> Decoded:
        """First frame that is not lost."""
        try:
            for item in frames:
                if item.frame is not None:
                    return item
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(f"{self.where}: no frame can be decoded ({describe(error)})") from error
        raise SourceError(f"{self.where}: has no frames that can be decoded")


_READERS: WeakSet[VideoFileReader] = WeakSet()


def _begin_anew_in_fork() -> None:
    for reader in _READERS:
        reader._restart()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_fork)


def seek(
    container: av.container.InputContainer, stream: VideoStream, entry: EntryPoint, index: FrameIndex
) -> Clock:
    """Seek to a key frame, or to the beginning for frame 0; returns the clock from there."""
    if entry.index == 0:
        if index.by_position:
            container.seek(0, unsupported_byte_offset=True)
        else:
            container.seek(int(index.stamps[0]), stream=stream)
        return Clock()
    if index.by_position and entry.position is not None:
        container.seek(entry.position, unsupported_byte_offset=True)
    else:
        container.seek(entry.stamp - entry.offset, stream=stream)
    return Clock(entry, numbers=index.numbers)


def _ways_to(goal: EntryPoint, index: FrameIndex) -> list[EntryPoint]:
    """Key frames from which to try to reach a goal, as seeking may land too late."""
    if goal.index == 0:
        return []
    place = index.entries.index(goal)
    return [entry for entry in reversed(index.entries[max(place - 2, 0) : place + 1]) if entry.index]


@dataclass(slots=True)
class _NeededFrame:
    """Target frame of a cursor."""

    stamp: int = 0

    def skip_earlier(self, context: Any, packet: Any) -> None:
        """Skip a frame before the target if no other frame refers to it."""
        is_early = packet.pts is not None and packet.pts < self.stamp
        context.skip_frame = "NONREF" if is_early else "DEFAULT"


def _identity(cursor: _Cursor) -> _Cursor:
    return cursor


class _Cursor:
    """An open video file that decodes up to a requested frame.

    Attributes:
        coming: the frame after the last one that was asked for.
        position: the frame that is decoded next; -1 if it is not known.
        turns: waiting users, in order of their requests.
    """

    def __init__(self, address: str, where: str, index: FrameIndex) -> None:
        self._address, self._where, self._index = address, where, index
        self.coming = -1
        self.turns: list[threading.Event] = []
        # Frame threads are faster; slice threads tell which frame is damaged.
        self._threads: Literal["AUTO", "SLICE"] = "AUTO" if index.is_complete else "SLICE"
        self._container: av.container.InputContainer | None = None
        self._owned = ExitStack()
        self._items: Iterator[Decoded] = iter(())
        self.position = -1
        self._needed = _NeededFrame()

    def close(self) -> None:
        self._owned.close()
        self._container = None

    def __del__(self) -> None:
        self.close()  # the container and its streams know one another, and would stay

    def item(self, index: int, cancel: CancelToken) -> Decoded:
        """Decode a frame by its index; it may be lost."""
        if cancel.cancelled:
            raise LoadCancelledError
        decoded = self._find(index, cancel)
        if (decoded is None or decoded.frame is None) and self._threads == "AUTO":
            self._threads = "SLICE"
            self.close()
            decoded = self._find(index, cancel)
        return decoded or Decoded(None, None)

    def _find(self, index: int, cancel: CancelToken) -> Decoded | None:
        goal = self._index.entry_of(index)
        if self._container is not None and goal.index <= self.position <= index:
            decoded = self._read_to(index, cancel)
            if decoded is not None:  # what was given up may have passed over it
                return decoded
        for entry in [*_ways_to(goal, self._index), EntryPoint(0)]:
            self._enter(entry)
            decoded = self._read_to(index, cancel)
            if decoded is not None:
                return decoded
        self.close()
        self._enter(EntryPoint(0))
        return self._read_to(index, cancel)

    def _enter(self, entry: EntryPoint) -> None:
        clock = None
        if self._container is not None or entry.index:
            container = self._container or self._opened()
            try:
                clock = seek(container, video_stream(container), entry, self._index)
            except (av.error.FFmpegError, OSError):  # of a format that cannot be sought
                entry = EntryPoint(0)
                self.close()
        container = self._container or self._opened()
        self.position = -1 if clock is not None else 0
        stream = video_stream(container)
        # Nothing here may hold the cursor, which is closed as soon as nobody has it.
        skip = partial(self._needed.skip_earlier, stream.codec_context) if self._may_skip else None
        self._items = decode(container, stream, clock, threads=None, on_packet=skip)

    @property
    def _may_skip(self) -> bool:
        """Whether frames are identifiable, so that some may be skipped."""
        return self._threads == "AUTO" and not (self._index.numbers or self._index.by_position)

    def _opened(self) -> av.container.InputContainer:
        self._container = open_container(self._address, self._where)
        self._owned.enter_context(owned_container(self._container))
        video_stream(self._container).thread_type = self._threads
        return self._container

    def _read_to(self, index: int, cancel: CancelToken) -> Decoded | None:
        """Decode up to a frame; None if it is not reached or was passed."""
        self._needed.stamp = int(self._index.stamps[index])
        try:
            for item in self._items:
                place = self.position
                if item.stamp is not None:
                    place = self._index.places.get(item.stamp, place)
                if place < 0:
                    continue
                self.position = place + 1
                if place == index:
                    return item
                if place > index:
                    break
                if cancel.cancelled:  # the next call may decode on from here
                    raise LoadCancelledError
        except (av.error.FFmpegError, OSError) as error:
            if (exhausted := memory_error(error)) is not None:
                raise exhausted from error
        self.position = -1
        return None


def _raise_damage(message: str) -> Image:
    raise DamageError(message)
