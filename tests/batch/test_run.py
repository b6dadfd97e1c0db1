"""A batch around its videos: where its ledger is, how many workers it has, and what it looks at before."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from segue.batch import Ledger, Task
from segue.batch import run as running
from segue.batch.publish import MOVING
from segue.batch.report import merge_reports
from segue.batch.run import BatchObserver, check_single_files, run_tasks
from segue.batch.shards import LEDGER, home_of
from segue.batch.work import JobConfig
from segue.batch.workers import IDENTITY
from segue.errors import CheckpointError, SegueError, SinkError
from segue.jobs.values import ForegroundJob, Model, TrackJob, VideoSource
from segue.utils import files
from segue.utils.files import locked
from segue.video.sources.images import write_image
from tests.batch.conftest import Script
from tests.cli.running import FRAMES


def job_of(model: str = "median", **fields: Any) -> ForegroundJob:
    return ForegroundJob(source=VideoSource(place="x"), model=Model(name=model), **fields)


def task_of(name: str, source: str | None = None, **fields: Any) -> Task:
    return Task(name, str(Path(source or f"{name}.mp4").absolute()), job=job_of(**fields))


class Watch(BatchObserver):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.rounds: list[Sequence[Task]] = []

    def notice(self, text: str) -> None:
        self.said.append(text)

    def watching(self, ledger: Ledger) -> AbstractContextManager[Callable[[Sequence[Task]], None]]:
        return nullcontext(self.rounds.append)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """Workers that fail the videos in ``fails`` and do the others at once, and how they were opened."""
    monkeypatch.chdir(tmp_path)
    found = SimpleNamespace(workers=None, fails=(), how=None)

    def open_workers(how: JobConfig, tasks: Sequence[Task]) -> Script:
        found.how = how
        found.workers = Script({name: [{"state": "failed", "error": "rotten"}] for name in found.fails})
        return found.workers

    monkeypatch.setattr(running, "open_workers", open_workers)
    return found


def test_a_batch_is_done_counted_and_reported(opened: Any, tmp_path: Path) -> None:
    opened.fails = ("b",)
    watch = Watch()
    failed = run_tasks([task_of("a"), task_of("b"), task_of("c")], JobConfig(output="out"), watch)
    home = tmp_path / "out" / ".segue-batch"
    assert failed == 1
    assert sorted(task.state for news in watch.rounds for task in news) == ["done", "done", "failed"]
    assert watch.said == ["report: out/report.html"]
    assert "2 of 3 videos are done" in (tmp_path / "out/report.html").read_text("utf-8")
    assert opened.workers.told == ["close"]
    with Ledger(home / LEDGER, create=False) as ledger:
        assert ledger.counts() == {"queued": 0, "running": 0, "done": 2, "failed": 1}
        assert {row.source for row in ledger.tasks()} == {str(tmp_path / f"{name}.mp4") for name in "abc"}
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
    with pytest.raises(SegueError, match="--resume"):
        run_tasks([task_of("c")], how, Watch())
    opened.fails = ()
    watch = Watch()
    assert run_tasks([task_of("c")], how.model_copy(update={"resume": True}), watch) == 1
    assert sorted(opened.workers.given) == ["a", "c"], "a has no results here"
    assert any("a: its results are gone" in text for text in watch.said)
    assert opened.how.batch == first
    assert run_tasks([], how.model_copy(update={"retry_failed": True}), Watch()) == 0
    assert "b" in opened.workers.given
    for other in (
        how.model_copy(update={"resume": True, "command": "foreground"}),
        how.model_copy(update={"resume": True, "options": ("--fit",)}),
    ):
        with pytest.raises(SegueError, match="this batch was begun with"):
            run_tasks([], other, Watch())


def test_the_same_list_again_adds_nothing_and_a_name_that_is_taken_is_an_error(opened: Any) -> None:
    how = JobConfig(output="out", resume=True)
    listed = [task_of("clip"), task_of("two/clip")]
    run_tasks(listed, how, Watch())
    run_tasks([listed[1], replace(listed[0], name="third", arguments=("--fit",)), listed[0]], how, Watch())
    for name in ("clip", "two", "clip/inner"):
        with pytest.raises(SegueError, match=r"clip|two"):
            run_tasks([task_of(name, "another.mp4")], how, Watch())
    with Ledger(Path("out/.segue-batch") / LEDGER, create=False) as ledger:
        assert [row.name for row in ledger.tasks()] == ["clip", "two/clip", "third"]


def region(path: Path, size: int = 9) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.full((size, size, 3), 255, np.uint8))
    return str(path)


@pytest.mark.parametrize("form", ["--roi {}", "--roi={}", "--scene {}"])
def test_files_of_a_batch_count_by_their_content_wherever_they_lie(
    opened: Any, tmp_path: Path, form: str
) -> None:
    def run(path: str, **fields: Any) -> None:
        words = tuple(form.format(path).split(" "))
        how = JobConfig(output="out", command="foreground", options=words, resume=True)
        run_tasks([task_of("clip", **{words[0][2:].partition("=")[0]: path})], how, Watch())

    run(region(tmp_path / "mine" / "area.png"))
    (tmp_path / "mine" / "area.png").rename(tmp_path / "area.png")
    run(str(tmp_path / "area.png"))
    run("area.png")  # from the folder of the command
    region(tmp_path / "area.png", size=11)
    with pytest.raises(SegueError, match="this batch was begun with options"):
        run("area.png")


def test_files_of_a_row_count_by_their_content_wherever_they_lie(opened: Any, tmp_path: Path) -> None:
    def row(name: str, path: str, *, source: str = "clip.mp4") -> Task:
        return replace(task_of(name, source, roi=path), arguments=("--roi", path))

    how = JobConfig(output="out", command="foreground", resume=True)
    run_tasks([row("clip", region(tmp_path / "mine" / "area.png"))], how, Watch())
    (tmp_path / "mine" / "area.png").rename(tmp_path / "area.png")
    run_tasks([row("clip", str(tmp_path / "area.png"))], how, Watch())
    other = row("other", region(tmp_path / "other.png", size=11))
    run_tasks([row("clip", str(tmp_path / "area.png")), other], how, Watch())
    # Two rows of one video whose files are equal are two results, as before.
    twins = [row(name, region(tmp_path / f"{name}.png", 13), source="two.mp4") for name in ("x", "y")]
    for _ in range(2):
        run_tasks(twins, how, Watch())
    with Ledger(Path("out/.segue-batch") / LEDGER, create=False) as ledger:
        assert [item.name for item in ledger.tasks()] == ["clip", "other", "x", "y"]


def test_weights_of_a_batch_count_by_their_content_wherever_they_lie(opened: Any, tmp_path: Path) -> None:
    def run(path: Path) -> None:
        job = TrackJob(source=VideoSource(place="x"), model=Model(name="stcn-lite", weights=path))
        how = JobConfig(output="out", options=("--weights", str(path)), resume=True)
        run_tasks([replace(task_of("clip"), job=job)], how, Watch())

    (tmp_path / "a.safetensors").write_bytes(b"weights")
    run(tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").rename(tmp_path / "b.safetensors")
    run(tmp_path / "b.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"others")
    with pytest.raises(SegueError, match="this batch was begun with weights"):
        run(tmp_path / "b.safetensors")


def test_a_batch_of_an_earlier_version_which_recorded_paths_goes_on(opened: Any, tmp_path: Path) -> None:
    path = region(tmp_path / "area.png")
    how = JobConfig(output="out", command="foreground", options=("--roi", path), resume=True)
    task = replace(task_of("clip", roi=path), arguments=("--roi", path))
    (tmp_path / "out/.segue-batch").mkdir(parents=True)
    with Ledger(Path("out/.segue-batch") / LEDGER) as ledger:
        ledger.settle({"do": "foreground", "options": ["--roi", path], "weights": {"median": None}})
        ledger.add([task])
    run_tasks([task], how, Watch())
    with Ledger(Path("out/.segue-batch") / LEDGER, create=False) as ledger:
        assert [item.name for item in ledger.tasks()] == ["clip"]


def test_the_report_of_a_batch_replaces_only_its_own(opened: Any, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    report = tmp_path / "out/report.html"
    report.parent.mkdir()
    report.write_text("my own page")
    how = JobConfig(output="out")
    watch = Watch()
    run_tasks([task_of("a")], how, watch)
    assert watch.said == ["report: out/.segue-batch/report.html"]
    assert report.read_text() == "my own page"
    report.unlink()
    for done in ("1 of 1", "2 of 2"):
        watch = Watch()
        run_tasks(
            [task_of(f"b{done[0]}")] if done[0] == "2" else [], how.model_copy(update={"resume": True}), watch
        )
        assert watch.said[-1] == "report: out/report.html"
        assert f"{done} videos are done" in report.read_text("utf-8")


def test_workers_that_broke_down_leave_a_saved_ledger_and_a_report(opened: Any, tmp_path: Path) -> None:
    class TerminalError(SegueError):
        """There is no terminal any more."""

    class Broken(Watch):
        def watching(self, ledger: Ledger) -> AbstractContextManager[Callable[[Sequence[Task]], None]]:
            raise TerminalError("it is gone")

    with pytest.raises(TerminalError):
        run_tasks([task_of("a")], JobConfig(output="out"), Broken())
    assert (tmp_path / "out/report.html").exists()


def full_disk(*_: object) -> None:
    raise SinkError("out/report.html: cannot be written: No space left on device")


def test_a_report_that_cannot_be_written_hides_no_failed_video(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "write_batch_report", full_disk)
    opened.fails, watch = ("b",), Watch()
    assert run_tasks([task_of("a"), task_of("b")], JobConfig(output="out"), watch) == 1
    assert watch.said == ["out/report.html: cannot be written: No space left on device"]
    opened.fails = ()
    with pytest.raises(SinkError, match=r"report\.html"):  # which nothing else would say
        run_tasks([task_of("a")], JobConfig(output="other"), Watch())


def test_the_error_that_ends_a_batch_comes_before_that_of_its_report(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(ledger: Ledger, tasks: Sequence[Task], *_: object, **__: object) -> None:
        ledger.record(replace(tasks[0], state="failed", error="rotten"))
        raise SinkError("images/a.jpg: cannot be written: No space left on device")

    monkeypatch.setattr(running, "write_batch_report", full_disk)
    monkeypatch.setattr(running, "run_batch", fail)
    watch = Watch()
    with pytest.raises(SinkError, match=r"images/a\.jpg"):
        run_tasks([task_of("a"), task_of("b")], JobConfig(output="out"), watch)
    assert watch.said[0] == "out/report.html: cannot be written: No space left on device"
    assert "0 done, 1 failed (a), 1 left" in watch.said[1]
    assert "--retry-failed" in watch.said[1]


def test_a_batch_beside_one_that_runs_there_is_told_so(
    opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ENDING", 0.05)
    run_tasks([task_of("a")], JobConfig(output="out"), Watch())
    for more in ({}, {"resume": True}, {"retry_failed": True}):
        with (
            locked([tmp_path / "out" / ".segue-batch" / LEDGER]),
            pytest.raises(SinkError, match="another run is writing there"),
        ):
            run_tasks([task_of("a")], JobConfig(output="out", **more), Watch())


def test_the_ledger_of_an_output_elsewhere_is_in_the_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_HOME", "/cache/segue")
    assert home_of("out") == Path("out/.segue-batch")
    one, other = home_of("s3://bucket/out"), home_of("s3://bucket/other")
    assert one.parent == other.parent == Path("/cache/segue/batch")
    assert one == home_of("s3://bucket/out") != other
    assert len(one.name) == 16


def test_missing_parts_are_found_before_anything_is_written(opened: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        run_tasks([task_of("a"), task_of("b", model="medium")], JobConfig(output="out"), Watch())
    run_tasks([task_of("b", model="medium")], JobConfig(output="far", address="auto"), Watch())
    write_image(tmp_path / "videos/one/0.png", FRAMES[0])
    inside = Task("x", str(tmp_path / "videos/one"), job=job_of())
    with pytest.raises(SinkError, match="videos/one"):
        run_tasks([replace(inside, name="one")], JobConfig(output="videos"), Watch())
    assert not (tmp_path / "out").exists()


def test_two_batches_on_one_output_exclude_each_other_until_one_dies(
    opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ENDING", 0.05)
    code = (
        "import sys; from pathlib import Path; from segue.utils.files import locked\n"
        "with locked([Path('out/.segue-batch/ledger.sqlite')]): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(SinkError):
            run_tasks([task_of("a")], JobConfig(output="out"), Watch())
        other.kill()
        other.wait()
    assert run_tasks([task_of("a")], JobConfig(output="out"), Watch()) == 0


def test_leftovers_of_a_killed_batch_are_removed(opened: Any, tmp_path: Path) -> None:
    (tmp_path / "out" / MOVING / "01234567").mkdir(parents=True)
    for name in (".segue-batch/.identity.01234567.partial", ".report.html.01234567.partial"):
        (tmp_path / "out" / name).touch()
    run_tasks([task_of("a")], JobConfig(output="out"), Watch())
    assert not (tmp_path / "out" / MOVING).exists()
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_a_place_of_somebody_else_is_told_before_any_video_begins(opened: Any, tmp_path: Path) -> None:
    (tmp_path / "out/b").mkdir(parents=True)
    (tmp_path / "out/b/thesis.txt").touch()
    with pytest.raises(SinkError):
        run_tasks([task_of("a"), task_of("b")], JobConfig(output="out"), Watch())
    assert opened.workers is None


def test_one_place_for_all_videos_is_refused(tmp_path: Path) -> None:
    for name in ("events", "background", "explain"):
        job = ForegroundJob(
            source=VideoSource(place="x"), model=Model(name="median"), **{name: tmp_path / "a"}
        )
        with pytest.raises(SegueError, match=f"--{name} "):
            check_single_files(job)
    check_single_files(ForegroundJob(source=VideoSource(place="x"), model=Model(name="median")))
    check_single_files(TrackJob(source=VideoSource(place="x"), model=Model(name="stcn-lite")))


def shard_names(tmp_path: Path) -> dict[str, list[str]]:
    """The videos in the ledger of each part of a batch."""
    found = {}
    for path in sorted((tmp_path / "out/.segue-batch").glob("shard-*/ledger.sqlite")):
        with Ledger(path, create=False) as ledger:
            found[path.parent.name] = [task.name for task in ledger.tasks()]
    return found


def test_the_parts_of_a_batch_are_all_of_it_and_share_nothing(opened: Any, tmp_path: Path) -> None:
    tasks = [task_of(name) for name in "abcde"]
    for part in (1, 2, 3):
        assert run_tasks(tasks, JobConfig(output="out", shard=f"{part}/3"), Watch()) == 0
    parts = shard_names(tmp_path)
    assert sorted(name for names in parts.values() for name in names) == [*"abcde"]
    assert not (tmp_path / "out/report.html").exists()
    assert merge_reports("out") == Path("out/report.html")
    page = (tmp_path / "out/report.html").read_text()
    assert "5 of 5 videos are done" in page
    assert merge_reports("out") == Path("out/report.html"), "it is its own"
    (tmp_path / "out/report.html").write_text("of somebody else")
    assert merge_reports("out") == Path("out/.segue-batch/report.html")
    assert (tmp_path / "out/report.html").read_text() == "of somebody else"
    assert [run_tasks([task_of("a")], JobConfig(output="few", shard=f"{i}/2"), Watch()) for i in (1, 2)] == [
        0,
        0,
    ]


def test_a_folder_that_grows_moves_no_video_to_another_part(opened: Any, tmp_path: Path) -> None:
    names = [f"v{number:02d}" for number in range(40)]
    found = []
    for given in (names[10:30], names):
        for part in (1, 2, 3):
            how = JobConfig(output="out", shard=f"{part}/3", resume=True)
            assert run_tasks([*map(task_of, given)], how, Watch()) == 0
        parts = shard_names(tmp_path)
        assert sorted(name for each in parts.values() for name in each) == given
        found.append({name: part for part, each in parts.items() for name in each})
    assert found[0].items() <= found[1].items()
    assert min(map(len, parts.values())) > 3


def test_a_batch_that_was_divided_by_position_goes_on_so(opened: Any, tmp_path: Path) -> None:
    tasks = [task_of(name) for name in "abcde"]
    home = tmp_path / "out/.segue-batch/shard-2-of-3"
    home.mkdir(parents=True)
    Ledger(home / "ledger.sqlite").close()
    for part in (1, 2, 3):
        assert run_tasks(tasks, JobConfig(output="out", shard=f"{part}/3", resume=True), Watch()) == 0
    assert [*shard_names(tmp_path).values()] == [["a", "d"], ["b", "e"], ["c"]]


@pytest.mark.parametrize(
    ("first", "then", "named"),
    [
        ("1/2", {"shard": "1/3"}, "--shard I/2"),
        ("1/2", {}, "--shard I/2"),
        ("1/2", {"shard": "0/2"}, "--shard 0/2"),
        ("1/2", {"shard": "3/2"}, "--shard 3/2"),
        ("1/2", {"shard": "2"}, "--shard 2"),
        ("1/2", {"shard": "1/2", "address": "local"}, "--address"),
        (None, {"shard": "1/2"}, "without --shard"),
    ],
)
def test_a_batch_is_divided_in_one_way(
    opened: Any, tmp_path: Path, first: str | None, then: dict[str, Any], named: str
) -> None:
    tasks = [task_of("a"), task_of("b")]
    run_tasks(tasks, JobConfig(output="out", shard=first), Watch())
    with pytest.raises(SegueError, match=named):
        run_tasks(tasks, JobConfig(output="out", **then), Watch())


def test_a_part_leaves_what_another_one_is_moving(opened: Any, tmp_path: Path) -> None:
    other = tmp_path / "out" / MOVING / "01234567" / "89abcdef"
    other.mkdir(parents=True)
    run_tasks([task_of("a"), task_of("b")], JobConfig(output="out", shard="1/2"), Watch())
    assert other.is_dir()
