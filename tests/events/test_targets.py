"""Several receivers of messages, each with a filter of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from segue.errors import SinkError
from segue.events.messages.home_assistant import HomeAssistant
from segue.events.messages.notify import Notifier, NotifyWarning
from segue.events.messages.targets import Messages, NotifyTarget
from segue.events.table import Event, Kind
from segue.events.zones import Zone
from tests.events.test_notify import Listener


@pytest.fixture
def listeners() -> Iterator[list[Listener]]:
    servers = [Listener() for _ in range(3)]
    yield servers
    for server in servers:
        server.end()


def event(kind: Kind, number: int, label: str | None = None, zone: str = "") -> Event:
    return Event(kind, number, 0, 0.0, 0.0, 0.0, 1.0, 1.0, 1, 0.0, 1, label, zone=zone)


EVENTS = [
    event("enter", 1, "person"),
    event("zone-enter", 1, "person", "front door"),
    event("enter", 2, "car", "street;gate"),
    event("enter", 3),
    event("offline", 0),
]


@pytest.mark.parametrize(
    ("filters", "received"),
    [
        ("", [0, 1, 2, 3, 4]),
        (" only=person", [0, 1, 4]),
        (" only=car, unknown", [2, 3, 4]),
        (" zone=front door,gate", [1, 2, 4]),
        (" event=enter only=person,car", [0, 2]),
        (" event=zone-enter", [1]),
    ],
)
def test_a_target_receives_what_its_filters_mean(filters: str, received: list[int]) -> None:
    target = NotifyTarget.parse(f"http://127.0.0.1:9/{filters}")
    assert target.address == "http://127.0.0.1:9/"
    assert [number for number, each in enumerate(EVENTS) if target.receives(each)] == received
    assert NotifyTarget.parse(str(target)) == target


@pytest.mark.parametrize(
    "text", ["http://h/ only=", "http://h/ only=a only=b", "http://h/ event=arrive", "http://h/ zone=,"]
)
def test_filters_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(SinkError, match="notify"):
        NotifyTarget.parse(text)


def test_a_table_of_a_file_is_a_target() -> None:
    text = NotifyTarget.text_of({"address": "http://h/", "zone": "front door", "only": ["person", "car"]})
    assert text == "http://h/ only=person,car zone=front door"
    for wrong in (
        {"only": "person"},
        {"address": "a", "class": "b"},
        {"address": ["a", "b"]},
        {"address": 1},
    ):
        with pytest.raises(SinkError, match="table"):
            NotifyTarget.text_of(wrong)


def test_each_receiver_gets_its_events_and_waits_for_no_other(
    listeners: list[Listener], tmp_path: Path
) -> None:
    queue = tmp_path / ".gate.csv.undelivered"
    texts = [
        "http://127.0.0.1:9/down",
        f"{listeners[0].address} only=person",
        f"{listeners[1].address} event=offline",
        listeners[2].address,
    ]
    messages = Messages(texts, queue)
    with pytest.warns(NotifyWarning, match="127.0.0.1:9"):  # noqa: PT031
        for each in EVENTS:
            messages.send(each)
        assert messages.close(0.5) == messages.undelivered == len(EVENTS)
    assert messages.total == len(EVENTS) + 3 + 1 + len(EVENTS)
    assert [server.kinds for server in listeners] == [
        ["enter", "zone-enter", "offline"],
        ["offline"],
        [each.event for each in EVENTS],
    ]
    assert [path.name for path in tmp_path.iterdir()] == [queue.name]


def test_what_waits_for_a_receiver_is_sent_to_no_other(listeners: list[Listener], tmp_path: Path) -> None:
    queue = tmp_path / ".gate.csv.undelivered"
    down = "http://me:{}@127.0.0.1:9/down"
    with pytest.warns(NotifyWarning):  # noqa: PT031
        messages = Messages([listeners[0].address, down.format("old")], queue)
        messages.send(EVENTS[0])
        assert messages.close(0.3) == 1
    again = Messages([listeners[0].address, listeners[1].address, down.format("new")], queue)
    assert again.undelivered == 1, "another password is the same receiver"
    again.close(0.1)
    with pytest.warns(NotifyWarning, match="no longer given"):
        assert Messages([listeners[0].address, listeners[1].address], queue).close() == 0
    assert [len(server.received) for server in listeners] == [1, 0, 0]


def test_one_address_is_given_once() -> None:
    with pytest.raises(SinkError, match="twice"):
        Messages(["http://a:b@h/x only=car", "http://a:c@h/x only=person"])


class Broker:
    """Keeps the retained messages that a notifier would publish."""

    topic = "cameras/gate"

    def __init__(self) -> None:
        self.retained: dict[str, bytes] = {}

    def keep(self, topic: str, body: bytes) -> None:
        self.retained[topic] = body

    def keep_no_other(self, filters: object) -> None: ...


def test_a_sensor_is_on_for_the_objects_of_its_target_alone() -> None:
    broker = Broker()
    target = NotifyTarget.parse("mqtt://h/cameras/gate only=person event=loiter")
    zones = [Zone.parse("door=0,0 60,0 60,119")]
    home = HomeAssistant(cast(Notifier, broker), "gate", zones, target.concerns)

    def states() -> list[bytes]:
        home.see(event("zone-enter", 2, "car", "door"), None)
        states = [broker.retained["cameras/gate/zone/door"]]
        home.see(event("zone-enter", 1, "person", "door"), None)
        states.append(broker.retained["cameras/gate/zone/door"])
        home.see(event("zone-leave", 1, "person", "door"), None)
        return [*states, broker.retained["cameras/gate/zone/door"]]

    assert states() == [b"OFF", b"ON", b"OFF"]
