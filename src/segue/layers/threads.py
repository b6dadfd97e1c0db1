"""Threads of a network beside other programs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

import torch

from segue.system import busy_seconds

PERIOD = 1.0
"""Seconds after which the load is measured anew."""

SHORTEST = 0.2
"""Seconds of the first measurement at least; the system counts in steps of 10 ms."""


class Neighbours:
    """Cores that other programs use, as they were over the last period.

    Args:
        busy: processor seconds of all programs so far; None where the system does not tell.
        own: processor seconds of this process so far.
        clock: seconds.
    """

    def __init__(
        self,
        busy: Callable[[], float | None] = busy_seconds,
        own: Callable[[], float] = time.process_time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._busy, self._own, self._clock = busy, own, clock
        self._lock = Lock()
        self._cores: float | None = None
        self._start = self._now()

    def cores(self) -> float:
        """Number of cores, 0 where it is not known."""
        with self._lock:
            least = SHORTEST if self._cores is None else PERIOD
            seconds = self._clock() - self._start[0]
            if seconds >= least:
                before, self._start = self._start, self._now()
                own = self._start[2] - before[2]
                busy = None if before[1] is None or self._start[1] is None else self._start[1] - before[1]
                self._cores = 0.0 if busy is None else max(0.0, busy - own) / seconds
            return self._cores or 0.0

    def _now(self) -> tuple[float, float | None, float]:
        return self._clock(), self._busy(), self._own()


NEIGHBOURS = Neighbours()


@contextmanager
def free_threads(neighbours: Neighbours = NEIGHBOURS) -> Iterator[None]:
    """Inside, PyTorch has no more threads than there are cores that other programs leave, at least one.

    The threads of a layer wait for one another: beside a busy program two threads on two cores are slower
    than one. Afterwards this thread has the number of the caller again.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        yield
        return
    free = round((os.cpu_count() or threads) - neighbours.cores())
    chosen = max(1, min(threads, free))
    if chosen == threads:
        yield
        return
    torch.set_num_threads(chosen)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
