"""Objects are chosen in the image, and say there what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segue.masks import encode_rle
from tests.segue_web.chromium import needs_chromium
from tests.segue_web.pages.desk import HEIGHT, WIDTH, Desk
from tests.segue_web.pages.page import playwright
from tests.segue_web.pages.test_page_display import pixel

pytestmark = needs_chromium

BLACK, WHITE = [0] * 3, [255] * 3


def square(x: int, y: int, side: int = 60) -> str:
    plane = np.zeros((HEIGHT, WIDTH), np.bool_)
    plane[y : y + side, x : x + side] = True
    return str(encode_rle(plane)["counts"])


@pytest.fixture
def two(desk: Desk) -> Desk:
    """Object 1 at the left, object 2 at the right; they overlap from 150 to 160. Object 1 is chosen."""
    desk.open()
    desk.change(0, 1, 2, masks={"1": square(100, 100), "2": square(150, 100)})
    desk.here("Object 2: corrected by you")
    desk.page.keyboard.press("1")
    desk.here("Object 1: corrected by you")
    desk.settle()
    return desk


def press(desk: Desk, x: float, y: float, **how: Any) -> None:
    desk.page.mouse.click(*desk.at(x, y), **how)
    desk.settle()


def test_a_click_on_another_object_chooses_it(two: Desk) -> None:
    press(two, 180, 130)
    two.here("Object 2: corrected by you")
    press(two, 155, 130)
    press(two, 120, 130)
    two.here("Object 1: corrected by you")

    assert [message["object"] for message in two.asked("click")] == [2]


def test_shift_a_right_click_and_a_new_object_make_clicks_inside_another_one(two: Desk) -> None:
    two.page.keyboard.down("Shift")
    press(two, 180, 130)
    two.page.keyboard.up("Shift")
    press(two, 180, 130, button="right")
    two.page.keyboard.press("n")
    press(two, 180, 130)

    assert [(message["object"], message["points"][-1][2]) for message in two.asked("click")] == [
        (1, True),
        (1, False),
        (None, True),
    ]


def test_a_pointer_that_rests_asks_for_the_mask_that_a_click_there_would_make(two: Desk) -> None:
    def places() -> list[float]:
        return [message["at"][0] for message in two.asked("prepare") if message.get("at")]

    def rested_at(x: float) -> float:
        before = len(places())
        two.page.mouse.move(*two.at(x, 130))
        while len(places()) == before:
            two.settle()
        return places()[-1]

    two.page.keyboard.press("n")
    assert rested_at(180) == pytest.approx(180, abs=1), "a new object may begin inside of another one"
    assert rested_at(300) == pytest.approx(300, abs=1)


def test_hidden_objects_and_masks_are_not_chosen(two: Desk) -> None:
    two.page.keyboard.press("h")
    press(two, 180, 130)

    assert two.ops("click") == ["click"]
    two.here("Object 1: corrected by you")


def test_the_tool_that_moves_the_image_chooses_with_a_click_and_not_with_a_drag(two: Desk) -> None:
    two.page.keyboard.press("v")
    press(two, 180, 130)
    two.here("Object 2: corrected by you")
    two.page.mouse.move(*two.at(110, 130))
    two.page.mouse.down()
    two.page.mouse.move(*two.at(112, 150), steps=4)
    two.page.mouse.up()
    two.settle()
    two.here("Object 2: corrected by you")
    press(two, 110, 130)
    two.here("Object 1: corrected by you")
    assert two.ops("click") == []


def test_the_object_under_the_pointer_is_named(two: Desk) -> None:
    named = "import('./static/view.js').then(({ view }) => view.named?.name ?? null)"
    for x, name in ((180, "Object 2"), (155, "Object 1"), (300, None)):
        two.page.mouse.move(*two.at(x, 130))
        two.settle()
        assert two.page.evaluate(named) == name


def test_names_and_numbers_are_drawn_on_masks(two: Desk) -> None:
    left, top = two.at(90, 90)
    right, bottom = two.at(220, 170)
    clip = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    before = two.page.screenshot(clip=clip)
    two.page.keyboard.press("i")
    button = two.page.locator('[data-command="labels"]')
    playwright.expect(button).to_have_attribute("aria-pressed", "true")
    two.settle()
    with_names = two.page.screenshot(clip=clip)
    two.page.keyboard.press("i")
    playwright.expect(button).to_have_attribute("aria-pressed", "false")
    two.settle()

    assert with_names != before
    assert two.page.screenshot(clip=clip) == before
    two.next_asked("settings")


def test_the_object_under_the_pointer_is_named_once_where_names_are_drawn(two: Desk) -> None:
    two.page.keyboard.press("i")
    two.page.mouse.move(*two.at(180, 130))
    two.settle()
    written = two.page.evaluate(
        """async () => {
          const { view } = await import("./static/view.js");
          const texts = [];
          view.context.fillText = (text) => texts.push(text);
          view.draw();
          delete view.context.fillText;
          return texts;
        }"""
    )
    assert sorted(written) == ["1 Object 1", "2 Object 2"]


def test_only_the_selection_is_shown_in_all_views(two: Desk) -> None:
    first, second = (120, 120), (190, 120)
    two.page.keyboard.press("Shift+Q")
    assert [pixel(two, *first), pixel(two, *second)] == [WHITE, WHITE]
    two.page.keyboard.press("/")
    assert [pixel(two, *first), pixel(two, *second)] == [WHITE, BLACK]
    two.page.keyboard.press("2")
    assert [pixel(two, *first), pixel(two, *second)] == [BLACK, WHITE]
    two.page.keyboard.press("/")
    assert [pixel(two, *first), pixel(two, *second)] == [WHITE, WHITE]
