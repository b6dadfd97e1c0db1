"""Workers of this machine, without processes: what they are started with, what they say, and how they end."""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

import pytest

from segue.batch import Task, engines, local
from segue.batch.engines import Event
from segue.batch.local import STOP, LocalEngine
from segue.batch.work import JobConfig, ProgressRecorder
from segue.cancel import CancelToken

TASK = Task("video", "video.mp4")


class Process:
    """As one of multiprocessing; the test plays what runs in it."""

    def __init__(self, target: Any, args: tuple[Any, ...], name: str, daemon: bool) -> None:
        self.target, self.name, self.daemon = target, name, daemon
        _, self.pipe, self.order, self.threads, self.parent = args
        self.pipe = multiprocessing.connection.Connection(
            os.dup(self.pipe.fileno())
        )  # the engine closes its own
        self.calls: list[str] = []
        self.exitcode: int | None = None

    def start(self) -> None:
        self.calls.append("start")

    def kill(self) -> None:
        self.calls.append("kill")
        if self.exitcode is None:
            self.exitcode = -9

    def join(self) -> None:
        self.calls.append("join")


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Process]]:
    made: list[Process] = []

    def process(**how: Any) -> Process:
        made.append(Process(**how))
        return made[-1]

    def context(kind: str) -> Any:
        assert kind == "spawn", "a fork would share the locks of running threads"
        return SimpleNamespace(Pipe=multiprocessing.Pipe, Process=process)

    monkeypatch.setattr(local.multiprocessing, "get_context", context)
    monkeypatch.setattr(local.resource_tracker, "ensure_running", lambda: None)
    yield made
    for one in made:
        one.pipe.close()


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(local, "time", made)
    return made


@pytest.mark.parametrize(
    ("devices", "used"),
    [
        ((), ["", "", ""]),
        (("cuda:0",), ["cuda:0"] * 3),
        (("cuda:0", "cuda:1"), ["cuda:0", "cuda:1", "cuda:0"]),
    ],
)
def test_workers_take_the_devices_in_turn(processes: list[Process], devices: Any, used: list[str]) -> None:
    engine = LocalEngine(JobConfig(threads=2, batch="mine"), 3, devices)
    assert engine.workers == {f"worker-{number}": socket.gethostname() for number in range(3)}
    assert [one.order.device for one in processes] == used
    assert {(one.threads, one.daemon, one.order.batch) for one in processes} == {(2, True, "mine")}
    assert {one.parent for one in processes} == {os.getpid()}
    assert [one.name for one in processes] == list(engine.workers)
    assert all(one.calls == ["start"] and one.target is local._serve for one in processes)
    engine.close()
    assert all(one.calls[-1] == "join" for one in processes)


