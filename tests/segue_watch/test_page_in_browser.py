"""The page of cameras in a browser: wall, events, marks, zones, counts and health."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from segue.events.store.store import EventStore
from segue.utils.cancel import CancelToken
from segue_watch.camera import Camera
from segue_watch.cameras import watch_cameras
from segue_watch.configuration import read_cameras
from segue_watch.drawn import Change, save_change
from segue_watch.web.page import CameraPage
from tests.cli.mjpeg import mjpeg_camera
from tests.events.stored import ask
from tests.segue_watch.test_page import swaying
from tests.segue_web.chromium import launched, needs_chromium
from tests.segue_web.pages.page import WAIT, becomes, check_accessibility, drawn

pytestmark = needs_chromium

TEXT = """
[defaults]
model = "median"
device = "cpu"
when-late = "all"
[cameras.gate]
source = "ADDRESS"
zone = ["wall=0%,0% 100%,0% 100%,100% 0%,100%"]
recording = "http://nvr/front/{start}/{end}/clip.mp4"
[cameras.dead]
source = "http://127.0.0.1:9/none"
"""


SLOW = """(() => { const { fetch } = window; window.fetch = async (...words) => {
  await new Promise((done) => setTimeout(done, 300));
  return fetch(...words);
}; })()"""
"""Makes the page wait for the server."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with launched() as chromium:
        yield chromium


@pytest.fixture
def cameras(tmp_path: Path, folder: Path) -> Iterator[dict[str, Camera]]:
    """A camera that gives frames and one that does not."""
    with mjpeg_camera() as address:
        file = tmp_path / "cameras.toml"
        file.write_text(TEXT.replace("ADDRESS", address))
        yield {
            name: Camera(name, job, lambda *_: None, lambda _: None)
            for name, job in read_cameras(file, folder).items()
        }


@pytest.fixture
def page(chromium: Any, tmp_path: Path, folder: Path, cameras: dict[str, Camera]) -> Iterator[Any]:
    """Their page."""
    stop = CancelToken()

    def save(name: str, change: Change) -> None:
        camera = cameras[name]
        camera.change(save_change(tmp_path / "cameras.toml", folder, name, change, camera.check))

    listed = [*cameras.values()]
    thread = threading.Thread(target=watch_cameras, args=(listed, stop), daemon=True)
    with CameraPage(listed, 0, save) as served:
        thread.start()
        tab = chromium.new_page(viewport={"width": 1366, "height": 768})
        tab.set_default_timeout(WAIT)
        errors: list[str] = []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(served.address)
        tab.locator(".tile").nth(1).wait_for()
        yield tab
        tab.close()  # it would go on to ask, and to draw
        stop.cancel()
        thread.join(30)
        assert errors == []


def test_people_see_cameras_and_events_mark_them_and_draw_zones(page: Any, folder: Path) -> None:
    page.locator(".tile.online", has_text="gate").wait_for()
    page.locator(".tile", has_text="dead").locator(".status", has_text=re.compile("starting|lost")).wait_for()
    heights = "[...document.querySelectorAll('.tile')].map((tile) => tile.getBoundingClientRect().height)"
    becomes(page, f"Math.min(...{heights}) > 300")  # they fill the window

    page.get_by_role("link", name="Events", exact=True).click()
    page.locator(".card img").first.wait_for()
    page.locator("#by-event").select_option("zone-enter")
    page.get_by_text("entered wall").first.wait_for()
    page.locator("#by-before").fill("2100-01-01T00:00")  # the list stays as it is
    page.locator(".card").first.click()
    page.evaluate("import('./static/review_list.js').then(({ reviewed }) => reviewed.load())")
    page.get_by_label("Keep", exact=True).check()
    page.locator(".card .flags", has_text="kept").first.wait_for(state="attached")
    table = folder / "gate.csv"
    [(visit,)] = ask(table, "select id from visits where kept = 1")
    store = EventStore.open(folder / "gate.db")
    for value in (False, True):  # by another person
        store.mark([visit], "kept", value)
    store.close()
    page.get_by_label("Reviewed", exact=True).check()
    page.locator(".card .flags", has_text="reviewed").first.wait_for(state="attached")
    assert ask(table, "select reviewed, kept from visits where id = ?", visit) == [(1, 1)]
    page.locator(".player video, .player img").wait_for()
    address = page.url
    assert "#visit/" in address
    page.keyboard.press("Escape")
    becomes(page, "location.hash.startsWith('#events?event=zone-enter&before=')")
    page.reload()
    becomes(page, "document.getElementById('by-event').value === 'zone-enter'")  # the address has the filters
    page.goto(address)
    page.get_by_label("Keep", exact=True).wait_for()
    assert page.get_by_label("Keep", exact=True).is_checked()
    page.keyboard.press("Escape")

    page.get_by_role("link", name="Counts").click()
    page.get_by_text("Objects that entered").wait_for()
    for choice, bars in (("day", 14), ("hour", 24)):
        page.locator("#counts-by").select_option(choice)
        becomes(
            page, f"document.querySelectorAll('.chart')[0]?.querySelectorAll('.bars i').length === {bars}"
        )
    page.get_by_role("link", name="Health").click()
    page.get_by_text("of a CPU core").wait_for()

    page.get_by_role("link", name="Wall").click()
    page.locator(".tile.online").click()
    page.get_by_role("button", name="Draw").click()
    box = page.locator("#canvas").bounding_box()
    for x, y in ((0.4, 0.4), (0.6, 0.6)):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.locator("#zone-name").fill("line")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Remove line").wait_for()
    page.get_by_role("button", name="Remove wall").click()
    page.get_by_role("button", name="Remove wall").wait_for(state="detached")


