"""Video files: from a container of PyAV to upright RGB images with true times, damage included."""

from __future__ import annotations

import heapq
import itertools
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import av
import av.container
import av.error
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from segue.errors import SourceError, memory_error
from segue.types import Image
from segue.video.readers import DEFAULT_FPS, DamageError, Reader, SourceImage, check_pixels

# Titles are not always the UTF-8 that the formats want; the video is none the worse for that. From version 19
# on PyAV takes them as they come.
_TITLES: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}

FEW = 50
"""Frames that are rather decoded than sought."""

MOST_REORDERED = 32
"""Largest offset between packet order and frame order; codecs delay at most 16 frames."""

_EARLY_END = 5
"""Missing frames at the end from which on a file counts as cut off; fewer are rounding of durations."""

DisplayMatrix = npt.NDArray[np.int32]
"""Display matrix: 3x3, 16.16 fixed point, as in ISO/IEC 14496-12, 8.2.2."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Next frame in order of presentation; None if it was lost to damage."""

    time: float | None
    frame: VideoFrame | None
    duration: float = 0.0
    matrix: DisplayMatrix | None = None
    stamp: int | None = None


USUAL_CODECS = ("h264", "hevc", "vp9", "av1", "mjpeg")


def known_codecs() -> list[str]:
    """The usual codecs that this build of FFmpeg has."""
    return [name for name in USUAL_CODECS if name in av.codecs_available]


def open_container(
    address: str, where: str, options: dict[str, str] | None = None, timeout: float | None = None
) -> av.container.InputContainer:
    """Open what has a video stream."""
    try:
        container = cast(
            "av.container.InputContainer",
            av.open(address, mode="r", container_options=options or {}, timeout=timeout, **_TITLES),
        )
    except av.error.InvalidDataError as error:
        raise SourceError(f"{where}: not a video, or cut off before its index ({error.strerror})") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SourceError(f"{where}: cannot be opened ({describe(error)})") from error
    if not container.streams.video:
        container.close()
        raise SourceError(f"{where}: has no video stream")
    return container


def video_stream(container: av.container.InputContainer) -> VideoStream:
    """The stream that a player would show: cover images and previews come last."""
    return cast("VideoStream", container.streams.best("video"))


def describe(error: BaseException) -> str:
    """Short reason of an error of PyAV or the system, one line."""
    if isinstance(error, av.error.ExitError):  # how PyAV reports that its time limit has passed
        return "no answer in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def decode(container: av.container.InputContainer, stream: VideoStream) -> Iterator[Decoded]:
    """All frames of the stream in order of presentation; lost and damaged frames keep their positions."""
    # Frame threads give an error back late and drop good frames with it; slice threads do not.
    stream.thread_type = "SLICE"
    lost: list[int] = []
    matrix: DisplayMatrix | None = None
    started = False
    base = stream.time_base
    for packet in container.demux(stream):
        bad = packet.is_corrupt
        try:
            frames = packet.decode()
        except (av.error.InvalidDataError, av.error.EOFError):
            frames, bad = [], packet.size > 0
        if bad and packet.pts is not None:
            heapq.heappush(lost, packet.pts)
        elif bad:
            yield Decoded(None, None)
        for frame in frames:
            if not started:  # the matrix belongs to the stream
                matrix, started = display_matrix(frame), True
            damaged = bool(frame.is_corrupt)
            while lost and frame.pts is not None and lost[0] <= frame.pts:
                at = heapq.heappop(lost)
                if at == frame.pts:
                    damaged = True
                else:
                    yield Decoded(_seconds(at, base), None)
            duration = _seconds(frame.duration, base) or 0.0
            shown = None if damaged else frame
            yield Decoded(_seconds(frame.pts, base), shown, duration, matrix, frame.pts)
    while lost:
        yield Decoded(_seconds(heapq.heappop(lost), base), None)


def _seconds(pts: int | None, time_base: Any) -> float | None:
    # The base is a Fraction, and from PyAV 19 on an AVRational.
    return None if pts is None or time_base is None else float(pts * time_base)


