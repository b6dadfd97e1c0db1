"""Panels and the timeline make room for the image, and no key discards typing."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.segue_web.chromium import needs_chromium
from tests.segue_web.pages.desk import HEIGHT, Desk, progress
from tests.segue_web.pages.page import becomes, playwright, press

pytestmark = needs_chromium

SHARE = """import("./static/view.js").then(({ view }) => import("./static/state.js").then(({ state }) =>
  (state.video.width * state.video.height * (view.scale / devicePixelRatio) ** 2)
    / innerWidth / innerHeight))"""
"""The part of the window that the image has."""


HEAD, ROW = 18, 20
"""Heights of the ruler and of a row of the timeline, in pixels."""


CUT = """() => {
  const cut = [];
  const { documentElement: page } = document;
  if (page.scrollWidth > innerWidth || page.scrollHeight > innerHeight)
    cut.push(`the page is ${page.scrollWidth} x ${page.scrollHeight}`);
  const rows = "#tools, #here, #here-actions, #hint, .bar, .transport, .tabs, .legend";
  for (const part of document.querySelectorAll(rows)) {
    if (part.checkVisibility({ visibilityProperty: true }) && part.scrollWidth > part.clientWidth)
      cut.push(`${part.id || part.className}: ${part.scrollWidth} wide in ${part.clientWidth}`);
  }
  const texts = ".title span, .bar .text, .tabs button, #range, .transport .more";
  for (const part of document.querySelectorAll(texts)) {
    if (part.checkVisibility({ visibilityProperty: true }) && part.scrollWidth > part.clientWidth + 1)
      cut.push(`${part.id || part.textContent}: ${part.scrollWidth} wide in ${part.clientWidth}`);
  }
  const controls = ".bar button, .transport button, .transport label, .transport select";
  for (const part of document.querySelectorAll(controls)) {
    const { right, left, width } = part.getBoundingClientRect();
    if (width && (right > innerWidth || left < 0)) cut.push(`${part.title}: beyond the window`);
  }
  for (const part of document.querySelectorAll("#tools, #here")) {
    if (part.checkVisibility({ visibilityProperty: true }) && part.scrollHeight > part.clientHeight)
      cut.push(`${part.id}: ${part.scrollHeight} high in ${part.clientHeight}`);
  }
  return cut;
}"""
"""What is wider than the window or its own box, and tools and buttons below the end of theirs."""


OFFER = """import("./static/dom.js").then(({ make, notice }) => {
  const offer = make("button", { textContent: "Enter your name" });
  notice("Another browser also works on this project. Your changes are stored as Person 2.", "", [offer]);
})"""


def drag(desk: Desk, edge: str, dx: float, dy: float) -> None:
    box = desk.page.locator(edge).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    desk.page.mouse.move(x, y)
    desk.page.mouse.down()
    desk.page.mouse.move(x + dx, y + dy, steps=4)
    desk.page.mouse.up()
    desk.settle()


def size(desk: Desk, part: str) -> tuple[float, float]:
    box = desk.page.locator(part).bounding_box()
    return box["width"], box["height"]


def test_with_folded_panels_the_image_has_more_of_the_window(one: Desk) -> None:
    one.page.set_viewport_size({"width": 1366, "height": 768})
    one.settle()
    before = one.page.evaluate(SHARE)
    one.page.keyboard.press("Shift+H")
    one.settle()
    assert one.page.evaluate(SHARE) > before + 0.1
    playwright.expect(one.page.locator("#side")).to_be_hidden()
    playwright.expect(one.page.locator("#timeline")).to_be_hidden()
    assert {"sideFolded": True} in [message["values"] for message in one.asked("settings")]
    one.page.keyboard.press("F2")
    playwright.expect(one.page.locator("#name")).to_be_focused()
    assert size(one, "#side")[0] == 288, "a field that is typed into is in sight"
    one.page.keyboard.press("Escape")
    one.page.keyboard.press("Shift+L")
    one.settle()
    assert one.page.evaluate(SHARE) == pytest.approx(before, rel=0.02)


@pytest.mark.parametrize("objects", [1, 3, 12])
@pytest.mark.parametrize("window", [(1024, 768), (1366, 768), (1920, 1080)])
def test_the_film_has_half_of_the_window_by_default(
    desk: Desk, window: tuple[int, int], objects: int
) -> None:
    desk.page.set_viewport_size({"width": window[0], "height": window[1]})
    desk.objects = list(range(1, objects + 1))
    desk.open()
    assert desk.page.evaluate(SHARE) >= 0.5


def test_the_panels_at_the_side_of_a_narrow_window_come_and_go_over_the_image(one: Desk) -> None:
    one.page.set_viewport_size({"width": 1024, "height": 768})
    one.settle()
    share = one.page.evaluate(SHARE)
    side, button = one.page.locator("#side"), one.page.locator("[data-command=drawer]")
    playwright.expect(side).to_be_hidden()
    for toggle in (button.click, lambda: one.page.keyboard.press("Shift+P")):
        toggle()
        playwright.expect(side).to_be_visible()
        assert one.page.evaluate(SHARE) == share
        toggle()
        playwright.expect(side).to_be_hidden()


def test_the_timeline_is_as_high_as_its_rows_while_there_is_room(desk: Desk) -> None:
    desk.open()
    desk.page.set_viewport_size({"width": 1366, "height": 768})
    box = desk.page.locator("#timeline-box")
    heights = []
    for number in (1, 2, 3, 12):
        desk.change(0, *range(1, number + 1))
        desk.here("Object 1: corrected by you")
        desk.settle()
        heights.append(size(desk, "#timeline-box")[1])
        scrolls = box.evaluate("node => node.scrollHeight > node.clientHeight")
        assert scrolls == (number == 12), number
    assert heights[:3] == [HEAD + ROW, HEAD + 2 * ROW, HEAD + 3 * ROW]
    assert heights[3] < HEAD + 5 * ROW
    desk.page.set_viewport_size({"width": 1200, "height": 900})  # where the image needs less of the height
    desk.settle()
    assert not box.evaluate("node => node.scrollHeight > node.clientHeight")


def test_a_new_row_moves_no_image_that_has_room(desk: Desk) -> None:
    desk.page.set_viewport_size({"width": 1366, "height": 768})
    desk.open()
    places = []
    for number in range(1, 6):
        desk.change(0, *range(1, number + 1))
        desk.here("Object 1: corrected by you")
        desk.settle()
        places.append(desk.at(10, 10))
        box = desk.page.locator("#canvas").bounding_box()
        assert desk.at(0, HEIGHT)[1] <= box["y"] + box["height"], "nor is one cut"
    assert places[0] == places[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_area_around_the_video_is_neutral_grey(one: Desk, scheme: str) -> None:
    one.page.emulate_media(color_scheme=scheme)
    colour, image = (
        one.page.locator("#view").evaluate("(node, name) => getComputedStyle(node)[name]", name)
        for name in ("backgroundColor", "backgroundImage")
    )
    red, green, blue = map(int, re.findall(r"\d+", colour)[:3])
    assert red == green == blue
    assert image == "none"
    assert (red < 60) == (scheme == "dark")


def test_names_in_the_timeline_carry_the_numbers_of_the_list(desk: Desk) -> None:
    desk.objects = [3, 7]
    desk.known = {3: {"name": "Koi"}, 7: {"name": "Leaf"}}
    desk.open()
    desk.page.evaluate(
        """async () => {
          const { fillText } = CanvasRenderingContext2D.prototype;
          window.drawn = [];
          CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
            drawn.push(text);
            fillText.call(this, text, ...place);
          };
          (await import("./static/state.js")).state.changed();
        }"""
    )
    becomes(desk.page, "window.drawn.includes('3 Koi') && window.drawn.includes('7 Leaf')")
    assert desk.page.locator("#objects .number").all_inner_texts() == ["7", "3"]


def test_edges_are_dragged_folded_and_moved_by_keys(one: Desk) -> None:
    drag(one, "#side-edge", -100, 0)
    assert size(one, "#side")[0] == pytest.approx(388, abs=2)
    height = size(one, "#timeline-box")[1]
    drag(one, "#timeline-edge", 0, -50)
    assert size(one, "#timeline-box")[1] == pytest.approx(height + 50, abs=2)
    saved: dict[str, Any] = {}
    for message in one.asked("settings"):
        saved |= message["values"]
    assert saved["sideWidth"] == pytest.approx(388, abs=2)
    assert saved["timelineHeight"] == pytest.approx(height + 50, abs=2)
    drag(one, "#side-edge", 350, 0)
    playwright.expect(one.page.locator("#side")).to_be_hidden()
    one.page.locator("#side-edge").dblclick()
    playwright.expect(one.page.locator("#side")).to_be_visible()
    width = size(one, "#side")[0]
    one.page.locator("#side-edge").press("ArrowLeft")
    one.settle()
    assert size(one, "#side")[0] == width + 16


def test_escape_asks_before_it_discards_what_was_typed(one: Desk) -> None:
    ask = one.page.locator("dialog.question")
    for answer, kept in (("Discard", None), ("Keep", "Koi")):
        one.page.keyboard.press("F2")
        one.page.keyboard.type("Koi")
        one.page.keyboard.press("Escape")
        playwright.expect(ask).to_contain_text("Keep “Koi”?")
        assert one.ops("object") == []
        one.page.keyboard.press("Escape")  # back to the field
        playwright.expect(ask).to_have_count(0)
        playwright.expect(one.page.locator("#name")).to_be_focused()
        playwright.expect(one.page.locator("#name")).to_have_value("Koi")
        one.page.keyboard.press("Escape")
        ask.get_by_role("button", name=answer).click()
        playwright.expect(one.page.locator("#name")).not_to_be_focused()
        assert [message["name"] for message in one.asked("object")] == [kept] * bool(kept)
    one.page.keyboard.press("j")
    one.page.keyboard.type("pose: sits")
    one.page.keyboard.press("Escape")
    ask.get_by_role("button", name="Keep").click()
    assert one.next_asked("object", 1)["attributes"] == {"pose": "sits"}
    one.page.keyboard.press("j")
    one.page.keyboard.press("Escape")
    playwright.expect(ask).to_have_count(0)
    playwright.expect(one.page.locator("#attribute")).not_to_be_focused()


def test_a_dialog_with_something_typed_asks_before_it_closes(one: Desk) -> None:
    dialog, ask = one.page.locator("#dialog"), one.page.locator("dialog.question")
    press(one.page, "schemaDialog")
    one.page.keyboard.press("Escape")
    playwright.expect(dialog).to_be_hidden()
    press(one.page, "schemaDialog")
    one.page.get_by_role("button", name="New class").click()
    one.page.keyboard.type("car")
    for _ in range(2):
        one.page.keyboard.press("Escape")
        ask.get_by_role("button", name="Keep editing").click()
        playwright.expect(one.page.get_by_label("Class", exact=True).last).to_have_value("car")
    one.page.keyboard.press("Escape")
    ask.get_by_role("button", name="Discard").click()
    playwright.expect(dialog).to_be_hidden()
    assert one.ops("schema") == []


def test_a_polygon_that_was_given_up_can_be_gone_on_with(one: Desk) -> None:
    one.page.keyboard.press("n")
    one.page.keyboard.press("p")
    for x, y in ((0.2, 0.2), (0.3, 0.2), (0.3, 0.3)):
        one.click(x, y)
    one.page.keyboard.press("Escape")
    one.page.locator(".notice").get_by_role("button", name="Continue").click()
    one.click(0.2, 0.3)
    one.page.keyboard.press("Enter")
    assert len(one.next_asked("stroke")["path"]) == 4


def test_classes_in_use_are_offered_and_another_one_can_be_given(desk: Desk) -> None:
    desk.known = {2: {"category": "car"}, 3: {"category": "person"}}
    desk.open()
    desk.change(0, 1, 2, 3)
    playwright.expect(desk.page.locator("#objects li")).to_have_count(3)
    desk.page.keyboard.press("1")
    desk.page.keyboard.press("k")
    playwright.expect(desk.page.locator("#dialog button.class")).to_have_text(["car1", "person2"])
    desk.page.keyboard.press("2")
    assert desk.next_asked("object")["category"] == "person"
    desk.page.keyboard.press("k")
    desk.page.get_by_label("Another class").fill("bus 1")
    desk.page.keyboard.press("Enter")
    assert desk.next_asked("object", 1)["category"] == "bus 1"


def test_attributes_of_frames_have_marks_in_the_timeline(desk: Desk) -> None:
    desk.known = {1: {"frame_attributes": {"occluded": {"4": "true", "6": ""}}}}
    desk.open()
    desk.change(0, 1)
    desk.here("Object 1: corrected by you")
    line = desk.page.locator("#timeline")
    box = line.bounding_box()
    for frame, title in (
        (4, "occluded: true, from frame 4 on"),
        (6, "occluded: none, from frame 6 on"),
        (2, ""),
    ):
        x = 132 + frame / 8 * (box["width"] - 132)
        line.hover(position={"x": x, "y": 28})
        playwright.expect(line).to_have_attribute("title", title)
    colours = line.evaluate(
        """(node, [x, y]) => [...node.getContext("2d").getImageData(x, y, 1, 1).data.slice(0, 3)]""",
        [round(132 + (box["width"] - 132) / 2) + 2, 19],
    )
    assert colours == [0x8A, 0x53, 0x00]


def test_a_message_goes_when_what_it_asks_for_is_done(one: Desk) -> None:
    one.page.evaluate("window.setTimeout = () => 0")  # no message goes because it has been there for long
    one.page.keyboard.press("n")
    asks = one.page.locator(".notice", has_text="Click on the new object")
    playwright.expect(asks).to_be_visible()
    one.held = {"click"}
    one.click(0.7, 0.7)
    click = one.next("click")
    one.change(0, 1, 2)
    one.answer(click, object=2)
    playwright.expect(asks).to_have_count(0)


@pytest.mark.parametrize(
    "window", [(1024, 768), (1181, 700), (1280, 720), (1366, 600), (1366, 768), (1920, 1080), (3840, 2160)]
)
def test_nothing_is_cut_off_in_windows_of_all_sizes(one: Desk, window: tuple[int, int]) -> None:
    one.page.set_viewport_size({"width": window[0], "height": window[1]})
    one.settle()
    assert one.page.evaluate(CUT) == []
    one.send(progress("tracking", "forward", [1]))
    playwright.expect(one.page.locator("#waiting li")).to_have_count(1)
    one.settle()
    assert one.page.evaluate(CUT) == []
    one.page.keyboard.press("n")  # its hint is longer
    one.page.evaluate(OFFER)
    one.settle()
    assert one.page.evaluate(CUT) == []
    text = one.page.locator(".notice > span", has_text="Another browser")
    share = text.evaluate("node => node.getBoundingClientRect().width / node.parentNode.clientWidth")
    assert share > 0.6, "what a message offers is below its text"
    one.page.keyboard.press("Shift+H")
    playwright.expect(one.page.locator("#side")).to_be_hidden()
    one.settle()
    assert one.page.evaluate(CUT) == []


def test_no_window_is_too_narrow_for_the_rows_of_buttons(one: Desk) -> None:
    beyond = "[document.documentElement, ...document.querySelectorAll('.bar, .transport')]"
    for width in range(340, 1500, 20):
        one.page.set_viewport_size({"width": width, "height": 760})
        wide = one.page.evaluate(f"{beyond}.filter(part => part.scrollWidth > innerWidth).length")
        assert not wide, f"at {width} pixels"


@pytest.mark.parametrize(("width", "height"), [(768, 1024), (390, 844)])
def test_a_portrait_window_has_the_film_above_one_row_of_tools_and_the_panels(
    one: Desk, width: int, height: int
) -> None:
    one.page.set_viewport_size({"width": width, "height": height})
    film, tools, side, foot = (
        one.page.locator(part).bounding_box() for part in ("#canvas", "#tools", "#side", ".foot")
    )
    assert film["width"] == width
    aspect = one.page.evaluate(
        "import('./static/state.js').then(({ state: { video } }) => video.width / video.height)"
    )
    assert film["height"] < 1.1 * width / aspect + 12, "nothing is empty below the film"
    assert film["y"] + film["height"] <= tools["y"] + 1 < side["y"] < foot["y"]
    assert tools["height"] < 60
    assert side["height"] > 150
    assert one.page.locator("[data-command=drawer]").is_hidden()
    playwright.expect(one.page.locator("#objects li")).to_be_visible()


def test_menus_open_beside_their_buttons_and_close_by_a_choice(one: Desk) -> None:
    button, menu = one.page.locator("#mask"), one.page.locator("#mask-menu")
    button.click()
    playwright.expect(menu).to_be_visible()
    playwright.expect(button).to_have_attribute("aria-expanded", "true")
    box, beside = menu.bounding_box(), button.bounding_box()
    assert abs(box["y"] + box["height"] + 4 - beside["y"]) < 2, "above it, where there is room"
    one.page.keyboard.press("Escape")
    playwright.expect(menu).to_be_hidden()
    button.click()
    playwright.expect(menu).to_be_focused()
    one.page.keyboard.press("ArrowDown")
    playwright.expect(one.page.locator('[data-command="fillHoles"]')).to_be_focused()
    one.page.keyboard.press("ArrowUp")
    playwright.expect(one.page.locator('[data-command="spreadMask"]')).not_to_be_focused()
    one.page.locator('[data-command="fillHoles"]').click()
    playwright.expect(menu).to_be_hidden()
    one.next_asked("clean")


def test_a_message_in_a_dialog_covers_none_of_its_buttons(one: Desk) -> None:
    one.page.locator('[data-command="exportDialog"]').click()
    one.page.evaluate("import('./static/dom.js').then(({ notice }) => notice('cannot be done', 'bad'))")
    notice = one.page.locator(".notice")
    playwright.expect(notice).to_contain_text("Cannot be done")
    boxes = [one.page.locator(part).bounding_box() for part in ("dialog .icon >> nth=0", "#export-run")]
    told = notice.bounding_box()
    for box in boxes:
        assert box["y"] + box["height"] <= told["y"] or told["y"] + told["height"] <= box["y"]


LONG = "a name of an object or of a video that a camera gives " * 3

BEYOND = """dialog => {
  const { right } = dialog.getBoundingClientRect();
  return [...dialog.querySelectorAll("button, input, select")]
    .filter((part) => part.checkVisibility() && part.getBoundingClientRect().right > right)
    .map((part) => part.ariaLabel ?? part.textContent);
}"""
"""Controls beyond the right edge of a dialog."""


@pytest.mark.parametrize("window", [(390, 844), (768, 1024)])
def test_long_names_push_no_control_out_of_a_dialog(one: Desk, window: tuple[int, int]) -> None:
    one.page.set_viewport_size({"width": window[0], "height": window[1]})
    one.known[1] = {"name": LONG}
    one.tell_objects()
    one.held = {"people", "videos"}
    dialog = one.page.locator("#dialog")
    press(one.page, "people")
    person = {"user": LONG[:80], "masks": 3, "reviewed": 2, "comments": 0}
    change = {"label": "click", "user": LONG[:80], "undone": False, "time": 0, "objects": [LONG]}
    one.answer(one.next("people"), people=[person], changes=[{**change, "frames": [0, 3]}])
    dialog.get_by_text("Newest changes").wait_for()
    assert dialog.evaluate(BEYOND) == []
    one.page.keyboard.press("Escape")
    one.page.evaluate("import('./static/videos.js').then(({ videosDialog }) => { videosDialog(); })")
    row = {"name": LONG, "frames": 9, "annotated": 3, "reviewed": 2, "objects": 1, "state": "work"}
    one.answer(one.next("videos"), videos=[{**row, "assigned": LONG[:80], "people": [person]}], open=0)
    dialog.get_by_role("button", name="Export all").wait_for()
    assert dialog.evaluate(BEYOND) == []


def test_keys_are_searched_in_the_help(one: Desk) -> None:
    one.page.locator('[data-command="help"]').click()
    groups = one.page.locator(".keys section")
    playwright.expect(groups.first).to_contain_text("Tools")
    one.page.get_by_label("Search the keys").fill("matte")
    playwright.expect(groups.locator("div:visible")).to_have_count(2)
    playwright.expect(groups.locator("h3:visible")).to_have_text(["View"])
