"""Views of mattes, cut-outs and outlines, and the soft edges of objects."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np
import pytest

from tests.segue_web.chromium import needs_chromium
from tests.segue_web.pages.desk import Desk
from tests.segue_web.pages.page import becomes, playwright
from tests.segue_web.pages.test_page_display import pixel

pytestmark = needs_chromium

INSIDE, OUTSIDE = (50, 50), (100, 100)
FILM, BLACK, WHITE, GREEN = [90] * 3, [0] * 3, [255] * 3, [0, 177, 64]


def test_keys_show_the_matte_the_cut_out_and_the_outlines(one: Desk) -> None:
    masks = pixel(one, *INSIDE)
    one.page.keyboard.press("Shift+Q")
    assert [pixel(one, *INSIDE), pixel(one, *OUTSIDE)] == [WHITE, BLACK]
    view = one.page.locator('[data-command="display"]')
    playwright.expect(view).to_have_text("Matte")
    one.page.keyboard.press("Shift+E")
    assert [pixel(one, *INSIDE), pixel(one, *OUTSIDE)] == [FILM, GREEN]
    one.page.keyboard.press("Shift+J")
    assert [pixel(one, *INSIDE), pixel(one, *OUTSIDE)] == [FILM, FILM]
    assert pixel(one, 40.5, 50)[0] > 150, "the outline has the colour of the object"
    one.page.mouse.move(*one.at(*INSIDE))
    becomes(one.page, "import('./static/view.js').then(({ view }) => view.named?.id === 1)")
    one.page.keyboard.press("Shift+J")
    assert pixel(one, *INSIDE) == masks


def test_the_matte_and_the_cut_out_end_where_the_mask_ends(one: Desk) -> None:
    edge = [(x, 50) for x in (39.5, 40.5, 41.5, 58.5, 59.5, 60.5)]  # the browser smooths half a pixel
    for key, inside in (("Shift+Q", WHITE), ("Shift+E", FILM)):
        one.page.keyboard.press(key)
        red = [pixel(one, *place)[0] for place in edge]
        assert [value > inside[0] / 2 for value in red] == [False, True, True, True, True, False], key


def test_the_view_is_kept_for_the_person(one: Desk) -> None:
    one.page.keyboard.press("Shift+J")
    assert {"view": "outline"} in [message["values"] for message in one.asked("settings")]


def test_the_colour_behind_the_cut_out_can_be_chosen(one: Desk) -> None:
    one.page.locator('[data-command="display"]').click()
    one.page.locator("#display").get_by_role("button", name="View the cut-out").click()
    one.page.locator("#backdrop").fill("#123456")
    assert pixel(one, *OUTSIDE) == [0x12, 0x34, 0x56]
    assert {"backdrop": "#123456"} in [message["values"] for message in one.asked("settings")]


@pytest.fixture
def soft(one: Desk) -> Desk:
    """The matte of object 1, whose edge is to be edited."""
    one.page.keyboard.press("Shift+Q")
    one.page.get_by_text("Soft edge").click()
    return one


def answer(alpha: np.ndarray) -> dict[str, Any]:
    image = np.dstack([np.full_like(alpha, 255)] * 3 + [alpha])
    png = base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()
    return {"soft_masks": {"1": {"x": 30, "y": 30, "png": png}}}


def test_a_soft_edge_is_seen_while_somebody_works_on_it(soft: Desk) -> None:
    soft.held = {"soft_masks"}
    soft.page.locator("#edge-feather").fill("3")
    soft.page.keyboard.press("Enter")
    change = soft.next_asked("object")
    edge = {"grow": 0, "width": 0, "feather": 3, "detail": False}
    assert (change["object"], change["edge"], change["seen"]) == (1, edge, soft.revision)
    assert soft.ops("soft_masks") == [], "it has not been saved yet"
    soft.known = {1: {"edge": edge}}
    soft.change(0, 1)
    soft.tell_objects()
    asked = soft.next("soft_masks")
    assert asked["frame"] == 0
    assert pixel(soft, 35, 35) == BLACK, "until it is known, the mask as it is"
    soft.answer(asked, **answer(np.full((40, 40), 128, np.uint8)))
    becomes(soft.page, "import('./static/mattes.js').then(({ softMask }) => Boolean(softMask(1)))")
    assert pixel(soft, 35, 35) == pixel(soft, *INSIDE) == [128] * 3
    playwright.expect(soft.page.locator("#edge-text")).to_have_text("feather 3")


def test_hair_has_a_width_in_which_it_is_looked_for(soft: Desk) -> None:
    soft.page.get_by_label("Hair: estimate from the image").click()
    assert soft.next_asked("object")["edge"] == {"grow": 0, "width": 6, "feather": 0, "detail": True}


def test_an_export_says_how_cut_outs_are_written(one: Desk) -> None:
    one.page.locator('[data-command="exportDialog"]').click()
    one.page.locator('[data-format="coco"]').click()
    colours = one.page.locator("dialog").get_by_label("Colours", exact=True)
    playwright.expect(colours).to_be_hidden()
    one.page.locator('[data-format="exr"]').click()
    playwright.expect(colours).to_have_value("premultiplied")
    colours.select_option("straight")
    one.page.get_by_label("Export each object separately").check()
    playwright.expect(one.page.locator("#export-preview")).to_contain_text("1 frame (0 to 0) of 1 object")
    one.page.locator("#export-run").click()
    asked = one.next_asked("export")
    assert (asked["premultiplied"], asked["each"], asked["soft"]) == (False, True, False)
    assert (asked["first"], asked["last"]) == (0, 0), "where the masks are"
