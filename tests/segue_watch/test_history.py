"""Events of cameras, newest first, as the page asks for them."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from segue.errors import SegueError
from segue.events.retention import Marks
from segue.events.table import COLUMNS, Event, EventTable
from segue_watch import history
from segue_watch.history import Place, Query, counts_of, events_of, moment_of, newest_first

NOON = datetime(2026, 11, 27, 12, 0).astimezone()


def event(
    number: int, kind: str = "enter", minutes: float = 0.0, zone: str = "", label: str | None = None
) -> dict:
    at = (NOON + timedelta(minutes=minutes)).isoformat(timespec="milliseconds")
    made = Event(
        kind, number, number, 60.0 * minutes, 0, 0, 9, 9, 81, 0, 81, label, None, zone, "", at, "gate"
    )  # type: ignore[arg-type]
    return {name: getattr(made, name) for name in COLUMNS} | {"snapshot": f"{number:05d}-enter-{number}.jpg"}


def table(path: Path, events: list[dict]) -> Path:
    written = EventTable(path)
    for each in events:
        written.add(each)
    written.flush()
    return path


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_a_table_is_read_from_its_end_also_while_it_is_written(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_BLOCK", 50)
    path = table(tmp_path / f"gate{suffix}", [event(number, label="car, red") for number in range(40)])
    with path.open("ab") as stream:
        stream.write(b',\n{"event": "ent' if suffix == ".json" else b'enter,41,half a row, "')
    assert [int(row["object"]) for row in newest_first(path)] == [*reversed(range(40))]
    assert [*newest_first(tmp_path / "none.csv")] == []


@pytest.fixture
def archives(tmp_path: Path) -> dict[str, list[Place]]:
    gate = table(
        tmp_path / "gate.csv",
        [
            event(1, minutes=-90),
            event(2, "zone-enter", -60, "door"),
            event(4, minutes=-20, label="person"),
            event(3, minutes=-30, label="car"),  # known later, as of min-seconds
        ],
    )
    yard = table(tmp_path / "yard.csv", [event(7, minutes=-25, label="car"), event(8, "leave", -5, "a;door")])
    return {
        "gate": [Place("", gate, tmp_path / "gate")],
        "yard": [Place("", yard, tmp_path / "yard")],
    }


def asked(archives: dict[str, list[Place]], text: str) -> list[int]:
    return [int(each["object"]) for each in events_of(archives, Query.parse(text))]


@pytest.mark.parametrize(
    ("text", "objects"),
    [
        ("", [8, 4, 7, 3, 2, 1]),
        ("limit=2", [8, 4]),
        ("camera=gate", [4, 3, 2, 1]),
        ("label=car", [7, 3]),
        ("zone=door", [8, 2]),
        ("event=zone-enter&event=leave", [8, 2]),
        (f"before={(NOON - timedelta(minutes=25)).timestamp()}", [3, 2, 1]),
        (f"after={(NOON - timedelta(minutes=30)).timestamp()}", [8, 4, 7, 3]),
    ],
)
def test_events_are_chosen_by_filters(
    archives: dict[str, list[Place]], text: str, objects: list[int]
) -> None:
    assert asked(archives, text) == objects


@pytest.mark.parametrize("text", ["limit=x", "before=noon", "&".join(["camera=a"] * 200)])
def test_a_question_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(SegueError):
        Query.parse(text)


def test_events_have_their_marks(archives: dict[str, list[Place]], tmp_path: Path) -> None:
    (tmp_path / "gate").mkdir()
    Marks(tmp_path / "gate").change("00004-enter-4.jpg", "", reviewed=True, kept=False)
    found = events_of(archives, Query(cameras=frozenset({"gate"})))
    assert [each["reviewed"] for each in found] == [True, False, False, False]
    assert asked(archives, "camera=gate&unreviewed=1") == [3, 2, 1]


def test_counts_are_those_of_hours_and_days_of_the_clock(archives: dict[str, list[Place]]) -> None:
    by_hour = counts_of(archives, Query(), by_day=False, number=3, now=NOON.timestamp() - 1)
    assert [each["events"] for each in by_hour] == [
        {},
        {"enter": 1},
        {"enter": 3, "leave": 1, "zone-enter door": 1},
    ]
    by_day = counts_of(archives, Query(), by_day=True, number=2, now=NOON.timestamp())
    assert [each["events"] for each in by_day] == [{}, {"enter": 4, "leave": 1, "zone-enter door": 1}]
    midnight = NOON.replace(hour=0).timestamp()
    assert by_day[1]["begin"] == midnight


def test_an_event_without_a_time_of_day_has_none(archives: dict[str, list[Place]]) -> None:
    assert moment_of({"at": ""}) == 0.0
