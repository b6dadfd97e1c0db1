"""How soon the page answers: clicks in Chromium, and a video of two hours at 1920x1080.

Run on an idle machine: ``python -m benchmarks.services.annotate``; clicks need Chromium and the package
playwright. On a busy machine compare the processor time of a click. The long video is made of ten seconds
that are encoded once and copied; its frames are as hard to decode as those of any video of its bit rate.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch

from benchmarks.lib.machine import describe
from segue.video import open_source
from segue_web.video import Video

SAMPLE = Path(__file__).resolve().parents[2] / "src" / "segue" / "assets" / "sample" / "video.mp4"
FPS = 25
SIZE = (480, 864)
"""Height and width of the sample as it is clicked on."""

CLICKS = 8
REST = 0.4
"""Seconds for which the pointer rests before a click, which segue uses to compute its mask."""

WATCH = """async () => {
  const { state } = await import("./static/state.js");
  window.shown = () => new Promise((resolve) => {
    const known = state.objects.length;
    let since = 0;
    addEventListener("pointerdown", () => { since = performance.now(); }, { capture: true, once: true });
    const look = () => {
      const id = state.objects.length > known ? state.objects[state.objects.length - 1].id : 0;
      const drawn = since && id && state.current?.masks[id];
      if (drawn) requestAnimationFrame(() => resolve(performance.now() - since));
      else requestAnimationFrame(look);
    };
    look();
  });
}"""
"""Makes a promise of the milliseconds from the next click to the image with its mask."""


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=120, help="of the long video; 0 leaves it out")
    parser.add_argument("--video", type=Path, help="video to click on; the sample at 480p by itself")
    arguments = parser.parse_args()
    print(describe(torch.get_num_threads()))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clicks(arguments.video or sample_480p(folder / "sample.mp4"), folder / "project")
        for form in ("mp4", "matroska") if arguments.minutes else ():
            long_video(folder / f"long.{form}", form, arguments.minutes)


@contextmanager
def annotating(path: Path, project: Path, *options: str) -> Iterator[tuple[Any, int]]:
    """A page of ``segue annotate`` in Chromium, ready to work, and the id of its server's process."""
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "segue", "annotate", str(path), "--project", str(project), *options]
    with (
        subprocess.Popen([*command, "--no-browser"], stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as play,
    ):
        assert server.stdout is not None
        try:  # the server outlives an error otherwise, and the error waits for it
            address = next(found[0] for line in server.stdout if (found := re.search(r"http://\S+", line)))
            chromium = next(
                filter(
                    None,
                    map(
                        shutil.which,
                        ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"),
                    ),
                )
            )
            browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1360, "height": 820})
            page.set_default_timeout(120_000)
            page.goto(address)
            page.wait_for_selector("body[data-mode=annotate]")
            yield page, server.pid
            browser.close()
        finally:
            server.terminate()


def clicks(path: Path, project: Path) -> None:
    """First clicks on new objects, from the button to the image, with and without a rest of the pointer."""
    with annotating(path, project) as (page, server):
        page.evaluate(WATCH)
        click(page, 0, 1.0, server)  # loads the networks
        for first, rest in ((1, 0.0), (1 + CLICKS, REST)):  # other frames: those before have masks
            clicks = [click(page, place, rest, server) for place in range(first, first + CLICKS)]
            shown, busy = zip(*clicks, strict=True)
            after = f"after {rest} s of rest" if rest else "without rest"
            print(f"{path.name}, first click {after}: mask {ms(shown)}, processor time {ms(busy)}")


