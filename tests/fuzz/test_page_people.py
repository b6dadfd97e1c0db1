"""Two people annotate one video in browsers of their own, at once: nothing is lost, and nobody is stopped.

Each draws, corrects, tracks, comments, takes back, changes classes and moves layers by keys and a mouse, as
fast as the page answers. The server is ``segue annotate`` with its networks. ``SEGUE_FUZZ_PEOPLE_SECONDS``
sets how long it runs (default 60), ``SEGUE_FUZZ_SEED`` the choices. Ten minutes:
``SEGUE_FUZZ_PEOPLE_SECONDS=600 python -m pytest -s -m slow tests/fuzz/test_page_people.py``.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from segue_web.project.project import Project
from segue_web.video import Video
from tests.segue_web.chromium import launched, needs_chromium
from tests.segue_web.pages.page import WAIT, Page, Server, becomes, press
from tests.segue_web.videos import cut_of_sample

SECONDS = float(os.environ.get("SEGUE_FUZZ_PEOPLE_SECONDS", "60"))
SEED = int(os.environ.get("SEGUE_FUZZ_SEED", "0"))

pytestmark = [pytest.mark.slow, needs_chromium]

FRAMES = 21
CELL, COLUMNS, ROWS = 30, 13, 7
"""Places of strokes, in pixels of the video: wider apart than the brush, so that one changes no other."""

MAX_OBJECTS, MAX_WAITING = 12, 2

LABELS = {
    "stroke": "brush stroke",
    "click": "click",
    "object": "name",
    "layer": "object order",
    "comment": "comment",
    "schema": "label schema",
}
"""Names of operations in the history."""

Message = dict[str, Any]

STATE = "import('./static/state.js').then(({{ state }}) => {})".format

SNAPSHOT = STATE(
    """({
      revision: state.revision, objects: state.known, schema: state.schema, comments: state.comments,
      shapes: state.shapes, history: state.history, queue: state.queue,
      marks: [...state.marks].flatMap(([id, marks]) => [...marks].map(([frame, mark]) => [frame, id, mark]))
        .sort((a, b) => a[0] - b[0] || a[1] - b[1]),
    })"""
)
"""All that a page shows of a project."""

AT_REST = STATE("!state.pending && !state.starting && !state.running && !state.queue.length")


@dataclass
class Request:
    """What a page asked, and the answer."""

    fields: Message
    answer: Message = field(default_factory=dict)

    @property
    def op(self) -> str:
        return str(self.fields["op"])

    @property
    def is_done(self) -> bool:
        return bool(self.answer) and "error" not in self.answer


class Wire:
    """All that a page and its server say to each other."""

    def __init__(self, page: Any) -> None:
        self.requests: list[Request] = []
        self.events: list[Message] = []
        self._open: dict[int, Request] = {}
        page.on("websocket", self._connected)

    def _connected(self, socket: Any) -> None:
        socket.on("framesent", self._sent)
        socket.on("framereceived", self._received)

    def _sent(self, text: Any) -> None:
        fields = json.loads(text)
        request = Request(fields)
        self._open[fields["id"]] = request
        self.requests.append(request)

    def _received(self, text: Any) -> None:
        message = json.loads(text)
        if "event" in message:
            self.events.append(message)
        else:
            self._open.pop(message["id"]).answer = message


class Person:
    """A person at a browser."""

    def __init__(self, browser: Any, address: str, seed: int) -> None:
        self.chance = random.Random(seed)
        self.screen = Page(browser, address)
        self.page = self.screen.page
        self.wire = Wire(self.page)
        self.page.reload()  # so that the wire has all
        self.page.wait_for_selector("body[data-mode=annotate]")
        self.name = str(self.state("state.user"))
        self.counts: Counter[str] = Counter()
        self.objects: list[int] = []
        self.steps: list[Request] = []
        self.undone: list[Request] = []
        self.untracked: set[int] = set()
        self.places = [(x, y) for x in range(COLUMNS) for y in range(ROWS)]
        self.chance.shuffle(self.places)

    def state(self, expression: str) -> Any:
        """A value of what the page knows."""
        return self.page.evaluate(STATE(expression))

    def waits(self, is_true: Callable[[], bool], what: str) -> None:
        """Let the page work until something is true."""
        until = time.monotonic() + WAIT / 1000
        while not is_true():
            assert time.monotonic() < until, f"{self.name}: {what}"
            self.page.wait_for_timeout(20)

    def asked(self, op: str, since: int) -> list[Request]:
        return [one for one in self.wire.requests[since:] if one.op == op]

    def does(self, op: str, act: Callable[[], object]) -> Request:
        """Do what makes the page ask for an operation, and wait for the answer."""
        before = len(self.wire.requests)
        act()
        asked = partial(self.asked, op, before)
        self.waits(lambda: any(one.answer for one in asked()), f"the page does not ask to {op}")
        request = asked()[0]
        self.counts[f"{op} {'done' if request.is_done else 'refused'}"] += 1
        if op in LABELS and request.is_done:
            self.steps.append(request)
        becomes(self.page, STATE("!state.pending"))
        return request

    def choose(self, number: int) -> bool:
        """Click on an object in the list; tells whether it is still there."""
        is_gone = f"!state.objects.some(({{ id }}) => id === {number})"
        pick = self.page.locator(f"#objects [data-focus=pick{number}]")
        self.waits(lambda: bool(pick.count() or self.state(is_gone)), f"object {number} is not listed")
        if not pick.count():
            return False
        pick.click()
        becomes(self.page, STATE(f"state.object === {number} || {is_gone}"))
        return bool(self.state(f"state.object === {number}"))

    def stroke(self) -> Request:
        """Draw with the brush at a place where this person draws nothing else."""
        column, row = self.places[len(self.wire.requests) % len(self.places)]
        x, y = CELL * (column + 1) + 0.5, CELL * (row + 1) + 0.5
        self.screen.key("b")
        return self.does("stroke", lambda: self.screen.drag((x - 4, y), (x + 4, y)))

    # What a person does

    def annotate(self) -> None:
        if len(self.state("state.objects")) >= MAX_OBJECTS:
            self.correct()
            return
        self.screen.go(self.chance.randrange(FRAMES))
        self.screen.key("n")
        if self.chance.random() < 0.5:
            made = self.stroke()
        else:
            self.screen.key("c")
            x, y = self.chance.uniform(120, 300), self.chance.uniform(60, 180)
            self.page.keyboard.down("Shift")  # also where another object is
            made = self.does("click", lambda: self.page.mouse.click(*self.screen.at(x, y)))
            self.page.keyboard.up("Shift")
        if made.is_done and made.answer["object"] not in self.objects:
            self.objects.append(made.answer["object"])

    def correct(self) -> None:
        """Also what is the other's."""
        objects = (
            self.objects if self.chance.random() < 0.7 else self.state("state.objects.map(({ id }) => id)")
        )
        if objects and self.choose(self.chance.choice(objects)):
            self.screen.go(self.chance.randrange(FRAMES))
            self.stroke()

    def track(self) -> None:
        if self.state(f"state.queue.length >= {MAX_WAITING}"):
            self.go_on()  # what this person has held fills the queue
            return
        if not self.objects or not self.choose(self.chance.choice(self.objects)):
            return
        if frames := self.state("state.framesOf('given', [state.chosenObject])"):
            self.screen.go(self.chance.choice(frames))
            self.does("track", lambda: self.screen.key(self.chance.choice(("t", "t", "Shift+T"))))

    def escape(self) -> None:
        """Stop what this person tracks, now and then, and go on or not; what the other one tracks goes on."""
        user = self.state("state.running && state.running.user")
        if user is None or (user == self.name and self.chance.random() < 0.5):
            return
        before, question = len(self.wire.requests), self.page.locator("dialog.question")
        self.screen.key("Escape")

        def stopped() -> list[Request]:
            return [one for one in self.asked("stop", before) if one.answer]

        self.waits(
            lambda: bool(stopped() or question.count() or self.state("!state.running")), "Escape is lost"
        )
        if question.count():
            question.get_by_role("button", name="Keep it running").click()
            self.counts["asked whether to stop the other"] += 1
        self.counts["stop"] += len(stopped())
        if self.chance.random() < 0.5:
            self.go_on()

    def go_on(self) -> None:
        """Begin again what was stopped, or waits behind it."""
        begin = """() => {
          const names = ["Go on", "Start"];
          const button = [...document.querySelectorAll("#waiting button")].find(({ textContent }) =>
            names.includes(textContent));
          button?.click();
          return Boolean(button);
        }"""  # at once: between two trackings it is there for a moment
        before = len(self.wire.requests)
        if self.page.evaluate(begin):
            asked = partial(self.asked, "track", before)
            self.waits(lambda: any(one.answer for one in asked()), "nothing is begun")

    def undo(self) -> None:
        """Take back what this person did last; what the other one did stays."""
        if self.state("state.history.undo === null || state.history.undo === 'tracking'"):
            return
        before, question = len(self.wire.requests), self.page.locator("dialog.question")
        names = self.names()
        self.screen.key("z")

        def undone() -> list[Request]:
            return [one for one in self.asked("undo", before) if one.answer]

        self.waits(lambda: bool(undone() or question.count()), "undo is lost")
        if question.count():
            question.get_by_role("button", name="Keep it").click()
            self.counts["asked whether to undo the other's"] += 1
        becomes(self.page, STATE("!state.pending"))
        for one in undone():
            self.counts[f"undo {'done' if one.is_done else 'refused'}"] += 1
            if one.is_done:
                self.forget(one.answer, names | self.names())

    def names(self) -> dict[str, int]:
        return dict(self.state("state.objects.map(({ name, id }) => [name, id])"))

    def forget(self, answer: Message, numbers: dict[str, int]) -> None:
        """Expect nothing more of a step that was taken back."""
        assert answer["user"] == self.name, f"{self.name} took back what is not theirs: {answer}"
        objects = {numbers[name] for name in answer["objects"]}
        if answer["label"] == "tracking":
            self.untracked |= objects
            return
        for step in reversed(self.steps):
            number = step.answer.get("object", step.fields.get("object"))
            if (
                LABELS[step.op] == answer["label"]
                and answer["frames"] in ([], [step.fields.get("frame")])
                and (not objects or number in objects)
            ):
                self.steps.remove(step)
                self.undone.append(step)
                return
        raise AssertionError(f"{self.name} took back what was never answered: {answer}")

    def comment(self) -> None:
        press(self.page, "people")
        written = self.page.get_by_label("Comment", exact=True)
        written.fill(f"{self.name} {len(self.wire.requests)}")
        self.page.get_by_label("Subject of the comment").select_option("frame")
        self.does("comment", lambda: written.press("Enter"))
        becomes(written, "field => !field.value")
        self.leave_dialog()

    def schema(self) -> None:
        """Add a class, and look again where the other one has added another meanwhile."""
        press(self.page, "schemaDialog")
        box = self.page.locator("#dialog")
        box.get_by_role("button", name="New class", exact=True).click()
        box.get_by_label("Class", exact=True).last.fill(f"{self.name} {len(self.wire.requests)}")
        save = box.get_by_role("button", name="Save", exact=True)
        self.waits(lambda: self.does("schema", save.click).is_done, "the classes are never saved")
        box.wait_for(state="hidden")

    def layer(self) -> None:
        objects = [*self.names().values()]
        if len(objects) < 2 or not self.choose(self.chance.choice(objects)):
            return
        key, place = self.chance.choice((("}", -1), ("{", 0)))
        if self.state(f"state.objects.at({place}).id !== state.object"):
            self.does("layer", lambda: self.screen.key(key))

    def rename(self) -> None:
        if self.objects and self.choose(self.chance.choice(self.objects)):
            self.screen.key("F2")
            self.page.locator("#name").fill(f"{self.name} {len(self.wire.requests)}")
            self.does("object", lambda: self.page.keyboard.press("Enter"))

    def leave_dialog(self) -> None:
        self.screen.key("Escape")
        self.page.locator("#dialog").wait_for(state="hidden")


