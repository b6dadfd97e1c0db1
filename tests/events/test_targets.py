"""Several receivers of messages, each with a filter of its own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest

from segue.errors import SinkError
from segue.events.deliveries import Notifiers, NotifyWarning
from segue.events.receivers.base import EventReceiver
from segue.events.receivers.home_assistant import HomeAssistant
from segue.events.store.file import StoreFile
from segue.events.store.records import CLASS, RecordedEvent
from segue.events.store.store import EventStore
from segue.events.table import Event, Kind
from segue.events.targets import NotifyTarget, check_targets
from segue.events.zones import Zone
from tests.events.test_notify import Listener
from tests.events.test_snapshots import seen
from tests.ports import free_port


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


def recorded(events: list[Event], store: EventStore | None = None) -> list[RecordedEvent]:
    store = store or EventStore()
    store.begin_part("", "gate.csv")
    found = []
    for each in events:
        found.append(store.record(each))
        store.put(found[-1])
    return found


def received(target: NotifyTarget, events: list[Event]) -> list[int]:
    """The places of those events that a target receives, in the order in which it does."""
    all_events = recorded(events)
    due = [
        each
        for one in all_events
        for each in target.due(one, lambda one: [x for x in all_events if x.visit == one.visit])
    ]
    return [each.seq - 1 for each in due]


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ("", [0, 1, 2, 3, 4]),
        (" only=person", [0, 1, 4]),
        (" only=car, unknown", [2, 3, 4]),
        (" zone=front door,gate", [1, 2, 4]),
        (" event=enter only=person,car", [0, 2]),
        (" event=zone-enter", [1]),
    ],
)
def test_a_target_receives_what_its_filters_mean(filters: str, numbers: list[int]) -> None:
    target = NotifyTarget.parse(f"http://127.0.0.1:9/{filters}")
    assert target.address == "http://127.0.0.1:9/"
    assert received(target, EVENTS) == numbers
    assert NotifyTarget.parse(str(target)) == target


def test_a_class_is_decided_once_for_an_object() -> None:
    """In as person, out as bicycle; another one is named late, between two events."""
    events = [
        event("enter", 1, "person"),
        event("enter", 2, "unknown"),
        event("zone-enter", 2, "unknown", "door"),
        event("zone-enter", 1, "person", "door"),
        event("zone-leave", 1, "bicycle", "door"),
        event(cast(Kind, CLASS), 2, "person"),
        event("leave", 1, "bicycle"),
        event("leave", 2, "person"),
        event("enter", 1, "bicycle"),  # another visit
    ]
    assert received(NotifyTarget.parse("http://h/ only=person"), events) == [0, 3, 4, 1, 2, 6, 7]
    assert received(NotifyTarget.parse("http://h/ only=person event=zone-enter"), events) == [3, 2]


def test_names_with_a_comma_can_be_given() -> None:
    text = NotifyTarget.text_of({"address": "http://h/", "zone": ["front, left", "door"], "only": "person"})
    target = NotifyTarget.parse(text)
    assert target.rules[0].zone == ("front, left", "door")
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
    with pytest.raises(SinkError, match="text must not contain zone="):  # it would be a filter
        NotifyTarget.text_of({"address": "http://h/", "text": "{who} is in zone={zone}"})


def sent(folder: Path, texts: list[str], events: list[Event], limit: float = 30.0) -> Notifiers:
    """A run of a camera that has some events."""
    store = EventStore.open(folder / "gate.db")
    store.begin_run("gate")
    notifiers = Notifiers(texts, store)
    recorded(events, store)
    notifiers.wake()
    notifiers.close(limit)
    store.close()
    return notifiers


def test_each_receiver_gets_its_events_and_waits_for_no_other(
    listeners: list[Listener], tmp_path: Path
) -> None:
    texts = [
        "http://127.0.0.1:9/down",
        f"{listeners[0].address} only=person",
        f"{listeners[1].address} event=offline",
        listeners[2].address,
    ]
    with pytest.warns(NotifyWarning, match="127.0.0.1:9"):
        notifiers = sent(tmp_path, texts, EVENTS, 0.5)
    assert notifiers.undelivered == len(EVENTS)
    assert notifiers.total == len(EVENTS) + 3 + 1 + len(EVENTS)
    assert [server.kinds for server in listeners] == [
        ["enter", "zone-enter", "offline"],
        ["offline"],
        [each.event for each in EVENTS],
    ]


@pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")
def test_receivers_in_another_order_get_what_their_own_filters_mean(tmp_path: Path) -> None:
    """Both are away while the events happen, and stand in the other order in the next run."""
    ports = [free_port(), free_port()]
    persons, everything = (f"http://127.0.0.1:{port}/events" for port in ports)
    assert sent(tmp_path, [f"{persons} only=person", everything], EVENTS, 0.2).undelivered == 3 + 5
    servers = [Listener(port) for port in ports]
    assert sent(tmp_path, [everything, f"{persons} only=person"], []).undelivered == 0
    for server in servers:
        server.end()
    assert [message["label"] for message in servers[0].received] == ["person", "person", None]
    assert servers[1].kinds == [each.event for each in EVENTS]


@pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")
def test_messages_of_a_removed_receiver_wait_until_it_is_given_again(
    listeners: list[Listener], tmp_path: Path
) -> None:
    """What happens while it is not given is not for it; meanwhile nothing of it is owed."""
    port = free_port()
    down = f"http://me:{{}}@127.0.0.1:{port}/down"
    assert sent(tmp_path, [listeners[0].address, down.format("old")], EVENTS[:1], 0.3).undelivered == 1
    between = sent(tmp_path, [listeners[0].address, listeners[1].address], EVENTS[1:2])
    assert (between.undelivered, between.total) == (0, 2)
    server = Listener(port)
    again = sent(tmp_path, [listeners[0].address, down.format("new")], EVENTS[2:3])
    assert again.undelivered == 0, "another password is the same receiver"
    server.end()
    assert [message["object"] for message in server.received] == [1, 2]
    assert server.kinds == ["enter", "enter"]
    assert [len(each.received) for each in listeners] == [3, 1, 0]


def test_an_address_with_two_passwords_is_refused() -> None:
    with pytest.raises(SinkError, match="twice"):
        check_targets(["http://a:b@h/x only=car", "http://a:c@h/x only=person"])


def due_of(texts: list[str], events: list[Event], *, armed: bool = True) -> list[int]:
    """The places of those events that the one receiver of some texts gets."""
    (target,) = check_targets(texts)
    all_events = [replace(each, armed=armed) for each in recorded(events)]
    found = list[int]()
    for one in all_events:
        visit = [each for each in all_events if each.visit == one.visit]
        found += [each.seq - 1 for each in target.due(one, lambda _, visit=visit: visit)]  # type: ignore[misc]
    return found


def test_a_receiver_has_a_rule_of_each_text_and_gets_nothing_twice() -> None:
    """Persons at the door and cars in the drive, in one chat."""
    events = [
        event("enter", 1, "person"),
        event("zone-enter", 1, "person", "door"),
        event("enter", 2, "car"),
        event("zone-enter", 2, "car", "door"),
        event("zone-enter", 2, "car", "drive"),
        event("enter", 3),
        event("zone-enter", 3, None, "drive"),
        event(cast(Kind, CLASS), 3, "car"),
        event("zone-enter", 1, "car", "drive"),  # now another class
    ]
    texts = ["http://h/ only=person zone=door", "http://h/ only=car zone=drive"]
    assert due_of(texts, events) == [1, 4, 6, 8]
    assert due_of([*texts, "http://h/ event=zone-enter"], events) == [1, 3, 4, 6, 8]


def test_a_message_has_the_words_of_the_rule_of_its_class(listeners: list[Listener]) -> None:
    """Both rules mean the same events, of other classes; the class of one object is known late."""
    listener, store = listeners[0], EventStore()
    texts = [f"{listener.address} only={label} title={label.upper()}" for label in ("person", "car")]
    notifiers = Notifiers(texts, store)
    events = [event("enter", 1, "car"), event("enter", 2, "person"), event("enter", 3)]
    recorded([*events, event(cast(Kind, CLASS), 3, "car"), event("leave", 3, "car")], store)
    notifiers.wake()
    assert notifiers.close(20.0) == 0
    titles = [(each["object"], each["event"], each["title"]) for each in listener.received]
    assert titles == [
        (1, "enter", "CAR"),
        (2, "enter", "PERSON"),
        (3, "enter", "CAR"),
        (3, "leave", "CAR"),
    ]


def test_a_group_stands_for_its_classes() -> None:
    events = [event("enter", 1, "truck"), event("enter", 2, "dog"), event("enter", 3, "person")]
    assert due_of(["http://h/ only=vehicle"], events) == [0]
    assert due_of(["http://h/ only=animal, person"], events) == [1, 2]


VISIT = [
    event("enter", 1),
    event("zone-enter", 1, "person", "door"),
    event("loiter", 1, "person", "door"),
    event("leave", 1, "person"),
    event("offline", 0),
    event("online", 0),
    event("enter", 1, "person"),
]


def test_a_receiver_gets_one_message_of_a_visit_where_its_rule_says_so() -> None:
    assert due_of(["http://h/ per=visit"], VISIT) == [0, 4, 5, 6]
    assert due_of(["http://h/ per=visit only=person"], VISIT) == [1, 4, 5, 6]
    assert due_of(["http://h/ per=visit event=loiter,offline"], VISIT) == [2, 4]


def test_people_get_one_alert_of_a_visit_and_none_while_the_camera_is_not_armed() -> None:
    pytest.importorskip("apprise", reason="apprise is not installed (pip install 'segue[apprise]')")
    assert due_of(["apprise+json://h"], VISIT) == [0, 4, 5, 6]
    assert due_of(["apprise+json://h per=event"], VISIT) == [0, 1, 2, 3, 4, 5, 6]
    assert due_of(["apprise+json://h"], VISIT, armed=False) == []
    assert due_of(["http://h/"], VISIT, armed=False) == [0, 1, 2, 3, 4, 5, 6], "programs get all"
    assert due_of(["http://h/ when=armed"], VISIT, armed=False) == []


@pytest.mark.parametrize(
    ("when", "hours"),
    [
        ("22:00-06:00", ["Tue 23", "Wed 05"]),
        ("tue 22:00-06:00", ["Tue 23", "Wed 05"]),
        ("wed 22:00-06:00", []),
        ("mon-tue", ["Tue 07", "Tue 23"]),
        ("sat-tue 6:30-8:00, wed 5:00-24:00", ["Tue 07", "Wed 05", "Wed 12"]),
    ],
)
def test_a_receiver_has_a_schedule(when: str, hours: list[str]) -> None:
    moments = {"Tue 07": "2026-12-01T07:00", "Tue 23": "2026-12-01T23:10",
               "Wed 05": "2026-12-02T05:59", "Wed 12": "2026-12-02T12:00"}  # fmt: skip
    events = [replace(event("enter", 1 + n), at=f"{at}:00+01:00") for n, at in enumerate(moments.values())]
    assert due_of([f"http://h/ when={when}"], events) == [[*moments].index(hour) for hour in hours]


@pytest.mark.parametrize(
    "text",
    ["when=25:00-26:00", "when=someday", "when=5:00-5:00", "per=week", "priority=7", "text=a {password}"],
)
def test_rules_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(SinkError, match="notify"):
        check_targets([f"http://h/ {text}"])


def test_whether_a_camera_is_armed_is_noted_with_each_event_and_holds_over_a_restart(tmp_path: Path) -> None:
    store = EventStore.open(tmp_path / "gate.db")
    assert store.armed
    first = recorded([event("enter", 1)], store)
    store.arm(False)
    second = recorded([event("enter", 2)], store)
    store.close()
    store = EventStore.open(tmp_path / "gate.db")
    assert not store.armed
    assert [each.armed for each in store.after(0)] == [True, False]
    assert [each.armed for each in (*first, *second)] == [True, False]
    store.close()


def test_a_camera_that_is_not_armed_stays_so_where_its_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EventStore.open(tmp_path / "gate.db")
    recorded([event("enter", 1)], store)
    store.arm(False)
    store.close()

    def fail(_: StoreFile) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(StoreFile, "connect", fail)
    store = EventStore(tmp_path / "gate.db")
    assert store.problem
    assert not store.armed


def test_a_store_of_before_knows_its_events_as_armed(tmp_path: Path) -> None:
    store = EventStore.open(tmp_path / "gate.db")
    recorded([event("enter", 1)], store)
    store.close()
    with closing(sqlite3.connect(tmp_path / "gate.db")) as base, base:
        base.execute("alter table events drop column armed")
        base.execute("pragma user_version = 1")
    store = EventStore.open(tmp_path / "gate.db")
    assert [each.armed for each in store.after(0)] == [True]
    store.close()


class Broker(EventReceiver):
    """Keeps the retained messages that would be published."""

    topic = "cameras/gate"

    def __init__(self) -> None:
        self.retained: dict[str, bytes] = {}

    def keep(self, topic: str, body: bytes) -> None:
        self.retained[topic] = body

    @property
    def state(self) -> bytes:
        return self.retained["cameras/gate/zone/door"]


ZONES = [Zone.parse("door=0,0 60,0 60,119")]


def states_after(target: str, events: list[Event]) -> list[bytes]:
    """How the sensor of the door is after each event."""
    broker, states = Broker(), list[bytes]()
    home = HomeAssistant(broker, NotifyTarget.parse(target), "gate", ZONES)
    for each in recorded(events):
        home.send(each)
        states.append(broker.state)
    return states


def test_a_sensor_is_on_for_the_objects_of_its_target_alone() -> None:
    events = [
        event("zone-enter", 2, "car", "door"),
        event("zone-enter", 1, "person", "door"),
        event("zone-leave", 1, "person", "door"),
    ]
    found = states_after("mqtt://h/cameras/gate only=person event=loiter", events)
    assert found == [b"OFF", b"ON", b"OFF"]


def test_a_sensor_goes_off_for_one_who_came_as_another_class() -> None:
    events = [event("zone-enter", 1, "person", "door"), event("zone-leave", 1, "bicycle", "door")]
    assert states_after("mqtt://h/cameras/gate only=person", events) == [b"ON", b"OFF"]


def test_a_sensor_goes_on_for_one_whose_class_is_known_late() -> None:
    events = [
        event("enter", 1, "unknown"),
        event("zone-enter", 1, "unknown", "door"),
        event(cast(Kind, CLASS), 1, "person"),
        event("leave", 1, "person"),
    ]
    found = states_after("mqtt://h/cameras/gate only=person", events)
    assert found == [b"OFF", b"OFF", b"ON", b"OFF"]


def test_a_sensor_knows_after_a_restart_who_is_there() -> None:
    before = recorded([event("enter", 1, "person"), event("zone-enter", 1, "person", "door")])
    broker = Broker()
    home = HomeAssistant(broker, NotifyTarget("mqtt://h/t"), "gate", ZONES, [before])
    assert broker.state == b"ON"
    home.send(RecordedEvent(9, before[0].visit, event("leave", 1, "person")))
    assert broker.state == b"OFF"


COMMON = {
    *("name", "unique_id", "device", "origin", "availability_topic", "entity_category"),
    *("payload_available", "payload_not_available", "icon", "qos", "encoding"),
}
SCHEMAS = {
    "binary_sensor": ({"state_topic"}, {"payload_on", "payload_off", "device_class"}),
    "sensor": ({"state_topic"}, {"unit_of_measurement", "device_class", "state_class"}),
    "camera": ({"topic"}, {"image_encoding"}),
    "switch": ({"command_topic"}, {"state_topic", "payload_on", "payload_off"}),
}
"""What Home Assistant 2026 requires of a component that is discovered by MQTT, and what else it knows."""


def configs(broker: Broker) -> dict[tuple[str, str], dict[str, Any]]:
    """The configurations of entities, by kind and name."""
    found = {}
    for topic, body in broker.retained.items():
        if topic.endswith("/config") and body:
            prefix, kind, *_ = topic.split("/")
            assert prefix == "homeassistant"
            about = json.loads(body)
            found[kind, about["name"]] = about
    return found


def test_entities_are_as_the_schema_of_home_assistant_has_them() -> None:
    broker = Broker()
    home = HomeAssistant(broker, NotifyTarget.parse("mqtt://h/cameras/gate only=person"), "gate", ZONES)
    home.see(*seen(3, True))
    found = configs(broker)
    assert {*found} == {
        ("binary_sensor", "door"),
        ("binary_sensor", "Connectivity"),
        ("camera", "Last event"),
        ("camera", "Live"),
        ("sensor", "Person"),
        ("switch", "Armed"),
    }
    for (kind, _), about in found.items():
        required, known = SCHEMAS[kind]
        assert required <= {*about} <= {*COMMON, *required, *known}
        assert {"name"} <= {*about["origin"]} <= {"name", "sw_version", "support_url"}
        assert about["device"]["identifiers"]
    assert len({about["unique_id"] for about in found.values()}) == len(found)
    connectivity = found["binary_sensor", "Connectivity"]
    assert connectivity["device_class"] == "connectivity"
    assert "availability_topic" not in connectivity, "it says itself that the camera is away"
    live = broker.retained[found["camera", "Live"]["topic"]]
    assert cv2.imdecode(np.frombuffer(live, np.uint8), cv2.IMREAD_COLOR).shape == (64, 96, 3)


def test_a_sensor_counts_the_objects_of_each_class() -> None:
    broker, states = Broker(), list[dict[str, str]]()
    home = HomeAssistant(broker, NotifyTarget.parse("mqtt://h/cameras/gate"), "gate", ZONES)
    events = [
        event("enter", 1, "person"),
        event("enter", 2, "person"),
        event("enter", 3),
        event(cast(Kind, CLASS), 3, "dog"),
        event("leave", 1, "person"),
        event("offline", 0),
        event("leave", 3, "dog"),
    ]
    for each in recorded(events):
        home.send(each)
        sensors = {name: about for (kind, name), about in configs(broker).items() if kind == "sensor"}
        states.append(
            {name: broker.retained[about["state_topic"]].decode() for name, about in sensors.items()}
        )
    assert states[1] == {"Person": "2"}
    assert states[2] == {"Person": "2", "Unknown": "1"}
    assert states[3] == {"Person": "2", "Unknown": "0", "Dog": "1"}
    assert states[-1] == {"Person": "1", "Unknown": "0", "Dog": "0"}


@pytest.mark.parametrize(
    ("rule", "counts"), [("", {"dog": b"0", "person": b"1"}), (" only=dog", {"dog": b"0"})]
)
def test_sensors_of_classes_that_went_meanwhile_show_none(rule: str, counts: dict[str, bytes]) -> None:
    """A broker that was away as a dog went still has 1 of it."""
    store, broker = EventStore(), Broker()
    events = [event("enter", 1, "dog"), event("leave", 1, "dog"), event("enter", 2, "person")]
    recorded(events, store)
    store.flush()
    target = NotifyTarget.parse(f"mqtt://h/cameras/gate{rule}")
    HomeAssistant(broker, target, "gate", [], store.present().values(), store.labels())
    prefix = "cameras/gate/count/"
    found = {topic.removeprefix(prefix): body for topic, body in broker.retained.items() if prefix in topic}
    assert found == counts
