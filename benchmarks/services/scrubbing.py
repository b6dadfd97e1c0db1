"""How soon the page shows frames: after a seek, by arrows in both directions, while scrubbing, and playing.

Run on an idle machine: ``python -m benchmarks.services.scrubbing``; it needs Chromium and playwright. The
film has a key frame every ten seconds, as encoders place them; ``--video`` takes another one. A frame counts
when it is on the screen with its masks. A large film is measured without a proxy, and then with one, once
that is made.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lib.machine import describe
from benchmarks.services.annotate import FPS, annotating, encode, processor_time
from segue_web.proxies import needs_proxy
from segue_web.video import Video

SEEKS, STEPS, MOVES = 12, 40, 60
MOVE_SECONDS = 2
"""Seconds of the film from one move of a pointer that scrubs to the next one."""

SEEK = """async ([places, drag, pause]) => {
  const [{ go }, { frameImages }, { state }] = await Promise.all(
    ["playback", "frames", "state"].map((name) => import(`./static/${name}.js`)));
  const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const shown = async () => { while (!frameImages.ready) await drawn(); await drawn(); };
  const times = [];
  for (const place of places) {
    const since = performance.now();
    go(place, drag);
    if (drag) await new Promise((done) => setTimeout(done, 16)); else await shown();
    times.push(performance.now() - since);
    if (pause) await new Promise((done) => setTimeout(done, pause));
  }
  const since = performance.now();
  await shown();
  return [times, performance.now() - since, state.frame];
}"""
"""Milliseconds of each place until it is shown, or while it is dragged, and of the last one after it."""

PLAY = """seconds => Promise.all(["playback", "state"].map((name) => import(`./static/${name}.js`))).then(
  ([{ togglePlay }, { state }]) => new Promise((done) => {
    const first = state.frame;
    togglePlay();
    setTimeout(() => { togglePlay(); done(state.frame - first); }, 1000 * seconds);
  }))"""
"""Frames by which the film has gone on."""


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--video", type=Path, help="of at least 20 seconds; one is made by itself")
    parser.add_argument("--height", type=int, default=1080, help="of the film that is made")
    options = parser.parse_args()
    print(describe(1))
    with tempfile.TemporaryDirectory() as name:
        path = options.video or Path(name, "film.mp4")
        if options.video is None:
            encode(path, options.height, seconds=30)
        with annotating(path, Path(name, "project"), "--no-proxies") as (page, server):
            measure(page, server)
        with closing(Video(path)) as video:
            is_large = needs_proxy(video)
        if is_large:
            os.environ["SEGUE_HOME"] = name
            with annotating(path, Path(name, "project")) as (page, server):
                since = time.monotonic()
                while not (copies := [*Path(name, "proxies").glob("*.zip")]):
                    time.sleep(0.5)
                size = copies[0].stat().st_size / (1 << 20)
                print(f"with a proxy, {size:.0f} MiB, made in {time.monotonic() - since:.0f} s:")
                measure(page, server)


def measure(page: Any, server: int) -> None:
    """Print the figures of a page, and the processor time of its server's process for each place."""
    count = page.evaluate("import('./static/state.js').then(({ state }) => state.video.frames)")
    chance = np.random.default_rng(2)
    places = chance.integers(0, count, SEEKS).tolist()
    middle = count // 2
    page.evaluate(SEEK, [[middle], False, 2000])
    rows = []

    def goes(title: str, places: list[int], pause: int) -> None:
        before = processor_time(server, children=False)
        times = page.evaluate(SEEK, [places, False, pause])[0]
        rows.append((title, times, (processor_time(server, children=False) - before) / len(places)))
        page.evaluate(SEEK, [[middle], False, 1000])

    goes("seek", places, 500)
    for title, sign in (("arrow forwards", 1), ("arrow backwards", -1)):
        goes(title, [middle + sign * n for n in range(1, STEPS + 1)], 30)
    print("| what | median, s | largest, s | processor time, s |\n| --- | --- | --- | --- |")
    for title, times, busy in rows:
        print(f"| {title} | {seconds(statistics.median(times))} | {seconds(max(times))} | {busy:.3f} |")
    step = MOVE_SECONDS * FPS
    moves = [place % count for place in range(0, MOVES * step, step)]
    _, rest, _ = page.evaluate(SEEK, [moves, True, 34])
    print(f"| the frame after {MOVES} scrub moves of {MOVE_SECONDS} s | {seconds(rest)} | | |")
    page.evaluate(SEEK, [[0], False, 1000])
    print(f"| frames a second while playing, of {FPS} | {page.evaluate(PLAY, 6) / 6:.1f} | | |")


def seconds(milliseconds: float) -> str:
    """As seconds."""
    return f"{milliseconds / 1000:.3f}"


if __name__ == "__main__":
    main()
