"""Workers: what becomes of each video, and processes of this machine that die or have GPUs."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
import torch

from segue.batch import Ledger, Task, run
from segue.batch import workers as engines
from segue.batch.places import SUBFOLDER, key_of
from segue.batch.report import write_batch_report
from segue.batch.run import open_workers, run_batch
from segue.batch.work import JobConfig
from segue.batch.workers import IDENTITY, LocalWorkers, RayTasks
from segue.errors import SegueError, SinkError
from segue.jobs.values import ForegroundJob, Model, VideoSource
from segue.utils.cancel import CancelToken
from segue.utils.notices import be_quiet
from segue.video.sources.identity import SourceIdentity
from tests.batch.conftest import Script
from tests.batch.in_workers import dies_of_its_video, sees_or_waits


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as made:
        sizes = {"b": 2, "a": 3, "c": 1}
        made.add(
            Task(name, name, identity=SourceIdentity(name, "file", size)) for name, size in sizes.items()
        )
        yield made


def states(ledger: Ledger) -> dict[str, str]:
    return {row.name: row.state for row in ledger.tasks()}


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A Ray of one node, and what it was begun with."""
    begun: dict[str, Any] = {}
    module = SimpleNamespace(
        init=lambda **how: begun.update(how),
        cluster_resources=lambda: {"CPU": 2.0},
        nodes=lambda: [{"Alive": True, "Resources": {"CPU": 2.0, "memory": 2.0**32}}],
        remote=lambda function: function,
        shutdown=lambda: None,
    )
    monkeypatch.setitem(sys.modules, "ray", cast(ModuleType, module))
    return begun


@pytest.mark.parametrize("address", ["local", "auto"])
def test_local_is_a_cluster_of_its_own_and_auto_one_that_runs(ray: dict[str, Any], address: str) -> None:
    RayTasks(JobConfig(output="out", address=address), address).close()
    assert ray["address"] == address  # Ray joins one that runs if it is given None


@pytest.mark.parametrize(("quiet", "level"), [(True, logging.ERROR), (False, logging.INFO)])
def test_quiet_holds_for_the_lines_of_ray(ray: dict[str, Any], quiet: bool, level: int) -> None:
    def begin() -> None:
        if quiet:
            be_quiet()
        RayTasks(JobConfig(output="out", address="local"), "local").close()

    copy_context().run(begin)
    assert (ray["logging_level"], ray["log_to_driver"]) == (level, False)


def test_a_video_whose_worker_dies_is_tried_again_so_often(ledger: Ledger, tmp_path: Path) -> None:
    died = BrokenExecutor("killed")
    workers: Any = Script({"a": [died, died], "b": [died]})
    run_batch(ledger, ledger.tasks("queued"), workers, images=tmp_path)
    assert states(ledger) == {"a": "failed", "b": "done", "c": "done"}
    (row,) = ledger.tasks("failed")
    assert (row.error, row.tries) == ("its worker died (killed)", 2)


def test_a_worker_that_can_do_no_video_ends_the_batch_with_everything_kept(
    ledger: Ledger, tmp_path: Path
) -> None:
    workers: Any = Script({"b": [SegueError("another folder")]})
    with pytest.raises(SegueError, match="another folder"):
        run_batch(ledger, ledger.tasks("queued"), workers, images=tmp_path)
    assert states(ledger) == {"a": "done", "b": "running", "c": "queued"}
    assert workers.told == ["close"]


REFUSED = {"state": "failed", "error": "keys have expired", "refused": True}


@pytest.mark.parametrize("takes", [True, False])
def test_no_video_is_computed_whose_results_no_store_takes(
    ledger: Ledger, tmp_path: Path, takes: bool
) -> None:
    """The store is asked at the first refusal; where it takes a small file, three in a row end the batch."""
    asked = []

    def check() -> None:
        asked.append("check")
        if not takes:
            raise SinkError("the store takes nothing")

    ledger.add([Task(name, name, identity=SourceIdentity(name, "file", 0)) for name in "de"])
    workers: Any = Script({name: [REFUSED] for name in "abcd"})
    said = "keys have expired.*2 videos wait" if takes else "the store takes nothing.*4 videos wait"
    with pytest.raises(SinkError, match=rf"{said}.*--retry-failed"):
        run_batch(ledger, ledger.tasks("queued"), workers, images=tmp_path, check=check)
    assert "".join(workers.given) == ("abc" if takes else "a")
    assert len(asked) == (2 if takes else 1)


def test_results_that_a_store_takes_end_the_count_of_refusals(ledger: Ledger, tmp_path: Path) -> None:
    ledger.add([Task(name, name, identity=SourceIdentity(name, "file", 0)) for name in "de"])
    workers: Any = Script({name: [REFUSED] for name in "abde"})
    run_batch(ledger, ledger.tasks("queued"), workers, images=tmp_path)
    assert states(ledger) == {name: "done" if name == "c" else "failed" for name in "abcde"}


def test_an_interrupted_batch_queues_what_is_in_work(ledger: Ledger, tmp_path: Path) -> None:
    token = CancelToken()
    workers: Any = Script({"b": [{"state": "queued"}]})

    def stop(news: Sequence[Task]) -> None:
        if news:
            token.cancel()

    with pytest.raises(KeyboardInterrupt):
        run_batch(ledger, ledger.tasks("queued"), workers, images=tmp_path, show=stop, cancel=token)
    assert workers.told == ["interrupt", "close"]
    assert states(ledger) == {"a": "done", "b": "queued", "c": "queued"}


