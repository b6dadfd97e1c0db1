"""Copy the sound of video files into the videos that segue writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import av.error
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from segue.errors import SourceError
from segue.utils.notices import notice
from segue.video.decoding.decode import Clock, describe, open_container, owned_container

if TYPE_CHECKING:
    AudioPacket = Packet[AudioStream]

_MARGIN = 2.0
"""Seconds before a part at which the search for its sound starts."""

_PLAYED = {
    "mp4": frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"}),
    "mov": frozenset({"aac", "ac3", "alac", "mp3", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"}),
    "webm": frozenset({"opus", "vorbis"}),
}
"""Codecs that players play in a container; more may be stored there."""

_ENCODERS = {"opus": "libopus"}
"""Encoders of codecs whose native encoder in FFmpeg is experimental."""

_USUAL_RATE = 48_000
"""Sample rate if an encoder does not support that of the source."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Sound of a video file.

    Attributes:
        path: the file.
        zero: time of frame 0 in the file, in seconds.
    """

    path: Path
    zero: float

    @classmethod
    def of(cls, path: Path, container: InputContainer, zero: float | None) -> Sound | None:
        """Sound of an open video file; None if it has none."""
        has_codec = any(stream.codec_context is not None for stream in container.streams.audio)
        return cls(path, zero or 0.0) if has_codec else None


def copy_sound(
    sound: Sound | None, output: OutputContainer, begin: float, fps: float, first: float
) -> SoundCopy | None:
    """Create a :class:`SoundCopy`; None without sound, or with a notice if it cannot be read."""
    try:
        return None if sound is None else SoundCopy(sound, output, begin, fps, first)
    except (SourceError, av.error.FFmpegError) as error:
        notice(f"{sound and sound.path}: its sound is not copied ({describe(error)})")
        return None


class SoundCopy:
    """Copies sound into a video while it is written.

    Packets are copied as they are if players know the codec in the container; other codecs are encoded anew,
    with the default of the container. Sound that cannot be read ends earlier,
    with a notice; the video continues.

    Args:
        sound: the sound.
        output: the video, before anything is written to it.
        begin: time in seconds of the source at which the video begins.
        fps: mean frames a second.
        first: time of its first frame; earlier sound is left out.
    """

    def __init__(self, sound: Sound, output: OutputContainer, begin: float, fps: float, first: float) -> None:
        self._sound, self._output, self._step = sound, output, 1 / fps
        self._time = self._end = first
        self._owned = ExitStack()
        container = open_container(f"file:{sound.path}", str(sound.path))
        self._owned.enter_context(owned_container(container))
        stream = container.streams.best("audio")
        assert isinstance(stream, AudioStream)
        self._make: _Copier | _Encoder
        if is_copied(stream, output):
            self._make = _Copier(stream, output, sound.zero + begin)
        else:
            self._make = _Encoder(stream, output, sound.zero + begin, first - begin)
        self._packets = self._timed(container, stream, first)
        self._next = next(self._packets, None)

    def advance(self, time: float) -> None:
        """Write the sound up to the end of a frame, given by its time in the source."""
        self._time, self._end = time, time + max(self._step, time - self._time)
        while self._next is not None and self._next[0] < self._end:
            self._output.mux(self._make(self._next[1]))
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Write the rest of the encoder, and close the source."""
        with self._owned:
            self._output.mux(self._make.rest())

    def abort(self) -> None:
        """Close the source."""
        self._owned.close()

    def _timed(
        self, container: InputContainer, stream: AudioStream, first: float
    ) -> Iterator[tuple[float, AudioPacket]]:
        """Packets from a time on, with times in seconds of the source."""
        try:
            clock = Clock()
            if first > 2 * _MARGIN:
                container.seek(int((first + self._sound.zero - _MARGIN) * av.time_base))
            for packet in container.demux(stream):
                clock.restamp(packet)  # a second recording in the file goes on after the first
                if packet.pts is None or packet.time_base is None or not packet.size:
                    continue
                time = float(packet.pts * packet.time_base) - self._sound.zero
                duration = float((packet.duration or 0) * packet.time_base)
                if time + (duration if isinstance(self._make, _Encoder) else 0.0) >= first:
                    yield time, packet
        except (av.error.FFmpegError, OSError) as error:
            notice(f"{self._sound.path}: its sound is read up to {self._end:.1f} s only ({describe(error)})")


