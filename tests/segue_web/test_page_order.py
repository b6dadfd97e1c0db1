"""The page where answers are late or out of date: the test is the server, and answers when it wants to."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from segue.masks import encode_rle
from segue_web.guard import STATIC
from tests.segue_web.chromium import needs_chromium
from tests.segue_web.test_page import WAIT, playwright

pytestmark = needs_chromium

ADDRESS = "http://page.test/s3cret/"
HEIGHT, WIDTH, FRAMES = 240, 432, 9
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

Message = dict[str, Any]


@pytest.fixture
def desk(browser: Any) -> Iterator[Desk]:
    desk = Desk(browser)
    yield desk
    assert desk.errors == []
    desk.page.close()


class Desk:
    """A page, and the project behind it as the test has it: objects, revisions, and masks of frames.

    What is asked is answered at once, but for the requests in ``held``, which wait for :meth:`answer`.
    """

    def __init__(self, browser: Any) -> None:
        self.index = "index.html"
        self.held: set[str] = set()
        self.waiting: list[Message] = []
        self.asked: list[Message] = []
        self.revision = 0
        self.objects: list[int] = []
        self.undo: str | None = None
        self.looks: dict[int, Message] = {}
        self.errors: list[str] = []
        self.send: Callable[[str], None] = lambda _: None
        self.page = browser.new_page(viewport={"width": 1360, "height": 820}, reduced_motion="reduce")
        self.page.set_default_timeout(WAIT)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.route(f"{ADDRESS}**", self._file)
        self.page.route_web_socket(re.compile("/ws$"), self._connect)

    def open(self) -> None:
        self.page.goto(ADDRESS)
        self.page.wait_for_selector("body[data-mode=annotate]")

    def _file(self, route: Any) -> None:
        name = route.request.url.removeprefix(ADDRESS).partition("?")[0]
        if name.startswith("frame/"):
            image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            route.fulfill(body=cv2.imencode(".jpg", image)[1].tobytes(), content_type="image/jpeg")
            return
        path = STATIC / (name.removeprefix("static/") or self.index)
        route.fulfill(body=path.read_bytes(), content_type=KINDS[path.suffix])

    def _connect(self, route: Any) -> None:
        self.send = route.send
        route.on_message(self._hear)

    def _hear(self, text: str) -> None:
        message = json.loads(text)
        self.asked.append(message)
        if message["op"] in self.held:
            self.waiting.append(message)
        else:
            self.answer(message)

    def answer(self, message: Message, **fields: Any) -> None:
        """Answer with what is known now, and with these."""
        known: Message = {}
        if message["op"] == "hello":
            video = {"name": "pond", "width": WIDTH, "height": HEIGHT, "frames": FRAMES, "fps": 25}
            video |= {"pixel_aspect": 1, "times": None}
            known = {
                "mode": "annotate", "video": video, "objects": self.about(),
                "timeline": self.timeline(), "history": {"undo": self.undo, "redo": None}, "settings": {},
                "detectors": ["motion"], "running": None, "interrupted": None, "folder": "p", "classes": [],
                "formats": [{"id": "coco", "group": "Data sets", "name": "COCO", "text": "one JSON"}],
                "revision": self.revision,
            }  # fmt: skip
        elif message["op"] == "look":
            known = {"frames": [self.look(frame) for frame in message["frames"]]}
        self.send(json.dumps({"id": message["id"], **known, **fields}))

    def about(self) -> list[Message]:
        shown = {"colour": "#f2495c", "visible": True, "locked": False, "category": "", "group": ""}
        return [{"id": i, "name": f"Object {i}", **shown, "attributes": {}} for i in self.objects]

    def timeline(self) -> list[list[Any]]:
        return [[f, int(i), *m] for f, look in self.looks.items() for i, m in look["marks"].items()]

    def look(self, frame: int) -> Message:
        nothing: Message = {"masks": {}, "prompts": {}, "marks": {}}
        return nothing | self.looks.get(frame, {}) | {"frame": frame, "revision": self.revision}

    def change(
        self, frame: int, *objects: int, kind: str = "given", label: str = "click", **fields: Any
    ) -> None:
        """Give these objects a mask on a frame, and say so to the page."""
        plane = np.zeros((HEIGHT, WIDTH), np.bool_)
        plane[40:60, 40:60] = True
        self.revision += 1
        self.undo = label
        new = [i for i in objects if i not in self.objects]
        self.objects += new
        masks = {str(i): encode_rle(plane)["counts"] for i in objects}
        marks = {str(i): [kind, 1.0, 400, None, None] for i in objects}
        self.looks[frame] = {"masks": masks, "marks": marks, **fields}
        event: Message = {"event": "changed", "revision": self.revision, "frames": [self.look(frame)]}
        if new:
            event["objects"] = self.about()
        self.send(json.dumps(event | {"history": {"undo": self.undo, "redo": None}}))

    def next(self, op: str) -> Message:
        """Wait for a held request of this kind; others stay."""
        for _ in range(WAIT // 10):
            for message in self.waiting:
                if message["op"] == op:
                    self.waiting.remove(message)
                    return message
            self.page.wait_for_timeout(10)
        raise AssertionError(f"the page does not ask to {op}")

    def next_asked(self, op: str, place: int = 0) -> Message:
        """Wait for a request of this kind, the first one or a later one."""
        for _ in range(WAIT // 10):
            found = [message for message in self.asked if message["op"] == op]
            if len(found) > place:
                return found[place]
            self.page.wait_for_timeout(10)
        raise AssertionError(f"the page does not ask to {op}")

    def ops(self, *wanted: str) -> list[str]:
        return [message["op"] for message in self.asked if message["op"] in wanted]

    def settle(self) -> None:
        """Let the page hear all that was sent before, and draw it."""
        self.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def here(self, text: str) -> None:
        playwright.expect(self.page.locator("#here-text")).to_contain_text(text)

    def click(self, x: float, y: float) -> None:
        box = self.page.locator("#canvas").bounding_box()
        self.page.mouse.click(box["x"] + box["width"] * x, box["y"] + box["height"] * y)


def test_the_page_of_a_run_asks_for_one_image_at_a_time(desk: Desk) -> None:
    asked: list[str] = []

    def connect(route: Any) -> None:
        route.on_message(lambda text: asked.append(text))  # playwright takes functions only

    desk.index = "live.html"
    desk.page.route_web_socket(re.compile("/ws$"), connect)
    desk.page.goto(ADDRESS)
    while not asked:
        desk.page.wait_for_timeout(10)
    for _ in range(4):  # held and on again, before the first image has come
        desk.page.keyboard.press("Space")
    desk.settle()
    assert asked == ["next"]


def test_a_look_from_before_a_change_of_many_frames_is_asked_for_again(desk: Desk) -> None:
    desk.held = {"look"}
    desk.open()
    first = desk.next("look")
    old = [desk.look(frame) for frame in first["frames"]]
    desk.objects, desk.revision = [1], 5
    desk.looks = {0: {"marks": {"1": ["imported", 1.0, 400, None, None]}, "masks": {}}}
    event = {"event": "changed", "revision": 5, "objects": desk.about(), "timeline": desk.timeline()}
    desk.send(json.dumps(event | {"history": {"undo": "import", "redo": None}}))
    desk.here("Object 1: imported")
    desk.answer(first, frames=old)
    desk.settle()
    desk.here("Object 1: imported")
    again = desk.next("look")
    while again["frames"] != first["frames"]:  # the event itself asks for the frame that is shown
        again = desk.next("look")


def test_a_new_object_is_begun_while_the_click_before_is_not_answered(desk: Desk) -> None:
    desk.held = {"click"}
    desk.open()
    desk.click(0.4, 0.4)
    first = desk.next("click")
    desk.click(0.45, 0.4)  # of the same object, which has no id yet
    desk.page.keyboard.press("n")
    desk.click(0.6, 0.6)
    desk.change(0, 1, prompts={"1": {"points": [[1, 1, True]], "box": None}})
    desk.answer(first, object=1)
    second = desk.next("click")
    desk.answer(second, object=1)
    third = desk.next("click")
    assert [message["object"] for message in (first, second, third)] == [None, 1, None]
    assert [len(message["points"]) for message in (second, third)] == [2, 1]


def test_an_object_that_is_chosen_while_a_click_is_not_answered_stays_chosen(desk: Desk) -> None:
    desk.objects = [1, 2]
    desk.held = {"click"}
    desk.open()
    desk.click(0.4, 0.4)
    desk.page.keyboard.press("2")
    first = desk.next("click")
    desk.change(0, 1, 2)
    desk.answer(first, object=1)
    desk.settle()
    desk.here("Object 2: corrected by you")


@pytest.mark.parametrize(("refused", "left"), [(True, ["undo"]), (False, ["undo", "undo"])])
def test_undo_of_a_click_that_is_refused_leaves_the_step_before(
    desk: Desk, refused: bool, left: list[str]
) -> None:
    desk.held = {"click", "undo"}
    desk.open()
    desk.change(0, 1)
    desk.here("Object 1: corrected by you")
    desk.click(0.4, 0.4)
    click = desk.next("click")
    desk.page.keyboard.press("z")
    desk.page.keyboard.press("z")  # this one is for the step before the click
    desk.answer(click, **{"error": "the disk is full"} if refused else {"object": 1})
    for _ in left:
        desk.answer(desk.next("undo"), label="click", frames=[0])
    desk.page.wait_for_selector('[data-command="undo"]:not([disabled])')
    desk.settle()
    assert desk.ops("undo") == left


def test_track_and_escape_wait_for_the_click_before(desk: Desk) -> None:
    desk.held = {"click", "track"}
    desk.open()
    desk.click(0.4, 0.4)
    desk.page.keyboard.press("t")
    desk.page.keyboard.press("t")  # once is enough
    desk.page.keyboard.press("ArrowRight")
    click = desk.next("click")
    desk.page.keyboard.press("Escape")
    desk.settle()
    assert desk.ops("track", "stop") == []
    desk.change(0, 1)
    desk.answer(click, object=1)
    track = desk.next("track")
    assert track["frame"] == 0, "from the frame on which the key was pressed"
    desk.answer(track)
    while not desk.ops("stop"):
        desk.page.wait_for_timeout(10)
    assert desk.ops("track", "stop") == ["track", "stop"]


def test_the_image_stays_where_it_is_while_something_is_tracked(desk: Desk) -> None:
    desk.open()
    desk.change(0, 1)
    desk.here("Object 1: corrected by you")
    desk.page.keyboard.press("t")
    while not desk.ops("track"):
        desk.page.wait_for_timeout(10)
    desk.send(json.dumps({"event": "progress", "what": "forward", "done": 1, "total": 8, "rate": 1}))
    desk.change(2, 1, kind="tracked", label="track")
    playwright.expect(desk.page.locator("#progress-what")).to_contain_text("1 of 8")
    desk.change(7, 2, label="click")  # of a person in the other window
    playwright.expect(desk.page.locator("#objects li")).to_have_count(2)
    playwright.expect(desk.page.locator("#frame")).to_have_value("0")


def test_an_export_has_the_click_before(desk: Desk) -> None:
    desk.held = {"click"}
    desk.open()
    desk.click(0.4, 0.4)
    click = desk.next("click")
    playwright.expect(desk.page.locator("#saved")).to_have_text("Saving …")
    desk.page.locator('[data-command="exportDialog"]').click()
    desk.page.locator('[data-format="coco"]').click()
    desk.settle()
    assert desk.ops("export") == []
    desk.held = set()
    desk.answer(click, object=1)
    while not desk.ops("export"):
        desk.page.wait_for_timeout(10)


def test_suggestions_are_added_once(desk: Desk) -> None:
    desk.held = {"find", "adopt"}
    desk.open()
    desk.page.keyboard.press("f")
    plane = np.zeros((HEIGHT, WIDTH), np.bool_)
    plane[:9, :9] = True
    found = {"counts": encode_rle(plane)["counts"], "label": None, "score": 0.5}
    desk.answer(desk.next("find"), found=[found])
    desk.page.locator('[data-command="adopt"]').dblclick()
    refused = desk.next("adopt")
    assert desk.ops("adopt") == ["adopt"]
    desk.answer(refused, error="the disk is full")
    playwright.expect(desk.page.locator("#found li")).to_have_count(1)


def test_between_can_be_used_between_two_corrected_frames_alone(desk: Desk) -> None:
    desk.open()
    between = desk.page.locator('[data-command="trackBetween"]')
    desk.change(0, 1)
    desk.here("corrected by you")
    playwright.expect(between).to_be_disabled()
    desk.change(8, 1)
    playwright.expect(between).to_be_enabled()
    desk.page.keyboard.press("End")
    playwright.expect(between).to_be_disabled()
    desk.page.keyboard.press("ArrowLeft")
    playwright.expect(between).to_be_enabled()
    desk.page.keyboard.press("g")
    assert desk.next_asked("track")["direction"] == "between"


def test_caps_lock_does_not_change_what_keys_do(desk: Desk) -> None:
    desk.open()
    desk.change(0, 1)
    desk.here("corrected by you")
    desk.page.keyboard.press("T")  # without the Shift key
    assert desk.next_asked("track")["direction"] == "forward"


def test_an_object_gets_another_name_and_never_an_empty_one(desk: Desk) -> None:
    desk.held = {"object"}
    desk.objects = [1]
    desk.open()
    for typed in ("", "  ", "Koi"):
        desk.page.keyboard.press("F2")
        desk.page.keyboard.type(typed or "x")
        desk.page.locator("#name").fill(typed)
        desk.page.keyboard.press("Enter")
    asked = desk.next("object")
    assert {name: asked[name] for name in ("object", "also", "name")} == {
        "object": 1,
        "also": [],
        "name": "Koi",
    }
    assert desk.errors == []


def test_an_attribute_needs_no_value(desk: Desk) -> None:
    desk.open()
    desk.change(0, 1)
    desk.here("corrected by you")
    desk.page.locator("#attribute").fill("occluded")
    desk.page.keyboard.press("Enter")
    desk.page.locator("#attribute").fill("pose: sits: still")
    desk.page.keyboard.press("Enter")
    assert desk.next_asked("object")["attributes"] == {"occluded": ""}
    assert desk.next_asked("object", 1)["attributes"] == {"pose": "sits: still"}


def test_groups_may_be_called_anything(desk: Desk) -> None:
    name = 'left "door" \\ <b>'
    desk.open()
    desk.change(0, 1, 2)
    desk.here("corrected by you")
    desk.revision += 1
    grouped = [item | {"group": name} for item in desk.about()]
    desk.send(json.dumps({"event": "changed", "revision": desk.revision, "objects": grouped}))
    row = desk.page.locator("#objects li.members")
    playwright.expect(row).to_contain_text(name)
    row.locator("button.pick").click()
    playwright.expect(desk.page.locator("#here-text")).to_contain_text(f"The group {name}: 2 objects")
    assert desk.page.evaluate("document.activeElement.className") == "pick", "the focus stays in the list"


def test_loading_is_shown_and_is_no_part_of_the_time_left(desk: Desk) -> None:
    desk.open()
    rate = desk.page.locator("#progress-rate")
    progress = {"event": "progress", "what": "forward", "done": 0, "total": 10, "rate": 0}
    desk.send(json.dumps(progress))
    playwright.expect(rate).to_have_text("loading the network …")
    desk.send(json.dumps(progress | {"done": 2, "rate": 2.0}))
    playwright.expect(rate).to_have_text("2.0 frames/s, 4 s left")


def test_a_press_on_a_list_is_not_lost_while_something_is_tracked(desk: Desk) -> None:
    desk.open()
    desk.change(0, 1, 2)
    desk.change(1, 1, kind="tracked", label="track")
    desk.here("corrected by you")
    progress = {"event": "progress", "what": "forward", "done": 1, "total": 9, "rate": 1}
    for button, frames in (("#objects [data-focus=lock2]", (2, 3)), ("#objects [data-focus=pick2]", (4, 5))):
        box = desk.page.locator(button).bounding_box()
        desk.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        desk.page.mouse.down()
        for frame in frames:
            desk.change(frame, 1, kind="tracked", label="track")
            desk.send(json.dumps(progress))
            desk.settle()
        desk.page.mouse.up()
    assert desk.next_asked("object")["locked"] is True
    desk.here("Object 2")
