"""Messages about events, to a server of this machine."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from segue.errors import SinkError
from segue.video import EventSink
from segue.video.notify import Notifier, NotifyWarning
from tests.video.test_event_sink import big


class Listener(HTTPServer):
    """Keeps the events that it receives."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[dict[str, Any]] = []
        self.accounts: list[str | None] = []
        self.status = 204

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/events"


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/json"
        self.server.received.append(json.loads(body))
        self.server.accounts.append(self.headers["Authorization"])
        self.send_response(self.server.status)
        self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = Listener()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def send(address: str, *events: str) -> None:
    notifier = Notifier(address)
    for event in events:
        notifier.send({"event": event})
    notifier.close()


def test_each_event_is_reported(listener: Listener, tmp_path: Path) -> None:
    with EventSink(tmp_path / "events.json", notify=listener.address) as sink:
        for t in range(4):
            sink.write(*big(t, {1: (5, 5, 20, 20)} if t < 3 else {}))
    assert listener.received == json.loads((tmp_path / "events.json").read_text())
    assert [event["event"] for event in listener.received] == ["enter", "leave"]


def test_who_cannot_be_reached_is_a_warning_without_the_password() -> None:
    with pytest.warns(NotifyWarning, match="not notified of an event") as warned:
        send("http://me:secret@127.0.0.1:9/events", "enter", "leave")
    assert len(warned) == 1
    assert "secret" not in str(warned[0].message)


def test_a_message_goes_nowhere_else(listener: Listener) -> None:
    listener.status = 302
    with pytest.warns(NotifyWarning):
        send(listener.address, "enter")
    assert listener.received == [{"event": "enter"}]


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://a/b", "nonsense", "http://", "http://a:x/"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(SinkError, match="http"):
        Notifier(address)


class Broker(threading.Thread):
    """As much of a broker of MQTT 3.1.1 as one client needs: it takes messages of QoS 1 and says so."""

    def __init__(self, verdict: int = 0) -> None:
        super().__init__(daemon=True)
        self._verdict = verdict
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.connected = b""
        self.received: list[tuple[str, dict[str, Any]]] = []

    def run(self) -> None:
        client, _ = self._socket.accept()
        with client, client.makefile("rb") as stream:
            while kind := stream.read(1):
                length = shift = 0
                while True:  # seven bits a byte, lowest first
                    byte = stream.read(1)[0]
                    length |= (byte & 127) << shift
                    shift += 7
                    if byte < 128:
                        break
                body = stream.read(length)
                if kind[0] >> 4 == 1:  # CONNECT
                    self.connected = body
                    client.sendall(bytes((0x20, 2, 0, self._verdict)))
                elif kind[0] >> 4 == 3:  # PUBLISH
                    end = 2 + int.from_bytes(body[:2], "big")
                    self.received.append((body[2:end].decode(), json.loads(body[end + 2 :])))
                    client.sendall(bytes((0x40, 2)) + body[end : end + 2])


def test_events_are_published_by_mqtt() -> None:
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (pip install 'segue[mqtt]')")
    broker = Broker()
    broker.start()
    notifier = Notifier(f"mqtt://me:secret@127.0.0.1:{broker.port}/cameras/front%20yard")
    for number in range(3):
        notifier.send({"event": "enter", "object": number})
    notifier.close()
    assert broker.received == [("cameras/front yard", {"event": "enter", "object": n}) for n in range(3)]
    assert b"me" in broker.connected
    assert b"secret" in broker.connected


@pytest.mark.parametrize("verdict", [4, 5])
def test_a_broker_that_refuses_the_login_says_so(verdict: int) -> None:
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (pip install 'segue[mqtt]')")
    broker = Broker(verdict)
    broker.start()
    notifier = Notifier(f"mqtt://me:wrong@127.0.0.1:{broker.port}/yard")
    notifier.send({"event": "enter"})
    with pytest.warns(NotifyWarning, match=r"127\.0\.0\.1.*refused the login") as caught:
        notifier.close()
    assert "wrong" not in str(caught[0].message)
    assert broker.received == []


def test_mqtt_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(SinkError, match=r"pip install .*mqtt"):
        Notifier("mqtt://broker/topic")
