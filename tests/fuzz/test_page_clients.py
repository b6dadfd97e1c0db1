"""Two pages send every change at the same moment, at random: nothing is lost, and both show what is saved.

The networks are played by disks, all else is the server of the page. ``SEGUE_FUZZ_CLIENT_SECONDS`` sets how
long it runs (default 60), ``SEGUE_FUZZ_SEED`` the choices.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from segue.masks import encode_rle
from segue_web.annotate import AnnotateBackend
from segue_web.project.annotations import FrameAnnotation
from segue_web.project.project import Project
from segue_web.project.queue import TrackingQueue
from segue_web.project.tracking import TrackedFrame, track_job
from segue_web.server.hub import DEFECT
from segue_web.server.server import make_app
from segue_web.video import Video
from segue_web.video_list import VideoListBackend
from tests.segue_web.test_annotate import CircleWorker
from tests.segue_web.videos import numbered, write_video
from tests.waiting import wait_for

SECONDS = float(os.environ.get("SEGUE_FUZZ_CLIENT_SECONDS", "60"))
SEED = int(os.environ.get("SEGUE_FUZZ_SEED", "0"))

pytestmark = pytest.mark.slow

TOKEN, HOST = "s3cret-of-this-run", "http://127.0.0.1:8123"
FRAMES, SIZE = 8, (48, 64)
WAIT = 60.0

Message = dict[str, Any]


class SlowWorker(CircleWorker):
    """Answers after a random wait, so that another page's change may come between."""

    def __init__(self, size: tuple[int, int], chance: random.Random) -> None:
        super().__init__(size)
        self.chance = chance

    async def ask(self, method: str, *arguments: Any) -> Any:
        await asyncio.sleep(self.chance.choice((0, 0, 0.002)))
        if method == "candidates":
            return [(self._disk(arguments[1].points[0], radius), 0.9 - radius / 100) for radius in (4, 7)]
        if method in ("prepare", "use_prompter"):
            return None
        return await super().ask(method, *arguments)

    async def use_prompter(self, name: str) -> None:
        await asyncio.sleep(0)

    def _disk(self, at: Any, radius: int) -> np.ndarray:
        x, y = at
        return cv2.circle(np.zeros(self.size, np.uint8), (int(x), int(y)), radius, 1, -1) > 0

    def steps(self, make: Any, *arguments: Any) -> AsyncGenerator[Any, None]:
        return self._tracked(*arguments) if make is track_job else self._exported()

    async def _tracked(self, *arguments: Any) -> AsyncGenerator[Any, None]:
        _, start, stop, objects, kept, _, _, given = arguments
        way = range(given + 1, stop + 1) if start < stop else range(given - 1, stop - 1, -1)
        radius = self.chance.choice((4, 5, 6))  # so that another tracking changes masks
        for index in way:
            await asyncio.sleep(self.chance.choice((0, 0.001, 0.004)))
            if index in kept:
                mark = FrameAnnotation("tracked", 0.6)
                masks = [self._disk((8 + 5 * i % 40, 20), radius) * np.uint16(i) for i in objects]
                yield index, TrackedFrame(masks, {i: (place, mark) for place, i in enumerate(objects)})

    async def _exported(self) -> AsyncGenerator[Any, None]:
        for index in range(3):
            await asyncio.sleep(0.002)
            yield index


@dataclass
class Answer:
    """A request, and what came of it."""

    op: str
    fields: Message
    result: Message

    @property
    def made(self) -> bool:
        return "error" not in self.result


