"""Workers of a batch: processes of this machine, or tasks of a Ray cluster."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import suppress
from functools import cache, partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from segue.batch.places import SUBFOLDER, one_line
from segue.batch.plan import Task
from segue.batch.upload import check_store
from segue.batch.work import MEMORY_ADVICE, JobConfig, attempt, forget_networks, prepare_worker
from segue.errors import SegueError
from segue.utils.cancel import CancelToken, cancel_on_signals
from segue.utils.extras import install_command
from segue.utils.notices import is_quiet
from segue.utils.system import (
    LINUX,
    check_may_start_processes,
    die_with,
    killed_by,
    leave_group,
    signals_blocked,
)
from segue.video.sources.addresses import is_url

IDENTITY = "identity"
"""File with the identity of a batch, beside its ledger; it shows nodes that they share the output."""

MEMORY = 2 * 2**30
"""Bytes requested by a Ray task: for PyTorch, a small network, and the frames of a 1440p video."""

GPU_DEVICES = ("/dev/nvidiactl", "/dev/nvmap", "/dev/kfd", "/dev/dxg")
"""Device files of the GPU drivers of Linux: NVIDIA, Tegra, AMD and WSL."""

CLOSE_SECONDS = 1.5
"""Seconds in which Ray can end its tasks; they end with this process in any case."""

_CANCEL = CancelToken()
"""Set in a worker when the batch is to stop."""


class LocalWorkers:
    """Worker processes of this machine, one per GPU; without ``threads`` they share the cores."""

    # Each is a pool of one process: a pool of several fails as a whole when one of its processes dies.

    def __init__(self, order: JobConfig, count: int, gpus: Sequence[str] | None) -> None:
        check_may_start_processes(f"workers={count}")
        self.room, self.tries = count, order.tries
        self._order = order
        self._context = multiprocessing.get_context("spawn")
        self._stopped, self._stop = self._context.Pipe(duplex=False)
        self.environments = worker_environments(order.threads, count, gpus)
        self._pools = [self._pool(number) for number in range(count)]
        self._last: list[Future[Task] | None] = [None] * count

    def submit(self, task: Task) -> Future[Task]:
        """Give a video to an idle worker; if a worker dies, the error says how."""
        number = next(n for n, last in enumerate(self._last) if last is None or last.done())
        try:
            future = self._submit(number, task)
        except BrokenExecutor:  # it has died since
            self._pools[number] = self._pool(number)
            future = self._submit(number, task)
        self._last[number] = future
        process = next(iter((self._pools[number]._processes or {}).values()), None)
        explained: Future[Task] = Future()
        future.add_done_callback(partial(_explain, process, explained))
        return explained

    def _submit(self, number: int, task: Task) -> Future[Task]:
        # The pool starts its process with its first video. Until the process leaves the group of the terminal
        # it must not take Ctrl-C. The pool itself is made before: multiprocessing then lets signals through.
        with signals_blocked({signal.SIGINT}):
            return self._pools[number].submit(_attempt_here, task, self._order)

    def interrupt(self) -> None:
        """Ask all workers to stop after the frame in work."""
        self._stop.close()

    def close(self) -> None:
        """End all workers at once."""
        self._stop.close()
        for pool in self._pools:
            for process in list((pool._processes or {}).values()):
                process.kill()
            pool.shutdown(cancel_futures=True)
        self._stopped.close()

    def _pool(self, number: int) -> ProcessPoolExecutor:
        arguments = (self._stopped, os.getpid(), self.environments[number])
        return ProcessPoolExecutor(1, self._context, _begin, arguments)


class OwnProcess:
    """Processes each video in the calling process."""

    room = tries = 1

    def __init__(self, order: JobConfig) -> None:
        self._order, self._cancel = order, CancelToken()

    def submit(self, task: Task) -> Future[Task]:
        """Process a video; Ctrl-C saves its progress and stops the batch."""
        future: Future[Task] = Future()
        done = attempt(task, self._order, self._cancel)
        if done.state == "queued":
            raise KeyboardInterrupt
        future.set_result(done)
        return future

    def interrupt(self) -> None:
        """No-op: no video is in progress between calls."""

    def close(self) -> None:
        """Release the networks of the videos."""
        forget_networks()


def _explain(process: BaseProcess | None, explained: Future[Task], future: Future[Task]) -> None:
    """Return a video's outcome, or name the signal that killed its process."""
    if future.cancelled():
        explained.cancel()
        return
    error = future.exception()
    if error is None:
        explained.set_result(future.result())
        return
    if isinstance(error, BrokenExecutor) and process is not None:
        process.join(1.0)  # its end is known, its exit code soon
        if ended := killed_by(process.exitcode or 0, MEMORY_ADVICE):
            error = BrokenExecutor(f"it {ended}")
    explained.set_exception(error)


def gpus_of(order: JobConfig) -> list[str]:
    """GPUs of this machine for a batch, as in ``CUDA_VISIBLE_DEVICES``."""
    available = _count_gpus() if order.gpus != 0 else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [name.strip() for name in visible.split(",")] if visible else [str(n) for n in range(available)]
    if order.gpus is not None and order.gpus > available:
        raise SegueError(f"--gpus {order.gpus}: PyTorch can use {available} GPUs of this machine")
    return names[:available][: order.gpus]


