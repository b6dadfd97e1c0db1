"""A day of four cameras, speeded up: a reboot, damage, a clock jump, a slow receiver, a broker restart."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import av
import pytest

from segue.cli import main
from tests.cli.forked import Forked
from tests.cli.mjpeg import JPEGS
from tests.cli.test_foreground import IMAGES
from tests.events.test_notify import Broker, Listener, Subscriber
from tests.events.test_notify import broker as broker
from tests.ports import free_port
from tests.segue_watch.test_cameras import rows
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc"),
]

SECONDS = 40.0
"""Of the day, at 25 frames a second."""

GROWTH = 24.0
"""MiB by which the second half of the day may need more memory: two encoders have 10 each while they work.
With its first clips a camera also loads the encoder itself."""


def stream(hour: int) -> bytes:
    """The square crosses the room once, as MPEG transport stream; stamps begin at an hour of the day."""
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        video = container.add_stream("mpeg2video", rate=25)
        video.height, video.width = IMAGES[0].shape[:2]
        video.pix_fmt, video.gop_size, video.bit_rate = "yuv420p", 1, 4_000_000
        for index, image in enumerate(IMAGES):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts = 25 * 3600 * hour + index
            container.mux(video.encode(frame))
        container.mux(video.encode())
    return file.getvalue()


class Cameras(ThreadingHTTPServer):
    """Four cameras: ``/gate`` is plain, ``/yard`` damaged, ``/door`` has stamps that jump, ``/road`` goes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Camera)
        self.hours = [stream(hour) for hour in (0, 1, 0, 5)]
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class _Camera(BaseHTTPRequestHandler):
    server: Cameras

    def do_GET(self) -> None:
        self.send_response(200)
        name = self.path.strip("/")
        kind = "video/mp2t" if name == "door" else "multipart/x-mixed-replace; boundary=b"
        self.send_header("Content-Type", kind)
        self.end_headers()
        try:
            for turn in range(20 if name == "road" else 1_000_000):
                if name == "door":
                    time.sleep(0.04 * len(IMAGES))
                    self.wfile.write(self.server.hours[turn % len(self.server.hours)])
                    continue
                for number, jpeg in enumerate(JPEGS):
                    if name == "yard" and number % 7 == 3:
                        jpeg = jpeg[: len(jpeg) // 8]
                    head = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                    self.wfile.write(head + jpeg + b"\r\n")
                    time.sleep(0.04)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cameras() -> Iterator[Cameras]:
    server = Cameras()
    yield server
    server.shutdown()
    server.server_close()


def watched(file: Path, port: int) -> subprocess.Popen[bytes]:
    """The command, as a service of the system starts it."""
    with (file.parent / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "segue", *words_of(file, port)], stdout=subprocess.DEVNULL, stderr=log
        )


def forked(file: Path, port: int) -> Forked:
    """The command in a fork of this process, where its memory is not the point."""
    with (file.parent / "log").open("ab") as log, Path(os.devnull).open("wb") as nothing:
        return Forked(partial(main, words_of(file, port)), nothing, log)


def words_of(file: Path, port: int) -> list[str]:
    return ["watch", str(file), "--output", str(file.parent / "out"), "--port", str(port)]


def states(port: int) -> dict[str, dict[str, float]]:
    """What ``/metrics`` says, by name and camera."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found: dict[str, dict[str, float]] = {}
    for name, value in (line.split(" ") for line in lines if not line.startswith("#")):
        what, _, camera = name.removesuffix('"}').partition('{camera="')
        found.setdefault(what, {})[camera] = float(value)
    return found


def wait_for_events(process: subprocess.Popen[bytes] | Forked, port: int, number: int) -> None:
    """Wait until each camera has told so many events."""

    def told() -> bool:
        assert process.poll() is None, "the command has ended"
        try:
            return min(states(port)["segue_events_total"].values()) >= number
        except OSError:
            return False

    wait_for(told, told=lambda: "not every camera has told events")


def memory(process: subprocess.Popen[bytes]) -> float:
    """Resident memory in MiB."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def test_no_event_of_a_day_is_lost_and_memory_is_flat(
    cameras: Cameras, broker: Broker, tmp_path: Path
) -> None:
    listener, port = Listener(), free_port()
    listener.delays = [0.2] * 40
    broker.start()
    subscriber = Subscriber(broker.port)
    tables = "\n".join(
        f'[cameras.{name}]\nsource = "http://127.0.0.1:{cameras.server_port}/{name}"\nnotify = "{receiver}"'
        for name, receiver in {
            "gate": listener.address,
            "yard": listener.address,
            "door": listener.address,
            "road": broker.address,
        }.items()
    )
    file = tmp_path / "cameras.toml"
    defaults = '[defaults]\nmodel = "median"\ndevice = "cpu"\nwhen-late = "all"\n'
    file.write_text(f'{defaults}zone = ["wall=0%,0% 100%,0% 100%,100% 0%,100%"]\n{tables}\n')

    process = watched(file, port)
    wait_for_events(process, port, 3)
    os.kill(process.pid, signal.SIGKILL)  # a reboot
    process.wait(10)
    killed = {name: len(rows(tmp_path / f"out/{name}.csv")) for name in ("gate", "yard", "door", "road")}
    process = watched(file, port)
    wait_for_events(process, port, 3)
    broker.stop()
    time.sleep(SECONDS / 2)
    broker.start()
    wait_for(lambda: all([*(tmp_path / "out" / name).glob("*.mp4")] for name in killed))
    before = memory(process)
    time.sleep(SECONDS / 2)
    after, last = memory(process), states(port)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, (tmp_path / "log").read_text()

    def known(event: dict[str, object]) -> tuple[str, ...]:
        return tuple(str(event[name]) for name in ("source", "event", "object", "at", "zone"))

    def received() -> Counter[tuple[str, ...]]:
        told = [json.loads(body) for topic, body in subscriber.received if topic == "cameras/front yard"]
        return Counter(map(known, (*listener.received, *told)))

    found = {name: rows(tmp_path / f"out/{name}.csv") for name in killed}
    wanted = Counter(known(row) for table in found.values() for row in table)
    wait_for(lambda: not wanted - received(), told=lambda: wanted - received())
    subscriber.end()
    listener.end()
    assert not wanted - received()
    assert (received() - wanted).total() <= len(found), "killed between its message and its row"
    for name, table in found.items():
        kinds = Counter(row["event"] for row in table)
        assert kinds["enter"] > 10, name
        assert kinds["enter"] == kinds["leave"] + kinds["end"], name
        assert kinds["zone-enter"] == kinds["zone-leave"], name
        ids = [row["object"] for row in table if row["event"] == "enter"]
        assert len(ids) == len({*ids}), "ids go on after the reboot"
        assert all(row["source"] == name for row in table)
    assert last["segue_damaged_frames_total"]["yard"] > 10
    assert last["segue_reconnects_total"]["road"] >= 1
    assert "disagree with the clock" in (tmp_path / "log").read_text()
    assert after - before < GROWTH, (before, after)
