"""From a container of PyAV to upright RGB pictures with true time stamps, damage included."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
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
from segue.video.readers import DamageError, check_pixels

# Titles are not always the UTF-8 that the formats want; the film is none the worse for that. From version 19
# on PyAV takes them as they come.
_TITLES: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}

DisplayMatrix = npt.NDArray[np.int32]
"""How a player turns the pictures: 3x3, 16.16 fixed point, as in ISO/IEC 14496-12, 8.2.2."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the decoder gave next in order of presentation.

    Attributes:
        time: seconds on the clock of the container, or None if the file does not say.
        frame: the decoded frame, or None where a frame was lost to damage.
        duration: seconds for which the frame is shown, 0 if the file does not say.
        matrix: display matrix of the stream, or None.
    """

    time: float | None
    frame: VideoFrame | None
    duration: float = 0.0
    matrix: DisplayMatrix | None = None


def open_container(
    address: str, where: str, options: dict[str, str] | None = None, timeout: float | None = None
) -> av.container.InputContainer:
    """Open a file or address that has a video stream.

    Args:
        address: what FFmpeg takes: ``file:...``, ``http://...``, ``rtsp://...``.
        where: name for messages.
        options: options of the FFmpeg protocol or format.
        timeout: seconds to wait for the network, or None.
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
    for packet in container.demux(stream):
        pts = packet.pts
        bad = packet.is_corrupt
        try:
            frames = packet.decode()
        except (av.error.InvalidDataError, av.error.EOFError):
            frames, bad = [], packet.size > 0
        if bad and pts is not None:
            heapq.heappush(lost, pts)
        elif bad:
            yield Decoded(None, None)
        for frame in frames:
            if not started:
                # Once is enough: the matrix belongs to the stream.
                matrix, started = display_matrix(frame), True
            yield from _place(frame, matrix, lost, stream.time_base)
    while lost:
        yield Decoded(_seconds(heapq.heappop(lost), stream.time_base), None)


def _place(
    frame: VideoFrame, matrix: DisplayMatrix | None, lost: list[int], time_base: Fraction | None
) -> Iterator[Decoded]:
    """A decoded frame, after the lost ones that are due before it."""
    pts = frame.pts
    damaged = bool(frame.is_corrupt)
    while lost and pts is not None and lost[0] <= pts:
        at = heapq.heappop(lost)
        if at == pts:
            damaged = True
        else:
            yield Decoded(_seconds(at, time_base), None)
    duration = _seconds(frame.duration, time_base) or 0.0
    yield Decoded(_seconds(pts, time_base), None if damaged else frame, duration, matrix)


def _seconds(pts: int | None, time_base: Fraction | None) -> float | None:
    return None if pts is None or time_base is None else float(pts * time_base)


def to_rgb(item: Decoded, where: str) -> Image:
    """Upright RGB picture, (H, W, 3), uint8, of a decoded frame of any pixel format.

    Raises:
        DamageError: the frame was lost.
        SourceError: its size is absurd.
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
