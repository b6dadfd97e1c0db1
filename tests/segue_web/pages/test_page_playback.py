"""The page plays at any speed, again and again, and goes to frames that need something."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest

from tests.segue_web.chromium import needs_chromium
from tests.segue_web.pages.desk import Desk
from tests.segue_web.pages.page import becomes, playwright

pytestmark = needs_chromium

PLAYED = """count => import("./static/state.js").then(({ state }) => new Promise((done) => {
  const [frames, times] = [[], []];
  const look = () => {
    if (frames[frames.length - 1] !== state.frame) {
      frames.push(state.frame);
      times.push(performance.now());
    }
    if (frames.length >= count) done([frames, times]);
    else requestAnimationFrame(look);
  };
  look();
}))"""
"""The next so many frames that are shown, and when, in milliseconds."""

NEAR_SHOWN = """import("./static/frames.js").then(({ frameImages }) =>
  !frameImages.isNear && frameImages.ready)"""
"""Whether the frame is on the screen, and no key frame is asked for."""


@pytest.fixture
def long(desk: Desk) -> Desk:
    desk.frames = 200
    desk.open()
    return desk


def played(desk: Desk, count: int) -> tuple[list[int], list[float]]:
    desk.page.keyboard.press("Space")
    frames, times = desk.page.evaluate(PLAYED, count)
    desk.page.keyboard.press("Space")
    return frames, times


WIDEN = """Promise.all(["state", "view"].map((name) => import(`./static/${name}.js`))).then(
  ([{ state }, { view }]) => {
    Object.assign(state.video, { width: 1920, height: 1080 });
    view.fit();
    view.draw();
  })"""
"""Makes the film 1920x1080."""

NEEDED_WIDTH = "import('./static/frames.js').then(({ frameImages }) => frameImages.shownWidth)"

FRAME = re.compile("/frame/")


class HeldFrames:
    """Requests for images, which are answered when the test wants it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.held: list[Any] = []
        self._goes_on = False

    def hold(self, route: Any) -> None:
        number, _, query = route.request.url.rpartition("/")[2].partition(".jpg?")
        kind = "near" if "near" in query else query.partition("width=")[2]
        self.asked.append(f"{number} {kind}".rstrip())
        if self._goes_on:
            route.continue_()
        else:
            self.held.append(route)

    def go_on(self) -> None:
        self._goes_on = True
        while self.held:
            with suppress(playwright.Error):  # it was given up
                self.held.pop().continue_()


@pytest.fixture
def frames(long: Desk) -> Iterator[HeldFrames]:
    held = HeldFrames()
    long.page.route(FRAME, held.hold)
    yield held
    held.go_on()
    long.page.unroute(FRAME)


def test_while_a_place_is_dragged_the_newest_one_counts(long: Desk, frames: HeldFrames) -> None:
    box = long.page.locator("#timeline").bounding_box()
    x = [box["x"] + 150 + place * (box["width"] - 170) / 39 for place in range(40)]
    opened = len(long.asked("look"))
    long.held = {"look"}
    long.page.mouse.move(x[0], box["y"] + 28)
    long.page.mouse.down()
    for place in x[1:]:
        long.page.mouse.move(place, box["y"] + 28)
    long.settle()
    frame = long.page.evaluate("import('./static/state.js').then(({ state }) => state.frame)")
    near = [asked for asked in frames.asked if asked.endswith("near")]
    assert len(near) == 1, "one key frame at a time"
    assert len(long.asked("look")) == opened + 1, "and the masks of one place"
    frames.go_on()
    long.answer(long.next("look"))
    newest = long.next("look")
    assert newest["frames"] == [frame], "then those of the newest place"
    long.held.clear()
    long.answer(newest)
    becomes(long.page, NEAR_SHOWN)
    near = [asked for asked in frames.asked if asked.endswith("near")]
    assert near[1:] in ([], [f"{frame} near"]), "none where the frame itself was there sooner"
    long.page.mouse.up()


def test_a_place_that_is_left_gives_up_its_images(long: Desk, frames: HeldFrames) -> None:
    given_up: list[str] = []
    long.page.on(
        "requestfailed", lambda request: given_up.append(request.url.rpartition("/")[2].partition(".")[0])
    )
    for place in (20, 50, 90):
        long.page.evaluate(f"import('./static/playback.js').then(({{ go }}) => go({place}))")
        long.settle()
    playwright.expect(long.page.locator("#frame")).to_have_value("90")
    assert [int(index) for index in given_up] == [20, 50], "frames after one that is far wait for it"
    assert frames.asked[0] == "20 near", "what is near is shown until it is there"
    assert frames.asked[-1] == "90"
    frames.go_on()
    becomes(long.page, "import('./static/frames.js').then(({ frameImages }) => frameImages.bitmaps.has(92))")
    playwright.expect(long.page.locator(".notice")).to_have_count(0)


