"""A folder of videos on the page, in a real Chromium."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.segue_web.chromium import needs_chromium
from tests.segue_web.conftest import ServeHere
from tests.segue_web.pages.page import Page, Server, playwright, png_of, press
from tests.segue_web.videos import numbered, write_video

pytestmark = needs_chromium


def test_the_page_goes_from_video_to_video(
    serve_here: ServeHere,
    browser: Any,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "videos"
    (folder / "night").mkdir(parents=True)
    for number, name in enumerate(("b2", "b10", "night/c")):
        write_video(folder / f"{name}.mp4", numbered(5 + number))
    arguments = ("annotate", folder, "--project", tmp_path / "out", "--device", "cpu")
    address = serve_here(*arguments, "--classes", "fish")
    page = Page(browser, address)
    dialog = page.page.locator("#dialog")
    rows = dialog.locator(".videos li")
    playwright.expect(rows).to_have_count(3)
    page.check_accessibility()
    page.key("Escape")
    page.key("b")
    page.drag((20, 20), (40, 30))
    page.here("Object 1: corrected by you")
    page.key("Shift+R")
    page.here("Reviewed.")
    page.key("Shift+N")
    playwright.expect(page.page.locator("#video-name")).to_have_text("b10")
    playwright.expect(page.page.locator("#objects li")).to_have_count(0)
    playwright.expect(page.page.locator("#frame-count")).to_have_text("of 6 frames")
    page.page.locator('[data-command="videos"]').click()
    playwright.expect(rows.first).to_contain_text("1 of 5 frames, 1 reviewed, 1 object")
    rows.first.get_by_role("button", name="b2").click()
    page.here("Object 1: corrected by you")
    page.page.locator('[data-command="videos"]').click()
    dialog.get_by_role("button", name="Export all").click()
    playwright.expect(page.page.locator(".notice.good")).to_contain_text("videos-davis")
    assert (tmp_path / "out" / "exports" / "videos-davis" / "b2-davis").is_dir()
    assert page.errors == []


def test_the_network_that_is_chosen_for_clicks_is_that_of_the_next_video_too(
    serve_here: ServeHere, browser: Any, tmp_path: Path
) -> None:
    (tmp_path / "videos").mkdir()
    for name in ("a", "b"):
        write_video(tmp_path / "videos" / f"{name}.mp4", numbered(3))
    page = Page(
        browser, serve_here("annotate", tmp_path / "videos", "--project", tmp_path / "out", "--device", "cpu")
    )
    select = page.page.locator("#dialog").get_by_label("Clicks are answered by")
    page.page.locator("#dialog").wait_for()  # the list of videos
    page.key("Escape")
    press(page.page, "prompterDialog")
    page.check_accessibility()
    select.select_option("segue-prompt-free")
    page.page.locator(".notice.good", has_text="segue-prompt-free").wait_for()
    page.key("Escape")
    page.key("Shift+N")
    playwright.expect(page.page.locator("#video-name")).to_have_text("b")
    press(page.page, "prompterDialog")
    playwright.expect(select).to_have_value("segue-prompt-free")
    assert page.errors == []


FRAME = """Promise.all(["frames", "state"].map((name) => import(`./static/${name}.js`)))
  .then(async ([{ frameImages }, { state }]) => {
    while (!frameImages.ready) await new Promise((done) => requestAnimationFrame(done));
    const { width, height } = frameImages.bitmaps.get(state.frame);
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    canvas.getContext("2d").drawImage(frameImages.bitmaps.get(state.frame), 0, 0);
    return canvas.toDataURL("image/png");
  })"""
"""The image of the frame that the page shows."""


def grey(path: Path, value: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_video(path, np.full((3, 48, 64, 3), value, np.uint8))


def shown(page: Page) -> int:
    return round(float(png_of(page.page.evaluate(FRAME)).mean()))


def test_after_a_restart_with_another_list_each_video_has_its_own_frames(
    serve: Callable[..., Server], browser: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "videos"
    grey(folder / "a" / "clip.mp4", 50)
    grey(folder / "b" / "clip.mp4", 200)
    arguments = ("annotate", folder, "--project", tmp_path / "out")
    server = serve(*arguments)
    page = Page(browser, f"{server.address}#video=1")
    assert shown(page) == pytest.approx(200, abs=4)
    server.stop()
    grey(folder / "0" / "clip.mp4", 125)
    with page.page.expect_navigation():
        serve(*arguments)
    page.page.wait_for_selector("body[data-mode=annotate]")
    assert shown(page) == pytest.approx(200, abs=4)
    assert page.page.evaluate("location.hash") == "#video=2"
    page.page.goto("about:blank")
    page.page.goto(f"{server.address}#video=1")
    page.page.wait_for_selector("body[data-mode=annotate]")
    assert shown(page) == pytest.approx(50, abs=4)
    assert page.errors == []


def test_a_video_that_is_replaced_under_its_name_is_shown_anew(
    serve: Callable[..., Server], browser: Any, tmp_path: Path
) -> None:
    path = grey(tmp_path / "clip.mp4", 50)
    server = serve("annotate", path, "--project", tmp_path / "p")
    page = Page(browser, server.address)
    page.key("b")
    page.drag((20, 20), (40, 30))
    page.here("Object 1: corrected by you")
    assert shown(page) == pytest.approx(50, abs=4)
    server.stop()
    grey(path, 200)
    os.utime(path, (1, 1))
    with page.page.expect_navigation():
        serve("annotate", path, "--project", tmp_path / "p", "--adopt")
    page.here("Object 1: corrected by you")
    assert shown(page) == pytest.approx(200, abs=4)
    assert page.errors == []
