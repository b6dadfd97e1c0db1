"""Time of counting pixels for CDnet2014 against the plain way: boolean passes over whole frames.

    python benchmarks/cdnet_eval.py [--frames 20] [--rounds 15] [--data CDnet2014]

Both count the same made-up frames in turns and must give the same numbers; with ``--data`` also whole
evaluations of a data set against its own labels, from files to numbers. Times are processor seconds of one
thread; the table gives the median of the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from machine import describe
from segue.datasets.cdnet import open_cdnet
from segue.datasets.foreground import ForegroundFolder, ForegroundSequence
from segue.metrics.cdnet import evaluate_foreground
from segue.metrics.foreground import Counts, ForegroundAccumulator

Array = npt.NDArray[np.uint8]
SIZES = ((240, 320), (480, 720), (1080, 1920))


def main() -> None:
    """Make frames, time in turns, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--data", type=Path, help="folder of CDnet2014")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    print(describe(1))
    print("\n| frames | region | plain, ms a frame | segue, ms a frame | ratio |\n|---|---|---|---|---|")
    for height, width in SIZES:
        for inside in (1.0, 0.8):
            results, labels = make_frames(arguments.frames, height, width)
            roi = np.zeros((height, width), np.bool_)
            roi[:, : round(width * inside)] = True
            ways = {
                "plain": lambda a=results, b=labels, c=roi: count_plainly(a, b, c),
                "segue": lambda a=results, b=labels, c=roi: count(a, b, c),
            }
            plain, ours = in_turns(ways, arguments.rounds)
            row = f"{1000 * plain / len(labels):.3f} | {1000 * ours / len(labels):.3f} | {plain / ours:.1f}"
            print(f"| {width}x{height} | {inside:.0%} | {row} |")
    if arguments.data is not None:
        time_files(open_cdnet(arguments.data), arguments.rounds)


def make_frames(frames: int, height: int, width: int) -> tuple[Array, Array]:
    """Results and labels (T, H, W): a few discs that wander, with shadows, unknown borders and errors."""
    rng = np.random.default_rng(0)
    labels = np.zeros((frames, height, width), np.uint8)
    results = np.zeros_like(labels)
    places = rng.uniform(0.1, 0.9, (6, 2)) * (width, height)
    speeds = rng.normal(0, 0.01, (6, 2)) * width
    for t in range(frames):
        for x, y in np.rint(places + t * speeds).astype(int).tolist():
            radius = height // 12
            cv2.ellipse(labels[t], (x + radius, y + radius), (radius, radius // 2), 0, 0, 360, 50, -1)
            cv2.circle(labels[t], (x, y), radius, 255, -1)
            cv2.circle(labels[t], (x, y), radius, 170, 3)
            cv2.circle(results[t], (x + 2, y + 1), radius, 255, -1)
        labels[t, : height // 20] = 85
    return results, labels


def count(results: Array, labels: Array, roi: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """TP, FP, FN, TN and shadow errors by segue."""
    accumulator = ForegroundAccumulator(roi=roi)
    for result, truth in zip(results, labels, strict=True):
        accumulator.update(result, truth)
    return five(accumulator.counts)


def count_plainly(results: Array, labels: Array, roi: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """The same numbers by one boolean pass for each."""
    totals = np.zeros(5, np.int64)
    for result, truth in zip(results, labels, strict=True):
        used = roi & (truth != 170)
        found, true, shadow = result == 255, truth == 255, truth == 50
        totals += [
            np.sum(found & true & used),
            np.sum(found & ~true & used),
            np.sum(~found & true & used),
            np.sum(~found & ~true & used),
            np.sum(found & shadow & used),
        ]
    return tuple(totals.tolist())


def five(counts: Counts) -> tuple[int, ...]:
    """The counts that the official program gives."""
    return astuple(counts)[:5]


def time_files(videos: ForegroundFolder, rounds: int) -> None:
    """Whole evaluations of labels that are their own result."""
    with tempfile.TemporaryDirectory() as folder:
        for video in videos:
            target = Path(folder) / video.key
            target.mkdir(parents=True)
            for number in video.scored:
                (target / f"bin{number:06d}.png").symlink_to(video.truths[number].resolve())
        ways = {
            "plain": lambda: [
                number for video in videos for number in evaluate_plainly(video, Path(folder) / video.key)
            ],
            "segue": lambda: [
                int(number)
                for video in videos
                for number in evaluate_foreground(folder, videos.select([video.key]))
                .files[f"{video.key}/stats.txt"]
                .split()[1:]
            ],
        }
        plain, ours = in_turns(ways, rounds)
    frames = sum(len(video.scored) for video in videos)
    print(
        f"\nfiles to numbers, {frames} frames: plain {plain / frames * 1000:.3f} ms a frame, "
        f"segue {ours / frames * 1000:.3f} ms a frame, ratio {plain / ours:.2f}"
    )


def evaluate_plainly(video: ForegroundSequence, folder: Path) -> list[int]:
    """Counts of one video, each picture read with OpenCV as the official program does."""
    totals = np.zeros(5, np.int64)
    roi = cv2.imread(str(video.roi), cv2.IMREAD_GRAYSCALE) != 0
    for number in video.scored:
        result = cv2.imread(str(folder / f"bin{number:06d}.png"), cv2.IMREAD_GRAYSCALE)
        truth = cv2.imread(str(video.truths[number]), cv2.IMREAD_GRAYSCALE)
        totals += count_plainly(result[None], truth[None], roi)
    return totals.tolist()


def in_turns(ways: dict[str, Callable[[], object]], rounds: int) -> list[float]:
    """Median processor seconds of each way, measured one after the other in every round."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found = {}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.process_time()
            found[name] = way()
            seconds[name].append(time.process_time() - start)
    first, *others = found.values()
    if any(other != first for other in others):
        raise SystemExit(f"the ways disagree: {found}")
    return [statistics.median(values) for values in seconds.values()]


if __name__ == "__main__":
    main()
