"""Masks are copied, mended, merged and split from the page."""

from __future__ import annotations

from typing import Any

import pytest

from tests.segue_web.chromium import needs_chromium
from tests.segue_web.pages.desk import Desk
from tests.segue_web.pages.page import playwright, press

pytestmark = needs_chromium


@pytest.fixture
def two(desk: Desk) -> Desk:
    """Object 1 has a mask on frame 0, object 2 on frame 3; object 1 is chosen on frame 0."""
    desk.open()
    desk.change(0, 1)
    desk.change(3, 2)
    playwright.expect(desk.page.locator("#objects li")).to_have_count(2)
    desk.page.keyboard.press("1")
    desk.here("Object 1: corrected by you")
    return desk


def asked(desk: Desk, op: str, *fields: str) -> list[Any]:
    message = desk.next_asked(op)
    return [message[field] for field in fields]


def test_buttons_fill_holes_and_remove_specks(two: Desk) -> None:
    for name in ("fillHoles", "removeSpecks"):
        press(two.page, name)
    two.next_asked("clean", 1)
    assert [(message["object"], message["frame"], message["what"]) for message in two.asked("clean")] == [
        (1, 0, "holes"),
        (1, 0, "specks"),
    ]
    two.page.keyboard.press("End")
    for name in ("fillHoles", "copyMask", "spreadMask"):
        playwright.expect(two.page.locator(f'[data-command="{name}"]')).to_be_disabled()


def test_a_mask_is_copied_and_pasted_by_keys(two: Desk) -> None:
    two.page.keyboard.press("Control+c")
    playwright.expect(two.page.locator(".notice", has_text="Copied")).to_be_visible()
    two.page.keyboard.press("End")
    two.page.keyboard.press("Control+v")

    assert asked(two, "paste", "frame", "object", "of_frame", "of_object") == [8, 1, 0, 1]


def test_a_mask_is_copied_to_a_range(two: Desk) -> None:
    press(two.page, "spreadMask")
    two.page.get_by_label("Last frame").last.fill("5")
    two.page.locator("#dialog button.primary").click()

    assert asked(two, "spread", "frame", "object", "first", "last") == [0, 1, 1, 5]


def test_an_object_is_split_at_the_frame_and_merged_with_another_one(two: Desk) -> None:
    two.page.keyboard.press("ArrowRight")
    press(two.page, "splitObject")
    assert asked(two, "split", "object", "frame") == [1, 1]

    press(two.page, "mergeObject")
    two.page.get_by_label("The other object").select_option("2")
    two.page.locator("#dialog button.primary").click()
    assert asked(two, "merge", "object", "into") == [1, 2]
    playwright.expect(two.page.locator("#name")).to_have_value("Object 2")


def test_frames_on_which_an_object_jumps_are_listed_to_be_looked_at(two: Desk) -> None:
    two.held = {"review"}
    two.change(4, 1, kind="tracked")
    two.page.locator("#tab-next").click()
    two.answer(two.next("review"), flaws=[[4, 1, "moves 80 px"]])
    row = two.page.locator("#next li")
    playwright.expect(row).to_have_count(1)
    playwright.expect(row).to_contain_text("moves 80 px")
    row.get_by_role("button").click()
    playwright.expect(two.page.locator("#frame")).to_have_value("4")

    two.change(4, 1)
    two.answer(two.next("review"), flaws=[])
    playwright.expect(row).to_have_count(0)


def test_a_corner_of_a_mask_is_dragged(two: Desk) -> None:
    corners = [[40.5, 40.5], [60.5, 40.5], [60.5, 60.5], [40.5, 60.5]]
    two.held = {"outline"}
    two.page.keyboard.press("p")
    two.answer(two.next("outline"), polygons=[{"points": corners, "hole": False}])
    shown = "import('./static/view.js').then(({ view }) => view.corners.length)"
    while two.page.evaluate(shown) != 4:
        two.settle()
    two.page.mouse.move(*two.at(60.5, 40.5))
    two.page.mouse.down()
    two.page.mouse.move(*two.at(90, 20), steps=4)
    two.page.mouse.up()

    [before, after, hole] = asked(two, "reshape", "before", "after", "hole")
    assert before == corners
    assert hole is False
    assert [after[0], after[2:]] == [corners[0], corners[2:]]
    assert after[1] == pytest.approx([90, 20], abs=1)
    two.page.mouse.click(*two.at(200, 100))
    two.page.mouse.click(*two.at(250, 100))
    two.page.mouse.click(*two.at(250, 150))
    two.page.keyboard.press("Enter")
    assert len(asked(two, "stroke", "path")[0]) == 3, "elsewhere a new polygon begins"


def test_a_line_of_the_scribble_is_sent_as_it_was_drawn(two: Desk) -> None:
    two.page.keyboard.press("Shift+I")
    two.page.mouse.move(*two.at(50, 50))
    two.page.mouse.down()
    two.page.mouse.move(*two.at(90, 60), steps=4)
    two.page.mouse.up()
    [path, number] = asked(two, "scribble", "path", "object")
    assert [path[0], path[-1]] == [pytest.approx([50, 50], abs=1), pytest.approx([90, 60], abs=1)]
    assert (len(path), number) == (5, 1)
