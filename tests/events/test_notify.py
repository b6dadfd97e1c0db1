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
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from segue.errors import SinkError
from segue.events import EventSink, deliveries
from segue.events.deliveries import Notifier, Notifiers, NotifyWarning
from segue.events.images.snapshots import Snapshots
from segue.events.monitor import EventMonitor
from segue.events.receivers.base import BetterView
from segue.events.receivers.home_assistant import HomeAssistant
from segue.events.receivers.mqtt import MqttReceiver
from segue.events.store import file as file_module
from segue.events.store import store as store_module
from segue.events.store.file import StoreFile
from segue.events.store.store import EventStore
from segue.events.table import Event
from segue.events.targets import NotifyTarget
from segue.events.zones import Zone
from segue.video import Reconnect
from tests.events.broker import MemoryBroker
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


def send(address: str, *events: str, limit: float = 60.0) -> int:
    """Give events, wait for their arrival, and tell how many have not arrived."""
    notifier = Notifier(address, patience=PATIENT)
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


@pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")
def test_a_receiver_that_is_down_gets_everything_when_it_is_back() -> None:
    port = free_port()
    notifier = Notifier(f"http://127.0.0.1:{port}/events", patience=PATIENT)
    for number in range(5):
        notifier.send({"event": f"e{number}"})
    server = Listener(port)
    assert notifier.close(60.0) == 0
    server.end()
    assert server.kinds == [f"e{number}" for number in range(5)]


@pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")
@pytest.mark.parametrize("statuses", [[500, 503, 204], [429, 302, 200]])
def test_a_message_is_sent_until_the_answer_is_good_and_keeps_its_id(
    listener: Listener, statuses: list[int]
) -> None:
    listener.statuses = statuses
    assert send(listener.address, "enter", "leave") == 0
    assert listener.kinds == ["enter", "enter", "enter", "leave"]
    assert len({message["id"] for message in listener.received}) == 2


@pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")
def test_a_slow_receiver_is_given_more_time(listener: Listener) -> None:
    listener.delays = [0.3, 0.3]
    patience = Reconnect(first_delay=0.01, max_delay=0.05, timeout=0.2)  # then it waits for 0.4 s
    notifier = Notifier(listener.address, patience=patience)
    notifier.send({"event": "enter"})
    assert notifier.close(60.0) == 0
    assert len({message["id"] for message in listener.received}) == 1


@pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")
def test_a_message_that_is_refused_does_not_hold_up_the_others(listener: Listener) -> None:
    listener.refuses = "odd"
    notifier = Notifier(listener.address, patience=PATIENT)
    for event in ("odd", "enter", "leave"):
        notifier.send({"event": event})
    wait_for(lambda: notifier.undelivered == 1)
    assert notifier.close(0.3) == 1
    assert [kind for kind in listener.kinds if kind != "odd"] == ["enter", "leave"]


@pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")
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


class Sender:
    """A run of a camera whose events are sent to an address."""

    def __init__(self, folder: Path, *targets: str, patience: Reconnect = PATIENT) -> None:
        self.store = EventStore.open(folder / "gate.db")
        self.store.begin_run("gate")
        self.store.begin_part("", "gate.csv")
        self.notifiers = Notifiers(targets, self.store, patience=patience)

    def send(self, *numbers: int) -> None:
        """An object of each number comes."""
        for number in numbers:
            event = Event("enter", number, 0, 0.0, 0.0, 0.0, 1.0, 1.0, 1, 0.0, 1)
            self.store.put(self.store.record(event))
            self.notifiers.wake()
            with suppress(SinkError):
                self.store.flush()

    def end(self, limit: float = 60.0) -> int:
        """End the run; gives the messages that have not arrived."""
        left = self.notifiers.close(limit)
        self.store.end_run()
        self.store.close()
        return left


def objects(listener: Listener) -> list[int]:
    return [message["object"] for message in listener.received]


