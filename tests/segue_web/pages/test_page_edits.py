"""What a person paints in the page stays, and only what is chosen is tracked; in a real Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.utils.arrays import BoolArray
from segue_web.project.project import Project
from segue_web.video import Video
from tests.needs import needs
from tests.segue_web.chromium import needs_chromium
from tests.segue_web.conftest import ServeHere
from tests.segue_web.pages.page import Page

needs("playwright.sync_api")
pytestmark = needs_chromium


def saved(path: Path, folder: Path, *frames: int) -> list[dict[int, BoolArray]]:
    """The masks of the objects of frames of a project, as another process reads them."""
    opened = Video(path)
    Project.copy(folder, folder.with_suffix(".copy"))
    project = Project(folder.with_suffix(".copy"), opened.describe(), opened.size)
    found = [{i: project.plane(frame, i) for i in project.masks(frame)} for frame in frames]
    project.close()
    return found


@pytest.fixture
def page(serve_here: ServeHere, browser: Any, video: Path, tmp_path: Path) -> Page:
    """The page of a new project, ``p``."""
    return Page(browser, serve_here("annotate", video, "--project", tmp_path / "p", "--device", "cpu"))


def test_brush_and_eraser_survive_the_clicks_after_them(page: Page, video: Path, tmp_path: Path) -> None:
    page.page.mouse.click(*page.at(100, 60))
    page.here("Object 1: corrected by you")
    page.key("b")
    page.drag((360, 180), (380, 180))
    page.key("e")
    page.drag((80, 60), (84, 60))
    page.key("c")
    page.page.mouse.click(*page.at(120, 70))
    page.page.mouse.click(*page.at(100, 100), button="right")
    page.page.locator("#saved", has_text="Saved").wait_for()

    [masks] = saved(video, tmp_path / "p", 0)
    assert masks[1][180, 370], "painted"
    assert not masks[1][60, 82], "erased"
    assert np.count_nonzero(masks[1][:120, :200]) > 500, "and clicked"
    assert page.errors == []


def test_tracking_a_new_object_inside_a_finished_one_leaves_that_one_as_it_is(
    page: Page, video: Path, tmp_path: Path
) -> None:
    page.key("p")
    for corner in ((40, 10), (170, 10), (170, 105), (40, 105), (40, 10)):
        page.page.mouse.click(*page.at(*corner))
    page.here("Object 1: corrected by you")
    page.key("t")
    page.tracked()
    before = saved(video, tmp_path / "p", *range(9))
    page.key("n")
    for corner in ((90, 40), (130, 40), (130, 80), (90, 80), (90, 40)):
        page.page.mouse.click(*page.at(*corner))
    page.here("Object 2: corrected by you")
    page.key("t")
    page.tracked()
    page.go(5)
    page.here("Object 2: tracked")

    (tmp_path / "p.copy" / "project.db").unlink()
    after = saved(video, tmp_path / "p", *range(9))
    assert all(2 in masks for masks in after)
    for masks, earlier in zip(after, before, strict=True):
        assert np.array_equal(masks[1], earlier[1])
    assert page.errors == []
