"""A camera in any order of what happens to it, against a model that knows what must be there.

Frames with objects that come, stay, leave and change their class; restarts and kills between two writes; a
clock that is set; a disk that is full; receivers that are away or refuse; marks of two people; retention;
other zones, another source, a camera of another name.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections import Counter, defaultdict
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from segue.entries.events import EventSettings
from segue.entries.formats import SinkOptions
from segue.errors import SinkError
from segue.events.archive import EventArchive
from segue.events.monitor import EventMonitor
from segue.events.publisher import EventFiles, EventPublisher
from segue.events.rules import EventRules
from segue.events.store.clock import StoreClock
from segue.events.store.file import StoreFile
from segue.events.store.importing import import_archive
from segue.events.store.queues import StoreQueue, begin_receivers
from segue.events.store.records import CLASS
from segue.events.store.retention import Retention, delete_expired
from segue.events.store.store import EventStore, source_key
from segue.events.table import read_events
from segue.events.targets import NotifyRule, NotifyTarget
from segue.events.zones import Zone
from segue.types import Frame, ObjectInfo, Segmentation
from segue_watch.web.history import visits_of
from segue_watch.web.query import Query

ZONES = {name: Zone.parse(f"{name}=0%,0% 100%,0% 100%,100% 0%,100%") for name in ("hall", "a,b")}
TARGETS = {
    "all": NotifyTarget("http://127.0.0.1:9/all"),
    "persons": NotifyTarget.parse("http://127.0.0.1:9/persons only=person"),
    "entries": NotifyTarget.parse("http://127.0.0.1:9/entries event=enter,zone-enter"),
    "rules": NotifyTarget(
        "http://127.0.0.1:9/rules",
        (
            NotifyRule(only=("person",), zone=("hall",), when=("armed",)),
            NotifyRule(only=("car",), event=("enter", "leave")),
        ),
    ),
    "visits": NotifyTarget.parse("http://127.0.0.1:9/visits only=person per=visit when=armed"),
}
CLASSES = ("person", "car", None)
USERS = st.sampled_from(["anna", "bert"])
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC).timestamp()
DAY = 86400.0
BOXES = [(4 + 30 * (n % 3), 4 + 20 * (n // 3), 24 + 30 * (n % 3), 20 + 20 * (n // 3)) for n in range(6)]


class CameraMachine(RuleBasedStateMachine):
    """A camera, its page and its receivers, and what they must have."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.name, self.source = "gate", "rtsp://camera/one"
        self.wall, self.elapsed, self.frame_index = NOON, 1000.0, 0
        self.is_full, self.armed = False, True
        self.zones: tuple[Zone, ...] = (ZONES["hall"],)
        self.away: set[str] = set()
        self.there: dict[int, str | None] = {}  # objects in front of the camera, and their classes
        self.last_id = 0
        self.told: list[tuple[str, int, str]] = []  # what the interface was told, in all runs
        self.got: dict[str, list[tuple[int, str, str]]] = defaultdict(list)  # of each receiver
        self.sent: dict[str, list[int]] = defaultdict(list)
        self.once: dict[str, Counter[int]] = defaultdict(Counter)
        self.refused: dict[str, set[int]] = defaultdict(set)
        self.marks: dict[int, dict[str, bool]] = defaultdict(lambda: {"reviewed": False, "kept": False})
        self.files_of_kept: set[str] = set()
        self.killed = False
        self.stack.enter_context(patch.object(StoreFile, "transaction", self._transaction_if_room()))
        self.stack.enter_context(patch("segue.events.store.store.RETRY_SECONDS", 0.0))
        self.stack.enter_context(patch("segue.events.publisher.RETRY_SECONDS", 0.0))
        self.rows_of_before = b""

    def _transaction_if_room(self) -> Any:
        transaction, machine = StoreFile.transaction, self

        @contextmanager
        def change(file: StoreFile) -> Any:
            if machine.is_full:
                raise sqlite3.OperationalError("database or disk is full")
            with transaction(file) as base:
                yield base

        return change

    # A run

    @property
    def archive(self) -> EventArchive:
        return EventArchive(self.folder / f"{self.name}.csv", self.folder / self.name)

    @initialize()
    def starts(self) -> None:
        self.begin()
        self._frame()

    def begin(self) -> None:
        self.store = EventStore.open(self.archive.store)
        self.store.clock = StoreClock(
            self.store.settings() if not self.is_full else None, lambda: self.wall, lambda: self.elapsed
        )
        import_archive(self.store, self.archive)
        key = source_key(self.source)
        self.store.begin_run(key)
        begin_receivers(self.store, [*TARGETS.values()])
        with suppress(SinkError):
            self.store.flush()
        self.queues = {name: StoreQueue(self.store, each.key, each) for name, each in TARGETS.items()}
        present = {
            number: [each.event for each in events if each.is_event]
            for number, events in self.store.present().items()
        }
        self.monitor = EventMonitor(
            self.zones,
            EventRules(min_frames=1, min_small_frames=1),
            filters=[classes for each in TARGETS.values() for classes in each.class_lists],
            present=present,
            source=self.name,
            at=lambda _: datetime.fromtimestamp(self.wall, UTC),
        )
        self.publisher = EventPublisher(self.store, self.zones, self.name, tell=self._tell)
        settings = EventSettings(self.zones, publisher=self.publisher, snapshots=self.folder / self.name)
        options = SinkOptions(live=True, append=True, source=self.name, events=settings)
        self.files = EventFiles(self.archive.table, options, self.publisher)

    def _tell(self, event: Any) -> None:
        self.told.append((event.event, event.object, event.zone))

    def _frame(self) -> None:
        self.frame_index += 1
        self.wall, self.elapsed = self.wall + 0.5, self.elapsed + 0.5
        image, mask = np.full((60, 96, 3), 90, np.uint8), np.zeros((60, 96), np.uint16)
        for number in self.there:
            x0, y0, x1, y1 = BOXES[number % 6]
            mask[y0:y1, x0:x1] = number
        objects = tuple(ObjectInfo(number, label) for number, label in self.there.items())
        frame = Frame(self.frame_index, self.frame_index / 2, image)
        result = Segmentation(self.frame_index, self.frame_index / 2, mask, objects)
        result, events = self.monitor.update(frame, result)
        self.files.write(frame, result)
        self.files.events(events, self.monitor.objects)

    # What happens

    @rule(label=st.sampled_from(CLASSES), frames=st.integers(1, 4))
    def comes(self, label: str | None, frames: int) -> None:
        """An object comes."""
        if len(self.there) < 5:
            self.last_id += 1
            while any(number % 6 == self.last_id % 6 for number in self.there):
                self.last_id += 1
            self.there[self.last_id] = label
        self.passes(frames)

    @rule(frames=st.integers(1, 5))
    def passes(self, frames: int) -> None:
        """Time passes."""
        for _ in range(frames):
            self._frame()

    @rule(data=st.data(), label=st.sampled_from(CLASSES))
    def changes_class(self, data: st.DataObject, label: str | None) -> None:
        if self.there:
            self.there[data.draw(st.sampled_from(sorted(self.there)))] = label
        self.passes(1)

    @rule(data=st.data())
    def goes(self, data: st.DataObject) -> None:
        if self.there:
            del self.there[data.draw(st.sampled_from(sorted(self.there)))]
        self.passes(1)

    @rule(name=st.sampled_from(["hall", "a,b", "none"]))
    def zones_change(self, name: str) -> None:
        self.zones = () if name == "none" else (ZONES[name],)
        rules = EventRules(min_frames=1, min_small_frames=1)
        events = self.monitor.change(self.zones, rules)
        self.publisher.change(self.zones)
        self.files.events(events, self.monitor.objects)

    @rule(hours=st.sampled_from([-1.0, 1.0, 87_600.0, -24.0]))
    def clock_is_set(self, hours: float) -> None:
        self.wall += 3600 * hours

    @rule(full=st.booleans())
    def disk(self, full: bool) -> None:
        self.is_full = full

    @rule(receiver=st.sampled_from(sorted(TARGETS)))
    def receiver_goes_or_is_back(self, receiver: str) -> None:
        self.away ^= {receiver}

    @rule(receiver=st.sampled_from(sorted(TARGETS)), refuses=st.booleans(), most=st.integers(1, 6))
    def delivers(self, receiver: str, refuses: bool, most: int) -> None:
        """A receiver is asked a few times; it may refuse the first."""
        self._deliver(receiver, most, refuses=refuses)

    def _deliver(self, target: str, most: int, *, refuses: bool = False) -> None:
        queue = self.queues[target]
        for _ in range(most if target not in self.away else 0):
            waiting = queue.first()
            if waiting is None:
                return
            if refuses and not waiting.refused:
                refuses = False
                self.refused[target].add(waiting.number)
                queue.postpone(waiting)
                continue
            self.sent[target].append(waiting.number)
            queue.remove(waiting)

    def _end(self, *, killed: bool) -> None:
        if not killed:
            self.is_full = False
            self.files.events(self.monitor.finish(), {})
            self.files.close()
            self.store.end_run()
        else:
            for each in self.files._files:
                with suppress(Exception):
                    each.abort()
            if self.is_full:
                self.killed_unsaved()
        for queue in self.queues.values():
            queue.close()
        self.store.close()

    def killed_unsaved(self) -> None:
        """What waited for room is lost with the process."""
        store = self.store
        lost = {each.seq for each in store._unsaved}
        with store._memory:
            store._pending.clear()
            store._unsaved.clear()
            store._cursors, store._latest = {}, {}
        self.is_full = False
        self.lost = getattr(self, "lost", 0) + len(lost)

    @rule(killed=st.booleans(), other_source=st.booleans())
    def restarts(self, killed: bool, other_source: bool) -> None:
        """The process ends, with its state or without, and begins again."""
        self._end(killed=killed)
        if other_source:
            self.source = "rtsp://camera/two" if self.source.endswith("one") else "rtsp://camera/one"
        self.there = {} if killed else self.there
        self.begin()
        self._forget_what_comes_again()
        self._frame()

    def _forget_what_comes_again(self) -> None:
        """What a receiver got while the disk was full comes again after a kill, with its id."""
        for name, target in TARGETS.items():
            queue, everything = self.queues[name], self.store.after(0, 10_000)
            visits = defaultdict(list)
            for each in everything:
                visits[each.visit].append(each)
            pending = set(queue._deferred)
            for each in everything:
                if each.seq > queue._delivered:
                    due = target.due(each, lambda one, visits=visits: visits[one.visit])
                    pending |= {one.seq for one in due if one.seq > queue._within}
            there = {each.seq for each in everything}
            self.sent[name] = [n for n in self.sent[name] if n in there and n not in pending]
            self.refused[name] = {n for n in self.refused[name] if n in there}

    @rule()
    @precondition(lambda self: not self.is_full)
    def killed_between_store_and_table(self) -> None:
        """The store has events that the table lacks."""
        if len(self.there) < 5:
            self.comes("person", 1)
        with patch.object(type(self.files._table), "flush", lambda _: None), suppress(Exception):
            self.passes(2)
        table = self.files._table
        table._waiting.clear()
        self._end(killed=True)
        self.there = {}
        self.begin()
        self._frame()

    @rule(mark=st.sampled_from(["reviewed", "kept"]), value=st.booleans(), user=USERS, data=st.data())
    @precondition(lambda self: not self.is_full)
    def marks_visits(self, mark: Any, value: bool, user: str, data: st.DataObject) -> None:
        visits = [int(each["place"].split("/")[1]) for each in self._visits()]
        if visits:
            chosen = data.draw(st.lists(st.sampled_from(visits), min_size=1, max_size=3, unique=True))
            changed = self.store.mark(chosen, mark, value, user)
            assert {*changed} == {*chosen}
            for visit in chosen:
                self.marks[visit][mark] = value

    @rule(armed=st.booleans())
    @precondition(lambda self: not self.is_full)
    def arms(self, armed: bool) -> None:
        self.store.arm(armed)
        self.armed = armed

    @rule(days=st.sampled_from([0.0001, 1.0]), size=st.sampled_from([None, 3000]))
    @precondition(lambda self: not self.is_full)
    def deletes(self, days: float, size: int | None) -> None:
        delete_expired(self.store, self.archive, Retention(days * DAY, size))

    @rule()
    @precondition(lambda self: not self.is_full)
    def is_renamed(self) -> None:
        """A person moves all files of a camera."""
        self._end(killed=False)
        previous, self.name = self.archive, "yard" if self.name == "gate" else "gate"
        for old, new in (
            (previous.table, self.archive.table),
            (previous.store, self.archive.store),
            (previous.images, self.archive.images),
        ):
            if old is not None and old.exists():
                assert new is not None
                old.rename(new)
        self.begin()
        self._frame()

    # What must hold

    def _visits(self) -> list[dict[str, Any]]:
        return visits_of({self.name: self.store}, Query(limit=200)).events

    def _events(self) -> list[tuple[int, int, str, int, str]]:
        return self.store.read("select seq, visit, kind, object, zone from events order by seq")

    @invariant()
    def the_table_is_the_store(self) -> None:
        if self.is_full or not hasattr(self, "store"):
            return
        self._settle()
        rows = [(row["event"], int(row["object"]), row["zone"]) for row in read_events(self.archive.table)]
        stored = [(kind, number, zone) for _, _, kind, number, zone in self._events() if kind != CLASS]
        assert rows == stored
        data = self.archive.table.read_bytes()
        assert data.startswith(self.rows_of_before), "rows of before stay byte for byte"
        self.rows_of_before = data

    @invariant()
    def each_visit_is_whole(self) -> None:
        if self.is_full or not hasattr(self, "store"):
            return
        visits: dict[int, list[str]] = defaultdict(list)
        for _, visit, kind, _, _ in self._events():
            visits[visit].append(kind)
        for visit, kinds in visits.items():
            assert kinds[0] == "enter", visit
            assert sum(kind == "enter" for kind in kinds) == 1
            assert sum(kind in ("leave", "end") for kind in kinds) <= 1
            assert kinds[-1] in ("leave", "end") or not {"leave", "end"} & {*kinds}
        open_visits = {visit for visit, kinds in visits.items() if not {"leave", "end"} & {*kinds}}
        assert open_visits == {
            number for (number,) in self.store.read("select id from visits where ended is null")
        }
        assert set(self.store.present()) <= {*self.there, *self.monitor.objects}

    @invariant()
    def it_is_armed_as_somebody_has_said(self) -> None:
        if hasattr(self, "store"):
            assert self.store.armed == self.armed

    @invariant()
    def people_get_one_message_of_a_visit_and_none_of_what_happened_unarmed(self) -> None:
        if self.is_full or not hasattr(self, "store"):
            return
        events = {each.seq: each for each in self.store.after(0, 10_000)}
        visits = [events[seq].visit for seq in self.sent["visits"]]
        assert len({*visits}) == len(visits)
        assert all(events[seq].armed for seq in self.sent["visits"])

    @invariant()
    def marks_are_those_that_were_set(self) -> None:
        if self.is_full or not hasattr(self, "store"):
            return
        for visit in self._visits():
            number = int(visit["place"].split("/")[1])
            assert {mark: visit[mark] for mark in ("reviewed", "kept")} == self.marks[number]

    @invariant()
    def what_is_kept_is_there(self) -> None:
        if self.is_full or not hasattr(self, "store"):
            return
        for part, name, state in self.store.read(
            "select part, name, state from media where state = 'complete'"
        ):
            path = self.archive.part("").file(name)
            assert path is not None
            assert path.exists(), (part, name, state)

    @invariant()
    def each_receiver_gets_what_its_filter_admits_once_and_in_order(self) -> None:
        if self.is_full or not hasattr(self, "store"):
            return
        by_visit: dict[int, list[Any]] = defaultdict(list)
        everything = self.store.after(0, 10_000)
        for each in everything:
            by_visit[each.visit].append(each)
        for name, target in TARGETS.items():
            due = [
                other.seq
                for each in everything
                for other in target.due(each, lambda each: by_visit[each.visit])
            ]
            assert len({*due}) == len(due)
            sent = self.sent[name]
            assert len({*sent}) == len(sent), "twice"
            assert {*sent} <= {*due}
            straight = [number for number in sent if number not in self.refused[name]]
            expected = [number for number in due if number not in self.refused[name]]
            assert straight == expected[: len(straight)], "in order"
            assert self.queues[name].num_waiting == len(due) - len(sent)

    def _settle(self) -> None:
        with suppress(SinkError):
            self.files._flush()
            self.store.flush()

    def teardown(self) -> None:
        try:
            if hasattr(self, "store"):
                self.is_full = False
                self.away = set()
                self._settle()
                for name in TARGETS:
                    self._deliver(name, 10_000)
                    assert self.queues[name].num_waiting == 0
                self._end(killed=False)
        finally:
            self.stack.close()


def run(steps: int, examples: int) -> None:
    limits = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[*HealthCheck],
    )
    run_state_machine_as_test(CameraMachine, settings=limits)  # type: ignore[no-untyped-call]


@pytest.mark.filterwarnings("ignore")
def test_a_camera_keeps_all_that_it_must_in_any_order_of_what_happens() -> None:
    run(steps=15, examples=10)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_camera_keeps_all_that_it_must_in_long_orders_of_what_happens() -> None:
    """SEGUE_FUZZ_EXAMPLES sets how many."""
    run(steps=60, examples=int(os.environ.get("SEGUE_FUZZ_EXAMPLES", "60")))
