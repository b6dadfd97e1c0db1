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
            picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            route.fulfill(body=cv2.imencode(".jpg", picture)[1].tobytes(), content_type="image/jpeg")
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
            film = {"name": "pond", "width": WIDTH, "height": HEIGHT, "frames": FRAMES, "fps": 25}
            known = {
                "mode": "annotate", "film": film | {"exact": True, "progress": 1}, "objects": self.about(),
                "timeline": self.timeline(), "history": {"undo": self.undo, "redo": None}, "settings": {},
                "detectors": ["motion"], "running": None, "interrupted": None, "folder": "p", "classes": [],
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
        nothing: Message = {"masks": {}, "prompts": {}, "polygons": {}, "marks": {}}
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

    def ops(self, *wanted: str) -> list[str]:
        return [message["op"] for message in self.asked if message["op"] in wanted]

    def settle(self) -> None:
        """Let the page hear all that was sent before, and draw it."""
        self.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def here(self, text: str) -> None:
        playwright.expect(self.page.locator("#here-text")).to_contain_text(text, timeout=WAIT)

    def click(self, x: float, y: float) -> None:
        box = self.page.locator("#canvas").bounding_box()
        self.page.mouse.click(box["x"] + box["width"] * x, box["y"] + box["height"] * y)


def test_the_page_of_a_run_asks_for_one_picture_at_a_time(desk: Desk) -> None:
    asked: list[str] = []

    def connect(route: Any) -> None:
        route.on_message(lambda text: asked.append(text))  # playwright takes functions only

    desk.index = "live.html"
    desk.page.route_web_socket(re.compile("/ws$"), connect)
    desk.page.goto(ADDRESS)
    while not asked:
        desk.page.wait_for_timeout(10)
    for _ in range(4):  # held and on again, before the first picture has come
        desk.page.keyboard.press("Space")
    desk.settle()
    assert asked == ["next"]


def test_a_look_from_before_an_edit_does_not_take_the_edit_back(desk: Desk) -> None:
    desk.held = {"look"}
    desk.open()
    first = desk.next("look")
    old = desk.look(0)
    desk.change(0, 1)
    desk.here("Object 1: corrected by you")
    desk.answer(first, frames=[old])
    desk.settle()
    desk.here("Object 1: corrected by you")
    desk.held = {"forget"}
    desk.page.keyboard.press("Delete")
    assert desk.next("forget")["seen"] == desk.revision, "the edit is of the frame as it is now"


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


def test_what_a_page_begins_with_is_not_older_than_what_it_has_heard(desk: Desk) -> None:
    desk.held = {"hello"}
    desk.page.goto(ADDRESS)
    hello = desk.next("hello")
    old = {"objects": [], "timeline": [], "revision": 0}
    desk.change(0, 1)
    desk.answer(hello, **old)
    desk.answer(desk.next("hello"))
    desk.here("Object 1: corrected by you")


def test_a_new_object_is_begun_while_the_click_before_is_not_answered(desk: Desk) -> None:
    desk.held = {"click"}
    desk.open()
    desk.click(0.4, 0.4)
    first = desk.next("click")
    desk.click(0.45, 0.4)  # of the same object, which has no id yet
    desk.page.keyboard.press("n")
    desk.click(0.6, 0.6)
    desk.change(0, 1, prompts={"1": {"points": [[1, 1, True]], "box": None}})
    desk.answer(first, object=1, extents=["whole"], extent="whole")
    second = desk.next("click")
    desk.answer(second, object=1, extents=["whole"], extent="whole")
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
    desk.answer(first, object=1, extents=["whole"], extent="whole")
    desk.settle()
    desk.here("Object 2: corrected by you")


def test_a_mask_is_forgotten_of_the_object_that_was_chosen(desk: Desk) -> None:
    desk.objects = [1, 2]
    desk.held = {"object", "forget"}
    desk.open()
    desk.change(0, 1, 2)
    desk.here("Object 1: corrected by you")
    desk.page.keyboard.press("l")  # takes a while
    desk.page.keyboard.press("Delete")
    desk.page.keyboard.press("2")
    desk.answer(desk.next("object"))
    assert desk.next("forget")["object"] == 1


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
    desk.answer(click, **{"error": "the disk is full"} if refused else {"object": 1, "extents": ["whole"]})
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
    desk.answer(click, object=1, extents=["whole"], extent="whole")
    track = desk.next("track")
    assert track["frame"] == 0, "from the frame on which the key was pressed"
    desk.answer(track)
    while not desk.ops("stop"):
        desk.page.wait_for_timeout(10)
    assert desk.ops("track", "stop") == ["track", "stop"]


def test_the_picture_stays_where_it_is_while_something_is_tracked(desk: Desk) -> None:
    desk.open()
    desk.change(0, 1)
    desk.here("Object 1: corrected by you")
    desk.page.keyboard.press("t")
    while not desk.ops("track"):
        desk.page.wait_for_timeout(10)
    desk.send(json.dumps({"event": "progress", "what": "forward", "done": 1, "total": 8, "rate": 1}))
    desk.change(2, 1, kind="tracked", label="track")
    playwright.expect(desk.page.locator("#progress-what")).to_contain_text("1 of 8", timeout=WAIT)
    desk.change(7, 2, label="click")  # of a person in the other window
    playwright.expect(desk.page.locator("#objects li")).to_have_count(2, timeout=WAIT)
    playwright.expect(desk.page.locator("#frame")).to_have_value("0", timeout=WAIT)


def test_an_export_has_the_click_before(desk: Desk) -> None:
    desk.held = {"click"}
    desk.open()
    desk.click(0.4, 0.4)
    click = desk.next("click")
    playwright.expect(desk.page.locator("#saved")).to_have_text("Saving …", timeout=WAIT)
    desk.page.locator('[data-command="exportDialog"]').click()
    desk.page.locator('[data-format="coco"]').click()
    desk.settle()
    assert desk.ops("export") == []
    desk.held = set()
    desk.answer(click, object=1, extents=["whole"], extent="whole")
    while not desk.ops("export"):
        desk.page.wait_for_timeout(10)


def test_a_click_with_the_keyframe_tool_waits_for_the_polygons(desk: Desk) -> None:
    desk.held = {"look"}
    desk.open()
    desk.page.keyboard.press("i")
    for x, y in ((0.4, 0.4), (0.6, 0.4), (0.6, 0.6)):
        desk.click(x, y)
    begun = desk.next("look")
    for look in [desk.next("look") for _ in range(3)]:
        desk.answer(look)
    desk.settle()
    desk.answer(begun)
    desk.held = {"polygon"}
    desk.page.keyboard.press("Enter")
    assert len(desk.next("polygon")["corners"]) == 3


def test_a_polygon_that_is_moved_twice_is_moved_from_where_it_was_left(desk: Desk) -> None:
    corners = [[100, 60], [200, 60], [200, 120], [100, 120]]
    desk.objects = [1]
    desk.looks[0] = {
        "polygons": {"1": {"corners": corners, "kind": "between"}},
        "marks": {"1": ["interpolated", 1.0, 400, None, None]},
    }
    desk.held = {"polygon"}
    desk.open()
    desk.here("Object 1: interpolated")
    desk.page.keyboard.press("i")
    desk.settle()
    middle = desk.page.locator("#canvas").bounding_box()
    scale = min((middle["width"] - 40) / WIDTH, (middle["height"] - 40) / HEIGHT)
    left = middle["x"] + (middle["width"] - WIDTH * scale) / 2
    top = middle["y"] + (middle["height"] - HEIGHT * scale) / 2
    for x in (150, 170):  # each time 20 pixels to the right
        desk.page.mouse.move(left + x * scale, top + 90 * scale)
        desk.page.mouse.down()
        desk.page.mouse.move(left + (x + 20) * scale, top + 90 * scale, steps=3)
        desk.page.mouse.up()
    desk.page.keyboard.press("Enter")  # it is being saved: not the one of before once more
    desk.answer(desk.next("polygon"), object=1, frames=0)
    second = desk.next("polygon")
    assert [round(x) for x, _ in second["corners"]] == [140, 240, 240, 140]
    desk.answer(second, object=1, frames=0)
    desk.settle()
    assert desk.ops("polygon") == ["polygon"] * 2


def test_suggestions_are_added_once(desk: Desk) -> None:
    desk.held = {"find", "adopt"}
    desk.open()
    desk.page.keyboard.press("f")
    plane = np.zeros((HEIGHT, WIDTH), np.bool_)
    plane[:9, :9] = True
    found = {"counts": encode_rle(plane)["counts"], "label": None, "score": 0.5, "box": None}
    desk.answer(desk.next("find"), found=[found], look=1)
    desk.page.locator('[data-command="adopt"]').dblclick()
    refused = desk.next("adopt")
    assert desk.ops("adopt") == ["adopt"]
    desk.answer(refused, error="the disk is full")
    playwright.expect(desk.page.locator("#found li")).to_have_count(1, timeout=WAIT)