def test_a_box_that_is_ticked_stays_so_while_its_mark_is_saved(page: Any) -> None:
    page.get_by_role("link", name="Events", exact=True).click()
    page.locator(".card img").first.wait_for()
    page.locator(".card").first.click()
    page.get_by_label("Keep", exact=True).wait_for()
    page.evaluate(SLOW)
    ticked = """import("./static/review_list.js").then(async ({ reviewed, MARKS }) => {
      const boxes = [...document.querySelectorAll("#dialog label input")];
      for (const box of boxes) box.click();
      reviewed.changed(MARKS);
      for (let n = 0; n < 2; n++) await new Promise((done) => requestAnimationFrame(done));
      return boxes.map((box) => box.checked);
    })"""
    assert page.evaluate(ticked) == [True, True]
    for text in ("kept", "reviewed"):
        page.locator(".card .flags", has_text=text).first.wait_for(state="attached")


def test_many_visits_are_reviewed_at_once_by_keys_and_by_a_mouse(page: Any, folder: Path) -> None:
    page.get_by_role("link", name="Events", exact=True).click()
    page.locator(".card img").nth(3).wait_for()
    page.locator("#by-before").fill("2100-01-01T00:00")  # the list stays as it is
    page.locator("#by-before").blur()
    becomes(page, "!document.getElementById('timeline-list').inert")
    page.locator(".card").first.wait_for()
    places = page.locator(".activity .card").evaluate_all("all => all.map((one) => one.dataset.place)")

    def reviewed() -> list[str]:
        shown = page.locator(".card.reviewed").evaluate_all("all => all.map((one) => one.dataset.place)")
        return [place for place in places if place in shown]

    page.keyboard.press("ArrowRight")  # the first one has the focus now
    page.keyboard.press("x")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.get_by_text("2 selected").wait_for()
    page.keyboard.press("r")
    page.locator(".card.reviewed").nth(1).wait_for()
    assert reviewed() == places[:2]
    page.keyboard.press("Escape")
    page.locator("#selected", has_text=f"{len(places)} shown, {len(places) - 2} not reviewed").wait_for()
    page.locator(".pick").nth(1).click()
    page.locator(".pick").nth(3).click(modifiers=["Shift"])
    page.get_by_text("3 selected").wait_for()
    page.locator("#mark-kept").click()
    page.locator(".card .flags", has_text="kept").nth(2).wait_for(state="attached")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="All reviewed").click()
    page.locator("#selected", has_text=f"{len(places)} shown, 0 not reviewed").wait_for()
    sums = "select sum(reviewed), sum(kept) from visits"
    marked = [ask(folder / f"{name}.csv", sums)[0] for name in ("gate", "dead")]  # one is offline
    assert [sum(each) for each in zip(*marked, strict=True)] == [len(places), 3]

    page.locator("#by-search").fill("gate wall")
    page.keyboard.press("Enter")
    page.locator(".card").first.wait_for()
    page.locator("#by-search").fill("nobody")
    page.keyboard.press("Enter")
    page.get_by_text("No visits.").wait_for()


def test_a_place_that_becomes_scene_is_said_once_and_taken_back(
    page: Any, cameras: dict[str, Camera]
) -> None:
    for number in range(1, 6):
        for index in range(3):
            cameras["dead"].memory.scenery.update(swaying(10 * number + index, number))
        cameras["dead"].memory.scenery.update(swaying(10 * number + 5, 0))
    page.locator(".notice", has_text="dead: objects appear and disappear repeatedly at one place").wait_for()
    page.evaluate("location.hash = '#camera/dead'")
    page.locator("#zone-list li", has_text="scene 1").wait_for()
    page.locator(".notice").get_by_role("button", name="Reject").click()
    page.locator("#zone-list li", has_text="scene 1").wait_for(state="detached")
    assert cameras["dead"].memory.scenery.places == []
    assert page.locator(".notice").count() == 0


