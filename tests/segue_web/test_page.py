"""The page in a real Chromium: click, track, correct, track back, export; and what must not break it.

With SEGUE_IMAGES set to a folder, the images of the documentation are written there.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import segue
from segue.masks import read_index_mask, write_index_mask
from segue.sessions import TrackSession
from segue.sessions.detecting import detector
from segue_web.video import Video
from tests.segue_web.chromium import needs_chromium
from tests.segue_web.videos import SAMPLE, cut_of_sample

playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
pytestmark = needs_chromium

FRAMES = 9
WAIT = 150_000
"""Milliseconds; a busy machine is no defect."""

playwright.expect.set_options(timeout=WAIT)


@dataclass
class Server:
    """A `segue annotate` or `segue view` that runs."""

    process: subprocess.Popen[str]
    address: str

    @classmethod
    def start(cls, *arguments: str | Path) -> Server:
        command = [sys.executable, "-m", "segue", *map(str, arguments), "--no-browser"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://\S+", line):
                return cls(process, found[0])
        raise AssertionError("the server ended before it gave an address")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    running: list[Server] = []

    def start(*arguments: str | Path) -> Server:
        running.append(Server.start(*arguments))
        return running[-1]

    yield start
    for server in running:
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGINT)
            server.process.wait(WAIT / 1000)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return cut_of_sample(tmp_path / "pond.mp4", FRAMES)


class Page:
    """The page as a person uses it; coordinates are pixels of the video."""

    def __init__(
        self, browser: Any, address: str, size: tuple[int, int] = (1360, 820), scheme: str = "dark"
    ) -> None:
        # What fades from one colour to another is measured half way otherwise.
        looks = {"color_scheme": scheme, "reduced_motion": "reduce"}
        self.page = browser.new_page(viewport={"width": size[0], "height": size[1]}, **looks)
        self.page.set_default_timeout(WAIT)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_selector("body[data-mode=annotate], body[data-mode=compare], body[data-mode=view]")

    def at(self, x: float, y: float) -> tuple[float, float]:
        box = self.page.locator("#canvas").bounding_box()
        scale = min((box["width"] - 40) / 432, (box["height"] - 40) / 240)
        left, top = box["x"] + (box["width"] - 432 * scale) / 2, box["y"] + (box["height"] - 240 * scale) / 2
        return left + x * scale, top + y * scale

    def key(self, key: str) -> None:
        self.page.keyboard.press(key)

    def drag(self, *points: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.at(*point), steps=3)
        self.page.mouse.up()

    def outline(self, mask: np.ndarray) -> None:
        """Click around a mask with the polygon."""
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        outline = cv2.approxPolyDP(max(contours, key=cv2.contourArea), 1.2, closed=True)[:, 0]
        for x, y in outline.tolist():
            self.page.mouse.click(*self.at(x + 0.5, y + 0.5))
        self.key("Enter")

    def go(self, frame: int) -> None:
        self.page.locator("#frame").fill(str(frame))
        self.page.locator("#frame").press("Enter")
        self.page.locator("#frame").evaluate("input => input.blur()")

    def here(self, text: str) -> None:
        """Wait until the panel says this of the chosen object on this frame."""
        playwright.expect(self.page.locator("#here-text")).to_contain_text(text)

    def tracked(self) -> None:
        """Wait until a tracking that was begun has ended."""
        self.page.locator('[data-command="stop"]').wait_for(state="visible")
        self.page.locator("#progress").wait_for(state="hidden")

    def export(self, form: str) -> Path:
        self.page.locator('[data-command="exportDialog"]').click()
        self.page.locator(f'[data-format="{form}"]').click()
        toast = self.page.locator(".notice.good span").first
        toast.wait_for()
        return Path(toast.inner_text().removeprefix("Exported to "))

    def pixels(self, side: int) -> np.ndarray:
        """The left or the right half of the canvas, (H, W / 2, 3)."""
        data = self.page.locator("#canvas").evaluate("node => node.toDataURL('image/png')")
        packed = np.frombuffer(base64.b64decode(data.partition(",")[2]), np.uint8)
        image = cv2.imdecode(packed, cv2.IMREAD_COLOR)
        half = image.shape[1] // 2
        return np.asarray(image[40:, half * side : half * side + half])

    def image(self, name: str) -> None:
        if "SEGUE_IMAGES" in os.environ:
            self.page.wait_for_timeout(600)
            self.page.screenshot(path=f"{os.environ['SEGUE_IMAGES']}/{name}.jpg", quality=85)

    def check_accessibility(self) -> None:
        check_accessibility(self.page)


def check_accessibility(page: Any) -> None:
    """The rules of axe for what is shown; skips the test where it is not installed."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-playwright-python")
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def expected_masks(video: Path, given: dict[int, np.ndarray]) -> list[np.ndarray]:
    """What the Python API says: both objects forwards from frame 0, then object 2 back from frame 6."""
    masks = [result.mask for result in segue.track(video, {0: given[0]}, device="cpu")]
    opened, session = Video(video), TrackSession(segue.load("stcn-lite"), device="cpu")
    session.step(opened.frame(0), np.where(given[0] == 2, given[0], 0), predict=False)
    last = max(given)
    session.step(opened.frame(last), np.where(given[last] == 2, given[last], 0), predict=False)
    masks[last] = given[last]
    for index in range(last - 1, 0, -1):
        found = session.step(opened.frame(index)).mask
        others = np.where(masks[index] == 3, 3, 0)  # the finished one stays, and lies on top
        masks[index] = np.where(others > 0, others, found)
    return masks


