"""Outlines stay thin, masks fade under the brush, names step aside; and a file is dropped on the page."""

from __future__ import annotations

import base64
import json
from typing import Any

import cv2
import numpy as np
import pytest

from tests.segue_web.chromium import needs_chromium
from tests.segue_web.pages.desk import Desk
from tests.segue_web.pages.page import playwright

pytestmark = needs_chromium


def canvas(desk: Desk) -> Any:
    """The image as it is drawn, (H, W, 3), BGR."""
    desk.settle()
    data = desk.page.locator("#canvas").evaluate("node => node.toDataURL('image/png')")
    return cv2.imdecode(np.frombuffer(base64.b64decode(data.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)


def colour_at(desk: Desk, x: float, y: float) -> Any:
    """The colour at a place of the video."""
    left, top = desk.at(x, y)
    box = desk.page.locator("#canvas").bounding_box()
    return canvas(desk)[int(top - box["y"]), int(left - box["x"])].astype(int)


def zoom(desk: Desk, times: int) -> None:
    for _ in range(times):
        desk.page.keyboard.press("+")
    desk.settle()


@pytest.mark.parametrize("times", [0, 4, 9])
def test_outlines_are_thin_at_any_zoom(one: Desk, times: int) -> None:
    one.page.evaluate(
        # To the middle, around which keys zoom.
        "import('./static/view.js').then(({ view }) => {"
        " view.offset.x = view.paneWidth / 2 - 50 * view.scale;"
        " view.offset.y = view.canvas.height / 2 - 50 * view.scale; view.draw(); })"
    )
    zoom(one, times)
    image = canvas(one)
    left, top = one.at(40, 50)
    box = one.page.locator("#canvas").bounding_box()
    row = image[int(top - box["y"]), int(left - box["x"]) - 30 : int(left - box["x"]) + 30].astype(int)
    full = np.abs(row - np.array([0x5C, 0x49, 0xF2])).sum(1) < 60  # the colour of the object, opaque
    assert 1 <= full.sum() <= 4
    figure = one.page.locator("#zoom")
    scale = one.page.evaluate("import('./static/view.js').then(({ view }) => view.scale / devicePixelRatio)")
    playwright.expect(figure).to_have_text(f"{round(100 * scale)} %")
    figure.click()
    one.settle()
    assert one.page.evaluate("import('./static/view.js').then(({ view }) => view.fitted)")


def test_masks_are_faint_under_the_brush(one: Desk) -> None:
    before = colour_at(one, 48, 48)
    one.page.keyboard.press("b")
    one.page.mouse.move(*one.at(50, 50))
    under = colour_at(one, 48, 46)
    ground = np.array([90, 90, 90])
    assert np.abs(under - ground).sum() < 0.4 * np.abs(before - ground).sum()
    one.page.mouse.move(*one.at(200, 200))
    np.testing.assert_allclose(colour_at(one, 48, 46), before, atol=2)
    one.page.keyboard.press("c")
    np.testing.assert_allclose(colour_at(one, 48, 48), before, atol=2)


def test_a_file_is_dropped_on_the_page(one: Desk) -> None:
    found = {"number": 1, "name": "Koi", "target": None, "text": "adds frame 0"}
    answer = {"upload": 3, "objects": [found], "left_out": "", "schema": ""}
    one.page.route("**/import/**", lambda route: route.fulfill(status=200, body=json.dumps(answer)))
    files = """names => { const data = new DataTransfer();
      for (const name of names) data.items.add(new File(["x"], name)); return data; }"""
    several = one.page.evaluate_handle(files, ["a.png", "b.png"])
    for event in ("dragenter", "dragover"):
        one.page.dispatch_event("#canvas", event, {"dataTransfer": several})
    playwright.expect(one.page.locator("#drop")).to_be_visible()
    one.page.dispatch_event("#canvas", "drop", {"dataTransfer": several})
    playwright.expect(one.page.locator("#drop")).to_be_hidden()
    playwright.expect(one.page.locator(".notice", has_text="one file at a time")).to_be_visible()
    with one.page.expect_request("**/import/masks.zip") as sent:
        data = one.page.evaluate_handle(files, ["masks.zip"])
        one.page.dispatch_event("#canvas", "drop", {"dataTransfer": data})
    assert sent.value.method == "POST"
    playwright.expect(one.page.locator("#dialog .imports li")).to_contain_text("Koi")
    one.page.unroute("**/import/**")
