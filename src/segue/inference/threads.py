"""Choose the number of network threads beside other programs."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from threading import Lock, local
from typing import TypeVar

import torch

from segue.utils.system import busy_seconds

Item = TypeVar("Item")

PERIOD = 1.0
"""Seconds between two measurements of the load."""

MIN_PERIOD = 0.2
"""Seconds of the first measurement at least; the system counts in steps of 10 ms."""


class OtherProcessLoad:
    """Cores that other programs used over the last period.

    Args:
        busy: returns the CPU seconds of all programs so far; None if unavailable.
        process_time: returns the CPU seconds of this process so far.
        clock: monotonic clock, in seconds.
    """

    def __init__(
        self,
        busy: Callable[[], float | None] = busy_seconds,
        process_time: Callable[[], float] = time.process_time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._busy, self._process_time, self._clock = busy, process_time, clock
        self._lock = Lock()
        self._cores: float | None = None
        self._start = self._now()

    def cores(self) -> float:
        """Number of cores in use; 0 if unknown."""
        with self._lock:
            min_seconds = MIN_PERIOD if self._cores is None else PERIOD
            seconds = self._clock() - self._start[0]
            if seconds >= min_seconds:
                previous, self._start = self._start, self._now()
                process_seconds = self._start[2] - previous[2]
                busy = None if previous[1] is None or self._start[1] is None else self._start[1] - previous[1]
                self._cores = 0.0 if busy is None else max(0.0, busy - process_seconds) / seconds
            return self._cores or 0.0

    def _now(self) -> tuple[float, float | None, float]:
        return self._clock(), self._busy(), self._process_time()


OTHER_PROCESSES = OtherProcessLoad()


class _ThreadCounts:
    """Numbers of PyTorch threads for single threads of the process.

    ``torch.set_num_threads`` sets the number of its caller, and that with which every thread begins that uses
    PyTorch for the first time later on. A thread of this class gives the second one back at once. It is the
    number of a thread that has none of its own, as PyTorch does not tell it.
    """

    def __init__(self) -> None:
        self.has_worked = False  # whether threads of PyTorch have worked for segue in this process
        self._begin()

    def _begin(self) -> None:
        self._lock = Lock()  # a thread that begins meanwhile waits until the number of the process is back
        self._thread_state = local()  # the number that a thread was given here
        self._process_threads: int | None = None
        self._restorer: ThreadPoolExecutor | None = None
        self._helpers: ThreadPoolExecutor | None = None

    def help(self, work: Callable[[], None], count: int) -> list[Future[None]]:
        """Run a function several times in otherwise idle threads."""
        with self._lock:
            if self._helpers is None:
                self._helpers = ThreadPoolExecutor(os.cpu_count(), "segue-helper")
            try:
                return [self._helpers.submit(work) for _ in range(count)]
            except RuntimeError:  # the interpreter ends, and no thread begins any more
                return []

    def begin_in_fork(self) -> None:
        """Start over in a fork, since PyTorch would wait for the parent's threads."""
        self._begin()
        if self.has_worked:
            torch.set_num_threads(1)

    def current(self) -> int:
        """Number for this thread, first taken from the process."""
        with self._lock:
            return torch.get_num_threads()

    def set(self, count: int) -> None:
        """Set the number for this thread only."""
        with self._lock:
            current, local_count = torch.get_num_threads(), getattr(self._thread_state, "count", None)
            if self._process_threads is None or current != local_count:
                self._process_threads = current
            self._thread_state.count = count
            if count == current:
                return
            torch.set_num_threads(count)
            with suppress(RuntimeError):  # the interpreter ends, and no thread begins any more
                if self._restorer is None:
                    self._restorer = ThreadPoolExecutor(1, "segue-threads")
                self._restorer.submit(torch.set_num_threads, self._process_threads).result()

    def set_of_process(self, count: int) -> None:
        """Set the number for this thread and later ones."""
        with self._lock:
            self._process_threads = self._thread_state.count = count
            torch.set_num_threads(count)


_COUNTS = _ThreadCounts()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_COUNTS.begin_in_fork)


def set_own_threads(count: int) -> None:
    """Set the number of PyTorch threads of this thread; other threads keep theirs."""
    _COUNTS.set(count)


def set_process_threads(count: int) -> None:
    """Set the number of PyTorch threads of this thread and later ones."""
    _COUNTS.set_of_process(count)


@contextmanager
def own_threads(count: int) -> Iterator[None]:
    """Context in which this thread has a number of PyTorch threads."""
    previous = _COUNTS.current()
    if count == previous:
        yield
        return
    try:
        _COUNTS.set(count)
        yield
    finally:
        _COUNTS.set(previous)


def run_each(work: Callable[[Item], None], items: Sequence[Item]) -> None:
    """Call a function with independent items in parallel, with one PyTorch thread each.

    As many threads as this one may have process them in order. If threads shared the layers of single small
    objects, they would wait for each other, and all would wait if another program takes one of their cores.

    Args:
        work: called function, without gradients.
        items: its arguments.
    """
    threads = min(_COUNTS.current(), len(items))
    if threads < 2:
        for item in items:
            work(item)
        return
    left = deque(items)

    def take() -> None:
        with own_threads(1), torch.inference_mode():
            while True:
                try:
                    item = left.popleft()
                except IndexError:
                    return
                work(item)

    helpers = _COUNTS.help(take, threads - 1)
    try:
        take()
    finally:
        left.clear()
        wait(helpers)
    for helper in helpers:
        helper.result()


@contextmanager
def limit_threads_to_idle_cores(load: OtherProcessLoad = OTHER_PROCESSES) -> Iterator[None]:
    """Context that limits PyTorch to cores unused by other programs, at least one.

    The threads of a layer wait for one another: beside a busy program two threads on two cores are slower
    than one. Afterwards this thread has the number of the caller again.
    """
    threads = _COUNTS.current()
    num_threads = threads
    if threads > 1:
        _COUNTS.has_worked = True
        free = round((os.cpu_count() or threads) - load.cores())
        num_threads = max(1, min(threads, free))
    with own_threads(num_threads):
        yield
