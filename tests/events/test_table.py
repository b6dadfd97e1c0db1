"""Files of events go on after a crash."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from segue.errors import SinkError
from segue.events import EventSink
from segue.events.table import Event, EventTable, event_of, last_object, read_events
from tests.events.test_sink import big


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
    assert last_object([table, table.with_name("none.csv")]) == 2


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_half_an_event_at_the_end_is_removed(table: Path, cut: int) -> None:
    whole = table.read_bytes().rstrip(b"]\r\n")
    table.write_bytes(whole[:-cut])
    assert len([*read_events(table)]) == 1
    record(table, 2, append=True)
    assert ids(table) == [1, 1, 2, 2], "its object has left"


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
    table = tmp_path / "events.csv"
    for given, last in (([65533, 65535, 65534], 65535), ([65534, 65535, 1, 3, 2], 3), ([7, 6], 7)):
        written = EventTable(table)
        for number in given:
            written.add(asdict(Event("enter", number, 0, 0.0, 0.0, 0.0, 9.0, 9.0, 81, 0.0, 81)))
        written.close()
        assert last_object([table]) == last


def test_a_row_of_a_table_is_the_event_that_was_written(tmp_path: Path) -> None:
    event = Event(
        "loiter", 3, 40, 1.6, 1.5, 2.0, 9.0, 9.0, 81, 0.5, 90, "cat", 0.75, "door", "", "2026", "gate"
    )
    for name in ("events.csv", "events.json"):
        table = EventTable(tmp_path / name)
        table.add(asdict(event))
        table.close()
        assert [event_of(row) for row in read_events(tmp_path / name)] == [event]