@dataclass
class Client:
    """A page: what it knows by answers and events."""

    socket: Any
    name: str
    chance: random.Random
    number: int = 0
    known: Message = field(default_factory=dict)
    marks: dict[tuple[int, int], list[Any]] = field(default_factory=dict)
    revisions: list[int] = field(default_factory=list)
    frames: dict[int, Message] = field(default_factory=dict)
    forgotten: int = 0
    waiting: dict[int, tuple[str, Message]] = field(default_factory=dict)
    jobs: set[str] = field(default_factory=set)
    reload: bool = False
    video: int | None = None

    def send(self, op: str, **fields: Any) -> int:
        self.number += 1
        video = {"video": self.video} if op == "hello" else self._video
        message = {"id": self.number, "op": op, **fields, **video, "user": self.name}
        self.waiting[self.number] = op, fields
        self.socket.send_text(json.dumps(message))
        return self.number

    @property
    def _video(self) -> Message:
        return {"video": self.known["video"]["number"]}

    def receive(self) -> list[Answer]:
        """Hear until all requests are answered."""
        answers = []
        while self.waiting:
            message = json.loads(self.socket.receive_text())
            if "event" in message:
                self.hear(message)
                continue
            op, fields = self.waiting.pop(message["id"])
            answers.append(Answer(op, fields, message))
            assert message.get("error") != DEFECT, (op, fields)
            assert "not valid" not in message.get("error", ""), (op, fields, message)
            if op == "hello":
                self.begin(message)
            if op == "open" and "error" not in message:
                self.reload, self.video = True, message["number"]
        return answers

    def ask(self, op: str, **fields: Any) -> Message:
        self.send(op, **fields)
        return self.receive()[-1].result

    def begin(self, known: Message) -> None:
        self.known, self.reload = known, False
        self.frames, self.forgotten, self.revisions = {}, known["revision"], [known["revision"]]
        self.set_timeline(known["timeline"])
        self.jobs = {job for job, key in (("tracking", "running"), ("export", "exporting")) if known[key]}

    def set_timeline(self, rows: list[list[Any]]) -> None:
        self.marks = {(row[0], row[1]): row[2:] for row in rows}

    def hear(self, event: Message) -> None:
        kind = event["event"]
        if kind == "progress":
            self.jobs.add(event["job"])
        elif kind == "ended":
            self.jobs.discard(event["job"])
        if self.reload or not self.known:
            return
        if "history" in event:
            self.known["history"] = event["history"]
        if kind == "queue":
            self.known["queue"] = event["queue"]
        if kind != "changed":
            return
        if event["revision"] <= self.revisions[-1]:
            return  # what was begun with has it already
        self.revisions.append(event["revision"])
        self.known |= {key: event[key] for key in ("objects", "schema", "comments", "shapes") if key in event}
        for data in event.get("frames", ()):
            self.frames[data["frame"]] = data
            self.marks = {key: mark for key, mark in self.marks.items() if key[0] != data["frame"]}
            self.marks |= {(data["frame"], int(i)): list(mark) for i, mark in data["marks"].items()}
        if "timeline" in event:
            self.set_timeline(event["timeline"])
            self.forgotten = event["revision"]

    @property
    def revision(self) -> int:
        return self.revisions[-1]

    def look(self, frame: int) -> Message:
        """A frame as this page shows it."""
        data = self.frames.get(frame)
        if data is None or data["revision"] < self.forgotten:
            [data] = self.ask("look", frames=[frame])["frames"]
            self.frames[frame] = data
        return data

    # What a person does

    def object(self) -> int | None:
        ids = [row["id"] for row in self.known["objects"]][-3:]  # few, so that both take the same
        return self.chance.choice(ids) if ids else None

    def about(self) -> Message:
        frame, number = self.chance.randrange(3), self.object()
        if self.chance.random() < 0.2:
            number = None
        return {"frame": frame, "object": number, "seen": self.look(frame)["revision"]}

    def marked(self) -> tuple[int, int]:
        """A frame and an object with a mask there, or any."""
        few = {row["id"] for row in self.known["objects"][-3:]}
        near = [(frame, number) for frame, number in self.marks if number in few and frame < 3]
        return self.chance.choice(near or [(0, self.object() or 1)])

    def place(self) -> list[int]:
        return [self.chance.randrange(4, SIZE[1] - 4), self.chance.randrange(4, SIZE[0] - 4)]


Act = Callable[[Client], "tuple[str, Message] | None"]
"""Chooses a request and its fields, or none where there is nothing to ask it of."""

ACTS: dict[str, Act] = {}


def act(choose: Act) -> Act:
    ACTS[choose.__name__.rstrip("_")] = choose
    return choose


@act
def click(page: Client) -> tuple[str, Message]:
    about = page.about()
    before = page.look(about["frame"])["prompts"].get(str(about["object"]), {"points": [], "box": None})
    return "click", {**about, "points": [*before["points"], [*page.place(), True]], "box": before["box"]}


@act
def box(page: Client) -> tuple[str, Message]:
    x, y = page.place()
    return "click", {**page.about(), "points": [], "box": [x, y, x + 8, y + 8]}


