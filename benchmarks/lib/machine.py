"""The machine of a measurement: its name, how busy others keep it, and what a process has used."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from segue.utils.system import busy_seconds, processor

IDLE = 0.1
"""Cores that other programs may use on average on a machine that counts as idle."""


def describe(threads: int, device: str = "cpu") -> str:
    """One line: processor or GPU, threads, versions."""
    unit = torch.cuda.get_device_name() if device.startswith("cuda") else processor()
    return (
        f"{unit}, {os.cpu_count()} cores, {threads} threads used, Python {platform.python_version()}, "
        f"torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()})"
    )


def names_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """A reader of comma-separated names for ``argparse``; it refuses those that are not ``known``."""

    def split(text: str) -> list[str]:
        names = text.split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
        return names

    return split


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


@dataclass(frozen=True, slots=True)
class Load:
    """A moment from which on the use of the processor is counted.

    Attributes:
        time: seconds of a clock.
        all: processor seconds of all programs since the machine started; those of other virtual machines on
            the same cores (steal) count. None where the system does not tell.
        own: processor seconds of this process and of its children that have ended.
    """

    time: float
    all: float | None
    own: float

    @classmethod
    def now(cls) -> Load:
        """This moment."""
        children = os.times()[2:4]  # counted in steps of 10 ms, which would be coarse for this process
        return cls(time.monotonic(), busy_seconds(), time.process_time() + sum(children))

    def others(self) -> float | None:
        """Cores that other programs have used since, on average; None where the system does not tell."""
        now = Load.now()
        if self.all is None or now.all is None:
            return None
        return max(0.0, now.all - self.all - (now.own - self.own)) / max(now.time - self.time, 1e-9)


def others_use(seconds: float = 2.0) -> float | None:
    """Cores that other programs use, over some seconds of waiting; None where the system does not tell."""
    before = Load.now()
    time.sleep(seconds)
    return before.others()


def busiest(seconds: float = 1.0, most: int = 3) -> list[str]:
    """What uses the processor, as ``python (40 %)``; empty where the system does not tell."""
    before = _by_process()
    time.sleep(seconds)
    used = {
        pid: (name, taken - before.get(pid, (name, 0.0))[1]) for pid, (name, taken) in _by_process().items()
    }
    ranked = sorted(used.items(), key=lambda item: item[1][1], reverse=True)
    return [
        f"{name} ({taken / seconds:.0%} of a core, process {pid})"
        for pid, (name, taken) in ranked[:most]
        if taken / seconds > IDLE and pid != os.getpid()
    ]


def said(cores: float | None) -> str:
    """A load in words."""
    if cores is None:
        return "the load of other programs is unknown"
    return f"other programs used {cores:.2f} cores"


def _by_process() -> dict[int, tuple[str, float]]:
    """Name and processor seconds of each process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text(encoding="utf-8").partition("(")[2].rpartition(") ")
        except OSError:  # it ended
            continue
        fields = rest.split()
        found[int(path.parent.name)] = name, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found
