"""Messages to people by Apprise: a text and the image, again until the service has taken them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from segue.errors import SinkError
from segue.events.deliveries import Notifier, Notifiers
from segue.events.receivers.services import words_of
from segue.events.store.store import EventStore
from segue.events.table import Event
from segue.utils.extras import install_command
from segue.video import Reconnect
from segue.video.sources.addresses import public_address, stored_address
from tests.waiting import wait_for

ADDRESS = "apprise+tgram://123456789:AAabcdefghijklmnopqrstuvwxyz012345/98765"
IMAGE = "00001-zone-enter-3.jpg"
ENTER = Event("zone-enter", 3, 7, 0.7, 1, 2, 9, 9, 60, 0.0, 60, "person", 0.9, "door", snapshot=IMAGE)


class Service(ThreadingHTTPServer):
    """Takes what Apprise posts as JSON; at first it is busy."""

    def __init__(self, busy: int) -> None:
        self.busy, self.taken = busy, list[dict[str, Any]]()
        self.refuses, self.status = "", 400
        self.priorities = list[str | None]()  # of ntfy
        super().__init__(("127.0.0.1", 0), _Answer)
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class _Answer(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.busy -= 1
        self.server.priorities.append(self.headers["X-Priority"])
        well = self.server.busy < 0
        refused = bool(self.server.refuses) and self.server.refuses in message["message"]
        if well and not refused:
            self.server.taken.append(message)
        self.send_response(self.server.status if refused else 200 if well else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")
@pytest.mark.parametrize("busy", [0, 5])
def test_a_service_gets_words_and_the_image_also_if_it_was_busy(tmp_path: Path, busy: int) -> None:
    pytest.importorskip("apprise", reason="apprise is not installed (pip install 'segue[apprise]')")
    service = Service(busy)
    (tmp_path / IMAGE).write_bytes(b"an image")
    address = f"apprise+json://127.0.0.1:{service.server_port}/"
    notifier = Notifier(address, patience=Reconnect(first_delay=0.01, max_delay=0.05), images=tmp_path)
    notifier.send(asdict(ENTER) | {"source": "gate"})
    assert notifier.close(20.0) == 0
    service.shutdown()
    service.server_close()
    (message,) = service.taken
    assert (message["title"], message["message"]) == ("gate", "person 3 entered door")
    assert [each["filename"] for each in message["attachments"]][:1] == (
        [ENTER.snapshot] if not busy % 2 else []
    )


@pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")
@pytest.mark.parametrize("status", [400, None])
def test_a_message_that_a_service_refuses_for_good_holds_up_no_other(
    status: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so by its status, or does not say why."""
    apprise = pytest.importorskip("apprise", reason="apprise is not installed (pip install 'segue[apprise]')")
    service = Service(0)
    service.refuses, service.status = "object 1", status or 400
    if status is None:
        monkeypatch.setattr(apprise.logger, "warning", lambda *_, **__: None)
    address = f"apprise+json://127.0.0.1:{service.server_port}/"
    notifier = Notifier(address, patience=Reconnect(first_delay=0.01, max_delay=0.05))
    for number in range(1, 5):
        notifier.send({"event": "enter", "object": number})
    wait_for(lambda: len(service.taken) == 3)
    assert notifier.close(0.2) == 1
    service.shutdown()
    service.server_close()
    assert [message["message"] for message in service.taken] == [
        f"object {number} entered" for number in (2, 3, 4)
    ]


def test_a_name_with_a_bracket_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Telegram would take it for HTML, and refuse what is none."""
    apprise = pytest.importorskip("apprise", reason="apprise is not installed (pip install 'segue[apprise]')")
    given = list[dict[str, Any]]()
    monkeypatch.setattr(apprise.Apprise, "notify", lambda _, **fields: given.append(fields) or True)
    notifier = Notifier(ADDRESS)
    notifier.send({"event": "zone-enter", "object": 3, "zone": "a<b"})
    assert notifier.close(20.0) == 0
    assert given[0]["body"] == "object 3 entered a<b"
    assert given[0]["body_format"] == apprise.NotifyFormat.TEXT


def test_an_address_that_apprise_does_not_know_is_refused() -> None:
    pytest.importorskip("apprise", reason="apprise is not installed (pip install 'segue[apprise]')")
    with pytest.raises(SinkError, match="Apprise"):
        Notifier("apprise+nonesuch://secret")


def test_a_missing_package_gives_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(SinkError) as refused:
        Notifier(ADDRESS)
    assert install_command("apprise") in str(refused.value)


def test_no_part_of_an_address_is_shown_or_stored() -> None:
    assert public_address(ADDRESS) == stored_address(ADDRESS) == "apprise+tgram://..."


def test_events_become_words() -> None:
    told = {**asdict(ENTER), "at": "2026-11-29T10:05:18.767+01:00"}
    assert words_of(told) == "person 3 entered door, 2026-11-29 10:05:18"
    assert words_of({"event": "offline", "object": 0}) == "the camera is lost"
    assert words_of({"event": "enter", "object": 4, "label": None}) == "object 4 entered"


def alert(address: str, folder: Path, rule: str, *events: Event, page: str = "") -> None:
    """Send events of a store to a service as they come."""
    store = EventStore.open(folder / "gate.db")
    store.begin_run("gate")
    store.begin_part("", "gate.csv")
    notifiers = Notifiers([f"{address} {rule}"], store, folder, page=lambda: page)
    for each in events:
        store.put(store.record(each))
        notifiers.wake()
    assert notifiers.close(20.0) == 0
    store.close()


def test_an_alert_has_a_link_to_its_visit_the_class_and_texts_of_its_rule(tmp_path: Path) -> None:
    pytest.importorskip("apprise", reason="apprise is not installed (pip install 'segue[apprise]')")
    service = Service(0)
    address = f"apprise+json://127.0.0.1:{service.server_port}/"
    come = replace(ENTER, event="enter", label=None, zone="", snapshot="", source="front yard")
    loiter = replace(ENTER, event="loiter", seconds=30.4, snapshot="", source="front yard")
    cross = replace(ENTER, event="cross", object=4, zone="gate", direction="right", snapshot="")
    later = replace(cross, object=5)
    page = "https://cameras.example.org/"
    alert(address, tmp_path, "event=loiter,cross", come, loiter, cross, page=page)
    alert(address, tmp_path, "event=cross title=At {source} text={who}: {what} {link}", later, page=page)
    service.shutdown()
    service.server_close()
    assert [each["message"] for each in service.taken] == [
        "person 3 stays in door for 30 s\nhttps://cameras.example.org/#visit/front%20yard/1",
        "person 4 crossed gate to the right",
        "person 5: crossed gate to the right",
    ]
    assert [each["title"] for each in service.taken] == ["front yard", "segue", "At"]


def test_a_message_has_the_priority_of_its_rule(tmp_path: Path) -> None:
    pytest.importorskip("apprise", reason="apprise is not installed (pip install 'segue[apprise]')")

    server = Service(0)
    address = f"apprise+ntfy://127.0.0.1:{server.server_port}/topic?mode=private"
    alert(address, tmp_path, "priority=high event=enter", replace(ENTER, event="enter", snapshot=""))
    alert(address, tmp_path, "event=enter", replace(ENTER, event="enter", object=5, snapshot=""))
    server.shutdown()
    server.server_close()
    assert server.priorities == ["high", None]