@act
def stroke(page: Client) -> tuple[str, Message]:
    x, y = page.place()
    ring = [[x, y], [x + 10, y], [x + 10, y + 10], [x, y + 10], [x, y]]  # with a hole
    path, width = page.chance.choice((([[x, y]], 7), (ring, 2)))
    return "stroke", {**page.about(), "add": True, "path": path, "width": width}


@act
def scribble(page: Client) -> tuple[str, Message]:
    return "scribble", {**page.about(), "path": [page.place(), page.place(), page.place()]}


@act
def erase(page: Client) -> tuple[str, Message]:
    return "stroke", {**page.about(), "add": False, "path": [page.place(), page.place()], "width": 3}


@act
def candidate(page: Client) -> tuple[str, Message] | None:
    clicked = [
        {"frame": frame, "object": int(number), "seen": data["revision"]}
        for frame, data in page.frames.items()
        for number, prompts in data["prompts"].items()
        if len(prompts["points"]) == 1 and not prompts["box"]
    ]
    return ("candidate", page.chance.choice(clicked)) if clicked else None


@act
def candidates(page: Client) -> tuple[str, Message] | None:
    about = page.about()
    return None if about["object"] is None else ("candidates", about)


@act
def forget(page: Client) -> tuple[str, Message] | None:
    frame, number = page.marked()
    about = {"frame": frame, "object": number, "seen": page.look(frame)["revision"]}
    return "forget", {**about, "hidden": page.chance.random() < 0.5}


@act
def clean(page: Client) -> tuple[str, Message]:
    frame, number = page.marked()
    about = {"frame": frame, "object": number, "seen": page.look(frame)["revision"]}
    return "clean", {**about, "what": page.chance.choice(("holes", "specks"))}


@act
def outline(page: Client) -> tuple[str, Message]:
    frame, number = page.marked()
    return "outline", {"frame": frame, "object": number}


@act
def reshape(page: Client) -> tuple[str, Message]:
    frame, number = page.marked()
    x, y = page.place()
    before, after = [[x, y], [x + 6, y], [x, y + 6]], [[x, y], [x + 9, y], [x, y + 9]]
    about = {"frame": frame, "object": number, "seen": page.look(frame)["revision"]}
    return "reshape", {**about, "before": before, "after": after}


@act
def paste(page: Client) -> tuple[str, Message]:
    frame, number = page.marked()
    return "paste", {**page.about(), "of_frame": frame, "of_object": number}


@act
def spread(page: Client) -> tuple[str, Message]:
    frame, number = page.marked()
    about = {"frame": frame, "object": number, "seen": page.look(frame)["revision"]}
    return "spread", {**about, "first": 0, "last": page.chance.randrange(FRAMES)}


@act
def draw_shape(page: Client) -> tuple[str, Message]:
    x, y = page.place()
    points = [[x, y], [x + 9, y], [x + 9, y + 9], [x, y + 9]]
    return "draw_shape", {**page.about(), "points": points, "hole": page.chance.random() < 0.2}


def some_shape(page: Client) -> Message | None:
    shapes = page.known["shapes"][-4:]
    return page.chance.choice(shapes) if shapes else None


@act
def shape_key(page: Client) -> tuple[str, Message] | None:
    shape, (x, y) = some_shape(page), page.place()
    corners = [[x + a, y + b, 0, 0, 0, page.chance.random()] for a, b in ((0, 0), (8, 0), (8, 8), (0, 8))]
    fields = {"frame": page.chance.randrange(FRAMES - 1), "corners": corners, "seen": page.revision}
    return shape and ("shape_key", {"shape": shape["id"], **fields})


@act
def remove_key(page: Client) -> tuple[str, Message] | None:
    shape = some_shape(page)
    frame = shape and page.chance.choice(shape["keys"])[0]
    return shape and ("remove_key", {"shape": shape["id"], "frame": frame, "seen": page.revision})


@act
def remove_shape(page: Client) -> tuple[str, Message] | None:
    shape = some_shape(page)
    return shape and ("remove_shape", {"shape": shape["id"], "seen": page.revision})


@act
def merge(page: Client) -> tuple[str, Message] | None:
    one, other = page.object(), page.object()
    return None if one is None else ("merge", {"object": one, "into": other, "seen": page.revision})


@act
def split(page: Client) -> tuple[str, Message]:
    frame, number = page.marked()
    return "split", {"object": number, "frame": frame, "seen": page.revision}