def test_a_camera_fills_the_screen_with_its_zones(page: Any) -> None:
    page.locator(".tile.online").click()
    page.keyboard.press("f")
    becomes(page, "document.fullscreenElement?.id === 'view'")
    page.locator("#camera aside").wait_for(state="hidden")
    drawn(page)
    sides = (
        "(({ width, height }) => [width, height])(document.getElementById('canvas').getBoundingClientRect())"
    )
    becomes(page, f"{sides}.join() === [innerWidth, innerHeight].join()")
    page.keyboard.press("f")
    becomes(page, "document.fullscreenElement === null")
    page.locator("#camera aside").wait_for()


def test_a_visit_has_a_link_to_its_recording(page: Any, folder: Path) -> None:
    page.get_by_role("link", name="Events", exact=True).click()
    page.locator("#by-before").fill("2100-01-01T00:00")
    page.locator(".card img").first.click()
    link = page.get_by_role("link", name="Recording")
    link.wait_for()
    start, end = map(int, re.findall(r"\d{9,}", link.get_attribute("href")))
    assert 20 <= end - start < 120
    moments = {int(moment) - 10 for (moment,) in ask(folder / "gate.csv", "select moment from visits")}
    assert start in moments


def test_a_phone_shows_all_figures_of_health(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(re.sub("#.*", "", page.url) + "#health")
    page.locator("#health-rows td").nth(20).wait_for()
    cells = "[...document.querySelectorAll('#health-rows :is(th, td)')]"
    rights = page.evaluate(f"{cells}.map((cell) => cell.getBoundingClientRect().right)")
    assert max(rights) <= 390
    page.locator("#health-rows td", has_text=" MB").first.wait_for()


def test_a_camera_is_disarmed_and_armed_on_its_page(page: Any, cameras: dict[str, Camera]) -> None:
    page.locator(".tile.online", has_text="gate").click()
    page.get_by_role("button", name="Disarm").click()
    page.get_by_role("button", name="Arm", exact=True).wait_for()
    page.locator("#camera-status", has_text="disarmed").wait_for()
    assert not cameras["gate"].armed
    page.get_by_role("button", name="Arm", exact=True).click()
    page.get_by_role("button", name="Disarm").wait_for()
    assert cameras["gate"].armed


def test_a_phone_has_one_line_of_header(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    drawn(page)
    height = page.evaluate("document.querySelector('.bar').getBoundingClientRect().height")
    assert height < 60
    rights = page.locator(".bar a, .bar button").evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect().right)"
    )
    assert max(rights) <= 390


def test_regions_and_least_heights_are_drawn_and_removed(page: Any, folder: Path) -> None:
    page.locator(".tile.online").click()

    def draw(kind: str, *points: tuple[float, float]) -> None:
        page.get_by_role("button", name="Draw").click()
        page.locator("#zone-kind").select_option(kind)
        box = page.locator("#canvas").bounding_box()
        for x, y in points:
            page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.get_by_role("button", name="Save").click()
        page.locator("#zone-form").wait_for(state="hidden")

    page.get_by_role("button", name="Draw").click()
    page.locator("#zone-kind").select_option("ignored")
    assert page.locator("#zone-save").is_disabled()
    page.locator("#zone-name").fill("tree")
    page.get_by_role("button", name="Cancel").click()
    draw("ignored", (0.4, 0.4), (0.6, 0.4), (0.6, 0.6))
    page.get_by_role("button", name="Remove zone").wait_for()
    draw("heights", (0.5, 0.7), (0.5, 0.6))
    draw("heights", (0.5, 0.4), (0.5, 0.35))
    page.locator("#zone-list li", has_text="minimum height").nth(1).wait_for()
    file = folder.parent / "cameras.toml"
    gate = read_cameras(file, folder)["gate"]
    assert [text.partition("=")[0] for text in gate.ignore] == ["zone"]
    assert len(gate.min_height) == 2
    assert gate.zones, "they stay"
    page.get_by_role("button", name="Remove zone").click()
    page.get_by_role("button", name="Remove zone").wait_for(state="detached")
    page.evaluate(SLOW)
    heights = page.get_by_role("button", name=re.compile("Remove .* px"))
    for title in heights.evaluate_all("all => all.map((one) => one.title)"):
        page.get_by_role("button", name=title, exact=True).click()
    page.locator("#zone-list li", has_text="minimum height").first.wait_for(state="detached")
    gate = read_cameras(file, folder)["gate"]
    assert (len(gate.ignore), len(gate.min_height)) == (0, 0)


ADD_ZONE = """Promise.all(["http", "look"].map((name) => import(`./static/${name}.js`))).then(
  async ([{ post }, { look }]) => {
    await post("zones/gate", { previous: null, new: "aisle=10%,10% 90%,90%" });
    await look();
  })"""
"""What another person adds, as the page hears of it."""


