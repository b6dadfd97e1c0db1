"""Decode a PyAV container to upright RGB images with their times, and report damage."""

from __future__ import annotations

import ctypes
import heapq
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import av
import av.container
import av.error
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from segue.errors import SourceError
from segue.masks.files import check_pixels
from segue.types import Image
from segue.utils.arrays import UInt16Array
from segue.video.decoding.content import kind_of_content
from segue.video.decoding.damage import DamageError
from segue.video.decoding.hdr import to_sdr
from segue.video.decoding.levels import SAMPLES, LevelKind, Range, deep_bits, frame_values
from segue.video.decoding.reformat import ONE_THREAD
from segue.video.decoding.savings import hardware_decoder

if TYPE_CHECKING:
    from _typeshed import SupportsRead
    from av.audio.stream import AudioStream

    AudioPacket = av.Packet[AudioStream]

# Titles are not always the UTF-8 that the formats want; the video is none the worse for that. From version 19
# on PyAV takes them as they come.
_TITLES: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}

Container = TypeVar("Container", bound=av.container.InputContainer)

Packet = Any
"""A packet of PyAV; its class is generic in some versions."""

DisplayMatrix = npt.NDArray[np.int32]
"""Display matrix: 3x3, 16.16 fixed point, as in ISO/IEC 14496-12, 8.2.2."""


PQ, HLG = 16, 18
"""Codes of the transfer functions of HDR (ITU-T H.273): SMPTE ST 2084 and ARIB STD-B67."""

_COVER = 0x400
"""Disposition of an image that is attached to a file (AV_DISPOSITION_ATTACHED_PIC)."""

_TEXTS = frozenset({"tty", "bin", "xbin", "adf", "idf"})
"""Formats of FFmpeg that draw text as a film."""

_LATE_FLAG = 4
"""Packets between a flag of damage and the second recording whose beginning it is about."""

_SECOND_RECORDING = 0.25
"""Minimum backward jump of time stamps between two recordings, in seconds."""

_GROUP = 50
"""Packets after a key frame that are decoded at most for one sample of the range of values."""

_MAX_FRAMES = 1000
"""Frames a second above which a rate is one of a clock."""


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """Key frame at which decoding can begin: time stamp, file position, clock offset."""

    stamp: int
    position: int | None = None
    offset: int = 0
    index: int = 0


@dataclass(frozen=True, slots=True)
class Decoded:
    """Next frame in order of presentation; None if it was lost to damage."""

    time: float | None
    frame: VideoFrame | None
    duration: float = 0.0
    matrix: DisplayMatrix | None = None
    stamp: int | None = None
    entry: EntryPoint | None = None
    transfer: int = 0


class Clock:
    """Shifts time stamps so that they continue if a file contains a second recording.

    Packets of streams without time stamps, such as raw H.264, get their numbers instead. ``numbers`` is then
    true: stamps only distinguish frames.
    """

    def __init__(self, begin: EntryPoint | None = None, *, numbers: bool = False) -> None:
        self.offset = begin.offset if begin else 0
        self.restarts = 0
        self.numbers = numbers
        self._next_number = begin.stamp if begin and numbers else 0
        self._last: int | None = None
        self._gap = 0
        self._is_first = begin is None

    def restamp(self, packet: Packet) -> bool:
        """Set the stamps of the next packet; returns whether another recording begins with it."""
        if packet.size == 0:
            return False
        if self._is_first and packet.pts is None and packet.dts is None and packet.stream.start_time is None:
            self.numbers = True
        self._is_first = False
        if self.numbers:
            packet.pts = packet.dts = self._next_number
            self._next_number += 1
            return False
        restarts = False
        if packet.dts is not None:
            now, last = packet.dts + self.offset, self._last
            if last is not None and now < last - _SECOND_RECORDING / float(packet.time_base or 1):
                restarts = True
                self.offset += last + (packet.duration or self._gap) - now
                self.restarts += 1
                now = packet.dts + self.offset
            elif last is not None:
                self._gap = max(now - last, 0)
            self._last = now
        if self.offset:
            packet.pts = None if packet.pts is None else packet.pts + self.offset
            packet.dts = None if packet.dts is None else packet.dts + self.offset
        return restarts


class _Times:
    """Times of frames; unordered stamps, as of AVI with B-frames, are replaced by decoding times.

    This is the rule by which FFmpeg finds the best-effort time stamp.
    """

    def __init__(self) -> None:
        self._faulty_pts = self._faulty_dts = 0
        self._last_pts = self._last_dts = -(1 << 63)

    def of(self, frame: VideoFrame) -> int | None:
        pts, dts = frame.pts, frame.dts
        if dts is not None:
            self._faulty_dts += dts <= self._last_dts
            self._last_dts = dts
        if pts is not None:
            self._faulty_pts += pts <= self._last_pts
            self._last_pts = pts
        return pts if dts is None or (pts is not None and self._faulty_pts <= self._faulty_dts) else dts


