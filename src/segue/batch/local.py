"""Workers that are processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import cv2
import torch

from segue.allocation import prepare_process
from segue.batch.engines import BEAT_SECONDS, SILENT_SECONDS, Event, report
from segue.batch.plan import Task
from segue.batch.work import JobConfig, ProgressRecorder
from segue.cancel import CancelToken
from segue.system import die_with, leave_group, signals_blocked

STOP = "stop"
"""What a worker is sent, beside videos."""


class LocalEngine:
    """Worker processes on this machine, on the devices in turn; without ``threads`` they share the cores.

    An interruption reaches them through their pipe. Signals of the terminal do not reach them: from the first
    moment Ctrl-C is blocked, and each becomes a session of its own.
    """

    def __init__(self, order: JobConfig, count: int, devices: Sequence[str]) -> None:
        self._order = order
        self._context = multiprocessing.get_context("spawn")
        self._threads = order.threads or max(1, (os.cpu_count() or 1) // count)
        self._devices = {f"worker-{n}": devices[n % len(devices)] if devices else "" for n in range(count)}
        self._machine = socket.gethostname()
        self._processes: dict[str, tuple[Any, Connection]] = {}
        self._heard: dict[str, float] = {}
        self._stopping = False
        for name in self._devices:
            self._start(name)

    @property
    def workers(self) -> dict[str, str]:
        return dict.fromkeys(self._devices, self._machine)

    @property
    def memory(self) -> dict[str, float]:
        """Nine tenths of what is free on this machine."""
        return {self._machine: 0.9 * _free_memory()}

    def give(self, worker: str, task: Task) -> None:
        self._heard[worker] = time.monotonic()
        self._send(worker, task)

    def events(self, seconds: float) -> list[Event]:
        by_pipe: dict[Any, str] = {pipe: name for name, (_, pipe) in self._processes.items()}
        found = []
        for ready in wait(list(by_pipe), seconds):
            name = by_pipe[ready]
            try:
                event = self._processes[name][1].recv()
            except (EOFError, OSError):
                found.append(self._replace(name, "died"))
            else:
                self._heard[name] = time.monotonic()
                found.append(event)
        late = time.monotonic() - SILENT_SECONDS
        silent = [name for name, heard in self._heard.items() if heard < late]
        found += [self._replace(name, "fell silent") for name in silent]
        return found

    def interrupt(self) -> None:
        self._stopping = True
        for name in self._processes:
            self._send(name, STOP)

    def close(self) -> None:
        for process, _ in self._processes.values():
            process.kill()
        for name in tuple(self._processes):
            self._end(name)

    def _send(self, name: str, message: object) -> None:
        with contextlib.suppress(OSError):  # a worker that has just died is found by events
            self._processes[name][1].send(message)

    def _start(self, name: str) -> None:
        pipe, end = self._context.Pipe()
        order, device = self._order, self._devices[name]
        if device:
            order = replace(order, device=device)
        process = self._context.Process(
            target=_serve, args=(name, end, order, self._threads, os.getpid()), name=name, daemon=True
        )
        with _without_ctrl_c():
            process.start()
        end.close()
        self._processes[name] = process, pipe
        self._heard[name] = time.monotonic()

    def _end(self, name: str) -> int:
        process, pipe = self._processes.pop(name)
        del self._heard[name]
        process.kill()
        process.join()
        pipe.close()
        return process.exitcode or 0

    def _replace(self, name: str, how: str) -> Event:
        code = self._end(name)
        if not self._stopping:
            self._start(name)
        reason = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return Event("lost", name, error=f"the worker {how} ({reason})")


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Processes that are started in the block do not see Ctrl-C while they import; see :func:`_serve`."""
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    # Python starts this helper with the first process, and unblocks Ctrl-C when it has: so it comes before.
    resource_tracker.ensure_running()
    # The mask is for the process that is started. Another thread of this one may take the signal:
    # it waits until the new process has received all that it needs.
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        with signals_blocked({signal.SIGINT}):
            yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


def _serve(name: str, pipe: Connection, order: JobConfig, threads: int, parent: int) -> None:
    """A worker process: one video after the other, and a sign of life every now and then."""
    leave_group()  # Ctrl-C reaches the batch, which passes it on through the pipe
    die_with(parent)
    prepare_process()
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    lock = threading.Lock()
    watch, cancel = ProgressRecorder(), CancelToken()
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()

    def say(event: Event) -> None:
        try:
            with lock:
                pipe.send(event)
        except OSError:  # the batch is gone
            os._exit(1)

    def listen() -> None:
        while True:
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                os._exit(1)
            if message == STOP:
                cancel.cancel()
            else:
                tasks.put(message)

    threading.Thread(target=listen, daemon=True).start()
    _keep_beating(name, watch, say)
    while True:
        task = tasks.get()
        watch.restart()
        say(report(name, task, order, watch, cancel))


def _keep_beating(name: str, watch: ProgressRecorder, say: Callable[[Event], None]) -> None:
    """Have a thread give a sign of life every now and then."""

    def beat() -> None:
        while True:
            time.sleep(BEAT_SECONDS)
            say(Event("beat", name, watch.frames))

    threading.Thread(target=beat, daemon=True).start()


def _free_memory() -> float:
    """Bytes that programs can still take on this machine."""
    try:
        text = Path("/proc/meminfo").read_text()
        free = next(line.split()[1] for line in text.splitlines() if line.startswith("MemAvailable"))
        return 1024.0 * int(free)
    except (OSError, StopIteration, ValueError):
        return float("inf")
