"""Threads that share the work of one call, each of them with one thread of PyTorch.

The threads of PyTorch itself wait for one another after each operation; these do so once for many of them.
NumPy, which has one thread, takes part.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import torch

from segue.inference.threads import set_own_threads

Jobs = Sequence[Callable[[], None]]


def run_here(jobs: Jobs) -> None:
    """Run jobs one after the other."""
    for job in jobs:
        job()


def run_all(jobs: Jobs) -> None:
    """Run jobs: here where PyTorch has one thread, else in as many others, which take one after another."""
    threads = min(torch.get_num_threads(), len(jobs))
    if threads == 1:
        run_here(jobs)
        return
    left = [*reversed(jobs)]

    def work() -> None:
        with torch.inference_mode(inference), torch.set_grad_enabled(False):
            while left:
                try:
                    job = left.pop()
                except IndexError:  # another thread was faster
                    return
                job()

    inference = torch.is_inference_mode_enabled()
    for worker in _WORKERS.submit(work, threads):
        worker.result()
    work()  # what is left where the interpreter ends, and no thread begins any more


class _Workers:
    """The threads, for all callers in the process.

    There is one pool, as large as the most that a caller has wanted; a larger one takes its place.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, in a fork, which has none of the threads."""
        self._lock, self._size = threading.Lock(), 0
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, work: Callable[[], None], times: int) -> list[Future[None]]:
        """Run a function several times at once."""
        with self._lock:
            if self._pool is None or times > self._size:
                if self._pool is not None:
                    self._pool.shutdown(wait=False)  # what it has begun is finished
                self._pool = ThreadPoolExecutor(times, "segue-worker", functools.partial(set_own_threads, 1))
                self._size = times
            working: list[Future[None]] = []
            with suppress(RuntimeError):  # the interpreter ends
                working += [self._pool.submit(work) for _ in range(times)]
            return working


_WORKERS = _Workers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_WORKERS.reset)
