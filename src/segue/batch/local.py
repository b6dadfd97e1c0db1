"""Workers that are processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

from segue.allocation import prepare_process
from segue.batch.plan import Task
from segue.batch.work import JobConfig, Outcome, attempt
from segue.cancel import CancelToken
from segue.errors import SegueError
from segue.system import die_with, leave_group, signals_blocked

_CANCEL = CancelToken()
"""In a worker: the batch is to stop."""


class LocalWorkers:
    """Worker processes on this machine, each on its GPU; without ``threads`` they share the cores.

    Each worker is a pool of one process: a pool of several fails as a whole when one of its processes dies,
    and does not say which video that one had.
    """

    def __init__(self, order: JobConfig, count: int, gpus: Sequence[str] | None) -> None:
        self.room, self.tries = count, order.tries
        self._order, self._gpus = order, gpus
        self._threads = order.threads or max(1, (os.cpu_count() or 1) // count)
        self._context = multiprocessing.get_context("spawn")
        self._stopped, self._stop = self._context.Pipe(duplex=False)
        self._pools: dict[int, ProcessPoolExecutor] = {}
        self._last: dict[int, Future[Outcome]] = {}

    def submit(self, task: Task) -> Future[Outcome]:
        """Give a video to an idle worker."""
        idle = (n for n in range(self.room) if n not in self._last or self._last[n].done())
        number = next(idle)
        try:
            self._last[number] = self._start(number, task)
        except BrokenExecutor:  # it has died since
            self._pools.pop(number).shutdown(wait=False)
            self._last[number] = self._start(number, task)
        return self._last[number]

    def interrupt(self) -> None:
        """Ask all workers to stop after the frame in work."""
        self._stop.close()

    def close(self) -> None:
        """End all workers at once."""
        self._stop.close()
        pools = list(self._pools.values())
        self._pools.clear()
        for process in [process for pool in pools for process in (pool._processes or {}).values()]:
            process.kill()
        for pool in pools:
            pool.shutdown(cancel_futures=True)
        self._stopped.close()

    def _start(self, number: int, task: Task) -> Future[Outcome]:
        if number not in self._pools:
            self._pools[number] = ProcessPoolExecutor(
                1, self._context, _begin, (self._stopped, os.getpid(), self._threads)
            )
        values = {"OMP_NUM_THREADS": str(self._threads)}
        if self._gpus is not None:
            values["CUDA_VISIBLE_DEVICES"] = self._gpus[number % len(self._gpus)] if self._gpus else ""
        # The pool starts its process with its first video. Until the process leaves the group of the terminal
        # it must not take Ctrl-C.
        with _environment(values), signals_blocked({signal.SIGINT}):
            return self._pools[number].submit(_attempt, task, self._order)


def gpus_of(order: JobConfig) -> list[str]:
    """The GPUs of this machine that a batch uses, as ``CUDA_VISIBLE_DEVICES`` calls them."""
    import torch  # late: options are checked before

    found = torch.cuda.device_count() if order.gpus != 0 else 0
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [name.strip() for name in named.split(",")] if named else [str(n) for n in range(found)]
    if order.gpus is not None and order.gpus > found:
        raise SegueError(f"--gpus {order.gpus}: PyTorch can use {found} GPUs of this machine")
    return names[:found][: order.gpus]


def _begin(stopped: Connection, parent: int, threads: int) -> None:
    """Prepare a worker process: it stops when the batch says so, and ends with it."""
    leave_group()  # Ctrl-C reaches the batch, which passes it on
    die_with(parent)
    prepare_process()
    import cv2
    import torch  # late: options are checked before

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)

    def watch() -> None:
        with suppress(EOFError, OSError):
            stopped.recv()  # ends when the batch closes the pipe, or has died
        _CANCEL.cancel()
        if (batch := multiprocessing.parent_process()) is not None:
            batch.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _attempt(task: Task, order: JobConfig) -> Outcome:
    return attempt(task, order, _CANCEL)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment of processes that begin in the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
