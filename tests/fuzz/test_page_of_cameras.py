"""Two people send every change of the page of cameras at the same moment, while events come and go.

What was acknowledged is there afterwards: no change of one person takes back one of the other, none is lost
to a deletion, and none that was refused has happened. Meanwhile ``--keep`` deletes images, a table gets rows
and is marked, and a third person lists all events, answer by answer. ``SEGUE_FUZZ_SECONDS`` sets how long
(default 20), ``SEGUE_FUZZ_SEED`` the changes. A further kind of change is a line of ``KINDS``.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import pytest

from segue.events import retention
from segue.events.marks import MARK_NAMES, Mark, Marks
from segue.events.retention import DELETED, DeletionJournal, Retention, delete_expired, stored
from segue.events.table import Event, EventTable, read_events
from segue.jobs.values import ForegroundJob, Model, VideoSource
from segue_watch.cameras import Camera
from segue_watch.page import CameraPage

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("SEGUE_FUZZ_SECONDS", "20"))
SEED = int(os.environ.get("SEGUE_FUZZ_SEED", "0"))

IMAGE_BYTES = 1000
LIMIT = 60 * IMAGE_BYTES
"""Of all images: an image is deleted a few seconds after its event, unless somebody keeps it."""

MOST_KEPT = 20
"""Events that the two keep at a time, so that others have room."""


class Archive:
    """The table and the images of a camera that goes on.

    Attributes:
        events: images of the events so far whose rows are in the table.
    """

    def __init__(self, folder: Path) -> None:
        self.table_path, self.images = folder / "gate.csv", folder / "gate"
        self.images.mkdir()
        self.events: list[str] = []
        self._table = EventTable(self.table_path)
        self._journal = DeletionJournal(self.images)

    def add(self) -> None:
        """Write an event and its image; several have one moment."""
        number = len(self.events) + 1
        name = f"{number:05d}-enter-{number}.jpg"
        (self.images / name).write_bytes(bytes(IMAGE_BYTES))
        at = datetime.fromtimestamp(time.time() // 2 * 2).astimezone().isoformat(timespec="milliseconds")
        event = Event("enter", number, 0, 0.0, 0, 0, 9, 9, 81, 0.0, 81, at=at, snapshot=name)
        self._table.add(asdict(event))
        self._table.flush()
        self.events.append(name)

    def go_on(self) -> None:
        """Write an event, and now and then what is deleted, in one thread as the sink does."""
        self.add()
        if len(self.events) % 20 == 0:
            self.mark_deleted()

    def mark_deleted(self) -> None:
        """Let the table say what is deleted."""
        names = self._journal.names()
        self._table.note_deleted(names)
        self._journal.remove(names)

    def close(self) -> None:
        self._table.close()


@dataclass
class Request:
    """What a page sends.

    Attributes:
        path, body: as of the request.
        key: what is changed; both people may change one thing.
        value: what it is then.
    """

    path: str
    body: object
    key: object
    value: object


class Kind(Protocol):
    """A kind of change."""

    def draw(self, person: int, rng: random.Random) -> Request | None:
        """A change that a person may make now."""

    def answered(self, request: Request, status: int) -> str:
        """Take how a change was answered; gives what is wrong with the answer, or nothing."""

    def faults(self, changed: dict[object, set[object]]) -> Iterator[str]:
        """What is wrong after both have changed something, by what each thing may be now."""


@dataclass
class MarkChanges:
    """Marks of events: each person has one for herself, and now and then both change the same one."""

    archive: Archive
    expected: dict[tuple[str, Mark], set[object]] = field(default_factory=dict)
    shared: str = ""  # event of which both change the same mark

    def draw(self, person: int, rng: random.Random) -> Request | None:
        events = self.archive.events
        if not events:
            return None
        kept = [image for (image, mark), values in self.expected.items() if mark == "kept" and True in values]
        if len(kept) > MOST_KEPT and rng.random() < 0.7:
            image, mark, value = rng.choice(kept), "kept", False
        else:
            image = events[-min(len(events), rng.randrange(1, 70))]
            mark, value = MARK_NAMES[person if rng.random() < 0.8 else 1 - person], rng.random() < 0.6
        body = {"part": "", "snapshot": image, "clip": "", "mark": mark, "value": value}
        return Request("/marks/gate", body, (image, mark), value)

    def answered(self, request: Request, status: int) -> str:
        if status == 200:
            return ""
        image, _ = request.key  # type: ignore[misc]
        there = (self.archive.images / image).exists()
        return f"{request.body}: refused with {status}, and its image is there" if there else ""

    def faults(self, changed: dict[object, set[object]]) -> Iterator[str]:
        self.expected |= changed  # type: ignore[arg-type]
        marks = Marks(self.archive.images)  # before the look at images: one that is there now was there then
        for (image, mark), values in [*self.expected.items()]:
            present = (self.archive.images / image).exists()
            if not present and mark == "kept" and values == {True}:
                yield f"{image}: was deleted, and was marked as kept"
            if not present:
                del self.expected[image, mark]
            elif (value := marks.of(image)[mark]) in values:
                self.expected[image, mark] = {value}
            else:
                yield f"{image}: {mark} is {value}, and was set to {values}"


KINDS: dict[str, Callable[[Archive], Kind]] = {"marks": MarkChanges}


def ask(port: int, path: str, body: object = None) -> tuple[int, Any]:
    """Ask the page, or send a change to it."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    if body is None:
        connection.request("GET", path)
    else:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    reply = connection.getresponse()
    text = reply.read()
    connection.close()
    return reply.status, json.loads(text) if reply.headers.get_content_type() == "application/json" else text


