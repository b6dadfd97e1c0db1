"""Messages about events, to a server of this machine."""

from __future__ import annotations

import json
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
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.told: list[dict[str, Any]] = []
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
        self.server.told.append(json.loads(body))
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


def test_an_account_goes_into_the_header(listener: Listener) -> None:
    send(listener.address.replace("//", "//me:a%20b@"), "enter")
    assert listener.told == [{"event": "enter"}]
    assert listener.accounts == ["Basic bWU6YSBi"]


def test_each_event_is_told(listener: Listener, tmp_path: Path) -> None:
    with EventSink(tmp_path / "events.json", notify=listener.address) as sink:
        for t in range(4):
            sink.write(*big(t, {1: (5, 5, 20, 20)} if t < 3 else {}))
    assert listener.told == json.loads((tmp_path / "events.json").read_text())
    assert [event["event"] for event in listener.told] == ["enter", "leave"]


def test_who_cannot_be_reached_is_a_warning_without_the_password() -> None:
    with pytest.warns(NotifyWarning, match="not told of an event") as warned:
        send("http://me:secret@127.0.0.1:9/events", "enter", "leave")
    assert len(warned) == 1
    assert "secret" not in str(warned[0].message)


def test_a_message_goes_nowhere_else(listener: Listener) -> None:
    listener.status = 302
    with pytest.warns(NotifyWarning):
        send(listener.address, "enter")
    assert listener.told == [{"event": "enter"}]


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://a/b", "nonsense", "http://", "http://a:x/"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(SinkError, match="http"):
        Notifier(address)
