"""What ``fast=True`` gains on this machine: processor time of a frame with and without it.

Example::

    python benchmarks/fast.py
    python benchmarks/fast.py --video DAVIS/JPEGImages/480p/dog-agility --box 100 100 500 400

Both run in turn, frame by frame, on one thread. Of each frame the least of all rounds counts, so that other
programs disturb little.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import torch

import segue
from machine import describe
from segue.types import Box, Image

SAMPLE = Path(__file__).resolve().parents[1] / "src" / "segue" / "assets" / "sample" / "video.mp4"
BOX: Box = (160.0, 60.0, 280.0, 180.0)
UNTIMED = 6
"""Frames before the clock starts: layers arrange their weights for the sizes that occur."""

Work = Callable[[Image], object]


def tracking(fast: bool, first: Image, box: Box) -> Work:
    """Frames of a session of stcn-lite."""
    session = segue.TrackSession("stcn-lite", device="cpu", fast=fast)
    session.step(first, [segue.BoxPrompt(1, box)])
    return session.step


def foreground(fast: bool, first: Image, box: Box) -> Work:
    """Frames of a session of mustan-lite."""
    session = segue.ForegroundSession("mustan-lite", device="cpu", fast=fast)
    session.step(first)
    return session.step


def seconds(works: Sequence[Work], images: Sequence[Image]) -> list[list[float]]:
    """Processor time of each image by each work, in turn."""
    taken: list[list[float]] = [[] for _ in works]
    for image in images:
        for work, times in zip(works, taken, strict=True):
            begun = time.process_time()
            work(image)
            times.append(time.process_time() - begun)
    return [times[UNTIMED:] for times in taken]


def main() -> None:
    """Time all and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--video", type=Path, default=SAMPLE, help="a video (default: the bundled one)")
    parser.add_argument("--box", type=float, nargs=4, default=BOX, help="of the object on its first frame")
    parser.add_argument("--frames", type=int, default=30, help="frames (default: 30)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    first, *images = [frame.image for frame in segue.open_source(options.video, end=options.frames)]
    box: Box = tuple(options.box)
    jobs = {
        "stcn-lite, a frame": tracking,
        "mustan-lite, a frame": foreground,
    }
    print(f"Measured on {describe(1)}, {first.shape[1]}x{first.shape[0]}.\n")
    print("| | float32, ms | `--fast`, ms | ratio |\n| --- | --- | --- | --- |")
    for name, make in jobs.items():
        rounds = [
            seconds([make(fast, first, box) for fast in (False, True)], images) for _ in range(options.rounds)
        ]
        exact, fast = (
            1000 * mean(min(frame) for frame in zip(*side, strict=True)) for side in zip(*rounds, strict=True)
        )
        print(f"| {name} | {exact:.1f} | {fast:.1f} | {exact / fast:.2f} |", flush=True)


if __name__ == "__main__":
    main()
