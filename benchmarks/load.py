"""How busy other programs keep the processor, and since when: figures count on an idle machine only."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

STAT = Path("/proc/stat")
IDLE = 0.1
"""Cores that other programs may use on average on a machine that counts as idle."""


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
        return cls(time.monotonic(), _busy_seconds(), time.process_time() + sum(children))

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
    return "the use by other programs is not known" if cores is None else f"others used {cores:.2f} cores"


def _busy_seconds() -> float | None:
    """The first line of ``/proc/stat``: user, nice, system, idle, iowait, irq, softirq, steal, and guests."""
    if not STAT.is_file():
        return None
    fields = [int(word) for word in STAT.read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - sum(fields[3:5])) / os.sysconf("SC_CLK_TCK")


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
