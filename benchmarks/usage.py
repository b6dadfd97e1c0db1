"""Processor time and memory that the system counted for processes; on Linux and macOS, not on Windows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

STATUS = Path("/proc/self/status")


def resident_peak() -> int:
    """Largest resident memory of this process so far, in bytes."""
    if STATUS.is_file():  # on Linux, ru_maxrss also counts the parent that this process was forked from
        lines = STATUS.read_text(encoding="utf-8", errors="replace").splitlines()
        line = next(line for line in lines if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def children_seconds() -> float:
    """Processor seconds of all children of this process that have ended, and of theirs."""
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def processor_seconds(arguments: Sequence[str]) -> float:
    """Seconds of the processor that a Python process with these words and its children take, on one thread.

    Raises:
        SystemExit: it failed; with what it wrote to its error output.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    before = children_seconds()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.decode(errors="replace"))
    return children_seconds() - before
