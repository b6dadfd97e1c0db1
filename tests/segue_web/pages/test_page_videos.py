"""A folder of videos on the page, in a real Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.segue_web.chromium import needs_chromium
from tests.segue_web.conftest import ServeHere
from tests.segue_web.pages.page import Page, playwright, press
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
