"""Keep the packets of a live stream, and cut clips without a codec."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import av
import av.error
from av.packet import Packet as AvPacket
from av.video.stream import VideoStream

from segue.errors import SinkError
from segue.video.decoding.sound import SoundParameters, sound_writer

KEEP_SECONDS = 8.0
"""Seconds of buffered packets: a clip begins some seconds before its event is known."""

MAX_BYTES = 64 << 20
"""Bytes of packets that are kept at most, as of streams whose key frames are minutes apart."""

_CODEC = "h264"
"""All browsers play it."""


@dataclass(frozen=True, slots=True)
class _StreamPacket:
    """A packet, with times in seconds of its stream."""

    data: bytes
    pts: int
    dts: int
    duration: int
    time_base: Fraction
    is_keyframe: bool

    @classmethod
    def of(cls, packet: Any) -> _StreamPacket | None:
        """Copy a packet of a container; None without a time."""
        if packet.pts is None or packet.time_base is None:
            return None
        dts = packet.pts if packet.dts is None else packet.dts
        base = Fraction(packet.time_base.numerator, packet.time_base.denominator)
        return cls(bytes(packet), packet.pts, dts, packet.duration or 0, base, packet.is_keyframe)

    @property
    def stamp(self) -> float:
        return float(self.pts * self.time_base)

    def for_sound(self) -> AvPacket[Any]:
        """Convert to a packet of PyAV."""
        packet = AvPacket(self.data)
        packet.time_base, packet.pts, packet.dts, packet.duration = (
            self.time_base,
            self.pts,
            self.dts,
            self.duration,
        )
        return packet


@dataclass(slots=True)
class _Connection:
    """Packets of a stream during one connection; ``head`` are its parameters."""

    number: int
    head: bytes
    packets: deque[_StreamPacket]
    times: list[float]  # of frames
    stamps: list[float]  # of the same frames, in seconds of the stream
    sound: deque[_StreamPacket] = field(default_factory=deque)
    knows_sound: bool = False
    sound_head: SoundParameters | None = None  # None where it cannot be kept

    @property
    def num_bytes(self) -> int:
        """Size of all packets."""
        return sum(len(each.data) for each in (*self.packets, *self.sound))

    def stamp_of(self, time: float) -> float:
        """Time stamp of a moment, relative to the frame before it or the first one."""
        place = max(0, bisect_right(self.times, time + 1e-9) - 1)
        return self.stamps[place] + time - self.times[place]

    def forget(self, time: float) -> int:
        """Drop packets before a moment, except its key frame; returns the dropped bytes."""
        stamp, dropped = self.stamp_of(time), 0
        keys = [place for place, each in enumerate(self.packets) if each.is_keyframe and each.stamp <= stamp]
        for _ in range(keys[-1] if keys else 0):
            dropped += len(self.packets.popleft().data)
        dropped += self.forget_sound()
        past = max(0, bisect_right(self.times, time) - 1)
        del self.times[:past], self.stamps[:past]
        return dropped

    def forget_sound(self) -> int:
        """Drop sound before the first frame; returns the dropped bytes."""
        dropped = 0
        begin = self.packets[0].stamp if self.packets else float("inf")
        while self.sound and self.sound[0].stamp < begin:
            dropped += len(self.sound.popleft().data)
        return dropped


@dataclass(frozen=True, slots=True)
class Cut:
    """Section of a stream that begins with a key frame."""

    _connection: _Connection
    _packets: list[_StreamPacket]
    _sound: list[_StreamPacket]

    def time_of(self, time: float) -> float:
        """Convert a moment of the source to seconds from the start of the section."""
        return self._connection.stamp_of(time) - self._packets[0].stamp

    def write(self, path: Path) -> None:
        """Write as MP4 with sound; SinkError if FFmpeg refuses it."""
        head = BytesIO(self._connection.head + self._packets[0].data)
        zero = self._packets[0].pts
        try:
            with (
                av.open(head, format=_CODEC) as parameters,
                ExitStack() as sounds,
                av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as output,
            ):
                stream = output.add_stream_from_template(parameters.streams.video[0])
                make_sound = None
                if self._sound and self._connection.sound_head is not None:
                    source = sounds.enter_context(self._connection.sound_head.open())
                    make_sound = sound_writer(source.streams.audio[0], output, self._packets[0].stamp)
                sound = deque(self._sound if make_sound is not None else ())
                last = None
                for each in self._packets:
                    while make_sound is not None and sound and sound[0].stamp <= each.stamp:
                        output.mux(make_sound(sound.popleft().for_sound()))
                    packet = AvPacket(each.data)
                    packet.stream, packet.time_base = stream, each.time_base
                    # Some cameras give packets of one moment twice, which no file may have.
                    dts = each.dts - zero if last is None else max(each.dts - zero, last + 1)
                    packet.dts, packet.pts = dts, max(each.pts - zero, dts)
                    packet.duration, packet.is_keyframe = each.duration, each.is_keyframe
                    output.mux(packet)
                    last = dts
                if make_sound is not None:
                    for each in sound:
                        output.mux(make_sound(each.for_sound()))
                    output.mux(make_sound.rest())
        except (av.error.FFmpegError, ValueError) as error:
            raise SinkError(f"{path}: its packets cannot be written ({error})") from error


class PacketBuffer:
    """Last packets of a live stream, filled by the reader's thread and cut by others.

    Only H.264 as RTSP and MPEG-TS have it, with parameters beside its key frames, is kept.

    Attributes:
        enabled: whether packets are needed.
        has_sound: whether the sound of the stream is kept, too.
        keep_seconds: seconds of packets that are kept.
    """

    def __init__(self) -> None:
        self.enabled, self.has_sound, self.keep_seconds = False, True, KEEP_SECONDS
        self._lock = threading.Lock()
        self._numbers = count()
        self._connections: deque[_Connection] = deque()
        self._bytes = 0
        self._holds: dict[object, float] = {}  # moments from which on somebody needs them

    @property
    def is_filled(self) -> bool:
        """Whether packets are kept."""
        with self._lock:
            return bool(self._connections) and bool(self._connections[-1].times)

    @property
    def is_own(self) -> bool:
        """Whether the reader that decodes the stream fills the buffer."""
        return self.enabled

    def enable(self) -> None:
        """Begin to keep packets."""
        self.enabled = True

    def close(self) -> None:
        """Stop keeping packets; existing ones stay."""

    def begin(self, stream: VideoStream) -> None:
        """Begin a new connection; one with an unsupported stream drops all packets."""
        context = stream.codec_context
        head = bytes(context.extradata or b"")
        with self._lock:
            self._connections.append(_Connection(next(self._numbers), head, deque(), [], []))
            if context.name != _CODEC or head[:1] == b"\1":
                self._forget_all()

    def refuse(self) -> None:
        """Keep no packets of this connection, such as of a rotated stream."""
        with self._lock:
            self._forget_all()

    def _forget_all(self) -> None:
        self._connections.clear()
        self._bytes = 0

    def add(self, packet: Any) -> None:
        """Add a packet in order of decoding."""
        stream_packet = _StreamPacket.of(packet)
        with self._lock:
            if not self._connections or stream_packet is None:
                return
            packets = self._connections[-1].packets
            if not packets and not stream_packet.is_keyframe:
                return
            packets.append(stream_packet)
            self._count(stream_packet)

    def add_sound(self, packet: Any) -> None:
        """Add a packet of the first sound stream; dropped before the first key frame."""
        stream_packet = _StreamPacket.of(packet) if self.enabled and self.has_sound else None
        with self._lock:
            if not self._connections or stream_packet is None:
                return
            newest = self._connections[-1]
            if not newest.packets or stream_packet.stamp < newest.packets[0].stamp:
                return
            if not newest.knows_sound:
                newest.knows_sound, newest.sound_head = True, SoundParameters.of(packet)
            if newest.sound_head is not None:
                newest.sound.append(stream_packet)
                self._count(stream_packet)

    def _count(self, packet: _StreamPacket) -> None:
        self._bytes += len(packet.data)
        while self._bytes > MAX_BYTES and self._connections:
            self._drop_group()

    def note(self, stamp: float | None, time: float) -> None:
        """Note the time of a frame in the source."""
        with self._lock:
            if not self._connections or stamp is None:
                return
            newest = self._connections[-1]
            newest.times.append(time)
            newest.stamps.append(stamp)
            since = min([time - self.keep_seconds, *self._holds.values()])
            while len(self._connections) > 1 and (
                not self._connections[0].times or self._connections[0].times[-1] < since
            ):
                self._bytes -= self._connections.popleft().num_bytes
            self._bytes -= self._connections[0].forget(since)

    def hold(self, owner: object, time: float) -> None:
        """Keep packets from a moment on until :meth:`release`."""
        with self._lock:
            self._holds[owner] = time

    def release(self, owner: object) -> None:
        """End a :meth:`hold`."""
        with self._lock:
            self._holds.pop(owner, None)

    def cut(self, first: float, until: float) -> Cut | None:
        """Cut the stream between two moments of the source, as far as packets are kept.

        Args:
            first: seconds of the source; the part begins with the key frame before.
            until: seconds of the source.

        Returns:
            A part of one connection; None without packets.
        """
        with self._lock:
            for connection in self._connections:
                if not connection.times or connection.times[-1] < first:
                    continue
                begin, end = connection.stamp_of(first), connection.stamp_of(min(until, connection.times[-1]))
                packets = [*connection.packets]
                keys = [place for place, each in enumerate(packets) if each.is_keyframe]
                start = max(
                    (key for key in keys if packets[key].stamp <= begin), default=min(keys, default=0)
                )
                zero = packets[start].pts if packets else 0
                selected = [
                    each
                    for each in packets[start:]
                    if each.pts >= zero and float(each.dts * each.time_base) <= end + 1e-6
                ]
                if selected:
                    times, stamps = [*connection.times], [*connection.stamps]
                    still = replace(connection, packets=deque(), times=times, stamps=stamps, sound=deque())
                    last = max(each.stamp for each in selected)
                    sound = [each for each in connection.sound if selected[0].stamp <= each.stamp <= last]
                    return Cut(still, selected, sound)
            return None

    def _drop_group(self) -> None:
        """Drop the oldest packets up to the next key frame."""
        oldest = self._connections[0]
        while oldest.packets:
            self._bytes -= len(oldest.packets.popleft().data)
            if oldest.packets and oldest.packets[0].is_keyframe:
                self._bytes -= oldest.forget_sound()
                return
        self._bytes -= oldest.forget_sound()
        if len(self._connections) > 1:
            self._connections.popleft()
