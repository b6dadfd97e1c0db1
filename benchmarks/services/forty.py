"""How fast the page tracks many objects, and how long a key waits meanwhile.

Run on an idle machine: ``python -m benchmarks.services.forty [VIDEO]``. A grid of objects, each an
ellipse on the first frame, is tracked by a `segue annotate` in Chromium; arrow keys are pressed meanwhile.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.lib.machine import describe
from benchmarks.services.annotate import annotating, sample_480p
from segue_web.project.project import Correction, FrameAnnotation, Project
from segue_web.video import Video

KEYS = """async (key) => {
  const { state } = await import("./static/state.js");
  const before = state.frame;
  const since = performance.now();
  document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  if (state.frame === before) throw new Error("the key does nothing");
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return performance.now() - since;
}"""
"""Milliseconds from a key to the image after the one that it causes."""


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path, nargs="?", help="the sample at 480p by itself")
    parser.add_argument("--objects", type=int, default=40)
    parser.add_argument("--frames", type=int, default=40, help="frames to track")
    arguments = parser.parse_args()
    print(describe(torch.get_num_threads()))
    with tempfile.TemporaryDirectory() as name:
        path = arguments.video or sample_480p(Path(name, "sample.mp4"))
        draw(path, Path(name, "project"), arguments.objects)
        track(path, Path(name, "project"), arguments.frames)


def draw(path: Path, place: Path, count: int) -> None:
    """Give the first frame a grid of ellipses."""
    video = Video(path)
    height, width = video.size
    columns = round((count * width / height) ** 0.5)
    rows = -(-count // columns)
    project = Project(place, video.describe(), video.size)
    with project.change("draw"):
        for number in range(count):
            row, column = divmod(number, columns)
            plane = np.zeros(video.size, np.uint8)
            middle = int((column + 0.5) * width / columns), int((row + 0.5) * height / rows)
            cv2.ellipse(plane, middle, (width // columns // 3, height // rows // 3), 0, 0, 360, 1, -1)
            new = project.add_object()
            project.put(0, {new: (plane > 0, FrameAnnotation("given"))})
            project.correct(0, new, Correction())
    project.close()
    video.close()


def track(path: Path, place: Path, frames: int) -> None:
    """Track all objects in the page, and press keys until so many frames are tracked."""
    with annotating(path, place) as (page, _):
        page.wait_for_timeout(8000)  # the networks are loaded meanwhile
        since = time.monotonic()
        page.keyboard.press("o")
        waits: list[float] = []
        done = 0.0
        last: dict[str, Any] = {}
        while (running := progress(page)) is not None or not last:
            if running is not None and (last := running)["done"] >= frames:
                break
            running = running or {"done": 0}
            done = done or (time.monotonic() - since if running["done"] else 0.0)
            waits.append(page.evaluate(KEYS, "ArrowRight" if len(waits) % 2 == 0 else "ArrowLeft"))
            page.wait_for_timeout(250)
        waits.sort()
        print(f"first frame after {done:.1f} s; {last['rate']:.2f} frames/s, {last['passes']} passes")
        worst = f"99 % {waits[int(0.99 * len(waits))]:.0f} ms, longest {waits[-1]:.0f} ms"
        print(f"{len(waits)} keys: median {statistics.median(waits):.0f} ms, {worst}")


def progress(page: Any) -> dict[str, Any] | None:
    """How far the tracking is, if it runs."""
    found: dict[str, Any] | None = page.evaluate(
        "import('./static/state.js').then(({ state }) => state.running)"
    )
    return found


if __name__ == "__main__":
    main()
