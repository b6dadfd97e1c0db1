"""A run on a camera is watched in a real Chromium."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.events.zones import Zone
from segue.jobs import run
from segue.jobs.observer import Observer
from segue.jobs.values import ForegroundJob, ForegroundOptions, Model, Outputs, VideoSource
from segue.utils.cancel import CancelToken
from segue.video.sources import live as cameras
from segue_web.server.live import LivePage
from tests.segue_web.chromium import needs_chromium
from tests.segue_web.pages.page import becomes, check_accessibility, drawn, playwright
from tests.sessions.foreground.scenes import wall, with_squares
from tests.video.making import drawn_image, write_video
from tests.waiting import wait_for

pytestmark = needs_chromium

WAIT = 60.0  # seconds; a busy machine is no defect


class Camera:
    """A square that goes down the image; it waits before each frame until somebody allows some."""

    allowed = threading.Semaphore(0)
    given = 0

    def __init__(self, _: int) -> None: ...

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def read(self) -> tuple[bool, object]:
        cls = type(self)
        cls.allowed.acquire(timeout=WAIT)
        cls.given += 1
        place = (10 + 2 * cls.given, 10 * cls.given - 60)
        return True, np.ascontiguousarray(with_squares(wall(), [place])[..., ::-1])

    def release(self) -> None: ...


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> type[Camera]:
    class Ours(Camera):
        allowed = threading.Semaphore(0)

    monkeypatch.setattr(cameras.cv2, "VideoCapture", Ours)
    return Ours


@pytest.fixture
def watch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], tuple[str, Any]]]:
    """Starts a run on the camera with its page; gives the address, and what ends the run."""
    token = CancelToken()
    errors: list[BaseException] = []

    def carry_out() -> None:
        job = ForegroundJob(
            source=VideoSource(place="0", when_late="all"),
            model=Model(name="median"),
            outputs=Outputs(folder=tmp_path / "out", formats=("png", "events")),
            options=ForegroundOptions(objects=True),
            events=tmp_path / "events.csv",
            zones=("door=0,0 127,0 127,95 0,95",),
            device="cpu",
        )
        try:
            with LivePage(Observer()) as page:
                run(job, page, token)
        except BaseException as error:
            errors.append(error)
            raise

    thread = threading.Thread(target=carry_out)

    def start() -> tuple[str, Any]:
        thread.start()
        printed: list[str] = []
        wait_for(lambda: printed.append(capsys.readouterr().out) or "http://" in "".join(printed), WAIT)
        return "".join(printed).split()[-1], token.cancel

    yield start
    token.cancel()
    thread.join(WAIT)
    assert not thread.is_alive()
    assert errors == []


def test_a_camera_is_watched_in_the_browser(
    watch: Callable[[], tuple[str, Any]], camera: type[Camera], browser: Any, tmp_path: Path
) -> None:
    for _ in range(4):
        camera.allowed.release()
    address, end = watch()
    page = browser.new_page(viewport={"width": 1000, "height": 700}, reduced_motion="reduce")
    page.set_default_timeout(1000 * WAIT)
    expect, limit = playwright.expect, 1000 * WAIT
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address)
    expect(page.locator("#frames")).to_contain_text("4 frames", timeout=limit)
    blank = page.locator("#canvas").screenshot()
    for _ in range(9):
        camera.allowed.release()
    expect(page.locator("#frames")).to_contain_text("13 frames", timeout=limit)
    expect(page.locator("#events li").first).to_contain_text("entered door", timeout=limit)
    expect(page.locator("#events li", has_text=re.compile("entered(?! door)"))).not_to_have_count(
        0, timeout=limit
    )
    expect(page.locator("#rate")).to_contain_text("frames/s", timeout=limit)
    expect(page.locator("#age")).to_contain_text("s late", timeout=limit)
    drawn(page)
    masked = page.locator("#canvas").screenshot()
    assert masked != blank
    page.keyboard.press("h")
    page.keyboard.press("z")
    expect(page.locator("#masks")).to_have_attribute("aria-pressed", "false", timeout=limit)
    drawn(page)
    assert page.locator("#canvas").screenshot() != masked
    page.keyboard.press("n")
    for share in ((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.1, 0.9)):
        box = page.locator("#canvas").bounding_box()
        position = {"x": share[0] * box["width"], "y": share[1] * box["height"]}
        page.locator("#canvas").click(position=position)
    page.locator("#zone-back").click()
    page.locator("#zone-name").fill("way in")
    text = page.locator("#zone-text")
    expect(text).to_have_text(re.compile(r'^--zone "way in=(\d+,\d+ ?){3}"$'), timeout=limit)
    zone = Zone.parse(text.inner_text().removeprefix('--zone "').removesuffix('"'))
    assert (zone.name, len(zone.points)) == ("way in", 3)
    (x0, y0), (x1, y1), (x2, y2) = zone.points
    assert (y0, x1) == (y1, x2)
    assert x1 - x0 > 20 < y2 - y1
    check_accessibility(page)
    page.locator("#draw").click()
    expect(page.locator("#age")).to_contain_text("no new frame for", timeout=limit)
    page.set_viewport_size({"width": 390, "height": 760})
    page.locator("#draw").hover()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        check_accessibility(page)
    becomes(page, "document.documentElement.scrollWidth <= 390")
    end()
    camera.allowed.release()
    expect(page.locator("#hint")).to_have_text("The run finished.", timeout=limit)
    assert problems == []
    assert "zone-enter" in (tmp_path / "events.csv").read_text()


def test_the_first_of_two_passes_shows_its_frames_and_how_far_it_is(
    browser: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path / "room.mp4", [drawn_image(index, (96, 128)) for index in range(40)])
    go_on, begun = threading.Event(), threading.Event()

    class Held(LivePage):
        """Waits in the middle of the first pass."""

        def count(self, done: int) -> None:
            super().count(done)
            if done == 20:
                begun.set()
                go_on.wait(WAIT)

    job = ForegroundJob(
        source=VideoSource(place=str(tmp_path / "room.mp4")),
        model=Model(name="mustan-lite"),
        outputs=Outputs(folder=tmp_path / "out"),
        options=ForegroundOptions(passes=2),
        device="cpu",
    )

    def carry_out() -> None:
        with Held(Observer(), events=False) as page:
            run(job, page)

    thread = threading.Thread(target=carry_out, daemon=True)
    thread.start()
    assert begun.wait(WAIT)
    page = browser.new_page(viewport={"width": 1000, "height": 700})
    page.set_default_timeout(1000 * WAIT)
    expect, limit = playwright.expect, 1000 * WAIT
    page.goto(capsys.readouterr().out.split()[-1])
    expect(page.locator("#frames")).to_have_text("First pass: 20 of 40", timeout=limit)
    expect(page.locator("#hint")).to_be_empty(timeout=limit)
    expect(page.locator("#clock")).to_have_text("00:01.90", timeout=limit)
    expect(page.locator("#events-empty")).to_contain_text("--events FILE", timeout=limit)
    go_on.set()
    expect(page.locator("#hint")).to_have_text("The run finished.", timeout=limit)
    thread.join(WAIT)
