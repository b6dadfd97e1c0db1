"""F of foreground models in one pass and in two, on videos that begin with the objects in them.

Example::

    python benchmarks/foreground_passes.py --data ../shared/data/foreground/sbi2015 --threads 1

The folder has the layout of SBI2015, one folder a video with ``input`` and ``groundtruth``. Counts are pooled
over a video. Prints a Markdown table: F, precision and recall, and seconds for a frame, first pass included.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

import segue
from machine import describe
from segue.datasets.foreground import ForegroundSequence, numbered_files
from segue.datasets.labels import read_sbi_labels
from segue.metrics.foreground import ForegroundAccumulator


def videos(root: Path) -> list[ForegroundSequence]:
    """The videos of a folder by name."""
    found = []
    for folder in sorted(path for path in root.iterdir() if (path / "groundtruth").is_dir()):
        images, truths = (numbered_files(folder / name) for name in ("input", "groundtruth"))
        found.append(ForegroundSequence.of(folder.name, images, truths, decode_labels=read_sbi_labels))
    return found


def score(video: ForegroundSequence, model: str, passes: Literal[1, 2]) -> tuple[dict[str, float], float]:
    """F, precision and recall of one video, and seconds for a frame."""
    accumulator = ForegroundAccumulator(video.name, roi=video.read_roi(), threshold=1)
    begun = time.perf_counter()
    images = [video.read_image(index) for index in range(len(video))]
    for result in segue.foreground(images, model=model, passes=passes, device="cpu"):
        if result.index in video.labels:
            accumulator.update(result.mask == 1, video.read_labels(result.index))
    return accumulator.counts.measures(), (time.perf_counter() - begun) / len(video)


def main(arguments: Sequence[str] | None = None) -> int:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of videos")
    parser.add_argument("--model", default="mustan-lite")
    parser.add_argument("--videos", help="names, with commas between; all by default")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    chosen = [
        video for video in videos(options.data) if video.name in (options.videos or video.name).split(",")
    ]
    print(f"Measured on {describe(options.threads, 'cpu')}.\n")
    print("| F, precision, recall; seconds a frame | one pass | two passes |\n| --- | --- | --- |")
    both: list[list[float]] = []
    for video in chosen:
        cells, values = [], []
        for passes in (1, 2):
            found, seconds = score(video, options.model, passes)
            cells.append(f"{found['F']:.3f} {found['Pr']:.3f} {found['Re']:.3f}; {seconds:.3f}")
            values.append(found["F"])
        both.append(values)
        print(f"| {video.name} | {' | '.join(cells)} |", flush=True)
    means = np.mean(both, axis=0)
    print(f"| **mean F** | {means[0]:.3f} | {means[1]:.3f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
