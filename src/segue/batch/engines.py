"""Workers: processes of this machine, or actors of a Ray cluster, behind one interface."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal, Protocol

import cv2
import torch

from segue.batch.places import one_line
from segue.batch.plan import Task
from segue.batch.work import JobConfig, Outcome, ProgressRecorder, execute
from segue.errors import SegueError

BEAT_SECONDS = 2.0
"""Time between two signs of life of a worker."""

SILENT_SECONDS = 120.0
"""A worker that says nothing for so long is taken for dead."""


@dataclass(frozen=True, slots=True)
class Event:
    """News from a worker.

    Attributes:
        kind: ``beat``: it lives; ``done``, ``failed``, ``stopped`` (interrupted, to be gone on with): what
            became of its video; ``lost``: it died, and another one has its place.
        worker: its name.
        frames: frames of the video so far.
        error: what was wrong, one line.
        outcome: of a video that is done.
    """

    kind: Literal["beat", "done", "failed", "stopped", "lost"]
    worker: str
    frames: int = 0
    error: str = ""
    outcome: Outcome | None = None


class Engine(Protocol):
    """Workers that hold their networks from video to video."""

    @property
    def workers(self) -> dict[str, str]:
        """The machine of each worker by name."""

    @property
    def memory(self) -> dict[str, float]:
        """Bytes that the videos on each machine may take together."""

    def give(self, worker: str, task: Task) -> None:
        """Have an idle worker do a video."""

    def events(self, seconds: float) -> Sequence[Event]:
        """News, after at most so many seconds."""

    def interrupt(self) -> None:
        """Ask all workers to stop after the frame in work."""

    def close(self) -> None:
        """End all workers at once."""


class LocalEngine:
    """Worker processes on this machine, on the devices in turn; without ``threads`` they share the cores."""

    def __init__(self, order: JobConfig, count: int, devices: Sequence[str]) -> None:
        self._order = order
        self._context = multiprocessing.get_context("spawn")
        self._threads = order.threads or max(1, (os.cpu_count() or 1) // count)
        self._devices = {f"worker-{n}": devices[n % len(devices)] if devices else "" for n in range(count)}
        self._machine = socket.gethostname()
        self._processes: dict[str, tuple[Any, Connection]] = {}
        self._heard: dict[str, float] = {}
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
        with contextlib.suppress(OSError):  # a worker that has just died is found by events
            self._processes[worker][1].send(task)

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
        found += [self._replace(name, "fell silent") for name, heard in self._heard.items() if heard < late]
        return found

    def interrupt(self) -> None:
        for process, _ in self._processes.values():
            if process.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGINT)

    def close(self) -> None:
        for name in tuple(self._processes):
            self._end(name)

    def _start(self, name: str) -> None:
        pipe, end = self._context.Pipe()
        order, device = self._order, self._devices[name]
        if device:
            order = replace(order, options=(*order.options, "--device", device))
        process = self._context.Process(
            target=_serve, args=(name, end, order, self._threads, os.getpid()), name=name, daemon=True
        )
        process.start()
        end.close()
        self._processes[name] = process, pipe
        self._heard[name] = time.monotonic()

    def _end(self, name: str) -> int:
        process, pipe = self._processes.pop(name)
        process.kill()
        process.join()
        pipe.close()
        return process.exitcode or 0

    def _replace(self, name: str, how: str) -> Event:
        code = self._end(name)
        self._start(name)
        reason = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return Event("lost", name, error=f"the worker {how} ({reason})")


def _serve(name: str, pipe: Connection, order: JobConfig, threads: int, parent: int) -> None:
    """A worker process: one video after the other, and a sign of life every now and then."""
    os.setsid()  # Ctrl-C reaches the batch, which passes it on once
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with(parent)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    lock = threading.Lock()
    watch = ProgressRecorder()

    def say(event: Event) -> None:
        try:
            with lock:
                pipe.send(event)
        except OSError:  # the batch is gone
            os._exit(1)

    _keep_beating(name, watch, say)
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            os._exit(1)
        watch.restart()
        say(report(name, task, order, watch))


def _keep_beating(name: str, watch: ProgressRecorder, say: Callable[[Event], None]) -> None:
    """Have a thread give a sign of life every now and then."""

    def beat() -> None:
        while True:
            time.sleep(BEAT_SECONDS)
            say(Event("beat", name, watch.frames))

    threading.Thread(target=beat, daemon=True).start()


def report(name: str, task: Task, order: JobConfig, watch: ProgressRecorder) -> Event:
    """Do one video, and say what became of it."""
    try:
        outcome = execute(task, order, watch)
        return Event("done", name, watch.frames, outcome=outcome)
    except KeyboardInterrupt:
        return Event("stopped", name, watch.frames)
    except SegueError as error:
        return Event("failed", name, watch.frames, one_line(error))
    except Exception as error:  # one rotten video must not end the batch
        return Event("failed", name, watch.frames, f"{type(error).__name__}: {' '.join(str(error).split())}")


def _die_with(parent: int) -> None:
    """Have the kernel end this process when its parent dies, where it can (Linux)."""
    if sys.platform == "linux":
        death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
        ctypes.CDLL(None).prctl(death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _free_memory() -> float:
    """Bytes that programs can still take on this machine."""
    try:
        text = Path("/proc/meminfo").read_text()
        free = next(line.split()[1] for line in text.splitlines() if line.startswith("MemAvailable"))
        return 1024.0 * int(free)
    except (OSError, StopIteration, ValueError):
        return float("inf")


class RayEngine:
    """Actors of a Ray cluster, as many as it has such shares of cores or GPUs, or ``count``.

    The address ``local`` starts a cluster on this machine.
    """

    def __init__(self, order: JobConfig, address: str, count: int | None) -> None:
        try:
            import ray
            from ray.util.queue import Queue
        except ImportError:
            raise SegueError("--address needs Ray: pip install 'segue[cluster]'") from None
        self._ray: Any = ray
        _require_listener(address)
        where = None if address == "local" else address
        try:
            self._ray.init(address=where, log_to_driver=False, include_dashboard=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise SegueError(f"{address}: there is no Ray cluster ({one_line(error)})") from None
        self._order, gpus, cores = order, order.gpus, order.threads or 1
        self._options = {"num_cpus": cores, "num_gpus": gpus, "max_restarts": 0}
        total = self._ray.cluster_resources()
        room = int(total.get("GPU", 0) / gpus) if gpus else int(total.get("CPU", 1) / cores)
        self._beats: Any = Queue(actor_options={"num_cpus": 0})
        self._actors: dict[str, Any] = {}
        self._machines: dict[str, str] = {}
        self._waiting: dict[Any, str] = {}
        for number in range(count or max(1, room)):
            self._start(f"actor-{number}")

    @property
    def workers(self) -> dict[str, str]:
        return dict(self._machines)

    @property
    def memory(self) -> dict[str, float]:
        """What Ray counts as the memory of each node."""
        nodes = (node for node in self._ray.nodes() if node["Alive"])
        return {node["NodeID"]: node["Resources"].get("memory", float("inf")) for node in nodes}

    def give(self, worker: str, task: Task) -> None:
        self._waiting[self._actors[worker].execute.remote(task)] = worker

    def events(self, seconds: float) -> list[Event]:
        if not self._waiting:
            time.sleep(min(seconds, 0.1))
            return []
        ready, _ = self._ray.wait(list(self._waiting), num_returns=1, timeout=seconds)
        found = []
        for reference in ready:
            worker = self._waiting.pop(reference)
            try:
                found.append(self._ray.get(reference))
            except self._ray.exceptions.RayError as error:
                with contextlib.suppress(Exception):
                    self._ray.kill(self._actors[worker])
                self._start(worker)
                lines = str(error).strip().splitlines() or [type(error).__name__]
                found.append(Event("lost", worker, error=f"the actor died ({lines[0]})"))
        beats = self._beats.get_nowait_batch(self._beats.qsize())
        busy = set(self._waiting.values())
        return found + [beat for beat in beats if beat.worker in busy]

    def interrupt(self) -> None:
        """Actors are ended with the batch; what they were at begins anew from what they saved."""
        self.close()

    def close(self) -> None:
        for actor in self._actors.values():
            with contextlib.suppress(Exception):
                self._ray.kill(actor)
        self._actors.clear()
        self._ray.shutdown()

    def _start(self, name: str) -> None:
        remote = self._ray.remote(_Actor).options(**self._options)
        self._actors[name] = remote.remote(name, self._order, self._beats)
        self._machines[name] = self._ray.get(self._actors[name].machine.remote())


def _require_listener(address: str) -> None:
    """See that somebody listens there; Ray itself asks for minutes."""
    host, mark, port = address.rpartition("://")[2].rpartition(":")
    if mark and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except (OSError, OverflowError) as error:
            raise SegueError(f"{address}: there is no Ray cluster ({error})") from None


class _Actor:
    """A worker on a node of the cluster."""

    def __init__(self, name: str, order: JobConfig, beats: Any) -> None:
        torch.set_num_threads(order.threads or 1)
        self._name, self._order = name, order
        self._watch = ProgressRecorder()
        _keep_beating(name, self._watch, beats.put)

    def machine(self) -> str:
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def execute(self, task: Task) -> Event:
        self._watch.restart()
        return report(self._name, task, self._order, self._watch)


def open_engine(order: JobConfig, count: int | None = None, devices: Sequence[str] = ()) -> Engine:
    """Local processes, or with an address the actors of a Ray cluster."""
    if order.address is not None:
        return RayEngine(order, order.address, count)
    count = count or max(1, (os.cpu_count() or 1) // (order.threads or 1))
    return LocalEngine(order, count, devices)
