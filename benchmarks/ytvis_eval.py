"""Time of the YouTube-VIS evaluation against a plain one, on a made-up set, files to numbers.

    python benchmarks/ytvis_eval.py [--videos 100] [--frames 20] [--results 10] [--decode]

Both read the same two files and must give the same twelve numbers. Times are processor seconds of one thread.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

import ytvis_plain
from machine import describe
from segue.metrics.ytvis import evaluate_ytvis

HEIGHT, WIDTH = 720, 1280
CATEGORIES = 40
CORNERS = 60


def main() -> None:
    """Make the files, time, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--videos", type=int, default=100)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--results", type=int, default=10, help="detections in a video")
    parser.add_argument("--decode", action="store_true", help="also time the plain one on decoded masks")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        truth, results = Path(folder) / "truth.json", Path(folder) / "results.json"
        make_files(truth, results, arguments.videos, arguments.frames, arguments.results)
        print(describe(1))
        print(f"{megabytes(truth):.1f} MB of annotations, {megabytes(results):.1f} MB of results")
        ours, seconds = timed(lambda: dict(evaluate_ytvis(results, truth).overall))
        print(f"segue                 {seconds:8.2f} s   AP {ours['AP']:.4f}")
        variants = {"plain, merged runs": ytvis_plain.merged}
        if arguments.decode:
            variants["plain, decoded masks"] = ytvis_plain.decoded
        for name, overlap in variants.items():
            theirs, plain_seconds = timed(lambda by=overlap: ytvis_plain.evaluate(results, truth, by))
            difference = max(abs(ours[key] - theirs[key]) for key in ours)
            print(
                f"{name:21} {plain_seconds:8.2f} s   {plain_seconds / seconds:.1f} times segue's, "
                f"largest difference {difference:.1e}"
            )


def timed(work: Callable[[], dict[str, float]]) -> tuple[dict[str, float], float]:
    """What ``work`` gives, and its processor seconds."""
    start = time.process_time()
    return work(), time.process_time() - start


def megabytes(path: Path) -> float:
    """Size of a file."""
    return path.stat().st_size / 1e6


def make_files(truth: Path, results: Path, videos: int, frames: int, detections: int) -> None:
    """Write a set of blobs that wander, and detections that are shifted blobs or something else."""
    rng = np.random.default_rng(0)
    annotations: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for video in range(1, videos + 1):
        classes = rng.integers(1, CATEGORIES + 1, 2)
        objects = [(rng.choice(classes), Blob(rng)) for _ in range(rng.integers(1, 5))]
        for category, blob in objects:
            tracks = blob.track(frames, np.zeros(2))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "video_id": video,
                    "category_id": int(category),
                    "iscrowd": 0,
                    "segmentations": tracks,
                    "areas": [int(coco_mask.area(rle)) if rle else None for rle in tracks],
                }
            )
        for i in range(detections):
            category, blob = objects[i] if i < len(objects) else (rng.choice(classes), Blob(rng))
            found.append(
                {
                    "video_id": video,
                    "category_id": int(category),
                    "score": round(float(rng.beta(3, 1) if i < len(objects) else rng.beta(1, 3)), 3),
                    "segmentations": blob.track(frames, rng.normal(0, 12, 2)),
                }
            )
    size = {"width": WIDTH, "height": HEIGHT, "length": frames}
    names = [f"{frame:05d}.jpg" for frame in range(frames)]
    records = [
        {"id": video, **size, "file_names": [f"{video:04d}/{name}" for name in names]}
        for video in range(1, videos + 1)
    ]
    categories = [{"id": number, "name": f"class {number}"} for number in range(1, CATEGORIES + 1)]
    truth.write_text(json.dumps({"videos": records, "categories": categories, "annotations": annotations}))
    results.write_text(json.dumps(found))


class Blob:
    """A shape with a wavy outline that moves and changes, and is away for some frames."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._centre = rng.uniform((0.2, 0.2), (0.8, 0.8)) * (WIDTH, HEIGHT)
        self._speed = rng.normal(0, 12, 2)
        self._radius = rng.uniform(40, 220)
        self._waves = rng.uniform(0, 0.12, (4, 1))
        self._phases = rng.uniform(0, 2 * np.pi, (4, 1))
        self._absent = rng.random() * 0.3

    def track(self, frames: int, shift: Any) -> list[dict[str, Any] | None]:
        """Run lengths by frame."""
        return [
            None if t / frames < self._absent else self._mask(self._centre + shift + t * self._speed, t)
            for t in range(frames)
        ]

    def _mask(self, centre: Any, t: int) -> dict[str, Any]:
        angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
        waves = self._waves * np.sin(np.arange(2, 6)[:, None] * angles + self._phases + 0.2 * t)
        reach = self._radius * (1 + waves.sum(axis=0))
        outline = np.stack([centre[0] + reach * np.cos(angles), centre[1] + reach * np.sin(angles)], axis=1)
        rle = coco_mask.frPyObjects([outline.ravel().tolist()], HEIGHT, WIDTH)[0]
        return {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode("ascii")}


if __name__ == "__main__":
    main()
