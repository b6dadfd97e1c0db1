"""``segue track`` of this tree against that of another commit, side by side: files to masks and overlay.

    git worktree add ../before 87392b1
    python benchmarks/against.py ../before VIDEO --mask FIRST.png --threads 2

Each tree follows the beginning of the film twice, once for a few frames and once for many; the difference
leaves starting out. The trees take turns, and the median of the rounds counts. Several masks are several
objects. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from machine import describe

HERE = Path(__file__).resolve().parent.parent


def seconds(tree: Path, options: argparse.Namespace, frames: int) -> float:
    """Time that ``segue track`` of a tree takes for the first frames.

    Raises:
        CalledProcessError: it failed; what it wrote is shown.
    """
    threads = str(options.threads)
    environment = {
        **os.environ, "PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads
    }  # fmt: skip
    masks = [part for mask in options.mask for part in ("--mask", mask)]
    formats = ["--format", "png", "--format", "overlay"]
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "segue", "track", options.video, *masks, *formats]
        command += ["--end", str(frames), "--device", "cpu", "--output", out, "--overwrite"]
        start = time.perf_counter()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


def speed(tree: Path, options: argparse.Namespace) -> float:
    """Frames per second between the two lengths."""
    few, many = options.frames
    taken = seconds(tree, options, many) - seconds(tree, options, few)
    return float(many - few) / taken


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("before", type=Path, help="folder of the other tree")
    parser.add_argument("video")
    parser.add_argument("--mask", action="append", required=True, help="mask of the first frame")
    parser.add_argument("--frames", type=int, nargs=2, default=(10, 60), help="few and many (default: 10 60)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure in turn and print."""
    options = parse(arguments)
    trees = {"before": options.before, "now": HERE}
    found: dict[str, list[float]] = {name: [] for name in trees}
    for _ in range(options.rounds):
        for name, tree in trees.items():
            found[name].append(speed(tree, options))
    before, now = (statistics.median(rates) for rates in found.values())
    print(f"Measured on {describe(options.threads, 'cpu')}.")
    print(f"before {before:.2f} frames/s, now {now:.2f} frames/s, {now / before:.2f} times")
    return 0


if __name__ == "__main__":
    sys.exit(main())