def test_a_press_on_a_list_is_not_lost_while_another_person_changes_it(page: Any, folder: Path) -> None:
    page.locator(".tile.online").click()
    page.locator("#camera-last .card").first.wait_for()  # what is above the list stays now
    page.get_by_role("button", name="Remove wall").hover()
    page.mouse.down()
    becomes(page, "document.querySelector('#zone-list button:active')?.title === 'Remove wall'")
    page.evaluate(ADD_ZONE)
    drawn(page)
    page.mouse.up()
    page.locator("#zone-list li", has_text="aisle").wait_for()
    page.get_by_role("button", name="Remove wall").wait_for(state="detached")
    gate = read_cameras(folder.parent / "cameras.toml", folder)["gate"]
    assert [text.partition("=")[0] for text in gate.zones] == ["aisle"]


def test_a_press_on_a_card_is_not_lost_while_newer_visits_come(page: Any) -> None:
    page.get_by_role("link", name="Events", exact=True).click()
    page.locator(".card img").nth(1).wait_for()
    card = page.locator(".card").nth(1)
    card.hover()
    page.mouse.down()
    place = page.locator(".card:hover").get_attribute("data-place")
    page.evaluate("import('./static/review_list.js').then(({ reviewed }) => reviewed.load())")
    drawn(page)
    page.mouse.up()
    page.locator("dialog[open]").wait_for()
    assert page.evaluate("decodeURIComponent(location.hash)") == f"#visit/{place}"


HOLD = """(() => { const { fetch } = window; const [held, answers] = [[], []]; window.fetch = (...words) => {
  if (!String(words[0]).startsWith("visits")) return fetch(...words);
  answers.push(new Promise((done) => held.push(done)).then(() => fetch(...words)));
  return answers.at(-1);
}; window.held = held; window.release = async () => {
  window.fetch = fetch;
  for (const done of held) done();
  await Promise.all(answers);
}; })()"""
"""Makes the page wait for visits until they are released."""


def test_a_selection_is_not_disturbed_by_visits_requested_before(page: Any) -> None:
    page.get_by_role("link", name="Events", exact=True).click()
    page.locator(".card img").nth(2).wait_for()
    page.evaluate(HOLD)
    becomes(page, "held.length > 0")
    page.locator(".pick").nth(1).click()
    page.locator("#events-new", has_text="There are new events.").wait_for()
    visits = "[...document.querySelectorAll('#timeline-list .card')].map((one) => one.dataset.place)"
    before = page.evaluate(visits)
    page.evaluate("release()")
    drawn(page)
    assert page.evaluate(visits) == before
    page.keyboard.press("Escape")
    becomes(page, f"{visits}[0] !== {before[0]!r}")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(390, 844), (800, 900), (3840, 2160)])
def test_nothing_lies_outside_of_the_window(page: Any, theme: str, width: int, height: int) -> None:
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": width, "height": height})
    for view in ("wall", "events", "counts", "health", "camera/gate"):
        page.evaluate(f"location.hash = '#{view}'")
        page.locator(f"#{view.partition('/')[0]}").wait_for()
        drawn(page)
        root = "document.documentElement"
        becomes(page, f"{root}.scrollWidth === {width} && {root}.scrollHeight === {height}")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_view_keeps_to_the_rules_of_axe(page: Any, theme: str) -> None:
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    for view in ("wall", "events", "counts", "health", "camera/gate"):
        page.evaluate(f"location.hash = '#{view}'")
        page.locator(f"#{view.partition('/')[0]}").wait_for()
        drawn(page)
        check_accessibility(page)
    page.get_by_role("button", name="Draw").click()
    check_accessibility(page)
    page.get_by_role("button", name="Cancel").click()
    page.evaluate("location.hash = '#events'")
    page.locator("#events .card").first.click()
    page.locator("dialog[open]").wait_for()
    check_accessibility(page)


CHANGES = """async () => {
  const tiles = [...document.querySelectorAll('.tile')];
  const canvas = tiles.find((each) => each.textContent.includes('gate')).querySelector('canvas');
  const seen = new Set();
  while (seen.size < 12) {
    seen.add(canvas.toDataURL());
    await new Promise(requestAnimationFrame);
  }
  return true;
}"""
"""Waits for twelve frames on the tile of a camera."""


def test_the_wall_shows_the_frames_of_cameras_as_they_come(page: Any) -> None:
    """Several between two states, by the socket of the page."""
    page.locator(".tile.online", has_text="gate").wait_for()
    requests = list[str]()
    page.on("request", lambda request: requests.append(urlsplit(request.url).path))
    page.evaluate(CHANGES)
    assert requests == []
    page.get_by_role("link", name="Events", exact=True).click()
    page.locator(".card img").first.wait_for()
    page.get_by_role("link", name="Wall", exact=True).click()
    page.evaluate(CHANGES)