def to_rgb(item: Decoded, where: str) -> Image:
    """Convert a decoded frame to an upright image. Returns RGB (H, W, 3), uint8."""
    if item.frame is None:
        raise DamageError(f"{where} is damaged")
    check_pixels(item.frame.height, item.frame.width, where)
    return turn_upright(np.asarray(item.frame.to_ndarray(format="rgb24"), np.uint8), item.matrix)


def display_matrix(frame: VideoFrame) -> DisplayMatrix | None:
    """Display matrix among the side data of a frame, or None."""
    # Asking a frame for its side data ties it into a reference cycle, which keeps its memory until the
    # garbage collector comes. A tiny copy has the same side data.
    entries: Any = frame.reformat(16, 16, "gray").side_data
    for data in (entries[place] for place in range(len(entries))):
        if data.type == Type.DISPLAYMATRIX:
            return np.frombuffer(bytes(data), np.int32).reshape(3, 3)
    return None


def turn_upright(image: npt.NDArray[np.uint8], matrix: DisplayMatrix | None) -> Image:
    """Apply a display matrix to the nearest multiple of 90 degrees, mirroring included."""
    if matrix is None:
        return image
    (a, b), (c, d) = matrix[:2, :2].astype(np.int64).tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        image = image.transpose(1, 0, 2)
        flip_columns, flip_rows = c < 0, b < 0
    else:
        flip_columns, flip_rows = a < 0, d < 0
    image = image[:, ::-1] if flip_columns else image
    image = image[::-1] if flip_rows else image
    return np.ascontiguousarray(image)


