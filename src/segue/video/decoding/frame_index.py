"""Index of a video file: number, order and times of its frames, and its entry points."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import av.container
import av.error
import numpy as np
import numpy.typing as npt
from av.video.stream import VideoStream

from segue.utils.arrays import Float64Array
from segue.video.decoding.decode import Clock, Decoded, EntryPoint, packets

MAX_REORDERED = 32
"""Largest offset between packet order and frame order; codecs delay at most 16 frames."""

LONG_BYTES = 256 << 20
"""Minimum size of files whose packets take long to read."""

_CHECKED = 6
"""Frames at the beginning that are decoded to see that each packet is a frame."""

_HIDDEN = frozenset({"vp8"})
"""Codecs whose files may have packets of frames that are never shown."""

_MIN_STEP = 1e-6
"""Minimum increase of times in seconds."""


def numbered(
    items: Iterable[Decoded], step: float, first: int = 0, begin: float | None = None
) -> Iterator[tuple[int, float, Decoded]]:
    """Number frames, with times in seconds since the first frame; times rise.

    Args:
        items: frames in order of presentation.
        step: seconds between frames that have no times.
        first: index of the first of them.
        begin: time in the file of frame 0; None takes that of the first one here.

    Yields:
        Index, time and frame.
    """
    last = -_MIN_STEP
    for index, item in enumerate(items, first):
        if begin is None:
            begin = item.time
        time = index * step if item.time is None or begin is None else item.time - begin
        if item.time is None and index > first:
            time = max(time, last + step)
        last = max(time, last + _MIN_STEP)
        yield index, last, item


@dataclass(frozen=True)
class FrameIndex:
    """Number, order and times of the frames of a video file, for streaming and random access.

    Attributes:
        stamps: what tells each frame from the others while decoding, in order of presentation; -1 for frames
            that were lost without a stamp.
        times: seconds of each frame since the first one.
        entries: key frames, in order, with the indices of their frames.
        begin: time in the file of frame 0.
        by_position: whether stamps are ambiguous in the file, so that places in it are sought.
        numbers: whether stamps are numbers of packets.
        is_complete: whether every frame was found without damage.
    """

    stamps: npt.NDArray[np.int64]
    times: Float64Array
    entries: tuple[EntryPoint, ...]
    begin: float = 0.0
    by_position: bool = False
    numbers: bool = False
    is_complete: bool = True

    def __len__(self) -> int:
        return len(self.stamps)

    @cached_property
    def places(self) -> dict[int, int]:
        """Index of each frame by its time stamp, if unique."""
        counts = Counter(self.stamps.tolist())
        return {stamp: i for i, stamp in enumerate(self.stamps.tolist()) if counts[stamp] == 1}

    def entry_of(self, index: int) -> EntryPoint:
        """Last entry point not after a frame; the beginning of the file if there is none."""
        place = bisect_right([entry.index for entry in self.entries], index)
        return self.entries[place - 1] if place else EntryPoint(0)

    @classmethod
    def of_container(cls, stream: VideoStream, size: int) -> FrameIndex | None:
        """Read from the container's index, if it lists every frame in order."""
        listed, base = stream.index_entries, stream.time_base
        count = len(listed)
        if count == 0 or count != stream.frames or base is None:
            return None
        # Times of decoding are those of showing where no frames are reordered. Where they are, that holds for
        # frames of one distance, but not behind a cut: packets are read instead, unless they are too many.
        reordered = stream.codec_context.has_b_frames
        if reordered and size < LONG_BYTES:
            return None
        if any(entry.is_discard for entry in listed) or any(e.pos + e.size > size for e in listed):
            return None
        times = np.fromiter((entry.timestamp for entry in listed), np.int64, count)
        keys = np.flatnonzero(np.fromiter((entry.is_keyframe for entry in listed), np.bool_, count))
        gaps = np.diff(times)
        if not len(keys) or (gaps < 1).any() or (reordered and len(gaps) and (gaps != gaps[0]).any()):
            return None
        first = stream.start_time if stream.start_time is not None else int(times[0])
        stamps = times - times[0] + first
        entries = tuple(EntryPoint(int(stamps[key]), index=int(key)) for key in keys)
        return cls(stamps, (stamps - stamps[0]) * float(base), entries, float(first * base))

    @classmethod
    def of_packets(cls, container: av.container.InputContainer, stream: VideoStream) -> FrameIndex | None:
        """Create from the packets without decoding; None if only decoding finds the frames."""
        stamps: list[int] = []
        keys: list[EntryPoint] = []
        clock, base = Clock(), stream.time_base
        if base is None or stream.codec_context.name in _HIDDEN:
            return None
        try:
            for packet, bad in packets(container, stream, clock):
                if packet.size == 0:
                    continue
                if packet.pts is None or bad or clock.numbers:
                    return None
                if packet.is_keyframe:
                    keys.append(EntryPoint(packet.pts, packet.pos, clock.offset))
                if not packet.is_discard:
                    stamps.append(packet.pts)
        except (av.error.FFmpegError, OSError):
            return None  # what follows a damaged place is not reached by a player either
        order = np.unique(np.array(stamps, np.int64))
        rank = np.searchsorted(order, stamps)
        max_shift = int(np.abs(rank - np.arange(len(stamps))).max(initial=0))
        if len(order) != len(stamps) or not len(order) or max_shift > MAX_REORDERED:
            return None
        frame_index = cls(order, (order - order[0]) * float(base), (), float(order[0] * base))
        return replace(frame_index, entries=tuple(keys), by_position=clock.restarts > 0)

    def checked(self, decoded: Iterator[Decoded], *, late: bool) -> FrameIndex | None:
        """Validate against decoded frames; returns self or None. With ``late`` it may begin later."""
        first = [item.stamp for item in itertools.islice(decoded, _CHECKED)]
        start = int(np.searchsorted(self.stamps, first[0])) if late and first and first[0] is not None else 0
        if first != self.stamps[start : start + _CHECKED].tolist():
            return None
        stamps, times = self.stamps[start:], self.times[start:]
        places = np.searchsorted(stamps, [entry.stamp for entry in self.entries])
        entries = (replace(key, index=int(at)) for key, at in zip(self.entries, places, strict=True))
        valid_entries = tuple(
            key for key in entries if key.index < len(stamps) and stamps[key.index] == key.stamp
        )
        return replace(
            self,
            stamps=stamps,
            times=times - times[0],
            entries=valid_entries,
            begin=self.begin + float(times[0]),
        )

    @classmethod
    def of_frames(cls, items: Iterable[Decoded], clock: Clock, step: float) -> FrameIndex:
        """Create by decoding all frames, with packets timed by ``clock``."""
        stamps: list[int] = []
        times: list[float] = []
        entries: list[EntryPoint] = []
        begin, is_complete = 0.0, True
        for index, time, item in numbered(items, step):
            if index == 0:
                begin = item.time or 0.0
            stamps.append(-1 if item.stamp is None else item.stamp)
            times.append(time)
            is_complete = is_complete and item.frame is not None
            if item.entry is not None:
                entries.append(replace(item.entry, index=index))
        return cls(
            np.array(stamps, np.int64),
            np.array(times),
            tuple(entries),
            begin,
            clock.restarts > 0 or clock.numbers,
            clock.numbers,
            is_complete,
        )