@pytest.mark.parametrize(("cores", "count", "threads"), [(8, 3, 2), (8, 8, 1), (2, 5, 1), (None, 1, 1)])
def test_workers_share_the_cores(
    processes: list[Process], monkeypatch: pytest.MonkeyPatch, cores: int | None, count: int, threads: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    LocalEngine(JobConfig(), count, ()).close()
    assert [one.threads for one in processes] == [threads] * count


def test_a_tenth_of_the_memory_stays_free(processes: list[Process], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_free_memory", lambda: 1000.0)
    engine = LocalEngine(JobConfig(), 1, ())
    assert engine.memory == {socket.gethostname(): 900.0}
    engine.close()


def test_a_worker_gets_its_video_and_its_news_come_back(processes: list[Process], clock: Clock) -> None:
    engine = LocalEngine(JobConfig(), 2, ())
    engine.give("worker-1", TASK)
    assert processes[1].pipe.recv() == TASK
    assert not processes[0].pipe.poll()
    assert engine.events(0.0) == []
    processes[1].pipe.send(Event("beat", "worker-1", 3))
    assert engine.events(5.0) == [Event("beat", "worker-1", 3)]
    engine.interrupt()
    assert [one.pipe.recv() for one in processes] == [STOP, STOP]
    engine.close()
    assert [one.calls[1:].count("kill") > 0 for one in processes] == [True, True]


@pytest.mark.parametrize(
    ("code", "error"),
    [(-9, "the worker died (killed by signal 9)"), (1, "the worker died (exit code 1)")],
)
def test_a_worker_that_died_is_replaced_and_says_of_what(
    processes: list[Process], clock: Clock, code: int, error: str
) -> None:
    engine = LocalEngine(JobConfig(), 2, ())
    processes[0].exitcode = code
    processes[0].pipe.close()
    assert engine.events(5.0) == [Event("lost", "worker-0", error=error)]
    assert [one.name for one in processes] == ["worker-0", "worker-1", "worker-0"]
    engine.give("worker-0", TASK)
    assert processes[2].pipe.recv() == TASK
    engine.interrupt()
    processes[1].exitcode = code
    processes[1].pipe.close()
    assert [event.worker for event in engine.events(5.0)] == ["worker-1"]
    assert len(processes) == 3, "nobody is replaced while the batch ends"
    engine.give("worker-0", TASK)
    engine.close()


def test_a_worker_that_died_unseen_is_given_its_video_all_the_same(processes: list[Process]) -> None:
    engine = LocalEngine(JobConfig(), 1, ())
    processes[0].pipe.close()
    engine.give("worker-0", TASK)
    (event,) = engine.events(5.0)
    assert (event.kind, event.worker) == ("lost", "worker-0")
    engine.close()


def test_a_worker_that_fell_silent_is_replaced(processes: list[Process], clock: Clock) -> None:
    engine = LocalEngine(JobConfig(), 2, ())
    clock.now += engines.SILENT_SECONDS - 1
    engine.give("worker-1", TASK)  # it is heard of from now on
    assert engine.events(0.0) == []
    clock.now += 2
    (event,) = engine.events(0.0)
    assert (event.kind, event.worker) == ("lost", "worker-0")
    assert event.error == "the worker fell silent (killed by signal 9)"
    clock.now += engines.SILENT_SECONDS - 3
    processes[1].pipe.send(Event("beat", "worker-1", 1))
    processes[2].pipe.send(Event("beat", "worker-0", 1))
    assert {event.kind for event in engine.events(5.0)} | {event.kind for event in engine.events(0.0)} == {
        "beat"
    }
    clock.now += engines.SILENT_SECONDS - 1
    assert engine.events(0.0) == []
    engine.close()


class EndedError(BaseException):
    """The worker's process has ended."""


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """What a worker's process does, in a thread: its pipe, and what it was told about the process."""
    ours, theirs = multiprocessing.Pipe()
    found = SimpleNamespace(pipe=ours, ends=[], calls=[], given=[], beats=[])
    waits = threading.Event()

    def end(code: int) -> None:
        found.ends.append(code)
        waits.set()
        raise EndedError

    def report(
        name: str, task: Task, order: JobConfig, watch: ProgressRecorder, cancel: CancelToken
    ) -> Event:
        found.given.append((name, task, order, watch.frames, cancel.cancelled))
        watch.frames = 4
        if task.name == "long":
            assert cancel.wait(20)
            return Event("stopped", name, watch.frames)
        return Event("done", name, watch.frames)

    monkeypatch.setattr(local.os, "_exit", end)
    monkeypatch.setattr(local, "report", report)
    monkeypatch.setattr(local, "leave_group", lambda: found.calls.append("leaves"))
    monkeypatch.setattr(local, "die_with", lambda parent: found.calls.append(("dies with", parent)))
    monkeypatch.setattr(local.torch, "set_num_threads", lambda count: found.calls.append(("torch", count)))
    monkeypatch.setattr(local.cv2, "setNumThreads", lambda count: found.calls.append(("cv2", count)))
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found.order = JobConfig(batch="mine")

    def serve() -> None:
        local._serve("w", theirs, found.order, 3, 77)

    monkeypatch.setattr(local, "_keep_beating", lambda name, watch, say: found.beats.append((name, say)))
    found.begin = lambda: threading.Thread(target=serve, daemon=True).start()
    found.ended = lambda: waits.wait(20)
    yield found
    ours.close()
    waits.wait(20)


def answer(pipe: Connection) -> Any:
    assert pipe.poll(20)
    return pipe.recv()


def test_a_worker_does_one_video_after_the_other_and_ends_with_its_batch(worker: Any) -> None:
    worker.begin()
    for name in ("one", "two"):
        worker.pipe.send(Task(name, name))
    assert [answer(worker.pipe) for _ in range(2)] == [Event("done", "w", 4)] * 2
    assert worker.given == [("w", Task(name, name), worker.order, 0, False) for name in ("one", "two")]
    assert worker.calls == ["leaves", ("dies with", 77), ("torch", 3), ("cv2", 3)]
    assert os.environ["OMP_NUM_THREADS"] == "3"
    worker.pipe.send(Task("long", "long"))
    worker.pipe.send(STOP)
    assert answer(worker.pipe) == Event("stopped", "w", 4)
    worker.pipe.close()
    assert worker.ended()
    assert worker.ends[0] == 1


def test_signs_of_life_go_the_way_of_the_news(worker: Any) -> None:
    worker.begin()
    worker.pipe.send(TASK)
    assert answer(worker.pipe) == Event("done", "w", 4)
    ((name, say),) = worker.beats
    say(Event("beat", name, 9))
    assert answer(worker.pipe) == Event("beat", "w", 9)


def test_signs_of_life_come_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    watch, said, slept = ProgressRecorder(), [], []
    ended = threading.Event()
    watch.frames = 7

    def say(event: Event) -> None:
        said.append(event)
        watch.frames += 1
        if len(said) == 3:
            ended.set()
            raise SystemExit  # of the thread alone

    monkeypatch.setattr(local, "time", SimpleNamespace(sleep=slept.append))
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    local._keep_beating("w", watch, say)
    assert ended.wait(20)
    assert said == [Event("beat", "w", frames) for frames in (7, 8, 9)]
    assert slept == [engines.BEAT_SECONDS] * 3