def _count_gpus() -> int:
    """Number of GPUs of PyTorch, which is imported only if there may be some."""
    if LINUX and "torch" not in sys.modules and not any(map(os.path.exists, GPU_DEVICES)):
        return 0
    import torch  # late: options are checked before

    return torch.cuda.device_count()


def worker_environments(threads: int | None, count: int, gpus: Sequence[str] | None) -> list[dict[str, str]]:
    """Environment variables of ``count`` workers: threads, and one GPU each if several."""
    shared = {"OMP_NUM_THREADS": str(threads or max(1, (os.cpu_count() or 1) // count))}
    if gpus is None:
        return [shared] * count
    return [
        shared | {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)] if gpus else ""} for number in range(count)
    ]


def _begin(stopped: Connection, parent: int, environment: dict[str, str]) -> None:
    """Initialise a worker process; it stops with the batch."""
    leave_group()  # Ctrl-C reaches the batch, which passes it on
    die_with(parent)
    os.environ.update(environment)  # before PyTorch is loaded, which reads it
    prepare_worker(int(environment["OMP_NUM_THREADS"]))
    threading.Thread(target=_watch, args=(stopped,), daemon=True).start()


def _watch(stopped: Connection) -> None:
    with suppress(EOFError, OSError):
        stopped.recv()  # ends when the batch closes the pipe, or has died
    _CANCEL.cancel()
    multiprocessing.parent_process().join()  # type: ignore[union-attr]
    os._exit(1)


def _attempt_here(task: Task, order: JobConfig) -> Task:
    return attempt(task, order, _CANCEL)


class RayTasks:
    """Tasks of a Ray cluster; Ray schedules them and restarts those of lost nodes."""

    tries = 1  # Ray itself tries again

    def __init__(self, order: JobConfig, address: str) -> None:
        try:
            import ray
        except ImportError:
            raise SegueError(f"--address needs Ray: {install_command('cluster')}") from None
        _require_listener(address)
        self._ray: Any = ray
        try:
            self._ray.init(
                address=address,  # with None Ray would join whatever cluster runs on this machine
                log_to_driver=False,
                include_dashboard=False,
                logging_level=logging.ERROR if is_quiet() else logging.INFO,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise SegueError(f"{address}: there is no Ray cluster ({one_line(error)})") from None
        self._order = order
        self._references: dict[Future[Task], Any] = {}
        gpus = self._ray.cluster_resources().get("GPU", 0) if order.gpus is None else order.gpus
        self._shares = {"CPU": order.threads or 1, **({"GPU": 1 / order.per_gpu} if gpus else {})}
        self._max_tasks = min(order.workers or math.inf, gpus * order.per_gpu or math.inf)
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        fitting = [node for node in nodes if all(node.get(k, 0) >= v for k, v in self._shares.items())]
        if not fitting:
            self.close()
            required = " and ".join(f"{share:g} {name}" for name, share in self._shares.items())
            raise SegueError(f"{address}: no node has {required}")
        self._do = self._ray.remote(_attempt)
        self._memory = min(MEMORY, int(max(node.get("memory", 0) for node in fitting)))

    @property
    def room(self) -> int:
        """Number of videos that the cluster can process at once; it changes with its nodes."""
        total = self._ray.cluster_resources()
        return max(1, int(min(self._max_tasks, *(total.get(k, 0) / v for k, v in self._shares.items()))))

    def submit(self, task: Task) -> Future[Task]:
        """Give a video to the cluster."""
        remote = self._do.options(
            num_cpus=self._shares["CPU"],
            num_gpus=self._shares.get("GPU", 0),
            memory=self._memory,
            max_retries=self._order.tries - 1,
        )
        reference = remote.remote(task, self._order)
        future: Future[Task] = reference.future()
        self._references[future] = reference
        future.add_done_callback(self._references.pop)
        return future

    def interrupt(self) -> None:
        """Ask all tasks to stop after the frame in work."""
        for reference in list(self._references.values()):
            with suppress(Exception):
                self._ray.cancel(reference, force=False)

    def close(self) -> None:
        """Leave the cluster, which ends the tasks."""
        thread = threading.Thread(target=self._ray.shutdown, daemon=True)  # it may hang
        thread.start()
        thread.join(CLOSE_SECONDS)


def _attempt(task: Task, order: JobConfig) -> Task:
    """Process a video on a node of the cluster."""
    prepare_worker(order.threads or 1)
    if Path(order.folder).is_dir():  # relative paths begin there
        os.chdir(order.folder)
    identity = Path(order.output, SUBFOLDER, IDENTITY)
    if not is_url(order.output) and not (identity.is_file() and identity.read_text("utf-8") == order.batch):
        raise SegueError(
            f"{order.output}: is another folder on node {socket.gethostname()}; give an output that all "
            "nodes share, or an address such as s3://bucket/results"
        )
    if is_url(order.output):
        _check_store_cached(order.output)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ray.cancel sends it
    with cancel_on_signals() as token:
        return attempt(task, order, token)


@cache
def _check_store_cached(output: str) -> None:
    """Check once per process that a node can upload results."""
    check_store(output)


def _require_listener(address: str) -> None:
    """Raise an error unless a server listens at the address; Ray itself retries for minutes."""
    host, mark, port = address.rpartition("://")[2].rpartition(":")
    if mark and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except (OSError, OverflowError) as error:
            raise SegueError(f"{address}: there is no Ray cluster ({error})") from None
