"""The ledger: what it keeps, what a crash leaves, and who may write it."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from segue.batch import Ledger, Task
from segue.errors import SegueError
from segue.jobs.values import ForegroundJob, Model, VideoSource
from segue.video.sources.identity import SourceIdentity


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


def test_videos_running_at_a_crash_are_queued_again(ledger: Ledger, tmp_path: Path) -> None:
    a, b, c = (Task(name, name) for name in "abc")
    ledger.add([a, b, c])
    ledger.record(replace(a, state="running", tries=1))
    ledger.record(replace(b, state="failed", error="rotten"))
    ledger.save()

    with Ledger(tmp_path / "ledger.sqlite", create=False) as later:
        later.recover()
        assert [task.name for task in later.tasks("queued")] == ["a", "c"]


def test_a_batch_goes_on_only_with_the_settings_it_was_begun_with(ledger: Ledger) -> None:
    ledger.settle({"do": "track", "options": ["--fit"]})
    ledger.settle({"do": "track", "options": ["--fit"]})

    with pytest.raises(SegueError, match=r'begun with options \["--fit"\], not \[\]'):
        ledger.settle({"do": "track", "options": []})


def read_all(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.settle({"do": "track"})
        ledger.tasks()


def test_names_that_are_no_text_are_kept_byte_by_byte(ledger: Ledger, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    task = Task(name, name + ".mp4", ("--mask", name), SourceIdentity(name, "file", 1))
    ledger.add([task])
    assert ledger.tasks() == [task]
    done = replace(task, state="done", worker="w", frames=4, seconds=1.0, digest="d")
    ledger.record(done)
    assert ledger.tasks("done") == [done]
    failed = replace(task, state="failed", error=f"{name} is another")
    ledger.record(failed)
    assert ledger.tasks() == [failed]


def test_only_its_owner_reads_the_ledger(ledger: Ledger, tmp_path: Path) -> None:
    ledger.add([Task("a", "https://me:secret@host/a.mp4")])
    ledger.save()

    files = list(tmp_path.glob("ledger.sqlite*"))
    assert len(files) > 1
    assert not [file for file in files if file.stat().st_mode & 0o077]


def test_a_video_comes_back_as_it_was_planned(ledger: Ledger, tmp_path: Path) -> None:
    known = SourceIdentity("a.mp4", "file", 12, 34, "digest")
    job = ForegroundJob(source=VideoSource(place="a.mp4"), model=Model(name="median"))
    task = Task("a", "a.mp4", ("--box", "1,2,3,4"), known, job)
    ledger.add([task, Task("b", "b.mp4")])
    ledger.save()
    with Ledger(tmp_path / "ledger.sqlite", create=False) as later:
        assert list(later.tasks("queued")) == [task, Task("b", "b.mp4")]
        assert list(later.tasks("done", "failed")) == []
        later.record(Task("b", "b.mp4", state="running"))
        assert [found.name for found in later.tasks("queued", "running")] == ["a", "b"]
        assert list(later.tasks("queued")) == [task]


@pytest.mark.parametrize(
    "change",
    [
        "update videos set identity = 'x'",
        "update videos set identity = '[]'",
        "update videos set arguments = '{'",
        "update videos set arguments = '1'",
        "update videos set arguments = x'ff'",
        "update videos set name = '../thesis'",
        "update videos set job = x'ff'",
        "update videos set job = '{}'",
        """update videos set job = '{"kind": "export", "model": {"name": "stcn"}, "folder": "a"}'""",
        "drop table settings",
        "drop table videos",
        "alter table videos drop column job",
        "pragma user_version = 1",  # of another version of segue
    ],
)
def test_an_edited_ledger_is_reported_in_one_line(ledger: Ledger, tmp_path: Path, change: str) -> None:
    ledger.add([Task("a", "a.mp4", ("--fit",), SourceIdentity("a.mp4", "file", 1, 2, "d"))])
    ledger.close()
    with sqlite3.connect(tmp_path / "ledger.sqlite") as base:
        base.execute(change)
    with pytest.raises(SegueError, match=r"ledger\.sqlite") as error:
        read_all(tmp_path / "ledger.sqlite")
    assert "\n" not in str(error.value)


def test_a_ledger_without_the_time_of_networks_gets_its_column(ledger: Ledger, tmp_path: Path) -> None:
    ledger.add([Task("a", "a.mp4")])
    ledger.close()
    with sqlite3.connect(tmp_path / "ledger.sqlite") as base:
        base.execute("alter table videos drop column pace")
        base.execute("pragma user_version = 7")
    with Ledger(tmp_path / "ledger.sqlite", create=False) as later:
        (task,) = later.tasks()
        later.record(replace(task, state="done", pace=0.25))
    with Ledger(tmp_path / "ledger.sqlite", create=False) as later:
        assert [task.pace for task in later.tasks()] == [0.25]


@pytest.mark.parametrize("change", ["state = 'lost'", "frames = 'many'", "seconds = x'00'", "source = x'ff'"])
def test_the_tables_take_no_values_of_another_type(ledger: Ledger, change: str) -> None:
    ledger.add([Task("a", "a.mp4")])
    with pytest.raises(sqlite3.IntegrityError):
        ledger._base.execute(f"update videos set {change}")


def test_a_file_that_is_no_ledger_or_is_torn_is_reported(ledger: Ledger, tmp_path: Path) -> None:
    ledger.add(Task(f"video {n}", f"{n}.mp4") for n in range(1000))
    ledger.close()
    whole = (tmp_path / "ledger.sqlite").read_bytes()
    for data in (b"nothing of the sort" * 100, whole[: len(whole) // 2], whole[:8192] + bytes(8192)):
        (tmp_path / "torn.sqlite").write_bytes(data)
        with pytest.raises(SegueError, match=r"torn\.sqlite"):
            read_all(tmp_path / "torn.sqlite")


@pytest.mark.parametrize("limit", [0, 16_000, 60_000])
def test_a_limit_of_the_size_of_files_is_reported(tmp_path: Path, limit: int) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "small.sqlite"
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))  # as ulimit -f does
    try:
        with pytest.raises(SegueError, match=r"small\.sqlite: the ledger cannot be"):
            write_many(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def write_many(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.add(Task(f"video {n}", f"{n}.mp4", arguments=("x" * 100,)) for n in range(2000))
