"""Clips of the packets of a stream as they came, with the outlines of objects beside them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from av.audio.resampler import AudioResampler

from segue.events import EventSink
from segue.events.archive import pending_path
from segue.events.images.outlines import append_outlines, outlines_of, read_outlines
from segue.events.images.snapshots import Snapshots
from segue.types import Frame, ObjectInfo, Segmentation
from segue.video.decoding.decode import decode, to_rgb
from segue.video.decoding.packets import PacketBuffer
from tests.cli.running import Command

SIZE, FPS, GOP = (96, 128), 25, 20


def image(index: int) -> np.ndarray[Any, Any]:
    """A square that goes to the right by two pixels a frame, on grey."""
    shown = np.full((*SIZE, 3), 90, np.uint8)
    shown[40:60, 2 * index % 100 : 2 * index % 100 + 20] = 220
    return shown


def stream(
    frames: int, codec: str = "libx264", start: int = 0, sound: str = "", container_format: str = "mpegts"
) -> bytes:
    """A stream as a camera sends it, whose stamps begin anywhere, and a tone that gets louder."""
    file = io.BytesIO()
    with av.open(file, "w", format=container_format) as container:
        video = container.add_stream(codec, rate=FPS)
        video.height, video.width, video.pix_fmt = *SIZE, "yuv420p"
        video.options, video.gop_size = {"bf": "2", "qp": "10"}, GOP
        tone: Any = cast(Any, container.add_stream(sound, rate=RATE)) if sound else None
        if tone is not None:
            tone.layout = "mono"
            tone.codec_context.open()
            context = tone.codec_context
            resampler = AudioResampler(context.format, "mono", RATE, context.frame_size or None)
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(image(index), "rgb24")
            frame.pts = start + index
            container.mux(video.encode(frame))
            if tone is not None:
                for part in resampler.resample(loudness(index, start)):
                    container.mux(tone.encode(part))
        container.mux(video.encode())
        if tone is not None:
            container.mux(tone.encode())
    return file.getvalue()


RATE = 8000


def loudness(index: int, start: int) -> av.AudioFrame:
    """The sound of a frame: a tone whose level tells the index."""
    length = RATE // FPS
    times = np.arange((start + index) * length, (start + index + 1) * length)
    level = 1000 + 60 * index
    samples = (level * np.sin(2 * np.pi * 400 * times / RATE)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts = RATE, int(times[0])
    return frame


def levels_of(clip: Path) -> list[tuple[float, float]]:
    """Times of the sound of a clip, and the indices of frames that its levels tell."""
    with av.open(str(clip)) as container:
        parts = [(float(part.time), part.to_ndarray(), part) for part in container.decode(audio=0)]
    heard = []
    for time, values, part in parts:
        scale = 32768.0 if values.dtype.kind == "f" else 1.0
        peak = float(np.abs(values.astype(np.float64)).max()) * scale
        heard.append((time + part.samples / part.sample_rate / 2, (peak - 1000) / 60))
    return heard


class Watched:
    """Runs a stream through events as a live run does, every fifth frame."""

    def __init__(self, folder: Path, packets: PacketBuffer | None, **options: float) -> None:
        self.folder, self.packets, self.time = folder / "gate", packets, 0.0
        self.snapshots = Snapshots(self.folder, 5.0, live=True, packets=packets, **options)
        noon = datetime(2026, 11, 27, 12, 0).astimezone()
        self.sink = EventSink(
            folder / "gate.csv",
            live=True,
            snapshots=self.snapshots,
            at=lambda time: noon + timedelta(seconds=time),
        )

    def see(self, data: bytes, moving: range, offset: float = 0.0, sound: bytes = b"") -> None:
        """Take the frames of a connection, and sound of another file; an object is in some frames."""
        with ExitStack() as stack:
            container = stack.enter_context(av.open(io.BytesIO(data)))
            heard = iter(_sound_packets(stack, sound, (container.start_time or 0) / av.time_base))
            waiting = next(heard, None)
            video, packets = container.streams.video[0], self.packets
            if packets is not None:
                packets.begin(video)
            keeps = (None, None) if packets is None else (packets.add, packets.add_sound)
            items = decode(container, video, on_packet=keeps[0], on_sound=keeps[1])
            for index, item in enumerate(items):
                self.time = offset + index / FPS
                while packets is not None and waiting is not None and waiting[0] <= (item.time or 0.0):
                    packets.add_sound(waiting[1])
                    waiting = next(heard, None)
                if packets is not None:
                    packets.note(item.time, self.time)
                if index % 5 == 0:
                    self.write(Frame(index, self.time, to_rgb(item, "frame")), index in moving)

    def write(self, frame: Frame, moving: bool) -> None:
        mask = (
            np.where(frame.image[..., 0] > 160, 7, 0).astype(np.uint8) if moving else np.zeros(SIZE, np.uint8)
        )
        objects = (ObjectInfo(7, "box"),) if moving else ()
        self.sink.write(frame, Segmentation(frame.index, frame.time, mask, objects))

    def clip(self) -> Path:
        """The first one."""
        return min(self.folder.glob("*.mp4"))


def _sound_packets(stack: ExitStack, data: bytes, begin: float) -> Iterator[tuple[float, Any]]:
    """Packets of the sound of a file with their times, as if it began at a moment of a stream."""
    if not data:
        return
    container: Any = stack.enter_context(av.open(io.BytesIO(data)))
    for packet in container.demux(audio=0):
        if packet.size:
            shift = round(begin / packet.time_base)
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            yield float(packet.pts * packet.time_base), packet


def frames_of(clip: Path) -> list[tuple[float, np.ndarray[Any, Any]]]:
    with av.open(str(clip)) as container:
        return [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def left_of(shown: np.ndarray[Any, Any]) -> int:
    """Where the square begins."""
    return int(np.argmax(shown[50, :, 0] > 160))


@pytest.mark.parametrize("start", [0, 25 * 3600])
def test_a_clip_is_the_stream_as_it_came_with_outlines_beside_it(tmp_path: Path, start: int) -> None:
    watched = Watched(tmp_path, PacketBuffer())
    watched.packets.enabled = True  # type: ignore[union-attr]
    watched.see(stream(300, start=start), range(120, 150))
    watched.sink.close()
    shown = frames_of(watched.clip())
    places = [left_of(each) for _, each in shown]
    first = next(index for index in range(300) if left_of(image(index)) == places[0] and index % GOP == 0)
    assert places == [left_of(image(first + number)) for number in range(len(shown))], "each frame, once"
    assert len(shown) > 5 * FPS, "at the rate of the camera, not of the analysis"
    track = json.loads(read_outlines(watched.clip()) or b"")
    outlined = [(time, objects) for time, objects in track["frames"] if objects]
    assert len(outlined) == 6
    for time, [[number, label, [corners]]] in outlined:
        assert (number, label) == (7, "box")
        place = min(range(len(shown)), key=lambda index: abs(shown[index][0] - time))
        assert abs(shown[place][0] - time) < 0.01
        left = min(corners[::2]) * SIZE[1] / track["steps"]
        assert abs(left - left_of(shown[place][1])) < 2, "it is drawn where the object is"
    images = sorted(path.name for path in watched.folder.glob("*.jpg"))
    assert [name[6:] for name in images] == ["enter-7.jpg", "leave-7.jpg"]
    assert not pending_path(watched.clip()).exists()


@pytest.mark.parametrize(
    ("sound", "container", "start"),
    [("aac", "mpegts", 0), ("aac", "mpegts", 25 * 3600), ("aac", "matroska", 0), ("pcm_alaw", "mov", 0)],
)
def test_a_clip_has_the_sound_of_its_images(tmp_path: Path, sound: str, container: str, start: int) -> None:
    """AAC is copied, and encoded of what browsers do not play, such as the sound of many RTSP cameras."""
    watched = Watched(tmp_path, PacketBuffer())
    watched.packets.enabled = True  # type: ignore[union-attr]
    sounding = stream(300, start=start, sound=sound, container_format=container)
    if container == "mpegts":
        watched.see(sounding, range(120, 150))
    else:
        watched.see(stream(300), range(120, 150), sound=sounding)
    watched.sink.close()
    clip = watched.clip()
    with av.open(str(clip)) as opened:
        assert [each.codec_context.name for each in opened.streams.audio] == ["aac"]
    shown = [(time, left_of(each)) for time, each in frames_of(clip)]
    first = next(index for index in range(300) if left_of(image(index)) == shown[0][1] and index % GOP == 0)
    heard = [each for each in levels_of(clip) if 0.3 < each[0] < shown[-1][0] - 0.3]
    assert len(heard) > 20
    late = [index - (first + time * FPS) for time, index in heard]
    assert abs((float(np.median(late)) + 25) % 50 - 25) < 4, "images repeat after 50 frames"


def test_a_clip_has_no_sound_if_nobody_wants_it(tmp_path: Path) -> None:
    watched = Watched(tmp_path, PacketBuffer())
    watched.packets.enabled, watched.packets.has_sound = True, False  # type: ignore[union-attr]
    watched.see(stream(300, sound="aac"), range(120, 150))
    watched.sink.close()
    with av.open(str(watched.clip())) as opened:
        assert not opened.streams.audio


def test_a_clip_reaches_as_far_back_as_is_asked_for(tmp_path: Path) -> None:
    watched = Watched(tmp_path, PacketBuffer(), before=14.0, after=5.0)
    watched.packets.enabled = True  # type: ignore[union-attr]
    watched.see(stream(700), range(420, 450))
    watched.sink.close()
    shown = frames_of(watched.clip())
    # 14 s before the event, and 5 s after the object has left; the first one is a key frame.
    assert 14 + 1 + 5 <= len(shown) / FPS <= 14 + 1 + 5 + 2


@pytest.mark.parametrize("clips", ["packets", "overlay"])
def test_a_camera_of_h264_has_clips_as_they_came(tmp_path: Path, command: Command, clips: str) -> None:
    file = tmp_path / "now.ts"
    file.write_bytes(stream(120))
    source, table = f"follow://{file}", tmp_path / "gate.csv"
    options = ["--model", "median", "--device", "cpu", "--fps", "5", "--when-late", "all", "--clips", clips]
    outcome = command("foreground", source, "--events", table, "--duration", "2.6", *options)
    assert outcome.code == 0, outcome
    clip = min((tmp_path / "gate").glob("*.mp4"))
    assert (read_outlines(clip) is not None) == (clips == "packets")
    with av.open(str(clip)) as container:
        rate = container.streams.video[0].average_rate
    assert rate is not None
    assert round(rate) == (25 if clips == "packets" else 5)


def test_after_a_loss_a_clip_has_one_connection(tmp_path: Path) -> None:
    watched = Watched(tmp_path, PacketBuffer())
    watched.see(stream(150), range(120, 150))
    watched.see(stream(150, start=9000), range(0), offset=20.0)
    watched.sink.close()
    places = [left_of(each) for _, each in frames_of(watched.clip())]
    assert places[-1] == left_of(image(149))


@pytest.mark.parametrize("codec", ["mpeg2video", "libx265"])
def test_streams_that_browsers_do_not_play_are_encoded(tmp_path: Path, codec: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"no {codec} here")
    watched = Watched(tmp_path, PacketBuffer())
    watched.see(stream(100, codec), range(30, 60))
    assert not watched.packets.is_filled  # type: ignore[union-attr]
    watched.sink.close()
    assert read_outlines(watched.clip()) is None
    assert len(frames_of(watched.clip())) == 20, "those of the analysis"


def test_packets_of_minutes_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    packets = PacketBuffer()
    data = stream(500)
    with av.open(io.BytesIO(data)) as container:
        video = container.streams.video[0]
        packets.begin(video)
        for item in decode(container, video, on_packet=packets.add):
            packets.note(item.time, item.time or 0.0)
    cut = packets.cut(0.0, 1000.0)
    assert cut is not None
    assert cut.time_of(20.0) < 8.0 + GOP / FPS + 0.1, "eight seconds and the way to a key frame"
    assert packets._bytes == sum(len(each.data) for each in packets._connections[0].packets) < len(data)
    monkeypatch.setattr("segue.video.decoding.packets.MAX_BYTES", 1000)
    with av.open(io.BytesIO(data)) as container:
        for packet in container.demux(video=0):
            if packet.size:
                packets.add(packet)
                assert packets._bytes <= 1000 + packet.size


def test_a_held_clip_stays_longer() -> None:
    packets, kept = PacketBuffer(), {}
    with av.open(io.BytesIO(stream(500))) as container:
        video = container.streams.video[0]
        packets.begin(video)
        for index, item in enumerate(decode(container, video, on_packet=packets.add)):
            if index == 50:
                packets.hold("clip", 1.0)
            packets.note(item.time, index / FPS)
            kept[index] = len(packets._connections[0].packets)
    assert packets.cut(1.0, 19.0) is not None
    assert kept[499] > 450
    packets.release("clip")
    packets.note(1e6, 1e6)
    assert len(packets._connections[0].packets) <= GOP


def test_outlines_are_read_from_our_box_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    for odd in (b"", b"\0\0", b"\0\0\0\0uuid", b"\0\0\0\1uuid" + b"\xff" * 16, b"\xff\xff\xff\xfffree" * 9):
        path.write_bytes(odd)
        assert read_outlines(path) is None
    path.write_bytes(b"\0\0\0\x08free" + b"\0\0\0\x0cmoov1234")
    append_outlines(path, b"{}")
    assert read_outlines(path) == b"{}"
    mask = np.zeros(SIZE, np.uint8)
    mask[10:20, 30:60] = 3
    assert outlines_of(Segmentation(0, 0.0, mask, ())) == [
        (3, None, [[2383, 1094, 2383, 2031, 4648, 2031, 4648, 1094]])
    ]
