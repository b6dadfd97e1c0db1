"""What versions before the store have left is taken in at the first start, and stays as it is."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from segue.events.archive import EventArchive, pending_path
from segue.events.deliveries import Notifiers
from segue.events.store.importing import import_archive, unread_parts
from segue.events.store.notices import RetentionWarning
from segue.events.store.queues import with_id
from segue.events.store.retention import Retention, delete_expired
from segue.events.store.store import EventStore
from segue.events.table import Event, EventTable, Kind
from segue.events.targets import NotifyTarget
from tests.events.stored import imported
from tests.events.test_notify import Listener
from tests.ports import free_port

AT = "2026-11-30T10:00:{:02d}.000+01:00"


def event(kind: Kind, number: int, second: int, name: str = "", clip: str = "") -> Event:
    return Event(kind, number, 0, 0.0, 0.0, 0.0, 9.0, 9.0, 81, 0.0, 81, at=AT.format(second), source="gate",
                 snapshot=name, clip=clip)  # fmt: skip


EVENTS = [
    event("enter", 1, 1, "00001-enter-1.jpg", "00001-enter-1.mp4"),
    event("enter", 2, 2, "deleted", "lost"),
    event("leave", 1, 3, "00003-leave-1.jpg", "00001-enter-1.mp4"),
    event("enter", 3, 4, "00004-enter-3.jpg", "00004-enter-3.mp4"),
]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of before with its images, of which one is gone and a clip is not complete."""
    written = EventTable(tmp_path / "gate.csv")
    for each in EVENTS:
        written.add(asdict(each))
    written.close()
    (tmp_path / "gate").mkdir()
    for name in ("00001-enter-1.jpg", "00001-enter-1.mp4", "00004-enter-3.jpg"):
        (tmp_path / "gate" / name).write_bytes(bytes(100))
    pending_path(tmp_path / "gate" / "00004-enter-3.mp4").touch()
    (tmp_path / "gate" / ".deleted").write_text("1796000000\n00003-leave-1.jpg")
    return tmp_path / "gate.csv"


def test_events_visits_and_files_are_taken_in_once(table: Path) -> None:
    before = table.read_bytes()
    for _ in range(2):
        store = imported(table, table.with_suffix(""))
        assert store.read("select kind, object, visit from events order by seq") == [
            *(("enter", 1, 1), ("enter", 2, 2), ("leave", 1, 1), ("enter", 3, 4)),
        ]
        assert {*store.present()} == {2, 3}
        assert store.read("select name, state from media order by name") == [
            ("00001-enter-1.jpg", "complete"),
            ("00001-enter-1.mp4", "complete"),
            ("00003-leave-1.jpg", "deleted"),
            ("00004-enter-3.jpg", "complete"),
            ("00004-enter-3.mp4", "pending"),
        ]
        store.close()
    assert table.read_bytes() == before
    assert not (table.with_suffix("") / ".deleted").exists()


def test_marks_of_images_become_those_of_their_visits(table: Path) -> None:
    marks = {
        "00001-enter-1.jpg": {"kept": True, "clip": "00001-enter-1.mp4", "note": "the postman"},
        "00004-enter-3.jpg": {"reviewed": True, "by": "anna"},
    }
    (table.with_suffix("") / "marks.json").write_text(json.dumps(marks))
    store = imported(table, table.with_suffix(""))
    assert store.read("select id, reviewed, kept, reviewer, note from visits order by id") == [
        (1, 0, 1, "", "the postman"),
        (2, 0, 0, "", ""),
        (4, 1, 0, "anna", ""),
    ]
    store.close()


