"""The page where answers are late or out of date: the test is the server, and answers when it wants to."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from segue.masks import encode_rle
from tests.segue_web.chromium import needs_chromium
from tests.segue_web.pages.desk import HEIGHT, WIDTH, Desk
from tests.segue_web.pages.page import becomes, drawn, playwright

pytestmark = needs_chromium


def test_the_page_of_a_run_asks_for_one_image_at_a_time(desk: Desk) -> None:
    asked: list[str] = []

    def connect(route: Any) -> None:
        route.on_message(lambda text: asked.append(text))  # playwright takes functions only

    desk.page.route_web_socket(re.compile("/ws$"), connect)
    desk.page.goto(f"{desk.address}live.html")
    while not asked:
        desk.page.wait_for_timeout(10)
    for _ in range(4):  # held and on again, before the first image has come
        desk.page.keyboard.press("Space")
    drawn(desk.page)
    assert [json.loads(text)["op"] for text in asked] == ["next"]


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
    desk.next_asked("stop")
    assert desk.ops("track", "stop") == ["track", "stop"]


def test_the_image_stays_where_it_is_while_something_is_tracked(desk: Desk) -> None:
    desk.open()
    desk.change(0, 1)
    desk.here("Object 1: corrected by you")
    desk.page.keyboard.press("t")
    desk.next_asked("track")
    desk.send(json.dumps({"event": "progress", "what": "forward", "done": 1, "total": 8, "rate": 1}))
    desk.change(2, 1, kind="tracked", label="track")
    playwright.expect(desk.page.locator("#progress-what")).to_contain_text("1 of 8")
    desk.change(7, 2, label="click")  # of a person in the other window
    playwright.expect(desk.page.locator("#objects li")).to_have_count(2)
    playwright.expect(desk.page.locator("#frame")).to_have_value("0")


def test_the_browser_asks_before_it_leaves_changes_that_wait(one: Desk) -> None:
    asks = """() => {
      const event = new Event("beforeunload", { cancelable: true });
      dispatchEvent(event);
      return event.defaultPrevented;
    }"""
    assert not one.page.evaluate(asks)
    one.held = {"click"}
    one.click(0.2, 0.5)
    click = one.next("click")
    one.page.keyboard.press("b")
    one.click(0.7, 0.7)
    assert one.ops("stroke") == []
    assert one.page.evaluate(asks)
    one.answer(click, object=1)
    one.next_asked("stroke")
    becomes(one.page, "import('./static/state.js').then(({ state }) => state.pending === 0)")
    assert not one.page.evaluate(asks)


def test_an_export_has_the_click_before(desk: Desk) -> None:
    desk.held = {"click"}
    desk.open()
    desk.click(0.4, 0.4)
    click = desk.next("click")
    playwright.expect(desk.page.locator("#saved")).to_have_text("Saving …")
    desk.page.locator('[data-command="exportDialog"]').click()
    desk.page.locator('[data-format="coco"]').click()
    desk.page.locator("#export-run").click()
    desk.settle()
    assert desk.ops("export") == []
    desk.held = set()
    desk.answer(click, object=1)
    desk.next_asked("export")


def test_suggestions_are_added_once(desk: Desk) -> None:
    desk.held = {"find", "adopt"}
    desk.open()
    desk.page.keyboard.press("f")
    plane = np.zeros((HEIGHT, WIDTH), np.bool_)
    plane[:9, :9] = True
    found = {"counts": encode_rle(plane)["counts"], "label": None, "score": 0.5}
    desk.answer(desk.next("find"), found=[found], detector="motion")
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
    playwright.expect(desk.page.locator("#here-text")).to_contain_text(f"Group {name}: 2 objects")
    becomes(desk.page, "document.activeElement.className === 'pick'")  # the focus stays in the list


def test_loading_is_shown_and_is_no_part_of_the_time_left(desk: Desk) -> None:
    desk.open()
    rate = desk.page.locator("#progress-rate")
    progress = {"event": "progress", "what": "forward", "done": 0, "total": 10, "rate": 0}
    desk.send(json.dumps(progress))
    playwright.expect(rate).to_have_text("loading the network …")
    desk.send(json.dumps(progress | {"shown": [3, 25], "passes": 2}))
    playwright.expect(rate).to_have_text("the tracker reads your corrections: 4 of 25 …")
    playwright.expect(desk.page.locator("#progress-what")).to_contain_text("2 passes because objects overlap")
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


def test_a_press_on_a_list_is_not_lost_while_another_person_changes_it(desk: Desk) -> None:
    desk.open()
    desk.change(0, 1, 2)
    desk.here("corrected by you")
    rows = desk.page.locator("#objects li")
    playwright.expect(rows).to_have_count(2)
    desk.page.locator("#objects [data-focus=pick2]").hover()
    desk.page.mouse.down()
    desk.change(3, 3)
    desk.settle()
    playwright.expect(rows).to_have_count(2)
    desk.page.mouse.up()
    playwright.expect(rows).to_have_count(3)
    desk.here("Object 2")
    desk.page.locator("#objects [data-focus=lock2]").focus()
    desk.change(4, 4)
    playwright.expect(rows).to_have_count(4)
    becomes(desk.page, "document.activeElement.dataset.focus === 'lock2'")


def test_a_click_that_waits_for_the_network_says_so(desk: Desk) -> None:
    desk.held = {"hello", "click"}
    desk.page.goto(desk.address)
    desk.answer(desk.next("hello"), loading=True)
    progress, saved = desk.page.locator("#progress"), desk.page.locator("#saved")
    playwright.expect(progress).to_contain_text("Loading the network")
    desk.click(0.5, 0.5)
    playwright.expect(saved).to_have_text("Waiting for the network …")
    desk.send(json.dumps({"event": "loading", "loading": False}))
    playwright.expect(progress).to_be_hidden()
    playwright.expect(saved).to_have_text("Saving …")
