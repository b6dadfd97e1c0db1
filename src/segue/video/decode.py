"""Video files: from a container of PyAV to upright RGB pictures with true times, damage included."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, cast

import av
import av.container
import av.error
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from segue.errors import SourceError
from segue.types import Image
from segue.video.readers import DEFAULT_FPS, DamageError, Picture, Reader, check_pixels

# Titles are not always the UTF-8 that the formats want; the film is none the worse for that. From version 19
# on PyAV takes them as they come.
_TITLES: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}

_EARLY_END = 5
"""Missing frames at the end from which on a file counts as cut off; fewer are rounding of durations."""

DisplayMatrix = npt.NDArray[np.int32]
"""How a player turns the pictures: 3x3, 16.16 fixed point, as in ISO/IEC 14496-12, 8.2.2."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the decoder gave next in order of presentation; no frame where one was lost to damage.

    Times are in seconds on the clock of the container; None, and duration 0, if the file does not say.
    """

    time: float | None
    frame: VideoFrame | None
    duration: float = 0.0
    matrix: DisplayMatrix | None = None


USUAL_CODECS = ("h264", "hevc", "vp9", "av1", "mjpeg")


def known_codecs() -> list[str]:
    """Those of the usual codecs that this build of FFmpeg has."""
    return [name for name in USUAL_CODECS if name in av.codecs_available]


def open_container(
    address: str, where: str, options: dict[str, str] | None = None, timeout: float | None = None
) -> av.container.InputContainer:
    """Open what has a video stream.

    ``where`` names it in messages, ``options`` are those of the protocol or format, and ``timeout`` is in
    seconds, for the network.
    """
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
    """The stream that a player would show: cover pictures and previews come last."""
    return cast("VideoStream", container.streams.best("video"))


def describe(error: BaseException) -> str:
    """Short reason of an error of PyAV or the system, one line."""
    if isinstance(error, av.error.ExitError):  # how PyAV reports that its time limit has passed
        return "no answer in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def decode(container: av.container.InputContainer, stream: VideoStream) -> Iterator[Decoded]:
    """Everything the stream holds, in order of presentation; lost and damaged frames stand in their places.

    A demuxer that cannot go on at all raises the error of PyAV.
    """
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
            yield Decoded(_seconds(frame.pts, base), None if damaged else frame, duration, matrix)
    while lost:
        yield Decoded(_seconds(heapq.heappop(lost), base), None)


def _seconds(pts: int | None, time_base: Fraction | None) -> float | None:
    return None if pts is None or time_base is None else float(pts * time_base)


def to_rgb(item: Decoded, where: str) -> Image:
    """Convert a decoded frame to an upright picture.

    Args:
        item: what :func:`decode` gave.
        where: its name for messages.

    Returns:
        RGB (H, W, 3), uint8.

    Raises:
        DamageError: the frame was lost or cannot be converted.
    """
    if item.frame is None:
        raise DamageError(f"{where} is damaged")
    check_pixels(item.frame.height, item.frame.width, where)
    return turn_upright(np.asarray(item.frame.to_ndarray(format="rgb24"), np.uint8), item.matrix)


def display_matrix(frame: VideoFrame) -> DisplayMatrix | None:
    """Display matrix among the side data of a frame, or None."""
    # Asking a frame for its side data ties it into a reference cycle, which keeps its memory until the
    # garbage collector comes. A tiny copy has the same side data.
    entries = cast("SideDataContainer", frame.reformat(16, 16, "gray").side_data)
    for data in (entries[place] for place in range(len(entries))):
        if data.type == Type.DISPLAYMATRIX:
            return np.frombuffer(bytes(data), np.int32).reshape(3, 3)
    return None


def turn_upright(image: npt.NDArray[np.uint8], matrix: DisplayMatrix | None) -> Image:
    """Apply a display matrix to the nearest multiple of 90 degrees, mirroring included.

    A pixel at column p and row q is shown at column ``a p + c q`` and row ``b p + d q``, up to a shift, where
    a, b begin the first row of the matrix and c, d the second.

    Args:
        image: RGB (h, w, 3), uint8.
        matrix: display matrix; None leaves the picture as it is.

    Returns:
        The turned picture, sides swapped where need be.
    """
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

    def pictures(self) -> Iterator[Picture]:
        """All frames in order; a frame lost to damage stands in its place and raises when it is loaded."""
        index = -1
        start = time = end = 0.0
        step = 1 / (self.fps or DEFAULT_FPS)
        with open_container(self._address, self.where) as container:
            frames = decode(container, video_stream(container))
            for index, item in enumerate(self._until_broken(frames)):
                if index == 0:
                    start = item.time or 0.0
                time = index * step if item.time is None else item.time - start
                end = time + item.duration
                yield Picture(index, time, partial(to_rgb, item, f"{self.where}: frame {index}"))
        # The mean distance, because the rate in the header may be that of a finer clock.
        step = max(step, time / index if index > 0 else 0.0)
        missing = round(((self._promised or 0.0) - max(end, time + step)) / step)
        if missing >= _EARLY_END:
            ending = f"ends after frame {index}, about {missing} frames early (cut off or damaged)"
            yield Picture(index + 1, time + step, partial(_lost, f"{self.where}: {ending}"))

    def _until_broken(self, frames: Iterator[Decoded]) -> Iterator[Decoded]:
        """Frames up to where the demuxer itself gives up, which counts as one lost frame."""
        try:
            yield from frames
        except (av.error.FFmpegError, OSError):
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
