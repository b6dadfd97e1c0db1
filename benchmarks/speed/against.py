"""Time and memory of the published networks here against another commit, in turn on one machine.

Example::

    make bench AGAINST=fe93233 BENCH_ARGS="--threads 2"
    python -m benchmarks.speed.against fe93233 --models stm,stcn

Each measurement is a process of its own on the made-up video of one_network.py. The first run of each side
does not count: it fills the caches of the machine. Then the sides take turns, and the least time of a frame
counts, since other programs only add to it. The weights are random, the same on both sides.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.lib.machine import describe, names_of
from benchmarks.lib.one_network import Case

ROOT = Path(__file__).resolve().parents[2]

CASES = {
    "stm": Case("stm", 240, 432, objects=5, memory=5),
    "stcn": Case("stcn", objects=1, memory=10),
    "xmem": Case("xmem", 240, 432),
    "cutie": Case("cutie", 240, 432),
    "sam2": Case("sam2-tiny", 240, 432),
    "seqformer": Case("seqformer-r50", 360, 640),
    "msstsvis": Case("msstsvis-r50", 360, 640),
}
"""What is measured of each network. It has the same name and API at all commits since fe93233."""

CHILD = """
import importlib, json, sys, time
source, root, threads, words = sys.argv[1:]
sys.path[:0] = [source, root]
for place in ("segue.utils.allocation", "segue.allocation"):  # the second before the modules moved
    try:
        importlib.import_module(place).prepare_process()  # before PyTorch is imported
        break
    except (ImportError, AttributeError):  # an older commit prepares the process itself
        pass
import torch
torch.set_num_threads(int(threads))
torch.manual_seed(0)
from benchmarks.lib.memory import resident_peak
from benchmarks.lib.one_network import Case, network_of, results
case = Case(**json.loads(words))
steps = results(case, network_of(case))
for _ in range(case.memory or 2):
    next(steps)
wall, processor, count = time.perf_counter(), time.process_time(), 0
for _ in steps:
    count += 1
wall, processor = time.perf_counter() - wall, time.process_time() - processor
cost = {"wall": wall / count, "processor": processor / count, "mebibytes": resident_peak() / 2**20}
print(json.dumps(cost))
"""
"""Measures one case with the package in ``source``; both sides use the ``one_network`` of this checkout."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a frame takes.

    Attributes:
        wall, processor: seconds of the clock and of the processor.
        mebibytes: largest resident size of the process.
    """

    wall: float
    processor: float
    mebibytes: float

    def least(self, other: Cost) -> Cost:
        """The smaller of each figure."""
        return Cost(*map(min, asdict(self).values(), asdict(other).values()))


def measure(source: Path, case: Case, threads: int) -> Cost:
    """The cost of a case with the package in a folder.

    Raises:
        RuntimeError: the process failed; with the last line it wrote.
    """
    words = [str(source), str(ROOT), str(threads), json.dumps(asdict(case))]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", CHILD, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        raise RuntimeError(f"{case.name} of {source}: {lines[-1]}")
    return Cost(**json.loads(done.stdout))


def compare(sources: tuple[Path, Path], case: Case, threads: int, rounds: int) -> tuple[Cost, Cost]:
    """Least costs of both sides."""
    for source in sources:
        measure(source, case, threads)
    pairs = [[measure(source, case, threads) for source in sources] for _ in range(rounds)]
    before, now = pairs[0]
    for other_before, other_now in pairs[1:]:
        before, now = before.least(other_before), now.least(other_now)
    return before, now


def export(commit: str, folder: Path) -> Path:
    """Write the package of a commit into a folder and return the folder to import it from.

    Raises:
        SystemExit: git does not know the commit.
    """
    command = ["git", "-C", str(ROOT), "archive", commit, "src"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"against: {done.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure both sides and print a Markdown table."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("commit", help="commit to compare with")
    parser.add_argument(
        "--models", type=names_of(CASES), default=list(CASES), help=f"of {','.join(CASES)} (default: all)"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads (default: 1)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count (default: 3)")
    parser.add_argument("--height", type=int, help="of the video, in pixels, for a quicker run")
    options = parser.parse_args(arguments)
    print(f"{describe(options.threads)}; against {options.commit}\n")
    print("| model | wall, s a frame | ratio | processor, s a frame | ratio | memory, MiB | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with TemporaryDirectory() as folder:
        sources = (export(options.commit, Path(folder)), ROOT / "src")
        for name in options.models:
            case = CASES[name]
            if options.height:
                case = replace(case, height=options.height, width=16 * round(options.height / 9))
            before, now = compare(sources, case, options.threads, options.rounds)
            cells = [
                f"{old:{form}} → {new:{form}} | {new / old:.2f}"
                for old, new, form in zip(
                    asdict(before).values(), asdict(now).values(), (".3f", ".3f", ".0f"), strict=True
                )
            ]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
