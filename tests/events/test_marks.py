"""Marks of events are changed one by one, and never guessed: what cannot be read keeps everything."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
import warnings
from contextlib import suppress
from pathlib import Path

import pytest

from segue.errors import SegueError, SinkError
from segue.events import retention
from segue.events.marks import CHANGING, Marks, MarksError
from segue.events.retention import Retention, RetentionWarning, Stored, delete_expired, stored, warn_once

IMAGE, CLIP = "00001-enter-1.jpg", "00001-enter-1.mp4"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images and a clip that are far too old."""
    for name in (IMAGE, CLIP, "00002-enter-2.jpg"):
        (tmp_path / name).write_bytes(bytes(10))
        os.utime(tmp_path / name, (1, 1))
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(each.path.name for each in stored(folder))


INVALID = {
    "empty": b"",
    "list": b"[]",
    "cut off": b'{"00001-enter-1.jpg": {"kept": tr',
    "other name": b'{"mine.jpg": {"kept": true}}',
    "no table": b'{"00001-enter-1.jpg": 2}',
    "text for a truth": b'{"00001-enter-1.jpg": {"kept": "yes"}}',
    "other clip": b'{"00001-enter-1.jpg": {"kept": true, "clip": "../a.mp4"}}',
    "no text": b"\xff\xfe\0",
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("data", INVALID.values(), ids=INVALID)
def test_marks_that_cannot_be_read_keep_everything_and_are_not_written_over(
    folder: Path, data: bytes
) -> None:
    (folder / "marks.json").write_bytes(data)
    said: dict[str, str] = {}
    assert delete_expired([folder], Retention(seconds=1, size=1), report=said.__setitem__) == {}
    assert names(folder) == [IMAGE, CLIP, "00002-enter-2.jpg"]
    assert [text for text in said.values() if "marks.json: cannot be read" in text]
    with pytest.raises(MarksError, match="mend the file"):
        Marks(folder)
    assert (folder / "marks.json").read_bytes() == data


def test_a_file_that_is_damaged_while_it_is_used_takes_no_further_mark(folder: Path) -> None:
    marks = Marks(folder)
    marks.change(IMAGE, "kept", True)
    (folder / "marks.json").write_bytes(b"{")
    with pytest.raises(MarksError):
        marks.change(IMAGE, "reviewed", True)
    assert (folder / "marks.json").read_bytes() == b"{"
    (folder / "marks.json").unlink()
    assert marks.change(IMAGE, "reviewed", True) == {"reviewed": True, "kept": False}, "it is mended"


def test_a_link_that_leads_nowhere_is_no_file_without_marks(folder: Path, tmp_path: Path) -> None:
    (folder / "marks.json").symlink_to(tmp_path / "not-mounted" / "marks.json")
    with pytest.raises(MarksError):
        Marks(folder)
    assert delete_expired([folder], Retention(seconds=1)) == {}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files by /proc")
def test_where_no_file_can_be_opened_nothing_is_deleted_and_no_mark_is_lost(folder: Path) -> None:
    import resource

    Marks(folder).change(IMAGE, "kept", True, CLIP)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir()) + 2
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, limits[1]))
    taken = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(MarksError, match="open files"):
            Marks(folder)
        assert delete_expired([folder], Retention(seconds=1)) == {}
        os.close(taken.pop())  # one for the list of files, and none beside it
        assert delete_expired([folder], Retention(seconds=1)) == {folder: {"00002-enter-2.jpg"}}
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert names(folder) == [IMAGE, CLIP]
    assert Marks(folder).retained == {IMAGE, CLIP}


def test_other_parts_of_a_camera_pay_for_no_marks_that_cannot_be_read(folder: Path, tmp_path: Path) -> None:
    (folder / "marks.json").write_bytes(b"{")
    other = tmp_path / "20261121T205300Z"
    other.mkdir()
    for number, when in ((1, 1), (2, 2_000_000_000)):
        (other / f"0000{number}-enter-1.jpg").write_bytes(bytes(10))
        os.utime(other / f"0000{number}-enter-1.jpg", (when, when))
    gone = delete_expired([folder, other], Retention(seconds=60, size=15))
    assert gone == {other: {"00001-enter-1.jpg"}}, "its age is known; whose room it takes is not"


