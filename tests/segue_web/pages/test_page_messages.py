"""What the page says is seen by the person, and says what to do."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from segue.masks import encode_rle
from tests.segue_web.chromium import needs_chromium
from tests.segue_web.conftest import ServeHere
from tests.segue_web.here import ServerHere
from tests.segue_web.pages.desk import HEIGHT, WIDTH, Desk
from tests.segue_web.pages.page import Page, Server, becomes, playwright, press

pytestmark = needs_chromium

UNCOVERED = """node => {
  const box = node.getBoundingClientRect();
  const middle = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
  const places = [[box.left + 6, box.top + 6], [box.right - 6, box.bottom - 6], middle];
  node.style.pointerEvents = "auto"; // it may let clicks through
  const uncovered = places.every(([x, y]) => node.contains(document.elementFromPoint(x, y)));
  node.style.pointerEvents = "";
  return uncovered;
}"""
"""Whether nothing lies over an element, and all of it is in the window."""

OVER_IMAGE = """async node => {
  const { view } = await import("./static/view.js");
  const { state } = await import("./static/state.js");
  const [box, canvas] = [node.getBoundingClientRect(), view.canvas.getBoundingClientRect()];
  const left = canvas.left + view.offset.x / devicePixelRatio;
  const top = canvas.top + view.offset.y / devicePixelRatio;
  const right = left + (state.video.width * view.scale) / devicePixelRatio;
  const bottom = top + (state.video.height * view.scale) / devicePixelRatio;
  return box.left < right && box.right > left && box.top < bottom && box.bottom > top;
}"""
"""Whether an element lies over the frame as it is drawn."""

LETS_THROUGH = """node => {
  const { left, top, height } = node.firstElementChild.getBoundingClientRect();
  return document.elementFromPoint(left + 4, top + height / 2).id === "canvas";
}"""
"""Whether a click on the text of a message is one on the image."""

SAY = """text => import('./static/dom.js').then(({ make, notice }) =>
  notice(text, 'bad', [make('button', { textContent: 'Undo' })]))"""


def is_seen(page: Any, text: str) -> None:
    """Wait until a message is there, and nothing lies over it."""
    notice = page.locator(".notice", has_text=text)
    notice.wait_for()
    becomes(notice, UNCOVERED)


@pytest.mark.parametrize("count", [0, 40])
def test_short_messages_are_seen(desk: Desk, count: int) -> None:
    desk.objects = list(range(1, count + 1))
    desk.open()
    for width, height in ((1360, 820), (1366, 768), (1000, 600)):
        desk.page.set_viewport_size({"width": width, "height": height})
        desk.page.keyboard.press("n")
        is_seen(desk.page, "Click on the new object")


LONG = "frame 3 was changed by Ann in the meantime; check and try again."


@pytest.mark.parametrize("width", [1360, 1200, 1000, 700])
def test_messages_lie_beside_the_image(desk: Desk, width: int) -> None:
    desk.open()
    desk.page.set_viewport_size({"width": width, "height": 700})
    notice = desk.page.locator(".notice")
    for text in (LONG, "cannot be done"):
        desk.page.evaluate(SAY, text)
        is_seen(desk.page, text)
        assert not notice.evaluate(OVER_IMAGE)
        if width > 1180:
            for _ in range(2):  # away, and back
                desk.page.keyboard.press("Shift+P")
                is_seen(desk.page, text)
                assert not notice.evaluate(OVER_IMAGE)
        notice.get_by_role("button", name="Close").click()


def test_a_click_on_a_message_over_an_enlarged_image_is_one_on_the_image(desk: Desk) -> None:
    desk.open()
    desk.page.keyboard.press("Shift+P")
    for _ in range(6):
        desk.page.keyboard.press("+")
    desk.page.evaluate(SAY, f"{LONG} " * 8)
    notice = desk.page.locator(".notice")
    becomes(notice, OVER_IMAGE)
    assert notice.evaluate(LETS_THROUGH)
    notice.get_by_role("button", name="Undo").click()


def test_shift_clicks_select_no_text(one: Desk) -> None:
    box = one.page.locator("#canvas").bounding_box()
    for first in ("#here-text", "#tab-objects", "#hint", ".title"):
        one.page.locator(first).click()
        one.page.keyboard.down("Shift")
        one.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        for other in ("#timeline", "#objects .number", "#here-text", "#canvas", ".legend"):
            one.page.locator(other).first.click()
        one.page.keyboard.up("Shift")
        assert one.page.evaluate("getSelection().toString()") == "", first


def test_messages_are_seen_while_a_dialog_is_open_and_after_it(desk: Desk) -> None:
    desk.open()
    desk.page.locator('[data-command="help"]').click()
    desk.page.evaluate("import('./static/dom.js').then(({ notice }) => notice('cannot be done', 'bad'))")
    is_seen(desk.page, "cannot be done")
    desk.page.keyboard.press("Escape")
    playwright.expect(desk.page.locator("#dialog")).to_be_hidden()
    is_seen(desk.page, "cannot be done")


def test_a_removed_object_can_be_taken_back_until_something_else_is_changed(desk: Desk) -> None:
    desk.objects = [1, 2]
    desk.open()
    notice = desk.page.locator(".notice", has_text="Removed Object 2.")
    desk.page.get_by_role("button", name="Remove Object 2").click()
    notice.get_by_role("button", name="Undo").click()
    desk.next_asked("undo")
    playwright.expect(notice).to_have_count(0)

    desk.page.get_by_role("button", name="Remove Object 2").click()
    playwright.expect(notice).to_be_visible()
    desk.change(0, 1)
    playwright.expect(notice).to_have_count(0)
    assert desk.ops("remove", "undo") == ["remove", "undo", "remove"]


def test_a_box_says_what_it_has_replaced_and_can_be_taken_back(desk: Desk) -> None:
    desk.objects, desk.held = [1], {"click"}
    desk.open()
    desk.change(0, 1, kind="tracked")
    desk.page.keyboard.press("r")
    desk.page.mouse.move(*desk.at(100, 100))
    desk.page.mouse.down()
    desk.page.mouse.move(*desk.at(200, 180))
    desk.page.mouse.up()
    asked = desk.next("click")
    desk.change(0, 1, kind="given")
    desk.answer(asked, object=1, replaced={"before": 17672, "after": 2508})

    is_seen(desk.page, "17,672 pixels")
    notice = desk.page.locator(".notice", has_text="2,508 pixels")
    notice.get_by_role("button", name="Undo").click()
    desk.next_asked("undo")
    playwright.expect(notice).to_have_count(0)


def test_a_key_goes_through_the_masks_of_a_click_and_tells_how_sure_they_are(desk: Desk) -> None:
    desk.objects, desk.held = [1], {"candidate"}
    desk.open()
    desk.change(0, 1, kind="tracked")
    button = desk.page.locator('[data-command="candidate"]')
    desk.here("Object 1: tracked")
    playwright.expect(button).to_be_disabled()
    desk.change(0, 1, prompts={"1": {"points": [[50, 50, True]], "box": None}})
    playwright.expect(button).to_be_enabled()
    desk.page.keyboard.press("Shift+M")
    asked = desk.next("candidate")
    assert (asked["frame"], asked["object"], asked["seen"]) == (0, 1, desk.revision)
    desk.change(0, 1, prompts={"1": {"points": [[50, 50, True]], "box": None}})
    desk.answer(asked, object=1, place=1, scores=[0.81, 0.64, 0.42])

    hint = desk.page.locator("#hint")
    playwright.expect(hint).to_contain_text("2 of 3")
    for score in ("0.81", "0.64", "0.42"):
        playwright.expect(hint).to_contain_text(score)
    desk.change(0)
    playwright.expect(hint).not_to_contain_text("0.64")


def test_the_other_masks_of_a_click_are_outlined_where_the_pointer_rests(desk: Desk) -> None:
    desk.objects, desk.held = [1], {"candidates"}
    desk.open()
    desk.change(0, 1, kind="tracked")
    desk.here("Object 1: tracked")
    desk.page.mouse.move(*desk.at(50, 50))
    desk.page.wait_for_timeout(700)
    assert desk.ops("candidates") == [], "no click has made this mask"
    desk.change(0, 1, prompts={"1": {"points": [[50, 50, True]], "box": None}})
    desk.here("Object 1: corrected")
    desk.page.mouse.move(*desk.at(52, 50))
    asked = desk.next("candidates")
    assert (asked["frame"], asked["object"]) == (0, 1)
    other = np.zeros((HEIGHT, WIDTH), np.bool_)
    other[80:200, 100:300] = True
    places = [desk.at(x, 80) for x in range(120, 280, 2)]

    def dashes() -> int:
        desk.settle()
        box = desk.page.locator("#canvas").bounding_box()
        points = [[x - box["x"], y - box["y"]] for x, y in places]
        bright = """(node, points) => points.filter(([x, y]) =>
          node.getContext("2d").getImageData(x, y, 1, 1).data[0] > 180).length"""
        return int(desk.page.locator("#canvas").evaluate(bright, points))

    assert dashes() == 0
    shown = desk.looks[0]["masks"]["1"]
    desk.answer(asked, masks=[shown, encode_rle(other)["counts"]], scores=[0.8, 0.6])
    assert 10 < dashes() < 75
    desk.change(0, 1)
    desk.change(1, 1)
    desk.page.keyboard.press("ArrowRight")
    desk.settle()
    assert dashes() == 0
    assert len(desk.ops("candidates")) == 1


def test_a_key_has_clicks_ask_for_the_whole_object_until_it_is_pressed_again(desk: Desk) -> None:
    desk.objects = [1]
    desk.open()
    desk.change(0, 1, kind="tracked")
    whole = desk.page.locator('[data-command="whole"]')
    for place, pressed in enumerate(("false", "true", "false")):
        if place:
            desk.page.keyboard.press("Shift+C")
        playwright.expect(whole).to_have_attribute("aria-pressed", pressed)
        desk.page.mouse.click(*desk.at(45, 45 + place))
        assert desk.next_asked("click", place)["whole"] is (pressed == "true")


def test_clicks_say_whether_other_objects_are_shown(desk: Desk) -> None:
    """A correction takes no pixels from objects that are not."""
    desk.objects = [1, 2]
    desk.open()
    desk.change(0, 1, kind="tracked")
    desk.page.keyboard.press("1")
    for place, (key, alone) in enumerate((("", False), ("/", True), ("/", False), ("h", True))):
        if key:
            desk.page.keyboard.press(key)
        desk.page.mouse.click(*desk.at(45, 45 + place))
        assert desk.next_asked("click", place)["alone"] is alone


OFFER = {"name": "sam2-tiny", "title": "SAM 2 tiny", "size": 156_008_466, "licence": "Apache-2.0"}


def test_the_network_of_clicks_is_downloaded_and_used(desk: Desk) -> None:
    desk.held = {"download_prompter", "use_prompter"}
    desk.open()
    known: dict[str, Any] = {"used": "segue-prompt", "choices": ["segue-prompt"], "offer": OFFER}

    def tell(**fields: Any) -> None:
        known.update(fields)
        desk.send(json.dumps({"event": "prompters", "prompters": known}))

    tell(progress=None)
    press(desk.page, "prompterDialog")
    dialog = desk.page.locator("#dialog")
    dialog.get_by_role("button", name="Download SAM 2 tiny (156 MB)").click()
    asked = desk.next("download_prompter")
    tell(progress={"done": 78_000_000, "total": 156_008_466})
    bar = dialog.get_by_role("progressbar")
    playwright.expect(bar).to_have_attribute("value", "78000000")
    playwright.expect(dialog).to_contain_text("78 of 156 MB")
    dialog.get_by_role("button", name="Cancel").click()
    desk.next_asked("cancel_download")
    tell(progress=None)
    desk.answer(asked, there=False)
    playwright.expect(desk.page.locator(".notice", has_text="was cancelled")).to_be_visible()
    dialog.get_by_role("button", name="Download SAM 2 tiny (156 MB)").click()
    asked = desk.next("download_prompter")
    desk.answer(asked, error="SAM 2 tiny could not be downloaded")
    playwright.expect(dialog.locator(".failure")).to_contain_text("could not be downloaded")

    dialog.get_by_role("button", name="Download SAM 2 tiny (156 MB)").click()
    asked = desk.next("download_prompter")
    tell(choices=["segue-prompt", "sam2-tiny"], offer=None)
    desk.answer(asked)
    desk.page.locator(".notice", has_text="SAM 2 tiny").get_by_role("button", name="Use it").click()
    asked = desk.next("use_prompter")
    assert asked["name"] == "sam2-tiny"
    tell(used="sam2-tiny")
    desk.answer(asked)
    playwright.expect(dialog.get_by_label("Clicks are answered by")).to_have_value("sam2-tiny")


def test_a_search_says_which_detector_took_the_text(desk: Desk) -> None:
    desk.held = {"find"}
    desk.open()
    desk.page.locator("#tab-found").click()
    desk.page.locator("#wanted").fill("person")
    desk.page.locator("#wanted").press("Enter")
    asked = desk.next("find")
    assert (asked["detector"], asked["text"]) == ("motion", "person")
    desk.answer(asked, detector="nanodet", found=[])

    for text in (
        "The detector motion accepts no text; nanodet searched for “person”",
        "nanodet found no person",
    ):
        playwright.expect(desk.page.locator(".notice")).to_contain_text(text)


def test_a_search_that_fails_leaves_no_suggestions_of_the_one_before(desk: Desk) -> None:
    desk.held = {"find"}
    desk.open()
    found = {"counts": "0", "label": None, "score": None}
    desk.page.keyboard.press("f")
    desk.answer(desk.next("find"), detector="motion", found=[found])
    playwright.expect(desk.page.locator("#found li")).to_have_count(1)
    desk.page.keyboard.press("f")
    desk.answer(desk.next("find"), error="no weights")

    playwright.expect(desk.page.locator(".notice.bad", has_text="no weights")).to_be_visible()
    playwright.expect(desk.page.locator("#found li")).to_have_count(0)


def test_saved_does_not_stand_beside_what_cannot_be_saved(desk: Desk) -> None:
    desk.held = {"click"}
    desk.open()
    desk.change(0, 1)
    playwright.expect(desk.page.locator("#saved")).to_have_text("Saved")
    desk.click(0.5, 0.5)
    desk.answer(desk.next("click"), error="p: cannot be saved (the disk is full)")

    playwright.expect(desk.page.locator(".notice.bad", has_text="cannot be saved")).to_be_visible()
    playwright.expect(desk.page.locator("#saved")).to_be_empty()


@pytest.mark.parametrize("name", ["a" * 80, "a long name " * 6])
def test_long_names_end_with_an_ellipsis(desk: Desk, name: str) -> None:
    desk.objects = [1]
    desk.open()
    renamed = [{**row, "name": name, "category": "c" * 40} for row in desk.about()]
    desk.revision += 1
    desk.send(json.dumps({"event": "changed", "revision": desk.revision, "objects": renamed}))
    shown = desk.page.locator("#objects .pick span", has_text=name[:8]).first
    playwright.expect(shown).to_be_visible()

    becomes(shown, "node => node.scrollWidth > node.clientWidth && node.clientWidth > 30")
    becomes(shown, "node => getComputedStyle(node).textOverflow === 'ellipsis'")


@pytest.mark.parametrize("part", ["#hint", "#progress"])
def test_hint_and_progress_cover_nothing_of_the_image(desk: Desk, part: str) -> None:
    desk.open()
    if part == "#progress":
        desk.send(json.dumps({"event": "loading", "loading": True}))
        desk.page.locator(part).wait_for()
    image, other = (desk.page.locator(name).bounding_box() for name in ("#canvas", part))
    assert other["height"] > 12
    assert image["y"] + image["height"] <= other["y"]


def test_rows_of_the_timeline_are_seen_in_light_colours(desk: Desk) -> None:
    desk.page.emulate_media(color_scheme="light")
    desk.objects = [1]
    desk.open()
    row = "node => [...node.getContext('2d').getImageData(node.width * 0.9, 30, 1, 1).data.slice(0, 3)]"
    around = "node => getComputedStyle(node).backgroundColor"
    shown = desk.page.locator("#timeline").evaluate(row)
    ground = [int(part) for part in re.findall(r"\d+", desk.page.locator(".foot").evaluate(around))]

    assert max(abs(one - other) for one, other in zip(shown, ground, strict=False)) > 15


def test_a_mask_is_kept_as_an_image_until_it_changes(desk: Desk) -> None:
    kept = """import('./static/masks.js')
      .then(({ masks }) => [...masks.images].map(([key, { image }]) => [key, image.width]))"""
    desk.objects = [1]
    desk.open()
    desk.change(0, 1)
    desk.here("corrected by you")
    desk.settle()
    [[key, width]] = desk.page.evaluate(kept)
    assert len(key) < 20, "run lengths are no part of it"
    plane = np.zeros((240, 432), np.bool_)
    plane[10:20, 10:99] = True
    desk.looks[0]["masks"] = {"1": encode_rle(plane)["counts"]}
    desk.revision += 1
    desk.send(json.dumps({"event": "changed", "revision": desk.revision, "frames": [desk.look(0)]}))
    desk.settle()

    assert desk.page.evaluate(kept) == [[key, 89]]
    assert width == 20


def test_the_page_goes_on_where_segue_is_started_again(
    serve: Callable[..., Server],
    serve_here: ServeHere,
    browser: Any,
    video: Path,
    tmp_path: Path,
) -> None:
    arguments = ("annotate", video, "--project", tmp_path / "p", "--device", "cpu")
    server = serve(*arguments)
    page = Page(browser, server.address)
    page.page.mouse.click(*page.at(100, 60))
    page.here("Object 1: corrected by you")
    before = page.page.locator("#here-text").inner_text()
    server.kill()
    playwright.expect(page.page.locator("#offline")).to_contain_text("Start segue annotate again")

    assert serve_here(*arguments) == server.address
    page.page.locator("#offline").wait_for(state="hidden")
    page.here(before)
    page.key("b")
    page.drag((300, 200), (340, 200))
    playwright.expect(page.page.locator("#here-text")).not_to_have_text(before)
    page.here("Object 1: corrected by you")
    assert page.errors == []


def test_the_page_tells_its_secret_to_no_other_program_at_its_port(
    serve_here: ServeHere,
    browser: Any,
    video: Path,
    tmp_path: Path,
) -> None:
    address = serve_here("annotate", video, "--project", tmp_path / "p", "--device", "cpu")
    page = Page(browser, address)
    ServerHere.running.pop().stop()
    asked: list[str] = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"0" * 64)

        def log_message(self, *_: object) -> None: ...

    parts = urlsplit(address)
    with ThreadingHTTPServer(("127.0.0.1", int(parts.port or 0)), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        playwright.expect(page.page.locator("#offline")).to_contain_text("Start segue again and use the new")
        page.key("End")
        playwright.expect(page.page.locator("#frame")).to_have_value("8")
        page.page.close()
        other.shutdown()

    secret = parts.path.strip("/")
    assert asked
    assert not [path for path in asked if secret in path]


def test_a_refusal_goes_when_the_next_change_is_made(desk: Desk) -> None:
    desk.objects, desk.held = [1], {"click"}
    desk.open()
    for place, error in enumerate(("there is no mask here to correct", None)):
        desk.page.mouse.click(*desk.at(100 + place, 100))
        asked = desk.next("click")
        desk.answer(asked, **({"object": 1} if error is None else {"error": error, "stale": False}))
        shown = desk.page.locator(".notice.bad")
        playwright.expect(shown).to_have_count(0 if error is None else 1)


def test_an_object_without_a_mask_offers_its_nearest_one(one: Desk) -> None:
    one.page.keyboard.press("End")
    one.here("has no mask here")
    one.page.get_by_role("button", name="Copy its mask here").click()
    asked = one.next_asked("paste")
    last = one.frames - 1
    assert (asked["frame"], asked["of_frame"], asked["object"], asked["of_object"]) == (last, 0, 1, 1)
    one.page.get_by_role("button", name="Go to frame 0").click()
    one.here("corrected by you")
    playwright.expect(one.page.locator("#nearest")).to_be_hidden()
