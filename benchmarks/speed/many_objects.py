"""Speed of many objects, here and in another checkout: forty in ``segue.track``, 200 in ``segue.Video``.

Example::

    git worktree add /tmp/before 1a6fe92c
    python -m benchmarks.speed.many_objects /tmp/before --threads 2

The objects are a grid of ellipses on the first frame of the bundled sample at 864×480. Each run is a process
of its own, and both checkouts take turns. Prints a Markdown table with the medians of the rounds: the
milliseconds of a frame of ``track`` without its first six, the seconds of ``Video.add`` with all objects, and
those of ``Video.propagate`` until the second result, which is the first tracked frame.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import cv2

from benchmarks.lib.machine import describe
from benchmarks.lib.scenes import ellipses
from benchmarks.services.annotate import SIZE, sample_480p

RUN = """
import json, resource, sys, time
root, case, video, mask, count = sys.argv[1:]
sys.path.insert(0, root + "/src")
from segue.utils.allocation import prepare_process
prepare_process()
import cv2
import segue
mask = cv2.imread(mask, cv2.IMREAD_UNCHANGED)
clock = time.perf_counter
if case == "track":
    results, times = segue.track(video, mask, device="cpu"), []
    for _ in range(int(count)):
        next(results)
        times.append(clock())
    results.close()
    figures = {"ms": 1e3 * (times[-1] - times[5]) / (len(times) - 6)}
else:
    film = segue.Video(video, device="cpu")
    begun = clock()
    film.add(0, mask)
    added = clock()
    results = film.propagate()
    next(results)
    next(results)
    figures = {"add": added - begun, "propagate": clock() - added}
print(json.dumps(figures | {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""
"""Prints the figures of one process."""


def run(root: Path, case: str, video: Path, mask: Path, options: argparse.Namespace) -> Mapping[str, float]:
    """Figures of one process with the checkout ``root``."""
    command = [sys.executable, "-c", RUN, str(root), case, str(video), str(mask), str(options.frames)]
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main() -> None:
    """Time both checkouts in turn and print a table."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("other", type=Path, help="another checkout")
    parser.add_argument("--track", type=int, default=40, help="objects of segue.track (default: 40)")
    parser.add_argument("--video", type=int, default=200, help="objects of segue.Video (default: 200)")
    parser.add_argument("--frames", type=int, default=30, help="frames of segue.track (default: 30)")
    parser.add_argument("--threads", type=int, default=2, help="threads (default: 2)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    options = parser.parse_args()
    roots = options.other.resolve(), Path(__file__).resolve().parents[2]
    print(describe(options.threads), "", sep="\n")
    print("| case | objects | threads | what | other | here | ratio |")
    print("| --- | ---: | ---: | --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as name:
        video, mask = sample_480p(Path(name, "sample.mp4")), Path(name, "mask.png")
        for case, count in (("track", options.track), ("video", options.video)):
            cv2.imwrite(str(mask), ellipses(*SIZE, count))
            rounds = [
                [run(root, case, video, mask, options) for root in roots] for _ in range(options.rounds)
            ]
            for figure, text in WHAT.items():
                if figure in rounds[0][0]:
                    before, now = (
                        median(side[figure] for side in sides) for sides in zip(*rounds, strict=True)
                    )
                    row = f"| {case} | {count} | {options.threads} | {text} | {before:.1f} | {now:.1f} "
                    print(f"{row}| {now / before:.2f} |", flush=True)


WHAT = {
    "ms": "ms a frame",
    "add": "add, s",
    "propagate": "first tracked frame, s",
    "peak": "peak, MiB",
}
"""Figures of a process by their names in the table."""


if __name__ == "__main__":
    main()
