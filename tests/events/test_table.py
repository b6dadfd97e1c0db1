"""Files of events go on after a crash."""

from __future__ import annotations

import csv
import json
import sqlite3
from dataclasses import asdict
from pathlib import Path

import pytest

from segue.errors import SinkError
from segue.events import EventSink
from segue.events.store.importing import ImportWarning
from segue.events.table import Event, EventTable, event_of, read_events
from tests.events.stored import imported, store_of
from tests.events.test_sink import HEADER, big


def record(path: Path, number: int, **options: bool) -> None:
    """An object enters and leaves."""
    with EventSink(path, live=True, **options) as sink:
        for t in range(4):
            sink.write(*big(t, {number: (5, 5, 20, 20)} if t < 3 else {}))


@pytest.fixture(params=["events.csv", "events.json"])
def table(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path: Path = tmp_path / request.param
    record(path, 1)
    return path


def ids(path: Path) -> list[int]:
    """What a reader of CSV or JSON finds."""
    text = path.read_text()
    rows = json.loads(text) if path.suffix == ".json" else csv.DictReader(text.splitlines())
    return [int(row["object"]) for row in rows]


def test_a_later_run_goes_on_after_the_events_of_the_earlier_one(table: Path) -> None:
    record(table, 2, append=True)
    assert ids(table) == [1, 1, 2, 2]
    record(table, 3, append=True)
    assert ids(table) == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("cut", [1, 5, 40])
@pytest.mark.filterwarnings("ignore::segue.events.store.importing.ImportWarning")
def test_half_an_event_at_the_end_stays_and_is_none(table: Path, cut: int) -> None:
    whole = table.read_bytes().rstrip(b"]\r\n")
    table.write_bytes(whole[:-cut])
    assert len([*read_events(table)]) == 1
    record(table, 2, append=True)
    assert table.read_bytes().startswith(whole[:-cut]), "rows of before stay byte for byte"
    assert [int(row["object"]) for row in read_events(table)] == [1, 1, 2, 2], "its object has left"


@pytest.mark.parametrize("suffix", [".csv", ".json"])
@pytest.mark.parametrize("cut", [0, 1, 7, 200])
def test_rows_missing_after_a_kill_are_written_at_the_next_start(
    tmp_path: Path, suffix: str, cut: int
) -> None:
    """The store has all events; the table ends anywhere, also in the middle of a row."""
    path = tmp_path / f"gate{suffix}"
    record(path, 1, append=True)
    whole = path.read_bytes().removesuffix(b"\n]\n")
    with sqlite3.connect(path.with_suffix(".db")) as base:  # the position was not written any more
        base.execute("update parts set position = ?, written = 0", (len(begin_of(suffix)),))
    path.write_bytes(whole[: len(whole) - cut])
    record(path, 2, append=True)
    assert ids(path) == [1, 1, 2, 2]
    assert path.read_bytes().startswith(whole)


def begin_of(suffix: str) -> bytes:
    return b"[" if suffix == ".json" else (",".join(HEADER) + "\r\n").encode()


@pytest.mark.parametrize(
    "odd", [b"\r\n", b"# a note of mine\r\n", b"enter,2,3\r\n", b'"never closed\r\n', b"\xff\xfe\r\n"]
)
def test_an_odd_row_costs_no_other_event_and_is_said_with_its_line(tmp_path: Path, odd: bytes) -> None:
    """Of 1,000 events all are known, and the file stays as it is."""
    path = tmp_path / "gate.csv"
    written = EventTable(path)
    for number in range(1, 1001):
        written.add(asdict(Event("enter", number, 0, 0.0, 0.0, 0.0, 9.0, 9.0, 81, 0.0, 81)))
    written.close()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:11], odd, *lines[11:]]))
    before = path.read_bytes()
    with pytest.warns(ImportWarning, match=r"gate\.csv: 1 lines are no events \(line 12\)"):
        store = imported(path)
    assert store.read("select count(*) from events") == [(1000,)]
    store.close()
    assert path.read_bytes() == before
    record(path, 200, append=True)
    assert path.read_bytes().startswith(before)


@pytest.mark.parametrize(
    ("name", "value"),
    [("object", "7.0"), ("time", "nan"), ("x0", "inf"), ("area", "many"), ("event", "arrive"), ("frame", "")],
)
def test_one_edited_value_costs_that_row_alone(tmp_path: Path, name: str, value: str) -> None:
    path = tmp_path / "gate.csv"
    rows = [asdict(Event("enter", number, 0, 0.0, 0.0, 0.0, 9.0, 9.0, 81, 0.0, 81)) for number in (1, 2, 3)]
    written = EventTable(path)
    for row in rows:
        written.add(row)
    written.close()
    lines = [line.split(",") for line in path.read_text().splitlines()]
    lines[2][HEADER.index(name)] = value
    path.write_text("".join(",".join(line) + "\n" for line in lines))
    with pytest.warns(ImportWarning, match=r"line 3"):
        store = imported(path)
    assert store.read("select object from events order by seq") == [(1,), (3,)]
    store.close()


def test_a_zone_is_no_formula_in_a_table(tmp_path: Path) -> None:
    path = tmp_path / "gate.csv"
    names = ["@SUM(1+9)*cmd", "=1+1", "-1", "+1", "door", "'quoted"]
    written = EventTable(path)
    for zone in names:
        written.add(asdict(Event("cross", 1, 0, 0.0, -1.0, 0.0, 9.0, 9.0, 81, 0.0, 81, zone=zone)))
    written.close()
    with path.open(newline="") as file:
        cells = [row["zone"] for row in csv.DictReader(file)]
    assert cells == ["'@SUM(1+9)*cmd", "'=1+1", "'-1", "'+1", "door", "'quoted"]
    assert [row["zone"] for row in read_events(path)] == names
    assert [event_of(row).x0 for row in read_events(path)] == [-1.0] * 6, "numbers stay numbers"


@pytest.mark.parametrize("content", [b"", b"["])
def test_a_table_that_was_just_begun_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "events.json"
    path.write_bytes(content)
    record(path, 3, append=True)
    assert ids(path) == [3, 3]


@pytest.mark.parametrize("content", ["name,age\nme,7\n", '{"a": 1}', '[\n{"a": 1}\n]'])
@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_another_file_is_left_as_it_is(tmp_path: Path, content: str, suffix: str) -> None:
    path = tmp_path / f"mine{suffix}"
    path.write_text(content)
    with pytest.raises(SinkError):
        record(path, 1, append=True)
    assert path.read_text() == content


def test_ids_go_on_after_the_largest_one(tmp_path: Path) -> None:
    """After 65,535 comes 1; objects that stay long get their event after later ones."""
    for number, (given, last) in enumerate(
        (([65533, 65535, 65534], 65535), ([65534, 65535, 1, 3, 2], 3), ([7, 6], 7))
    ):
        rows = [asdict(Event("enter", each, 0, 0.0, 0.0, 0.0, 9.0, 9.0, 81, 0.0, 81)) for each in given]
        store = store_of(tmp_path / f"{number}.db", rows)
        assert store.last_object == last
        store.close()


def test_a_row_of_a_table_is_the_event_that_was_written(tmp_path: Path) -> None:
    event = Event(
        "loiter", 3, 40, 1.6, 1.5, 2.0, 9.0, 9.0, 81, 0.5, 90, "cat", 0.75, "door", "", "2026", "gate"
    )
    for name in ("events.csv", "events.json"):
        table = EventTable(tmp_path / name)
        table.add(asdict(event))
        table.close()
        assert [event_of(row) for row in read_events(tmp_path / name)] == [event]