def test_going_back_loads_the_frames_before(long: Desk, frames: HeldFrames) -> None:
    frames.go_on()
    long.page.evaluate("import('./static/playback.js').then(({ go }) => go(100))")
    becomes(long.page, "import('./static/frames.js').then(({ frameImages }) => frameImages.bitmaps.has(102))")
    frames.asked.clear()
    long.page.keyboard.press("ArrowLeft")
    becomes(long.page, "import('./static/frames.js').then(({ frameImages }) => frameImages.bitmaps.has(97))")
    assert frames.asked == ["99", "98", "97"]


def test_a_large_film_is_shown_in_images_as_wide_as_the_screen_has_room_for(
    long: Desk, frames: HeldFrames
) -> None:
    frames.go_on()
    long.page.evaluate(WIDEN)
    played(long, 4)
    becomes(long.page, "import('./static/frames.js').then(({ frameImages }) => frameImages.ready)")
    last = long.page.evaluate("import('./static/state.js').then(({ state }) => state.frame)")
    width = long.page.evaluate(NEEDED_WIDTH)
    played_in, shown_in = (int(asked.split()[1]) for asked in frames.asked if asked.startswith(f"{last} "))
    assert played_in < width <= shown_in < 1920
    assert f"{last}" not in frames.asked
    long.page.evaluate("import('./static/view.js').then(({ view }) => view.zoom(3))")
    is_whole = "frameImages.width === 1920 && frameImages.ready"
    becomes(long.page, f"import('./static/frames.js').then(({{ frameImages }}) => {is_whole})")
    assert f"{last}" in frames.asked, "what is enlarged has all its pixels"


def test_slow_playback_shows_each_frame_for_longer(long: Desk) -> None:
    long.page.locator("#speed").select_option("0.25")
    frames, times = played(long, 10)

    assert frames == list(range(frames[0], frames[0] + 10))
    gaps = sorted(after - before for before, after in pairwise(times))
    assert gaps[4] > 0.8 * 160, "a quarter of 25 frames a second; after a pause the next ones come sooner"


def test_fast_playback_leaves_out_frames_that_no_screen_shows(long: Desk) -> None:
    long.page.locator("#speed").select_option("4")
    frames, _ = played(long, 6)

    assert {after - before for before, after in pairwise(frames)} == {2}


def test_a_range_is_played_again_and_again(long: Desk) -> None:
    for key, number in (("<", "3"), (">", "6")):
        long.page.locator("#frame").fill(number)
        long.page.locator("#frame").press("Enter")
        long.page.locator("#frame").evaluate("input => input.blur()")
        long.page.keyboard.press(key)
    long.page.locator('[data-command="loop"]').click()
    frames, _ = played(long, 9)

    assert set(pairwise(frames)) == {(3, 4), (4, 5), (5, 6), (6, 3)}


def test_steps_are_as_long_as_one_says(long: Desk) -> None:
    long.page.locator("#stride").fill("25")
    long.page.locator("#stride").press("Enter")
    long.page.locator("#stride").evaluate("input => input.blur()")
    for key, expected in (("Shift+ArrowRight", 25), ("Shift+ArrowRight", 50), ("Shift+ArrowLeft", 25)):
        long.page.keyboard.press(key)
        playwright.expect(long.page.locator("#frame")).to_have_value(str(expected))


def test_keys_go_to_frames_of_the_kind_that_is_chosen(desk: Desk) -> None:
    kinds, scores = dict.fromkeys((0, 20), "given"), dict.fromkeys((10, 30), 0.4)
    for frame in set(range(40)) - {5, 6, 25}:
        mark = [kinds.get(frame, "tracked"), scores.get(frame, 0.9), 400]
        desk.looks[frame] = {"marks": {"1": mark}}
    desk.objects, desk.frames = [1], 200
    desk.open()
    for kind, expected in (("given", [20]), ("missing", [5, 6, 25, 40]), ("review", [10, 30])):
        desk.page.locator("#seek").select_option(kind)
        desk.page.locator("#seek").evaluate("select => select.blur()")
        desk.page.keyboard.press("Home")
        for number in expected:
            desk.page.keyboard.press(".")
            playwright.expect(desk.page.locator("#frame")).to_have_value(str(number))
        if kind != "missing":
            desk.page.keyboard.press(".")
            playwright.expect(desk.page.locator(".notice", has_text="No later frame")).to_be_visible()
        for number in expected[-2::-1]:
            desk.page.keyboard.press(",")
            playwright.expect(desk.page.locator("#frame")).to_have_value(str(number))