ACTS = (
    Person.annotate,
    Person.correct,
    Person.correct,
    Person.track,
    Person.track,
    Person.escape,
    Person.undo,
    Person.comment,
    Person.schema,
    Person.layer,
    Person.rename,
)


@dataclass
class Meeting:
    """What two people share: when they begin, that the other one has failed, and how far the project is."""

    address: str
    barrier: threading.Barrier = field(default_factory=lambda: threading.Barrier(2, timeout=WAIT / 1000))
    revisions: list[int] = field(default_factory=list)

    def works(self, seed: int) -> tuple[Person, Message] | Exception:
        """A person works in a thread; gives the person and what the page shows at the end, or what failed."""
        with launched() as chromium:
            try:
                return self._works(Person(chromium, self.address, seed))
            except Exception as error:  # the browser is closed first
                traceback.print_exception(error)
                self.barrier.abort()
                return error

    def _works(self, person: Person) -> tuple[Person, Message]:
        self.barrier.wait()
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and not self.barrier.broken:
            person.chance.choice(ACTS)(person)
        while not (person.state(AT_REST) or self.barrier.broken):
            if person.state("!state.running && !state.starting"):
                person.go_on()
            person.page.wait_for_timeout(20)
        self.barrier.wait()
        self.revisions.append(person.state("state.revision"))
        self.barrier.wait()
        becomes(person.page, STATE(f"state.revision >= {max(self.revisions)}"))
        shown = person.page.evaluate(SNAPSHOT)
        assert person.screen.errors == []
        return person, shown