USUAL_CODECS = ("h264", "hevc", "vp9", "av1", "mjpeg")


def known_codecs() -> list[str]:
    """Common codecs of this FFmpeg build."""
    return [name for name in USUAL_CODECS if name in av.codecs_available]


def open_container(
    address: str | SupportsRead[bytes],
    where: str,
    options: dict[str, str] | None = None,
    timeout: float | None = None,
    format: str | None = None,
    hardware: str | None = None,
) -> av.container.InputContainer:
    """Open a container with a video stream, in a ``format`` and with ``hardware`` decoding."""
    arguments: dict[str, Any] = {} if hardware is None else {"hwaccel": hardware_decoder(hardware)}
    options, arguments = options or {}, _TITLES | arguments
    try:
        container = cast(
            "av.container.InputContainer",
            av.open(
                address, mode="r", format=format, container_options=options, timeout=timeout, **arguments
            ),
        )
    except av.error.PermissionError as error:
        device = "" if hardware is None else f"; or there is no device {hardware!r} to decode it"
        raise SourceError(f"{where}: cannot be opened ({describe(error)}{device})") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        content = kind_of_content(address.removeprefix("file:")) if isinstance(address, str) else None
        if content is None and isinstance(error, av.error.InvalidDataError):
            content = f"not a video, or cut off before its index ({error.strerror})"
        raise SourceError(f"{where}: {content or f'cannot be opened ({describe(error)})'}") from error
    if container.format.name in _TEXTS:
        container.close()
        raise SourceError(f"{where}: is a text, not a video; a list of videos goes to `segue batch`")
    if not any(_is_video(stream) for stream in container.streams.video):
        cover = " (its only image is a cover)" if container.streams.video else ""
        container.close()
        raise SourceError(f"{where}: has no video stream{cover}; give a video or images")
    return container


OF_PARENT = "a process that was forked cannot go on with an iteration of its parent; begin one of its own"

_OWNED: set[Any] = set()
"""Containers of blocks of :func:`owned_container` that have not ended."""

_INHERITED: set[Any] = set()
"""Containers that the process had when it was forked from another."""


@contextmanager
def owned_container(container: Container) -> Iterator[Container]:
    """Close a container at the end of the block, unless the process was forked.

    A fork has no decoding threads. FFmpeg would wait for them for ever, also when Python frees the container,
    so a fork keeps it.

    Args:
        container: result of :func:`open_container`.

    Yields:
        The container.
    """
    _OWNED.add(container)
    try:
        yield container
    finally:
        if container not in _INHERITED:
            _OWNED.discard(container)
            container.close()


def _leave_to_parent() -> None:
    """Keep the parent's containers alive in a fork, even at interpreter exit."""
    for container in _OWNED:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(container))
    _INHERITED.update(_OWNED)
    _OWNED.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def _is_video(stream: VideoStream) -> bool:
    """Whether a stream is not the cover image of a sound file."""
    return not int(getattr(stream, "disposition", 0)) & _COVER


def video_stream(container: av.container.InputContainer) -> VideoStream:
    """Video stream that a player would show; cover images and previews come last."""
    return cast("VideoStream", container.streams.best("video"))


def describe(error: BaseException) -> str:
    """Short reason of an error of PyAV or the system, one line."""
    if isinstance(error, av.error.ExitError):  # how PyAV reports that its time limit has passed
        return "no answer in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def sound_stream(container: av.container.InputContainer) -> AudioStream | None:
    """First sound stream with a known codec."""
    return next((each for each in container.streams.audio if each.codec_context is not None), None)


def packets(
    container: av.container.InputContainer,
    stream: VideoStream,
    clock: Clock,
    on_sound: Callable[[AudioPacket], None] | None = None,
) -> Iterator[tuple[Packet, bool]]:
    """Iterate over all packets of the stream in one clock, each with whether it is damaged."""
    waiting: list[tuple[Packet, bool]] = []  # from one on whose flag may be no damage
    sound = None if on_sound is None else sound_stream(container)
    for packet in container.demux(*(each for each in (stream, sound) if each is not None)):
        if container in _INHERITED:
            raise SourceError(OF_PARENT)
        if packet.stream.index != stream.index:
            if on_sound is not None and not clock.numbers and packet.size:
                on_sound(_shifted(cast("AudioPacket", packet), clock.offset * (stream.time_base or 0)))
            continue
        if clock.restamp(packet):  # the flag was only a counter that begins anew with a second recording
            waiting = [(earlier, False) for earlier, _ in waiting]
        waiting.append((packet, packet.is_corrupt))
        while waiting and (not waiting[0][1] or len(waiting) > _LATE_FLAG or packet.size == 0):
            yield waiting.pop(0)
    yield from waiting


