"""Tasks of a list of videos, and comments on places of the image."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.segue_web.chromium import needs_chromium
from tests.segue_web.pages.desk import Desk
from tests.segue_web.pages.page import check_accessibility, playwright
from tests.segue_web.pages.test_page_display import SMALL, pixel

pytestmark = needs_chromium

VIDEOS: list[dict[str, Any]] = [
    {"name": "a", "frames": 9, "annotated": 4, "reviewed": 1, "objects": 1, "state": "review"}
    | {"assigned": "Ann", "by": "Ann", "second": {"annotated": 3, "people": []}},
    {"name": "b", "state": "open"},
]


@pytest.fixture
def listed(desk: Desk) -> Desk:
    """The list of two videos is shown."""
    desk.held = {"hello", "videos", "agreement", "set_state", "assign"}
    desk.page.goto(desk.address)
    desk.answer(desk.next("hello"), videos=["a", "b"])
    desk.page.keyboard.press("Shift+F")
    desk.answer(desk.next("videos"), videos=VIDEOS, open=0)
    desk.page.locator(".videos").wait_for()
    return desk


def test_the_list_has_a_state_two_people_and_their_agreement(listed: Desk) -> None:
    dialog = listed.page.locator("#dialog")
    playwright.expect(dialog).to_contain_text("1 open, 0 in work, 1 to review, 0 done")
    check_accessibility(listed.page)
    assert listed.page.evaluate(SMALL) == []
    state = dialog.get_by_label("State of a")
    playwright.expect(state).to_have_value("review")
    state.select_option("done")
    asked = listed.next("set_state")
    assert (asked["number"], asked["state"], asked["seen"]) == (0, "done", "review")
    listed.answer(asked, error="another person says so")
    playwright.expect(state).to_have_value("review")
    dialog.get_by_label("Reviewer of a").fill("Ben")
    listed.page.keyboard.press("Enter")
    asked = listed.next("assign")
    assert (asked["person"], asked["seen"], asked["role"]) == ("Ben", "", "reviewer")
    listed.answer(asked)
    playwright.expect(
        dialog.locator(".videos li").nth(1).get_by_role("button", name="Agreement")
    ).to_be_disabled()
    dialog.get_by_role("button", name="Agreement").first.click()
    objects = [{"first": "fish", "second": "carp", "iou": 0.875, "frames": 3}]
    listed.answer(listed.next("agreement"), mean=0.875, objects=objects)
    playwright.expect(dialog).to_contain_text("Agreement on a: 0.875")
    playwright.expect(dialog.locator("tbody tr")).to_contain_text("fishcarp0.8753")


def test_a_second_look_is_opened(listed: Desk) -> None:
    listed.held = {"open"}
    listed.page.locator("#dialog").get_by_role("button", name="Second annotation: 3 frames").click()
    asked = listed.next("open")
    assert (asked["number"], asked["second"]) == (0, True)
    listed.page.evaluate("window.isBefore = true")
    listed.answer(asked, number=2, skipped=0)
    listed.page.wait_for_function("!window.isBefore && document.body.dataset.mode === 'annotate'")
    assert listed.page.url.endswith("#video=2"), "this page alone shows it"


def test_a_comment_is_on_the_place_under_the_pointer(one: Desk) -> None:
    before = pixel(one, 300, 100)
    one.page.mouse.move(*one.at(300, 100))
    one.held = {"people"}
    one.page.keyboard.press("'")
    one.answer(one.next("people"), people=[], changes=[])
    field = one.page.get_by_label("Comment", exact=True)
    field.fill("a hair is missing")
    one.page.keyboard.press("Enter")
    sent = one.next_asked("comment")
    assert (sent["frame"], sent["object"]) == (0, None)
    assert abs(sent["place"][0] - 300) <= 1
    assert abs(sent["place"][1] - 100) <= 1
    one.page.keyboard.press("Escape")
    comment = {
        "id": 1,
        "object": None,
        "frame": 0,
        "text": "a hair is missing",
        "user": "Ben",
        "resolved": "",
    }
    one.revision += 1
    event = {"event": "changed", "revision": one.revision, "comments": [comment | {"x": 300, "y": 100}]}
    one.send(json.dumps(event))
    one.page.mouse.move(*one.at(30, 200))
    assert pixel(one, 298, 100) != before, "it is marked there"
    one.page.keyboard.press("Shift+K")
    one.answer(one.next("people"), people=[], changes=[])
    playwright.expect(one.page.locator(".comments")).to_contain_text("frame 0, at 300, 100")
