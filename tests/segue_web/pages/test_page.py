"""The page in a real Chromium: click, track, correct, track back, export; and what must not break it.

With SEGUE_IMAGES set to a folder, the images of the documentation are written there.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import segue
from segue.masks import read_index_mask, write_index_mask
from segue.sessions import TrackSession
from segue.sessions.detecting import detector
from segue.sessions.videos.corrections import (
    ConditioningFrame,
    Layer,
    add_conditioning_frame,
    propagate,
    to_rle,
)
from segue.sessions.videos.provenance import MadeFrom, StoredMask
from segue_web.video import Video
from tests.segue_web.chromium import needs_chromium
from tests.segue_web.conftest import ServeHere
from tests.segue_web.pages.conftest import FRAMES
from tests.segue_web.pages.page import Page, Server, becomes, drawn, playwright
from tests.segue_web.videos import SAMPLE

pytestmark = needs_chromium


def expected_masks(video: Path, given: dict[int, np.ndarray]) -> list[np.ndarray]:
    """What Python says: both objects from frame 0 on, then the correction of object 2 back from frame 6."""
    results = list(segue.track(video, {0: given[0]}, device="cpu"))
    masks = [result.mask for result in results]
    opened, last = Video(video), max(given)

    def only(mask: np.ndarray) -> np.ndarray:
        return np.where(mask == 2, mask, 0)

    changed = only(given[last]) != only(masks[last])
    conditioning = {
        0: ConditioningFrame(only(given[0]), frozenset({2})),
        last: ConditioningFrame(only(given[last]), frozenset({2}), changed=changed),
    }
    sources = MadeFrom(((0, 1),))
    tracked = {
        result.index: [StoredMask(stored, sources) for stored in to_rle(result, {2})] for result in results
    }
    layer = Layer(TrackSession(segue.load("stcn-lite"), device="cpu"), conditioning, tracked)
    add_conditioning_frame(layer.session, opened.frame(0), conditioning[0])
    masks[last] = given[last]
    for (result,) in propagate([layer], opened.walk(last, 1), dict.fromkeys(range(last, 0, -1), 0.0), last):
        others = np.where(masks[result.index] == 3, 3, 0)  # the finished one stays, and lies on top
        masks[result.index] = np.where(others > 0, others, result.mask)
    return masks


def test_click_track_correct_track_back_export(
    serve_here: ServeHere, browser: Any, video: Path, tmp_path: Path
) -> None:
    page = Page(browser, serve_here("annotate", video, "--project", tmp_path / "p", "--device", "cpu"))
    truth = read_index_mask(SAMPLE / "first.png")
    page.key("r")
    page.drag((34, 2), (176, 108))
    page.here("Object 1: corrected by you")
    page.key("c")
    page.page.mouse.click(*page.at(100, 60))
    playwright.expect(page.page.locator('[data-command="redo"]')).to_be_disabled()
    page.key("z")
    page.key("z")
    playwright.expect(page.page.locator("#objects li")).to_have_count(0)
    page.key("p")
    page.outline(truth == 1)
    page.here("Object 2: corrected by you")
    page.key("n")
    page.outline(truth == 3)
    page.here("Object 3: corrected by you")
    page.check_accessibility()

    page.key("t")
    page.tracked()
    page.go(6)
    page.here("tracked, confidence")
    page.key("1")
    page.key("e")
    page.drag((66, 14), (58, 26))
    page.here("corrected by you")
    page.key("v")
    page.key("Shift+T")
    page.tracked()
    page.go(3)
    page.here("tracked, confidence")
    page.image("annotate")
    folder = page.export("davis")

    masks = [read_index_mask(path) for path in sorted(folder.glob("Annotations/Full-Resolution/*/*.png"))]
    expected = expected_masks(video, {0: masks[0], 6: masks[6]})
    assert len(masks) == FRAMES
    for index, mask in enumerate(masks):
        assert np.array_equal(mask, expected[index]), f"frame {index}"
    assert np.isin(masks[0], (0, 2, 3)).all()
    assert ((masks[0] == 2) & (truth == 1)).sum() > 0.9 * (truth == 1).sum()

    page.key("g")
    page.tracked()
    page.go(3)
    page.here("tracked, confidence")
    assert page.errors == []


@pytest.mark.slow
def test_a_kill_in_the_midst_of_tracking_is_gone_on_with(
    serve: Callable[..., Server], browser: Any, tmp_path: Path
) -> None:
    arguments = (
        "annotate",
        SAMPLE / "video.mp4",
        "--project",
        tmp_path / "p",
        "--device",
        "cpu",
        "--port",
        "0",
    )
    first = tmp_path / "import"
    first.mkdir()
    shutil.copy(SAMPLE / "first.png", first / "00000.png")
    server = serve(*arguments, "--import", first)
    page = Page(browser, server.address)
    playwright.expect(page.page.locator("#objects li")).to_have_count(3)
    page.key("b")
    page.drag((120, 70), (121, 71))
    page.here("corrected by you")
    page.key("t")
    playwright.expect(page.page.locator("#progress-what")).to_contain_text(re.compile(r"[3-9] of 79"))
    server.kill()
    playwright.expect(page.page.locator("#offline")).to_contain_text("Start segue annotate again")
    page.page.close()

    page = Page(browser, serve(*arguments).address)
    playwright.expect(page.page.locator("#progress-what")).to_contain_text(re.compile(r"[2-9] of 7[0-6]"))
    page.go(2)
    page.here("tracked, confidence")
    page.key("Escape")
    page.page.locator("#progress").wait_for(state="hidden")
    stopped = page.page.locator("#waiting li", has_text="stopped at")
    stopped.get_by_role("button", name="Go on").click()
    page.page.locator("#progress").wait_for(state="visible")
    page.key("Escape")
    stopped.get_by_role("button", name="Discard").click()
    page.page.locator("#queue").wait_for(state="hidden")
    assert page.errors == []


def test_two_tabs_do_not_destroy_each_others_work(
    serve_here: ServeHere, browser: Any, video: Path, tmp_path: Path
) -> None:
    address = serve_here("annotate", video, "--project", tmp_path / "p", "--device", "cpu")
    one, two = Page(browser, address), Page(browser, address)
    one.key("b")
    one.drag((100, 60), (140, 60))
    two.here("corrected by another person")
    two.key("p")
    for corner in ((100, 150), (160, 150), (160, 190), (100, 190), (100, 150)):
        two.page.mouse.click(*two.at(*corner))
    playwright.expect(one.page.locator("#here-text")).to_contain_text(re.compile(r"3,\d\d\d pixels"))
    [pixels] = re.findall(r"3,\d\d\d pixels", one.page.locator("#here-text").inner_text())
    one.here("corrected by Person 2")
    two.here("corrected by you")
    two.here(pixels)
    two.key("z")
    playwright.expect(one.page.locator("#here-text")).not_to_contain_text("3,")
    assert one.errors + two.errors == []


@pytest.mark.slow
def test_the_image_stays_where_it_is_and_what_cannot_be_done_looks_so(
    serve_here: ServeHere, browser: Any, video: Path, tmp_path: Path
) -> None:
    page = Page(browser, serve_here("annotate", video, "--project", tmp_path / "p", "--device", "cpu"))
    canvas, track = page.page.locator("#canvas"), page.page.locator('[data-command="trackForward"]')
    playwright.expect(page.page.locator("#frame-count")).to_have_text(f"of {FRAMES} frames")
    playwright.expect(track).to_be_disabled()
    before = page.at(60, 60)
    page.key("b")
    for number in range(5):
        page.key("n")
        page.drag((60 + 20 * number, 60), (70 + 20 * number, 60))
        playwright.expect(page.page.locator("#objects li")).to_have_count(number + 1)
    playwright.expect(track).to_be_enabled()
    assert page.at(60, 60) == before, "rows of the timeline do not move the image"
    becomes(canvas, "node => getComputedStyle(node).outlineStyle === 'none'")  # a click and keys of tools
    page.key("d")
    becomes(canvas, "node => getComputedStyle(node).outlineStyle === 'solid'")  # the cross
    assert page.errors == []


def test_detected_objects_are_adopted(
    serve_here: ServeHere, browser: Any, video: Path, tmp_path: Path
) -> None:
    found = detector("motion", device="cpu")
    opened = Video(video)
    expected = found(*opened.walk(0, found.lookahead))
    assert expected.objects
    page = Page(browser, serve_here("annotate", video, "--project", tmp_path / "p", "--device", "cpu"))
    page.page.locator('[data-command="findMoving"]').click()  # offered where nothing is annotated yet
    proposals = page.page.locator("#found li")
    playwright.expect(proposals).to_have_count(len(expected.objects))
    page.check_accessibility()
    page.image("annotate-found")
    playwright.expect(proposals.first).not_to_contain_text("1.00")
    add = page.page.locator('[data-command="adopt"]')
    for box in proposals.get_by_role("checkbox").all():
        box.uncheck()
    playwright.expect(add).to_be_disabled()
    proposals.get_by_role("checkbox").first.check()
    add.click()
    playwright.expect(page.page.locator("#objects li")).to_have_count(1)
    page.here("corrected by you")
    playwright.expect(proposals).to_have_count(0)
    page.page.locator("#tab-objects").click()
    playwright.expect(page.page.locator('[data-command="findMoving"]')).to_be_hidden()
    page.page.locator("#tab-found").click()

    folder = page.export("davis")
    mask = read_index_mask(next(iter(sorted(folder.glob("Annotations/Full-Resolution/*/*.png")))))
    assert np.array_equal(mask > 0, expected.probabilities[1] > 0)
    page.key("z")
    playwright.expect(page.page.locator("#objects li")).to_have_count(0)
    page.page.locator("#detector").select_option("nanodet")
    page.key("f")
    playwright.expect(
        page.page.locator(".notice", has_text="nanodet found nothing on this frame")
    ).to_be_visible()
    assert page.errors == []


def test_objects_can_be_annotated_by_keyboard_alone(
    serve_here: ServeHere, browser: Any, video: Path, tmp_path: Path
) -> None:
    page = Page(browser, serve_here("annotate", video, "--project", tmp_path / "p", "--device", "cpu"))
    page.key("c")
    page.key("d")  # the cross begins in the middle
    for _ in range(3):
        page.key("Shift+W")
    page.key("b")
    page.key("Enter")
    page.here("corrected by you")
    page.key("ArrowRight")
    playwright.expect(page.page.locator("#frame")).to_have_value("1")
    page.here("has no mask here")
    page.key("End")
    playwright.expect(page.page.locator("#frame")).to_have_value(str(FRAMES - 1))
    page.key(",")
    playwright.expect(page.page.locator("#frame")).to_have_value("0")
    page.key("Backspace")
    page.here("not visible")
    page.key("z")
    page.here("corrected by you")
    page.key("?")
    page.page.locator("dialog[open]").wait_for()
    page.image("annotate-help")
    page.check_accessibility()
    page.key("Escape")
    page.page.locator("dialog").wait_for(state="hidden")
    for _ in range(60):  # everything that can be used is reached, and the focus is not caught anywhere
        page.key("Tab")
    assert page.errors == []


def test_classes_a_range_to_track_and_opacity_by_keys(
    serve_here: ServeHere, browser: Any, video: Path, tmp_path: Path
) -> None:
    arguments = ("annotate", video, "--project", tmp_path / "p", "--device", "cpu")
    page = Page(browser, serve_here(*arguments, "--classes", "fish,leaf"))
    truth = read_index_mask(SAMPLE / "first.png")
    page.key("p")
    page.outline(truth == 1)
    page.here("corrected by you")
    page.key("k")
    page.page.keyboard.type("bird")
    page.key("Enter")
    refusal = page.page.locator(".notice.bad", has_text="bird is not one of the classes: fish, leaf")
    playwright.expect(refusal).to_be_visible()
    playwright.expect(page.page.locator("#category")).to_have_value("")
    page.key("k")
    page.page.locator("#category").fill("fish")
    page.key("Enter")
    playwright.expect(page.page.locator("#objects li")).to_contain_text("fish")
    page.key("q")
    page.page.keyboard.type("left")
    page.key("Enter")
    page.key("j")
    page.page.keyboard.type("side: up: right")
    page.key("Enter")
    playwright.expect(page.page.locator("#attributes input")).to_have_value("up: right")
    page.key("Escape")
    page.key("n")
    page.key("p")
    page.outline(truth == 3)
    page.here("Object 2: corrected by you")
    page.key("1")
    page.key("u")
    page.here("Group left: one object. Track and Export use only these.")
    page.key("l")
    playwright.expect(page.page.locator('[data-command="trackForward"]')).to_be_disabled()
    page.key("l")
    playwright.expect(page.page.locator('[data-command="trackForward"]')).to_be_enabled()
    page.key("Shift+Digit3")
    playwright.expect(page.page.locator("#opacity")).to_have_value("0.3")
    page.go(3)
    page.key("<")
    page.go(5)
    page.key(">")
    playwright.expect(page.page.locator("#range")).to_have_text("frames 3 to 5")
    page.image("annotate-range")
    page.check_accessibility()
    page.key("t")
    page.tracked()
    file = page.export("coco")
    page.key("1")
    page.go(5)
    page.here("tracked, confidence")
    for outside in (2, 6):
        page.go(outside)
        page.here("has no mask here")
    page.go(5)
    page.key("2")
    page.here("Object 2 has no mask here")
    found = json.loads(file.read_text())
    assert [item["name"] for item in found["categories"]] == ["fish", "leaf"]
    assert [int(Path(item["file_name"]).stem) for item in found["images"]] == [3, 4, 5]
    assert [item["attributes"] for item in found["annotations"]] == [
        {"group": "left", "side": "up: right"}
    ] * 3
    assert page.errors == []


def test_objects_overlap_and_an_import_lists_what_it_replaces(
    serve_here: ServeHere, browser: Any, video: Path, tmp_path: Path
) -> None:
    page = Page(browser, serve_here("annotate", video, "--project", tmp_path / "p", "--device", "cpu"))
    page.key("b")
    page.drag((100, 60), (200, 60))
    page.here("Object 1: corrected by you")
    area = page.page.locator("#here-text").inner_text()
    page.key("n")
    page.drag((150, 60), (250, 60))
    page.here("Object 2: corrected by you")
    page.key("1")
    page.here(area)  # the new object takes no pixel of it
    page.image("overlap")
    page.key("2")
    page.drag((150, 90), (250, 90))
    page.page.get_by_role("button", name="Remove Object 2").click()
    playwright.expect(page.page.locator("#objects li")).to_have_count(1)
    page.here(area)

    file = page.export("coco")
    page.drag((100, 120), (200, 120))
    playwright.expect(page.page.locator("#here-text")).not_to_contain_text(area)
    changed = page.page.locator("#here-text").inner_text()
    page.page.locator('[data-command="importDialog"]').click()
    page.page.locator("#dialog input[type=file]").set_input_files(file)
    row = page.page.locator("#dialog .imports li")
    playwright.expect(row).to_contain_text("replaces frame 0 (1 corrected by hand)")
    page.image("import")
    page.check_accessibility()
    row.locator("select").focus()
    row.locator("select").select_option("")
    playwright.expect(row).to_contain_text("adds frame 0")
    row.locator("select").select_option("1")
    playwright.expect(row).to_contain_text("replaces frame 0")
    page.page.locator("#dialog button.primary").click()
    page.here(area.partition(":")[2].partition(";")[2])
    page.here("imported")
    playwright.expect(page.page.locator("#dialog")).to_be_hidden()
    page.key("z")
    page.here(changed)
    assert page.errors == []


@pytest.mark.slow
def test_the_page_fits_windows_of_other_sizes_and_schemes(
    serve_here: ServeHere, browser: Any, video: Path, tmp_path: Path
) -> None:
    masks = tmp_path / "first.png"
    shutil.copy(SAMPLE / "first.png", masks)
    address = serve_here("annotate", video, "--project", tmp_path / "p", "--device", "cpu", "--import", masks)
    for size, scheme in (
        ((1360, 820), "light"),
        ((800, 600), "dark"),
        ((1024, 768), "light"),
        ((390, 760), "light"),
    ):
        page = Page(browser, address, size, scheme)
        playwright.expect(page.page.locator("#objects li")).to_have_count(3)
        page.image(f"annotate-{size[0]}")
        if size[1] < size[0] <= 1180:
            page.page.locator('[data-command="drawer"]').click()
            page.page.wait_for_timeout(300)
        page.check_accessibility()
        becomes(page.page, f"document.documentElement.scrollWidth <= {size[0]}")
        page.image(f"annotate-{size[0]}-objects")


def test_results_are_compared_with_the_truth(
    serve_here: ServeHere, browser: Any, video: Path, tmp_path: Path
) -> None:
    truth = read_index_mask(SAMPLE / "first.png")
    for name, shift in (("result", 4), ("truth", 0)):
        (tmp_path / name).mkdir()
        for index in range(5):
            moved = np.roll(truth, 5 * shift if index == 3 else shift, axis=1)
            write_index_mask(tmp_path / name / f"{index:05d}.png", moved)
    address = serve_here("view", tmp_path / "result", "--video", video, "--against", tmp_path / "truth")
    page = Page(browser, address)
    one, two = np.roll(truth, 4, axis=1) == 1, truth == 1
    overlap = (one & two).sum() / (one | two).sum()
    playwright.expect(page.page.locator("#score tbody tr").first).to_contain_text(f"{overlap:.3f}")
    playwright.expect(page.page.locator("#score")).to_contain_text(
        "over 3 of 9 frames: the first and last frame with ground truth are left out, as in DAVIS; "
        "4 have no ground truth"
    )
    page.image("view-slider")
    page.key("c")
    modes = page.page.locator("#compare-modes")
    playwright.expect(modes.locator('[aria-checked="true"]')).to_have_text("Side by side")
    box = page.page.locator("#canvas").bounding_box()
    page.page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    before = page.page.locator("#zoom").inner_text()
    page.page.mouse.wheel(0, -120)
    playwright.expect(page.page.locator("#zoom")).not_to_have_text(before)
    difference = np.zeros(0)
    while not difference.size or difference.mean() <= 0.5:  # they show different masks, when these have come
        drawn(page.page)
        one, two = (page.pixels(side).astype(int) for side in (0, 1))
        difference = np.abs(one - two)
    page.image("view-side-by-side")
    assert np.median(difference) == 0, "of the same part of the same frame"
    page.page.locator('[data-mode="difference"]').click()
    page.check_accessibility()
    page.image("view-difference")
    page.key("w")
    playwright.expect(page.page.locator("#frame")).to_have_value("3")
    curve = page.page.locator("canvas.curve")
    curve.click(position={"x": 2, "y": 40})
    playwright.expect(page.page.locator("#frame")).to_have_value("0")
    tones = """node => new Set(new Uint32Array(
      node.getContext("2d").getImageData(0, 0, node.width, node.height).data.buffer)).size > 3"""
    becomes(curve, tones)  # J, F, and lines of their scale
    page.key("w")
    playwright.expect(page.page.locator(".notice", has_text="You have visited all frames")).to_be_visible()
    assert page.errors == []


@pytest.mark.slow
def test_foreground_is_compared_by_recall_and_precision(
    serve_here: ServeHere, browser: Any, tmp_path: Path
) -> None:
    images, truth = tmp_path / "input", np.zeros((240, 432), np.uint8)
    truth[60:120, 100:200], truth[60:120, 200:220], truth[:20] = 255, 170, 85
    found = np.zeros((240, 432), np.uint8)
    found[60:120, 150:220], found[:10] = 255, 255  # half of it, and what does not count
    for folder in (images, tmp_path / "result", tmp_path / "truth"):
        folder.mkdir()
    for number in range(30, 33):
        cv2.imwrite(str(images / f"in{number:06d}.jpg"), np.full((240, 432, 3), 90, np.uint8))
        cv2.imwrite(str(tmp_path / f"result/bin{number:06d}.png"), found)
    cv2.imwrite(str(tmp_path / "truth/gt000031.png"), truth)
    address = serve_here("view", tmp_path / "result", "--video", images, "--against", tmp_path / "truth")
    page = Page(browser, address)
    page.go(1)
    cells = page.page.locator("#score tbody tr").first
    playwright.expect(cells).to_have_text("foreground0.5001.0000.6670.5001.0000.667")
    playwright.expect(page.page.locator("#score thead")).to_contain_text("Re herePr hereF hereRePrF")
    page.check_accessibility()
    assert page.errors == []
