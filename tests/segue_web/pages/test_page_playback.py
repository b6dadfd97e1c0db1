"""The page plays at any speed, again and again, and goes to frames that need something."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.segue_web.chromium import needs_chromium
from tests.segue_web.pages.desk import Desk
from tests.segue_web.pages.page import playwright

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
            playwright.expect(
                desk.page.locator(".notice", has_text="No frame after this one")
            ).to_be_visible()
        for number in expected[-2::-1]:
            desk.page.keyboard.press(",")
            playwright.expect(desk.page.locator("#frame")).to_have_value(str(number))
