"""Workers that are processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection

from segue.batch.plan import Task
from segue.batch.work import JobConfig, Outcome, attempt, prepare_worker
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
        self._context = multiprocessing.get_context("spawn")
        self._stopped, self._stop = self._context.Pipe(duplex=False)
        self._pools: dict[int, ProcessPoolExecutor] = {}
        self._last: dict[int, Future[Outcome]] = {}

    def submit(self, task: Task) -> Future[Outcome]:
        """Give a video to an idle worker."""
        number = next(n for n in range(self.room) if n not in self._last or self._last[n].done())
        # The pool starts its process with its first video. Until the process leaves the group of the terminal
        # it must not take Ctrl-C.
        with signals_blocked({signal.SIGINT}):
            try:
                self._last[number] = self._pools[number].submit(_attempt, task, self._order)
            except (KeyError, BrokenExecutor):  # it is the first, or has died since
                self._pools[number] = self._started(number)
                self._last[number] = self._pools[number].submit(_attempt, task, self._order)
        return self._last[number]

    def interrupt(self) -> None:
        """Ask all workers to stop after the frame in work."""
        self._stop.close()

    def close(self) -> None:
        """End all workers at once."""
        self._stop.close()
        for pool in self._pools.values():
            for process in list((pool._processes or {}).values()):
                process.kill()
            pool.shutdown(cancel_futures=True)
        self._stopped.close()

    def _started(self, number: int) -> ProcessPoolExecutor:
        threads = self._order.threads or max(1, (os.cpu_count() or 1) // self.room)
        environment = {"OMP_NUM_THREADS": str(threads)}
        if self._gpus is not None:
            environment["CUDA_VISIBLE_DEVICES"] = self._gpus[number % len(self._gpus)] if self._gpus else ""
        begun = (self._stopped, os.getpid(), threads, environment)
        return ProcessPoolExecutor(1, self._context, _begin, begun)


def gpus_of(order: JobConfig) -> list[str]:
    """The GPUs of this machine that a batch uses, as ``CUDA_VISIBLE_DEVICES`` calls them."""
    import torch  # late: options are checked before

    found = torch.cuda.device_count() if order.gpus != 0 else 0
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [name.strip() for name in named.split(",")] if named else [str(n) for n in range(found)]
    if order.gpus is not None and order.gpus > found:
        raise SegueError(f"--gpus {order.gpus}: PyTorch can use {found} GPUs of this machine")
    return names[:found][: order.gpus]


def _begin(stopped: Connection, parent: int, threads: int, environment: dict[str, str]) -> None:
    """Prepare a worker process: it stops when the batch says so, and ends with it."""
    leave_group()  # Ctrl-C reaches the batch, which passes it on
    die_with(parent)
    os.environ.update(environment)  # before PyTorch is loaded, which reads it
    prepare_worker(threads)
    threading.Thread(target=_watch, args=(stopped,), daemon=True).start()


def _watch(stopped: Connection) -> None:
    with suppress(EOFError, OSError):
        stopped.recv()  # ends when the batch closes the pipe, or has died
    _CANCEL.cancel()
    multiprocessing.parent_process().join()  # type: ignore[union-attr]
    os._exit(1)


def _attempt(task: Task, order: JobConfig) -> Outcome:
    return attempt(task, order, _CANCEL)
