"""The tool Shape: what is drawn, dragged, bent and removed, and the keys in the panel."""

from __future__ import annotations

import json

import pytest

from tests.segue_web.chromium import needs_chromium
from tests.segue_web.pages.desk import Desk
from tests.segue_web.pages.page import check_accessibility, playwright
from tests.segue_web.pages.test_page_display import SMALL

pytestmark = needs_chromium

SQUARE = [[100, 80], [160, 80], [160, 140], [100, 140]]
CORNERS = [[x, y, 0, 0, 0, 0] for x, y in SQUARE]


def tell_shapes(desk: Desk, keys: list[tuple[int, str, bool]]) -> None:
    """Object 1 has shape 1 with these keys, on frame 0 with the corners of the square."""
    here = {"corners": CORNERS, "on": True, "key": any(frame == 0 for frame, _, _ in keys)}
    desk.change(0, 1, shapes={"1": here})
    desk.revision += 1
    shapes = [{"id": 1, "object": 1, "hole": False, "keys": keys}]
    desk.send(json.dumps({"event": "changed", "revision": desk.revision, "shapes": shapes}))
    desk.settle()


@pytest.fixture
def shaped(one: Desk) -> Desk:
    tell_shapes(one, [(0, "linear", True), (6, "linear", True)])
    one.page.keyboard.press(";")
    one.settle()
    return one


def test_corners_are_drawn_and_sent_once_they_close(one: Desk) -> None:
    one.page.keyboard.press(";")
    for x, y in SQUARE:
        one.page.mouse.click(*one.at(x, y))
    one.page.mouse.click(*one.at(*SQUARE[0]))
    sent = one.next_asked("draw_shape")
    assert (sent["frame"], sent["object"], sent["hole"], len(sent["points"])) == (0, 1, False, 4)
    assert [
        abs(a - b) < 1
        for pair in zip(sent["points"], SQUARE, strict=True)
        for a, b in zip(*pair, strict=True)
    ]


def test_a_corner_that_is_dragged_gives_a_key(shaped: Desk) -> None:
    shaped.page.mouse.move(*shaped.at(100, 80))
    shaped.page.mouse.down()
    shaped.page.mouse.move(*shaped.at(90, 70), steps=3)
    shaped.page.mouse.up()
    sent = shaped.next_asked("shape_key")
    assert (sent["shape"], sent["frame"], sent["seen"]) == (1, 0, shaped.revision)
    assert [round(value) for value in sent["corners"][0]] == [90, 70, 0, 0, 0, 0]
    assert sent["corners"][1:] == CORNERS[1:]


def test_the_whole_shape_is_dragged_by_its_middle(shaped: Desk) -> None:
    shaped.page.mouse.move(*shaped.at(130, 110))
    shaped.page.mouse.down()
    shaped.page.mouse.move(*shaped.at(140, 115), steps=3)
    shaped.page.mouse.up()
    moved = shaped.next_asked("shape_key")["corners"]
    assert [[round(x), round(y)] for x, y, *_ in moved] == [[x + 10, y + 5] for x, y in SQUARE]


def test_corners_are_removed_bent_and_added(shaped: Desk) -> None:
    shaped.page.mouse.click(*shaped.at(160, 80), button="right")
    assert shaped.next_asked("shape_corner")["corner"] == 1
    shaped.page.mouse.dblclick(*shaped.at(160, 140))
    shaped.page.mouse.dblclick(*shaped.at(101, 110))  # on the line from the last corner to the first
    sent = [(each["corner"], each["change"]) for each in shaped.asked("shape_corner")]
    assert sent == [(1, "remove"), (2, "bend"), (3, "add")]
    assert shaped.ops("shape_key", "draw_shape") == []


def test_the_panel_says_which_keys_there_are_and_changes_them(shaped: Desk) -> None:
    page = shaped.page
    playwright.expect(page.locator("#shape-text")).to_have_text("2 keys, one here")
    page.locator("#edge summary").click()
    page.locator("#shape summary").click()
    check_accessibility(page)
    assert page.evaluate(SMALL) == []
    page.locator("#shape-motion").select_option("smoothly")
    sent = shaped.next_asked("shape_key")
    assert (sent["frame"], sent["motion"]) == (0, "smooth")
    page.locator("#shape-motion").select_option("with the surface")
    sent = shaped.next_asked("track_plane")
    assert (sent["shape"], sent["frame"], sent["last"]) == (1, 0, shaped.frames - 1)
    page.locator('[data-command="shapeOff"]').click()
    assert shaped.next_asked("shape_key", 1)["on"] is False
    page.keyboard.press("=")
    assert shaped.next_asked("remove_key")["frame"] == 0
    tell_shapes(shaped, [(6, "linear", True)])
    playwright.expect(page.locator('[data-command="shapeKey"]')).to_contain_text("Key here")


def test_masks_become_a_shape_and_the_page_says_how_well(one: Desk) -> None:
    one.held = {"shape_of_masks"}
    one.page.locator("#shape summary").click()
    one.page.locator('[data-command="shapeOfMasks"]').click()
    asked = one.next("shape_of_masks")
    assert (asked["object"], asked["first"], asked["last"]) == (1, 0, one.frames - 1)
    one.answer(asked, keys=3, corners=5, mean=0.934, least=0.901)
    notice = one.page.locator(".notice", has_text="3 keys and 5 corners")
    playwright.expect(notice).to_contain_text("mean 0.93, minimum 0.90")


def test_a_shape_is_moved_without_a_pointer(shaped: Desk) -> None:
    shaped.page.keyboard.press("d")  # the cross is in the middle of the image
    shaped.page.evaluate(
        "import('./static/state.js').then(({ state }) => { state.cursor = { x: 100, y: 80 } })"
    )
    shaped.page.keyboard.press("Enter")
    shaped.page.keyboard.press("d")
    shaped.page.keyboard.press("Enter")
    [corner, *others] = shaped.next_asked("shape_key")["corners"]
    assert corner[0] > 100
    assert others == CORNERS[1:]
