"""``segue batch`` at scale: planning, ``--status`` and ``--resume`` of very many short videos.

``python -m benchmarks.services.batch --videos 100000`` writes as many small files, plans them without
processing any, marks all as done with results on disk, and times the commands of a user, each in a process
of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from segue.batch import Ledger
from segue.batch import run as running
from segue.batch.places import RESULT
from segue.batch.publish import digest_of, mark_data, stamp_of
from segue.batch.workers import IDENTITY
from segue.cli import main as segue

FILES = 3
"""Masks of each result."""


def main() -> None:
    """Print seconds and memory of each step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=100_000)
    parser.add_argument("--step", choices=["plan", "resume", "status"], help="used by itself")
    arguments = parser.parse_args()
    if arguments.step:
        step(arguments.step)
        return
    with tempfile.TemporaryDirectory() as folder:
        videos = Path(folder) / "videos"
        for number in range(arguments.videos):
            path = videos / f"{number % 100:02}" / f"{number:06}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"%012d" % number)
        run_step("plan", folder)
        timed("(writing results for the next steps)", lambda: write_results(Path(folder) / "out"))
        run_step("status", folder)
        run_step("resume", folder)


def run_step(name: str, folder: str) -> None:
    """Run one step in its own process."""
    words = [sys.executable, "-m", "benchmarks.services.batch", "--step", name]
    subprocess.run(words, cwd=folder, check=True)


def step(name: str) -> None:
    """One command of a user; planning ends where the first video would begin."""
    running.run_batch = lambda *_, **__: None
    running.open_workers = lambda *_: None  # type: ignore[assignment]
    more = {"plan": [], "resume": ["--resume"], "status": ["--status"]}[name]
    sys.argv = ["segue", "batch", "videos", "--do", "foreground", "--model", "median", "-o", "out", *more]

    def carry_out() -> None:
        try:
            segue()
        except SystemExit as end:
            if end.code:
                raise

    timed(name, carry_out)


def timed(name: str, act: Callable[[], None]) -> None:
    """Print how long something takes, and the most memory of this process so far."""
    import resource  # not on Windows

    begun = time.perf_counter()
    act()
    seconds, peak = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
    user = f"{peak.ru_utime + peak.ru_stime:.1f} s of processor time in all"
    print(f"{name}: {seconds:.1f} s, {user}, at most {peak.ru_maxrss / 1024:.0f} MB", flush=True)


def write_results(output: Path) -> None:
    """Give every video of the ledger its results, as workers would."""
    with Ledger(output / ".segue-batch/ledger.sqlite") as ledger:
        batch = (output / ".segue-batch" / IDENTITY).read_text()
        for task in ledger.tasks("queued"):
            folder = output / task.name
            (folder / "masks").mkdir(parents=True)
            for number in range(FILES):
                (folder / f"masks/{number:05}.png").write_bytes(b"mask")
            digest = digest_of(folder)
            (folder / RESULT).write_bytes(mark_data(batch, task.name, digest))
            done = replace(task, state="done", frames=FILES, digest=digest, stamp=stamp_of(folder))
            ledger.record(done)


if __name__ == "__main__":
    main()
