"""The workers of a Ray cluster: on a stand-in that can lose nodes at will, and on a real one."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from segue.batch import Ledger, Scheduler, Task, ray_cluster, run_batch
from segue.batch.engines import Event
from segue.batch.names import SUBFOLDER
from segue.batch.ray_cluster import IDENTITY, Actor, RayEngine
from segue.batch.work import JobConfig, Outcome
from segue.errors import SegueError
from tests.batch.conftest import Batch, film, results

DONE = Outcome(3, 1.0, "digest", b"")


class RayError(Exception):
    pass


class Reference:
    """An answer that comes, or never does."""

    def __init__(self, cluster: Cluster, handle: Handle, answer: Callable[[], Any]) -> None:
        self.cluster, self.handle, self.answer = cluster, handle, answer

    @property
    def ready(self) -> bool:
        return self.handle.lost or (self.handle.node is not None and self.answer() is not None)


class Handle:
    """An actor: on a node, waiting for one, or lost."""

    def __init__(self, cluster: Cluster, name: str, order: JobConfig) -> None:
        self.cluster, self.name = cluster, name
        self.node: str | None = None
        self.lost = self.stopped = False
        self.task: Task | None = None

    def __getattr__(self, method: str) -> Any:
        self.cluster.check()
        return SimpleNamespace(remote=getattr(self, f"_{method}"))

    def _machine(self) -> Reference:
        return Reference(self.cluster, self, lambda: self.node)

    def _frames(self) -> Reference:
        return Reference(self.cluster, self, lambda: 1)

    def _stop(self) -> None:
        self.stopped = True

    def _execute(self, task: Task) -> Reference:
        self.task, self.since = task, time.monotonic()
        return Reference(self.cluster, self, self._result)

    def _result(self) -> Event | None:
        if self.stopped:
            return Event("stopped", self.name)
        if time.monotonic() < self.since + self.cluster.seconds:
            return None
        return Event("done", self.name, 3, outcome=DONE)


class Cluster:
    """As much of Ray as the engine uses; nothing may be asked of it after its shutdown."""

    exceptions = SimpleNamespace(RayError=RayError)

    def __init__(self) -> None:
        self.rooms: dict[str, Handle | None] = {"one": None, "two": None}
        self.actors: list[Handle] = []
        self.seconds = 0.0
        self.down = False
        self.lasts = 10**9
        """It loses all nodes after so many videos."""
        self.complaints: list[str] = []

    def check(self) -> None:
        if self.down:  # kept: whoever calls in a thread has nobody to tell
            self.complaints.append("Ray was called after its shutdown")
        for node, held in self.rooms.items():
            if held is None:
                waiting = [actor for actor in self.actors if actor.node is None and not actor.lost]
                if waiting:
                    waiting[0].node, self.rooms[node] = node, waiting[0]

    def lose(self, node: str) -> None:
        held = self.rooms.pop(node)
        if held is not None:
            held.lost = True

    def init(self, **_: Any) -> None: ...

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": float(len(self.rooms))}

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "NodeID": node, "Resources": {}} for node in self.rooms]

    def remote(self, _: type) -> Any:
        def make(name: str, order: JobConfig) -> Handle:
            self.actors.append(Handle(self, name, order))
            self.check()
            return self.actors[-1]

        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=make))

    def wait(self, references: list[Reference], num_returns: int, timeout: float) -> Any:
        self.check()
        end = time.monotonic() + timeout
        while not (found := [reference for reference in references if reference.ready]):
            if time.monotonic() >= end:
                break
            time.sleep(0.005)
        return found[:num_returns], []

    def get(self, reference: Reference, timeout: float) -> Any:
        self.check()
        if reference.handle.lost:
            raise RayError("The actor died unexpectedly: its node was lost.\nmore lines")
        answer = reference.answer()
        if isinstance(answer, Event):
            self.lasts -= 1
            if self.lasts == 0:
                for node in tuple(self.rooms):
                    self.lose(node)
        return answer

    def kill(self, actor: Handle) -> None:
        self.check()
        actor.lost = True
        self.rooms.update({node: None for node, held in self.rooms.items() if held is actor})

    def shutdown(self) -> None:
        self.check()
        self.down = True


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setitem(sys.modules, "ray", made)  # type: ignore[arg-type]
    monkeypatch.setattr(ray_cluster, "RESTART_SECONDS", 0.01)
    monkeypatch.setattr(ray_cluster, "BEAT_SECONDS", 0.0)
    monkeypatch.setattr(ray_cluster, "BEAT_SECONDS", 0.0)
    return made


def run(cluster: Cluster, ledger: Ledger, tmp_path: Path, videos: int = 6) -> None:
    ledger.add(Task(f"v{n}", f"v{n}.mp4") for n in range(videos))
    engine = RayEngine(JobConfig(output=str(tmp_path)), "local", None)
    try:
        run_batch(ledger, Scheduler(ledger.queued(), tries=3), engine, pictures=tmp_path / "pictures")
    finally:
        engine.close()  # nothing is asked of Ray then
        if cluster.complaints:
            raise AssertionError(cluster.complaints)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as made:
        yield made


def test_every_video_is_done_by_the_nodes_that_there_are(
    cluster: Cluster, ledger: Ledger, tmp_path: Path
) -> None:
    run(cluster, ledger, tmp_path)

    assert ledger.counts()["done"] == 6
    assert cluster.down


def test_videos_of_a_lost_node_are_done_elsewhere_though_no_room_is_left_for_its_worker(
    cluster: Cluster, ledger: Ledger, tmp_path: Path
) -> None:
    cluster.seconds = 0.3
    threading.Timer(0.15, cluster.lose, ["two"]).start()

    run(cluster, ledger, tmp_path)

    assert ledger.counts()["done"] == 6
    assert sum(row.tries for row in ledger.rows()) == 7


def test_a_cluster_that_has_no_worker_ends_the_batch_with_everything_kept(
    cluster: Cluster, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "LONELY_SECONDS", 0.2)
    cluster.lasts = 4

    with pytest.raises(SegueError, match=r"no worker for 0 s \(The actor died unexpectedly.*--resume"):
        run(cluster, ledger, tmp_path, videos=50)

    counts = ledger.counts()
    assert counts["done"] == 4
    assert counts["failed"] == 0
    assert counts["queued"] + counts["done"] + counts["running"] == 50


def test_ctrl_c_stops_the_actors_and_asks_nothing_after_the_shutdown(
    cluster: Cluster, ledger: Ledger, tmp_path: Path
) -> None:
    cluster.seconds = 1e9
    threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
    begun = time.monotonic()

    with pytest.raises(KeyboardInterrupt):
        run(cluster, ledger, tmp_path)

    assert time.monotonic() - begun < 5
    assert [actor.stopped for actor in cluster.actors] == [True, True]
    assert cluster.down
    assert ledger.counts()["queued"] == 6


def test_actors_that_do_not_stop_are_ended(
    cluster: Cluster, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.seconds = 1e9
    monkeypatch.setattr(Handle, "_stop", lambda _: None)
    threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
    begun = time.monotonic()

    with pytest.raises(KeyboardInterrupt):
        run(cluster, ledger, tmp_path)

    assert time.monotonic() - begun < 5
    assert ledger.counts()["queued"] == 6


def test_a_node_that_has_another_folder_there_refuses_to_work(tmp_path: Path) -> None:
    order = JobConfig(output=str(tmp_path), batch="mine")

    for written in (None, "another"):
        if written is not None:
            (tmp_path / SUBFOLDER).mkdir()
            (tmp_path / SUBFOLDER / IDENTITY).write_text(written)
        with pytest.raises(SegueError, match=r"is another folder on node .*; give an output that all nodes"):
            Actor("actor-0", order).machine()


@pytest.mark.slow
def test_a_node_that_is_lost_costs_time_and_no_byte(batch: Batch, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    for name in "abcd":
        film(tmp_path / f"films/{name}.mp4", 200)
    words = ("films", "--do", "foreground", "--model", "median", "--format", "png")
    assert batch(*words, "-o", "here", "--workers", 1).returncode == 0
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        lost = cluster.add_node(num_cpus=1)
        ended: list[Any] = []
        order = (*words, "-o", "ray", "--address", cluster.address, "--workers", 2)  # relative: here as there
        thread = threading.Thread(target=lambda: ended.append(batch(*order)))
        thread.start()
        work = tmp_path / "ray" / SUBFOLDER / "work"
        while len({path.parts[-3] for path in work.glob("*/masks/0*.png")}) < 2 and thread.is_alive():
            time.sleep(0.05)
        cluster.remove_node(lost, allow_graceful=False)
        thread.join(300)
    finally:
        cluster.shutdown()
    assert ended, "the driver hangs"
    assert ended[0].returncode == 0, ended[0].stderr
    assert results(tmp_path / "ray") == results(tmp_path / "here")
