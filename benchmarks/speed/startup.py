"""How long segue takes to start: the help, the import, and the first mask of a one-frame video.

Each is a process of its own, several times; the least processor time counts, since a busy machine makes only
the wall time longer. Ends with 1 where one takes more than twice its budget.

Example::

    python -m benchmarks.speed.startup --repeats 5
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.lib.machine import describe, processor_seconds

PATIENCE = 2.0  # times the budget from which on it is a failure


@dataclass(frozen=True, slots=True)
class Start:
    """What is started, and how long that may take.

    Attributes:
        name: for the table.
        arguments: after the interpreter.
        budget: CPU seconds.
    """

    name: str
    arguments: tuple[str, ...]
    budget: float


def starts(folder: Path) -> list[Start]:
    """The cases, with files in a folder."""
    image, mask = folder / "frames" / "00000.png", folder / "mask.png"
    image.parent.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (240, 432, 3), np.uint8)
    cv2.imwrite(str(image), pixels)
    cv2.imwrite(str(mask), np.pad(np.ones((80, 80), np.uint8), ((60, 100), (100, 252))))
    track = (
        "-m",
        "segue",
        "track",
        str(image.parent),
        "--mask",
        str(mask),
        "--device",
        "cpu",
        "-q",
        "--overwrite",
    )
    return [
        Start("segue --help", ("-m", "segue", "--help"), 0.15),
        Start("import segue", ("-c", "import segue"), 0.05),
        Start("first mask of segue track", (*track, "-o", str(folder / "out")), 2.5),
    ]


def main() -> int:
    """Print a table; 1 where something takes far too long."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print(describe(1), "", "| start | CPU seconds | budget |", "| --- | --- | --- |", sep="\n")
    late = False
    with tempfile.TemporaryDirectory() as folder:
        for start in starts(Path(folder)):
            seconds = min(processor_seconds(start.arguments) for _ in range(repeats))
            late = late or seconds > PATIENCE * start.budget
            print(f"| {start.name} | {seconds:.2f} | {start.budget:.2f} |")
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
