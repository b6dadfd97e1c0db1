"""Visits as events of Frigate: to a server made from its published API (/openapi.json of 0.17)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from segue.errors import SinkError
from segue.events.deliveries import Notifiers, NotifyWarning
from segue.events.receivers import frigate as module
from segue.events.receivers.base import Message, ReceiverContext
from segue.events.receivers.frigate import FrigateReceiver
from segue.events.store.records import CLASS
from segue.events.store.store import EventStore
from segue.events.table import Event
from segue.events.targets import check_targets
from segue.video import Reconnect
from tests.events.test_services import ENTER
from tests.waiting import wait_for

CREATE = {"source_type", "sub_label", "score", "duration", "include_recording", "draw"}
"""Fields of ``EventsCreateBody``."""


class Frigate(ThreadingHTTPServer):
    """What Frigate answers about manual events; it may want a login, and may be busy at first."""

    def __init__(self, account: tuple[str, str] | None = None, busy: int = 0) -> None:
        self.account, self.busy, self.logins = account, busy, 0
        self.cameras = {"front"}
        self.late: list[float] = []  # seconds by which the next answers about new events come late
        self.unlisted = 0.0  # seconds from such an answer until the event is listed
        self.events: dict[str, dict[str, Any]] = {}
        self.times: dict[str, float] = {}
        super().__init__(("127.0.0.1", 0), _Answer)
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def end(self) -> None:
        self.shutdown()
        self.server_close()


class _Answer(BaseHTTPRequestHandler):
    server: Frigate

    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/api/login":
            self.server.logins += 1
            if (body["user"], body["password"]) == self.server.account:
                self._answer(200, {}, cookie="frigate_token=t; HttpOnly")
            else:
                self._answer(401, {"message": "Login failed"})
        elif self._may() and (match := re.fullmatch(r"/api/events/(\w+)/([\w%]+)/create", self.path)):
            camera, label = match.groups()
            if camera not in self.server.cameras:
                self._answer(404, {"success": False, "message": f"{camera} is not a valid camera."})
                return
            assert {*body} <= CREATE
            id = f"1700000000.{len(self.server.events)}-abc"
            self.server.events[id] = {"label": label, **body}
            self.server.times[id] = time.time()
            if self.server.late:
                time.sleep(self.server.late.pop(0))
            self._answer(200, {"success": True, "message": "Successfully created event.", "event_id": id})
        elif match := re.fullmatch(r"/api/events/([\w.-]+)/sub_label", self.path):
            self._change(match[1], "sub_label", body["subLabel"])

    def do_GET(self) -> None:
        place, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        assert place == "/api/events"
        assert {*query} <= {"cameras", "sub_labels", "in_progress", "after", "include_thumbnails"}
        assert (query["cameras"], query["in_progress"]) == (["front"], ["1"])
        listed = [
            {"id": id, "camera": "front", **event, "start_time": begun}
            for id, begun in reversed(self.server.times.items())
            if float(query["after"][0]) < begun < time.time() - self.server.unlisted
            and (event := self.server.events[id])["sub_label"] in query["sub_labels"]
            and "end_time" not in event
        ]
        self._answer(200, listed)

    def do_PUT(self) -> None:
        body = self._body()
        match = re.fullmatch(r"/api/events/([\w.-]+)/end", self.path)
        assert match is not None
        self._change(match[1], "end_time", body.get("end_time"))

    def _change(self, id: str, name: str, value: Any) -> None:
        if id in self.server.events:
            self.server.events[id][name] = value
            self._answer(200, {"success": True})
        else:
            self._answer(404, {"success": False, "message": f"Event {id} not found."})

    def _may(self) -> bool:
        self.server.busy -= 1
        if self.server.busy >= 0:
            self._answer(503, {})
        elif self.server.account is not None and self.headers["Cookie"] != "frigate_token=t":
            self._answer(401, {})
        else:
            return True
        return False

    def _body(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return value

    def _answer(self, status: int, values: object, cookie: str = "") -> None:
        body = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def frigate() -> Iterator[Frigate]:
    server = Frigate()
    yield server
    server.end()


NOW = datetime.now(UTC) + timedelta(hours=6)
"""Frigate dates events by their creation: later than any of this test."""

COME = replace(ENTER, event="enter", label=None, label_score=None, zone="", at=NOW.isoformat())
GONE = replace(COME, event="leave", label="dog", at=(NOW + timedelta(seconds=30)).isoformat())
END = NOW.timestamp() + 30


def tell(folder: Path, address: str, *events: Event, limit: float = 20.0) -> int:
    """Events of a run of a camera; gives the number of those that did not arrive."""
    store = EventStore.open(folder / "gate.db")
    store.begin_run("gate")
    store.begin_part("", "gate.csv")
    notifiers = Notifiers([address], store, size=lambda: (100, 200))
    for each in events:
        store.put(store.record(each))
    notifiers.wake()
    if not limit:
        wait_for(lambda: notifiers.undelivered == 0)
    left = notifiers.close(limit)
    store.close()
    return left


def test_a_visit_is_an_event_that_begins_and_ends_with_it(frigate: Frigate, tmp_path: Path) -> None:
    address = f"frigate://127.0.0.1:{frigate.server_port}/front"
    other = replace(COME, object=4, label="person", label_score=0.75)
    offline = replace(COME, event="offline", object=0)
    known = replace(COME, event=CLASS, label="dog")
    loiter = replace(COME, event="loiter", zone="door", label="dog")
    assert tell(tmp_path, address, offline, COME, other, known, loiter, GONE) == 0
    first, second = frigate.events.values()
    assert first == {
        "label": "unknown",
        "source_type": "api",
        "sub_label": "dog",
        "score": 0.0,
        "duration": None,
        "include_recording": True,
        "draw": {"boxes": [{"box": [0.005, 0.02, 0.04, 0.07], "color": [255, 90, 40], "score": 0}]},
        "end_time": pytest.approx(END),
    }
    assert (second["label"], second["score"], second["sub_label"]) == ("person", 0.75, "segue")
    assert "end_time" not in second


def test_the_next_run_ends_the_event_of_a_visit(frigate: Frigate, tmp_path: Path) -> None:
    address = f"frigate://127.0.0.1:{frigate.server_port}/front"
    assert tell(tmp_path, address, COME) == 0
    assert tell(tmp_path, address, GONE) == 0
    (event,) = frigate.events.values()
    assert event["end_time"] == pytest.approx(END)
    store = EventStore.open(tmp_path / "gate.db")
    assert not [key for key in store.settings() if key.startswith("frigate")]
    store.close()


@pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")
def test_it_logs_in_where_frigate_wants_it_and_tries_again_where_it_is_busy(tmp_path: Path) -> None:
    server = Frigate(("me", "a b"), busy=2)
    address = f"frigate://me:a%20b@127.0.0.1:{server.server_port}/front"
    assert tell(tmp_path, address, COME, GONE) == 0
    server.end()
    assert (len(server.events), server.logins) == (1, 1)


def test_a_camera_that_frigate_lacks_is_said(frigate: Frigate, tmp_path: Path) -> None:
    address = f"frigate://127.0.0.1:{frigate.server_port}/back"
    with pytest.warns(NotifyWarning, match="back: not notified of an event .404"):
        assert tell(tmp_path, address, COME, limit=0.3) == 1
    with pytest.raises(SinkError, match="give the camera of Frigate"):
        check_targets(["frigate://host:5000/"])


@pytest.mark.parametrize("rule", ["zone=door", "event=enter,zone-enter", "per=visit", "when=armed"])
def test_an_event_ends_with_its_visit_whatever_the_rules_say(
    frigate: Frigate, tmp_path: Path, rule: str
) -> None:
    """An object enters at the door, and leaves elsewhere, at another time."""
    address = f"frigate://127.0.0.1:{frigate.server_port}/front {rule}"
    store = EventStore.open(tmp_path / "gate.db")
    store.begin_part("", "gate.csv")
    notifiers = Notifiers([address], store)
    for event in (COME, replace(COME, event="zone-enter", zone="door")):
        store.put(store.record(event))
    store.arm(False)
    store.put(store.record(GONE))
    for event in (replace(COME, object=4), replace(GONE, object=4)):  # elsewhere, not armed
        store.put(store.record(event))
    notifiers.wake()
    assert notifiers.close(20.0) == 0
    store.close()
    assert all("end_time" in event for event in frigate.events.values())
    assert len(frigate.events) == (1 if rule in ("zone=door", "when=armed") else 2)


LOITER = replace(COME, event="loiter", zone="door")


@pytest.mark.parametrize(
    ("refused", "later"),
    [((COME, GONE), (COME, GONE)), ((COME, GONE), (GONE, COME)), ((COME,), (LOITER, GONE, COME))],
)
def test_an_event_that_frigate_refused_is_created_once_and_ends(
    frigate: Frigate, refused: tuple[Event, ...], later: tuple[Event, ...]
) -> None:
    """The camera gets its name in Frigate after the visit has begun, or has ended."""
    receiver = FrigateReceiver(
        ReceiverContext(address=f"frigate://127.0.0.1:{frigate.server_port}/yard", store=EventStore())
    )

    def outcomes(events: tuple[Event, ...]) -> set[str]:
        return {receiver.send(Message(asdict(event), 1), 20.0).outcome for event in events}

    assert outcomes(refused) == {"refused"}
    frigate.cameras.add("yard")
    assert outcomes(later) == {"sent"}
    (event,) = frigate.events.values()
    assert "end_time" in event


def test_an_event_that_is_told_late_does_not_end_before_it_begins(frigate: Frigate, tmp_path: Path) -> None:
    address = f"frigate://127.0.0.1:{frigate.server_port}/front"
    late = (NOW - timedelta(hours=7)).isoformat()
    assert tell(tmp_path, address, replace(COME, at=late), replace(GONE, at=late)) == 0
    (event,) = frigate.events.values()
    assert event["end_time"] is None, "Frigate takes the time at which it hears of it"


def test_an_event_that_somebody_has_deleted_in_frigate_holds_up_nothing(
    frigate: Frigate, tmp_path: Path
) -> None:
    address = f"frigate://127.0.0.1:{frigate.server_port}/front"
    assert tell(tmp_path, address, COME) == 0
    frigate.events.clear()
    assert tell(tmp_path, address, GONE) == 0
    assert not frigate.events


@pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")
@pytest.mark.parametrize("unlisted", [0.0, 0.3])
def test_an_event_whose_answer_comes_late_is_created_once(
    unlisted: float, frigate: Frigate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLED", 0.6)
    frigate.unlisted, frigate.late = unlisted, [0.0, 0.5]
    other = replace(COME, object=4, label="person")
    store = EventStore.open(tmp_path / "gate.db")
    store.begin_part("", "gate.csv")
    patience = Reconnect(first_delay=0.01, max_delay=0.05, timeout=0.3)
    address = f"frigate://127.0.0.1:{frigate.server_port}/front"
    notifiers = Notifiers([address], store, patience=patience)
    for event in (COME, other, replace(GONE, object=4)):
        store.put(store.record(event))
    notifiers.wake()
    assert notifiers.close(20.0) == 0
    store.close()
    assert [("end_time" in event, event["label"]) for event in frigate.events.values()] == [
        (False, "unknown"), (True, "person")
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")
def test_an_event_that_frigate_has_not_heard_of_is_created_again(
    frigate: Frigate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks before Frigate has read the request."""
    monkeypatch.setattr(module, "SETTLED", 0.1)
    ask, broken = FrigateReceiver._request, [True]

    def request(self: FrigateReceiver, method: str, *rest: Any) -> Any:
        if method == "POST" and broken and broken.pop():
            raise ConnectionResetError
        return ask(self, method, *rest)

    monkeypatch.setattr(FrigateReceiver, "_request", request)
    address = f"frigate://127.0.0.1:{frigate.server_port}/front"
    assert tell(tmp_path, address, COME, GONE) == 0
    assert len(frigate.events) == 1