def check_no_change_is_missed(person: Person) -> None:
    """Each page hears of each change once, in order."""
    revisions = [event["revision"] for event in person.wire.events if event["event"] == "changed"]
    steps = [later - earlier for earlier, later in pairwise(revisions)]
    assert {*steps} <= {1}, f"{person.name} has missed a change"


def check_trackings(people: list[Person], project: Project) -> int:
    """Each tracking ended as whoever began it wanted; returns how many there were."""
    jobs: dict[str, Message] = {}
    ends: dict[str, list[str]] = {}
    run = ""
    for event in people[0].wire.events:
        if event["event"] == "progress" and event["job"] == "tracking":
            run = event["run"]
            jobs[run] = event
        elif event["event"] == "ended" and event["job"] == "tracking":
            assert event["error"] is None, event
            ends.setdefault(run, []).append(event["state"])
    by_name = {person.name: person for person in people}
    numbers = {row["id"] for row in project.objects()}
    undone = set().union(*(person.untracked for person in people))
    for run, job in jobs.items():
        stops = [one for one in by_name[job["user"]].wire.requests if one.op == "stop" and one.is_done]
        stopped = sum(one.fields["run"] == run for one in stops)
        assert ends[run].count("stopped") <= stopped, f"somebody else has stopped {job}"
        if ends[run][-1] == "done":
            assert job["done"] == job["total"], job
            last = {"forward": FRAMES - 1, "back": 0}[job["what"]]
            assert {*job["objects"]} & numbers - undone <= {*project.marks(last)}, job
    for person in people:
        for one in person.wire.requests:
            if one.op == "track" and one.answer.get("queued") and not one.fields.get("resume"):
                known = {number for job in jobs.values() for number in job["objects"]}
                assert {*one.fields["objects"]} & numbers <= known, f"it waited and never began: {one}"
    return len(jobs)