def test_each_trouble_is_said_once_until_it_is_over() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RetentionWarning)
        for text in ("damaged", "damaged", "", "", "damaged", "worse"):
            warn_once("marks in a", text)
        warn_once("marks in a", "")
    assert [str(each.message) for each in caught] == ["damaged", "damaged", "worse"]


def test_a_mark_that_cannot_be_written_leaves_those_of_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = Marks(folder)
    marks.change(IMAGE, "kept", True)
    before = (folder / "marks.json").read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patch:
        patch.setattr("segue.utils.system.os.fsync", full)
        with pytest.raises(SinkError, match="the disk is full"):
            marks.change(IMAGE, "reviewed", True)
    assert (folder / "marks.json").read_bytes() == before
    assert marks.of(IMAGE) == {"reviewed": False, "kept": True}
    assert not [path for path in folder.iterdir() if path.suffix == ".partial"]
    assert marks.change(IMAGE, "reviewed", True) == {"reviewed": True, "kept": True}


def test_marks_stay_where_a_link_leads_with_their_mode(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere.json"
    place.write_text("{}")
    place.chmod(0o640)
    (folder / "marks.json").symlink_to(place)
    Marks(folder).change(IMAGE, "kept", True)
    assert (folder / "marks.json").is_symlink()
    assert stat.S_IMODE(place.stat().st_mode) == 0o640
    assert json.loads(place.read_text())[IMAGE]["kept"] is True


def test_marks_are_json_that_people_can_read_and_add_to(folder: Path) -> None:
    Marks(folder).change(IMAGE, "reviewed", True)
    text = json.loads((folder / "marks.json").read_text())
    assert text == {IMAGE: {"reviewed": True, "clip": ""}}
    text[IMAGE]["note"] = "the postman"
    (folder / "marks.json").write_text(json.dumps(text))
    Marks(folder).change(IMAGE, "kept", True, CLIP)
    assert json.loads((folder / "marks.json").read_text()) == {
        IMAGE: {"reviewed": True, "kept": True, "clip": CLIP, "note": "the postman"}
    }
    for mark in ("reviewed", "kept"):
        Marks(folder).change(IMAGE, mark, False)
    assert json.loads((folder / "marks.json").read_text()) == {}


def test_an_event_without_an_image_takes_no_mark(folder: Path) -> None:
    (folder / IMAGE).unlink()
    with pytest.raises(SegueError, match="no image any more"):
        Marks(folder).change(IMAGE, "kept", True)
    assert not (folder / "marks.json").exists()


def test_two_people_who_mark_one_event_at_once_lose_nothing(folder: Path) -> None:
    """Each has read the marks before the other has written his."""
    start, failures = threading.Barrier(2), list[BaseException]()

    def person(mark: str) -> None:
        try:
            for value in (True, False) * 15:
                marks = Marks(folder)
                start.wait(30)
                assert marks.change(IMAGE, mark, value)[mark] is value  # type: ignore[arg-type, index]
                start.wait(30)
                assert Marks(folder).of(IMAGE) == {"reviewed": value, "kept": value}
                start.wait(30)
        except BaseException as error:
            failures.append(error)
            start.abort()

    people = [threading.Thread(target=person, args=(mark,)) for mark in ("reviewed", "kept")]
    for each in people:
        each.start()
    for each in people:
        each.join(60)
    assert not failures, failures


class MarkedMeanwhile(Retention):
    """Limits of a deletion while which a person marks an image."""

    def expired(self, files: list[Stored], retained: set[Path], now: float) -> list[Stored]:  # type: ignore[override]
        gone = super().expired(files, retained, now)
        with CHANGING:
            Marks(gone[-1].path.parent).change(gone[-1].path.name, "kept", True)
        return gone


def test_a_mark_that_is_made_during_a_deletion_counts(folder: Path) -> None:
    assert delete_expired([folder], MarkedMeanwhile(seconds=1)) == {folder: {IMAGE, CLIP}}
    assert names(folder) == ["00002-enter-2.jpg"]
    assert retention.DeletionJournal(folder).names() == {IMAGE, CLIP}
