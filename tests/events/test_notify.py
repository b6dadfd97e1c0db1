"""Messages about events, to real servers of this machine."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from segue.errors import SinkError
from segue.events import EventSink
from segue.events.images.snapshots import Snapshots
from segue.events.messages import notify, outbox
from segue.events.messages.home_assistant import HomeAssistant
from segue.events.messages.notify import Notifier, NotifyWarning
from segue.events.messages.outbox import Message, Outbox
from segue.events.table import Event
from segue.events.zones import Zone
from segue.sinks.rotation import RotatingSink
from segue.video import Reconnect
from tests.events.test_sink import big
from tests.ports import free_port
from tests.waiting import wait_for

QUICK = Reconnect(first_delay=0.01, max_delay=0.05, timeout=0.3)
PATIENT = Reconnect(first_delay=0.01, max_delay=0.05, timeout=30.0)
"""Tries again at once, but not because a busy machine answers late: the message would come twice."""


class Listener(ThreadingHTTPServer):
    """Keeps the events that it receives, and answers with the statuses it is told, the last one for good."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.received: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.statuses = [204]
        self.refuses = ""
        self.delays: list[float] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/events"

    @property
    def kinds(self) -> list[str]:
        return [message["event"] for message in self.received]

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["Content-Type"] == "application/json"
        self.server.received.append(message)
        self.server.paths.append(self.path)
        statuses = self.server.statuses
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        if message["event"] == self.server.refuses:
            status = 400
        if self.server.delays:
            time.sleep(self.server.delays.pop(0))
        try:
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
        except OSError:  # the other side did not wait so long
            pass

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = Listener()
    yield server
    server.end()


def send(address: str, *events: str, limit: float = 60.0, queue: Path | None = None) -> int:
    """Give events, wait for their arrival, and tell how many have not arrived."""
    notifier = Notifier(address, queue, PATIENT)
    for event in events:
        notifier.send({"event": event})
    return notifier.close(limit)


def test_each_event_is_reported(listener: Listener, tmp_path: Path) -> None:
    with EventSink(tmp_path / "events.json", notify=listener.address) as sink:
        for t in range(4):
            sink.write(*big(t, {1: (5, 5, 20, 20)} if t < 3 else {}))
    ids = {message.pop("id") for message in listener.received}
    assert listener.received == json.loads((tmp_path / "events.json").read_text())
    assert listener.kinds == ["enter", "leave"]
    assert len(ids) == 2


def test_events_that_cannot_be_delivered_are_counted_without_the_password() -> None:
    notifier = Notifier("http://me:secret@127.0.0.1:9/events", patience=PATIENT)
    with pytest.warns(NotifyWarning) as warned:  # noqa: PT031
        for event in ("enter", "leave"):
            notifier.send({"event": event})
        wait_for(lambda: bool(warned.list))
        assert notifier.close(0.3) == 2
    assert len(warned) == 1
    assert "secret" not in str(warned[0].message)


@pytest.mark.filterwarnings("ignore::segue.events.messages.notify.NotifyWarning")
def test_a_receiver_that_is_down_gets_everything_when_it_is_back() -> None:
    port = free_port()
    notifier = Notifier(f"http://127.0.0.1:{port}/events", patience=PATIENT)
    for number in range(5):
        notifier.send({"event": f"e{number}"})
    server = Listener(port)
    assert notifier.close(60.0) == 0
    server.end()
    assert server.kinds == [f"e{number}" for number in range(5)]


@pytest.mark.filterwarnings("ignore::segue.events.messages.notify.NotifyWarning")
@pytest.mark.parametrize("statuses", [[500, 503, 204], [429, 302, 200]])
def test_a_message_is_sent_until_the_answer_is_good_and_keeps_its_id(
    listener: Listener, statuses: list[int]
) -> None:
    listener.statuses = statuses
    assert send(listener.address, "enter", "leave") == 0
    assert listener.kinds == ["enter", "enter", "enter", "leave"]
    assert len({message["id"] for message in listener.received}) == 2


@pytest.mark.filterwarnings("ignore::segue.events.messages.notify.NotifyWarning")
def test_a_slow_receiver_is_given_more_time(listener: Listener) -> None:
    listener.delays = [0.3, 0.3]
    patience = Reconnect(first_delay=0.01, max_delay=0.05, timeout=0.2)  # then it waits for 0.4 s
    notifier = Notifier(listener.address, patience=patience)
    notifier.send({"event": "enter"})
    assert notifier.close(60.0) == 0
    assert len({message["id"] for message in listener.received}) == 1