def task_on(device: str | None, name: str = "a") -> Task:
    job = ForegroundJob(source=VideoSource(place="x"), model=Model(name="median"), device=device)
    return Task(name, name, job=job)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Gives this machine four cores, and four GPUs or those that are named."""

    def have(visible: str | None) -> None:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 4 if visible is None else 2)
        monkeypatch.setattr(run.os, "cpu_count", lambda: 4)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return have


@pytest.fixture
def workers_do(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Task]], None]:
    """Gives worker processes a function of this folder for each video."""
    return lambda act: monkeypatch.setattr(engines, "_attempt_here", act)


@pytest.mark.parametrize(
    ("asked", "device", "visible", "expected"),
    [
        ({"gpus": 2, "per_gpu": 2}, None, None, ["0", "1", "0", "1"]),
        ({}, "cuda", "GPU-x,GPU-y", ["GPU-x", "GPU-y"]),
        ({"gpus": 0, "threads": 4}, None, None, [""]),
        ({"threads": 4}, "cpu", None, [None]),
        ({}, "cuda:1", "3,5", [None]),
    ],
    ids=["two each", "one each", "none", "processor", "one device"],
)
def test_workers_are_pinned_to_gpus(
    asked: dict[str, Any],
    device: str | None,
    visible: str | None,
    expected: list[str | None],
    gpus: Callable[[str | None], None],
) -> None:
    gpus(visible)
    workers = open_workers(JobConfig(**asked), [task_on(device)] * 9)
    workers.close()
    assert isinstance(workers, LocalWorkers)
    assert workers.room == len(expected)
    assert [given.get("CUDA_VISIBLE_DEVICES") for given in workers.environments] == expected
    count = asked.get("threads") or max(1, 4 // len(expected))
    assert {given["OMP_NUM_THREADS"] for given in workers.environments} == {str(count)}


def test_each_worker_process_sees_its_gpu_stops_when_it_is_asked_and_ends_when_it_is_closed(
    gpus: Callable[[str | None], None], workers_do: Callable[[Callable[..., Task]], None]
) -> None:
    gpus("GPU-x,GPU-y")
    workers_do(sees_or_waits)
    workers = open_workers(JobConfig(), [task_on("cuda")] * 9)
    assert isinstance(workers, LocalWorkers)
    try:
        outcomes = [future.result(60) for future in [workers.submit(task_on("cuda")) for _ in range(2)]]
        long = [workers.submit(task_on("cuda", "long")) for _ in range(2)]
        processes = [process for pool in workers._pools for process in pool._processes.values()]
        workers.interrupt()
        assert [future.result(60).state for future in long] == ["queued", "queued"]
    finally:
        workers.close()
    assert len(processes) == 2
    assert not [process for process in processes if process.is_alive()]
    assert sorted(outcome.digest for outcome in outcomes) == ["GPU-x 2", "GPU-y 2"]
    assert [outcome.frames for outcome in outcomes] == [2, 2], "threads of PyTorch"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-x,GPU-y"


def test_gpus_that_are_not_there_are_reported(gpus: Callable[[str | None], None]) -> None:
    gpus("GPU-x,GPU-y")
    with pytest.raises(SegueError, match="--gpus 3"):
        open_workers(JobConfig(gpus=3), [task_on(None)])


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
def test_a_worker_that_the_kernel_kills_costs_its_own_video_a_try_and_is_reported_with_advice(
    ledger: Ledger, tmp_path: Path, workers_do: Callable[[Callable[..., Task]], None]
) -> None:
    workers_do(dies_of_its_video)
    workers = LocalWorkers(JobConfig(output=str(tmp_path), tries=1), 1, None)
    run_batch(ledger, ledger.tasks("queued"), workers, images=tmp_path)
    assert {row.name: (row.state, row.tries) for row in ledger.tasks()} == {
        "a": ("done", 1),
        "b": ("failed", 1),
        "c": ("done", 1),
    }
    (row,) = ledger.tasks("failed")
    assert row.error is not None
    assert "killed by signal 9, probably out of memory; take fewer --workers" in row.error


def test_a_node_that_has_another_folder_there_refuses_to_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a worker changes into the folder of the command; the test comes back
    order = JobConfig(output=str(tmp_path), batch="mine", scratch=tmp_path, folder=str(tmp_path))
    for written in (None, "another"):
        if written is not None:
            (tmp_path / SUBFOLDER).mkdir()
            (tmp_path / SUBFOLDER / IDENTITY).write_text(written)
        with pytest.raises(SegueError, match="is another folder on node"):
            engines._attempt(Task("a", "a"), order)


def test_the_page_of_a_batch_shows_times_errors_and_no_secrets(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        a, b, c = (Task(name, f"s3://user:secret@host/{name}.mp4") for name in ("a", "b", "c"))
        ledger.add([a, b, c])
        ledger.record(replace(a, state="done", worker="host:3", frames=30, seconds=4.0, digest="digest"))
        ledger.record(replace(b, state="failed", error="no \x1b[31mimage"))
        (tmp_path / "images").mkdir()
        for name in "ab":
            (tmp_path / "images" / f"{key_of(name)}.jpg").write_bytes(b"jpeg")
        write_batch_report([(ledger, tmp_path / "images")], "mine", tmp_path / "batch.html")
    page = (tmp_path / "batch.html").read_text("utf-8")
    assert all(f">{text}<" in page for text in ("30", "4.0", "7.5", "host:3"))
    assert "image" in page
    assert not [text for text in ("secret", "\x1b", f"{key_of('b')}.jpg") if text in page]
    assert f"images/{key_of('a')}.jpg" in page
