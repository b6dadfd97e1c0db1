"""The store of a camera: numbers are given once, and nothing is lost to kills, full disks and clocks."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from segue.errors import SinkError
from segue.events.store import store as module
from segue.events.store.file import StoreFile
from segue.events.store.schema import MIGRATIONS
from segue.events.store.store import EventStore, source_key
from segue.events.table import Event, Kind


def event(kind: Kind, number: int, zone: str = "", label: str | None = None, at: str = "") -> Event:
    return Event(kind, number, 0, 0.5, 0.0, 1.0, 9.0, 9.5, 81, 0.25, 81, label, zone=zone, at=at)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    made = begun(tmp_path)
    yield made
    made.close()


def begun(folder: Path) -> EventStore:
    store = EventStore.open(folder / "gate.db")
    store.begin_run("gate")
    store.begin_part("", "gate.csv")
    return store


def put(store: EventStore, *events: Event) -> list[int]:
    recorded = [store.record(each) for each in events]
    for each in recorded:
        store.put(each)
    return [each.visit for each in recorded]


def test_a_store_is_for_its_owner_and_has_a_version(store: EventStore, tmp_path: Path) -> None:
    store.flush()
    assert stat.S_IMODE((tmp_path / "gate.db").stat().st_mode) == 0o600
    with sqlite3.connect(tmp_path / "gate.db") as base:
        newest = max(each.version for each in MIGRATIONS.values())
        assert base.execute("pragma user_version").fetchone() == (newest,)
        assert base.execute("pragma journal_mode").fetchone() == ("wal",)
    base.close()


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    EventStore.open(tmp_path / "gate.db").close()
    with sqlite3.connect(tmp_path / "gate.db") as base:
        base.execute("pragma user_version = 999")
    base.close()
    with pytest.raises(SinkError, match="newer segue"):
        EventStore.open(tmp_path / "gate.db")


def test_a_visit_has_the_number_of_its_first_event_and_all_that_follow(store: EventStore) -> None:
    visits = put(
        store,
        event("enter", 3),
        event("enter", 4, label="car"),
        event("zone-enter", 3, "door", "person"),
        event("leave", 3, label="person"),
        event("enter", 3),
        event("offline", 0),
        event("online", 0),
    )
    assert visits == [1, 2, 1, 1, 5, 6, 6]
    assert {*store.present()} == {3, 4}
    store.flush()
    rows = store.read("select id, object, label, zones, kinds, ended from visits")
    assert rows == [
        (1, 3, "person", ";door;", ";enter;zone-enter;leave;", 4),
        (2, 4, "car", ";", ";enter;", None),
        (5, 3, None, ";", ";enter;", None),
        (6, 0, None, ";", ";offline;online;", 7),
    ]


def test_events_are_the_same_from_memory_and_from_the_file(store: EventStore) -> None:
    put(store, event("enter", 3, "a;b", "car", "2026-12-01T10:00:00.000+01:00"), event("leave", 3))
    before = store.after(0)
    store.flush()
    put(store, event("enter", 4))
    assert store.after(0)[:2] == before
    assert [each.seq for each in store.after(0, 2)] == [1, 2]
    assert [each.seq for each in store.after(1)] == [2, 3]
    assert store.find(3) == store.after(2)[0]
    assert store.find(9) is None
    assert [each.event.event for each in store.events_of(1)] == ["enter", "leave"]
    assert before[1].earlier == {"car"}


def test_numbers_go_on_after_a_restart_and_are_given_once(tmp_path: Path) -> None:
    store = begun(tmp_path)
    put(store, event("enter", 3))
    store.flush()
    lost = store.record(event("enter", 4))
    assert lost.seq == 2
    store.close()
    store = begun(tmp_path)
    assert put(store, event("leave", 3)) == [1], "its visit goes on"
    store.reserve(90)
    assert store.record(event("enter", 5)).seq == 91
    store.close()


@pytest.mark.parametrize("writes", range(1, 7))
def test_a_kill_between_two_writes_leaves_whole_transactions(tmp_path: Path, writes: int) -> None:
    """A process ends at a statement; the next one finds all events of before, with visits and counts."""
    program = textwrap.dedent(
        f"""
        import os
        from pathlib import Path
        from segue.events.store import store as module
        from tests.events.test_store import begun, event, put
        store = begun(Path({str(tmp_path)!r}))
        put(store, event("enter", 1))
        store.flush()
        insert, left = module.insert_event, [{writes}]
        def killed(base, *arguments):
            left[0] -= 1
            if not left[0]:
                os._exit(9)
            insert(base, *arguments)
        module.insert_event = killed
        for number in range(2, 8):
            put(store, event("enter", number), event("leave", number))
            store.flush()
        """
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 9
    store = begun(tmp_path)
    [(events,)] = store.read("select count(*) from events")
    [(visits,)] = store.read("select count(*) from visits")
    [(counted,)] = store.read("select sum(number) from counts")
    assert events == counted == 1 + 2 * ((writes - 1) // 2)
    assert visits == 1 + (writes - 1) // 2
    assert {*store.present()} == {1}
    store.close()


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(_: StoreFile) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(StoreFile, "transaction", refuse)
        yield


def test_events_wait_for_a_full_disk_while_receivers_get_them(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, event("enter", 1))
    store.flush()
    with full_disk(monkeypatch):
        put(store, event("enter", 2), event("leave", 1))
        with pytest.raises(SinkError, match="the disk is full"):
            store.flush()
        assert "the disk is full" in store.problem
        assert [each.event.object for each in store.after(0)] == [1, 2, 1]
        assert store.num_unsaved == 2
        with pytest.raises(SinkError):
            store.mark([1], "kept", True)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    store.flush()
    assert (store.num_unsaved, store.problem) == (0, "")
    assert store.read("select seq, ended from events join visits on visits.id = visit order by seq") == [
        *((1, 3), (2, None), (3, 3)),
    ]


def test_events_waiting_at_the_end_of_a_run_are_written_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    store = begun(tmp_path)
    store.flush()
    with full_disk(monkeypatch):
        put(store, event("enter", 1))
        store.end_run()
        assert store.close() == 1
    store = begun(tmp_path)
    put(store, event("leave", 1))
    store.flush()
    assert store.read("select kind from events order by seq") == [("enter",), ("leave",)]
    store.close()


def test_events_of_a_run_that_could_not_open_the_file_belong_to_its_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    store = begun(tmp_path)
    put(store, event("enter", 1), event("leave", 1))
    store.note_written("", 200, 2)
    store.close()
    other = sqlite3.connect(tmp_path / "gate.db", isolation_level=None)
    other.execute("begin exclusive")
    store = begun(tmp_path)
    assert store.problem
    put(store, event("enter", 2))
    store.set_media("", "00003-enter-2.jpg", "complete", 10)
    other.execute("rollback")
    other.close()
    store.flush()
    assert store.read("select position, written from parts") == [(200, 2)]
    assert len(store.of_part("")) == store.read("select count(*) from events")[0][0] == 3
    assert len(store.read("select 1 from media join parts on parts.id = media.part")) == 1
    store.close()


def test_a_camera_that_was_lost_when_the_process_ended_is_lost_until_somebody_says_else(
    tmp_path: Path,
) -> None:
    store = begun(tmp_path)
    lost = event("offline", 0)
    put(store, lost)
    store.close()
    store = begun(tmp_path)
    assert store.outage == lost
    put(store, event("online", 0))
    store.flush()
    assert store.outage is None
    assert store.read("select count(*) from visits where ended is null") == [(0,)]
    store.close()


def test_a_run_that_begins_anew_empties_the_store_also_while_the_page_has_it_open(tmp_path: Path) -> None:
    store = begun(tmp_path)
    put(store, event("enter", 1))
    store.flush()
    EventStore.remove(tmp_path / "gate.db")
    assert store.read("select count(*) from events") == [(0,)]
    store.begin_part("", "gate.csv")
    assert put(store, event("enter", 1)) == [1]
    store.close()
    EventStore.remove(tmp_path / "gate.db")
    assert [*tmp_path.iterdir()] == []


def test_another_password_is_the_same_source() -> None:
    assert source_key("rtsp://me:old@camera/1") == source_key("rtsp://you:new@camera/1")
    assert source_key("rtsp://camera/1") != source_key("rtsp://camera/2")
    assert source_key("0") != source_key("1")
