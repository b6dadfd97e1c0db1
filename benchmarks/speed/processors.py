"""Rows for the table of processors in docs/benchmarks.md: this machine, and how fast networks are on it.

Example::

    python -m benchmarks.speed.processors
    python -m benchmarks.speed.processors --threads 1,2,8 --instructions all

Each row is a process of its own, with all instructions of the processor or with AVX2 alone, and with a number
of threads. Memory is copied and matrices of 2048x2048 are multiplied with as many threads. STCN tracks one
object at 854x480 with ten memory frames, beside the plain loop; stcn-lite and mustan-lite take the bundled
video.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from segue.utils.allocation import prepare_process

LIMITS: dict[str, dict[str, str]] = {
    "all": {},
    "avx2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",  # for matrix products; processors of Intel alone know it
    },
}

HEADER = (
    "| processor | instructions | cores | threads | copy, GB/s | product, GFLOP/s | STCN, s a frame "
    "| of the plain loop | stcn-lite, ms a frame | mustan-lite, ms a frame |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)

FRAMES, FIRST = 30, 10
"""Frames of the bundled video, and how many of them are not timed."""


def fastest(work: Callable[[], object], times: int = 5) -> float:
    """Seconds that something takes at least."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return min(found)


def copied_bytes(size: int) -> float:
    """Bytes a second, read and written, where so many are copied."""
    import torch

    numbers = torch.zeros(size // 4)
    other = torch.empty_like(numbers)
    return 2 * size / fastest(lambda: other.copy_(numbers))


def row(threads: int) -> str:
    """The row of this process."""
    import torch

    from benchmarks.speed.track import Case, compare
    from segue.inference.cpu.features import instruction_set
    from segue.utils.system import processor

    torch.set_num_threads(threads)
    matrix = torch.randn(2048, 2048)
    product = 2 * 2048**3 / fastest(lambda: matrix @ matrix) / 1e9
    bandwidth = copied_bytes(256 << 20) / 1e9
    found = compare(Case("stcn", 1, 10, 480, 854, 2, threads, "cpu"), ("plain", "segue"))
    assert found.plain is not None
    stcn = found.segue.total
    cells = (
        *(processor(), instruction_set(), os.cpu_count(), threads, f"{bandwidth:.0f}", f"{product:.0f}"),
        *(f"{stcn:.2f}", f"{stcn / found.plain.total:.2f}"),
        *(f"{1000 * a_frame(name):.1f}" for name in ("stcn-lite", "mustan-lite")),
    )
    return f"| {' | '.join(map(str, cells))} |"


def a_frame(name: str) -> float:
    """Median seconds of a frame of the bundled video."""
    import segue
    from segue.masks.files import read_index_mask
    from segue.types import Image
    from segue.utils.cache import ASSETS

    frames = [frame.image for frame in segue.open_source(ASSETS / "sample" / "video.mp4", end=FRAMES)]
    step: Callable[[Image], object]
    if name == "mustan-lite":
        step = segue.ForegroundSession(name, device="cpu").step
    else:
        session = segue.TrackSession(name, device="cpu")
        session.step(frames[0], read_index_mask(ASSETS / "sample" / "first.png"))
        step = session.step
    seconds = []
    for image in frames[1:]:
        begun = time.perf_counter()
        step(image)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[FIRST:])


def main() -> None:
    """Print the rows."""
    prepare_process()
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--threads", default="1,2", help="numbers of threads (default: 1,2)")
    parser.add_argument("--instructions", default="all,avx2", help=f"of {','.join(LIMITS)} (default: both)")
    parser.add_argument("--row", type=int, help=argparse.SUPPRESS)  # what a child process does
    options = parser.parse_args()
    if options.row is not None:
        print(row(options.row))
        return
    print(HEADER, flush=True)
    for limits in options.instructions.split(","):
        for threads in options.threads.split(","):
            environment = {**os.environ, **LIMITS[limits], "OMP_NUM_THREADS": threads}
            command = [sys.executable, "-m", "benchmarks.speed.processors", "--row", threads]
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            print(done.stdout.splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
