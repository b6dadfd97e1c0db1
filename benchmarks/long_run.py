"""Does memory stay flat on a long video? Follow an object through a looped clip and watch the process.

    python benchmarks/long_run.py ../shared/data/vos/davis2016_240p/JPEGImages/soapbox \\
        --mask ../shared/data/vos/davis2016_240p/Annotations/soapbox/00000.png

Writes masks to a temporary folder as ``segue track`` does, so that decoding, session and sink are all part
of what is measured. The clip is played forwards and backwards in turn, without jumps.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import numpy as np
import torch

import segue
from segue.prompts import read_prompt_masks
from segue.types import Image
from segue.video import open_sinks, open_source


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", help="video or image folder")
    parser.add_argument("--mask", required=True, help="mask of its first frame")
    parser.add_argument("--model", default="stcn-lite")
    parser.add_argument("--weights", default=None)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=500, help="frames between two lines")
    parser.add_argument("--threads", type=int, default=0, help="0 leaves the choice to PyTorch")
    parser.add_argument("--fast", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    network = segue.load(arguments.model, arguments.weights)
    session = segue.TrackSession(network, fast=arguments.fast)
    print("| frame | resident memory, MB | frames/s |\n| ---: | ---: | ---: |")
    measured: dict[int, float] = {}
    mark = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        source = open_source(there_and_back(arguments.source, arguments.frames))
        with open_sinks(Path(folder) / "out", ["png"], source).sink as sink, source:
            for frame in source:
                prompt = read_prompt_masks([arguments.mask], frame.size) if frame.index == 0 else None
                sink.write(frame, session.step(frame, prompt))
                if (frame.index + 1) % arguments.every == 0:
                    sink.flush()
                    now = time.perf_counter()
                    measured[frame.index + 1] = resident_megabytes()
                    rate = arguments.every / (now - mark)
                    print(f"| {frame.index + 1} | {measured[frame.index + 1]:.1f} | {rate:.1f} |", flush=True)
                    mark = now
    first, last = next(iter(measured.values())), list(measured.values())[-1]
    print(f"\nlast / first: {last / first:.4f}; highest / first: {max(measured.values()) / first:.4f}")


def there_and_back(path: str, count: int) -> Iterator[Image]:
    """``count`` pictures of a clip played forwards and backwards; the short clip itself is kept decoded."""
    with open_source(path) as source:
        pictures = [np.asarray(frame.image) for frame in source]
    order = cycle([*range(len(pictures)), *range(len(pictures) - 2, 0, -1)])
    for _, index in zip(range(count), order, strict=False):
        yield pictures[index]


def resident_megabytes() -> float:
    """Resident set of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