def promised_duration(stream: VideoStream) -> float | None:
    """Length in seconds by the file's header, or None if it says nothing of this very stream."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    written = {key.upper(): value for key, value in stream.metadata.items()}.get("DURATION", "")
    if match := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", written):
        hours, minutes, seconds = match.groups()
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return None


@dataclass(frozen=True, slots=True)
class FrameOrder:
    """Index of the frames of a video stream, made from its packets without decoding."""

    stamps: tuple[int, ...] = ()  # of each frame in order of presentation, without repetition
    keys: tuple[int, ...] = ()  # indices of the key frames, in order
    base: float = 0.0  # seconds of a tick of the stamps
    sure: bool = False  # whether decoding gives these frames; not for damaged or ambiguous packets

    @classmethod
    def of(cls, container: av.container.InputContainer, stream: VideoStream) -> FrameOrder:
        """Read all packets of a stream, and decode its first frame."""
        stamps: list[int] = []
        keys: list[int] = []
        first: int | None = None
        base, sure = stream.time_base, True
        try:
            for packet in container.demux(stream):
                if packet.size == 0:
                    continue
                sure = sure and not (packet.pts is None or packet.is_corrupt or packet.is_discard)
                if packet.pts is None or packet.is_discard:
                    continue
                stamps.append(packet.pts)
                if packet.is_keyframe:
                    keys.append(packet.pts)
                if sure and first is None:
                    first = next((frame.pts for frame in packet.decode()), None)
        except (av.error.FFmpegError, OSError):
            sure = False  # what follows a damaged place is not reached by a player either
        order = sorted(set(stamps))
        rank = {stamp: place for place, stamp in enumerate(order)}
        # Two parts with clocks of their own, or frames that no player shows: count them by decoding.
        moved = max((abs(rank[stamp] - place) for place, stamp in enumerate(stamps)), default=0)
        sure = sure and len(order) == len(stamps) and moved <= MOST_REORDERED and base is not None
        sure = sure and bool(order) and first == order[0]
        return cls(tuple(order), tuple(sorted({rank[stamp] for stamp in keys})), float(base or 0), sure)

    @property
    def begin(self) -> float:
        """Time of the first frame in seconds."""
        return self.stamps[0] * self.base if self.stamps else 0.0

    def keys_before(self, start: int | float) -> tuple[int, ...]:
        """Key frames from which on the frame at an index or a time can be decoded, the best one first."""
        if not self.sure:
            return ()
        if isinstance(start, float):
            start = bisect_left(self.stamps, self.stamps[0] + start / self.base - 1)
        place = bisect_right(self.keys, start)
        return tuple(key for key in reversed(self.keys[max(place - 3, 0) : place]) if key)


class VideoFileReader(Reader):
    """A video file, decoded by FFmpeg; ``fps`` is assumed where it does not say."""

    def __init__(self, path: Path, fps: float | None) -> None:
        self._address = f"file:{path}"
        self.name = path.stem
        self.where = str(path)
        self.files = (path,)
        with open_container(self._address, self.where) as container:
            stream = video_stream(container)
            self.total = stream.frames or None
            self.fps = float(stream.average_rate) if stream.average_rate else fps
            self._promised = promised_duration(stream)
            self.size = self._first_size(decode(container, stream))

    def images(self, start: int | float = 0) -> Iterator[SourceImage]:
        """All frames in order; a frame lost to damage keeps its position and raises when loaded."""
        index = -1
        begin = time = end = 0.0
        step = 1 / (self.fps or DEFAULT_FPS)
        first, frames = self._from(start)
        for index, item in enumerate(self._until_broken(frames), first):
            if index == first:
                begin = self._order.begin if first else item.time or 0.0
            time = index * step if item.time is None else item.time - begin
            end = time + item.duration
            yield SourceImage(index, time, partial(to_rgb, item, f"{self.where}: frame {index}"))
        # The mean distance, because the rate in the header may be that of a finer clock.
        step = max(step, time / index if index > 0 else 0.0)
        missing = round(((self._promised or 0.0) - max(end, time + step)) / step)
        if missing >= _EARLY_END:
            ending = f"ends after frame {index}, about {missing} frames early (cut off or damaged)"
            yield SourceImage(index + 1, time + step, partial(_lost, f"{self.where}: {ending}"))

    @cached_property
    def _order(self) -> FrameOrder:
        with open_container(self._address, self.where) as container:
            return FrameOrder.of(container, video_stream(container))

    def _from(self, start: int | float) -> tuple[int, Iterator[Decoded]]:
        """Index of the last key frame not after ``start`` (or 0), and the frames from there on."""
        if start >= (FEW if isinstance(start, int) else FEW / (self.fps or DEFAULT_FPS)):
            keys = [self._order.stamps[key] for key in self._order.keys_before(start)]
            for earlier in keys:  # a container without an index may be entered too late
                items = self._until_broken(self._decoded(earlier))
                later = (item for item in items if item.stamp is not None and item.stamp >= keys[0])
                item = next(later, None)
                if item is not None and item.stamp == keys[0] and item.frame is not None:
                    return self._order.stamps.index(keys[0]), itertools.chain([item], items)
        return 0, self._decoded()

    def _decoded(self, seek: int | None = None) -> Iterator[Decoded]:
        with open_container(self._address, self.where) as container:
            stream = video_stream(container)
            if seek is not None:
                container.seek(seek, stream=stream)
            yield from decode(container, stream)

    def _until_broken(self, frames: Iterator[Decoded]) -> Iterator[Decoded]:
        """Frames up to where the demuxer itself gives up, which counts as one lost frame."""
        try:
            yield from frames
        except (av.error.FFmpegError, OSError) as error:
            if (exhausted := memory_error(error)) is not None:
                raise exhausted from error  # the file is good
            yield Decoded(None, None)

    def _first_size(self, frames: Iterator[Decoded]) -> tuple[int, int]:
        try:
            for item in frames:
                if item.frame is not None:
                    height, width = to_rgb(item, self.where).shape[:2]
                    return height, width
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(f"{self.where}: no frame can be decoded ({describe(error)})") from error
        raise SourceError(f"{self.where}: has no frames that can be decoded")


def _lost(message: str) -> Image:
    raise DamageError(message)
