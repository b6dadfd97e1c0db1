"""A week of three cameras, speeded up: reboots, another clock, summer time, a broker away, a full disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cli.mjpeg import JPEGS
from tests.cli.test_foreground import IMAGES
from tests.events.test_notify import Broker, Listener, Subscriber
from tests.events.test_notify import broker as broker
from tests.ports import free_port
from tests.segue_watch.small_disk import SmallDisk
from tests.segue_watch.test_camera_day import memory, states, stream, wait_for_events
from tests.segue_watch.test_cameras import rows
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc"),
]

DAY = 18.0
"""Seconds of a day, at 25 frames a second."""

KEPT = 2
"""MB of the images and clips of a camera that are kept."""

GROWTH, FILES = 24.0, 4
"""MiB and open files by which the last day may need more than the one before."""

LARGER = [cv2.imencode(".jpg", np.ascontiguousarray(cv2.resize(image, (192, 144))[..., ::-1]))[1].tobytes()
          for image in IMAGES]  # fmt: skip


class Cameras(ThreadingHTTPServer):
    """``/gate`` is damaged now and then, ``/yard`` changes its size, ``/road`` its code now and then."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Camera)
        self.connections = 0
        self.transport = stream(3)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class _Camera(BaseHTTPRequestHandler):
    server: Cameras

    def do_GET(self) -> None:
        name = self.path.strip("/")
        self.send_response(200)
        self.server.connections += name == "road"
        if name == "road" and self.server.connections % 2:
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            self._send(lambda turn: [self.server.transport], 4, 0.04 * len(IMAGES))
            return
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
        self.end_headers()
        images = {"yard": lambda turn: LARGER if turn % 6 >= 3 else JPEGS}.get(name, lambda turn: JPEGS)
        self._send(images, 6 if name == "road" else 1_000_000, 0.04)

    def _send(self, images: object, turns: int, pause: float) -> None:
        try:
            for turn in range(turns):
                for number, data in enumerate(images(turn)):  # type: ignore[operator]
                    body = data[: len(data) // 8] if self.path == "/gate" and number % 9 == 4 else data
                    if pause < 1:
                        head = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(body)
                        body = head + body + b"\r\n"
                    self.wfile.write(body)
                    time.sleep(pause)
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


class Service:
    """``segue watch`` as systemd starts it again and again, with a clock that can be wrong."""

    def __init__(self, file: Path, output: Path, before: Sequence[str] = ()) -> None:
        self.file, self.output, self.port = file, output, free_port()
        self.before = before  # words in front of the command
        self.clock = file.with_name("clock")
        self.wrong_by(0)
        self.start()

    def wrong_by(self, seconds: float) -> None:
        new = self.clock.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self.clock)

    def start(self) -> None:
        module = [sys.executable, "-m", "tests.segue_watch.speeded", str(self.clock)]
        given = ["watch", str(self.file), "--output", str(self.output), "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*self.before, *module, *given],
            stdout=subprocess.DEVNULL,
            stderr=self.file.with_name("log").open("ab"),
            cwd=Path(__file__).parents[2],
            env={**os.environ, "TZ": "Europe/Berlin"},
        )
        wait_for_events(self.process, self.port, 1)

    def reboot(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        self.start()

    @property
    def files(self) -> int:
        return len([*Path(f"/proc/{self.process.pid}/fd").iterdir()])


def to_summer_time() -> float:
    """Seconds from now until ten seconds before the clocks of Berlin go forward the next time."""
    now = datetime.now().timestamp()
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    try:
        year = time.localtime(now).tm_year + 1
        last = next(day for day in range(31, 24, -1) if datetime(year, 3, day).weekday() == 6)
        return datetime(year, 3, last, 2).timestamp() - 10 - now
    finally:
        del os.environ["TZ"]
        time.tzset()


def kept_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in (".jpg", ".mp4"))


def used(folder: Path) -> int:
    """Bytes that all files in a folder take on the disk."""
    return sum(512 * path.stat().st_blocks for path in folder.rglob("*") if path.is_file())


def write_cameras(file: Path, cameras: Cameras, receivers: dict[str, str], kept: float) -> Path:
    """The file of the cameras, with the receiver of each, and the MB that each keeps."""
    tables = "\n".join(
        f'[cameras.{name}]\nsource = "http://127.0.0.1:{cameras.server_port}/{name}"\nnotify = "{place}"'
        for name, place in receivers.items()
    )
    defaults = f'[defaults]\nmodel = "median"\ndevice = "cpu"\nwhen-late = "all"\nkeep = "{kept}MB"\n'
    file.write_text(f'{defaults}zone = ["wall=0%,0% 100%,0% 100%,100% 0%,100%"]\n{tables}\n')
    return file


def known(event: dict[str, object]) -> tuple[str, ...]:
    """What makes an event one of its own."""
    return tuple(str(event[name]) for name in ("source", "event", "object", "at", "zone"))


