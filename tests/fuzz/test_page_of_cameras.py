"""Two people send every change of the page of cameras at the same moment, while events come and go.

What was acknowledged is there afterwards: no change of one person takes back one of the other, none is lost
to a deletion, and none that was refused has happened. Meanwhile ``--keep`` deletes images, events come, and a
third person lists all events, answer by answer. ``SEGUE_FUZZ_SECONDS`` sets how long
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
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import pytest

from segue.events.archive import EventArchive
from segue.events.store import retention
from segue.events.store.retention import Retention, delete_expired
from segue.events.store.store import MARK_NAMES, EventStore, Mark
from segue.events.table import Event
from segue.jobs.values import ForegroundJob
from segue_watch.camera import Camera
from segue_watch.configuration import read_cameras
from segue_watch.drawn import Change, save_change
from segue_watch.web.page import CameraPage

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("SEGUE_FUZZ_SECONDS", "20"))
SEED = int(os.environ.get("SEGUE_FUZZ_SEED", "0"))

IMAGE_BYTES = 1000
LIMIT = 60 * IMAGE_BYTES
"""Of all images: an image is deleted a few seconds after its event, unless somebody keeps it."""

MOST_KEPT = 20
"""Events that the two keep at a time, so that others have room."""


FILE = """
[cameras.gate]
source = "rtsp://127.0.0.1:9/none"
model = "median"
zone = ["door=1%,1% 9%,1% 9%,9%"]  # by hand
"""


class Archive:
    """The store and the images of a camera that goes on.

    Attributes:
        events: images of the events so far, whose visits are numbered by their places.
        file: the file of cameras.
    """

    def __init__(self, folder: Path) -> None:
        self.places = EventArchive(folder / "gate.csv", folder / "gate")
        self.images = folder / "gate"
        self.images.mkdir()
        self.file = folder / "cameras.toml"
        self.file.write_text(FILE)
        self.events: list[str] = []
        self.store = EventStore.open(self.places.store)
        self.store.begin_run("gate")
        self.store.begin_part("", "gate.csv")

    def add(self) -> None:
        """Write an event and its image; several have one moment."""
        number = len(self.events) + 1
        name = f"{number:05d}-enter-{number}.jpg"
        (self.images / name).write_bytes(bytes(IMAGE_BYTES))
        at = datetime.fromtimestamp(time.time() // 2 * 2).astimezone().isoformat(timespec="milliseconds")
        event = Event("enter", number, 0, 0.0, 0, 0, 9, 9, 81, 0.0, 81, at=at, snapshot=name)
        recorded = self.store.record(event)
        assert recorded.visit == number
        self.store.put(recorded)
        self.store.set_media("", name, "complete", IMAGE_BYTES)
        self.store.flush()
        self.events.append(name)

    def close(self) -> None:
        self.store.close()


@dataclass(frozen=True)
class Request:
    """What a page sends.

    Attributes:
        path, body: as of the request.
    """

    path: str
    body: dict[str, Any]


Answers = list[tuple[Request, int]]
"""What the two people have sent at one moment, each with the status of the answer."""


class Kind(Protocol):
    """A kind of change."""

    def draw(self, person: int, rng: random.Random) -> Request | None:
        """A change that a person may make now."""

    def faults(self, answers: Answers) -> Iterator[str]:
        """What is wrong after both have sent one."""


class MarkChanges:
    """Marks of events: each person sets mostly her own, and now and then both set the same one."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.expected: dict[tuple[int, Mark], set[bool]] = {}

    def draw(self, person: int, rng: random.Random) -> Request | None:
        events = self.archive.events
        if not events:
            return None
        kept = [visit for (visit, mark), values in self.expected.items() if mark == "kept" and True in values]
        if len(kept) > MOST_KEPT and rng.random() < 0.7:
            visit, mark, value = rng.choice(kept), "kept", False
        else:
            visit = 1 + len(events) - min(len(events), rng.randrange(1, 70))
            mark, value = MARK_NAMES[person if rng.random() < 0.8 else 1 - person], rng.random() < 0.6
        return Request("/marks/gate", {"visits": [visit], "mark": mark, "value": value})

    def faults(self, answers: Answers) -> Iterator[str]:
        changed: dict[tuple[int, Mark], set[bool]] = {}
        for request, status in answers:
            [visit], mark = request.body["visits"], request.body["mark"]
            if status == 200:
                changed.setdefault((visit, mark), set()).add(request.body["value"])
            else:
                yield f"{request.body}: refused with {status}"
        self.expected |= changed
        rows = self.archive.store.read(
            "select id, reviewed, kept, state from visits join events on seq = visits.id"
            " join media on name = snapshot"
        )
        marks = {visit: {"reviewed": bool(reviewed), "kept": bool(kept)} for visit, reviewed, kept, _ in rows}
        states = {visit: state for visit, *_, state in rows}
        for (visit, mark), values in [*self.expected.items()]:
            if (value := marks[visit][mark]) in values:
                self.expected[visit, mark] = {value}
            else:
                yield f"{visit}: {mark} is {value}, and was set to {values}"
            there = (self.archive.images / self.archive.events[visit - 1]).exists()
            if marks[visit]["kept"] and states[visit] == "complete" and not there:
                yield f"{visit}: was deleted, and is kept"


@dataclass(frozen=True)
class Drawn:
    """A sort of what is drawn.

    Attributes:
        path: where the page sends it.
        texts: gives those of a job.
        make: makes the text of a number between 0 and 9.
        identity: what only one text may have.
    """

    path: str
    texts: Callable[[ForegroundJob], tuple[str, ...]]
    make: Callable[[int, random.Random], str]
    identity: Callable[[str], str]