def _shifted(packet: AudioPacket, seconds: Fraction | float) -> AudioPacket:
    """Copy of a packet, shifted by some seconds."""
    if seconds and packet.time_base:
        ticks = round(seconds / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks
    return packet


def decode(
    container: av.container.InputContainer,
    stream: VideoStream,
    clock: Clock | None = None,
    *,
    threads: Literal["SLICE", "AUTO"] | None = "SLICE",
    on_packet: Callable[[Packet], None] | None = None,
    on_sound: Callable[[AudioPacket], None] | None = None,
) -> Iterator[Decoded]:
    """Decode all frames in order of presentation, from the first complete one; lost ones keep their place."""
    # Frame threads (AUTO) give an error back late and drop good frames with it; slice threads do not.
    if threads is not None:  # of a stream that has decoded already it cannot be changed
        stream.thread_type = threads
    clock, times = clock or Clock(), _Times()
    missing: list[int] = []
    entries: dict[int, EntryPoint] = {}
    matrix: DisplayMatrix | None = None
    started = False
    transfer, base = 0, stream.time_base
    for packet, bad in packets(container, stream, clock, on_sound):
        if packet.is_keyframe and packet.pts is not None and packet.size:
            entries[packet.pts] = EntryPoint(packet.pts, packet.pos, clock.offset)
        if on_packet is not None and packet.size:
            on_packet(packet)
        try:
            frames = packet.decode()
        except (av.error.InvalidDataError, av.error.EOFError):
            frames, bad = [], packet.size > 0 and not packet.is_discard
        if bad and packet.pts is not None and not clock.numbers:
            heapq.heappush(missing, packet.pts)
        elif bad and started:
            yield Decoded(None, None)
        for frame in frames:
            if not started:  # the matrix belongs to the stream
                matrix, transfer, started = display_matrix(frame), _transfer(frame, stream), True
                # Recordings begin between key frames: what cannot be shown before the first one is no damage.
                missing = [at for at in missing if frame.pts is None or at >= frame.pts]
            damaged = bool(frame.is_corrupt)
            while missing and frame.pts is not None and missing[0] <= frame.pts:
                at = heapq.heappop(missing)
                if at == frame.pts:
                    damaged = True
                else:
                    yield Decoded(_seconds(at, base), None, stamp=at)
            best = None if clock.numbers else times.of(frame)
            yield Decoded(
                _seconds(best, base),
                None if damaged else frame,
                _seconds(frame.duration, base) or 0.0,
                matrix,
                frame.pts,
                None if frame.pts is None else entries.pop(frame.pts, None),
                transfer,
            )
    while missing and started:
        at = heapq.heappop(missing)
        yield Decoded(_seconds(at, base), None, stamp=at)


def _transfer(frame: VideoFrame, stream: VideoStream) -> int:
    """Transfer function of a stream (code of ITU-T H.273); 0 if this PyAV does not know it."""
    return int(getattr(frame, "color_trc", 0) or getattr(stream.codec_context, "color_trc", 0) or 0)


def _seconds(pts: int | None, time_base: Any) -> float | None:
    # The base is a Fraction, and from PyAV 19 on an AVRational.
    return None if pts is None or time_base is None else float(pts * time_base)


def to_rgb(item: Decoded, where: str, scale: Range | None = None) -> Image:
    """Convert a frame to an upright image, RGB (H, W, 3), uint8; deeper values use ``scale``."""
    return _upright_levels(item, where, scale, np.uint8)


def to_deep_rgb(item: Decoded, where: str, scale: Range | None = None) -> UInt16Array:
    """Convert a frame to an upright image, RGB (H, W, 3), uint16: 65535 is white."""
    return _upright_levels(item, where, scale, np.uint16)


def _upright_levels(
    item: Decoded, where: str, scale: Range | None, kind: type[LevelKind]
) -> npt.NDArray[LevelKind]:
    if item.frame is None:
        raise DamageError(f"{where} is damaged")
    check_pixels(item.frame.height, item.frame.width, where)
    if item.transfer in (PQ, HLG):
        wide = np.asarray(item.frame.to_ndarray(format="rgb48le", **ONE_THREAD), np.uint16)
        image = to_sdr(wide, hlg=item.transfer == HLG, kind=kind)
    elif scale is not None and (bits := deep_bits(item.frame)):
        image = scale.to_levels(frame_values(item.frame, bits), kind)
        image = image if image.ndim == 3 else np.repeat(image[..., None], 3, 2)
    else:
        form = "rgb24" if kind is np.uint8 else "rgb48le"
        image = np.asarray(item.frame.to_ndarray(format=form, **ONE_THREAD), kind)
    return image if item.matrix is None else turn_upright(image, item.matrix)


def colour_bits(item: Decoded) -> int:
    """Bits per channel in :func:`to_deep_rgb`; 8 if :func:`to_rgb` keeps all."""
    if item.frame is None or item.frame.format.has_palette:
        return 8
    return min(max((int(component.bits) for component in item.frame.format.components), default=8), 16)


def needs_range(item: Decoded) -> bool:
    """Whether a frame has more than 8 bits and no standard range, as grey and RGB."""
    return item.frame is not None and item.transfer not in (PQ, HLG) and deep_bits(item.frame) > 0


def range_of_values(container: av.container.InputContainer) -> Range | None:
    """Find the range of values of a video if its frames need one.

    Args:
        container: newly opened; frames that are spread over it are decoded.

    Returns:
        The range; None where it is that of the format.
    """
    samples: list[npt.NDArray[Any]] = []
    begin, length, bits = container.start_time or 0, container.duration or 0, 16
    for place in range(SAMPLES):
        with suppress(av.error.FFmpegError):  # damage is reported when the frame is wanted
            time = begin + length * place // (SAMPLES - 1)
            if place and length:
                container.seek(time)
            if (frame := _frame_at(container, time / av.time_base)) is not None:
                bits = deep_bits(frame) or bits
                samples.append(frame_values(frame, bits))
    scale = Range.of(samples)
    return None if not samples or (scale.black, scale.white) == (0, (1 << bits) - 1) else scale


def _frame_at(container: av.container.InputContainer, time: float) -> VideoFrame | None:
    """Frame at a time in seconds, or shortly after the key frame before it."""
    stream = video_stream(container)
    group: list[Packet] = []
    for packet in container.demux(stream):
        if packet.is_keyframe:
            group.clear()
        if len(group) < _GROUP:
            group.append(packet)
        at = _seconds(packet.pts, stream.time_base)
        if at is None or at >= time:
            break
    frames = [frame for packet in group for frame in packet.decode()]
    return frames[-1] if frames else None


def display_matrix(frame: VideoFrame) -> DisplayMatrix | None:
    """Display matrix in the side data of a frame, or None."""
    # Asking a frame for its side data ties it into a reference cycle, which keeps its memory until the
    # garbage collector comes. A tiny copy has the same side data.
    entries: Any = frame.reformat(16, 16, "gray", **ONE_THREAD).side_data
    for data in (entries[place] for place in range(len(entries))):
        if data.type == Type.DISPLAYMATRIX:
            return np.frombuffer(bytes(data), np.int32).reshape(3, 3)
    return None


def turn_upright(image: npt.NDArray[Any], matrix: DisplayMatrix) -> npt.NDArray[Any]:
    """Apply a display matrix, rounded to 90 degrees, including mirroring."""
    (a, b), (c, d) = matrix[:2, :2].astype(np.int64).tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        image = image.transpose(1, 0, 2)
        flip_columns, flip_rows = c < 0, b < 0
    else:
        flip_columns, flip_rows = a < 0, d < 0
    image = image[:, ::-1] if flip_columns else image
    image = image[::-1] if flip_rows else image
    return np.ascontiguousarray(image)


def turned_by(matrix: DisplayMatrix | None) -> int:
    """Counterclockwise quarter turns of a display matrix, ignoring mirroring."""
    if matrix is None:
        return 0
    corner = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    turned = turn_upright(corner, matrix)
    return next((k for k in range(4) if np.array_equal(np.rot90(corner, k), turned)), 0)


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Aspect ratio of a pixel, width by height."""
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return Fraction(aspect) if aspect else Fraction(1)


def frame_rate(stream: VideoStream) -> float | None:
    """Frame rate according to the file, or None."""
    # The mean is missing in Ogg, and that of raw DV is its clock.
    rates = [float(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate]
    return next((rate for rate in rates if rate <= _MAX_FRAMES), None)


def promised_end(stream: VideoStream) -> float | None:
    """End time of the stream according to the header, or None."""
    if stream.duration and stream.time_base:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    duration_text = {key.upper(): value for key, value in stream.metadata.items()}.get("DURATION", "")
    if match := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", duration_text):  # of Matroska, from time 0 on
        hours, minutes, seconds = match.groups()
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return None
