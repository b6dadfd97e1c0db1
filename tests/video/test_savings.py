"""Frames that nobody needs are not decoded, devices decode, and a main stream is kept without decoding it."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from segue.errors import SourceError
from segue.video import Reconnect, open_source
from segue.video.decoding.decode import decode
from segue.video.decoding.savings import FrameSkipper, hardware_decoder
from segue.video.sources.main_stream import MainStream, MainStreamWarning
from segue.video.sources.span import at_rate

FPS, SIZE = 25, (48, 64)


def stream(frames: int, b_frames: int) -> bytes:
    """MPEG-TS of noise with so many frames in a row that no other one needs."""
    file, rng = io.BytesIO(), np.random.default_rng(1)
    with av.open(file, "w", format="mpegts") as container:
        video = container.add_stream("libx264", rate=FPS)
        video.height, video.width, video.pix_fmt, video.gop_size = *SIZE, "yuv420p", 25
        video.options = {"bf": str(b_frames), "b_strategy": "0", "x264-params": "b-pyramid=none:scenecut=0"}
        for _ in range(frames):
            image = rng.integers(0, 255, (*SIZE, 3), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(video.encode())
    return file.getvalue()


def times_of(data: bytes, needed: float | None) -> list[float]:
    """Times of the frames that are decoded."""
    with av.open(io.BytesIO(data)) as container:
        video = container.streams.video[0]
        skipper, times = FrameSkipper(video, float(FPS), needed), []
        for item in decode(container, video):
            skipper.see(item.time)
            times.append(item.time or 0.0)
        return times


def test_frames_that_no_other_needs_are_passed_over_where_enough_are_left() -> None:
    data = stream(150, 2)
    every, few = times_of(data, None), times_of(data, 5.0)
    assert len(every) == 150
    assert 45 <= len(few) <= 60, "two of three are not decoded"
    assert set(few) <= set(every), "each has its time"
    taken = [item.time for item in at_rate([SimpleNamespace(time=each) for each in few], 5.0)]
    assert len(taken) == 30
    assert times_of(data, 12.0) == every, "more than half of the rate needs all"


def test_all_frames_are_decoded_after_two_seconds_with_too_few() -> None:
    few = times_of(stream(200, 7), 5.0)
    assert len([each for each in few if each < few[0] + 2]) < 12
    steps = np.diff([each for each in few if each > few[0] + 3])
    assert steps.max() < 1.5 / FPS


def test_a_device_that_is_not_there_is_refused_before_a_camera_is_tried() -> None:
    assert hardware_decoder(None) is None
    with pytest.raises(SourceError, match="hardware 'abacus': this FFmpeg knows"):
        open_source("rtsp://127.0.0.1:9/none", hardware="abacus")
    with pytest.raises(SourceError, match="hardware and analyse are for addresses"):
        open_source(0, analyse=None, hardware="cuda")
    with pytest.raises(SourceError, match="analyse is another stream of an address"):
        open_source(0, analyse="rtsp://127.0.0.1:9/none")


def test_streams_that_a_device_cannot_decode_are_decoded_in_software() -> None:
    names = getattr(pytest.importorskip("av.codec.hwaccel"), "hwdevices_available", list)()
    if "drm" not in names:
        pytest.skip("this FFmpeg has no drm")
    with av.open(io.BytesIO(stream(10, 0)), hwaccel=hardware_decoder("drm")) as container:
        assert len([*container.decode(video=0)]) == 10


@pytest.fixture
def address() -> Iterator[str]:
    """A camera that sends its stream ten times as fast as it is."""
    data = stream(125, 0)
    parts = np.array_split(np.frombuffer(data[: len(data) // 188 * 188], np.uint8).reshape(-1, 188), 125)

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            begin = time.monotonic()
            for place, part in enumerate(parts):
                time.sleep(max(0.0, begin + place / FPS / 10 - time.monotonic()))
                self.wfile.write(part.tobytes())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/main"
        server.shutdown()


def test_the_main_stream_is_kept_by_the_clock_of_the_smaller_one(address: str) -> None:
    begin = time.monotonic()

    class Clock:
        @property
        def now(self) -> float:
            return 100 + 10 * (time.monotonic() - begin)

    main = MainStream(address, Clock(), Reconnect(first_delay=100))  # type: ignore[arg-type]
    assert not main.is_filled
    ended = threading.Event()
    main.refuse = ended.set  # type: ignore[method-assign]

    def read() -> None:
        main.enable()
        assert ended.wait(60)
        main.close()

    with pytest.warns(MainStreamWarning, match="clips are of the smaller stream meanwhile"):
        read()
    cut = main.cut(main._connections[0].times[50], 1e6)
    assert cut is not None
    assert 0 <= cut.time_of(main._connections[0].times[50]) <= 1.1, "from the key frame before"
    assert len(cut._packets) >= 74
