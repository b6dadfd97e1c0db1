"""Events of cameras, newest first, as the page asks for them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from segue.errors import SegueError, SinkError
from segue.events.archive import pending_path
from segue.events.store.records import moment_of
from segue.events.store.store import EventStore
from segue.events.table import COLUMNS, Event, EventTable
from segue_watch.web.history import Stores, choices_of, counts_of, events_of, visits_of
from segue_watch.web.query import Place, Query, edges_of
from tests.events.stored import imported, store_of

NOON = datetime(2026, 11, 27, 12, 0).astimezone()


def event(
    number: int, kind: str = "enter", minutes: float = 0.0, zone: str = "", label: str | None = None
) -> dict:
    at = (NOON + timedelta(minutes=minutes)).isoformat(timespec="milliseconds")
    made = Event(
        kind, number, number, 60.0 * minutes, 0, 0, 9, 9, 81, 0, 81, label, None, zone, "", at, "gate"
    )  # type: ignore[arg-type]
    return {name: getattr(made, name) for name in COLUMNS} | {"snapshot": f"{number:05d}-enter-{number}.jpg"}


def table(path: Path, events: Iterable[dict[str, Any]]) -> Path:
    written = EventTable(path)
    for each in events:
        written.add(each)
    written.flush()
    return path


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    made = {
        "gate": store_of(
            tmp_path / "gate.db",
            [
                event(1, minutes=-90),
                event(2, "zone-enter", -60, "door"),
                event(4, minutes=-20, label="person"),
                event(3, minutes=-30, label="car"),  # known later, as of min-seconds
            ],
        ),
        "yard": store_of(
            tmp_path / "yard.db", [event(7, minutes=-25, label="car"), event(8, "leave", -5, "a;door")]
        ),
    }
    yield made
    for store in made.values():
        store.close()


def asked(stores: Stores, text: str) -> list[int]:
    return [int(each["object"]) for each in events_of(stores, Query.parse(text)).events]


def counted(stores: Stores, edges: list[float], query: Query = Query()) -> list[Any]:  # noqa: B008
    counts, problems = counts_of(stores, query, edges)
    assert problems == []
    return counts


def listed(stores: Stores, text: str) -> list[int]:
    """The objects of all events, answer by answer."""
    objects, cursor = list[int](), ""
    for _ in range(1000):
        answer = events_of(stores, Query.parse(f"{text}&cursor={cursor}" if cursor else text))
        objects += [int(each["object"]) for each in answer.events]
        if answer.next is None:
            return objects
        cursor = answer.next
    raise AssertionError("it has no end")


@pytest.mark.parametrize(
    ("text", "objects"),
    [
        ("", [8, 7, 3, 4, 2, 1]),
        ("limit=2", [8, 7]),
        ("camera=gate", [3, 4, 2, 1]),
        ("label=car", [7, 3]),
        ("label=unknown", [8, 2, 1]),
        ("zone=door", [8, 2]),
        ("event=zone-enter&event=leave", [8, 2]),
        (f"before={(NOON - timedelta(minutes=25)).timestamp()}", [3, 2, 1]),
        (f"after={(NOON - timedelta(minutes=30)).timestamp()}", [8, 7, 3, 4]),
    ],
)
def test_events_are_chosen_by_filters(stores: Stores, text: str, objects: list[int]) -> None:
    assert asked(stores, text) == objects


@pytest.mark.parametrize(
    "text",
    [
        "limit=x",
        "before=noon",
        "before=nan",
        "after=-inf",
        "place=inf/gate/part/1",
        "place=nan/gate//1",
        "place=gate/inf",
        "place=inf/1/2",
        "before=gate/x",
        "cursor=1",
        "cursor=a/b/c/d",
        "&".join(["a=b"] * 200),
    ],
)
def test_a_question_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(SegueError):
        Query.parse(text)


def test_events_have_the_marks_of_their_visits(stores: Stores) -> None:
    gate = stores["gate"]
    [(visit,)] = gate.read("select visit from events where object = 4")
    gate.mark([visit], "reviewed", True)
    answer = events_of(stores, Query(cameras=frozenset({"gate"})))
    assert [each["reviewed"] for each in answer.events] == [False, True, False, False]
    assert asked(stores, "camera=gate&unreviewed=1") == [3, 2, 1]


@pytest.mark.parametrize("limit", [1, 7, 60, 119, 120, 200])
def test_events_of_one_moment_are_all_listed(tmp_path: Path, limit: int) -> None:
    both = {
        "gate": store_of(tmp_path / "gate.db", [event(number) for number in range(1, 61)]),
        "yard": store_of(tmp_path / "yard.db", [event(number) for number in range(61, 121)]),
    }
    assert listed(both, f"limit={limit}") == [*reversed(range(1, 61)), *reversed(range(61, 121))]
    for store in both.values():
        store.close()


def test_a_list_goes_on_where_it_was_though_events_come_meanwhile(tmp_path: Path) -> None:
    rows = [event(number, minutes=number // 4) for number in range(1, 41)]
    stores = {"gate": store_of(tmp_path / "gate.db", rows)}
    first = events_of(stores, Query(limit=10))
    store_of(tmp_path / "gate.db", [event(number, minutes=30) for number in (41, 42)]).close()
    rest = events_of(stores, Query.parse(f"limit=100&cursor={first.next}"))
    objects = [int(each["object"]) for each in (*first.events, *rest.events)]
    assert objects == [*reversed(range(1, 41))]
    stores["gate"].close()


def test_events_far_back_are_found_and_counted(tmp_path: Path) -> None:
    rows = [event(number, label="dog" if number == 1 else "car", minutes=number) for number in range(1, 200)]
    stores = {"gate": store_of(tmp_path / "gate.db", rows)}
    stores["gate"].mark(range(2, 200), "reviewed", True)
    assert listed(stores, "unreviewed=1") == [1]
    assert asked(stores, "label=dog") == [1]
    assert listed(stores, "limit=7") == [*reversed(range(1, 200))]
    [count] = counted(stores, [NOON.timestamp() - 3600])
    assert count["events"] == {"enter": 199}
    stores["gate"].close()


def test_events_are_in_the_order_in_which_they_were_known_whatever_the_clock_said(tmp_path: Path) -> None:
    minutes = [0, 100, 20, 40, 120]  # the third one after the clock went back
    rows = [event(number, minutes=minute) for number, minute in enumerate(minutes, 1)]
    stores = {"gate": store_of(tmp_path / "gate.db", rows)}
    assert listed(stores, "limit=2") == [5, 4, 3, 2, 1]
    after = (NOON + timedelta(minutes=30)).timestamp()
    assert listed(stores, f"after={after}&limit=1") == [5, 4, 2]
    stores["gate"].close()


def test_a_visit_ends_although_the_clock_was_set_back(tmp_path: Path) -> None:
    rows = [event(1, minutes=0), event(1, "leave", -55)]
    stores = {"gate": store_of(tmp_path / "gate.db", rows)}
    [visit] = visits_of(stores, Query()).events
    assert visit["end"] is not None
    assert [each["event"] for each in visit["events"]] == ["enter", "leave"]
    stores["gate"].close()


@pytest.mark.parametrize("rotate", ["added", "removed"])
def test_all_parts_of_a_camera_are_listed_and_counted(tmp_path: Path, rotate: str) -> None:
    """Runs with parts and without wrote to other files, of one camera."""
    base = NOON.astimezone(UTC)
    early, late = -60, 60  # minutes
    whole, parts = (early, late) if rotate == "added" else (late, early)
    table(tmp_path / "gate.csv", [event(number, minutes=whole) for number in range(1, 51)])
    for hour in range(2):
        part = (base + timedelta(minutes=parts + hour)).strftime("%Y%m%dT%H%M%SZ")
        rows = [event(60 + number + 10 * hour, minutes=parts + hour) for number in range(10)]
        table(tmp_path / f"gate-{part}.csv", rows)
    stores = {"gate": imported(tmp_path / "gate.csv")}
    today = events_of(stores, Query(after=(NOON - timedelta(hours=2)).timestamp(), limit=200))
    assert len(today.events) == 70
    assert {each["part"] == "" for each in today.events} == {True, False}
    counts = counted(stores, [NOON.timestamp() - 7200, NOON.timestamp()])
    assert [each["events"] for each in counts] == [
        {"enter": 50 if whole < 0 else 20},
        {"enter": 20 if whole < 0 else 50},
    ]
    assert len(listed(stores, "limit=9")) == 70
    moments = [each["moment"] for each in today.events]
    assert moments == sorted(moments, reverse=True), "as they happened"
    stores["gate"].close()


def test_counts_are_those_between_the_moments_that_are_asked_for(stores: Stores) -> None:
    hour = NOON.timestamp() - NOON.timestamp() % 3600
    by_hour = counted(stores, [hour - 7200, hour - 3600])
    assert [each["events"] for each in by_hour] == [
        {"enter": 1},
        {"enter": 3, "leave": 1, "zone-enter door": 1},
    ]
    by_day = counted(stores, [hour - 2 * 86_400, hour - 86_400])
    assert [each["events"] for each in by_day] == [{}, {"enter": 4, "leave": 1, "zone-enter door": 1}]
    assert [each["begin"] for each in by_day] == [hour - 2 * 86_400, hour - 86_400]
    assert counted(stores, [hour])[0]["events"] == {}
    one = counted(stores, [hour - 86_400], Query.parse("camera=gate&label=car"))
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


def test_a_store_that_cannot_be_read_hides_no_other_one(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = EventStore.reading

    def refuse(store: EventStore) -> Any:
        if store is stores["gate"]:
            raise SinkError("gate.db: cannot be read")
        return reading(store)

    monkeypatch.setattr(EventStore, "reading", refuse)
    answer = events_of(stores, Query())
    assert [int(each["object"]) for each in answer.events] == [8, 7]
    assert answer.problems == ["gate.db: cannot be read"]
    counts, problems = counts_of(stores, Query(), [0.0])
    assert counts[0]["events"] == {"enter": 1, "leave": 1}
    assert problems == answer.problems


def test_an_event_without_a_time_of_day_has_none(tmp_path: Path) -> None:
    assert moment_of("") == 0.0
    stores = {"gate": store_of(tmp_path / "gate.db", [event(number) | {"at": ""} for number in range(1, 8)])}
    assert listed(stores, "limit=3") == [7, 6, 5, 4, 3, 2, 1]
    stores["gate"].close()


def test_an_answer_says_whether_a_clip_is_there_or_comes_or_is_lost(tmp_path: Path) -> None:
    rows = [
        event(number, minutes=number) | {"clip": f"{number:05d}-enter-{number}.mp4"} for number in (1, 2, 3)
    ]
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / rows[0]["clip"]).touch()
    pending_path(tmp_path / "gate" / rows[1]["clip"]).touch()
    stores = {"gate": imported(table(tmp_path / "gate.csv", rows), tmp_path / "gate")}
    events = events_of(stores, Query()).events
    assert [(each["object"], each["clip_state"]) for each in events] == [
        ("3", "lost"),
        ("2", "pending"),
        ("1", "complete"),
    ]
    stores["gate"].close()


def test_events_of_one_moment_are_split_between_answers_without_loss(tmp_path: Path) -> None:
    """Also where two cameras have events of one moment."""
    moments = [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    stores = {}
    for camera, first in (("gate", 1), ("yard", 101)):
        rows = [event(first + place, minutes=minute) for place, minute in enumerate(moments)]
        stores[camera] = store_of(tmp_path / f"{camera}.db", rows)
    listed, before = list[int](), "inf"
    while events := events_of(stores, Query.parse(f"limit=3&before={before}")).events:
        listed += [int(each["object"]) for each in events]
        before = events[-1]["place"]
    assert sorted(listed) == [*range(1, 11), *range(101, 111)]
    assert len(listed) == 20, "each once"
    noon = NOON.timestamp()
    both = Query.parse(f"before={noon + 60}&before={before}")
    assert (both.before, str(both.behind)) == (noon + 60, before)
    for store in stores.values():
        store.close()


def test_a_link_of_before_the_store_leads_to_its_visit(stores: Stores) -> None:
    moment = (NOON - timedelta(minutes=20)).timestamp()
    [visit] = visits_of(stores, Query.parse(f"place={moment!r}/gate//7")).events
    assert (visit["object"], visit["place"]) == (4, str(Place("gate", 3)))


def test_filters_offer_what_is_in_all_events_not_in_those_of_an_answer(stores: Stores) -> None:
    assert choices_of(stores) == {"zones": ["a", "door"], "labels": ["car", "person", "unknown"]}


def test_a_year_of_events_costs_a_page_little(tmp_path: Path) -> None:
    """A few thousand here; benchmarks/services/event_history.py measures 400,000."""
    rows = [
        event(number % 60_000 + 1, kind, minutes=-number, label="car")
        for number in range(3000, 0, -1)
        for kind in ("enter", "leave")
    ]
    stores = {"gate": store_of(tmp_path / "gate.db", rows)}
    begin = os.times()
    for _ in range(20):
        assert len(visits_of(stores, Query()).events) == 60
    end = os.times()
    assert (end.user + end.system - begin.user - begin.system) / 20 < 0.05
    stores["gate"].close()
