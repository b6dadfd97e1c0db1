"""Cameras and network addresses: broken connections are tried again, with patience and an end."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from segue.errors import LoginRefusedError, SourceDamageError, SourceError
from segue.types import Frame, Image
from segue.video import Reconnect, Source, open_source
from segue.video.decoding.damage import DamageError
from segue.video.decoding.readers import ConnectionChange, Reader, SourceImage
from segue.video.sources import byte_streams
from segue.video.sources import live as live_module
from segue.video.sources.addresses import public_address, stored_address
from segue.video.sources.byte_streams import MAX_BYTES_OF_FRAME
from segue.video.sources.live import LiveClock, LiveWarning
from segue.video.sources.span import Span, at_rate
from tests.cli.running import Command
from tests.video.making import busy_images, drawn_image, level, write_video

QUICK = Reconnect(tries=3, first_delay=0.001, max_delay=0.002, timeout=5.0)


class Server:
    """HTTP server on the loopback address that answers one request after the other with given replies.

    Each answer is a number of bytes of ``content`` to send before the connection is cut, or None to refuse.
    The last answer is repeated.
    """

    def __init__(
        self,
        content: bytes,
        answers: list[int | None],
        *,
        tell_length: bool,
        ranges: bool = False,
        kind: str = "",
    ) -> None:
        self.requests = 0
        self.begins: list[int] = []
        lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with lock:
                    answer = answers[min(owner.requests, len(answers) - 1)]
                    owner.requests += 1
                if answer is None:
                    self.send_error(503)
                    return
                asked = self.headers.get("Range") if ranges else None
                begin = 0 if asked is None else int(asked.removeprefix("bytes=").split("-")[0])
                owner.begins.append(begin)
                self.send_response(206 if ranges else 200)
                if ranges:
                    self.send_header("Accept-Ranges", "bytes")
                    self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
                if kind:
                    self.send_header("Content-Type", kind)
                if tell_length:
                    self.send_header("Content-Length", str(len(content) - begin))
                self.end_headers()
                self.wfile.write(content[begin : begin + answer])

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def address(self, name: str) -> str:
        return f"http://user:secret@127.0.0.1:{self._server.server_port}/{name}?key=hidden"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(
        content: bytes,
        answers: list[int | None],
        *,
        tell_length: bool = False,
        ranges: bool = False,
        kind: str = "",
    ) -> Server:
        servers.append(Server(content, answers, tell_length=tell_length, ranges=ranges, kind=kind))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def stream(tmp_path: Path) -> bytes:
    """A transport stream of 20 frames, every one a key frame."""
    options = {"g": "1", "tune": "zerolatency"}
    return write_video(tmp_path / "a.ts", [drawn_image(i) for i in range(20)], options=options).read_bytes()


def test_a_live_stream_goes_on_after_a_cut_and_is_given_up_in_the_end(
    serve: Callable[..., Server], stream: bytes
) -> None:
    server = serve(stream, [len(stream) // 2, len(stream), None])
    source = open_source(server.address("gate.ts"), when_late="all", reconnect=QUICK)
    frames = []
    with pytest.raises(SourceError) as error:
        frames.extend(source)
    assert source.name == "gate"
    assert source.size == (48, 64)
    assert source.endless
    assert server.requests >= 4
    assert len(frames) > 20  # about ten of the first connection, all of the second
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert (np.diff([frame.time for frame in frames]) > 0).all()
    values = [round(float(frame.image.mean())) for frame in frames]
    assert values[-20:] == pytest.approx([level(i) for i in range(20)], abs=3)
    assert "secret" not in str(error.value)
    assert "hidden" not in str(error.value)


def test_a_video_behind_an_address_is_read_on_where_it_broke_and_ends_at_its_end(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.mkv", [drawn_image(i) for i in range(20)], options={"g": "1"})
    content = path.read_bytes()
    server = serve(content, [len(content) // 2, len(content)], tell_length=True)
    source = open_source(server.address("video.mkv"), reconnect=QUICK)
    frames = list(source)
    assert not source.endless
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.time for frame in frames] == pytest.approx(np.arange(20) / 10, abs=2e-3)
    values = [round(float(frame.image.mean())) for frame in frames]
    assert values == pytest.approx([level(i) for i in range(20)], abs=3)
    assert server.requests >= 2


@pytest.fixture
def bare(tmp_path: Path) -> bytes:
    """A video of 20 images that says nowhere how long it is."""
    return write_video(
        tmp_path / "a.mjpeg",
        [drawn_image(i) for i in range(20)],
        codec="mjpeg",
        pixels="yuvj420p",
        options={},
    ).read_bytes()


def test_a_body_of_known_length_ends_where_it_ends(serve: Callable[..., Server], bare: bytes) -> None:
    server = serve(bare, [len(bare)], tell_length=True)
    frames = list(open_source(server.address("video.mjpeg"), reconnect=QUICK))
    assert [frame.index for frame in frames] == list(range(20))
    assert server.requests <= 2


def test_the_rest_of_a_video_that_is_cut_again_and_again_is_asked_for_by_range(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.mp4", busy_images(8), options={"g": "1", "qp": "20"})
    content = path.read_bytes()
    assert len(content) > 40_000
    server = serve(content, [8_000], tell_length=True, ranges=True)
    frames = list(open_source(server.address("video.mp4"), reconnect=QUICK))
    assert len(frames) == 8
    assert sum(begin == 0 for begin in server.begins) <= 3
    assert server.requests < 3 * len(content) / 8_000 + 8


@pytest.mark.parametrize(
    "address",
    ["rtsp://user:secret@host:abc/x", "http://[::1", "rtsp://user:secret@host:99999/x", "http:///x"],
)
def test_an_address_that_is_none_is_reported_without_its_password(address: str) -> None:
    with pytest.raises(SourceError) as error:
        open_source(address)
    assert "secret" not in str(error.value)


def test_the_stored_address_keeps_no_password_and_tells_cameras_apart() -> None:
    stored = stored_address("rtsp://user:secret@host:554/gate?camera=1&key=hidden")
    assert stored.startswith("rtsp://host:554/gate?sha256=")
    assert "secret" not in stored
    assert "hidden" not in stored
    assert stored != stored_address("rtsp://user:secret@host:554/gate?camera=2&key=hidden")


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://me:12/34geheim@127.0.0.1:5554/stream",
        "rtsp://me:p@geheim#1@127.0.0.1:5554/stream",
        "rtsp://me:p@geheim#1@camera/stream",
        "rtsp://me:geheim#1@camera/stream",
        "rtsp://me:geh/geheim@camera/stream",
        "rtsp://me:geheim?1@camera/stream",
        "rtsp://me/you:geheim@127.0.0.1/stream",
        "http://me:1?geheim@[::1]:80/stream",
    ],
)
def test_a_password_with_signs_is_not_shown_and_its_way_out_is(address: str, command: Command) -> None:
    """Signs that end the name of a host: what looks like host and path is a part of the password."""
    outcome = command("foreground", address, "--events", "e.csv", "--retry", "1")
    assert "geheim" not in outcome.err
    for words in ("rtsp://...: ", "# as %23", "/ as %2F", "? as %3F", "${CAM_PASSWORD}"):
        assert words in outcome.complaint.replace("http:", "rtsp:")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("rtsp://me:12/34geheim@camera.local/stream", "rtsp://..."),  # or a host, a port and a path
        ("http://camera:8080/img@2x.jpg", "http://..."),
        ("http://camera/@me/img.jpg", "http://camera/@me/img.jpg"),
        ("http://camera/live?mail=a@b.example", "http://camera/live"),
        ("http://relay:1984/api/stream?src=rtsp://me:geheim@127.0.0.1:554/1", "http://..."),
        ("rtsp://me:p@ss@camera/1", "rtsp://camera/1"),
        (
            "rtsp://1.2.3.4/user=admin&password=geheim&channel=1",
            "rtsp://1.2.3.4/user=***&password=***&channel=1",
        ),
        ("rtsp://1.2.3.4/user=admin_password=geheim_channel=1", "rtsp://1.2.3.4/user=***"),
        ("http://1.2.3.4/monkey=1/cgi;PWD=geheim", "http://1.2.3.4/monkey=1/cgi;PWD=***"),
        ("udp://@:5000", "udp://:5000"),
        ("srt://:9000?mode=listener", "srt://:9000"),
    ],
)
def test_an_address_is_shown_without_what_may_be_a_password(address: str, public: str) -> None:
    assert public_address(address) == public
    assert "geheim" not in stored_address(address)


@pytest.mark.parametrize(
    "pattern",
    [
        "s3://bucket/user={}/video.mp4",
        "rtsp://camera/user=me&password=x&channel={}",
        "http://camera:80/{}@2x.jpg",
    ],
)
def test_sources_whose_path_is_hidden_are_told_apart(pattern: str) -> None:
    stored = [stored_address(pattern.format(name)) for name in ("anna", "bert", "anna")]
    assert stored[0] == stored[2] != stored[1]


def test_an_address_that_never_answers_is_given_up_with_its_reason(serve: Callable[..., Server]) -> None:
    server = serve(b"", [None])
    with pytest.raises(SourceError, match=r"127\.0\.0\.1.* 3 tries") as error:
        list(open_source(server.address("gate.ts"), when_late="all", reconnect=QUICK))
    assert server.requests == 3
    assert "\n" not in str(error.value)


def test_closing_ends_a_long_wait_for_the_next_try(serve: Callable[..., Server], stream: bytes) -> None:
    server = serve(stream, [len(stream), None])
    patient = Reconnect(tries=9, first_delay=3600.0, max_delay=3600.0)
    source = open_source(server.address("a.ts"), when_late="all", reconnect=patient, prefetch=50)
    frames = iter(source)
    assert [next(frames).index for _ in range(20)] == list(range(20))
    source.close()
    assert list(frames) == []
    assert "segue-prefetch" not in {thread.name for thread in threading.enumerate()}


def test_a_server_that_says_nothing_counts_as_failing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/gate.ts"
        hasty = Reconnect(tries=2, first_delay=0.001, timeout=0.05)
        with pytest.raises(SourceError) as error:
            list(open_source(address, when_late="all", reconnect=hasty))
    assert "no answer in time" in str(error.value)


class Camera:
    """Stands in for ``cv2.VideoCapture``: gives as many images as each opening was given."""

    connected = True
    openings: ClassVar[list[int]]
    numbers: ClassVar[list[int]]

    def __init__(self, number: int) -> None:
        self.numbers.append(number)
        self._left = self.openings.pop(0) if self.openings else 0

    def isOpened(self) -> bool:  # noqa: N802
        return self.connected

    def read(self) -> tuple[bool, object]:
        if self._left == 0:
            return False, None
        self._left -= 1
        image = np.zeros((4, 6, 3), np.uint8)
        image[..., 0] = 200  # blue comes first
        return True, image

    def release(self) -> None:
        pass


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> type[Camera]:
    class Ours(Camera):
        openings: ClassVar[list[int]] = []
        numbers: ClassVar[list[int]] = []

    monkeypatch.setattr(live_module.cv2, "VideoCapture", Ours)
    return Ours


@pytest.mark.parametrize("number", ["9" * 5000, "99999999999", 10**30])
def test_a_camera_with_a_number_that_no_system_knows_is_refused(number: int | str) -> None:
    with pytest.raises(SourceError):
        open_source(number)


@pytest.mark.parametrize("number", [2, "2"])
def test_a_camera_is_opened_again_when_it_fails(camera: type[Camera], number: int | str) -> None:
    camera.openings = [3, 0, 2]
    source = open_source(number, when_late="all", reconnect=QUICK)
    frames = []
    with pytest.raises(SourceError):
        frames.extend(source)
    assert source.name == "camera2"
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert frames[0].image[0, 0].tolist() == [0, 0, 200]
    assert camera.numbers == [2] * 5


def test_a_camera_that_is_not_there_is_reported_at_once(camera: type[Camera]) -> None:
    camera.connected = False
    with pytest.raises(SourceError):
        list(open_source(7, reconnect=QUICK))
    assert camera.numbers == [7]


def test_a_stream_that_gave_frames_is_waited_for_and_says_when_it_was_away(
    serve: Callable[..., Server], stream: bytes
) -> None:
    server = serve(stream, [len(stream), *[None] * 8, len(stream), None])
    quick = Reconnect(first_delay=0.001, max_delay=0.002)
    source = open_source(server.address("gate.ts"), when_late="all", reconnect=quick)
    changes: list[ConnectionChange] = []
    source.on_change(changes.append)
    frames = iter(source)
    assert [next(frames).index for _ in range(40)] == list(range(40))
    source.close()
    assert [(change.online, change.frame) for change in changes[:2]] == [(False, 19), (True, 20)]
    assert changes[1].seconds == pytest.approx(changes[1].time - changes[0].time)
    assert "secret" not in str(changes[0])


def test_waits_grow_up_to_half_a_minute_however_long_a_camera_is_away() -> None:
    patience = Reconnect()
    assert [patience.delay(failures) for failures in (1, 2, 3, 7, 100_000)] == [0.5, 1.0, 2.0, 30.0, 30.0]


def timed(arrivals: list[float], stamps: list[float | None]) -> list[float]:
    """The times that a clock gives to frames that arrive with stamps."""
    moments = iter([arrivals[0], *arrivals])  # the first frame also starts the clock
    clock = LiveClock(now=lambda: next(moments))
    return [clock.time_of(stamp) for stamp in stamps]


def test_stamps_that_agree_with_the_clock_smooth_its_times() -> None:
    times = timed([100.0, 100.3, 100.4], [7.0, 7.2, 7.4])
    assert times == pytest.approx([0.0, 0.2, 0.4])


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_stamps_that_jump_by_an_hour_are_set_right_with_one_warning(jump: float) -> None:
    arrivals = [100.0 + index for index in range(10)]
    stamps: list[float | None] = [5000.0 + index + (jump if 3 <= index < 6 else 0.0) for index in range(10)]
    with pytest.warns(LiveWarning) as warned:
        times = timed(arrivals, stamps)
    assert times == pytest.approx(list(range(10)))
    assert len(warned) == 1


@pytest.mark.filterwarnings("ignore:.*time stamps disagree")
def test_stamps_of_another_rate_do_not_slow_the_clock() -> None:
    arrivals = [index / 5 for index in range(500)]
    times = timed(arrivals, [index / 25 for index in range(500)])
    assert np.abs(np.subtract(times, arrivals)).max() < 3.3
    assert times[300:] == pytest.approx(arrivals[300:])


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which the files of a folder are served."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


class Bursts:
    """Frames of a playlist that come a part at a time, read in a time that passes at once."""

    def __init__(self) -> None:
        self.now = 0.0
        self.clock = LiveClock(now=lambda: self.now)
        self.clock.connect(paces=True)

    def read(self, parts: list[tuple[float, list[float]]]) -> list[tuple[float, float]]:
        """Moment and time at which each frame is given, of parts that can be read from a moment on."""
        given = []
        for ready, stamps in parts:
            self.now = max(self.now, ready)
            for stamp in stamps:
                self.now += self.clock.pause(stamp)
                given.append((self.now, self.clock.time_of(stamp)))
                self.now += 0.002
        return given


def part(number: int, stalled: float = 0.0, seconds: float = 4.0, fps: int = 25) -> tuple[float, list[float]]:
    """A part of a live stream, which is complete at its end; a server shows two earlier parts at once."""
    stamps = [1000.0 + number * seconds + index / fps for index in range(round(seconds * fps))]
    return max(0.0, (number - 2) * seconds + stalled), stamps


def test_a_playlist_gives_all_its_frames_at_the_pace_of_their_own_times() -> None:
    given = Bursts().read([part(number) for number in range(30)])
    moments, times = (np.array(values) for values in zip(*given, strict=True))
    steps = np.diff(moments)
    assert (times[-1] - times[0], len(times)) == (pytest.approx(120 - 0.04, abs=0.1), 3000)
    assert steps.max() < 0.2, "no burst"
    assert np.abs(moments - moments[0] - times).max() < 0.2
    frames = [Frame(0, time, drawn_image(0)) for time in times]
    assert len([*at_rate(frames, 5.0)]) == pytest.approx(600, abs=2)


def test_a_playlist_recovers_after_stalls_without_a_change_of_its_times() -> None:
    """A server that stalls for some seconds, again and again, has all that it missed in the next parts."""
    parts = [part(number, stalled=9.0 if number % 8 == 7 else 0.0) for number in range(80)]
    given = Bursts().read(parts)
    moments, times = (np.array(values) for values in zip(*given, strict=True))
    assert np.diff(times) == pytest.approx(np.full(len(times) - 1, 0.04)), "no time is made up"
    assert np.diff(moments).min() > 0.04 / 2 - 0.003, "it catches up at twice the pace at most"
    late = moments - moments[0] - times
    assert late.max() < 10
    assert late[-1] < 9.5
    assert (late < 0.3).mean() > 0.3


def test_stamps_are_tried_again_some_minutes_after_they_disagreed() -> None:
    moments = iter(np.arange(0.0, 2000.0, 1.0).tolist())
    clock = LiveClock(now=lambda: next(moments))
    stamps = [
        *(3600.0 * (index % 2) + index for index in range(20)),
        *(50_000.0 + index for index in range(400)),
    ]
    with pytest.warns(LiveWarning):
        assert [*map(clock.time_of, stamps)] == [*range(1, 421)], "by the clock"
    before, after = (clock.time_of(60_000.0 + step) for step in (0.0, 0.5))
    assert after - before == pytest.approx(0.5), "by the stamps: a second has passed"


def test_a_burst_of_a_playlist_loses_no_frame(tmp_path: Path) -> None:
    """Two parts are there at once; each frame is converted, and given, when its time comes."""
    for name, first in (("a", 0), ("b", 25)):
        images = [drawn_image(first + i) for i in range(25)]
        write_video(tmp_path / f"{name}.ts", images, options={"g": "5", "tune": "zerolatency"})
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXT-X-MEDIA-SEQUENCE:1"]
    parts = ["#EXTINF:1.0,", "a.ts", "#EXT-X-DISCONTINUITY", "#EXTINF:1.0,", "b.ts"]
    (tmp_path / "gate.m3u8").write_text("\n".join([*lines, *parts, ""]))
    with served(tmp_path) as address, open_source(f"{address}gate.m3u8", reconnect=QUICK) as source:
        source.poll(5)
        frames, begin = list[Frame](), 0.0
        for frame in source:
            begin = begin or time.monotonic()
            frames.append(frame)
            if len(frames) == 9:
                break
        assert source.dropped == 0
    assert time.monotonic() - begin > 1.2, "they do not come at once"
    steps = np.diff([frame.time for frame in frames])
    assert np.median(steps) == pytest.approx(0.2, abs=0.05)


def test_mjpeg_by_http_is_timed_as_it_arrives(serve: Callable[..., Server]) -> None:
    parts = []
    for index in range(30):
        jpeg = cv2.imencode(".jpg", drawn_image(index))[1].tobytes()
        parts.append(b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg))
        parts.append(jpeg + b"\r\n")
    content = b"".join(parts)
    server = serve(content, [len(content), None], kind="multipart/x-mixed-replace; boundary=b")
    source = open_source(server.address("cam"), when_late="all", reconnect=QUICK, prefetch=1)
    frames = []
    with pytest.raises(SourceError):
        frames.extend(source)
    assert len(frames) >= 29
    assert frames[28].time < 28 / 25 / 2  # they come at once, and FFmpeg's own stamps say 25 a second


def jpeg(value: int) -> bytes:
    return cv2.imencode(".jpg", np.full((48, 64, 3), value, np.uint8))[1].tobytes()


def test_mjpeg_whose_first_part_has_no_boundary_is_read(serve: Callable[..., Server]) -> None:
    """As ESP32 cameras send it, and browsers show it."""
    images, boundary = [jpeg(20 * number) for number in range(10)], b"\r\n--frame\r\n"
    parts = [
        b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(image) + image + boundary
        for image in images
    ]
    content = b"".join(parts)
    server = serve(content, [len(content)], kind="multipart/x-mixed-replace; boundary=frame")
    with open_source(server.address("stream"), reconnect=QUICK, when_late="all") as source:
        taken = [frame.image.mean() for frame in itertools.islice(source, 9)]
        assert source.endless
    assert taken == pytest.approx([20 * number for number in range(9)], abs=2)


def test_an_address_of_single_images_is_asked_at_a_rate(serve: Callable[..., Server]) -> None:
    content = jpeg(100)
    server = serve(content, [len(content)], tell_length=True)
    for name in ("snapshot.jpg", "cgi-bin/snapshot"):
        asked = server.requests
        with open_source(server.address(name), fps=20.0, when_late="all") as source:
            times = [frame.time for frame in itertools.islice(source, 4)]
            assert (source.endless, source.fps) == (True, 20.0)
        assert server.requests - asked >= 4
        steps = np.diff(times) * 20
        assert steps == pytest.approx(np.rint(steps)), "a busy machine leaves some out"
        assert all(steps > 0.9)


def test_a_single_image_is_one_frame_unless_more_are_asked_for(serve: Callable[..., Server]) -> None:
    content = jpeg(100)
    server = serve(content, [len(content)], tell_length=True)
    with open_source(server.address("photo.jpg")) as source:
        assert len([*source]) == 1
    with open_source(server.address("photo.jpg"), duration=0.6) as source:
        assert len([*source]) == 2, "two a second"


def test_an_address_of_images_that_cannot_be_read_is_given_up(serve: Callable[..., Server]) -> None:
    content = jpeg(100)[:200]
    server = serve(content, [len(content)], tell_length=True)
    with pytest.raises(SourceError, match=r"snapshot\.jpg: lost"):
        list(open_source(server.address("snapshot.jpg"), fps=100.0, reconnect=QUICK))


def test_an_address_that_answers_with_a_page_is_no_video(serve: Callable[..., Server]) -> None:
    content = b"<!doctype html><title>login</title>" * 100
    server = serve(content, [len(content)], tell_length=True, kind="text/html")
    with pytest.raises(SourceError, match="no video, stream or image"):
        list(open_source(server.address("login"), reconnect=QUICK))


@contextmanager
def endless_answer(piece: bytes, pause: float = 0.0) -> Iterator[tuple[str, list[int]]]:
    """An address that answers without end, and how many bytes it sent to each who asked."""
    sent: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            sent.append(0)
            number = len(sent) - 1
            try:
                while True:
                    self.wfile.write(piece)
                    sent[number] += len(piece)
                    time.sleep(pause)
            except OSError:
                pass

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/page", sent
    server.shutdown()
    server.server_close()


def test_an_answer_without_end_that_is_no_video_is_not_read_for_ever() -> None:
    with (
        endless_answer(b"<p>no video here</p>\n" * 5000) as (address, sent),
        pytest.warns(LiveWarning, match=r"page: no frame yet .*tried again, 2 times in all"),
        pytest.raises(SourceError, match="no video, stream or image"),
    ):
        list(open_source(address, reconnect=Reconnect(2, 0.01, 0.01)))
    # What FFmpeg and the system hold of the connection comes on top.
    assert max(sent) < MAX_BYTES_OF_FRAME + (32 << 20)


def test_an_answer_that_drips_is_given_up_in_time() -> None:
    with (
        endless_answer(b"<p>no video here</p>\n" * 500, pause=0.01) as (address, _),
        pytest.raises(SourceError, match=r"no video, stream or image|no answer in time"),
    ):
        list(open_source(address, reconnect=Reconnect(1, 0.01, 0.01, timeout=0.4)))


def test_frames_in_an_answer_without_boundaries_are_bounded_each_and_not_together(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    image = cv2.imencode(".jpg", noise)[1].tobytes()
    monkeypatch.setattr(byte_streams, "MAX_BYTES_OF_FRAME", 20 * len(image))
    part = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(image) + image + b"\r\n--frame\r\n"
    content = 100 * part
    server = serve(content, [len(content)], kind="multipart/x-mixed-replace; boundary=frame")
    with open_source(server.address("stream"), reconnect=QUICK, when_late="all") as source:
        assert len([*itertools.islice(source, 98)]) == 98
    assert server.requests == 2  # what the address is, and the images


class Flaky(Reader):
    """Gives six frames of which every other one is damaged."""

    name = where = "flaky"

    def __init__(self, *, live: bool) -> None:
        self._live = live

    @property
    def endless(self) -> bool:
        return self._live

    def images(self, start: int | float = 0) -> Iterator[SourceImage]:
        def load(index: int) -> Image:
            if index % 2:
                raise DamageError(f"frame {index} is damaged")
            return drawn_image(index)

        for index in range(6):
            yield SourceImage(index, index / 10, partial(load, index))


class Resized(Reader):
    """Gives frames whose size changes twice."""

    name = where = "resized"
    sizes = ((48, 64), (48, 64), (96, 128), (96, 128), (48, 32))

    def __init__(self, *, live: bool) -> None:
        self._live = live

    @property
    def endless(self) -> bool:
        return self._live

    def images(self, start: int | float = 0) -> Iterator[SourceImage]:
        for index, size in enumerate(self.sizes):
            yield SourceImage(index, index / 10, partial(drawn_image, index, size))


def test_a_stream_goes_on_at_the_first_size_where_its_own_changes() -> None:
    """A file ends there, and what comes before is good."""
    said: list[str] = []
    options = {"max_size": None, "on_damage": None, "prefetch": 0, "warn": said.append}
    frames = [*Source(Resized(live=True), Span(), **options)]
    assert [frame.size for frame in frames] == [(48, 64)] * 5
    assert [int(frame.image[20, 32, 0]) for frame in frames] == [level(index) for index in range(5)]
    assert not frames[4].image[:, :15].any(), "it keeps its shape"
    assert len(said) == 2
    assert "frame 2 is 128x96" in said[0]
    assert "frame 4 is 32x48" in said[1]
    taken = []
    with pytest.raises(SourceDamageError, match="frame 2 is 128x96, the frames before it are 64x48"):
        taken.extend(Source(Resized(live=False), Span(), **options))
    assert len(taken) == 2


def test_damage_ends_files_and_is_counted_in_streams() -> None:
    said: list[str] = []
    options = {"max_size": None, "on_damage": None, "prefetch": 0, "warn": said.append}
    stream = Source(Flaky(live=True), Span(), **options)
    assert [frame.index for frame in stream] == [0, 2, 4]
    assert stream.damaged == 3
    assert len(said) == 1
    with pytest.raises(SourceDamageError):
        list(Source(Flaky(live=False), Span(), **options))


@pytest.mark.parametrize("is_live", [True, False])
def test_a_playlist_is_live_unless_it_says_where_it_ends(tmp_path: Path, is_live: bool) -> None:
    write_video(
        tmp_path / "a.ts", [drawn_image(i) for i in range(20)], options={"g": "1", "tune": "zerolatency"}
    )
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXT-X-MEDIA-SEQUENCE:1", *3 * ["#EXTINF:1.0,", "a.ts"]]
    (tmp_path / "gate.m3u8").write_text("\n".join([*lines, *([] if is_live else ["#EXT-X-ENDLIST"]), ""]))

    with (
        served(tmp_path) as where,
        open_source(f"{where}gate.m3u8", when_late="all", reconnect=QUICK) as source,
    ):
        first = next(iter(source))
        assert abs(int(first.image.mean()) - level(0)) < 6
        assert source.endless == is_live


class Fast(Reader):
    """A camera of 30 frames a second, whose images come as fast as every sixth of them is taken."""

    name = where = "fast"
    once = True

    @property
    def endless(self) -> bool:
        return True

    def __init__(self) -> None:
        self.loaded: list[int] = []
        self.taken = threading.Semaphore()

    def interrupt(self) -> None:
        self.taken.release()

    def images(self, start: int | float = 0) -> Iterator[SourceImage]:
        def load(index: int) -> Image:
            self.loaded.append(index)
            return drawn_image(index)

        for index in range(60):
            if index % 6 == 0:
                self.taken.acquire()
            yield SourceImage(index, index / 30, partial(load, index))


def test_frames_that_the_rate_leaves_out_are_neither_converted_nor_counted_as_dropped() -> None:
    camera = Fast()
    source = Source(camera, Span(), max_size=None, on_damage=None, prefetch=4, warn=print)
    source.poll(5)
    frames = []
    for frame in source:
        frames.append(frame.index)
        camera.taken.release()
    assert frames == camera.loaded == [*range(0, 60, 6)]
    assert source.dropped == 0


@pytest.mark.filterwarnings("ignore::segue.video.sources.live.LiveWarning")
def test_a_file_that_is_still_written_goes_on_until_another_has_its_place(tmp_path: Path) -> None:
    write_video(tmp_path / "whole.ts", busy_images(90))
    path, data = tmp_path / "now.ts", (tmp_path / "whole.ts").read_bytes()
    path.write_bytes(data[: len(data) // 2])
    frames = open_source(f"follow://{path}", when_late="all")
    found = iter(frames)
    first = [next(found) for _ in range(20)]
    with path.open("ab") as file:
        file.write(data[len(data) // 2 :])
    second = [next(found) for _ in range(50)]
    (tmp_path / "new.ts").write_bytes(data)
    (tmp_path / "new.ts").replace(path)
    third = [next(found) for _ in range(40)]
    assert frames.endless
    frames.stop()
    assert len([*found]) < 90
    times = [frame.time for frame in (*first, *second, *third)]
    assert times == sorted({*times})


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a recorder: RTSP that tells how long its recording is."""
    write_video(tmp_path / "recording.mp4", [drawn_image(index) for index in range(10)])
    open_container = live_module.open_container

    def opened(place: object, *arguments: Any, **options: Any) -> object:
        is_recorder = isinstance(place, str) and place.startswith("rtsp://")
        return open_container(
            str(tmp_path / "recording.mp4") if is_recorder else place,  # type: ignore[arg-type]
            *arguments,
            **options,
        )

    monkeypatch.setattr(live_module, "open_container", opened)
    return "rtsp://127.0.0.1:9/recorder"