@dataclass(frozen=True, slots=True)
class SoundParameters:
    """Parameters of a sound stream that outlive its container: a file in memory with one packet."""

    format: str
    data: bytes

    @classmethod
    def of(cls, packet: AudioPacket) -> SoundParameters | None:
        """Parameters of the stream of a packet; None if FFmpeg cannot store it."""
        stream = packet.stream
        has_adts = stream.codec_context.name == "aac" and not stream.codec_context.extradata
        name, file = "mpegts" if has_adts else "nut", BytesIO()
        try:
            with av.open(file, "w", format=name) as container:
                copy = Packet(bytes(packet))
                copy.stream = container.add_stream_from_template(stream)
                copy.time_base, copy.pts, copy.dts = packet.time_base, packet.pts, packet.dts
                container.mux(copy)
        except (av.error.FFmpegError, ValueError):
            return None
        return cls(name, file.getvalue())

    def open(self) -> InputContainer:
        """Open the stream; the packets to copy are not in it."""
        return av.open(BytesIO(self.data), "r", format=self.format)


def sound_writer(stream: AudioStream, output: OutputContainer, begin: float) -> _Copier | _Encoder:
    """Create the writer of a video's sound, see :class:`SoundCopy`.

    Args:
        stream: the sound stream.
        output: the video, before anything is written to it.
        begin: time in seconds of the stream at which the video begins.

    Returns:
        Called with each packet of the stream, it gives those of the video.
    """
    if is_copied(stream, output):
        return _Copier(stream, output, begin)
    return _Encoder(stream, output, begin, 0.0)


def is_copied(stream: AudioStream, output: OutputContainer) -> bool:
    """Whether players play a copied stream in a container."""
    return stream.codec_context.codec.canonical_name in _PLAYED.get(output.format.name, ())


class _Copier:
    """Copies packets, with times from the start of the video."""

    def __init__(self, source: AudioStream, output: OutputContainer, begin: float) -> None:
        self._stream, self._begin = output.add_stream_from_template(source), begin

    def __call__(self, packet: AudioPacket) -> list[AudioPacket]:
        assert packet.time_base is not None
        assert packet.pts is not None
        shift = round(self._begin / packet.time_base)
        packet.dts = (packet.pts if packet.dts is None else packet.dts) - shift
        packet.pts = packet.pts - shift
        packet.stream = self._stream
        return [packet]

    def rest(self) -> list[AudioPacket]:
        """Remaining packets at the end."""
        return []


class _Encoder:
    """Encodes packets with the default codec of a container, from ``first`` seconds of the video on."""

    def __init__(self, source: AudioStream, output: OutputContainer, begin: float, first: float) -> None:
        codec = output.default_audio_codec
        name = _ENCODERS.get(codec, codec)
        rate, rates = source.codec_context.sample_rate, av.Codec(name, "w").audio_rates
        rate = rate if not rates or rate in rates else _USUAL_RATE
        self._source: Any = source
        self._stream: Any = cast(Any, output.add_stream(name, rate=rate))
        self._stream.layout = "mono" if source.codec_context.channels == 1 else "stereo"
        self._stream.codec_context.open()
        context: Any = self._stream.codec_context
        self._resampler = AudioResampler(context.format, context.layout, rate, context.frame_size or None)
        self._begin, self._first = begin, round(first * rate)

    def __call__(self, packet: AudioPacket | None) -> list[AudioPacket]:
        encoded: list[AudioPacket] = []
        try:
            frames = self._source.codec_context.decode(packet)
        except av.error.InvalidDataError:  # damaged: a moment without sound
            frames = []
        for frame in frames:
            if frame.pts is None:
                continue
            frame.pts -= round(self._begin / frame.time_base)
            encoded += self._encoded(frame)
        return encoded

    def rest(self) -> list[AudioPacket]:
        """Remaining packets at the end."""
        return [*self(None), *self._encoded(None), *self._stream.encode(None)]

    def _encoded(self, frame: Any) -> list[AudioPacket]:
        return [
            packet
            for part in self._resampler.resample(frame)
            if part.pts is not None and part.pts >= self._first
            for packet in self._stream.encode(part)
        ]