DAMAGED = {
    "empty": b"",
    "list": b"[]",
    "cut off": b'{"00001-enter-1.jpg": {"kept": tr',
    "other name": b'{"mine.jpg": {"kept": true}}',
    "no table": b'{"00001-enter-1.jpg": 2}',
    "text for a truth": b'{"00001-enter-1.jpg": {"kept": "yes"}}',
    "no text": b"\xff\xfe\0",
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_marks_that_cannot_be_read_keep_everything_until_they_are_mended(table: Path, data: bytes) -> None:
    path, archive = table.with_suffix("") / "marks.json", EventArchive(table, table.with_suffix(""))
    path.write_bytes(data)
    with pytest.warns(RetentionWarning, match=r"marks\.json: cannot be read .*mend or remove the file"):
        store = imported(table, archive.images)
    limits, said = Retention(seconds=1e-9, size=1), dict[str, str]()
    assert delete_expired(store, archive, limits, said.__setitem__) == 0
    assert any("marks.json: cannot be read" in text for text in said.values())
    assert unread_parts(store) == [""]
    assert path.read_bytes() == data
    path.write_text('{"00001-enter-1.jpg": {"kept": true}}')
    assert delete_expired(store, archive, limits, said.__setitem__) == 1
    assert unread_parts(store) == []
    assert not any("marks.json" in text for text in said.values())
    assert store.read("select kept from visits where id = 1") == [(1,)]
    assert sorted(each.name for each in table.with_suffix("").glob("0*")) == [
        *("00001-enter-1.jpg", "00001-enter-1.mp4"),
    ]
    store.close()


def test_a_link_that_leads_nowhere_is_no_file_without_marks(table: Path, tmp_path: Path) -> None:
    (table.with_suffix("") / "marks.json").symlink_to(tmp_path / "not-mounted" / "marks.json")
    with pytest.warns(RetentionWarning):
        store = imported(table, table.with_suffix(""))
    assert unread_parts(store) == [""]
    store.close()


def test_tables_of_parts_and_whole_ones_are_in_the_order_of_their_times(tmp_path: Path) -> None:
    """An object that came in a table and left in a part of a later run has left."""
    part = tmp_path / "gate-20261130T090000Z.csv"
    for path, events in (
        (tmp_path / "gate.csv", [event("enter", 1, 1), event("enter", 2, 3)]),
        (part, [event("leave", 1, 2), event("enter", 1, 4)]),
    ):
        written = EventTable(path)
        for each in events:
            written.add(asdict(each))
        written.close()
    store = imported(tmp_path / "gate.csv")
    rows = store.read("select kind, object, visit from events order by seq")
    assert rows == [("enter", 1, 1), ("leave", 1, 1), ("enter", 2, 3), ("enter", 1, 4)]
    store.close()


@pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")
def test_messages_that_wait_are_sent_to_their_receivers(table: Path) -> None:
    """The file of the first receiver had no key; the others had one."""
    ports = free_port(), free_port()
    first, second = (f"http://127.0.0.1:{port}/events" for port in ports)
    for name, waiting in (
        ("", EVENTS[2:]),
        (f"-{NotifyTarget(second).key}", EVENTS[:1]),
    ):
        path = table.with_name(f".{table.name}.undelivered{name}")
        with closing(sqlite3.connect(path)) as base, base:
            base.execute(
                "create table messages (number integer primary key, id text, body blob, refused int)"
            )
            for each in waiting:
                base.execute("insert into messages (id, body) values ('x', ?)", (with_id(asdict(each)).body,))
    store = imported(table)
    assert [*table.parent.glob(".*undelivered*")] == []
    listeners = [Listener(port) for port in ports]
    notifiers = Notifiers([first, second], store)
    assert notifiers.close(30.0) == 0
    store.close()
    for listener in listeners:
        listener.end()
    assert listeners[0].kinds == ["leave", "enter"]
    assert listeners[1].kinds == ["enter"]


def test_standing_objects_are_imported(table: Path) -> None:
    record = json.dumps({"format": "segue-scene-1", "scenery": {"places": [[0.1, 0.1, 0.2, 0.2]]}})
    hidden = table.with_name(f".{table.name}.scene")
    hidden.write_text(record)
    store = imported(table)
    assert store.scene("whatever source it is now") == record
    assert not hidden.exists()
    store.close()


def test_a_table_is_continued_where_it_ended(table: Path) -> None:
    before = table.read_bytes()
    archive = EventArchive(table, None)
    store = EventStore.open(archive.store)
    import_archive(store, archive)
    assert store.begin_part("", table.name).position == len(before)
    store.close()
