"""A camera is armed or not, by its page, a program, or a broker; it stays so."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

pytest.importorskip("starlette")

from segue.events.table import Event
from segue_watch.camera import Camera
from segue_watch.configuration import read_file
from segue_watch.web.page import CameraPage
from tests.cli.mjpeg import mjpeg_camera
from tests.events.stored import ask
from tests.events.test_notify import Listener, make_broker
from tests.segue_watch.test_away import camera_at
from tests.segue_watch.test_command import watched
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with mjpeg_camera() as address:
        yield address


def test_disarming_a_camera_on_its_page_stops_alerts(
    address: str, listener: Listener, tmp_path: Path
) -> None:
    seen, table = list[Event](), tmp_path / "out" / "gate.csv"
    camera = camera_at(address, tmp_path, f"{listener.address} when=armed", seen.append)
    with CameraPage([camera], 0) as page, watched(camera):
        wait_for(lambda: listener.received)
        post(page, {"armed": False})
        assert get(page, "health")["gate"]["armed"] is False
        wait_for(lambda: ask(table, "select count(*) from events where armed = 0") > [(3,)])
        told = [message["object"] for message in listener.received]
        silent = {number for (number,) in ask(table, "select object from events where armed = 0")}
        assert len(silent - {*told}) >= 1
        with pytest.raises(HTTPError, match="400"):
            post(page, {"armed": "no"})
    assert camera_at(address, tmp_path, listener.address, seen.append).armed is False, "it holds"
    camera_at(address, tmp_path, listener.address, seen.append).arm(True)
    assert camera_at(address, tmp_path, listener.address, seen.append).armed is True
    assert [message["event"] for message in listener.received] == [
        kind for (kind,) in ask(table, "select kind from events where armed = 1 and kind != 'class'")
    ]


def test_a_broker_arms_and_disarms_a_camera_and_keeps_its_state(address: str, tmp_path: Path) -> None:
    paho = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
    from paho.mqtt.enums import CallbackAPIVersion

    broker, states = make_broker(tmp_path), list[bytes]()
    broker.start()
    client, subscribed = paho.Client(CallbackAPIVersion.VERSION2), threading.Event()
    topic = "cameras/front yard/armed"
    client.on_message = lambda _, __, message: states.append(message.payload)
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_connect = lambda client, *_: client.subscribe(topic, 1)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    assert subscribed.wait(60)
    camera = camera_at(address, tmp_path, broker.address, lambda _: None)
    with watched(camera):
        wait_for(lambda: states[-1:] == [b"ON"])
        client.publish(f"{topic}/set", b"OFF", qos=1)
        wait_for(lambda: states[-1:] == [b"OFF"])
        assert not camera.armed
        client.publish(f"{topic}/set", b"ON", qos=1)
        wait_for(lambda: camera.armed)
        camera.arm(False)
        wait_for(lambda: states[-1:] == [b"OFF"])
    client.disconnect()
    client.loop_stop()
    broker.stop()


def test_messages_have_the_address_of_the_page_that_the_file_has(
    address: str, listener: Listener, tmp_path: Path
) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text(
        '[page]\naddress = "https://cameras.example.org/yard"\n[cameras.gate]\n'
        f'source = "{address}"\nmodel = "median"\ndevice = "cpu"\nnotify = "{listener.address}"\n'
    )
    jobs, access = read_file(file, tmp_path / "out")
    camera = Camera("gate", jobs["gate"], lambda *_: None, lambda _: None)
    camera.page = access.address
    with watched(camera):
        wait_for(lambda: listener.received)
    visit = ask(tmp_path / "out" / "gate.csv", "select min(id) from visits")[0][0]
    assert listener.received[0]["link"] == f"https://cameras.example.org/yard/#visit/gate/{visit}"


def post(page: CameraPage, values: Any) -> None:
    request = Request(
        f"{page.address}armed/gate",
        json.dumps(values).encode(),
        {"Content-Type": "application/json", "Origin": page.address.rstrip("/")},
    )
    with urlopen(request, timeout=60):
        pass


def get(page: CameraPage, path: str) -> Any:
    with urlopen(page.address + path, timeout=60) as answer:
        return json.load(answer)