@act
def remove(page: Client) -> tuple[str, Message] | None:
    number = page.object()
    return None if number is None else ("remove", {"object": number, "seen": page.revision})


@act
def rename(page: Client) -> tuple[str, Message] | None:
    number = page.object()
    return None if number is None else ("object", {"object": number, "name": f"{page.name} {page.number}"})


@act
def attribute(page: Client) -> tuple[str, Message] | None:
    number = page.object()
    values = {f"of {page.name}": str(page.number)}
    return None if number is None else ("object", {"object": number, "attributes": values})


@act
def lock(page: Client) -> tuple[str, Message] | None:
    number = page.object()
    if number is None:
        return None
    name = page.chance.choice(("locked", "visible"))
    return "object", {"object": number, name: name == "visible" or page.chance.random() < 0.3}


@act
def frame_attributes(page: Client) -> tuple[str, Message] | None:
    number = page.object()
    if number is None:
        return None
    values = {f"on a frame by {page.name}": page.chance.choice((str(page.number), None))}
    return "frame_attributes", {"object": number, "frame": page.chance.randrange(3), "attributes": values}


@act
def reviewed(page: Client) -> tuple[str, Message]:
    frame, number = page.marked()
    about = {"objects": [number], "first": frame, "last": frame + page.chance.randrange(2)}
    return "reviewed", {**about, "seen": page.revision, "reviewed": page.chance.random() < 0.7}


@act
def judge(page: Client) -> tuple[str, Message] | None:
    changed = [place for place, mark in page.marks.items() if mark[-1] is not None]
    if not changed:
        return None
    frame, number = page.chance.choice(changed)
    about = {"objects": [number], "first": frame, "last": frame + page.chance.randrange(3)}
    return "judge", {**about, "seen": page.revision, "accept": page.chance.random() < 0.5}


@act
def schema(page: Client) -> tuple[str, Message]:
    known = page.known["schema"].get("classes", [])
    new = {"name": f"{page.name} {page.chance.getrandbits(48)}"}  # numbers begin again with a connection
    return "schema", {"schema": {"classes": [*known[-5:], new]}, "seen": page.revision}


@act
def undo(page: Client) -> tuple[str, Message] | None:
    entry = page.known["history"]["entries"]["undo"]
    return None if entry is None else ("undo", {"entry": entry})


@act
def redo(page: Client) -> tuple[str, Message] | None:
    entry = page.known["history"]["entries"]["redo"]
    return None if entry is None else ("undo", {"redo": True, "entry": entry})


@act
def comment(page: Client) -> tuple[str, Message]:
    return "comment", {"text": f"{page.name} {page.number}", "object": page.object(), "frame": None}


@act
def resolve(page: Client) -> tuple[str, Message] | None:
    comments = page.known["comments"]
    if not comments:
        return None
    return "resolve", {"comment": page.chance.choice(comments)["id"], "resolved": page.chance.random() < 0.5}


@act
def track(page: Client) -> tuple[str, Message]:
    direction = page.chance.choice(("forward", "forward", "back", "between"))
    number = page.object()
    objects = None if number is None or page.chance.random() < 0.3 else [number]
    return "track", {
        "direction": direction,
        "frame": page.chance.randrange(3),
        "objects": objects,
        "due": True,
    }


@act
def resume(page: Client) -> tuple[str, Message]:
    return "track", {"direction": "forward", "frame": 0, "resume": True}


@act
def stop(page: Client) -> tuple[str, Message]:
    return "stop", {"next": page.chance.random() < 0.5}


@act
def move(page: Client) -> tuple[str, Message] | None:
    queue = page.known["queue"]
    if not queue:
        return None
    return "move", {"waiting": page.chance.choice(queue)["id"], "place": page.chance.choice((None, 0, 1))}


@act
def find(page: Client) -> tuple[str, Message]:
    return "find", {"frame": 0, "detector": "motion"}


@act
def adopt(page: Client) -> tuple[str, Message]:
    plane = np.zeros(SIZE, np.bool_)
    x, y = page.place()
    plane[y : y + 4, x : x + 4] = True
    item = {"counts": encode_rle(plane)["counts"], "label": "found", "score": 0.5}
    return "adopt", {"frame": page.chance.randrange(3), "chosen": [item]}


@act
def export(page: Client) -> tuple[str, Message]:
    return "export", {"format": "coco"}


@act
def stop_export(page: Client) -> tuple[str, Message]:
    return "stop_export", {}


