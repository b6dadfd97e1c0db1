"""What holds for all receivers of ``--notify``, which are found by their addresses: no event is lost."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from segue.errors import SinkError
from segue.events import SENT, Delivery, EventReceiver
from segue.events import deliveries as module
from segue.events.deliveries import Notifiers
from segue.events.receivers.frigate import FrigateReceiver
from segue.events.receivers.http import HttpReceiver
from segue.events.receivers.mqtt import MqttReceiver
from segue.events.receivers.services import ServiceReceiver
from segue.events.store.queues import with_id
from segue.events.store.store import EventStore
from segue.events.table import Event
from segue.events.targets import check_targets
from segue.registry import EVENT_SINKS, EventSinkEntry
from segue.video import Reconnect
from tests.events.test_notify import Listener
from tests.waiting import wait_for

QUICK = Reconnect(first_delay=0.01, max_delay=0.05, timeout=0.3)
NAMES = ("frigate", "http", "mqtt", "services")


class Behaviour:
    """What the other side of a receiver does with each message, by its object; nothing takes it."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.refuses: set[int] = set()
        self.busy = 0  # times that it does not answer
        self.hangs = threading.Event()
        self.hangs.set()

    def take(self, number: int) -> Delivery:
        self.hangs.wait(30)
        if self.busy > 0:
            self.busy -= 1
            return Delivery("retry", "busy")
        if number in self.refuses:
            return Delivery("refused", "no")
        self.received.append(number)
        return SENT


class Memory(EventReceiver):
    """The receiver of another package."""

    behaviour: Behaviour

    def send(self, message: Any, timeout: float) -> Delivery:
        return self.behaviour.take(message.values["object"])


@pytest.fixture
def behaviour() -> Iterator[Behaviour]:
    made = Behaviour()
    yield made
    made.hangs.set()


class Answers(Listener):
    """HTTP with the behaviour of a test."""

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__()
        listener = self
        handler = self.RequestHandlerClass

        class Handler(handler):  # type: ignore[misc, valid-type]
            def do_POST(self) -> None:  # noqa: N802
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                text = str(message.get("object", message.get("message", "")))
                number = int("".join(each for each in text if each.isdigit()))
                outcome = behaviour.take(number).outcome
                self.send_response({"sent": 204, "retry": 503, "refused": 400}[outcome])
                self.send_header("Content-Length", "0")
                self.end_headers()

        listener.RequestHandlerClass = Handler