@pytest.mark.filterwarnings("ignore::segue.events.messages.notify.NotifyWarning")
def test_a_message_that_is_refused_does_not_hold_up_the_others(listener: Listener) -> None:
    listener.refuses = "odd"
    notifier = Notifier(listener.address, patience=PATIENT)
    for event in ("odd", "enter", "leave"):
        notifier.send({"event": event})
    wait_for(lambda: notifier.undelivered == 1)
    assert notifier.close(0.3) == 1
    assert [kind for kind in listener.kinds if kind != "odd"] == ["enter", "leave"]


@pytest.mark.filterwarnings("ignore::segue.events.messages.notify.NotifyWarning")
def test_new_messages_do_not_wait_for_one_that_is_refused_again_and_again(listener: Listener) -> None:
    listener.refuses = "odd"
    notifier = Notifier(listener.address, patience=Reconnect(first_delay=60.0, max_delay=60.0))
    notifier.send({"event": "odd"})
    wait_for(lambda: listener.kinds == ["odd"])
    notifier.send({"event": "enter"})
    wait_for(lambda: notifier.undelivered == 1)
    assert listener.kinds == ["odd", "enter"]
    listener.refuses = ""
    assert notifier.close(60.0) == 0, "at the end it is tried once more"


def test_an_outbox_that_is_emptied_all_the_time_stays_small(tmp_path: Path) -> None:
    def empty() -> None:
        while message := waiting.first():
            waiting.remove(message)

    waiting = Outbox(tmp_path / "queue")
    for number in range(500):
        waiting.put(str(number), bytes(600))
        empty()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 400_000
    for number in range(500):
        waiting.put(str(number), bytes(2000))
    empty()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 400_000, "after a broker was away"
    waiting.close()


