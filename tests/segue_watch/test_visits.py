"""Visits of objects, newest first."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from segue.events.table import Row
from segue_watch.web.history import Stores, visits_of
from segue_watch.web.query import Query
from tests.events.stored import store_of
from tests.segue_watch.test_history import event


def of(number: int, kind: str, minutes: float, zone: str = "", label: str | None = None) -> Row:
    """An event of an object, with an image of its own."""
    return event(number, kind, minutes, zone, label) | {"snapshot": f"{number:05d}-{kind}-{number}.jpg"}


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    gate = store_of(
        tmp_path / "gate.db",
        [
            of(1, "enter", -100),
            of(2, "enter", -99),
            of(2, "zone-enter", -98, "door"),
            of(2, "loiter", -97, "door", "person"),
            of(2, "leave", -96, "door", "person"),
            of(0, "offline", -80),
            of(0, "online", -78),
            of(3, "enter", -30, label="car"),
            of(3, "zone-enter", -29, "road", "car"),
            of(1, "leave", -10),  # it was there for 90 minutes
            of(3, "cross", -5, "line", "car"),  # and is there
        ],
    )
    yard = store_of(tmp_path / "yard.db", [of(2, "enter", -97), of(2, "end", -95)])
    yield {"gate": gate, "yard": yard}
    gate.close()
    yard.close()


def asked(stores: Stores, text: str = "") -> list[dict[str, Any]]:
    return visits_of(stores, Query.parse(text)).events


def names(listed: list[dict[str, Any]]) -> list[str]:
    return [f"{each['camera']}{each['object']}" for each in listed]


def test_a_visit_has_all_events_of_an_object_from_first_to_last(stores: Stores) -> None:
    listed = asked(stores)
    assert names(listed) == ["gate3", "gate0", "yard2", "gate2", "gate1"]
    car, lost, _, person, parked = listed
    assert [each["event"] for each in person["events"]] == ["enter", "zone-enter", "loiter", "leave"]
    assert (person["label"], person["zones"]) == ("person", ["door"])
    assert person["end"] - person["moment"] == 180
    assert [each["event"] for each in parked["events"]] == ["enter", "leave"]
    assert (car["end"], car["zones"]) == (None, ["road", "line"]), "it is there"
    assert lost["end"] - lost["moment"] == 120


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zone=door", ["gate2"]),
        ("zone=line&event=cross", ["gate3"]),
        ("zone=road&event=cross", []),
        ("label=person", ["gate2"]),
        ("label=unknown", ["yard2", "gate1"]),
        ("event=leave", ["gate2", "gate1"]),
        ("event=offline", ["gate0"]),
        ("camera=yard", ["yard2"]),
        ("search=PERSON+door", ["gate2"]),
        ("search=gate+loiter", ["gate2"]),
        ("search=none", []),
    ],
)
def test_visits_are_asked_for_by_what_their_events_are(
    stores: Stores, text: str, expected: list[str]
) -> None:
    assert names(asked(stores, text)) == expected


def test_a_visit_has_an_address_and_its_own_marks(stores: Stores) -> None:
    person = asked(stores, "label=person")[0]
    camera, _, number = person["place"].partition("/")
    stores[camera].mark([int(number)], "reviewed", True, "anna")
    person = asked(stores, "label=person")[0]
    assert (person["reviewed"], person["kept"], person["by"]) == (True, False, "anna")
    assert asked(stores, f"place={person['place']}") == [person]
    assert "gate2" not in names(asked(stores, "unreviewed=1"))
    moment = person["moment"]
    assert names(asked(stores, f"after={moment}&before={moment + 1}")) == ["gate2"]


def test_words_of_other_scripts_are_found_in_any_case(tmp_path: Path) -> None:
    stores = {"gate": store_of(tmp_path / "gate.db", [of(1, "enter", 0, "Überweg")])}
    assert names(asked(stores, "search=ÜBERWEG")) == names(asked(stores, "search=überweg")) == ["gate1"]
    stores["gate"].close()


def test_letters_that_are_two_in_capitals_are_found(tmp_path: Path) -> None:
    stores = {
        "gate": store_of(tmp_path / "gate.db", [of(1, "enter", 0, "Straße"), of(2, "enter", 0, "door")])
    }
    for words in ("Straße", "straße", "STRASSE", "str", "rasse"):
        assert names(asked(stores, f"search={words}")) == ["gate1"]
    assert not asked(stores, "search=gasse")
    stores["gate"].close()


def test_answers_one_after_the_other_have_each_visit_once_and_whole(tmp_path: Path) -> None:
    """Also of objects that stay while hundreds of others come and go, and of ids that are used again."""
    draw, rows = random.Random(3), list[Row]()
    for number in range(400):
        start, length = draw.uniform(-3000, 0), draw.choice([0.5, 3, 40, 900])
        last = "leave" if start + length < 0 else None
        rows += [of(number + 1, "enter", start), of(number + 1, "zone-enter", start + length / 2, "door")]
        rows += [of(number + 1, last, start + length)] if last else []
        if last and start + length < -30:
            rows += [
                of(number + 1, "enter", start + length + 1),
                of(number + 1, "leave", start + length + 2),
            ]
    rows.sort(key=lambda row: row["at"])
    stores = {
        part: store_of(tmp_path / f"{part}.db", [row for row in rows if int(row["object"]) % 2 == chosen])
        for part, chosen in (("gate", 0), ("yard", 1))
    }
    whole = asked(stores, "limit=200")
    num_visits = sum(row["event"] == "enter" for row in rows)
    for limit in (7, 60):
        text, listed = f"limit={limit}", list[dict[str, Any]]()
        while text:
            answer = visits_of(stores, Query.parse(text))
            listed += answer.events
            text = "" if answer.next is None else f"limit={limit}&cursor={answer.next}"
        assert len(listed) == len({each["place"] for each in listed}) == num_visits
        assert listed[:200] == whole
        assert sum(len(each["events"]) for each in listed) == len(rows)
    for store in stores.values():
        store.close()