def region(number: int, rng: random.Random) -> str:
    return f"place{number}=0%,0% {rng.randrange(1, 100)}%,0% 50%,{rng.randrange(1, 100)}%"


DRAWN = {
    "zones": Drawn("zones", lambda job: job.zones, region, lambda text: text.partition("=")[0]),
    "ignored": Drawn("ignored", lambda job: job.ignore, region, lambda text: text.partition("=")[0]),
    "heights": Drawn(
        "heights",
        lambda job: job.min_height,
        lambda number, rng: f"{100 + number}:{rng.randrange(5, 60)}",
        lambda text: text.partition(":")[0],
    ),
}

MOST_HEIGHTS = 2


class DrawnChanges:
    """Zones, regions and minimum heights: added, replaced and removed, as the page has last seen them."""

    def __init__(self, archive: Archive, drawn: Drawn) -> None:
        self.archive, self.drawn = archive, drawn
        self.expected = {*self.current()}

    def current(self) -> tuple[str, ...]:
        return self.drawn.texts(archive_jobs(self.archive)["gate"])

    def draw(self, person: int, rng: random.Random) -> Request:
        texts = sorted(self.expected)
        previous = rng.choice(texts) if texts and rng.random() < 0.6 else None
        full = self.drawn.path == "heights" and len(texts) >= MOST_HEIGHTS
        if full and previous is None:
            previous = rng.choice(texts)
        new = None if previous and rng.random() < 0.4 else self.drawn.make(rng.randrange(10), rng)
        return Request(f"/{self.drawn.path}/gate", {"previous": previous, "new": new})

    def faults(self, answers: Answers) -> Iterator[str]:
        before = set(self.expected)
        taken = [request.body for request, status in answers if status == 204]
        self.expected -= {body["previous"] for body in taken}
        self.expected |= {body["new"] for body in taken if body["new"]}
        if {*self.current()} != self.expected:
            yield f"{before}: {answers} gave {self.current()}"
        identities = [self.drawn.identity(text) for text in self.current()]
        if len({*identities}) < len(identities):
            yield f"one name twice: {self.current()}"
        removed = [body["previous"] for body in taken if body["previous"]]
        if len({*removed}) < len(removed):
            yield f"both have replaced or removed one: {answers}"
        for request, status in answers:
            if status != 204 and not self._is_late(request, before, taken):
                yield f"{before}: {request} was refused with {status} beside {taken}"

    def _is_late(self, request: Request, before: set[str], taken: list[dict[str, Any]]) -> bool:
        """Whether a change may be refused: what it replaces is gone, its name is taken, or all are there."""
        new, previous = request.body["new"], request.body["previous"]
        texts = before | {body["new"] for body in taken if body["new"]}
        if self.drawn.path == "heights" and len(texts) > MOST_HEIGHTS - 1:
            return True
        others = {self.drawn.identity(text) for text in texts if text != previous}
        return previous in {body["previous"] for body in taken if body["previous"]} or (
            bool(new) and self.drawn.identity(new) in others
        )


def archive_jobs(archive: Archive) -> dict[str, ForegroundJob]:
    return read_cameras(archive.file, archive.table_path.parent)


KINDS: dict[str, Callable[[Archive], Kind]] = {
    "marks": MarkChanges,
    **{name: partial(DrawnChanges, drawn=drawn) for name, drawn in DRAWN.items()},
}


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
    camera = Camera("gate", archive_jobs(archive)["gate"], lambda *_: None, lambda _: None)
    kinds = {name: make(archive) for name, make in KINDS.items()}
    rng, start, lock = random.Random(SEED), threading.Barrier(2), threading.Lock()

    def delete() -> None:
        counts["deleted"] += delete_expired(archive.store, archive.places, Retention(size=LIMIT))

    def save(name: str, change: Change) -> None:
        with lock:
            camera.change(save_change(archive.file, tmp_path, name, change, camera.check))

    def person(request: Request | None) -> Answers:
        start.wait(60)
        if request is None:
            return []
        status, _ = ask(port, request.path, request.body)
        counts["acknowledged" if status in (200, 204) else "refused"] += 1
        return [(request, status)]

    with CameraPage([camera], 0, save) as page, ThreadPoolExecutor(6) as pool:
        port = urlsplit(page.address).port or 0
        background = Background(pool)
        background.repeat(archive.add, 0.05)
        background.repeat(delete, 0.05)
        background.repeat(lambda: list_all(archive, port, counts), 0.2)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and not wrong:
            kind = kinds[rng.choice([*kinds])]
            requests = [kind.draw(number, rng) for number in range(2)]
            if requests[0] is not None and rng.random() < 0.1:
                requests[1] = requests[0]
            sent = [pool.submit(person, request) for request in requests]
            wrong += kind.faults([answer for each in sent for answer in each.result(120)])
            counts["rounds"] += 1
        background.end()
    rows = archive.store.read(
        "select object, snapshot, state from events join media on name = snapshot order by seq"
    )
    archive.close()
    print(dict(counts), len(rows), "events", flush=True)
    assert not wrong, "\n".join(wrong)
    assert [number for number, *_ in rows] == [*range(1, len(archive.events) + 1)], "an event was lost"
    for _, name, state in rows:
        assert (state == "complete") == (archive.images / name).exists()
    assert min(counts[each] for each in ("acknowledged", "deleted", "lists", "rounds")) > 0
