"""Many short films with one worker and with several, side by side.

Run on an idle machine: ``python benchmarks/batch.py``. Every worker has one thread; starting them and loading
their networks counts.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "src" / "segue" / "assets" / "sample" / "video.mp4"


def main() -> None:
    """Print seconds and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=40)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--do", default="foreground --model mustan-lite --format png", help="command and options"
    )
    arguments = parser.parse_args()
    print(describe(1))
    with tempfile.TemporaryDirectory() as folder:
        films = Path(folder) / "films"
        films.mkdir()
        for i in range(arguments.films):
            shutil.copy(SAMPLE, films / f"{i:03}.mp4")
        seconds = {
            count: run(films, Path(folder) / f"by{count}", count, arguments.do.split())
            for count in (1, arguments.workers)
        }
    for count, taken in seconds.items():
        print(f"{arguments.films} films, {count} workers: {taken:.1f} s")
    print(f"{seconds[1] / seconds[arguments.workers]:.2f} times as fast")


def run(films: Path, out: Path, workers: int, command: list[str]) -> float:
    """Seconds of one batch."""
    task, *options = command
    begun = time.perf_counter()
    subprocess.run(
        [
            *(sys.executable, "-m", "segue", "batch", str(films), "--do", task, *options, "--quiet"),
            *("--workers", str(workers), "--threads", "1", "-o", str(out)),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
