"""A batch around its videos: where its ledger is, how many workers it has, and what it looks at before."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pooch
import pytest

from segue.batch import Ledger, Scheduler, Task
from segue.batch import do as doing
from segue.batch.do import LEDGER, BatchObserver, check_single_files, home_of, run_tasks, weights_of
from segue.batch.engines import Event
from segue.batch.ray_cluster import IDENTITY
from segue.batch.work import JobConfig, Outcome
from segue.errors import CheckpointError, SegueError, SinkError
from segue.jobs.identity import model_digest
from segue.jobs.parts import Model, VideoSource
from segue.jobs.values import ExportJob, ForegroundJob, TrackJob, to_json
from segue.video.images import write_picture
from tests.cli.running import FRAMES


def job_of(model: str = "median", **fields: Any) -> str:
    return to_json(ForegroundJob(source=VideoSource(place="x"), model=Model(name=model), **fields))


def task_of(name: str, source: object | None = None, **fields: Any) -> Task:
    return Task(name, str(source or f"{name}.mp4"), job=job_of(**fields))


class Engine:
    """Workers that do every video at once, or fail those that are named."""

    def __init__(self, count: int, fails: Sequence[str] = ()) -> None:
        self.workers = {f"w{number}": "here" for number in range(count)}
        self.memory = {"here": math.inf}
        self.fails, self.given = fails, []  # type: ignore[var-annotated]
        self._news: list[Event] = []
        self.closed = 0

    def give(self, worker: str, task: Task) -> None:
        self.given.append(task.name)
        ended = Event("done", worker, outcome=Outcome(3, 1.5, "digest", b""))
        self._news.append(Event("failed", worker, error="rotten") if task.name in self.fails else ended)

    def events(self, seconds: float) -> list[Event]:
        news, self._news = self._news, []
        return news

    def interrupt(self) -> None: ...

    def close(self) -> None:
        self.closed += 1


class Watch(BatchObserver):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.rounds: list[list[Event]] = []
        self.counts: Any = None

    def notice(self, text: str) -> None:
        self.said.append(text)

    def watching(self, ledger: Ledger) -> AbstractContextManager[Callable[[list[Event]], None]]:
        return nullcontext(self.rounds.append)

    def ended(self, ledger: Ledger) -> None:
        self.counts = ledger.counts()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """What the engine is opened with, and what the scheduler receives."""
    monkeypatch.chdir(tmp_path)
    found = SimpleNamespace(engine=None, fails=(), how=None, count=None, devices=None, scheduler=None)

    def open_engine(how: JobConfig, count: int | None, devices: Sequence[str]) -> Engine:
        found.how, found.count, found.devices = how, count, list(devices)
        found.engine = Engine(count or 1, found.fails)
        return found.engine

    def scheduler(tasks: Any, **how: Any) -> Scheduler:
        found.scheduler = how
        return Scheduler(tasks, **how)

    monkeypatch.setattr(doing, "open_engine", open_engine)
    monkeypatch.setattr(doing, "Scheduler", scheduler)
    return found


def test_a_batch_is_done_counted_and_reported(opened: Any, tmp_path: Path) -> None:
    opened.fails = ("b",)
    watch = Watch()
    failed = run_tasks([task_of("a"), task_of("b"), task_of("c")], JobConfig(output="out", tries=5), watch)
    home = tmp_path / "out" / ".segue-batch"
    assert failed == 1
    assert watch.counts == {"queued": 0, "running": 0, "done": 2, "failed": 1}
    assert sorted(event.kind for events in watch.rounds for event in events) == ["done", "done", "failed"]
    assert watch.said == ["report: out/.segue-batch/report.html"]
    assert "2 of 3 videos are done" in (home / "report.html").read_text("utf-8")
    assert opened.engine.closed
    assert opened.scheduler == {"tries": 5, "memory": {"here": math.inf}, "copies": False}
    with Ledger(home / LEDGER, create=False) as ledger:
        assert {row.source for row in ledger.rows()} == {str(tmp_path / f"{name}.mp4") for name in "abc"}
    assert (opened.how.output, opened.how.folder) == (str(tmp_path / "out"), str(tmp_path))
    assert opened.how.scratch == home
    assert (home / IDENTITY).read_text() == opened.how.batch
    assert len(opened.how.batch) == 32


def test_a_batch_is_gone_on_with_only_if_that_is_asked_for(opened: Any, tmp_path: Path) -> None:
    how = JobConfig(output="out", scratch=Path("fast"))
    opened.fails = ("b",)
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    assert run_tasks([task_of("a"), task_of("b")], how, Watch()) == 1
    first = opened.how.batch
    assert opened.how.scratch == tmp_path / "fast"
    with pytest.raises(SegueError, match="there is a batch already; give --resume"):
        run_tasks([task_of("c")], how, Watch())
    opened.fails = ()
    watch = Watch()
    assert run_tasks([task_of("c")], replace(how, resume=True), watch) == 1
    assert opened.engine.given == ["c", "a"] or opened.engine.given == ["a", "c"], "a has no results here"
    assert any("a: its results are gone" in text for text in watch.said)
    assert opened.how.batch == first
    assert run_tasks([], replace(how, retry_failed=True), Watch()) == 0
    assert "b" in opened.engine.given
    for other in (
        replace(how, resume=True, command="foreground"),
        replace(how, resume=True, options=("--fit",)),
    ):
        with pytest.raises(SegueError, match="this batch was begun with"):
            run_tasks([], other, Watch())


def test_workers_that_broke_down_leave_a_saved_ledger_and_a_report(opened: Any, tmp_path: Path) -> None:
    class Broken(Watch):
        def watching(self, ledger: Ledger) -> AbstractContextManager[Callable[[list[Event]], None]]:
            raise SegueError("the terminal is gone")

    with pytest.raises(SegueError, match="the terminal is gone"):
        run_tasks([task_of("a")], JobConfig(output="out"), Broken())
    assert opened.engine.closed == 1
    assert (tmp_path / "out/.segue-batch/report.html").exists()


def test_nothing_waits_where_everything_is_done(opened: Any) -> None:
    watch = Watch()
    assert run_tasks([], JobConfig(output="out"), watch) == 0
    assert opened.engine is None
    assert watch.said == []
    assert watch.counts == {"queued": 0, "running": 0, "done": 0, "failed": 0}


@pytest.mark.parametrize(
    ("asked", "gpus", "count", "devices"),
    [
        ({}, 0, None, []),
        ({"workers": 2}, 0, 2, []),
        ({"workers": 9}, 0, 3, []),
        ({"gpus": 1.0}, 2, 2, ["cuda:0", "cuda:1"]),
        ({"gpus": 0.5}, 1, 2, ["cuda:0"]),
        ({"gpus": 0.5}, 4, 3, ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]),
        ({"gpus": 2.0}, 1, 1, ["cuda:0"]),
        ({"gpus": 1.0, "workers": 1}, 2, 1, ["cuda:0", "cuda:1"]),
        ({"gpus": 1.0, "address": "auto"}, 2, None, []),
    ],
)
def test_workers_are_as_many_as_shares_of_gpus_or_as_asked_for_and_no_more_than_videos(
    opened: Any,
    monkeypatch: pytest.MonkeyPatch,
    asked: dict[str, Any],
    gpus: int,
    count: int | None,
    devices: list[str],
) -> None:
    monkeypatch.setattr(doing.torch.cuda, "device_count", lambda: gpus)
    run_tasks([task_of("a"), task_of("b"), task_of("c")], JobConfig(output="out", **asked), Watch())
    assert (opened.count, opened.devices) == (count, devices)


def test_gpus_that_are_not_there_are_told(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doing.torch.cuda, "device_count", lambda: 0)
    with pytest.raises(SegueError, match="--gpus: this machine has no GPU"):
        run_tasks([task_of("a")], JobConfig(output="out", gpus=1.0), Watch())


def test_late_videos_are_copied_on_a_cluster_with_an_output_elsewhere_alone(
    opened: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    for output, address, copies in (
        ("s3://bucket/out", "auto", True),
        ("s3://bucket/here", None, False),
        ("out", "auto", False),
    ):
        run_tasks([task_of("a")], JobConfig(output=output, address=address), Watch())
        assert opened.scheduler["copies"] == copies
        assert opened.how.output == (output if "://" in output else str(tmp_path / output))


def test_the_ledger_of_an_output_elsewhere_is_in_the_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooch, "os_cache", lambda name: f"/cache/{name}")
    assert home_of("out") == Path("out/.segue-batch")
    one, other = home_of("s3://bucket/out"), home_of("s3://bucket/other")
    assert one.parent == other.parent == Path("/cache/segue/batch")
    assert one == home_of("s3://bucket/out") != other
    assert len(one.name) == 16


def test_what_lacks_is_found_before_anything_is_made(opened: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no network is called 'medium'"):
        run_tasks([task_of("a"), task_of("b", model="medium")], JobConfig(output="out"), Watch())
    run_tasks([task_of("b", model="medium")], JobConfig(output="far", address="auto"), Watch())
    write_picture(tmp_path / "films/one/0.png", FRAMES[0])
    inside = Task("x", str(tmp_path / "films/one"), job=job_of().replace('"x"', f'"{tmp_path}/films/one"'))
    with pytest.raises(SinkError, match=r"films/one: job 1 of the plan writes there, and job 1 reads it"):
        run_tasks([replace(inside, name="one")], JobConfig(output="films"), Watch())
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "films/.segue-batch").exists()


def test_a_place_of_somebody_else_is_told_before_any_video_begins(opened: Any, tmp_path: Path) -> None:
    (tmp_path / "out/b").mkdir(parents=True)
    (tmp_path / "out/b/thesis.txt").touch()
    with pytest.raises(SinkError, match="this batch did not write it"):
        run_tasks([task_of("a"), task_of("b")], JobConfig(output="out"), Watch())
    assert opened.engine is None


def test_one_place_for_all_videos_is_refused(tmp_path: Path) -> None:
    for name in ("events", "background", "explain"):
        job = ForegroundJob(
            source=VideoSource(place="x"), model=Model(name="median"), **{name: tmp_path / "a"}
        )
        with pytest.raises(SegueError, match=f"--{name} names one place for all videos"):
            check_single_files(job)
    check_single_files(ForegroundJob(source=VideoSource(place="x"), model=Model(name="median")))
    check_single_files(TrackJob(source=VideoSource(place="x"), model=Model(name="stcn-lite")))


def test_a_batch_knows_its_weights_by_name_or_path(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    models = [
        Model(name="stm", weights=tmp_path / "w.safetensors"),
        Model(name="stcn-lite"),
        Model(name="median"),
    ]
    source = VideoSource(place="x")
    jobs = [to_json(TrackJob(source=source, model=model)) for model in (*models, models[1])]
    jobs.append(to_json(ExportJob(model=Model(name="other"), folder=tmp_path)))
    assert weights_of(Task("a", "a", job=job) for job in jobs) == {
        str(tmp_path / "w.safetensors"): model_digest(models[0]),
        "stcn-lite": model_digest(models[1]),
        "median": None,
    }


def test_an_observer_that_wants_nothing_is_fine(opened: Any) -> None:
    assert run_tasks([task_of("a")], JobConfig(output="out"), BatchObserver()) == 0
