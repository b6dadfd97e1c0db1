"""Visits of objects, made of the events in tables, newest first."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from segue.events.archive import EventArchive
from segue.events.marks import Marks
from segue.events.table import Row
from segue_watch import visits
from segue_watch.history import History, Query
from segue_watch.visits import visits_of
from tests.segue_watch.test_history import event, table

Archives = dict[str, EventArchive]


def of(number: int, kind: str, minutes: float, zone: str = "", label: str | None = None) -> Row:
    """An event of an object, with an image of its own."""
    return event(number, kind, minutes, zone, label) | {"snapshot": f"{number:05d}-{kind}-{number}.jpg"}


@pytest.fixture
def archives(tmp_path: Path) -> Archives:
    gate = table(
        tmp_path / "gate.csv",
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
    yard = table(tmp_path / "yard.csv", [of(2, "enter", -97), of(2, "end", -95)])
    return {"gate": EventArchive(gate, tmp_path / "gate"), "yard": EventArchive(yard, tmp_path / "yard")}


def asked(archives: Archives, text: str = "") -> list[dict[str, Any]]:
    return visits_of(History(), archives, Query.parse(text)).events


def names(listed: list[dict[str, Any]]) -> list[str]:
    return [f"{each['camera']}{each['object']}" for each in listed]


def test_a_visit_has_all_events_of_an_object_from_first_to_last(archives: Archives) -> None:
    listed = asked(archives)
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
    archives: Archives, text: str, expected: list[str]
) -> None:
    assert names(asked(archives, text)) == expected


def test_a_visit_has_an_address_and_its_own_marks(archives: Archives, tmp_path: Path) -> None:
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / "00002-enter-2.jpg").touch()
    Marks(tmp_path / "gate").change_all({"00002-enter-2.jpg": ""}, "reviewed", True, "anna")
    person = asked(archives, "label=person")[0]
    assert (person["reviewed"], person["kept"], person["by"]) == (True, False, "anna")
    assert asked(archives, f"place={person['place']}") == [person]
    assert "gate2" not in names(asked(archives, "unreviewed=1"))
    moment = person["moment"]
    assert names(asked(archives, f"after={moment}&before={moment + 1}")) == ["gate2"]


def test_answers_one_after_the_other_have_each_visit_once_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of objects that stay while hundreds of others come and go, and of ids that are used again."""
    draw, rows = random.Random(3), list[Row]()
    for number in range(400):
        start, length = draw.uniform(-3000, 0), draw.choice([0.5, 3, 40, 900])
        last = "leave" if start + length < 0 else None
        rows += [of(number, "enter", start), of(number, "zone-enter", start + length / 2, "door")]
        rows += [of(number, last, start + length)] if last else []
        if last and start + length < -30:
            rows += [of(number, "enter", start + length + 1), of(number, "leave", start + length + 2)]
    rows.sort(key=lambda row: row["at"])
    for part, chosen in (("gate", 0), ("yard", 1)):
        table(tmp_path / f"{part}.csv", [row for row in rows if int(row["object"]) % 2 == chosen])
    archives = {name: EventArchive(tmp_path / f"{name}.csv", tmp_path / name) for name in ("gate", "yard")}
    whole = asked(archives, "limit=200")
    num_visits = sum(row["event"] == "enter" for row in rows)
    for limit, most in ((7, 50_000), (60, 50_000), (60, 40)):
        monkeypatch.setattr(visits, "MAX_ROWS", most)
        history, text, listed = History(), f"limit={limit}", list[dict[str, Any]]()
        while text:
            answer = visits_of(history, archives, Query.parse(text))
            listed += answer.events
            text = "" if answer.next is None else f"limit={limit}&cursor={answer.next}"
        assert len(listed) == len({each["place"] for each in listed}) == num_visits
        if most == 50_000:
            assert listed[:200] == whole
            assert sum(len(each["events"]) for each in listed) == len(rows)
