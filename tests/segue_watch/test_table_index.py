"""Tables of events are read once; what has come since is found by what stood there before."""

from __future__ import annotations

import errno
import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from segue.errors import SourceError
from segue.events.retention import note_deleted
from segue.events.table import EventTable, read_events
from segue_watch import table_index
from segue_watch.table_index import SPAN, Kind, TableIndex, moment_of, span_of
from tests.segue_watch.test_history import NOON, event, table


def every(_: object) -> bool:
    return True


def numbers(index: TableIndex) -> list[int]:
    return index.numbers(every, 0, 10**9)


def objects(index: TableIndex) -> list[int]:
    """The objects of all rows, by quarters of an hour."""
    rows = [row for number in numbers(index) for _, row in index.rows(number)]
    places = sorted({span_of(moment_of(row)) for row in rows})
    assert numbers(index) == places
    totals = [each.total() for each in index.counts(every, [place * SPAN for place in places])]
    assert totals == [sum(span_of(moment_of(row)) == place for row in rows) for place in places]
    return [int(row["object"]) for row in rows]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The lines that were read of tables."""
    lines = list[bytes]()
    parse = table_index._csv_values

    def counted(line: bytes) -> Any:
        lines.append(line)
        return parse(line)

    monkeypatch.setattr(table_index, "_csv_values", counted)
    return lines


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_rows_are_found_while_the_table_is_written(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_index, "_BLOCK", 50)
    path = tmp_path / f"gate{suffix}"
    index = TableIndex(path)
    assert objects(index) == []
    written = EventTable(path)
    for number in range(1, 41):
        written.add(event(number, label='car, "red"', minutes=number))
        written.flush()
        assert objects(index) == [*range(1, number + 1)]
    whole = path.read_bytes()
    half = b',\n{"event": "ent' if suffix == ".json" else b'enter,41,half a row, "'
    path.write_bytes(whole + half)
    assert objects(index) == [*range(1, 41)]
    path.write_bytes(whole)
    written = EventTable(path, append=True)
    written.add(event(41, minutes=41))
    written.close()
    assert objects(index) == [*range(1, 42)]
    path.unlink()
    assert objects(index) == []


def test_only_rows_that_have_come_are_read_again(tmp_path: Path, parsed: list[bytes]) -> None:
    path = table(tmp_path / "gate.csv", [event(number, minutes=number) for number in range(1000)])
    index = TableIndex(path)
    numbers(index)
    assert len(parsed) == 1001
    parsed.clear()
    numbers(index)
    assert parsed == []
    written = EventTable(path, append=True)
    written.add(event(1000, minutes=1000))
    written.flush()
    assert sum(each.total() for each in index.counts(every, [0])) == 1001
    assert len(parsed) == 1
    parsed.clear()
    assert len(index.rows(span_of(NOON.timestamp()))) == 15
    assert len(parsed) < 20, "a quarter of an hour is read where it stands"


def test_quarters_of_an_hour_without_what_is_asked_for_are_not_read(tmp_path: Path) -> None:
    rows = [event(number, label="dog" if number == 50 else "car", minutes=number) for number in range(100)]
    index = TableIndex(table(tmp_path / "gate.csv", rows))
    dog = span_of((NOON + timedelta(minutes=50)).timestamp())

    def is_dog(kind: Kind) -> bool:
        return kind.label == "dog"

    assert index.numbers(is_dog, 0, 10**9) == [dog]
    assert index.numbers(is_dog, dog + 1, 10**9) == index.numbers(is_dog, 0, dog - 1) == []
    assert index.counts(is_dog, [0, dog * SPAN]) == [{}, {("enter", "", "dog"): 1}]


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_a_table_that_is_another_one_is_read_anew(tmp_path: Path, suffix: str) -> None:
    path = table(tmp_path / f"gate{suffix}", [event(number, minutes=number) for number in range(1, 31)])
    index = TableIndex(path)
    assert objects(index) == [*range(1, 31)]
    note_deleted(path, {event(number)["snapshot"] for number in range(1, 31)})
    assert objects(index) == [*range(1, 31)]
    assert {row["snapshot"] for _, row in index.rows(span_of(NOON.timestamp()))} == {"deleted"}
    table(path, [event(number, minutes=number) for number in range(50, 95)])  # as --overwrite does
    assert objects(index) == [*range(50, 95)]


def test_a_table_that_cannot_be_read_is_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = TableIndex(table(tmp_path / "gate.csv", [event(1)]))
    [number] = numbers(index)

    def refuse(path: Path, *_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        patch.setattr(table_index.os, "fstat", refuse)
        with pytest.raises(SourceError, match=r"gate\.csv: cannot be read .Too many open files"):
            index.rows(number)
    assert objects(index) == [1]


def test_lines_that_are_no_events_are_left_out(tmp_path: Path) -> None:
    path = table(tmp_path / "gate.csv", [event(1)])
    with path.open("ab") as stream:
        stream.write(
            b'enter,2,3\r\n\r\n"never closed\r\n' + b"\xff" * 9 + b"\r\n" + b'"' + b"x" * 200_000 + b"\r\n"
        )
    EventTable(tmp_path / "other.csv").close()
    with path.open("ab") as stream:
        stream.write((tmp_path / "other.csv").read_bytes())
    written = path.read_bytes()
    row = next(line for line in written.split(b"\r\n") if line.startswith(b"enter,1"))
    path.write_bytes(written + row.replace(b"enter,1", b"enter,3") + b"\r\n")
    assert objects(TableIndex(path)) == [1, 3]
    other = tmp_path / "gate.json"
    other.write_text('[\n{"event": 1},\n7,\n' + json.dumps(event(4)))
    assert objects(TableIndex(other)) == [4]


def test_the_index_is_read_while_the_table_grows_and_is_marked(tmp_path: Path) -> None:
    """A camera writes and marks rows while several people look."""
    path, failures = tmp_path / "gate.csv", list[BaseException]()
    written = EventTable(path)
    index, done = TableIndex(path), threading.Event()

    def look() -> None:
        last = 0
        try:
            while not done.is_set():
                [total] = (each.total() for each in index.counts(every, [0]))
                assert total >= last, "no row is lost"
                last = total
                rows = index.rows(span_of((NOON + timedelta(minutes=20)).timestamp()))
                assert len(rows) <= 15
        except BaseException as error:
            failures.append(error)

    people = [threading.Thread(target=look) for _ in range(3)]
    for each in people:
        each.start()
    for number in range(120):
        written.add(event(number, minutes=number))
        written.flush()
        if number % 10 == 9:
            written.note_deleted({event(each)["snapshot"] for each in range(number - 9, number)})
    done.set()
    for each in people:
        each.join(60)
    written.close()
    assert not failures, failures
    assert objects(index) == [int(row["object"]) for row in read_events(path)] == [*range(120)]
