"""Forty objects on the page: each can be found, named and chosen without scrolling for its fields."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.segue_web.chromium import needs_chromium
from tests.segue_web.pages.desk import Desk
from tests.segue_web.pages.page import becomes, playwright
from tests.segue_web.pages.test_page_messages import UNCOVERED

pytestmark = needs_chromium

HEAD, ROW = 18, 20
"""Heights of the ruler and of a row of the timeline, in pixels."""


@pytest.fixture
def forty(desk: Desk) -> Desk:
    desk.page.set_viewport_size({"width": 1366, "height": 768})
    desk.objects = list(range(1, 41))
    desk.frames = 200
    desk.open()
    return desk


def regroup(desk: Desk, **groups: list[int]) -> None:
    rows = desk.about()
    for row in rows:
        row["group"] = next((name for name, members in groups.items() if row["id"] in members), "")
    desk.revision += 1
    desk.send(json.dumps({"event": "changed", "revision": desk.revision, "objects": rows}))


def test_the_fields_of_the_chosen_object_are_in_sight(forty: Desk) -> None:
    for part in ("name", "category", "group", "attribute", "here-actions", "mask-actions", "tab-found"):
        becomes(forty.page.locator(f"#{part}"), UNCOVERED)


def test_the_chosen_object_is_scrolled_to_and_named_in_sight(forty: Desk) -> None:
    forty.page.evaluate("import('./static/state.js').then(({ state }) => state.choose(33))")
    row = forty.page.locator("#objects li.chosen")
    playwright.expect(row).to_contain_text("Object 33")
    becomes(row, UNCOVERED)
    forty.page.keyboard.press("F2")
    name = forty.page.locator("#name")
    playwright.expect(name).to_be_focused()
    playwright.expect(name).to_be_in_viewport()
    becomes(forty.page, "getSelection().toString() === 'Object 33'")


def test_a_filter_holds_for_the_list_and_the_timeline(forty: Desk) -> None:
    forty.page.locator("#filter").fill("object 3")
    playwright.expect(forty.page.locator("#objects li")).to_have_count(11)
    playwright.expect(forty.page.locator("#objects li").nth(1).locator(".number")).to_have_text("38")
    forty.page.locator("#timeline-box").evaluate("node => node.scrollTop = 0")
    forty.settle()
    forty.page.locator("#timeline").click(position={"x": 40, "y": HEAD + ROW * 1.5})
    playwright.expect(forty.page.locator("#name")).to_have_value("Object 38")
    forty.page.locator("#filter").fill("nothing of that kind")
    playwright.expect(forty.page.locator("#objects-empty")).to_contain_text("No object matches")


def test_the_timeline_has_a_row_with_a_name_for_each_object(forty: Desk) -> None:
    forty.page.locator("#timeline-box").evaluate("node => node.scrollTop = 0")
    forty.settle()
    forty.page.locator("#timeline").click(position={"x": 40, "y": HEAD + ROW * 2.5})
    playwright.expect(forty.page.locator("#name")).to_have_value("Object 38")
    forty.page.locator("#timeline-box").evaluate("node => node.scrollTop = node.scrollHeight")
    forty.settle()
    height = forty.page.locator("#timeline").bounding_box()["height"]
    forty.page.locator("#timeline").click(position={"x": 40, "y": height - ROW / 2})
    playwright.expect(forty.page.locator("#name")).to_have_value("Object 1")
    playwright.expect(forty.page.locator("#frame")).to_have_value("0")


def test_the_list_has_the_order_of_the_image_also_with_groups(forty: Desk) -> None:
    regroup(forty, left=[2, 3, 5])
    rows = forty.page.locator("#objects li:not(.members)")
    playwright.expect(rows.nth(39)).to_contain_text("Object 1")
    assert rows.locator(".number").all_inner_texts() == [str(n) for n in range(40, 0, -1)]
    heads = forty.page.locator("#objects li.members, #objects li.member")
    assert [text.split("\n")[0] for text in heads.all_inner_texts()] == ["left", "5", "left", "3", "2"]
    forty.page.keyboard.press("2")
    playwright.expect(forty.page.locator("#name")).to_have_value("Object 2")
    forty.page.locator("#timeline-box").evaluate("node => node.scrollTop = 0")
    forty.settle()
    forty.page.locator("#timeline").click(position={"x": 40, "y": HEAD + ROW * 3.5})
    playwright.expect(forty.page.locator("#name")).to_have_value("Object 37")


def test_the_number_of_an_object_is_its_own(desk: Desk) -> None:
    desk.objects = [3, 1, 2]
    desk.open()
    rows = desk.page.locator("#objects li")
    playwright.expect(rows.nth(0)).to_contain_text("Object 2")
    assert desk.page.locator("#objects .number").all_inner_texts() == ["2", "1", "3"]
    desk.page.keyboard.press("3")
    playwright.expect(desk.page.locator("#name")).to_have_value("Object 3")


def test_the_timeline_is_zoomed_and_scrolled(forty: Desk) -> None:
    box = forty.page.locator("#timeline-box")
    canvas: Any = forty.page.locator("#timeline").bounding_box()
    becomes(box, "node => node.scrollWidth <= node.clientWidth")  # all frames are shown
    forty.page.mouse.move(canvas["x"] + 400, canvas["y"] + 40)
    forty.page.keyboard.down("Control")
    for _ in range(4):
        forty.page.mouse.wheel(0, -200)
    forty.page.keyboard.up("Control")
    forty.settle()
    becomes(box, "node => node.scrollWidth > 3 * node.clientWidth")
    forty.settle()

    box.evaluate("node => node.scrollLeft = node.scrollWidth")
    forty.settle()
    forty.page.mouse.click(canvas["x"] + canvas["width"] - 2, canvas["y"] + 40)
    playwright.expect(forty.page.locator("#frame")).to_have_value("199")
    box.evaluate("node => node.scrollLeft = 0")
    forty.settle()
    forty.page.mouse.click(canvas["x"] + 134, canvas["y"] + 40)
    playwright.expect(forty.page.locator("#frame")).to_have_value("0")
    forty.page.keyboard.press("End")
    forty.settle()
    becomes(box, "node => node.scrollLeft > node.scrollWidth / 2")  # the frame stays in sight


def test_a_narrow_window_stays_where_it_is_when_an_object_is_chosen(forty: Desk) -> None:
    forty.page.set_viewport_size({"width": 900, "height": 600})
    for object in (30, 3):
        forty.page.evaluate("id => import('./static/state.js').then(({ state }) => state.choose(id))", object)
        playwright.expect(forty.page.locator("#name")).to_have_value(f"Object {object}")
        forty.settle()
        assert forty.page.locator("#tools").bounding_box()["x"] == 0
    forty.page.keyboard.press("F2")
    becomes(forty.page.locator("#name"), UNCOVERED)  # the drawer opens
    assert forty.page.locator("#tools").bounding_box()["x"] == 0


def test_a_range_does_not_move_the_image(forty: Desk) -> None:
    before = forty.page.locator("#canvas").bounding_box()
    forty.page.keyboard.press("End")
    forty.page.keyboard.press("<")
    playwright.expect(forty.page.locator("#range")).to_have_text("frames 199 to 199")
    assert forty.page.locator("#canvas").bounding_box() == before
    for part in ("#range", "#frame-count", "#seek", '[data-command="rangeTo"]'):
        becomes(forty.page.locator(part), UNCOVERED)


def test_the_list_has_the_new_order_after_a_drag(desk: Desk) -> None:
    desk.objects = [1, 2, 3]
    desk.open()
    rows = desk.page.locator("#objects li")
    rows.nth(0).drag_to(rows.nth(2), target_position={"x": 150, "y": 24})
    desk.next_asked("layer")
    desk.page.wait_for_timeout(300)  # the drag has ended
    desk.objects = [3, 1, 2]
    desk.tell_objects()
    desk.settle()
    desk.page.mouse.move(600, 300)
    playwright.expect(rows.nth(0)).to_contain_text("Object 2", timeout=5000)


def test_objects_are_dragged_over_one_another(desk: Desk) -> None:
    desk.objects = [1, 2, 3]
    desk.open()
    rows = desk.page.locator("#objects li")
    # From above: objects 3, 2, 1. The topmost goes below all, the lowest above all, the topmost one down.
    for source, target, place, expected in ((0, 2, 24, 1), (2, 0, 4, None), (0, 1, 24, 2)):
        rows.nth(source).drag_to(rows.nth(target), target_position={"x": 150, "y": place})
        message = desk.asked("layer")[-1]
        assert (message["object"], message["below"]) == (3 - source, expected)
    assert len(desk.asked("layer")) == 3
    playwright.expect(desk.page.locator("#drop")).to_be_hidden()
    rows.nth(0).locator(".pick").click()
    desk.page.keyboard.press("{")
    message = desk.asked("layer")[-1]
    assert (message["object"], message["below"]) == (3, 1), "the chosen one below all"
    assert len(desk.asked("layer")) == 4
    desk.page.keyboard.press("}")
    assert len(desk.asked("layer")) == 4, "it is on top already"