def test_no_event_of_a_week_is_lost_and_nothing_grows(
    cameras: Cameras, broker: Broker, tmp_path: Path
) -> None:
    listener = Listener()
    broker.start()
    subscriber = Subscriber(broker.port)
    places = {"gate": listener.address, "yard": listener.address, "road": broker.address}
    file = write_cameras(tmp_path / "cameras.toml", cameras, places, KEPT)
    disk = tmp_path / "out"
    service = Service(file, disk)

    time.sleep(DAY)  # Monday
    service.reboot()
    broker.stop()
    time.sleep(DAY)  # Tuesday: the broker is away
    broker.start()
    service.reboot()
    service.wrong_by(to_summer_time())
    time.sleep(DAY)  # Wednesday: summer time begins
    service.wrong_by(-3600)
    time.sleep(DAY / 2)  # Thursday: the clock is set back, and forward
    service.wrong_by(0)
    service.reboot()
    time.sleep(DAY / 2)
    time.sleep(DAY)  # Friday
    kept = {name: kept_bytes(disk / name) for name in places}
    before = memory(service.process), service.files
    time.sleep(DAY)  # Saturday
    last = states(service.port)
    after = memory(service.process)
    wait_for(lambda: service.files <= before[1] + FILES)  # clips and connections are open for a while
    begun = time.monotonic()
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(60) == 0, (tmp_path / "log").read_text()
    assert time.monotonic() - begun < 15

    found = {name: rows(disk / f"{name}.csv") for name in places}

    def received() -> dict[str, tuple[str, ...]]:
        """What was told, by the ids of messages: whoever receives one again knows it."""
        told = [json.loads(body) for topic, body in subscriber.received if topic == "cameras/front yard"]
        return {str(event["id"]): known(event) for event in (*listener.received, *told)}

    wanted = Counter(known(row) for table in found.values() for row in table)
    wait_for(
        lambda: not wanted - Counter(received().values()), told=lambda: wanted - Counter(received().values())
    )
    subscriber.end()
    listener.end()
    told = Counter(received().values())
    assert sorted((wanted - told).elements()) == [], "not told"
    assert sorted((told - wanted).elements()) == [], "told twice, or without a row"
    for name, table in found.items():
        kinds = Counter(row["event"] for row in table)
        assert kinds["enter"] > 10, name
        assert kinds["enter"] == kinds["leave"] + kinds["end"], name
        assert kinds["zone-enter"] == kinds["zone-leave"], name
        ids = [row["object"] for row in table if row["event"] == "enter"]
        assert len(ids) == len({*ids}), "ids go on"
        assert kept[name] < 1.3e6 * KEPT, name
        offsets = {datetime.fromisoformat(row["at"]).utcoffset() for row in table if row["at"]}
        assert offsets == {timedelta(hours=1), timedelta(hours=2)}, name
    assert last["segue_damaged_frames_total"]["gate"] > 10
    assert last["segue_reconnects_total"]["road"] >= 1
    assert after - before[0] < GROWTH, (before, after)


def test_a_disk_that_is_full_for_a_while_costs_no_event(cameras: Cameras, tmp_path: Path) -> None:
    """Cameras go on, alarms are sent, and rows wait; what takes room is bounded before and after."""
    listener = Listener()
    kept, names = 0.2, ("gate", "yard", "road")
    (tmp_path / "out").mkdir()
    file = write_cameras(tmp_path / "cameras.toml", cameras, dict.fromkeys(names, listener.address), kept)
    disk = SmallDisk(tmp_path / "out", 8 << 20)
    try:
        service = Service(file, tmp_path / "out", disk.command)
        time.sleep(DAY)
        images = {name: kept_bytes(disk.here / name) for name in names}
        others = used(disk.here) - sum(used(disk.here / name) for name in names)
        before = service.files
        disk.fill()
        full = states(service.port)["segue_events_total"]
        told = len(listener.received)
        time.sleep(DAY / 2)
        during = states(service.port)["segue_events_total"]
        alarms = len(listener.received) - told
        disk.free()
        time.sleep(DAY)
        wait_for(lambda: service.files <= before + FILES)
        files, last = service.files, states(service.port)
        later = {name: kept_bytes(disk.here / name) for name in names}
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(60) == 0, (tmp_path / "log").read_text()
        found = {name: rows(disk.here / f"{name}.csv") for name in names}
    finally:
        disk.close()
    wanted = Counter(known(row) for table in found.values() for row in table)

    def received() -> Counter[tuple[str, ...]]:
        return Counter({str(event["id"]): known(event) for event in listener.received}.values())

    wait_for(lambda: not wanted - received(), told=lambda: wanted - received())
    listener.end()
    assert sorted((wanted - received()).elements()) == [], "not told"
    assert sorted((received() - wanted).elements()) == [], "told twice, or without a row"
    assert alarms > 10, "they do not wait for the disk"
    assert all(last["segue_restarts_total"][name] == 0 for name in names)
    for name, table in found.items():
        kinds = Counter(row["event"] for row in table)
        assert kinds["enter"] == kinds["leave"] + kinds["end"] > 10, name
        assert kinds["zone-enter"] == kinds["zone-leave"], name
        assert max(images[name], later[name]) < 1.5e6 * kept, name
        # Counted when it is told of, as soon as it has its row.
        assert full[name] <= during[name] < last["segue_events_total"][name], name
    assert others < 1.5e6, "journals of messages are short"
    assert files <= before + FILES
