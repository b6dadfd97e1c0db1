"""How film and masks are shown, and how large what is pressed is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.segue_web.chromium import needs_chromium
from tests.segue_web.pages.desk import WIDTH, Desk, progress
from tests.segue_web.pages.page import becomes, check_accessibility, playwright, press

pytestmark = needs_chromium

PIXEL = """([x, y]) => {
  const canvas = document.querySelector("#canvas");
  const box = canvas.getBoundingClientRect();
  const ratio = devicePixelRatio;
  const place = [Math.round((x - box.left) * ratio), Math.round((y - box.top) * ratio)];
  return [...canvas.getContext("2d").getImageData(...place, 1, 1).data.slice(0, 3)];
}"""
"""The colour of the image at a place of the window."""

SMALL = """() => {
  const small = [];
  for (const part of document.querySelectorAll("button, a[href], select, input, summary, [role=tab]")) {
    if (!part.checkVisibility({ visibilityProperty: true })) continue;
    const target = part.matches("[type=checkbox], [type=radio]") ? part.closest("label") ?? part : part;
    const { width, height } = target.getBoundingClientRect();
    if (width < 24 || height < 24)
      small.push(`${part.id || part.title || part.textContent || part.outerHTML}: ${width} x ${height}`);
  }
  return small;
}"""
"""What is pressed and smaller than 24 pixels: WCAG 2.2, 2.5.8."""


def pixel(desk: Desk, x: float, y: float) -> list[int]:
    desk.settle()
    found: list[int] = desk.page.evaluate(PIXEL, list(desk.at(x, y)))
    return found


@pytest.fixture
def shown(one: Desk) -> Desk:
    """The panel is open."""
    one.page.locator('[data-command="display"]').click()
    playwright.expect(one.page.locator("#display")).to_be_visible()
    return one


def test_colours_for_the_colour_blind_are_shown_by_choice(shown: Desk) -> None:
    before = pixel(shown, 50, 50)
    shown.page.locator("#palette").select_option("for the colour-blind")
    assert pixel(shown, 50, 50) != before
    swatch = shown.page.get_by_label("Colour of Object 1", exact=True)
    playwright.expect(swatch).to_have_value("#eb8900")
    playwright.expect(swatch).to_be_disabled()
    assert {"palette": "safe"} in [message["values"] for message in shown.asked("settings")]
    shown.page.locator("#palette").select_option("as set")
    assert pixel(shown, 50, 50) == before
    playwright.expect(swatch).to_have_value("#f2495c")


def test_masks_are_hatched_by_choice(shown: Desk) -> None:
    def contrast() -> int:
        reds = [pixel(shown, 44 + x + 0.5, 50)[0] for x in range(12)]
        return max(reds) - min(reds)

    assert contrast() == 0
    shown.page.get_by_label("Hatch each mask").check()
    assert contrast() > 40
    shown.page.get_by_label("Hatch each mask").uncheck()
    assert contrast() == 0


def test_guides_lie_over_the_film(shown: Desk) -> None:
    """Its thirds, and the outline of the inner nine tenths."""
    plain = pixel(shown, WIDTH / 3, 100), pixel(shown, WIDTH * 0.05, 100)
    shown.page.locator("#guides").select_option("thirds")
    assert pixel(shown, WIDTH / 3, 100) != plain[0]
    assert pixel(shown, WIDTH * 0.05, 100) == plain[1]
    shown.page.locator("#guides").select_option("safe areas")
    assert pixel(shown, WIDTH / 3, 100) == plain[0]
    assert pixel(shown, WIDTH * 0.05, 100) != plain[1]
    assert {"guides": "safe"} in [message["values"] for message in shown.asked("settings")]
    shown.page.locator("#guides").select_option("none")
    assert pixel(shown, WIDTH * 0.05, 100) == plain[1]


def test_exposure_and_gamma_change_the_film_on_the_screen_alone(shown: Desk) -> None:
    assert pixel(shown, 300, 200) == [90, 90, 90]
    shown.page.locator("#set-exposure").fill("1")
    brighter = pixel(shown, 300, 200)
    assert brighter == [123, 123, 123], "255 * (2 * (90 / 255) ** 2.2) ** (1 / 2.2)"
    shown.page.locator("#set-gamma").fill("2")
    assert pixel(shown, 300, 200)[0] > 150
    shown.page.get_by_role("button", name="Reset exposure and gamma").click()
    assert pixel(shown, 300, 200) == [90, 90, 90]
    playwright.expect(shown.page.get_by_role("button", name="Reset exposure and gamma")).to_be_disabled()
    assert shown.ops("click", "stroke") == []


def test_masks_of_the_frames_before_and_after_are_outlined(shown: Desk) -> None:
    shown.change(2, 1)
    shown.page.keyboard.press("Escape")
    playwright.expect(shown.page.locator("#display")).to_be_hidden()
    shown.page.keyboard.press("ArrowRight")
    shown.settle()
    outlines = """import("./static/view.js").then(({ view }) => {
      const strokes = [];
      const { stroke } = view.context;
      view.context.stroke = function (...path) {
        if (this.getLineDash().length) strokes.push(this.strokeStyle);
        stroke.apply(this, path);
      };
      view.draw();
      delete view.context.stroke;
      return strokes;
    })"""
    assert shown.page.evaluate(outlines) == []
    shown.page.keyboard.press("Shift+G")
    becomes(shown.page, outlines)
    assert {"#3a86ff", "#ff9f1c"} <= set(shown.page.evaluate(outlines))


def test_a_pointer_that_moves_draws_the_image_alone(one: Desk) -> None:
    one.page.keyboard.press("b")
    one.page.mouse.move(*one.at(100, 100))
    one.settle()
    one.page.evaluate(
        """() => {
          window.cleared = {};
          for (const id of ["canvas", "timeline"]) {
            const context = document.getElementById(id).getContext("2d");
            context.clearRect = function (...place) {
              cleared[id] = (cleared[id] ?? 0) + 1;
              CanvasRenderingContext2D.prototype.clearRect.apply(this, place);
            };
          }
        }"""
    )
    for x in range(110, 160, 10):
        one.page.mouse.move(*one.at(x, 100))
        one.settle()
    drawn = one.page.evaluate("cleared")
    assert drawn["canvas"] >= 5
    assert "timeline" not in drawn
    one.page.keyboard.press("ArrowRight")
    one.settle()
    assert one.page.evaluate("cleared.timeline > 0")


def test_no_two_commands_and_tools_have_one_key(one: Desk) -> None:
    keys: list[str] = one.page.evaluate(
        """async () => {
          const { commands } = await import("./static/commands.js");
          const { TOOLS } = await import("./static/tools.js");
          const ofAll = Object.values(commands).filter(({ mode }) => mode !== "compare");
          return [...ofAll.map(({ keys }) => keys), ...TOOLS.map(({ key }) => key)].filter(Boolean);
        }"""
    )
    assert sorted(keys) == sorted(set(keys))
    assert len(keys) > 50


def test_escape_closes_the_panel_and_stops_no_tracking(shown: Desk) -> None:
    shown.send(progress("tracking", "forward", [1]))
    shown.page.keyboard.press("Escape")
    playwright.expect(shown.page.locator("#display")).to_be_hidden()
    assert shown.ops("stop") == []
    shown.page.keyboard.press("Escape")
    shown.next_asked("stop")


@pytest.mark.parametrize(
    "command", ["help", "schemaDialog", "exportDialog", "importDialog", "people", "display"]
)
def test_controls_have_at_least_24_pixels(desk: Desk, command: str) -> None:
    waiting: dict[str, Any] = {"id": 1, "objects": [2], "direction": "forward", "start": 0}
    desk.queue = [waiting]
    desk.schema = {"classes": [{"name": "fish", "colour": "#ff0000", "key": "1", "attributes": []}]}
    desk.open()
    desk.change(0, 1, 2)
    desk.here("Object 2: corrected by you")
    desk.send(progress("tracking", "forward", [1]))
    playwright.expect(desk.page.locator("#waiting li")).to_have_count(2)
    assert desk.page.evaluate(SMALL) == []
    if command == "people":
        desk.held = {"people"}
    press(desk.page, command)
    if command == "people":
        desk.answer(desk.next("people"), people=[], changes=[])
    playwright.expect(
        desk.page.locator("#dialog, #display").and_(desk.page.locator(":popover-open, [open]"))
    ).to_be_visible()
    assert desk.page.evaluate(SMALL) == []


def test_keys_are_chosen_in_the_help_and_saved(one: Desk) -> None:
    one.page.locator('[data-command="help"]').click()
    key = one.page.get_by_role("button", name="Key: Show names and numbers on the masks")
    playwright.expect(key).to_have_text("I")
    key.click()
    playwright.expect(key).to_have_text("press a key")
    for taken in ("t", "7"):
        one.page.keyboard.press(taken)
        playwright.expect(one.page.locator(".notice.bad").last).to_contain_text("is already used")
        playwright.expect(key).to_have_text("I")
        key.click()
    one.page.keyboard.press("$")
    playwright.expect(key).to_have_text("$")
    assert ("labels", "$") in [(message.get("name"), message.get("key")) for message in one.asked("keys")]
    one.page.keyboard.press("Escape")
    labels = one.page.locator('[data-command="labels"]')
    playwright.expect(labels).to_have_attribute("title", "Show names and numbers on the masks ($)")
    one.page.keyboard.press("i")
    one.settle()
    playwright.expect(labels).to_have_attribute("aria-pressed", "false")
    one.page.keyboard.press("$")
    playwright.expect(labels).to_have_attribute("aria-pressed", "true")
    one.page.locator('[data-command="help"]').click()
    key.click()
    one.page.keyboard.press("Delete")
    playwright.expect(key).to_have_text("I")
    brush = one.page.get_by_role("button", name="Key: Brush", exact=True)
    brush.click()
    one.page.keyboard.press("Shift+F9")
    one.page.keyboard.press("Escape")
    tool = one.page.locator('[data-tool="brush"]')
    playwright.expect(tool.locator("kbd")).to_have_text("⇧F9")
    one.page.keyboard.press("b")
    playwright.expect(tool).to_have_attribute("aria-checked", "false")
    one.page.keyboard.press("Shift+F9")
    playwright.expect(tool).to_have_attribute("aria-checked", "true")


def test_keys_are_those_of_the_person_whatever_the_project_has(desk: Desk) -> None:
    desk.held = {"hello", "keys", "people"}
    desk.page.goto(desk.address)
    desk.answer(desk.next("hello"), user="Ann", settings={"key:labels": "$", "key:masks": "%"})
    asked = desk.next("keys")
    assert asked["user"] == "Ann"
    desk.answer(asked, keys={"labels": "("})
    labels = desk.page.locator('[data-command="labels"]')
    playwright.expect(labels).to_have_attribute("title", "Show names and numbers on the masks (()")
    desk.page.keyboard.press("(")
    playwright.expect(labels).to_have_attribute("aria-pressed", "true")
    desk.page.keyboard.press("%")  # of the project, from before keys were saved by person
    becomes(desk.page, "import('./static/state.js').then(({ state }) => state.settings.hidden)")
    desk.page.keyboard.press("Shift+K")
    desk.answer(desk.next("people"), people=[], changes=[])
    desk.page.get_by_label("Your name").fill("Ben")
    desk.page.keyboard.press("Enter")
    asked = desk.next("keys")
    assert asked["user"] == "Ben"
    desk.answer(asked, keys={"labels": ")"})
    playwright.expect(labels).to_have_attribute("title", "Show names and numbers on the masks ())")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_panels_and_dialogs_keep_to_the_rules_of_axe(one: Desk, scheme: str) -> None:
    one.page.emulate_media(color_scheme=scheme)
    for tab in ("objects", "next", "found"):
        one.page.locator(f"#tab-{tab}").click()
        check_accessibility(one.page)
    dialog = one.page.locator("#dialog")
    for command in ("exportDialog", "importDialog", "schemaDialog", "help"):
        press(one.page, command)
        playwright.expect(dialog).to_be_visible()
        check_accessibility(one.page)
        one.page.keyboard.press("Escape")
        playwright.expect(dialog).to_be_hidden()
    one.page.locator('[data-command="display"]').click()
    check_accessibility(one.page)
