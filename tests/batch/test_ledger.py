"""The ledger: what it keeps, what a crash leaves, and who may write it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from segue.batch import Ledger, Row, Task
from segue.batch.ledger import STATES, only_process
from segue.errors import SegueError
from segue.video.identity import SourceIdentity


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


def test_the_same_list_twice_adds_nothing_and_other_prompts_are_another_video(ledger: Ledger) -> None:
    first = [Task("clip", "one/clip.mp4"), Task("clip", "two/clip.mp4")]
    ledger.add(first)
    ledger.add([*first, Task("clip", "one/clip.mp4", ("--box", "1,2,3,4"))])

    assert [row.name for row in ledger.rows()] == ["clip", "clip-2", "clip-3"]


def test_what_was_in_work_at_a_crash_is_queued_again(ledger: Ledger, tmp_path: Path) -> None:
    ledger.add([Task(name, name) for name in "abc"])
    ledger.begun("a")
    ledger.failed("b", "rotten")
    ledger.save()

    with Ledger(tmp_path / "ledger.sqlite", create=False) as later:
        later.recover()
        assert [task.name for task in later.tasks("queued")] == ["a", "c"]
        later.recover(failed=True)
        assert [task.name for task in later.tasks("queued")] == ["a", "b", "c"]


def test_a_batch_goes_on_only_with_the_settings_it_was_begun_with(ledger: Ledger) -> None:
    ledger.settle({"do": "track", "options": ["--fit"]})
    ledger.settle({"do": "track", "options": ["--fit"]})

    with pytest.raises(SegueError, match=r'begun with options \["--fit"\], not \[\]'):
        ledger.settle({"do": "track", "options": []})


def read_all(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.identity("one")
        ledger.tasks(*STATES)
        ledger.rows()


def test_a_file_that_is_no_ledger_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_text("something else, and long enough to be read as a header" * 20)

    with pytest.raises(SegueError, match="cannot be used"):
        Ledger(tmp_path / "ledger.sqlite")


def test_only_one_process_works_on_a_batch_and_its_death_frees_it(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from segue.batch.ledger import STATES, only_process\n"
        f"with only_process(Path({str(tmp_path / 'lock')!r})): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(SegueError, match="another batch is at work"), only_process(tmp_path / "lock"):
            pass
        other.kill()
        other.wait()

    with only_process(tmp_path / "lock"):
        pass


def test_the_cost_of_a_video_does_not_grow_with_the_ledger(ledger: Ledger) -> None:
    statements: list[str] = []
    ledger._base.set_trace_callback(statements.append)
    ledger.add([Task("a", "a.mp4")])
    ledger.begun("a")
    ledger.again("a")
    ledger.failed("a", "rotten")
    ledger.done("a", "w", 3, 1.0, "d", None)
    ledger._base.set_trace_callback(None)
    updates = [text for text in statements if text.startswith("update")]

    # Python 3.10 shows a statement with its question marks, later ones with what stood for them.
    plans = [
        ledger._base.execute(f"explain query plan {text}", [None] * text.count("?")).fetchone()[3]
        for text in updates
    ]

    assert len(plans) == 4
    assert all(plan.startswith("SEARCH videos USING INDEX") for plan in plans), plans


def test_a_full_disk_is_reported_in_a_line(ledger: Ledger, tmp_path: Path) -> None:
    (pages,) = ledger._base.execute("pragma page_count").fetchone()
    ledger._base.execute(f"pragma max_page_count = {pages + 2}")

    with pytest.raises(SegueError, match=r"the ledger cannot be written \(.*full.*free some space"):
        ledger.add(Task(f"film {n}", f"film {n}.mp4") for n in range(10_000))

    assert not list(ledger.rows())


def test_names_that_are_no_text_are_kept_byte_by_byte(ledger: Ledger, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    ledger.add([Task(name, name + ".mp4", ("--mask", name))])
    ledger.begun(name)
    ledger.done(name, "w", 4, 1.0, "d", None)

    (row,) = ledger.rows()
    (task,) = ledger.tasks("done")
    ledger.failed(name, f"{name} is another")
    assert [row.error for row in ledger.rows()] == [f"{name} is another"]

    assert (row.name, row.source, row.state, row.frames) == (name, name + ".mp4", "done", 4)
    assert (task.name, task.source, task.arguments) == (name, name + ".mp4", ("--mask", name))


def test_only_its_owner_reads_the_ledger(ledger: Ledger, tmp_path: Path) -> None:
    ledger.add([Task("a", "https://me:secret@host/a.mp4")])
    ledger.save()

    files = list(tmp_path.glob("ledger.sqlite*"))
    assert len(files) > 1
    assert not [file for file in files if file.stat().st_mode & 0o077]


def test_a_ledger_of_another_version_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    ledger._base.execute("pragma user_version = 1")
    ledger.close()

    with pytest.raises(SegueError, match="another version of segue"):
        Ledger(tmp_path / "ledger.sqlite")


def test_settings_with_passwords_are_told_without_them(ledger: Ledger) -> None:
    ledger.settle({"options": ["--roi", "https://me:secret@host/roi.png?token=more"]})

    with pytest.raises(SegueError) as error:
        ledger.settle({"options": ["--roi", "https://me:other@host/roi.png?token=less"]})

    assert not [word for word in ("secret", "me:", "more", "less") if word in str(error.value)]
    assert "https://host/roi.png" in str(error.value)


def test_a_video_that_stands_twice_in_a_list_is_one(ledger: Ledger) -> None:
    task = Task("clip", "one/clip.mp4", ("--box", "1,2,3,4"))
    ledger.add([task, Task("other", "two.mp4"), task])

    assert [(row.name, row.source) for row in ledger.rows()] == [
        ("clip", "one/clip.mp4"),
        ("other", "two.mp4"),
    ]


def test_a_video_comes_back_as_it_was_planned(ledger: Ledger, tmp_path: Path) -> None:
    known = SourceIdentity("a.mp4", "file", 12, 34, "digest")
    task = Task("a", "a.mp4", ("--box", "1,2,3,4"), known, '{"kind": "track"}')
    ledger.add([task, Task("b", "b.mp4")])
    ledger.save()
    with Ledger(tmp_path / "ledger.sqlite", create=False) as later:
        assert list(later.tasks("queued")) == [task, Task("b", "b.mp4")]
        assert list(later.tasks("done", "failed")) == []
        later.begun("b")
        assert [found.name for found in later.tasks("queued", "running")] == ["a", "b"]
        assert list(later.tasks("queued")) == [task]


def test_rows_are_those_of_a_state_or_all(ledger: Ledger) -> None:
    ledger.add([Task(name, name) for name in "abc"])
    ledger.begun("a")
    ledger.failed("b", "rotten")
    assert ledger.counts() == {"queued": 1, "running": 1, "done": 0, "failed": 1}
    (row,) = ledger.rows("running")
    assert row == Row("a", "a", "running", None, 1, None, 0, None, None, None)
    assert [row.name for row in ledger.rows()] == ["a", "b", "c"]
    ledger.done("a", "w2", 5, 2.5, "digest", None)
    assert ledger.rows("done")[0] == Row("a", "a", "done", "w2", 1, None, 5, 2.5, "digest", None)


def test_a_video_that_is_queued_again_begins_from_the_start(ledger: Ledger) -> None:
    old, new = (SourceIdentity("a.mp4", "file", size, 1, "d") for size in (10, 11))
    ledger.add([Task("a", "a.mp4", identity=old), Task("b", "b.mp4", identity=old)])
    for name in "ab":
        ledger.begun(name)
        ledger.done(name, "w", 3, 1.0, "digest", None)
    ledger.again("a", new)
    ledger.again("b")
    assert [(row.state, row.tries, row.error, row.digest) for row in ledger.rows()] == [
        ("queued", 0, None, None)
    ] * 2
    assert [task.identity for task in ledger.tasks("queued")] == [new, old]


@pytest.mark.parametrize(
    "change",
    [
        "update videos set identity = 'x'",
        "update videos set identity = '[]'",
        "update videos set arguments = '{'",
        "update videos set arguments = '[1]'",
        "update videos set arguments = x'ff'",
        "update videos set name = '../thesis'",
        "update videos set state = 'lost'",
        "update videos set frames = 'many'",
        "update videos set job = x'ff'",
        "drop table settings",
        "drop table videos",
        "alter table videos drop column job",
    ],
)
def test_an_edited_ledger_is_reported_in_one_line(ledger: Ledger, tmp_path: Path, change: str) -> None:
    ledger.add([Task("a", "a.mp4", ("--fit",), SourceIdentity("a.mp4", "file", 1, 2, "d"), "{}")])
    ledger.close()
    with sqlite3.connect(tmp_path / "ledger.sqlite") as base:
        base.execute(change)
    with pytest.raises(SegueError, match=r"ledger\.sqlite") as error:
        read_all(tmp_path / "ledger.sqlite")
    assert "\n" not in str(error.value)


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
        ledger.add(Task(f"video {n}", f"{n}.mp4", job="x" * 100) for n in range(2000))


def test_a_lock_that_cannot_be_taken_is_reported(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(SegueError, match="lock"), only_process(tmp_path / "lock"):
        pass
    (tmp_path / "damaged").write_bytes(b"nothing of the sort")
    with only_process(tmp_path / "damaged"):
        pass


def test_the_identity_of_a_batch_stays(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.identity("one") == ledger.identity("two") == "one"
    ledger.close()
    with Ledger(tmp_path / "ledger.sqlite") as later:
        assert later.identity("three") == "one"
    with pytest.raises(SegueError, match="there is no batch here"):
        Ledger(tmp_path / "none.sqlite", create=False)
    assert not (tmp_path / "none.sqlite").exists()
