"""Workers that are actors of a Ray cluster."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from segue.allocation import prepare_process
from segue.batch.engines import BEAT_SECONDS, SILENT_SECONDS, Event, report
from segue.batch.names import SUBFOLDER
from segue.batch.places import hide_secrets, is_remote, one_line
from segue.batch.plan import Task
from segue.batch.work import JobConfig, ProgressRecorder
from segue.cancel import CancelToken
from segue.errors import SegueError
from segue.extras import install_command
from segue.inputs import first_line

IDENTITY = "identity"
"""File in the batch's folder of the output by which nodes see that they share the output."""

GET_SECONDS = 30.0
"""What is ready on the cluster has so long to come here."""

RESTART_SECONDS = 5.0
"""Pause before a worker that could not start is started again."""

LONELY_SECONDS = 300.0
"""A cluster may be without any worker for so long; on a busy node an actor imports PyTorch for a minute."""

CLOSE_SECONDS = 1.5
"""Ray has so long to end the actors; they end with this process in any case."""


class RayEngine:
    """Actors of a Ray cluster, as many as it has such shares of cores or GPUs, or ``count``.

    The address ``local`` starts a cluster on this machine. Nothing is waited for without a limit: an actor is
    a worker from when it has said where it is, one whose node is lost is started again where there is room,
    and a cluster that has no worker for five minutes ends the batch.
    """

    def __init__(self, order: JobConfig, address: str, count: int | None) -> None:
        try:
            import ray
        except ImportError:
            raise SegueError(f"--address needs Ray: {install_command('cluster')}") from None
        self._ray: Any = ray
        _require_listener(address)
        where = None if address == "local" else address
        try:
            self._ray.init(address=where, log_to_driver=False, include_dashboard=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise SegueError(f"{address}: there is no Ray cluster ({one_line(error)})") from None
        self._order, gpus, cores = order, order.gpus, order.threads or 1
        # Beside the video in work an actor reports its progress, and can be asked to stop.
        self._options = {"num_cpus": cores, "num_gpus": gpus, "max_restarts": 0, "max_concurrency": 3}
        total = self._ray.cluster_resources()
        room = int(total.get("GPU", 0) / gpus) if gpus else int(total.get("CPU", 1) / cores)
        self._actors: dict[str, Any] = {}
        self._machines: dict[str, str] = {}
        self._asked: dict[Any, tuple[str, str]] = {}
        """What each reference answers, ``machine``, ``execute`` or ``frames``, and of which worker."""
        self._heard: dict[str, float] = {}
        self._busy: set[str] = set()
        self._next_beat: dict[str, float] = {}
        self._start_at = {f"actor-{number}": 0.0 for number in range(count or max(1, room))}
        self._lonely_since = time.monotonic()
        self._closed = False
        self._problem = "no node has room for a worker"

    @property
    def workers(self) -> dict[str, str]:
        return dict(self._machines)

    @property
    def memory(self) -> dict[str, float]:
        """What Ray counts as the memory of each node."""
        nodes = (node for node in self._ray.nodes() if node["Alive"])
        return {node["NodeID"]: node["Resources"].get("memory", float("inf")) for node in nodes}

    def give(self, worker: str, task: Task) -> None:
        self._busy.add(worker)
        self._heard[worker] = time.monotonic()
        self._next_beat[worker] = time.monotonic() + BEAT_SECONDS
        self._ask(worker, "execute", task)

    def events(self, seconds: float) -> list[Event]:
        try:
            return self._news(seconds)
        except self._ray.exceptions.RayError as error:
            raise SegueError(
                f"the Ray cluster is gone ({hide_secrets(first_line(error))}); what is done is kept, "
                "continue with --resume"
            ) from None

    def _news(self, seconds: float) -> list[Event]:
        self._keep_up()
        found = []
        for reference in self._answered(seconds):
            if reference not in self._asked:  # its worker was lost with the answer before
                continue
            worker, question = self._asked.pop(reference)
            try:
                answer = self._ray.get(reference, timeout=GET_SECONDS)
            except self._ray.exceptions.RayError as error:
                found += self._lose(worker, error)
                continue
            self._heard[worker] = time.monotonic()
            if question == "machine":
                self._machines[worker] = answer
            elif question == "execute":
                self._busy.discard(worker)
                found.append(answer)
            elif worker in self._busy:
                self._next_beat[worker] = time.monotonic() + BEAT_SECONDS
                found.append(Event("beat", worker, answer))
        late = time.monotonic() - SILENT_SECONDS
        for worker in [name for name in self._busy if self._heard[name] < late]:
            found += self._lose(worker, TimeoutError("it fell silent"))
        return found

    def interrupt(self) -> None:
        for name in tuple(self._busy):
            with contextlib.suppress(Exception):
                self._actors[name].stop.remote()

    def close(self) -> None:
        if self._closed:  # Ray would connect once more
            return
        self._closed = True

        def end() -> None:
            for actor in self._actors.values():
                with contextlib.suppress(Exception):
                    self._ray.kill(actor)
            self._ray.shutdown()

        _within(CLOSE_SECONDS, end)

    def _ask(self, worker: str, question: str, *values: object) -> None:
        self._asked[getattr(self._actors[worker], question).remote(*values)] = worker, question

    def _answered(self, seconds: float) -> list[Any]:
        """References that have an answer, after at most so many seconds."""
        if not self._asked:
            time.sleep(min(seconds, 0.1))
            return []
        waiting = list(self._asked)
        self._ray.wait(waiting, num_returns=1, timeout=seconds)
        return list(self._ray.wait(waiting, num_returns=len(waiting), timeout=0)[0])

    def _keep_up(self) -> None:
        """Start what is to be started, ask busy workers how far they are, and see that there are any."""
        now = time.monotonic()
        for name in [name for name, due in self._start_at.items() if due <= now]:
            del self._start_at[name]
            remote = self._ray.remote(Actor).options(**self._options)
            self._actors[name] = remote.remote(name, self._order)
            self._ask(name, "machine")
        for name in self._busy:
            if self._next_beat[name] <= now:
                self._next_beat[name] = float("inf")  # until it answers
                self._ask(name, "frames")
        if self._machines:
            self._lonely_since = now
        elif now - self._lonely_since > LONELY_SECONDS:
            raise SegueError(
                f"the cluster has had no worker for {LONELY_SECONDS:.0f} s ({self._problem}); "
                "what is done is kept, continue with --resume"
            )

    def _lose(self, worker: str, error: Exception) -> list[Event]:
        """A worker is gone, or could not start; another one takes its name when there is room for it."""
        cause = getattr(error, "cause", None)
        self._problem = hide_secrets(first_line(cause or error))
        self._asked = {ref: asked for ref, asked in self._asked.items() if asked[0] != worker}
        if self._machines.pop(worker, None) is None and isinstance(cause, SegueError):
            raise SegueError(self._problem)
        actor = self._actors.pop(worker, None)
        with contextlib.suppress(Exception):
            self._ray.kill(actor)
        self._start_at[worker] = time.monotonic() + RESTART_SECONDS
        was_busy = worker in self._busy
        self._busy.discard(worker)
        return [Event("lost", worker, error=f"the actor died ({self._problem})")] if was_busy else []


class Actor:
    """A worker on a node of the cluster.

    Args:
        name: its name.
        order: how videos are done.
    """

    def __init__(self, name: str, order: JobConfig) -> None:
        prepare_process()
        torch.set_num_threads(order.threads or 1)
        if Path(order.folder).is_dir():  # where relative paths begin
            os.chdir(order.folder)
        self._name, self._order = name, order
        self._watch, self._cancel = ProgressRecorder(), CancelToken()

    def machine(self) -> str:
        """The node that it is on, which shares the output."""
        import ray

        output, host = self._order.output, socket.gethostname()
        if not is_remote(output):
            path = Path(output) / SUBFOLDER / IDENTITY
            try:
                same = path.read_text("utf-8") == self._order.batch
            except (OSError, ValueError):
                same = False
            if not same:
                raise SegueError(
                    f"{output}: is another folder on node {host}; give an output that all nodes share, or an "
                    "address such as s3://bucket/results"
                )
        return str(ray.get_runtime_context().get_node_id())

    def execute(self, task: Task) -> Event:
        """Do a video."""
        self._watch.restart()
        return report(self._name, task, self._order, self._watch, self._cancel)

    def frames(self) -> int:
        """Frames of the video so far."""
        return self._watch.frames

    def stop(self) -> None:
        """Stop after the frame in work."""
        self._cancel.cancel()


def _require_listener(address: str) -> None:
    """See that somebody listens there; Ray itself asks for minutes."""
    host, mark, port = address.rpartition("://")[2].rpartition(":")
    if mark and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except (OSError, OverflowError) as error:
            raise SegueError(f"{address}: there is no Ray cluster ({error})") from None


def _within(seconds: float, call: Callable[[], None]) -> None:
    """Call something that may hang, and go on after so long in any case."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
