"""Makers of images of pages in a browser, and of samples of a training; ``tools/images.py`` calls them."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from segue.masks import overlay, write_index_mask
from tools.gallery import still_video
from tools.sample.clip import SampleClip

WATCH = "segue watch cameras.toml --output out --port 0"
CAMERAS = """
[defaults]
fps = 24
model = "mustan-lite"
when-late = "all"
min-seconds = 0.5
[cameras.pond]
source = "{pond}"
zone = ["reeds=55%,25% 99%,25% 99%,98% 55%,98%", "gate=50%,8% 50%,92%"]
[cameras.basin]
source = "{basin}"
zone = ["rim=0%,0% 100%,0% 100%,35% 0%,35%"]
"""

EVAL = "segue eval davis results --data DAVIS --year 2017 --report scores.html"
FOLLOW = "segue track DAVIS/JPEGImages/480p/pond --mask first.png --format png -o results/pond --overwrite"

WHITE = (255, 255, 255)

Pixels = npt.NDArray[np.uint8]


@contextmanager
def browser_page(width: int, height: int) -> Iterator[Any]:
    """A page of Chromium."""
    from playwright.sync_api import sync_playwright

    program = next(
        filter(
            None,
            map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")),
        ),
        None,
    )
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark")
        browser.close()


@contextmanager
def camera_server(views: dict[str, Sequence[Pixels]]) -> Iterator[str]:
    """Shows RGB images (H, W, 3), uint8, of several cameras again and again, as MJPEG; gives its address."""
    coded = {
        name: [cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]))[1].tobytes() for image in images]
        for name, images in views.items()
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
            self.end_headers()
            try:
                while True:
                    for jpeg in coded[self.path.strip("/")]:
                        head = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                        self.wfile.write(head + jpeg + b"\r\n")
                        time.sleep(1 / 24)
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


ANNOTATE = "segue annotate video.mp4 --import first.png --no-browser"
COMPARE = "segue view result --video video.mp4 --against truth --no-browser"

AT = """([x, y]) => import("./static/view.js").then(({ view: { canvas, scale, offset } }) => {
  const { left, top } = canvas.getBoundingClientRect();
  return [left + (x * scale + offset.x) / devicePixelRatio, top + (y * scale + offset.y) / devicePixelRatio];
})"""
"""Where a pixel of the video is in the window."""

SHAPE = [[244, 28], [278, 16], [296, 48], [250, 92]]
"""Corners around the leaf of the first frame."""

IS_IDLE = """import("./static/state.js").then(
  ({ state: { running, pending, starting, loading } }) => !running && !pending && !starting && !loading)"""
"""Whether the page waits for nothing."""


@contextmanager
def local_page(command: str, folder: Path, page: Any) -> Iterator[None]:
    """A page that a command serves, opened."""
    print(command, flush=True)
    arguments = [sys.executable, "-m", *shlex.split(command)]
    with subprocess.Popen(arguments, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = (re.search(r"http://127\S+/", line) for line in process.stdout)
        page.goto(next(match[0] for match in found if match))
        threading.Thread(target=process.stdout.read, daemon=True).start()
        page.wait_for_selector("body:not([data-mode=loading])")
        yield
        process.send_signal(signal.SIGINT)


def idle(page: Any) -> None:
    """Wait until a page waits for nothing, and shows it."""
    page.wait_for_timeout(300)
    while not page.evaluate(IS_IDLE):
        page.wait_for_timeout(100)
    for close in page.locator(".notice .icon").all():
        close.click()
    page.wait_for_timeout(800)


def annotate(scratch: Path, target: Path) -> None:
    """The page of the bundled video: tracked objects, a cut-out with soft edges, and a shape."""
    with browser_page(1360, 820) as page, local_page(ANNOTATE, scratch, page):
        for number, name in ((1, "red koi"), (2, "dark koi"), (3, "leaf")):
            page.keyboard.press(str(number))
            page.locator("#name").fill(name)
            page.locator("#name").press("Enter")
        page.keyboard.press("o")
        idle(page)

        def go(frame: int) -> None:
            page.locator("#frame").fill(str(frame))
            page.locator("#frame").press("Enter")
            page.locator("#canvas").focus()
            idle(page)

        go(44)
        page.keyboard.press("1")
        page.screenshot(path=target / "annotate.jpg", quality=85)
        page.get_by_text("Soft edge").click()
        page.locator("#edge-width").fill("3")
        page.locator("#edge-width").press("Enter")
        page.locator("#canvas").focus()
        page.keyboard.press("Shift+E")
        idle(page)
        page.screenshot(path=target / "annotate-cutout.jpg", quality=85)
        page.keyboard.press("Shift+E")
        go(0)
        page.keyboard.press("n")
        page.keyboard.press(";")
        for corner in SHAPE + SHAPE[:1]:
            page.mouse.click(*page.evaluate(AT, corner))
            page.wait_for_timeout(150)
        idle(page)
        page.locator("#shape > summary").click()
        page.locator("#shape-motion").select_option("plane")
        idle(page)
        go(16)
        page.screenshot(path=target / "annotate-shape.jpg", quality=85)


def compare(scratch: Path, target: Path) -> None:
    """Two results of the bundled video, one with its masks moved, beside the truth."""
    for name, shift in (("result", 4), ("truth", 0)):
        (scratch / name).mkdir()
        for index, shown in enumerate(SampleClip()):
            write_index_mask(scratch / name / f"{index:05d}.png", np.roll(shown.mask, shift, axis=1))
    with browser_page(1360, 820) as page, local_page(COMPARE, scratch, page):
        page.wait_for_timeout(2000)
        page.screenshot(path=target / "view-slider.jpg", quality=85)


def shows_fish(address: str, empty: Pixels) -> bool:
    """Whether much of the middle of an image is no longer as it was."""
    with urlopen(address) as answer:
        image = np.asarray(Image.open(answer).convert("RGB"), np.int16)
    changed = np.abs(image - empty).max(-1) > 40
    third = changed.shape[1] // 3
    return bool(changed[:, third:-third].mean() > 0.05)


def cameras(scratch: Path, target: Path) -> None:
    """The page of two cameras: the wall, and an event with its clip."""
    pond = [frame.image for frame in still_video(80)]
    pond += 30 * pond[:10]  # nothing moves for so long that the clip of the fish ends
    basin = [np.ascontiguousarray(image[:, ::-1][20:200, 40:360]) for image in pond[80::-1] + pond[80:]]
    empties = {"pond": pond[0], "basin": basin[-1]}
    with camera_server({"pond": pond, "basin": basin}) as address:
        text = CAMERAS.format(pond=f"{address}/pond", basin=f"{address}/basin")
        (scratch / "cameras.toml").write_text(text, "utf-8")
        print(WATCH, flush=True)
        command = [sys.executable, "-m", *shlex.split(WATCH)]
        with (
            subprocess.Popen(
                command, cwd=scratch, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
            ) as process,
            browser_page(1280, 480) as page,
        ):
            assert process.stderr is not None
            found = (re.search(r"http://127\S+/", line) for line in process.stderr)
            page.goto(next(match[0] for match in found if match))
            threading.Thread(target=process.stderr.read, daemon=True).start()
            page.locator(".tile.online").nth(1).wait_for(timeout=60_000)
            page.wait_for_timeout(15_000)  # the background is known
            while not all(
                shows_fish(f"{page.url}image/{name}.jpg", empty) for name, empty in empties.items()
            ):
                page.wait_for_timeout(50)
            page.wait_for_timeout(1_000)  # the page asks once a second
            page.screenshot(path=target / "cameras.jpg", quality=85)
            page.set_viewport_size({"width": 1280, "height": 640})
            page.goto(page.url.partition("#")[0] + "#events/pond")
            page.locator("#by-event").select_option("enter")
            dialog = page.get_by_role("dialog")
            while True:  # until the clip is complete
                page.locator("#events .card").last.click()
                dialog.wait_for()
                page.wait_for_timeout(1_200)
                if "not complete" not in dialog.inner_text():
                    break
                page.keyboard.press("Escape")
                page.wait_for_timeout(2_000)
            page.evaluate("film => { film.pause(); film.currentTime = 2.4; }", page.query_selector("video"))
            page.mouse.move(5, 5)
            page.wait_for_timeout(3_500)  # its buttons go
            page.screenshot(path=target / "camera_event.jpg", quality=85)
            process.terminate()


def evaluation(scratch: Path, target: Path) -> None:
    """The report of the scores of the bundled video: its curves and its worst frames."""
    images = scratch / "DAVIS/JPEGImages/480p/pond"
    truths = scratch / "DAVIS/Annotations/480p/pond"
    for folder in (images, truths, scratch / "DAVIS/ImageSets/2017"):
        folder.mkdir(parents=True)
    (scratch / "DAVIS/ImageSets/2017/val.txt").write_text("pond\n")
    for index, shown in enumerate(SampleClip()):
        Image.fromarray(shown.frame.image).save(images / f"{index:05d}.jpg", quality=95)
        write_index_mask(truths / f"{index:05d}.png", shown.mask)
    for command in (FOLLOW, EVAL):
        print(command, flush=True)
        subprocess.run([sys.executable, "-m", *shlex.split(command)], cwd=scratch, check=True)
    with browser_page(1180, 820) as page:
        page.goto((scratch / "scores.html").as_uri())
        top = page.get_by_role("heading", name="Over time").bounding_box()["y"] - 20
        bottom = page.get_by_role("heading", name="Objects").bounding_box()["y"] - 10
        part = {"x": 0, "y": top, "width": 1180, "height": bottom - top}
        page.screenshot(path=target / "evaluation.jpg", quality=85, full_page=True, clip=part)


def training_samples(scratch: Path, target: Path) -> None:
    """Samples of `segue train prompt` from the bundled video; below each what it asks for."""
    from segue_train.data.prompt_samples import PromptSampler
    from segue_train.data.warp import Kinds

    painted = [SampleClip(seed).render(index) for seed in range(3) for index in range(0, 80, 20)]
    pairs = [(shown.frame.image, shown.mask) for shown in painted]
    sampler, rng = PromptSampler(Kinds([(1.0, pairs)])), np.random.default_rng(8)
    rows: tuple[list[Pixels], list[Pixels]] = [], []
    for _ in range(8):
        crop, wanted, planes, _ = sampler.draw(rng, 160)
        rows[0].append(with_prompts(crop, planes))
        rows[1].append(overlay(crop, (wanted == 1).astype(np.uint8)))
    gap = np.full((160, 4, 3), 255, np.uint8)
    lines = [np.hstack([part for cell in row for part in (cell, gap)][:-1]) for row in rows]
    image = np.vstack([lines[0], np.full((4, lines[0].shape[1], 3), 255, np.uint8), lines[1]])
    Image.fromarray(image).save(target / "training_samples.jpg", quality=88)


def with_prompts(crop: Pixels, planes: Pixels) -> Pixels:
    """Draw what a sample is prompted with: box and earlier mask in white, clicks in green and red."""
    from segue.models.segue_prompt import BOX, NEGATIVE, POSITIVE, PREVIOUS

    shown = crop.copy()
    for plane, colour, width in ((BOX, WHITE, 2), (PREVIOUS, WHITE, 1)):
        lines, _ = cv2.findContours(
            (planes[plane] > 127).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(shown, lines, -1, colour, width, cv2.LINE_AA)
    for plane, colour in ((POSITIVE, (60, 230, 90)), (NEGATIVE, (235, 60, 50))):
        shown[planes[plane] > 0] = colour
    return shown