def check_steps(person: Person, project: Project) -> None:
    """All that was answered and not taken back is in the project."""
    texts = {row["text"] for row in project.comments()}
    classes = {row["name"] for row in project.schema.as_json()["classes"]}
    names = {row["id"]: row["name"] for row in project.objects()}
    renamed = {}
    for step in person.steps:
        fields = step.fields
        if step.op == "comment":
            assert fields["text"] in texts, step
        elif step.op == "schema":
            assert {one["name"] for one in fields["schema"]["classes"]} <= classes, step
        elif step.op == "object":
            renamed[fields["object"]] = fields["name"]
        elif step.op in ("stroke", "click"):
            number = step.answer["object"]
            assert project.marks(fields["frame"])[number].kind == "given", step
            plane = project.plane(fields["frame"], number)
            for x, y in fields.get("path", ()):
                assert plane[int(y), int(x)], step
    for number, name in renamed.items():
        assert names[number] == name
    gone = {step.fields["text"] for step in person.undone if step.op == "comment"}
    assert not gone & texts, "what was taken back is gone"


def test_two_people_at_one_video_lose_nothing_and_stop_nobody(tmp_path: Path) -> None:
    video, folder = cut_of_sample(tmp_path / "pond.mp4", FRAMES), tmp_path / "p"
    words = ("annotate", video, "--project", folder, "--user", "Ann")
    server = Server.start(*words)
    try:
        meeting = Meeting(server.address)
        with ThreadPoolExecutor(2) as threads:
            running = [threads.submit(meeting.works, 2 * SEED + number) for number in range(2)]
        results = [one.result() for one in running]
        failures = [one for one in results if isinstance(one, Exception)]
        for failure in sorted(failures, key=lambda one: isinstance(one, threading.BrokenBarrierError)):
            raise failure
        people, shown = zip(*results, strict=True)
        assert shown[0] == shown[1]
        server.kill()

        described = Video(video)
        project = Project(folder, described.describe(), described.size)
        for person in people:
            check_no_change_is_missed(person)
            check_steps(person, project)
        trackings = check_trackings([*people], project)
        project.close()

        server = Server.start(*words)
        with launched() as chromium:
            assert Page(chromium, server.address).page.evaluate(SNAPSHOT) == shown[0], "as before the restart"
    finally:
        server.stop()
    for person in people:
        print(f"{person.name}: {dict(sorted(person.counts.items()))}")
    print(f"{trackings} trackings, {shown[0]['revision']} changes in {SECONDS:g} s")
    done = {name for person in people for name in person.counts if person.counts[name]}
    if SECONDS >= 60:
        assert {f"{op} done" for op in (*LABELS, "track", "undo")} <= done