@pytest.fixture(params=["http", "services", "mqtt", "frigate", "plug-in"])
def address(
    request: pytest.FixtureRequest, behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """An address of each receiver, whose other side does what ``behaviour`` says."""
    if request.param == "plug-in":
        Memory.behaviour = behaviour
        EVENT_SINKS.register(EventSinkEntry("memory", lambda context: Memory(), schemes=("memory",)))
        yield "memory://here"
        EVENT_SINKS.unregister("memory")
        return
    if request.param == "mqtt":
        pytest.importorskip(
            "paho.mqtt.client", reason="paho-mqtt is not installed (pip install 'segue[mqtt]')"
        )
        monkeypatch.setattr(
            MqttReceiver, "send", lambda _, message, __: behaviour.take(message.values["object"])
        )
        yield "mqtt://127.0.0.1:9/topic"
        return
    if request.param == "frigate":  # what it sends has no number; see test_frigate.py
        monkeypatch.setattr(
            FrigateReceiver, "send", lambda _, message, __: behaviour.take(message.values["object"])
        )
        yield "frigate://127.0.0.1:9/front"
        return
    if request.param == "services":
        pytest.importorskip("apprise", reason="apprise is not installed (pip install 'segue[apprise]')")
    server = Answers(behaviour)
    place = f"127.0.0.1:{server.server_port}/"
    yield f"apprise+json://{place}" if request.param == "services" else f"http://{place}"
    behaviour.hangs.set()
    server.end()


@pytest.fixture
def run(address: str, tmp_path: Path) -> Iterator[Callable[[], Notifiers]]:
    """Begins a run that sends to it."""
    store = EventStore.open(tmp_path / "gate.db")
    store.begin_part("", "gate.csv")
    begun: list[Notifiers] = []

    def begin() -> Notifiers:
        begun.append(Notifiers([address], store, patience=QUICK))
        begun[-1].store = store  # type: ignore[attr-defined]
        return begun[-1]

    yield begin
    for each in begun:
        each.stop()
    store.close()


def put(notifiers: Notifiers, *numbers: int) -> None:
    store: EventStore = notifiers.store  # type: ignore[attr-defined]
    for number in numbers:
        store.put(store.record(Event("enter", number, 0, 0.0, 0.0, 0.0, 9.0, 9.0, 81, 0.0, 81)))
    notifiers.wake()
    store.flush()


pytestmark = pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")


def test_each_event_arrives_once_and_in_order(run: Callable[[], Notifiers], behaviour: Behaviour) -> None:
    notifiers = run()
    put(notifiers, *range(1, 9))
    assert notifiers.close(30.0) == 0
    assert behaviour.received == [*range(1, 9)]


def test_a_receiver_that_is_busy_gets_all_in_order_later(
    run: Callable[[], Notifiers], behaviour: Behaviour
) -> None:
    behaviour.busy = 2
    notifiers = run()
    put(notifiers, 1, 2, 3)
    assert notifiers.close(30.0) == 0
    assert behaviour.received == [1, 2, 3]


def test_an_event_that_is_refused_for_good_holds_up_no_other(
    run: Callable[[], Notifiers], behaviour: Behaviour
) -> None:
    behaviour.refuses = {2}
    notifiers = run()
    put(notifiers, 1, 2, 3, 4)
    wait_for(lambda: behaviour.received == [1, 3, 4])
    assert notifiers.close(0.2) == 1
    behaviour.refuses = set()
    again = run()
    assert again.close(30.0) == 0, "it is tried again"
    assert behaviour.received == [1, 3, 4, 2]


def test_a_receiver_that_hangs_holds_up_neither_the_run_nor_its_end(
    run: Callable[[], Notifiers], behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GOODBYE", 0.2)
    behaviour.hangs.clear()
    notifiers = run()
    put(notifiers, 1, 2)
    begin = time.monotonic()
    assert notifiers.close(0.3) == 2
    assert time.monotonic() - begin < 20


def test_each_receiver_of_notify_is_in_the_contract() -> None:
    found = {each.name: each for each in EVENT_SINKS if each.schemes}
    assert sorted(found) == sorted(NAMES)
    assert {each.open for each in found.values()} == {
        FrigateReceiver,
        HttpReceiver,
        MqttReceiver,
        ServiceReceiver,
    }
    with pytest.raises(
        SinkError, match="addresses begin with apprise, frigate, frigates, http, https, mqtt, mqtts"
    ):
        check_targets(["pigeon://here"])


def test_a_defect_of_a_receiver_of_another_package_holds_up_no_event(tmp_path: Path) -> None:
    received: list[int] = []

    class Odd(EventReceiver):
        def send(self, message: Any, timeout: float) -> Delivery:
            received.append(message.values["object"])
            if message.values["object"] == 1:
                raise KeyError("a defect")
            return SENT

    EVENT_SINKS.register(EventSinkEntry("odd", lambda context: Odd(), schemes=("odd",)))
    try:
        store = EventStore.open(tmp_path / "gate.db")
        store.begin_part("", "gate.csv")
        notifiers = Notifiers(["odd://here"], store, patience=QUICK)
        notifiers.store = store  # type: ignore[attr-defined]
        put(notifiers, 1, 2)
        wait_for(lambda: 2 in received)
        assert notifiers.close(0.2) == 1
        store.close()
    finally:
        EVENT_SINKS.unregister("odd")


def test_an_event_keeps_its_id_from_memory_and_from_the_file() -> None:
    event = Event("enter", 1, 0, 0.1, 0.5, 0.0, 9.0, 9.0, 81, 0.0, 81)
    store = EventStore()
    store.begin_part("", "gate.csv")
    store.put(store.record(event))
    before = with_id(store.after(0)[0].values)
    store.flush()
    assert with_id(store.after(0)[0].values) == before
