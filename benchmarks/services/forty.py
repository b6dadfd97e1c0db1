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

import torch

from benchmarks.lib.machine import describe
from benchmarks.lib.scenes import ellipses
from benchmarks.services.annotate import annotating, sample_480p
from segue_web.project.annotations import Correction, FrameAnnotation
from segue_web.project.project import Project
from segue_web.video import Video

PRESS = """async () => {
  const [{ state }, { frameImages }] = await Promise.all(
    ["state", "frames"].map((name) => import(`./static/${name}.js`)));
  const before = state.frame;
  const key = before === state.video.frames - 1 ? "Home" : "ArrowRight";
  const since = performance.now();
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  if (state.frame === before) throw new Error("the key does nothing");
  const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  await drawn();
  const answered = performance.now() - since;
  while (!frameImages.ready) {
    if (performance.now() - since > 10000) throw new Error(`frame ${state.frame} does not come`);
    await drawn();
  }
  return [answered, performance.now() - since];
}"""
"""Goes to the next frame; milliseconds from the key to the image after its effect, and to that frame."""


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path, nargs="?", help="the sample at 480p by itself")
    parser.add_argument("--objects", type=int, default=40)
    parser.add_argument("--frames", type=int, default=30, help="frames to track")
    parser.add_argument("--limit", type=float, default=300, help="seconds for them")
    arguments = parser.parse_args()
    print(describe(torch.get_num_threads()))
    with tempfile.TemporaryDirectory() as name:
        path = arguments.video or sample_480p(Path(name, "sample.mp4"))
        draw(path, Path(name, "project"), arguments.objects)
        track(path, Path(name, "project"), arguments.frames, arguments.limit)


def draw(path: Path, place: Path, count: int) -> None:
    """Give the first frame a grid of ellipses."""
    video = Video(path)
    mask = ellipses(*video.size, count)
    project = Project(place, video.describe(), video.size)
    with project.change("draw"):
        for number in range(1, count + 1):
            new = project.add_object()
            project.put(0, {new: (mask == number, FrameAnnotation("given"))})
            project.correct(0, new, Correction())
    project.close()
    video.close()


def track(path: Path, place: Path, frames: int, limit: float) -> None:
    """Track all objects in the page, and press keys until so many frames are tracked."""
    with annotating(path, place) as (page, _):
        wait(page, "state.editable && !state.loading", 120, "the networks are loaded")
        page.wait_for_timeout(5000)  # the server loads the tracker after the network of clicks
        since = time.monotonic()
        page.keyboard.press("o")
        wait(page, "state.running", 60, "the tracking begins")
        wait(page, "state.running?.done", 60, "the first frame is tracked")
        first = time.monotonic() - since
        waits: list[tuple[float, float]] = []
        while (running := progress(page))["done"] < frames:
            if time.monotonic() - since > limit:
                done, total = running["done"], running["total"]
                raise TimeoutError(
                    f"{done} of {total} frames were tracked in {limit:.0f} s; give more --limit"
                )
            answered, shown = page.evaluate(PRESS)
            waits.append((answered, shown))
            page.wait_for_timeout(250)
        print(f"first frame after {first:.1f} s; {running['rate']:.2f} frames/s, {running['passes']} passes")
        for what, column in zip(("answer", "frame and masks"), zip(*waits, strict=True), strict=True):
            times = sorted(column)
            middle, worst = statistics.median(times), times[int(0.99 * len(times))]
            text = f"median {middle:.0f} ms, 99 % {worst:.0f} ms, longest {times[-1]:.0f} ms"
            print(f"{len(times)} keys, {what}: {text}")


def wait(page: Any, what: str, seconds: float, said: str) -> None:
    """Wait until something is true of the page's state; an error says what was waited for, and the page."""
    look = f"import('./static/state.js').then(({{ state }}) => Boolean({what}))"
    until = time.monotonic() + seconds
    while not page.evaluate(look):
        if time.monotonic() > until:
            raise TimeoutError(f"not within {seconds:.0f} s: {said}; {told(page)}")
        page.wait_for_timeout(50)


def progress(page: Any) -> dict[str, Any]:
    """How far the tracking is."""
    found: dict[str, Any] | None = page.evaluate(
        "import('./static/state.js').then(({ state }) => state.running)"
    )
    if found is None:
        raise RuntimeError(f"the tracking has ended; {told(page)}")
    return found


def told(page: Any) -> str:
    """What the page tells its user."""
    shown = ", ".join(f"{part}:visible" for part in ("[role=status]", "[role=alert]", "dialog"))
    found: list[str] = page.locator(shown).all_inner_texts()
    return f"the page says {' '.join(' '.join(found).split())!r}"


if __name__ == "__main__":
    main()