def test_a_recorder_that_tells_a_length_is_a_camera_where_it_is_watched(recorder: str) -> None:
    source = open_source(recorder, when_late="all", reconnect=QUICK)
    assert len([*source]) == 10
    assert not source.endless
    source = open_source(recorder, when_late="all", reconnect=QUICK)
    source.read_as_camera()
    frames = itertools.islice(source, 25)
    assert [int(frame.image.mean() > 0) for frame in frames] == [1] * 25, "and goes on where it ends"
    assert source.endless


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_address_that_tells_its_end_with_the_first_frame_needs_no_options_of_cameras(
    recorder: str, tmp_path: Path, command: Command
) -> None:
    given = (
        "--model",
        "median",
        "--device",
        "cpu",
        "--events",
        tmp_path / "events.csv",
        "--output",
        tmp_path,
    )
    assert command("foreground", recorder, *given).code == 0
    assert (tmp_path / "events.csv").exists()


@pytest.fixture
def locked() -> Iterator[tuple[str, list[float]]]:
    """A camera that refuses every login, and when it was asked."""
    asked: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(time.monotonic())
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://user:wrong@127.0.0.1:{server.server_port}/stream.mjpeg", asked
    server.shutdown()
    server.server_close()


def test_a_refused_login_is_not_tried_again_at_once(locked: tuple[str, list[float]]) -> None:
    address, asked = locked
    with pytest.raises(LoginRefusedError, match=r"refuses user and password .*tried once") as caught:
        next(iter(open_source(address, reconnect=Reconnect(first_delay=0.01))))
    assert "wrong" not in str(caught.value)
    assert len(asked) <= 2, "FFmpeg itself asks once without and once with the password"