class FullDisk(Outbox):
    """An outbox whose file fails as on a full disk, as often as a test says."""

    failures: dict[str, int]

    def _fail(self, what: str) -> None:
        if self.failures.get(what):
            self.failures[what] -= 1
            raise sqlite3.OperationalError("database or disk is full")

    def _store(self, base: sqlite3.Connection, id: str, message: Message | None) -> None:
        self._fail("remove" if message is None else "postpone" if message.stored else "put")
        super()._store(base, id, message)

    def _connect(self) -> sqlite3.Connection:
        self._fail("connect")
        return super()._connect()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What fails, and how often; tries follow one another at once."""
    monkeypatch.setattr(notify, "Outbox", FullDisk)
    monkeypatch.setattr(notify, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(outbox, "RETRY_SECONDS", 0.01)
    failures = dict[str, int]()
    monkeypatch.setattr(FullDisk, "failures", failures, raising=False)
    return failures


@pytest.mark.parametrize("what", ["put", "remove", "connect", "postpone"])
@pytest.mark.parametrize("failures", [1, 4, 10**6])
def test_messages_arrive_although_their_file_fails(
    listener: Listener, tmp_path: Path, full_disk: dict[str, int], what: str, failures: int
) -> None:
    full_disk[what] = failures
    listener.statuses = [400, 204] if what == "postpone" else [204]
    names = [f"e{number}" for number in range(5)]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert send(listener.address, *names, queue=tmp_path / "queue") == 0
    assert Counter(listener.kinds) - Counter(e0=what == "postpone") == Counter(names), "each once"
    assert len(warned) <= 2, "it is said once, also when there was something else to say"
    if failures > 4 and what in ("put", "connect"):
        assert any("disk is full" in str(each.message) for each in warned)


@pytest.mark.filterwarnings("ignore::segue.events.messages.notify.NotifyWarning")
def test_messages_that_their_file_had_no_room_for_are_sent_by_the_next_run_of_the_process(
    listener: Listener, tmp_path: Path, full_disk: dict[str, int]
) -> None:
    full_disk["put"] = 10**6
    queue = tmp_path / ".events.undelivered"
    notifier = Notifier("http://127.0.0.1:9/events", queue, PATIENT)
    for event in ("one", "two"):
        notifier.send({"event": event})
    assert notifier.close(0.1) == notifier.num_unsaved == 2
    assert "disk is full" in notifier.problem
    full_disk.clear()
    assert send(listener.address, "three", queue=queue) == 0
    assert listener.kinds == ["one", "two", "three"]


def test_a_file_that_has_room_now_and_then_is_warned_of_once(
    listener: Listener, tmp_path: Path, full_disk: dict[str, int]
) -> None:
    notifier = Notifier(listener.address, tmp_path / "queue", PATIENT)
    with pytest.warns(NotifyWarning) as warned:  # noqa: PT031
        for number in range(4):
            full_disk["put"] = 1
            notifier.send({"event": f"e{number}"})
            wait_for(lambda: notifier.undelivered == 0)
            wait_for(lambda: not notifier.problem)
    assert len(warned) == 1
    assert notifier.close() == 0


def test_a_file_that_another_process_has_locked_holds_up_no_alarm(listener: Listener, tmp_path: Path) -> None:
    queue = tmp_path / "queue"
    notifier = Notifier(listener.address, queue, PATIENT)
    other = sqlite3.connect(queue, isolation_level=None)
    other.execute("begin immediate")
    with pytest.warns(NotifyWarning, match="locked"):  # noqa: PT031
        notifier.send({"event": "enter"})
        wait_for(lambda: listener.kinds == ["enter"])
    other.execute("rollback")
    other.close()
    assert notifier.close(60.0) == 0
    assert listener.kinds == ["enter"]
    assert list(tmp_path.iterdir()) == []


def test_memory_is_bounded_where_the_disk_is_full(full_disk: dict[str, int], tmp_path: Path) -> None:
    full_disk["put"] = 10**6
    waiting = FullDisk(tmp_path / "queue")
    for number in range(outbox.MAX_IN_MEMORY + 5):
        waiting.put(str(number), b"")
    assert (len(waiting), waiting.lost, waiting.num_unsaved) == (
        outbox.MAX_IN_MEMORY,
        5,
        outbox.MAX_IN_MEMORY,
    )
    first = waiting.first()
    assert first is not None
    assert first.id == "5"


@pytest.mark.filterwarnings("ignore::segue.events.messages.notify.NotifyWarning")
def test_the_next_run_delivers_what_waits_in_the_file(listener: Listener, tmp_path: Path) -> None:
    queue = tmp_path / ".events.undelivered"
    assert send("http://127.0.0.1:9/events", "one", "two", limit=0.1, queue=queue) == 2
    assert queue.exists()
    assert send(listener.address, "three", queue=queue) == 0
    assert listener.kinds == ["one", "two", "three"]
    assert list(tmp_path.iterdir()) == []


def test_an_outbox_is_bounded_and_knows_its_messages(tmp_path: Path) -> None:
    def first() -> Message:
        message = waiting.first()
        assert message is not None
        return message

    waiting = Outbox(tmp_path / "queue", max_messages=3)
    for number in (1, 2, 2, 3, 4, 5):
        waiting.put(str(number), b"%d" % number)
    assert (len(waiting), waiting.lost) == (3, 2)
    assert first().id == "3"
    waiting.postpone(first())
    assert first().id == "4"
    waiting.close()
    assert len(Outbox(tmp_path / "queue")) == 3


def test_the_bound_of_an_outbox_counts_messages_that_wait() -> None:
    waiting = Outbox(max_messages=5)
    waiting.put("waits", b"")
    for number in range(10):
        waiting.put(str(number), b"")
        waiting.remove(Message(str(number), b"", stored=True))
    assert (len(waiting), waiting.lost) == (1, 0)


def test_a_file_that_is_no_queue_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "queue").write_bytes(b"something else" * 100)
    with pytest.raises(SinkError):
        Notifier("http://127.0.0.1:9/", tmp_path / "queue")


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://a/b", "nonsense", "http://", "http://a:x/"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(SinkError):
        Notifier(address)


class Broker:
    """mosquitto, which keeps what subscribers that are away have not got, also while it is down."""

    def __init__(self, folder: Path, *rules: str) -> None:
        self.port = free_port()
        self._folder = folder
        store = ("persistence true", f"persistence_location {folder}/", "user root")
        listen = (f"listener {self.port} 127.0.0.1", *(rules or ("allow_anonymous true",)))
        (folder / "mosquitto.conf").write_text("\n".join((*listen, *store)) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}/cameras/front%20yard"

    def start(self) -> None:
        command = [_mosquitto(), "-c", str(self._folder / "mosquitto.conf")]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        wait_for(listens)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)


def _mosquitto() -> str:
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    return found or pytest.skip("mosquitto is not installed")


class Subscriber:
    """Receives what a broker has, also what came while it was away."""

    def __init__(self, port: int, topic: str = "cameras/#") -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.received: list[tuple[str, bytes]] = []
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="test", clean_session=False)
        self._client.on_message = lambda _, __, message: self.received.append(
            (message.topic, message.payload)
        )
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_connect = lambda client, *_: client.subscribe(topic, 1)
        self._client.reconnect_delay_set(0.05, 0.05)  # type: ignore[arg-type]
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(60)

    @property
    def events(self) -> list[str]:
        """What came, each message once: one whose confirmation was lost comes again, with its id."""
        bodies = [json.loads(body) for topic, body in self.received if topic == "cameras/front yard"]
        return [*{body["id"]: body["event"] for body in bodies}.values()]

    @property
    def availability(self) -> list[bytes]:
        return [body for topic, body in self.received if topic == "cameras/front yard/availability"]

    def end(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (pip install 'segue[mqtt]')")
    _mosquitto()
    (tmp_path / "broker").mkdir()
    made = Broker(tmp_path / "broker")
    yield made
    made.stop()


@pytest.mark.filterwarnings("ignore::segue.events.messages.notify.NotifyWarning")
def test_a_broker_that_starts_late_and_again_gets_every_event_once(broker: Broker) -> None:
    broker.start()
    subscriber = Subscriber(broker.port)  # the broker keeps for it what comes before it is there again
    broker.stop()
    notifier = Notifier(broker.address, patience=QUICK)
    notifier.send({"event": "early"})
    broker.start()
    wait_for(lambda: subscriber.events == ["early"])
    broker.stop()
    for number in range(3):
        notifier.send({"event": f"e{number}"})
    broker.start()
    wait_for(lambda: len(subscriber.events) >= 4)
    assert notifier.close(60) == 0
    subscriber.end()
    assert subscriber.events == ["early", "e0", "e1", "e2"]


def test_a_broker_keeps_whether_the_camera_is_there(broker: Broker) -> None:
    broker.start()
    notifier = Notifier(broker.address)
    subscriber = Subscriber(broker.port)
    wait_for(lambda: subscriber.availability == [b"online"])
    notifier.announce(False)
    notifier.announce(True)
    wait_for(lambda: len(subscriber.availability) == 3)
    assert notifier.close() == 0
    wait_for(lambda: len(subscriber.availability) == 4)
    subscriber.end()
    assert subscriber.availability == [b"online", b"offline", b"online", b"offline"]


def test_the_last_will_of_a_process_that_is_killed_is_offline(broker: Broker) -> None:
    broker.start()
    subscriber = Subscriber(broker.port)
    program = (
        "import os, sys, threading; from segue.events.messages.notify import Notifier; "
        f"notifier = Notifier({broker.address!r}); notifier.send({{'event': 'enter'}})\n"
        "while notifier.undelivered: threading.Event().wait(0.01)\n"
        "os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    wait_for(lambda: subscriber.availability == [b"online", b"offline"])
    subscriber.end()
    assert subscriber.events == ["enter"]


def test_parts_of_a_run_publish_no_event_that_did_not_happen(broker: Broker, tmp_path: Path) -> None:
    broker.start()
    subscriber = Subscriber(broker.port)
    notifier = Notifier(broker.address)

    def open_part(begin: float) -> EventSink:
        def tell(event: Any) -> None:
            notifier.send({"event": event.event})

        return EventSink(tmp_path / f"{begin:.0f}.json", live=True, on_event=tell)

    with RotatingSink(open_part, 1.0) as sink:
        for t in range(25):  # three parts of ten frames
            sink.write(*big(t, {1: (50, 50, 60, 60)} if t < 22 else {}))
    assert notifier.close() == 0
    wait_for(lambda: len(subscriber.events) >= 2)
    subscriber.end()
    assert subscriber.events == ["enter", "leave"]


def test_zones_and_the_last_event_appear_in_home_assistant(broker: Broker, tmp_path: Path) -> None:
    broker.start()
    notifier = Notifier(broker.address)
    zones = [Zone.parse("door=0,0 60,0 60,119 0,119"), Zone.parse("gate=90,0 90,119")]
    home = HomeAssistant(notifier, "front", zones)
    snapshots = Snapshots(tmp_path / "seen")

    def tell(event: Event) -> None:
        home.see(event, tmp_path / "seen")
        notifier.send({"event": event.event})

    sink = EventSink(tmp_path / "e.json", zones=zones, snapshots=snapshots, on_event=tell)
    for t in range(5):
        sink.write(*big(t, {1: (10, 50, 30, 70)}))
    wait_for(lambda: notifier.undelivered == 0)
    subscriber = Subscriber(broker.port, "#")  # it begins later, and gets what the broker keeps
    wait_for(lambda: len({topic for topic, _ in subscriber.received}) >= 5)
    kept = dict(subscriber.received)
    found = {topic: json.loads(kept[topic]) for topic in kept if topic.endswith("/config")}
    sensor, view = sorted(found.values(), key=lambda about: "topic" in about)
    assert kept[sensor["state_topic"]] == b"ON"
    assert kept[sensor["availability_topic"]] == b"online"
    assert kept[view["topic"]] == (tmp_path / "seen/00002-zone-enter-1.jpg").read_bytes()
    assert all(re.fullmatch(r"homeassistant(/[a-zA-Z0-9_-]+){3}/config", topic) for topic in found)
    assert sensor["device"] == view["device"]
    assert sensor["unique_id"] != view["unique_id"]
    sink.close()
    wait_for(lambda: dict(subscriber.received)[sensor["state_topic"]] == b"OFF")
    assert notifier.close() == 0
    subscriber.end()


def test_zones_that_are_removed_disappear_from_home_assistant(broker: Broker) -> None:
    broker.start()
    other = Notifier(broker.address.replace("front", "back"))
    HomeAssistant(other, "back", [Zone.parse("wall=0,0 60,0 60,119")])
    for names in (("old", "door"), ("door", "gate")):  # two runs
        notifier = Notifier(broker.address, patience=QUICK)
        wait_for(lambda: notifier._receiver._connected.is_set())  # type: ignore[attr-defined]  # noqa: B023
        HomeAssistant(notifier, "front", [Zone.parse(f"{name}=0,0 60,0 60,119") for name in names])
        notifier.send({"event": "enter"})
        wait_for(lambda: notifier.undelivered == 0)  # noqa: B023
        wait_for(lambda: shown(broker) == {*names, "wall"})  # noqa: B023
        assert notifier.close() == 0
    wait_for(lambda: shown(broker) == {"door", "gate", "wall"})
    assert other.close() == 0


def shown(broker: Broker) -> set[str]:
    """The zones that Home Assistant would show by the messages that have come; ask until all are there."""
    subscriber = Subscriber(broker.port, "#")
    wait_for(lambda: len({topic for topic, _ in subscriber.received if topic.endswith("availability")}) == 2)
    subscriber.end()
    kept = {topic: body for topic, body in dict(subscriber.received).items() if body}
    about = [json.loads(body) for topic, body in kept.items() if topic.endswith("/config")]
    zones = {each["name"]: each["state_topic"] for each in about if "state_topic" in each}
    states = {topic for topic in kept if "/zone/" in topic}
    return {*zones} if {*zones.values()} == states else set()


def test_home_assistant_needs_a_broker() -> None:
    notifier = Notifier("http://127.0.0.1:9/")
    with pytest.raises(SinkError):
        HomeAssistant(notifier, "front", [])
    notifier.stop()


def test_a_broker_that_refuses_the_login_says_so(tmp_path: Path) -> None:
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (pip install 'segue[mqtt]')")
    broker = Broker(tmp_path, "allow_anonymous false")
    broker.start()
    notifier = Notifier(f"mqtt://me:wrong@127.0.0.1:{broker.port}/yard", patience=QUICK)
    with pytest.warns(NotifyWarning, match=r"127\.0\.0\.1.*refused the login") as caught:  # noqa: PT031
        notifier.send({"event": "enter"})
        wait_for(lambda: bool(caught.list))
    assert "wrong" not in str(caught[0].message)
    assert notifier.close(0.1) == 1
    broker.stop()


def test_mqtt_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(SinkError, match=r"pip install .*mqtt"):
        Notifier("mqtt://broker/topic")
