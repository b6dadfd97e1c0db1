"""Better pictures in messages that were sent, by servers written from the APIs of the services."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from segue.entries.events import EventSettings
from segue.entries.formats import SinkOptions
from segue.events.deliveries import Notifiers
from segue.events.images import replacing
from segue.events.images.snapshots import Snapshots
from segue.events.monitor import EventMonitor
from segue.events.publisher import EventFiles, EventPublisher
from segue.events.receivers.base import BetterView
from segue.events.store.store import EventStore
from segue.events.table import Event
from tests.events.test_sink import big
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("_apprise")

IMAGE = "00001-enter-3.jpg"
ENTER = Event("enter", 3, 7, 0.7, 10, 10, 20, 30, 200, 0.0, 200, "person", 0.9, snapshot=IMAGE, source="gate")


class Service(ThreadingHTTPServer):
    """A chat: messages by their ids, in their order, and the pictures that each has had."""

    def __init__(self) -> None:
        self.pictures: dict[str, list[bytes]] = {}
        self.texts: dict[str, str] = {}
        self.loud = 0  # messages with a sound
        self.is_old = False  # ntfy before sequence ids
        self.refuses_pictures = False
        super().__init__(("127.0.0.1", 0), _Answer)
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def show(self, id: str, text: str, picture: bytes) -> None:
        self.pictures.setdefault(id, []).append(picture)
        self.texts[id] = text


class _Answer(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        refuses = self.server.refuses_pictures and self.headers["Content-Type"] != "application/json"
        kind = self.telegram if "/bot" in self.path else self.discord if "/api/" in self.path else self.ntfy
        values = {} if refuses else kind(body)
        answer = json.dumps(values).encode()
        self.send_response(413 if refuses else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def ntfy(self, body: bytes) -> dict[str, Any]:
        if self.headers["Content-Type"] == "application/json":  # a text without a picture
            self.server.show(f"m{len(self.server.texts)}", json.loads(body)["message"], b"")
            return {}
        query = parse_qs(urlsplit(self.path).query)
        id = f"m{len(self.server.texts)}" if self.server.is_old else self.headers["X-Sequence-ID"]
        self.server.loud += self.headers["X-Priority"] in ("3", "default")
        self.server.show(id, f"{query['title'][0]}: {query['message'][0]}", body)
        return {"id": "x", "event": "message"} | ({} if self.server.is_old else {"sequence_id": id})

    def form(self, body: bytes) -> dict[str, bytes]:
        about = b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n"
        parts = [*BytesParser(policy=HTTP).parsebytes(about + body).iter_parts()]
        return {
            str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
            for part in parts
        }

    def do_PATCH(self) -> None:
        self.do_POST()

    def discord(self, body: bytes) -> dict[str, Any]:
        fields, place = self.form(body), urlsplit(self.path)
        about, picture = json.loads(fields["payload_json"]), fields["files[0]"]
        assert about["attachments"] == [{"id": 0, "filename": "image.jpg"}]
        assert place.path.startswith("/api/v10/webhooks/1234567890/the-token")
        assert not self.headers["User-Agent"].startswith("Python")
        if self.command == "POST":
            assert parse_qs(place.query)["wait"] == ["true"]
            id, content = str(100 + len(self.server.texts)), about["content"].replace("\n", ": ")
            self.server.loud += 1
        else:
            id = place.path.rpartition("/messages/")[2]
            content = self.server.texts[id]
        self.server.show(id, content, picture)
        return {"id": id}

    def telegram(self, body: bytes) -> dict[str, Any]:
        fields = self.form(body)
        text = {name: value.decode() for name, value in fields.items() if name != "photo"}
        picture = fields["photo"]
        assert text["chat_id"] == "98765"
        if self.path.endswith("/sendPhoto"):
            id, caption = str(100 + len(self.server.texts)), text["caption"]
            self.server.loud += "disable_notification" not in text
        else:
            assert self.path.endswith("/editMessageMedia")
            id, media = text["message_id"], json.loads(text["media"])
            assert id in self.server.texts
            assert (media["type"], media["media"]) == ("photo", "attach://photo")
            caption = media["caption"]
        self.server.show(id, caption.replace("\n", ": "), picture)
        return {"ok": True, "result": {"message_id": int(id)}}

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def _apprise() -> None:
    pytest.importorskip("apprise", reason="apprise is not installed (pip install 'segue[apprise]')")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    from apprise.plugins.discord import NotifyDiscord
    from apprise.plugins.telegram import NotifyTelegram

    server = Service()
    monkeypatch.setattr(NotifyTelegram, "notify_url", f"http://127.0.0.1:{server.server_port}/bot")
    monkeypatch.setattr(NotifyDiscord, "notify_url", f"http://127.0.0.1:{server.server_port}/api/webhooks")
    monkeypatch.setattr(replacing, "PICTURE_SECONDS", (0.05, 0.05, 0.05))
    yield server
    server.shutdown()
    server.server_close()


def address_of(kind: str, service: Service) -> str:
    if kind == "telegram":
        return f"apprise+tgram://123456789:{'a' * 35}/98765"
    if kind == "discord":
        return "apprise+discord://1234567890/the-token"
    return f"apprise+ntfy://127.0.0.1:{service.server_port}/front"


class Camera:
    """Sends an event of a store to a receiver, and better views of it."""

    def __init__(self, folder: Path, receiver: str) -> None:
        self.path = folder / IMAGE
        self.path.write_bytes(b"first")
        self.store = EventStore.open(None)
        self.store.begin_run("gate")
        self.store.begin_part("", "gate.csv")
        self.notifiers = Notifiers([receiver], self.store, folder, size=lambda: (100, 100))

    def tell(self, event: Event) -> int:
        recorded = self.store.record(event)
        self.store.put(recorded)
        self.notifiers.wake()
        wait_for(lambda: self.notifiers.undelivered == 0)
        return recorded.visit

    def improve(self, visit: int, picture: bytes, score: float) -> None:
        self.path.write_bytes(picture)
        for _, receiver in self.notifiers.targets:
            receiver.show_better(BetterView(visit, self.path, picture, score))

    def close(self) -> None:
        assert self.notifiers.close(20.0) == 0
        self.store.close()


@pytest.mark.parametrize("kind", ["ntfy", "telegram", "discord"])
def test_a_better_view_replaces_the_picture_of_its_message(
    kind: str, tmp_path: Path, service: Service
) -> None:
    camera = Camera(tmp_path, address_of(kind, service))
    visit = camera.tell(ENTER)
    camera.improve(visit, b"second", 400.0)
    wait_for(lambda: [*service.pictures.values()] == [[b"first", b"second"]])
    camera.improve(visit + 1, b"of somebody else", 9000.0)
    camera.improve(visit, b"third", 900.0)
    wait_for(lambda: [*service.pictures.values()] == [[b"first", b"second", b"third"]])
    camera.tell(replace(ENTER, event="loiter", zone="door"))  # the same visit: no message
    camera.close()
    assert [*service.texts.values()] == ["gate: person 3 entered"]
    assert service.loud == 1


def test_the_picture_of_a_message_is_replaced_a_few_times_at_most(tmp_path: Path, service: Service) -> None:
    camera = Camera(tmp_path, address_of("ntfy", service))
    visit = camera.tell(ENTER)
    for number in range(1, 4):
        camera.improve(visit, str(number).encode(), 200 * 2.0**number)
        wait_for(lambda: len(next(iter(service.pictures.values()))) == 1 + number)  # noqa: B023
    camera.improve(visit, b"4", 9000.0)
    other = camera.tell(replace(ENTER, object=4))
    camera.improve(other, b"5", 9000.0)
    wait_for(lambda: b"5" in [*service.pictures.values()][-1])
    camera.close()
    assert [*service.pictures.values()] == [[b"first", b"1", b"2", b"3"], [b"4", b"5"]]


@pytest.mark.parametrize(("rule", "is_old"), [(" picture=first", False), ("", True)])
def test_the_first_picture_stays_by_a_rule_and_on_a_server_that_would_send_a_second_message(
    rule: str, is_old: bool, tmp_path: Path, service: Service
) -> None:
    service.is_old = is_old
    first = Camera(tmp_path, address_of("ntfy", service) + rule)
    visit = first.tell(ENTER)
    first.improve(visit, b"better", 400.0)
    service.is_old = False
    other = Camera(tmp_path, address_of("ntfy", service))
    other.improve(other.tell(ENTER), b"even better", 900.0)
    wait_for(lambda: any(b"even better" in each for each in service.pictures.values()))
    first.close()
    other.close()
    assert len(service.texts) == 2
    assert not any(b"better" in each for each in service.pictures.values())


def test_a_service_that_refuses_the_picture_gets_the_text(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apprise.plugins.ntfy import NotifyNtfy

    service.refuses_pictures = True
    monkeypatch.setattr(NotifyNtfy, "request_rate_per_sec", 0.0)  # Apprise waits 5.5 s between two requests
    camera = Camera(tmp_path, address_of("ntfy", service))
    camera.tell(ENTER)
    camera.close()
    assert [*service.texts.values()] == ["person 3 entered"]
    assert [*service.pictures.values()] == [[b""]]


def test_a_camera_replaces_the_picture_when_an_object_comes_near(tmp_path: Path, service: Service) -> None:
    store = EventStore.open(None)
    store.begin_run("gate")
    store.begin_part("", "gate.csv")
    folder, monitor = tmp_path / "seen", EventMonitor()
    notifiers = Notifiers([address_of("ntfy", service)], store, folder, size=lambda: (120, 160))
    publisher = EventPublisher(store, notifiers=notifiers)
    options = SinkOptions(live=True, events=EventSettings())
    files = EventFiles(tmp_path / "gate.csv", options, publisher, Snapshots(folder, live=True))
    for t in range(12):
        result = monitor.update(*big(t, {1: (50, 50, 60 + 4 * t, 60 + 4 * t)}))
        files.write(big(t, {})[0], result[0])
        files.events(result[1], monitor.objects)
        if t == 4:
            wait_for(lambda: len(service.texts) == 1)
    (path,) = folder.glob("*-enter-1.jpg")
    wait_for(lambda: next(iter(service.pictures.values()))[-1] == path.read_bytes())
    assert len(next(iter(service.pictures.values()))) > 1
    files.close()
    assert notifiers.close(20.0) == 0
    store.close()
    assert len(service.texts) == 1


def test_a_later_message_of_an_early_visit_is_among_the_latest(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where each event makes a message, the picture of the last one of a visit is replaced."""
    monkeypatch.setattr(replacing, "MAX_VISITS", 2)
    camera = Camera(tmp_path, f"{address_of('ntfy', service)} per=event")
    first = camera.tell(ENTER)
    camera.tell(replace(ENTER, object=4))
    assert camera.tell(replace(ENTER, event="loiter", zone="door")) == first
    camera.tell(replace(ENTER, object=5))
    camera.improve(first, b"second", 9000.0)
    wait_for(lambda: [*service.pictures.values()][2] == [b"first", b"second"])
    camera.close()
