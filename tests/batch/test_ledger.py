"""The ledger: what it keeps, what a crash leaves, and who may write it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from segue.batch import Ledger, Row, Task
from segue.batch.ledger import only_process
from segue.errors import SegueError
from segue.video.identity import SourceIdentity


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


def test_a_video_done_twice_has_one_entry_with_the_first_result(ledger: Ledger) -> None:
    ledger.add([Task("a", "a.mp4")])
    ledger.begun("a", "w1")
    ledger.done("a", "w1", 10, 1.0, "one")
    ledger.done("a", "w2", 99, 9.0, "two")
    ledger.failed("a", "too late")

    (row,) = ledger.rows()

    assert (row.state, row.worker, row.frames, row.digest, row.tries) == ("done", "w1", 10, "one", 1)


def test_the_same_list_twice_adds_nothing_and_other_prompts_are_another_video(ledger: Ledger) -> None:
    first = [Task("clip", "one/clip.mp4"), Task("clip", "two/clip.mp4")]
    ledger.add(first)
    ledger.add([*first, Task("clip", "one/clip.mp4", ("--box", "1,2,3,4"))])

    assert [row.name for row in ledger.rows()] == ["clip", "clip-2", "clip-3"]


def test_what_was_in_work_at_a_crash_is_queued_again(ledger: Ledger, tmp_path: Path) -> None:
    ledger.add([Task(name, name) for name in "abc"])
    ledger.begun("a", "w")
    ledger.failed("b", "rotten")
    ledger.save()

    with Ledger(tmp_path / "ledger.sqlite", create=False) as later:
        later.recover()
        assert [task.name for task in later.queued()] == ["a", "c"]
        later.recover(failed=True)
        assert [task.name for task in later.queued()] == ["a", "b", "c"]


def test_a_batch_goes_on_only_with_the_settings_it_was_begun_with(ledger: Ledger) -> None:
    ledger.settle({"do": "track", "options": ["--fit"]})
    ledger.settle({"do": "track", "options": ["--fit"]})

    with pytest.raises(SegueError, match=r'begun with options \["--fit"\], not \[\]'):
        ledger.settle({"do": "track", "options": []})


def test_a_file_that_is_no_ledger_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_text("something else, and long enough to be read as a header" * 20)

    with pytest.raises(SegueError, match="cannot be used"):
        Ledger(tmp_path / "ledger.sqlite")


def test_only_one_process_works_on_a_batch_and_its_death_frees_it(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from segue.batch.ledger import only_process\n"
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
    ledger.begun("a", "w")
    ledger.beat("a", 3)
    ledger.waits("a")
    ledger.failed("a", "rotten")
    ledger.done("a", "w", 3, 1.0, "d")
    ledger._base.set_trace_callback(None)
    updates = [text for text in statements if text.startswith("update")]

    # Python 3.10 shows a statement with its question marks, later ones with what stood for them.
    plans = [
        ledger._base.execute(f"explain query plan {text}", [None] * text.count("?")).fetchone()[3]
        for text in updates
    ]

    assert len(plans) == 5
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
    ledger.begun(name, "w")
    ledger.beat(name, 3)
    ledger.done(name, "w", 4, 1.0, "d")

    (row,) = ledger.rows()
    (task,) = ledger.tasks("done")
    ledger.reject(name, f"{name} is another")
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
    task = Task("a", "a.mp4", ("--box", "1,2,3,4"), 7.5, 2**31, known, '{"kind": "track"}')
    ledger.add([task, Task("b", "b.mp4")])
    ledger.save()
    with Ledger(tmp_path / "ledger.sqlite", create=False) as later:
        assert list(later.tasks("queued")) == [task, Task("b", "b.mp4")]
        assert list(later.tasks("done", "failed")) == []
        later.begun("b", "w")
        assert [found.name for found in later.tasks("queued", "running")] == ["a", "b"]
        assert list(later.queued()) == [task]


def test_rows_are_those_of_a_state_or_all(ledger: Ledger) -> None:
    ledger.add([Task(name, name) for name in "abc"])
    ledger.begun("a", "w1")
    ledger.beat("a", 3)
    ledger.failed("b", "rotten")
    assert ledger.counts() == {"queued": 1, "running": 1, "done": 0, "failed": 1}
    (row,) = ledger.rows("running")
    assert row == Row("a", "a", "running", "w1", 1, None, 3, None, None)
    assert [row.name for row in ledger.rows()] == ["a", "b", "c"]
    ledger.beat("b", 9)
    assert [row.frames for row in ledger.rows("failed")] == [0], "it is in work no longer"
    ledger.done("a", "w2", 5, 2.5, "digest")
    assert next(ledger.rows("done")) == Row("a", "a", "done", "w2", 1, None, 5, 2.5, "digest")


def test_a_video_that_is_queued_again_begins_from_the_start(ledger: Ledger) -> None:
    old, new = (SourceIdentity("a.mp4", "file", size, 1, "d") for size in (10, 11))
    ledger.add([Task("a", "a.mp4", identity=old), Task("b", "b.mp4", identity=old)])
    for name in "ab":
        ledger.begun(name, "w")
        ledger.done(name, "w", 3, 1.0, "digest")
    ledger.again("a", new)
    ledger.again("b")
    assert [(row.state, row.tries, row.error, row.digest) for row in ledger.rows()] == [
        ("queued", 0, None, None)
    ] * 2
    assert [task.identity for task in ledger.queued()] == [new, old]


def test_only_what_is_in_work_waits_again(ledger: Ledger) -> None:
    ledger.add([Task(name, name) for name in "ab"])
    ledger.begun("a", "w")
    ledger.failed("b", "rotten")
    for name in "ab":
        ledger.waits(name)
    assert [row.state for row in ledger.rows()] == ["queued", "failed"]


def test_the_identity_of_a_batch_stays(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.identity("one") == ledger.identity("two") == "one"
    ledger.close()
    with Ledger(tmp_path / "ledger.sqlite") as later:
        assert later.identity("three") == "one"
    with pytest.raises(SegueError, match="there is no batch here"):
        Ledger(tmp_path / "none.sqlite", create=False)
    assert not (tmp_path / "none.sqlite").exists()