def test_click_track_correct_track_back_export(
    serve: Callable[..., Server], browser: Any, video: Path, tmp_path: Path
) -> None:
    page = Page(browser, serve("annotate", video, "--project", tmp_path / "p", "--device", "cpu").address)
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
    notice = page.page.locator(".notice", has_text="Tracking was interrupted after")
    done = int(re.findall(r"after (\d+) of 79", notice.inner_text())[0])
    assert done >= 3
    page.go(done - 1)
    page.here("tracked, confidence")
    notice.get_by_role("button", name="Go on").click()
    playwright.expect(page.page.locator("#progress-what")).to_contain_text(f"of {79 - done}")
    page.key("Escape")
    page.page.locator("#progress").wait_for(state="hidden")
    assert page.errors == []


def test_two_tabs_do_not_destroy_each_others_work(
    serve: Callable[..., Server], browser: Any, video: Path, tmp_path: Path
) -> None:
    address = serve("annotate", video, "--project", tmp_path / "p", "--device", "cpu").address
    one, two = Page(browser, address), Page(browser, address)
    one.key("b")
    one.drag((100, 60), (140, 60))
    two.here("corrected by you")
    two.key("p")
    for corner in ((100, 150), (160, 150), (160, 190), (100, 190), (100, 150)):
        two.page.mouse.click(*two.at(*corner))
    playwright.expect(one.page.locator("#here-text")).to_contain_text(re.compile(r"3,\d\d\d pixels"))
    text = one.page.locator("#here-text").inner_text()
    playwright.expect(two.page.locator("#here-text")).to_have_text(text)
    two.key("z")
    playwright.expect(one.page.locator("#here-text")).not_to_contain_text("3,")
    assert one.errors + two.errors == []


@pytest.mark.slow
def test_the_image_stays_where_it_is_and_what_cannot_be_done_looks_so(
    serve: Callable[..., Server], browser: Any, video: Path, tmp_path: Path
) -> None:
    page = Page(browser, serve("annotate", video, "--project", tmp_path / "p", "--device", "cpu").address)
    canvas, track = page.page.locator("#canvas"), page.page.locator('[data-command="trackForward"]')
    playwright.expect(page.page.locator("#frame-count")).to_have_text(f"of {FRAMES} frames")
    playwright.expect(track).to_be_disabled()
    before = canvas.bounding_box()
    page.key("b")
    for number in range(5):
        page.key("n")
        page.drag((60 + 20 * number, 60), (70 + 20 * number, 60))
        playwright.expect(page.page.locator("#objects li")).to_have_count(number + 1)
    playwright.expect(track).to_be_enabled()
    assert canvas.bounding_box() == before, "objects do not move the image"
    assert canvas.evaluate("node => getComputedStyle(node).outlineStyle") == "none", (
        "a click and keys of tools"
    )
    page.key("d")
    assert canvas.evaluate("node => getComputedStyle(node).outlineStyle") == "solid", "the cross"
    assert page.errors == []


def test_what_is_found_becomes_objects(
    serve: Callable[..., Server], browser: Any, video: Path, tmp_path: Path
) -> None:
    found = detector("motion", device="cpu")
    opened = Video(video)
    expected = found(*opened.walk(0, found.lookahead))
    assert expected.objects
    page = Page(browser, serve("annotate", video, "--project", tmp_path / "p", "--device", "cpu").address)
    page.page.locator("#tab-found").click()
    page.page.locator("#detector").select_option("motion")
    page.key("f")
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

    folder = page.export("davis")
    mask = read_index_mask(next(iter(sorted(folder.glob("Annotations/Full-Resolution/*/*.png")))))
    assert np.array_equal(mask > 0, expected.probabilities[1] > 0)
    page.key("z")
    playwright.expect(page.page.locator("#objects li")).to_have_count(0)
    page.page.locator("#detector").select_option("nanodet")
    page.key("f")
    playwright.expect(
        page.page.locator(".notice", has_text="nanodet finds nothing on this frame")
    ).to_be_visible()
    assert page.errors == []


