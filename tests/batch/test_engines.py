"""Workers without their processes: how a video ends, and actors of a cluster that is made up."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from segue.batch import Task, engines, local, ray_cluster
from segue.batch.engines import Event, open_engine, report
from segue.batch.names import SUBFOLDER
from segue.batch.ray_cluster import IDENTITY, Actor, RayEngine
from segue.batch.work import JobConfig, Outcome, ProgressRecorder
from segue.cancel import CancelToken
from segue.errors import SegueError, SourceError

TASK = Task("video", "video.mp4", ())


@pytest.mark.parametrize(
    ("ended", "event"),
    [
        (Outcome(7, 1.0, "d", b""), Event("done", "w", 5, outcome=Outcome(7, 1.0, "d", b""))),
        (KeyboardInterrupt(), Event("stopped", "w", 5)),
        (SourceError("no\nfilm"), Event("failed", "w", 5, "no film")),
        (
            RuntimeError("at s3://me:secret@host/a\n  lost"),
            Event("failed", "w", 5, "RuntimeError: at s3://host/a lost"),
        ),
    ],
    ids=["done", "stopped", "failed", "rotten"],
)
def test_the_end_of_a_video_is_reported(monkeypatch: pytest.MonkeyPatch, ended: Any, event: Event) -> None:
    order, watch, whole = JobConfig(), ProgressRecorder(), CancelToken()
    watch.frames = 5
    got: list[Any] = []

    def execute(task: Task, order: JobConfig, watch: ProgressRecorder, cancel: CancelToken) -> Outcome:
        got.append((task, order, watch))
        assert not cancel.cancelled
        if isinstance(ended, KeyboardInterrupt):
            whole.cancel()
            assert cancel.cancelled, "the whole batch is interrupted, and so is its video"
        if isinstance(ended, BaseException):
            raise ended
        return ended  # type: ignore[no-any-return]

    monkeypatch.setattr(engines, "execute", execute)
    assert report("w", TASK, order, watch, whole) == event
    assert got == [(TASK, order, watch)]


def test_the_engine_is_that_of_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "RayEngine", lambda *parts: ("ray", *parts))
    monkeypatch.setattr(local, "LocalEngine", lambda *parts: ("local", *parts))
    monkeypatch.setattr(engines.os, "cpu_count", lambda: 8)
    far, here = JobConfig(address="auto"), JobConfig(threads=3)
    assert open_engine(far, 4) == ("ray", far, "auto", 4)
    assert open_engine(here, None, ["cuda:0"]) == ("local", here, 2, ["cuda:0"])
    assert open_engine(here, 5) == ("local", here, 5, ())
    crowded = JobConfig(threads=99)
    assert open_engine(crowded) == ("local", crowded, 1, ())


def test_free_memory_is_what_linux_says(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "MemTotal: 9000 kB\nMemFree: 100 kB\nMemAvailable:    2048 kB\n"
    monkeypatch.setattr(Path, "read_text", lambda self: text)
    assert local._free_memory() == 2048 * 1024
    for damaged in ("MemTotal: 9000 kB\n", "MemAvailable: much kB\n"):
        monkeypatch.setattr(Path, "read_text", lambda self, said=damaged: said)
        assert local._free_memory() == float("inf")


class RayError(Exception):
    """As ``ray.exceptions.RayError``, with what happened in the actor as its cause."""

    def __init__(self, text: str, cause: Exception | None = None) -> None:
        super().__init__(text)
        self.cause = cause


class Ray:
    """A cluster that is made up: actors answer when a test says so."""

    exceptions = SimpleNamespace(RayError=RayError)

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.answers: dict[Any, Any] = {}
        self.asked: dict[tuple[str, str], Any] = {}
        self.resources: dict[str, float] = {"CPU": 4.0, "GPU": 2.0}

    def init(self, **options: Any) -> None:
        self.calls.append(("init", options["address"]))

    def cluster_resources(self) -> dict[str, float]:
        return self.resources

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"Alive": True, "NodeID": "n1", "Resources": {"memory": 5.0}},
            {"Alive": True, "NodeID": "n2", "Resources": {}},
            {"Alive": False, "NodeID": "n3", "Resources": {"memory": 7.0}},
        ]

    def remote(self, kind: Any) -> Any:
        assert kind is Actor
        return SimpleNamespace(options=lambda **options: SimpleNamespace(remote=self._actor(options)))

    def _actor(self, options: dict[str, Any]) -> Any:
        def made(name: str, order: JobConfig) -> Any:
            self.calls.append(("actor", name, options["num_cpus"], options["num_gpus"]))
            actor = SimpleNamespace(name=name)
            for question in ("machine", "execute", "frames", "stop"):
                setattr(actor, question, SimpleNamespace(remote=self._question(name, question)))
            return actor

        return made

    def _question(self, name: str, question: str) -> Any:
        def ask(*values: Any) -> Any:
            reference = (name, question, len(self.calls))
            self.calls.append((question, name, *values))
            self.asked[name, question] = reference
            return reference

        return ask

    def wait(self, references: list[Any], *, num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        ready = [one for one in references if one in self.answers]
        return ready[:num_returns], []

    def get(self, reference: Any, timeout: float) -> Any:
        answer = self.answers[reference]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def kill(self, actor: Any) -> None:
        self.calls.append(("kill", actor.name))

    def shutdown(self) -> None:
        self.calls.append(("shutdown",))

    def say(self, name: str, question: str, answer: Any) -> None:
        self.answers[self.asked[name, question]] = answer


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(ray_cluster, "time", made)
    return made


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Ray:
    made = Ray()
    monkeypatch.setitem(sys.modules, "ray", made)
    return made


def engine_of(ray: Ray, count: int | None = 2, **order: Any) -> RayEngine:
    made = RayEngine(JobConfig(address="local", **order), "local", count)
    assert made.events(0.0) == []
    for name in [call[1] for call in ray.calls if call[0] == "machine"]:
        ray.say(name, "machine", "n1")
    return made


@pytest.mark.parametrize(
    ("order", "count", "workers"),
    [
        ({}, None, 4),
        ({"threads": 3}, None, 1),
        ({"gpus": 0.5}, None, 4),
        ({"threads": 9}, None, 1),
        ({}, 3, 3),
    ],
)
def test_a_cluster_has_as_many_workers_as_shares_of_its_cores_or_gpus(
    ray: Ray, clock: Clock, order: dict[str, Any], count: int | None, workers: int
) -> None:
    engine = engine_of(ray, count, **order)
    assert engine.workers == {}, "an actor is a worker from when it has said where it is"
    engine.events(0.0)
    assert engine.workers == {f"actor-{number}": "n1" for number in range(workers)}
    assert ray.calls[0] == ("init", None)
    shares = (order.get("threads", 1), order.get("gpus", 0.0))
    assert ray.calls[1] == ("actor", "actor-0", *shares)
    assert engine.memory == {"n1": 5.0, "n2": float("inf")}


def test_a_worker_is_asked_how_far_it_is_until_its_video_is_done(ray: Ray, clock: Clock) -> None:
    engine = engine_of(ray)
    engine.events(0.0)
    engine.give("actor-1", TASK)
    assert ray.calls[-1] == ("execute", "actor-1", TASK)
    assert engine.events(0.0) == []
    clock.now += engines.BEAT_SECONDS
    engine.events(0.0)
    assert ray.calls[-1] == ("frames", "actor-1")
    before = len(ray.calls)
    clock.now += 10
    engine.events(0.0)
    assert len(ray.calls) == before, "it is not asked again before it answers"
    ray.say("actor-1", "frames", 12)
    assert engine.events(0.0) == [Event("beat", "actor-1", 12)]
    ray.say("actor-1", "execute", Event("done", "actor-1", 20))
    assert engine.events(0.0) == [Event("done", "actor-1", 20)]
    clock.now += 500
    assert engine.events(0.0) == [], "an idle worker may be silent"


def test_a_lost_worker_loses_its_video_and_is_started_again_a_little_later(ray: Ray, clock: Clock) -> None:
    engine = engine_of(ray)
    engine.events(0.0)
    engine.give("actor-0", TASK)
    ray.say("actor-0", "execute", RayError("node at s3://me:secret@host gone\nmore"))
    (event,) = engine.events(0.0)
    assert (event.kind, event.worker) == ("lost", "actor-0")
    assert event.error.startswith("the actor died (node at ")
    assert "secret" not in event.error
    assert engine.workers == {"actor-1": "n1"}
    assert ("kill", "actor-0") in ray.calls
    started = ray.calls.count(("actor", "actor-0", 1, 0.0))
    clock.now += ray_cluster.RESTART_SECONDS - 0.1
    engine.events(0.0)
    assert ray.calls.count(("actor", "actor-0", 1, 0.0)) == started
    clock.now += 0.2
    engine.events(0.0)
    assert ray.calls.count(("actor", "actor-0", 1, 0.0)) == started + 1
    ray.say("actor-0", "machine", "n2")
    engine.events(0.0)
    assert engine.workers["actor-0"] == "n2"


def test_a_silent_worker_is_lost(ray: Ray, clock: Clock) -> None:
    engine = engine_of(ray)
    engine.events(0.0)
    engine.give("actor-0", TASK)
    clock.now += engines.SILENT_SECONDS - 1
    assert engine.events(0.0) == []
    clock.now += 2
    assert engine.events(0.0) == [Event("lost", "actor-0", error="the actor died (it fell silent)")]


def test_a_worker_that_cannot_start_for_a_reason_of_its_own_ends_the_batch(ray: Ray, clock: Clock) -> None:
    engine = engine_of(ray, 1)
    ray.say("actor-0", "machine", RayError("task failed", SegueError("out: is another folder on node b")))
    with pytest.raises(SegueError, match=r"^out: is another folder on node b$"):
        engine.events(0.0)


def test_a_cluster_without_workers_is_waited_for_only_so_long(ray: Ray, clock: Clock) -> None:
    engine = engine_of(ray, 1)
    ray.say("actor-0", "machine", RayError("no memory"))
    assert engine.events(0.0) == []
    assert engine.workers == {}
    clock.now += ray_cluster.LONELY_SECONDS + 1
    with pytest.raises(SegueError, match=r"no worker for 300 s \(no memory\).* continue with --resume"):
        engine.events(0.0)


def test_a_cluster_that_is_gone_is_reported(ray: Ray, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of(ray)

    def gone(*_: Any, **__: Any) -> Any:
        raise RayError("connection lost\nat line 3")

    monkeypatch.setattr(ray, "wait", gone)
    with pytest.raises(
        SegueError, match=r"the Ray cluster is gone \(connection lost\); what is done is kept"
    ):
        engine.events(0.0)


def test_busy_workers_are_asked_to_stop_and_the_cluster_is_left_once(ray: Ray, clock: Clock) -> None:
    engine = engine_of(ray)
    engine.events(0.0)
    engine.give("actor-0", TASK)
    engine.interrupt()
    assert [call for call in ray.calls if call[0] == "stop"] == [("stop", "actor-0")]
    engine.close()
    engine.close()
    assert [call for call in ray.calls if call[0] in ("kill", "shutdown")] == [
        ("kill", "actor-0"),
        ("kill", "actor-1"),
        ("shutdown",),
    ]


def test_an_actor_sees_whether_its_node_shares_the_output(
    ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    threads: list[int] = []
    monkeypatch.setattr(ray_cluster.torch, "set_num_threads", threads.append)
    ray.get_runtime_context = lambda: SimpleNamespace(get_node_id=lambda: "n7")
    (tmp_path / "shared").mkdir()
    actor = Actor("w", JobConfig(output="out", batch="this", folder=str(tmp_path / "shared"), threads=3))
    with pytest.raises(SegueError, match="out: is another folder on node"):
        actor.machine()
    place = tmp_path / "shared" / "out" / SUBFOLDER / IDENTITY
    place.parent.mkdir(parents=True)
    place.write_text("other")
    with pytest.raises(SegueError, match="is another folder on node"):
        actor.machine()
    place.write_text("this")
    assert actor.machine() == "n7"
    assert Actor("w", JobConfig(output="s3://bucket/out", folder="none")).machine() == "n7"
    assert threads == [3, 1]
    monkeypatch.setattr(ray_cluster, "report", lambda *parts: parts)
    name, task, _, watch, cancel = actor.execute(TASK)  # type: ignore[misc]
    assert (name, task, watch.frames, actor.frames()) == ("w", TASK, 0, 0)
    watch.frames = 3
    assert actor.frames() == 3
    assert not cancel.cancelled
    actor.stop()
    assert cancel.cancelled


def test_where_nobody_listens_there_is_no_cluster() -> None:
    with pytest.raises(SegueError, match=r"127\.0\.0\.1:1: there is no Ray cluster"):
        ray_cluster._require_listener("127.0.0.1:1")
    with pytest.raises(SegueError, match="there is no Ray cluster"):
        ray_cluster._require_listener("ray://127.0.0.1:99999")
    for address in ("local", "auto"):
        ray_cluster._require_listener(address)