def test_a_store_whose_messages_are_sent_at_once_has_a_short_journal(
    listener: Listener, tmp_path: Path
) -> None:
    sender = Sender(tmp_path, listener.address)
    sender.send(*range(1, 300))
    wait_for(lambda: sender.notifiers.undelivered == 0)
    journal = tmp_path / "gate.db-wal"
    assert journal.stat().st_size < 400_000
    assert sender.end() == 0
    assert objects(listener) == [*range(1, 300)]


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What fails, and how often; tries follow one another at once."""
    failures = dict[str, int]()
    connect, transaction = StoreFile.connect, StoreFile.transaction

    def fail(what: str) -> None:
        if failures.get(what):
            failures[what] -= 1
            raise sqlite3.OperationalError("database or disk is full")

    def connect_if_room(file: StoreFile) -> sqlite3.Connection:
        fail("connect")
        return connect(file)

    @contextmanager
    def change_if_room(file: StoreFile) -> Iterator[sqlite3.Connection]:
        fail("write")
        with transaction(file) as base:
            yield base

    monkeypatch.setattr(StoreFile, "connect", connect_if_room)
    monkeypatch.setattr(StoreFile, "transaction", change_if_room)
    monkeypatch.setattr(deliveries, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(store_module, "RETRY_SECONDS", 0.01)
    return failures


@pytest.mark.parametrize("what", ["write", "connect"])
@pytest.mark.parametrize("failures", [1, 4, 10**6])
@pytest.mark.parametrize("statuses", [[204], [400, 204]])
def test_messages_arrive_although_their_store_fails(
    listener: Listener,
    tmp_path: Path,
    full_disk: dict[str, int],
    what: str,
    failures: int,
    statuses: list[int],
) -> None:
    full_disk[what] = failures
    listener.statuses = [*statuses]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        sender = Sender(tmp_path, listener.address)
        sender.send(*range(1, 6))
        assert sender.end() == 0
    assert Counter(objects(listener)) - Counter({1: len(statuses) - 1}) == Counter(range(1, 6)), "each once"
    assert len(warned) <= 2, "it is said once, also when there was something else to say"
    if failures > 4:
        assert any("disk is full" in str(each.message) for each in warned)


@pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")
def test_messages_that_the_disk_had_no_room_for_are_sent_by_the_next_run_of_the_process(
    tmp_path: Path, full_disk: dict[str, int]
) -> None:
    port = free_port()
    sender = Sender(tmp_path, f"http://127.0.0.1:{port}/events")
    full_disk["write"] = 10**6
    sender.send(1, 2)
    assert sender.notifiers.num_unsaved == 2
    wait_for(lambda: "disk is full" in sender.notifiers.problem)
    assert sender.end(0.1) == 2
    full_disk.clear()
    listener = Listener(port)
    sender = Sender(tmp_path, listener.address)
    sender.send(3)
    assert sender.end() == 0
    listener.end()
    assert objects(listener) == [1, 2, 3]


def test_a_store_that_has_room_now_and_then_is_warned_of_once(
    listener: Listener, tmp_path: Path, full_disk: dict[str, int]
) -> None:
    sender = Sender(tmp_path, listener.address)
    with pytest.warns(NotifyWarning) as warned:  # noqa: PT031
        for number in range(1, 5):
            full_disk["write"] = 2
            sender.send(number)
            wait_for(lambda: sender.notifiers.undelivered == 0)
            wait_for(lambda: not sender.notifiers.problem or sender.store.flush())
    assert len(warned) == 1
    assert sender.end() == 0


def test_a_store_that_another_process_has_locked_holds_up_no_alarm(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "BUSY_SECONDS", 0.1)
    sender = Sender(tmp_path, listener.address)
    other = sqlite3.connect(tmp_path / "gate.db", isolation_level=None)
    other.execute("begin immediate")
    with pytest.warns(NotifyWarning, match="locked"):  # noqa: PT031
        sender.send(1)
        wait_for(lambda: objects(listener) == [1])
        wait_for(lambda: bool(sender.notifiers.problem))
        sender.send(2)
        wait_for(lambda: objects(listener) == [1, 2])
    other.execute("rollback")
    other.close()
    assert sender.end() == 0
    assert objects(listener) == [1, 2]


def test_memory_is_bounded_where_the_disk_is_full(full_disk: dict[str, int], tmp_path: Path) -> None:
    full_disk["write"] = 10**6
    sender = Sender(tmp_path)
    for number in range(store_module.MAX_WAITING):
        event = Event("enter", number + 1, 0, 0.0, 0.0, 0.0, 1.0, 1.0, 1, 0.0, 1)
        sender.store.put(sender.store.record(event))
    with pytest.raises(SinkError, match="too many events wait"):
        sender.store.put(sender.store.record(event))
    assert sender.store.num_unsaved == store_module.MAX_WAITING
    full_disk.clear()
    sender.end()


@pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")
def test_the_next_run_delivers_what_waits_in_the_store(tmp_path: Path) -> None:
    port = free_port()
    sender = Sender(tmp_path, f"http://127.0.0.1:{port}/events")
    sender.send(1, 2)
    assert sender.end(0.1) == 2
    listener = Listener(port)
    sender = Sender(tmp_path, listener.address)
    assert sender.notifiers.total == 2
    sender.send(3)
    assert sender.end() == 0
    assert objects(listener) == [1, 2, 3]
    sender = Sender(tmp_path, listener.address)
    assert (sender.end(), sender.notifiers.total) == (0, 0)
    listener.end()


@pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")
def test_a_message_that_is_refused_is_tried_again_by_the_next_run(listener: Listener, tmp_path: Path) -> None:
    listener.refuses = "enter"
    sender = Sender(tmp_path, listener.address)
    sender.send(1)
    wait_for(lambda: len(listener.received) >= 2)
    assert sender.end(0.1) == 1
    listener.refuses = ""
    sender = Sender(tmp_path, listener.address)
    sender.send(2)
    assert sender.end() == 0
    assert sorted(objects(listener)[-2:]) == [1, 2]


def test_a_file_that_is_no_store_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "gate.db").write_bytes(b"something else" * 100)
    with pytest.raises(SinkError, match="no store of events"):
        EventStore.open(tmp_path / "gate.db")
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("create table mine (a)")
    other.close()
    with pytest.raises(SinkError, match="no store of events"):
        EventStore.open(tmp_path / "other.db")


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://a/b", "nonsense", "http://", "http://a:x/"])
def test_unsupported_addresses_are_refused(address: str) -> None:
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
        command = [str(_mosquitto()), "-c", str(self._folder / "mosquitto.conf")]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        wait_for(listens)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)


def _mosquitto() -> str | None:
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


def make_broker(folder: Path, *, refuses: bool = False) -> Broker | MemoryBroker:
    """mosquitto where it is installed, else a broker of this process."""
    if _mosquitto() is None:
        return MemoryBroker(refuses=refuses)
    return Broker(folder, *(["allow_anonymous false"] if refuses else []))


AnyBroker = Broker | MemoryBroker


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
def broker(tmp_path: Path) -> Iterator[Broker | MemoryBroker]:
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (pip install 'segue[mqtt]')")
    (tmp_path / "broker").mkdir()
    made = make_broker(tmp_path / "broker")
    yield made
    made.stop()


@pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")
def test_a_broker_that_starts_late_and_again_gets_every_event_once(broker: AnyBroker) -> None:
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


def test_a_broker_keeps_whether_the_camera_is_there(broker: AnyBroker) -> None:
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


def test_a_broker_that_loses_its_connection_keeps_the_newest_state() -> None:
    """Messages that it has not confirmed are sent again after the connection; newer ones count."""
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (pip install 'segue[mqtt]')")
    broker = MemoryBroker()
    broker.start()
    notifier = Notifier(broker.address, patience=QUICK)
    receiver = notifier.receiver
    assert isinstance(receiver, MqttReceiver)
    wait_for(lambda: broker.retained.get("cameras/front yard/availability") == b"online")
    broker.deaf = True
    receiver.keep("cameras/front yard/zone/door", b"ON")
    wait_for(lambda: broker.num_unheard == 1)
    broker.stop()
    wait_for(lambda: not receiver._connected.is_set())
    receiver.keep("cameras/front yard/zone/door", b"OFF")
    broker.deaf = False
    broker.start()
    notifier.send({"event": "enter"})  # after all that the client sends again
    wait_for(lambda: notifier.undelivered == 0)
    wait_for(lambda: "cameras/front yard/zone/door" in broker.retained)
    assert notifier.close() == 0
    assert broker.retained["cameras/front yard/zone/door"] == b"OFF"
    broker.stop()


def test_the_last_will_of_a_process_that_is_killed_is_offline(broker: AnyBroker) -> None:
    broker.start()
    subscriber = Subscriber(broker.port)
    program = (
        "import os, sys, threading; from segue.events.deliveries import Notifier; "
        f"notifier = Notifier({broker.address!r}); notifier.send({{'event': 'enter'}})\n"
        "while notifier.undelivered: threading.Event().wait(0.01)\n"
        "os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    wait_for(lambda: subscriber.availability == [b"online", b"offline"])
    subscriber.end()
    assert subscriber.events == ["enter"]


def test_zones_and_the_last_event_appear_in_home_assistant(broker: AnyBroker, tmp_path: Path) -> None:
    broker.start()
    notifier = Notifier(broker.address)
    zones = [Zone.parse("door=0,0 60,0 60,119 0,119"), Zone.parse("gate=90,0 90,119")]
    home = HomeAssistant(notifier.receiver, NotifyTarget(broker.address), "front", zones)
    store, snapshots, monitor = EventStore(), Snapshots(tmp_path / "seen"), EventMonitor(zones)
    store.begin_part("", "e.csv")
    snapshots.attach(store)

    def tell(events: list[Event]) -> None:
        for event in events:
            recorded = snapshots.describe(store.record(event))
            home.send(recorded)
            notifier.send({"event": event.event})

    for t in range(5):
        frame, seen = big(t, {1: (10, 50, 30, 70)})
        snapshots.see(frame, seen)
        tell(monitor.update(frame, seen)[1])
    snapshots.flush()
    wait_for(lambda: notifier.undelivered == 0)
    subscriber = Subscriber(broker.port, "#")  # it begins later, and gets what the broker keeps
    wait_for(lambda: len({topic for topic, _ in subscriber.received}) >= 5)
    kept = dict(subscriber.received)
    found = {topic: json.loads(kept[topic]) for topic in kept if topic.endswith("/config")}
    sensor, view = (next(each for each in found.values() if each["name"] == name)
                    for name in ("door", "Last event"))  # fmt: skip
    assert kept[sensor["state_topic"]] == b"ON"
    assert kept[sensor["availability_topic"]] == b"online"
    assert kept[view["topic"]] == (tmp_path / "seen/00002-zone-enter-1.jpg").read_bytes()
    better = BetterView(1, tmp_path / "seen/00001-enter-1.jpg", b"nearer", 900.0)
    home.show_better(better._replace(visit=9, image=b"of somebody else"))
    home.show_better(better)
    wait_for(lambda: dict(subscriber.received)[view["topic"]] == b"nearer")
    assert b"of somebody else" not in [body for _, body in subscriber.received]
    assert all(re.fullmatch(r"homeassistant(/[a-zA-Z0-9_-]+){3}/config", topic) for topic in found)
    assert sensor["device"] == view["device"]
    assert sensor["unique_id"] != view["unique_id"]
    tell(monitor.finish())
    wait_for(lambda: dict(subscriber.received)[sensor["state_topic"]] == b"OFF")
    assert notifier.close() == 0
    subscriber.end()


def test_zones_that_are_removed_disappear_from_home_assistant(broker: AnyBroker) -> None:
    broker.start()
    other = Notifier(broker.address.replace("front", "back"))
    target = NotifyTarget(broker.address)
    HomeAssistant(other.receiver, target, "back", [Zone.parse("wall=0,0 60,0 60,119")])
    for names in (("old", "door"), ("door", "gate")):  # two runs
        notifier = Notifier(broker.address, patience=QUICK)
        wait_for(lambda: notifier.receiver._connected.is_set())  # type: ignore[attr-defined]  # noqa: B023
        made = [Zone.parse(f"{name}=0,0 60,0 60,119") for name in names]
        HomeAssistant(notifier.receiver, target, "front", made)
        notifier.send({"event": "enter"})
        wait_for(lambda: notifier.undelivered == 0)  # noqa: B023
        wait_for(lambda: shown(broker) == {*names, "wall"})  # noqa: B023
        assert notifier.close() == 0
    wait_for(lambda: shown(broker) == {"door", "gate", "wall"})
    assert other.close() == 0


def shown(broker: AnyBroker) -> set[str]:
    """The zones that Home Assistant would show by the messages that have come; ask until all are there."""
    subscriber = Subscriber(broker.port, "#")
    wait_for(lambda: len({topic for topic, _ in subscriber.received if topic.endswith("availability")}) == 2)
    subscriber.end()
    kept = {topic: body for topic, body in dict(subscriber.received).items() if body}
    about = [json.loads(body) for topic, body in kept.items() if topic.endswith("/config")]
    zones = {each["name"]: each["state_topic"] for each in about if "/zone/" in each.get("state_topic", "")}
    states = {topic for topic in kept if "/zone/" in topic}
    return {*zones} if {*zones.values()} == states else set()


def test_a_broker_that_refuses_the_login_says_so(tmp_path: Path) -> None:
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (pip install 'segue[mqtt]')")
    broker = make_broker(tmp_path, refuses=True)
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
