"""What a batch that goes on looks at first: sources that were replaced, and results that are gone."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from segue.batch import Ledger, Task, run
from segue.batch.publish import digest_of, publish
from segue.batch.run import check_recorded
from segue.batch.work import JobConfig
from segue.video.sources.identity import SourceIdentity

NAMES = ("done", "failed", "running", "queued")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def ledger(tmp_path: Path, output: Path) -> Ledger:
    """A video in each state; that which is done has its results."""
    made = Ledger(tmp_path / "ledger.sqlite")
    for name in NAMES:
        (tmp_path / f"{name}.mp4").write_bytes(b"video")
    made.add(
        Task(name, str(path), identity=SourceIdentity.of(path))
        for name in NAMES
        for path in [tmp_path / f"{name}.mp4"]
    )
    done, failed, running, _ = made.tasks()
    made.record(replace(running, state="running"))
    (tmp_path / "work").mkdir()
    (tmp_path / "work/0.png").write_bytes(b"mask")
    digest, stamp = publish(tmp_path / "work", str(output), "done", "mine")
    made.record(replace(done, state="done", frames=3, digest=digest, stamp=stamp))
    made.record(replace(failed, state="failed", error="rotten"))
    return made


def states(ledger: Ledger) -> dict[str, str]:
    return {row.name: row.state for row in ledger.tasks()}


def known(ledger: Ledger, output: object, *, batch: str = "mine", retry_failed: bool = False) -> list[str]:
    how = JobConfig(output=str(output), batch=batch, retry_failed=retry_failed)
    ledger.recover()
    return list(check_recorded(ledger, ledger.tasks(), how))


WAITS = {"done": "done", "failed": "failed", "running": "queued", "queued": "queued"}


def test_unchanged_videos_are_resumed(ledger: Ledger, output: Path, tmp_path: Path) -> None:
    assert known(ledger, output) == []
    assert states(ledger) == WAITS
    ledger._base.rollback()
    assert states(ledger) == WAITS, "it is saved"


def test_a_video_with_another_video_has_failed_until_it_is_asked_for_again(
    ledger: Ledger, output: Path, tmp_path: Path
) -> None:
    for name in NAMES:
        (tmp_path / f"{name}.mp4").write_bytes(b"another video")
    said = known(ledger, output)
    reason = "its source is another than the batch was begun with: its size was 5 bytes, now it is 13"
    assert sorted(said) == sorted(f"{name}: {reason}" for name in ("done", "running", "queued"))
    assert set(states(ledger).values()) == {"failed"}
    (row,) = (row for row in ledger.tasks() if row.name == "done")
    assert row.error == f"{reason}; --retry-failed does it anew"
    assert known(ledger, output) == [], "it is reported once"
    assert known(ledger, output, retry_failed=True) == []
    assert set(states(ledger).values()) == {"queued"}
    assert {row.error for row in ledger.tasks()} == {None}
    assert known(ledger, output) == [], "the video is the new one from now on"
    assert set(states(ledger).values()) == {"queued"}


def test_a_video_that_is_gone_or_not_known_is_left_to_its_worker(
    ledger: Ledger, output: Path, tmp_path: Path
) -> None:
    (tmp_path / "queued.mp4").unlink()
    ledger.add([Task("new", str(tmp_path / "done.mp4"), ("--fit",))])
    assert known(ledger, output) == []
    assert states(ledger) == {**WAITS, "new": "queued"}


@pytest.mark.parametrize("how", ["removed", "of another batch", "of another video"])
def test_results_that_are_gone_are_made_again(ledger: Ledger, output: Path, tmp_path: Path, how: str) -> None:
    if how == "removed":
        (output / "done").rename(tmp_path / "elsewhere")
    if how == "of another video":
        (output / "done").rename(output / "other")
        (tmp_path / "work").mkdir()
        publish(tmp_path / "work", str(output), "third", "mine")
        (output / "third").rename(output / "done")
    batch = "mine"
    if how == "of another batch":
        batch = "other"
        os.utime(output / "done/0.png", (1, 1))
    assert known(ledger, output, batch=batch) == ["done: its results are gone; it is done again"]
    assert states(ledger) == {**WAITS, "done": "queued"}


@pytest.mark.parametrize("how", ["removed", "overwritten", "same size", "added", "renamed"])
def test_results_that_have_changed_are_made_again(ledger: Ledger, output: Path, how: str) -> None:
    mask = output / "done/0.png"
    if how == "removed":
        mask.unlink()
    elif how == "renamed":
        mask.rename(output / "done/1.png")
    elif how == "added":
        (output / "done/1.png").write_bytes(b"mask")
    else:
        mask.write_bytes(b"x" if how == "overwritten" else b"MASK")
    assert known(ledger, output) == ["done: its results have changed; it is done again"]
    assert states(ledger) == {**WAITS, "done": "queued"}


def test_results_are_read_only_where_their_times_differ(
    ledger: Ledger, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    monkeypatch.setattr(run, "digest_of", lambda folder: read.append(folder) or digest_of(folder))
    assert known(ledger, output) == []
    assert read == []
    os.utime(output / "done/0.png", (1, 1))
    assert known(ledger, output) == known(ledger, output) == []
    assert read == [output / "done"], "the new time is stored"
