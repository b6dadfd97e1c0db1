"""From a container of PyAV to upright RGB pictures with true time stamps, damage included."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

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
from segue.video.readers import check_pixels


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the decoder gave next in order of presentation.

    Attributes:
        time: seconds on the clock of the container, or None if the file does not say.
        frame: the decoded frame, or None where a frame was lost to damage.
        duration: seconds for which the frame is shown, 0 if the file does not say.
    """

    time: float | None
    frame: VideoFrame | None
    duration: float = 0.0


def open_container(
    address: str, where: str, options: dict[str, str] | None = None, timeout: float | None = None
) -> av.container.InputContainer:
    """Open a file or address that has a video stream.

    Args:
        address: what FFmpeg takes: ``file:...``, ``http://...``, ``rtsp://...``.
        where: name for messages.
        options: options of the FFmpeg protocol or format.
        timeout: seconds to wait for the network, or None.

    Raises:
        SourceError: it cannot be opened or holds no video.
    """
    try:
        container = av.open(address, mode="r", container_options=options or {}, timeout=timeout)
    except av.error.InvalidDataError as error:
        raise SourceError(f"{where}: not a video, or cut off before its index ({error.strerror})") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SourceError(f"{where}: cannot be opened ({describe(error)})") from error
    if not container.streams.video:
        container.close()
        raise SourceError(f"{where}: has no video stream")
    return container


def describe(error: BaseException) -> str:
    """Short reason of an error of PyAV or the system, one line."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def decode(container: av.container.InputContainer, stream: VideoStream) -> Iterator[Decoded]:
    """Everything the stream holds, in order of presentation; lost and damaged frames stand in their places.

    A demuxer that cannot go on at all raises the error of PyAV.
    """
    # Frame threads give an error back late and drop good frames with it; slice threads do not.
    stream.thread_type = "SLICE"
    lost: list[int] = []
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
            yield from _place(frame, lost, stream.time_base)
    while lost:
        yield Decoded(_seconds(heapq.heappop(lost), stream.time_base), None)


def _place(frame: VideoFrame, lost: list[int], time_base: Fraction | None) -> Iterator[Decoded]:
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
    yield Decoded(_seconds(pts, time_base), None if damaged else frame, duration)


def _seconds(pts: int | None, time_base: Fraction | None) -> float | None:
    return None if pts is None or time_base is None else float(pts * time_base)


def to_rgb(frame: VideoFrame, where: str) -> Image:
    """Upright RGB picture, (H, W, 3), uint8, of a decoded frame of any pixel format."""
    check_pixels(frame.height, frame.width, where)
    return turn_upright(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), display_matrix(frame))


def display_matrix(frame: VideoFrame) -> npt.NDArray[np.int32] | None:
    """The 3x3 matrix by which a player turns the picture, 16.16 fixed point, or None."""
    entries = cast("SideDataContainer", frame.side_data)
    for data in (entries[place] for place in range(len(entries))):
        if data.type == Type.DISPLAYMATRIX:
            return np.frombuffer(bytes(data), np.int32).reshape(3, 3)
    return None


def turn_upright(image: npt.NDArray[np.uint8], matrix: npt.NDArray[np.int32] | None) -> Image:
    """Apply a display matrix to the nearest multiple of 90 degrees, mirroring included.

    A pixel at column p and row q is shown at column ``a p + c q`` and row ``b p + d q`` (ISO/IEC 14496-12,
    8.2.2, with a, b the first row of the matrix and c, d the second), up to a shift.
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
