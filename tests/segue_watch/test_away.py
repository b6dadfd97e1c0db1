"""A camera that is away when segue starts is reported, and messages that wait are sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from segue.events.store.queues import begin_receivers
from segue.events.store.store import EventStore
from segue.events.table import Event
from segue.events.targets import NotifyTarget
from segue.video.sources.live import LOGIN_SECONDS
from segue_watch.camera import Camera
from segue_watch.configuration import read_cameras
from segue_watch.log import CameraWarning
from tests.cli.mjpeg import JPEGS, mjpeg_camera
from tests.events.test_notify import AnyBroker, Listener, Subscriber, make_broker
from tests.events.test_store import event as stored_event
from tests.events.test_store import put
from tests.ports import free_port
from tests.segue_watch.test_cameras import rows
from tests.segue_watch.test_command import watched
from tests.waiting import wait_for

pytestmark = pytest.mark.filterwarnings("ignore::segue_watch.log.CameraWarning")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[AnyBroker]:
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (pip install 'segue[mqtt]')")
    (tmp_path / "broker").mkdir()
    made = make_broker(tmp_path / "broker")
    made.start()
    yield made
    made.stop()


class Refusing(ThreadingHTTPServer):
    """A camera that refuses user and password; it gives some images, or another error, before."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Refusal)
        self.num_logins, self.first = 0, ""


class _Refusal(BaseHTTPRequestHandler):
    server: Refusing

    def do_GET(self) -> None:
        self.server.num_logins += 1
        first, self.server.first = self.server.first, ""
        if first == "images":
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
            self.end_headers()
            for jpeg in JPEGS:
                head = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                self.wfile.write(head + jpeg + b"\r\n")
        else:
            self.send_error(503 if first else 401)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[Refusing]:
    server = Refusing()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def camera_at(
    address: str, folder: Path, receiver: str, seen: Callable[[Event], object], options: str = ""
) -> Camera:
    """The camera ``gate`` at an address, whose events a receiver gets."""
    path = folder / "cameras.toml"
    path.write_text(
        f'[cameras.gate]\nsource = "{address}"\nmodel = "median"\ndevice = "cpu"\nnotify = "{receiver}"\n'
        + options
    )
    return Camera("gate", read_cameras(path, folder / "out")["gate"], lambda *_: None, seen)


@pytest.mark.parametrize("options", ["", "overwrite = true\n", 'rotate = "1h"\n'])
def test_a_camera_that_is_away_at_the_start_is_offline_until_its_first_frame(
    listener: Listener, tmp_path: Path, options: str
) -> None:
    port, seen = free_port(), list[Event]()
    camera = camera_at(f"http://127.0.0.1:{port}/gate", tmp_path, listener.address, seen.append, options)
    with watched(camera):
        wait_for(lambda: listener.kinds == ["offline"])
        wait_for(lambda: [event.event for event in seen] == ["offline"])
        assert (camera.state()["status"], camera.state()["restarts"]) == ("lost", 0)
        assert camera.state()["error"]
        with mjpeg_camera(port=port):
            wait_for(lambda: "enter" in listener.kinds)
            assert camera.state()["error"] == ""
    assert listener.kinds[:2] == ["offline", "online"]
    assert listener.received[1]["seconds"] > 0.0
    tables = [path for path in (tmp_path / "out").glob("gate*.csv") if rows(path)]
    table = [row["event"] for path in tables for row in rows(path)]
    assert table[: table.index("enter")] == ([] if "overwrite" in options else ["offline", "online"])


def test_an_outage_that_lasts_over_a_restart_is_told_once(listener: Listener, tmp_path: Path) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}/gate"
    for _ in range(2):
        camera = camera_at(address, tmp_path, listener.address, lambda _: None)
        with watched(camera):
            wait_for(lambda camera=camera: bool(camera.state()["error"]))
            wait_for(lambda: listener.kinds == ["offline"])
    with (
        mjpeg_camera(port=port),
        watched(camera_at(address, tmp_path, listener.address, lambda _: None)),
    ):
        wait_for(lambda: "enter" in listener.kinds)
    assert listener.kinds[:2] == ["offline", "online"]
    assert listener.kinds.count("online") == 1


def test_a_broker_knows_that_a_camera_is_away_at_the_start(broker: AnyBroker, tmp_path: Path) -> None:
    port = free_port()
    camera = camera_at(f"http://127.0.0.1:{port}/gate", tmp_path, broker.address, lambda _: None)
    subscriber = Subscriber(broker.port)
    with watched(camera):
        wait_for(lambda: subscriber.events == ["offline"])
        assert {*subscriber.availability} == {b"offline"}
        with mjpeg_camera(port=port):
            wait_for(lambda: subscriber.availability[-1:] == [b"online"])
    wait_for(lambda: subscriber.availability[-1:] == [b"offline"])
    subscriber.end()


def test_waiting_messages_are_sent_while_the_camera_refuses_the_login(
    refusing: Refusing, listener: Listener, tmp_path: Path
) -> None:
    address = f"http://user:wrong@127.0.0.1:{refusing.server_port}/stream.mjpeg"
    store = EventStore.open(tmp_path / "out" / "gate.db")
    store.begin_run("gate")
    store.begin_part("", "gate.csv")
    begin_receivers(store, [NotifyTarget.parse(listener.address)])
    put(store, *(stored_event("enter", number) for number in range(1, 11)))
    store.close()
    camera = camera_at(address, tmp_path, listener.address, lambda _: None)
    with (  # noqa: PT031
        pytest.warns(CameraWarning, match=r"refuses user and password.* in 5 minutes"),
        watched(camera),
    ):
        wait_for(lambda: len(listener.received) == 11)
        wait_for(lambda: camera.undelivered == 0)
        assert camera.state()["restarts"] == 0
    assert listener.kinds == [*["enter"] * 10, "offline"]
    assert LOGIN_SECONDS == 300
    assert refusing.num_logins == 1
    assert "wrong" not in json.dumps(camera.state())
    assert urlsplit(address).password == "wrong"


@pytest.mark.parametrize("first", ["images", "busy"])
def test_a_camera_that_refuses_the_login_after_it_was_lost_says_so_and_is_lost_once(
    refusing: Refusing, listener: Listener, tmp_path: Path, first: str
) -> None:
    """Somebody changes its password, and it starts again."""
    refusing.first, told = first, list[str]()
    address = f"http://user:wrong@127.0.0.1:{refusing.server_port}/stream.mjpeg"
    camera = camera_at(address, tmp_path, listener.address, lambda _: None)
    camera._tell = lambda _, text: told.append(text)
    with pytest.warns(CameraWarning) if first == "busy" else nullcontext() as warned, watched(camera):
        wait_for(lambda: refusing.num_logins == 2)
        wait_for(lambda: "refuses user and password" in camera.state()["error"])
        wait_for(lambda: camera.undelivered == 0)
    texts = [*told, *(str(each.message) for each in warned or ())]
    assert sum("refuses user and password" in text and "in 5 minutes" in text for text in texts) == 1
    assert listener.kinds.count("offline") == 1
    assert refusing.num_logins == 2
