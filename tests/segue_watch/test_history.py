"""Events of cameras, newest first, as the page asks for them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from segue.errors import SegueError
from segue.events.archive import EventArchive, pending_path
from segue.events.marks import Marks
from segue.events.retention import note_deleted
from segue.events.table import COLUMNS, Event, EventTable
from segue_watch import history
from segue_watch.history import History, Query, edges_of
from segue_watch.table_index import moment_of

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


@pytest.fixture
def archives(tmp_path: Path) -> dict[str, EventArchive]:
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
        "gate": EventArchive(gate, tmp_path / "gate"),
        "yard": EventArchive(yard, tmp_path / "yard"),
    }


def asked(archives: dict[str, EventArchive], text: str) -> list[int]:
    return [int(each["object"]) for each in History().events(archives, Query.parse(text)).events]


def counted(archives: dict[str, EventArchive], edges: list[float], query: Query = Query()) -> list[Any]:  # noqa: B008
    counts, problems = History().counts(archives, query, edges)
    assert problems == []
    return counts


def listed(archives: dict[str, EventArchive], text: str) -> list[int]:
    """The objects of all events, answer by answer."""
    history, objects, cursor = History(), list[int](), ""
    for _ in range(1000):
        answer = history.events(archives, Query.parse(f"{text}&cursor={cursor}" if cursor else text))
        objects += [int(each["object"]) for each in answer.events]
        if answer.next is None:
            return objects
        cursor = str(answer.next)
    raise AssertionError("it has no end")


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
    archives: dict[str, EventArchive], text: str, objects: list[int]
) -> None:
    assert asked(archives, text) == objects


@pytest.mark.parametrize(
    "text", ["limit=x", "before=noon", "cursor=1", "cursor=a/b/c/d", "&".join(["a=b"] * 200)]
)
def test_a_question_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(SegueError):
        Query.parse(text)


def test_events_have_their_marks(archives: dict[str, EventArchive], tmp_path: Path) -> None:
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / "00004-enter-4.jpg").touch()
    Marks(tmp_path / "gate").change("00004-enter-4.jpg", "reviewed", True)
    answer = History().events(archives, Query(cameras=frozenset({"gate"})))
    assert [each["reviewed"] for each in answer.events] == [True, False, False, False]
    assert asked(archives, "camera=gate&unreviewed=1") == [3, 2, 1]
    (tmp_path / "gate" / "marks.json").write_text("{")
    answer = History().events(archives, Query(unreviewed=True))
    assert len(answer.events) == 6, "they are listed all the same"
    [problem] = answer.problems
    assert "marks.json: cannot be read" in problem


@pytest.mark.parametrize("limit", [1, 7, 60, 119, 120, 200])
def test_events_of_one_moment_are_all_listed(tmp_path: Path, limit: int) -> None:
    gate = table(tmp_path / "gate.csv", [event(number) for number in range(1, 61)])
    yard = table(tmp_path / "yard.json", [event(number) for number in range(61, 121)])
    both = {"gate": EventArchive(gate, tmp_path / "gate"), "yard": EventArchive(yard, tmp_path / "yard")}
    assert listed(both, f"limit={limit}") == [*reversed(range(1, 61)), *reversed(range(61, 121))]


def test_a_list_goes_on_where_it_was_though_events_come_and_rows_are_marked_meanwhile(tmp_path: Path) -> None:
    path = table(tmp_path / "gate.csv", [event(number, minutes=number // 4) for number in range(1, 41)])
    archives = {"gate": EventArchive(path, tmp_path / "gate")}
    history = History()
    first = history.events(archives, Query(limit=10))
    note_deleted(path, {event(number)["snapshot"] for number in range(1, 38)})
    written = EventTable(path, append=True)
    for number in (41, 42):
        written.add(event(number, minutes=30))
    written.flush()
    rest = history.events(archives, Query.parse(f"limit=100&cursor={first.next}"))
    objects = [int(each["object"]) for each in (*first.events, *rest.events)]
    assert objects == [*reversed(range(1, 41))]


def test_what_stands_far_back_is_found_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer looks at so many rows, and says where the next one goes on."""
    monkeypatch.setattr(history, "MAX_ROWS", 10)
    rows = [event(number, label="dog" if number == 1 else "car", minutes=number) for number in range(1, 200)]
    (tmp_path / "gate").mkdir()
    reviewed = {row["snapshot"]: {"reviewed": True} for row in rows[1:]}
    (tmp_path / "gate" / "marks.json").write_text(json.dumps(reviewed))
    archives = {"gate": EventArchive(table(tmp_path / "gate.csv", rows), tmp_path / "gate")}
    first = History().events(archives, Query.parse("unreviewed=1"))
    assert first.events == []
    assert first.next is not None
    assert listed(archives, "unreviewed=1") == [1]
    assert asked(archives, "label=dog") == [1], "other rows are not looked at"
    assert listed(archives, "limit=7") == [*reversed(range(1, 200))]
    [count] = counted(archives, [NOON.timestamp() - 3600])
    assert count["events"] == {"enter": 199}


def test_rows_behind_a_clock_that_was_set_back_are_listed_in_the_order_of_their_times(tmp_path: Path) -> None:
    minutes = [0, 100, 20, 40, 120]  # the third one after the clock went back
    rows = [event(number, minutes=minute) for number, minute in enumerate(minutes, 1)]
    archives = {"gate": EventArchive(table(tmp_path / "gate.csv", rows), tmp_path / "gate")}
    assert listed(archives, "limit=2") == [5, 2, 4, 3, 1]
    after = (NOON + timedelta(minutes=30)).timestamp()
    assert listed(archives, f"after={after}&limit=1") == [5, 2, 4]