@act
def settings(page: Client) -> tuple[str, Message]:
    return "settings", {"values": {page.name: page.number}}


@act
def use_prompter(page: Client) -> tuple[str, Message]:
    return "use_prompter", {"name": page.known["prompters"]["used"]}


@act
def people(page: Client) -> tuple[str, Message]:
    return "people", {}


@act
def review(page: Client) -> tuple[str, Message]:
    return "review", {}


@act
def prepare(page: Client) -> tuple[str, Message]:
    return "prepare", {"frame": 0, "at": page.place()}


@act
def videos(page: Client) -> tuple[str, Message]:
    return "videos", {}


@act
def assign(page: Client) -> tuple[str, Message]:
    number = {"Ann": 0, "Ben": 1}[page.name] if page.chance.random() < 0.7 else 2
    return "assign", {"number": number, "person": page.chance.choice(("Ann", "Ben", "Cleo"))}


@act
def open_(page: Client) -> tuple[str, Message]:
    return "open", {"number": page.chance.randrange(3)}


@act
def export_all(page: Client) -> tuple[str, Message]:
    return "export_all", {"format": "coco"}


RARE = frozenset({"open", "export_all", "remove", "merge", "lock", "use_prompter"})
"""Chosen less often: they end what others begin."""

STEPS = frozenset(
    {
        "click",
        "candidate",
        "scribble",
        "stroke",
        "forget",
        "clean",
        "reshape",
        "paste",
        "spread",
        "merge",
        "split",
        "draw_shape",
        "shape_key",
        "remove_key",
        "remove_shape",
    }
    | {
        "object",
        "frame_attributes",
        "reviewed",
        "judge",
        "schema",
        "remove",
        "comment",
        "resolve",
        "adopt",
        "import",
    }
)
"""Requests that make a step of the history when they are not refused."""

OF_REVISION = frozenset({"schema", "remove", "merge", "split", "reviewed", "judge"}) | {
    "shape_key",
    "remove_key",
    "remove_shape",
}
"""Requests about what a page shows of the whole project, not of a frame."""

FRAME_EDITS = frozenset(
    {"click", "scribble", "stroke", "forget", "clean", "reshape", "paste", "candidate", "draw_shape"}
)