def click(page: Any, place: int, rest: float, server: int) -> tuple[float, float]:
    """Seconds until the mask of a click is shown, and processor seconds of segue from the rest on."""
    page.keyboard.press("n")
    page.locator("#frame").fill(str(2 * place))
    page.locator("#frame").press("Enter")
    page.locator("#frame").evaluate("input => input.blur()")
    page.wait_for_timeout(2000)  # features of the frame are computed meanwhile
    box = page.locator("#canvas").bounding_box()
    x, y = np.random.default_rng(place).uniform(0.3, 0.7, 2).tolist()
    before = processor_time(server)
    shown = page.evaluate_handle("() => ({ milliseconds: window.shown() })")
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    time.sleep(rest)
    page.mouse.down()
    page.mouse.up()
    milliseconds = shown.evaluate("of => of.milliseconds")
    return milliseconds / 1000, processor_time(server) - before


def processor_time(server: int, *, children: bool = True) -> float:
    """Seconds that a process has used, and its children."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            values = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if server in (int(stat.parent.name), *([int(values[1])] if children else [])):
            total += (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")
    return total


def sample_480p(path: Path) -> Path:
    """The bundled sample, enlarged to 480 rows."""
    with open_source(SAMPLE) as source, av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for frame in source:
            image = np.asarray(cv2.resize(frame.image, SIZE[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def long_video(path: Path, form: str, minutes: int) -> None:
    """Opening, and frames at random places."""
    write_long_video(path, form, minutes)
    made: list[Video] = []
    opening = seconds(lambda: made.append(Video(path)))
    video = made[0]
    places = np.random.default_rng(1).integers(0, video.count, 12).tolist()
    near = [seconds(lambda: video.jpeg(place, near=True)) for place in places]  # noqa: B023
    exact = [seconds(lambda: video.jpeg(place)) for place in places]  # noqa: B023
    size = path.stat().st_size / 2**20
    print(
        f"{form}, {video.count} frames of {video.size[1]}x{video.size[0]}, {size:.0f} MiB: "
        f"opened in {opening:.2f} s, key frame {ms(near)}, exact frame {ms(exact)}"
    )
    video.close()


def write_long_video(path: Path, form: str, minutes: int) -> None:
    """Ten seconds, over and over."""
    piece = path.with_name("piece.mp4")
    if not piece.exists():
        encode(piece)
    source, target = av.open(str(piece)), av.open(str(path), "w", format=form)
    stream = source.streams.video[0]
    copy = target.add_stream_from_template(stream)
    packets = [packet for packet in source.demux(stream) if packet.pts is not None and packet.dts is not None]
    kept: list[Any] = [(bytes(packet), packet.pts, packet.dts, packet.is_keyframe) for packet in packets]
    assert stream.time_base is not None
    step = round(10 / stream.time_base)
    for turn in range(6 * minutes):
        for data, pts, dts, key in kept:
            packet = av.Packet(data)
            packet.stream, packet.time_base = copy, stream.time_base
            packet.pts, packet.dts, packet.is_keyframe = pts + turn * step, dts + turn * step, key
            target.mux(packet)
    target.close()


def encode(path: Path, height: int = 1080, seconds: int = 10) -> None:
    """Moving texture with a grain, a key frame every ten seconds."""
    container = av.open(str(path), "w")
    stream = container.add_stream("libx264", rate=FPS)
    width = height * 16 // 9
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.codec_context.time_base = Fraction(1, FPS)
    stream.options = {"g": "250", "preset": "veryfast", "crf": "26"}
    texture = (
        np.random.default_rng(0)
        .integers(0, 256, (height // 8, width // 8 + 260, 3), np.uint8)
        .repeat(8, 0)
        .repeat(8, 1)
    )
    for index in range(seconds * FPS):
        left = 6 * abs(index % 600 - 300)
        image = np.ascontiguousarray(texture[:, left : left + width])
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
    container.mux(stream.encode(None))
    container.close()


def seconds(call: Callable[[], object]) -> float:
    """Time of one call."""
    since = time.perf_counter()
    call()
    return time.perf_counter() - since


def ms(times: Sequence[float]) -> str:
    """Median and the largest."""
    return f"{1000 * statistics.median(times):.0f} ms (at most {1000 * max(times):.0f})"


if __name__ == "__main__":
    main()