class Background:
    """What goes on beside the two people; its errors are raised at the end."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool, self._done, self._work = pool, threading.Event(), list[Any]()

    def repeat(self, act: Callable[[], object], pause: float) -> None:
        def work() -> None:
            while not self._done.wait(pause):
                act()

        self._work.append(self._pool.submit(work))

    def end(self) -> None:
        self._done.set()
        for work in self._work:
            work.result(60)


def list_all(archive: Archive, port: int, counts: Counter[str]) -> None:
    """List all events, and see that each that was there is there once, though others come meanwhile."""
    before = [*archive.events]
    objects, cursor = list[int](), ""
    limit = 13 if len(before) < 500 else 200
    while cursor is not None:
        _, answer = ask(port, f"/events?limit={limit}" + (f"&cursor={quote(cursor)}" if cursor else ""))
        objects += [int(event["object"]) for event in answer["events"]]
        cursor = answer["next"]
    assert len({*objects}) == len(objects), "listed twice"
    assert {*range(1, len(before) + 1)} <= {*objects}, "lost between two answers"
    edge = round(time.time() // 900 * 900 - 86_400)
    [day] = ask(port, f"/counts?edges={edge}")[1]["counts"]
    assert len(before) <= day["events"]["enter"] <= len(archive.events) + 1
    counts["lists"] += 1


def test_two_people_who_change_everything_at_once_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "ROOM", 0.9)
    archive, counts, wrong = Archive(tmp_path), Counter[str](), list[str]()
    job = ForegroundJob(source=VideoSource(place="0"), model=Model(name="median"), events=archive.table_path)
    camera = Camera("gate", job, lambda *_: None, lambda _: None)
    kinds = {name: make(archive) for name, make in KINDS.items()}
    rng, start = random.Random(SEED), threading.Barrier(2)

    def delete() -> None:
        gone = delete_expired([archive.images], Retention(size=LIMIT))
        counts["deleted"] += sum(map(len, gone.values()))

    def person(kind: Kind, request: Request | None) -> tuple[str, Request | None]:
        start.wait(60)
        if request is None:
            return "", None
        status, _ = ask(port, request.path, request.body)
        counts["acknowledged" if status in (200, 204) else "refused"] += 1
        return kind.answered(request, status), request if status in (200, 204) else None

    with CameraPage([camera], 0) as page, ThreadPoolExecutor(6) as pool:
        port = urlsplit(page.address).port or 0
        background = Background(pool)
        background.repeat(archive.go_on, 0.05)
        background.repeat(delete, 0.05)
        background.repeat(lambda: list_all(archive, port, counts), 0.2)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and not wrong:
            kind = kinds[rng.choice([*kinds])]
            requests = [kind.draw(number, rng) for number in range(2)]
            if requests[0] is not None and rng.random() < 0.1:
                requests[1] = requests[0]
            answers = [pool.submit(person, kind, request) for request in requests]
            changed: dict[object, set[object]] = {}
            for answer in answers:
                text, request = answer.result(120)
                wrong += [text] if text else []
                if request is not None:
                    changed.setdefault(request.key, set()).add(request.value)
            wrong += kind.faults(changed)
            counts["rounds"] += 1
        background.end()
    archive.mark_deleted()
    archive.close()
    rows = [*read_events(archive.table_path)]
    present = {each.path.name for each in stored(archive.images)}
    print(dict(counts), len(rows), "events", flush=True)
    assert not wrong, "\n".join(wrong)
    assert [int(row["object"]) for row in rows] == [*range(1, len(archive.events) + 1)], "a row was lost"
    for row, name in zip(rows, archive.events, strict=True):
        assert row["snapshot"] == (name if name in present else DELETED)
    assert min(counts[each] for each in ("acknowledged", "deleted", "lists", "rounds")) > 0
