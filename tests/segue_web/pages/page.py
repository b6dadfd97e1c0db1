"""The page as a person uses it, and the commands that serve it."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.needs import needs
from tests.waiting import wait_for

playwright = needs("playwright.sync_api")

WAIT = 150_000
"""Milliseconds; a busy machine is no defect."""

playwright.expect.set_options(timeout=WAIT)


PLACE = """([x, y]) => import("./static/view.js").then(({ view: { canvas, scale, offset } }) => {
  const box = canvas.getBoundingClientRect();
  const ratio = devicePixelRatio;
  return [box.left + (x * scale + offset.x) / ratio, box.top + (y * scale + offset.y) / ratio];
})"""


def place_of(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a place of the video is in the window."""
    left, top = page.evaluate(PLACE, [x, y])
    return left, top


def press(page: Any, command: str) -> None:
    """Press the button of a command, in its menu if it is in one."""
    button = page.locator(f'[data-command="{command}"]')
    menu = button.locator("xpath=ancestor::*[@popover]")
    if menu.count() and not menu.is_visible():
        page.locator(f'[popovertarget="{menu.get_attribute("id")}"]').click()
    button.click()


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

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(WAIT / 1000)


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
        self._ended = self._waited_for = 0
        self.page.on("websocket", lambda socket: socket.on("framereceived", self._hear))
        self.page.goto(address)
        self.page.wait_for_selector("body[data-mode=annotate], body[data-mode=compare], body[data-mode=view]")
        drawn(self.page)

    def _hear(self, text: Any) -> None:
        if isinstance(text, str) and '"event"' in text:
            message = json.loads(text)
            self._ended += message.get("event") == "ended" and message.get("job") == "tracking"

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a place of the video is in the window."""
        return place_of(self.page, x, y)

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
        says(self.page, text)

    def tracked(self) -> None:
        """Wait until a tracking that was begun has ended; the page may show a short one too briefly."""
        self._waited_for += 1
        until = time.monotonic() + WAIT / 1000
        while self._ended < self._waited_for:
            assert time.monotonic() < until, "the tracking does not end"
            self.page.wait_for_timeout(20)
        self.page.locator("#progress").wait_for(state="hidden")

    def export(self, form: str) -> Path:
        self.page.locator('[data-command="exportDialog"]').click()
        self.page.locator(f'[data-format="{form}"]').click()
        self.page.locator("#export-run").click()
        toast = self.page.locator(".notice.good span").first
        toast.wait_for()
        return Path(toast.inner_text().removeprefix("Exported to "))

    def pixels(self, side: int) -> np.ndarray:
        """The left or the right half of the canvas, (H, W / 2, 3)."""
        data = self.page.locator("#canvas").evaluate("node => node.toDataURL('image/png')")
        image = png_of(data)[..., ::-1]
        half = image.shape[1] // 2
        return np.asarray(image[40:, half * side : half * side + half])

    def image(self, name: str) -> None:
        if "SEGUE_IMAGES" in os.environ:
            self.page.wait_for_timeout(600)
            self.page.screenshot(path=f"{os.environ['SEGUE_IMAGES']}/{name}.jpg", quality=85)

    def check_accessibility(self) -> None:
        check_accessibility(self.page)


def png_of(address: str) -> np.ndarray:
    """The image (H, W, 3), RGB, of a canvas as an address of data."""
    packed = np.frombuffer(base64.b64decode(address.partition(",")[2]), np.uint8)
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))[..., ::-1]


def says(page: Any, text: str) -> None:
    """Wait until the panel says this of the chosen object, without the pauses of ``expect``."""
    page.locator("#here-text", has_text=re.compile(re.escape(text))).wait_for()


def drawn(page: Any) -> None:
    """Wait until the page has drawn what it knows."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def becomes(part: Any, condition: str) -> None:
    """Wait until a function of JavaScript is true of a page, or of an element that a locator finds."""
    wait_for(lambda: part.evaluate(condition), WAIT / 1000, lambda: f"{part} does not become {condition}")


def check_accessibility(page: Any) -> None:
    """The rules of axe for what is shown, and targets of 24 pixels; skips the test where axe is missing."""
    axe = needs("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page, options={"rules": {"target-size": {"enabled": True}}})
    assert found.violations_count == 0, found.generate_report()