@pytest.mark.parametrize("rotate", ["added", "removed"])
def test_all_parts_of_a_camera_are_listed_and_counted(tmp_path: Path, rotate: str) -> None:
    """Runs with parts and without write to other files, of one camera."""
    base = NOON.astimezone(UTC)
    early, late = -60, 60  # minutes
    whole, parts = (early, late) if rotate == "added" else (late, early)
    table(tmp_path / "gate.csv", [event(number, minutes=whole) for number in range(1, 51)])
    for hour in range(2):
        part = (base + timedelta(minutes=parts + hour)).strftime("%Y%m%dT%H%M%SZ")
        rows = [event(60 + number + 10 * hour, minutes=parts + hour) for number in range(10)]
        table(tmp_path / f"gate-{part}.csv", rows)
    archives = {"gate": EventArchive(tmp_path / "gate.csv", tmp_path / "gate")}
    today = History().events(archives, Query(after=(NOON - timedelta(hours=2)).timestamp(), limit=200))
    assert len(today.events) == 70
    assert {each["part"] == "" for each in today.events} == {True, False}
    counts = counted(archives, [NOON.timestamp() - 7200, NOON.timestamp()])
    assert [each["events"] for each in counts] == [
        {"enter": 50 if whole < 0 else 20},
        {"enter": 20 if whole < 0 else 50},
    ]
    assert len(listed(archives, "limit=9")) == 70


def test_counts_are_those_between_the_moments_that_are_asked_for(archives: dict[str, EventArchive]) -> None:
    hour = NOON.timestamp() - NOON.timestamp() % 3600
    by_hour = counted(archives, [hour - 7200, hour - 3600])
    assert [each["events"] for each in by_hour] == [
        {"enter": 1},
        {"enter": 3, "leave": 1, "zone-enter door": 1},
    ]
    by_day = counted(archives, [hour - 2 * 86_400, hour - 86_400])
    assert [each["events"] for each in by_day] == [{}, {"enter": 4, "leave": 1, "zone-enter door": 1}]
    assert [each["begin"] for each in by_day] == [hour - 2 * 86_400, hour - 86_400]
    assert counted(archives, [hour])[0]["events"] == {}
    one = counted(archives, [hour - 86_400], Query.parse("camera=gate&label=car"))
    assert one[0]["events"] == {"enter": 1}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "edges=",
        "edges=a",
        "edges=900,900",
        "edges=1800,900",
        "edges=1000",
        "edges=900.5",
        "edges=" + ",".join(str(900 * number) for number in range(400)),
    ],
)
def test_edges_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(SegueError, match="counts: "):
        edges_of(text)


def test_edges_are_quarters_of_an_hour() -> None:
    assert edges_of("edges=900,1800,86400&by=x") == [900.0, 1800.0, 86400.0]


def test_a_table_that_cannot_be_read_hides_no_other_one(
    archives: dict[str, EventArchive], tmp_path: Path
) -> None:
    (tmp_path / "gate.csv").unlink()
    (tmp_path / "gate.csv").mkdir()
    answer = History().events(archives, Query())
    assert [int(each["object"]) for each in answer.events] == [8, 7]
    [problem] = answer.problems
    assert "gate.csv: cannot be read" in problem
    counts, problems = History().counts(archives, Query(), [0.0])
    assert counts[0]["events"] == {"enter": 1, "leave": 1}
    assert problems == [problem]


def test_an_event_without_a_time_of_day_has_none(tmp_path: Path) -> None:
    assert moment_of({"at": ""}) == 0.0
    rows = [event(number) | {"at": ""} for number in range(1, 8)]
    archives = {"gate": EventArchive(table(tmp_path / "gate.csv", rows), tmp_path / "gate")}
    assert listed(archives, "limit=3") == [7, 6, 5, 4, 3, 2, 1]


def test_an_answer_says_whether_a_clip_is_there_or_comes_or_is_lost(tmp_path: Path) -> None:
    rows = [
        event(number, minutes=number) | {"clip": f"{number:05d}-enter-{number}.mp4"} for number in (1, 2, 3)
    ]
    archive = EventArchive(table(tmp_path / "gate.csv", rows), tmp_path / "gate")
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / rows[0]["clip"]).touch()
    pending_path(tmp_path / "gate" / rows[1]["clip"]).touch()
    events = History().events({"gate": archive}, Query()).events
    assert [(each["object"], each["clip_state"]) for each in events] == [
        ("3", "lost"),
        ("2", "pending"),
        ("1", "complete"),
    ]


def test_who_asks_for_events_before_the_last_one_loses_none_of_its_moment(tmp_path: Path) -> None:
    """Also where two cameras have events of one moment."""
    moments = [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    archives = {}
    for camera, first in (("gate", 1), ("yard", 101)):
        rows = [event(first + place, minutes=minute) for place, minute in enumerate(moments)]
        archives[camera] = EventArchive(table(tmp_path / f"{camera}.csv", rows), tmp_path / camera)
    history, listed, before = History(), list[int](), "inf"
    while events := history.events(archives, Query.parse(f"limit=3&before={before}")).events:
        listed += [int(each["object"]) for each in events]
        before = events[-1]["place"]
    assert sorted(listed) == [*range(1, 11), *range(101, 111)]
    assert len(listed) == 20, "each once"
    noon = NOON.timestamp()
    both = Query.parse(f"before={noon + 60}&cursor={before}")
    assert (both.before, str(both.cursor)) == (noon + 60, before)


def test_filters_offer_what_is_in_all_events_not_in_those_of_an_answer(
    archives: dict[str, EventArchive],
) -> None:
    assert History().choices(archives) == {"zones": ["a", "door"], "labels": ["car", "person", "unknown"]}