def test_by_keyboard_alone(serve: Callable[..., Server], browser: Any, video: Path, tmp_path: Path) -> None:
    page = Page(browser, serve("annotate", video, "--project", tmp_path / "p", "--device", "cpu").address)
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
    serve: Callable[..., Server], browser: Any, video: Path, tmp_path: Path
) -> None:
    arguments = ("annotate", video, "--project", tmp_path / "p", "--device", "cpu")
    page = Page(browser, serve(*arguments, "--classes", "fish,leaf").address)
    truth = read_index_mask(SAMPLE / "first.png")
    page.key("p")
    page.outline(truth == 1)
    page.here("corrected by you")
    page.key("k")
    page.page.keyboard.type("bird")
    page.key("Enter")
    refusal = page.page.locator(".notice.bad", has_text="bird is none of the classes: fish, leaf")
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
    page.key("2")  # those of a group come after the others
    page.key("u")
    page.here("The group left: one object. Track and Export take nothing else.")
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
    page.key("2")
    page.go(5)
    page.here("tracked, confidence")
    for outside in (2, 6):
        page.go(outside)
        page.here("has no mask here")
    page.go(5)
    page.key("1")
    page.here("Object 2 has no mask here")
    found = json.loads(file.read_text())
    assert [item["name"] for item in found["categories"]] == ["fish", "leaf"]
    assert [int(Path(item["file_name"]).stem) for item in found["images"]] == [3, 4, 5]
    assert [item["attributes"] for item in found["annotations"]] == [
        {"group": "left", "side": "up: right"}
    ] * 3
    assert page.errors == []


def test_objects_overlap_and_an_import_lists_what_it_replaces(
    serve: Callable[..., Server], browser: Any, video: Path, tmp_path: Path
) -> None:
    page = Page(browser, serve("annotate", video, "--project", tmp_path / "p", "--device", "cpu").address)
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
def test_other_windows(serve: Callable[..., Server], browser: Any, video: Path, tmp_path: Path) -> None:
    masks = tmp_path / "first.png"
    shutil.copy(SAMPLE / "first.png", masks)
    server = serve("annotate", video, "--project", tmp_path / "p", "--device", "cpu", "--import", masks)
    for size, scheme in (((1360, 820), "light"), ((800, 600), "dark"), ((390, 760), "light")):
        page = Page(browser, server.address, size, scheme)
        playwright.expect(page.page.locator("#objects li")).to_have_count(3)
        page.image(f"annotate-{size[0]}")
        if size[0] < 980:
            page.page.locator('[data-command="drawer"]').click()
            page.page.wait_for_timeout(300)
        page.check_accessibility()
        assert page.page.evaluate("document.documentElement.scrollWidth") <= size[0]
        page.image(f"annotate-{size[0]}-objects")


def test_results_are_compared_with_the_truth(
    serve: Callable[..., Server], browser: Any, video: Path, tmp_path: Path
) -> None:
    truth = read_index_mask(SAMPLE / "first.png")
    for name, shift in (("result", 4), ("truth", 0)):
        (tmp_path / name).mkdir()
        for index in range(5):
            write_index_mask(tmp_path / name / f"{index:05d}.png", np.roll(truth, shift, axis=1))
    server = serve("view", tmp_path / "result", "--video", video, "--against", tmp_path / "truth")
    page = Page(browser, server.address)
    one, two = np.roll(truth, 4, axis=1) == 1, truth == 1
    overlap = (one & two).sum() / (one | two).sum()
    playwright.expect(page.page.locator("#score tbody tr").first).to_contain_text(f"{overlap:.3f}")
    playwright.expect(page.page.locator("#score")).to_contain_text("over 3 frames")
    page.image("view-slider")
    page.key("c")
    modes = page.page.locator("#compare-modes")
    playwright.expect(modes.locator('[aria-checked="true"]')).to_have_text("Side by side")
    box = page.page.locator("#canvas").bounding_box()
    page.page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    page.page.mouse.wheel(0, -120)
    page.page.wait_for_timeout(200)
    page.image("view-side-by-side")
    one, two = (page.pixels(side) for side in (0, 1))
    assert np.abs(one.astype(int) - two).mean() > 0.5, "they show different masks"
    assert np.median(np.abs(one.astype(int) - two)) == 0, "of the same part of the same frame"
    page.page.locator('[data-mode="difference"]').click()
    page.check_accessibility()
    page.image("view-difference")
    assert page.errors == []


@pytest.mark.slow
def test_foreground_is_compared_by_recall_and_precision(
    serve: Callable[..., Server], browser: Any, tmp_path: Path
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
    server = serve("view", tmp_path / "result", "--video", images, "--against", tmp_path / "truth")
    page = Page(browser, server.address)
    page.go(1)
    cells = page.page.locator("#score tbody tr").first
    playwright.expect(cells).to_have_text("foreground0.5001.0000.6670.5001.0000.667")
    playwright.expect(page.page.locator("#score thead")).to_contain_text("Re herePr hereF hereRePrF")
    page.check_accessibility()
    assert page.errors == []