class Desk:
    """Videos, their server, and two pages that show it."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder, self.chance = folder, chance
        self.videos = {
            name: write_video(folder / f"{name}.mp4", numbered(FRAMES, SIZE)[:: 1 - 2 * turn])
            for turn, name in enumerate(("a", "b"))
        }
        self.videos["c"] = write_video(folder / "c.mp4", numbered(FRAMES - 1, SIZE))
        self.counts: Counter[str] = Counter()

    def make(self, path: Path, place: Path) -> AnnotateBackend:
        video = Video(path)
        return AnnotateBackend(video, place, worker=SlowWorker(video.size, self.chance), user="Ann")

    @contextmanager
    def served(self) -> Iterator[tuple[VideoListBackend, TestClient, list[Client]]]:
        backend = VideoListBackend("videos", self.videos, self.folder / "out", self.make)
        app = make_app(backend, TOKEN)
        headers = {"host": "127.0.0.1:8123", "origin": HOST}
        with TestClient(app, base_url=HOST) as client:
            pages = [client.websocket_connect(f"/{TOKEN}/ws", headers=headers) for _ in range(2)]
            with pages[0] as one, pages[1] as two:
                clients = [
                    Client(socket, name, random.Random(self.chance.random()))
                    for socket, name in ((one, "Ann"), (two, "Ben"))
                ]
                for page in clients:
                    page.ask("hello", browser=page.name)
                yield backend, client, clients

    def choose(self, page: Client, http: TestClient) -> tuple[str, Message]:
        while True:
            name = self.chance.choice([*ACTS, "import"])
            if name in RARE and self.chance.random() < 0.6:
                continue
            chosen = self.upload(page, http) if name == "import" else ACTS[name](page)
            if chosen is not None:
                return chosen

    def upload(self, page: Client, http: TestClient) -> tuple[str, Message] | None:
        """Read a mask file as a page does; its import is the change."""
        mask = np.zeros(SIZE, np.uint8)
        x, y = page.place()
        mask[y : y + 5, x : x + 5] = 1
        data = io.BytesIO()
        Image.fromarray(mask).save(data, "PNG")
        name = f"{page.chance.randrange(3):05d}.png"
        answer = http.post(f"/{TOKEN}/import/{name}", content=data.getvalue(), headers={"origin": HOST})
        known = answer.json()
        if "upload" not in known or not known["objects"]:
            return None
        [number] = [one["number"] for one in known["objects"]]
        return "import", {"upload": known["upload"], "targets": {str(number): page.object()}}


def on_server(backend: VideoListBackend, http: TestClient, call: Callable[[Project], Any]) -> Any:
    """Ask the open project in its own thread."""
    portal = http.portal
    assert portal is not None
    current = backend.current
    return portal.call(current.run, lambda: call(current.project))


def saved_of(project: Project) -> Message:
    """What pages show of a project."""
    queue = TrackingQueue(project)
    return {
        "revision": project.revision,
        "objects": project.objects(),
        "marks": {(row[0], row[1]): row[2:] for row in project.timeline()},
        "schema": project.schema.as_json(),
        "comments": project.comments(),
        "shapes": project.shapes(),
        "history": project.history(),
        "queue": [one.for_page(queue.on_hold) for one in queue.waiting],
        "entries": project.last_entry,
    }


def shown_by(page: Client) -> Message:
    return {
        "revision": page.revision,
        "objects": page.known["objects"],
        "marks": page.marks,
        "schema": page.known["schema"],
        "comments": page.known["comments"],
        "shapes": page.known["shapes"],
        "history": page.known["history"],
        "queue": page.known["queue"],
    }


def plain(value: Any) -> Any:
    """As a page has it: JSON."""
    if isinstance(value, dict) and any(isinstance(key, tuple) for key in value):
        return {key: json.loads(json.dumps(item)) for key, item in value.items()}
    return json.loads(json.dumps(value))


def check_promises(seen: list[Message], answers: list[list[Answer]]) -> None:
    """See that what both asked for at once is there, or was refused."""
    made = [[one for one in each if one.made] for each in answers]
    for known, each in zip(seen, made, strict=True):
        for one in each:
            if one.op == "undo":  # the step that was seen, and no other
                which = "redo" if one.fields.get("redo") else "undo"
                assert one.result["label"] == known["history"][which], (one, known["history"])
    pairs = [(one, other) for one in made[0] for other in made[1]]
    for one, other in pairs:
        if one.op == other.op == "schema":
            raise AssertionError(f"one schema took the place of the other unseen: {one} {other}")
        if one.op == other.op == "undo" and one.fields == other.fields:
            raise AssertionError(f"one step was taken back twice: {one} {other}")
        if one.op in FRAME_EDITS and other.op in FRAME_EDITS and one.fields["frame"] == other.fields["frame"]:
            raise AssertionError(f"both edits of one frame were made: {one} {other}")
        if "shape" in one.fields and one.fields["shape"] == other.fields.get("shape"):
            raise AssertionError(f"both changes of one shape were made: {one} {other}")
        if one.op == other.op == "remove" and one.fields["object"] == other.fields["object"]:
            raise AssertionError(f"one object was removed twice: {one} {other}")


def check_kept(after: Message, answers: list[list[Answer]]) -> None:
    """See that what nothing else of the round can have changed is saved."""
    flat = [one for each in answers for one in each if one.made]
    if any(one.op in ("undo", "remove", "merge", "open", "split") for one in flat):
        return
    texts = {one["text"] for one in after["comments"]}
    rows = {row["id"]: row for row in after["objects"]}
    names = {one["name"] for one in after["schema"].get("classes", [])}
    for one in flat:
        if one.op == "comment":
            assert one.fields["text"] in texts, one
        elif one.op == "schema":
            assert {item["name"] for item in one.fields["schema"]["classes"]} <= names, one
        elif one.op == "object" and "attributes" in one.fields:
            known = rows[one.fields["object"]]["attributes"]
            assert one.fields["attributes"].items() <= known.items(), (one, known)
        elif one.op in ("scribble", "stroke", "click") and one.fields.get("add", True):
            assert (one.fields["frame"], one.result["object"]) in after["marks"], one


def is_at_rest(backend: VideoListBackend, http: TestClient, pages: list[Client]) -> bool:
    """Whether nothing runs, nor begins: from one tracking of the queue to the next no page knows a job."""
    for page in pages:
        page.ask("people")
    queue = on_server(backend, http, lambda project: project.noted("queue")) or {}
    runners = backend.current._trackings.runner, backend.current._export_runner
    begins = any(one["user"] not in queue["held"] for one in queue.get("waiting", ()))
    return not begins and not any(runner.busy for runner in runners) and not any(page.jobs for page in pages)


def wait_for_jobs(backend: VideoListBackend, http: TestClient, pages: list[Client]) -> None:
    """Let trackings and exports end, also those that wait."""
    wait_for(lambda: is_at_rest(backend, http, pages), WAIT, lambda: [page.jobs for page in pages])


def test_two_pages_that_change_everything_at_once_lose_nothing_and_show_the_same(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    desk = Desk(tmp_path, chance)
    until, rounds = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        with desk.served() as (backend, http, pages):
            for _ in range(60):
                rounds += 1
                play_round(desk, backend, http, pages)
                if time.monotonic() > until:
                    break
            wait_for_jobs(backend, http, pages)
            last = on_server(backend, http, saved_of)
            folder, video = backend.current.project.folder, backend.current.video
        with_video = Project(folder, video.describe(), video.size)
        try:
            assert saved_of(with_video) == last, "what is saved is there after a restart"
        finally:
            with_video.close()
    print(f"{rounds} rounds: {dict(sorted(desk.counts.items()))}")
    if SECONDS >= 30:
        missing = [name for name in STEPS if not desk.counts[f"{name} made"]]
        assert not missing, f"never made: {missing}"


def play_round(desk: Desk, backend: VideoListBackend, http: TestClient, pages: list[Client]) -> None:
    """Have both pages ask at the same moment, and compare what they show with what is saved."""
    wanted = [[desk.choose(page, http) for _ in range(desk.chance.choice((1, 1, 1, 2)))] for page in pages]
    if desk.chance.random() < 0.25 and wanted[0][0][0] != "import":
        wanted[1] = [*wanted[0]]  # both do the same
    is_quiet = is_at_rest(backend, http, pages)  # they have heard of what came while they chose
    before = on_server(backend, http, saved_of)
    seen = [plain({"history": page.known["history"]}) for page in pages]
    wanted = [[refreshed(page, *one) for one in each] for page, each in zip(pages, wanted, strict=True)]
    order = [(page, one) for page, each in zip(pages, wanted, strict=True) for one in each]
    desk.chance.shuffle(order)
    for page, (op, fields) in order:
        page.send(op, **fields)
    answers = [page.receive() for page in pages]
    for each in answers:
        for one in each:
            desk.counts[f"{one.op} {'made' if one.made else 'refused'}"] += 1
    if all(len(each) == 1 for each in wanted):
        check_promises(seen, answers)
    for page in pages:
        page.ask("people")
    if opened := [page.video for page in pages if page.reload]:
        for page in pages:  # both look at one video again
            page.video = opened[-1]
            page.ask("hello", browser=page.name)
        return
    for page in pages:
        steps = [later - earlier for earlier, later in zip(page.revisions, page.revisions[1:], strict=False)]
        assert set(steps) <= {1}, f"{page.name} has missed a change: {page.revisions[-10:]}"
        page.revisions = page.revisions[-1:]
    if is_quiet and not any(one.op == "track" for each in answers for one in each):
        after = on_server(backend, http, saved_of)
        flat = [one for each in answers for one in each if one.made]
        count = sum(one.op in STEPS or one.op == "undo" for one in flat)
        assert after["revision"] - before["revision"] == count, (flat, before["revision"], after["revision"])
        if all(len(each) == 1 for each in wanted):
            check_kept(after, answers)
        for page in pages:
            shown = shown_by(page)
            for key, value in shown.items():
                assert plain(value) == plain(after[key]), (page.name, key, flat)
    elif desk.chance.random() < 0.3:
        wait_for_jobs(backend, http, pages)
        after = on_server(backend, http, saved_of)
        for page in pages:
            page.ask("people")
            for key, value in shown_by(page).items():
                assert plain(value) == plain(after[key]), (page.name, key)


def refreshed(page: Client, op: str, fields: Message) -> tuple[str, Message]:
    """A request with what the page knows at the moment at which it is sent."""
    if "seen" in fields:
        frame = op not in OF_REVISION
        fields = fields | {"seen": page.look(fields["frame"])["revision"] if frame else page.revision}
    if op == "schema":
        return schema(page)
    if op == "undo":
        return (redo if fields.get("redo") else undo)(page) or ("people", {})
    return op, fields
