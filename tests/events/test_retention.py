"""Images and clips of events are deleted in order, and tables say so."""

from __future__ import annotations

import errno
import os
import stat
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from segue.errors import SegueError
from segue.events import EventSink, read_events, retention
from segue.events.archive import EventArchive
from segue.events.images.snapshots import Snapshots
from segue.events.marks import Marks
from segue.events.retention import (
    DELETED,
    JOURNAL,
    DeletionJournal,
    DiskUse,
    Retention,
    days_left,
    delete_expired,
    disk_use,
    stored,
)
from segue.events.table import COLUMNS, Event, EventTable
from segue.types import Frame, ObjectInfo, Segmentation

DAY = 86400.0
NOW = 1_000_000_000.0


def put(folder: Path, number: int, days_ago: float, size: int = 1000) -> str:
    folder.mkdir(exist_ok=True)
    name = f"{number:05d}-enter-{number}.jpg"
    (folder / name).write_bytes(bytes(size))
    os.utime(folder / name, (NOW - days_ago * DAY,) * 2)
    return name


@pytest.mark.parametrize(
    ("texts", "limits"),
    [
        (["30d"], (30 * DAY, None)),
        (["1.5GB", "4w"], (28 * DAY, 1_500_000_000)),
        (["12h"], (DAY / 2, None)),
    ],
)
def test_limits_are_times_and_sizes(texts: list[str], limits: tuple[float, int]) -> None:
    found = Retention.parse(texts)
    assert found is not None
    assert (found.seconds, found.size) == limits


@pytest.mark.parametrize("texts", [["30"], ["0d"], ["-1GB"], ["1GB", "2GB"], ["9 kB"], [""]])
def test_other_limits_are_refused(texts: list[str]) -> None:
    with pytest.raises(SegueError, match="--keep"):
        Retention.parse(texts)


def test_what_is_too_old_is_deleted_and_what_is_marked_stays(tmp_path: Path) -> None:
    names = [put(tmp_path / "a", number, days) for number, days in enumerate((40, 31, 29, 1))]
    (tmp_path / "a" / "mine.jpg").write_bytes(b"of somebody else")
    Marks(tmp_path / "a").change(names[1], "kept", True)
    gone = delete_expired([tmp_path / "a"], Retention(seconds=30 * DAY), NOW)
    assert gone == {tmp_path / "a": {names[0]}}
    assert sorted(each.path.name for each in stored(tmp_path / "a")) == names[1:]
    assert (tmp_path / "a" / "mine.jpg").exists()


def test_the_oldest_of_all_folders_make_room(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    first = [put(old, number, 10 - number) for number in range(3)]
    last = [put(new, number, 3 - number) for number in range(3)]
    folders = [new, old, new, old]  # while a part ends, or after a clock that was set back
    gone = delete_expired(folders, Retention(size=4000), NOW)
    assert gone == {old: {*first}}, "3 of 4 kB are left: less than ROOM of the limit"
    assert sorted(each.path.name for each in stored(new)) == last
    assert delete_expired([new, old], Retention(size=4000), NOW) == {}


def test_a_clip_that_events_share_stays_as_long_as_one_of_them_is_kept(tmp_path: Path) -> None:
    put(tmp_path, 1, 9)
    image = put(tmp_path, 2, 9)
    (tmp_path / "00001-enter-1.mp4").write_bytes(bytes(10))
    os.utime(tmp_path / "00001-enter-1.mp4", (NOW - 9 * DAY,) * 2)
    marks = Marks(tmp_path)
    marks.change(image, "kept", True, "00001-enter-1.mp4")
    delete_expired([tmp_path], Retention(seconds=DAY), NOW)
    assert sorted(each.path.name for each in stored(tmp_path)) == ["00001-enter-1.mp4", image]
    marks.change(image, "kept", False)
    delete_expired([tmp_path], Retention(seconds=DAY), NOW)
    assert stored(tmp_path) == []
    assert Marks(tmp_path).of(image) == {"reviewed": False, "kept": False}, "it may not stay for ever"


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_a_table_says_what_is_deleted_while_it_is_written(tmp_path: Path, suffix: str) -> None:
    """Each frame looks at what is kept, with room for one image: earlier ones go, the others stay."""
    table, folder = tmp_path / f"gate{suffix}", tmp_path / "gate"
    for keep in (Retention(size=1), None):
        snapshots = Snapshots(folder, 10, live=True, append=True, keep=keep, keep_every=0.0)
        with EventSink(table, snapshots=snapshots, live=True, append=True) as sink:
            for index in range(60):
                number = 1 + index // 20
                image, mask = np.full((64, 96, 3), 90, np.uint8), np.zeros((64, 96), np.uint8)
                mask[20:40, 20:40] = number
                image[mask > 0] = 60 * number
                result = Segmentation(index, index / 10, mask, (ObjectInfo(number),))
                sink.write(Frame(index, index / 10, image), result)
                sink.flush()
    rows = [*read_events(table)]
    names = {row["snapshot"] for row in rows}
    assert DELETED in names
    assert names - {DELETED} >= {path.name for path in folder.glob("*.jpg")}
    assert [row["event"] for row in rows].count("enter") == 6, "no row is lost"


def test_the_days_of_a_disk_follow_from_what_came_in_the_last_day(tmp_path: Path) -> None:
    put(tmp_path, 1, 0.5, 4000)
    put(tmp_path, 2, 1.5, 9000)
    use = disk_use([tmp_path, tmp_path], None, NOW)
    assert use is not None
    assert (use.used, use.per_day, use.limit) == (13_000, 4000, None)
    bounded = disk_use([tmp_path], Retention(seconds=10 * DAY, size=50_000), NOW)
    assert bounded is not None
    assert bounded.limit == 40_000
    assert disk_use([tmp_path / "none"], None, NOW) is None


def test_the_rate_of_the_first_minutes_is_that_of_the_time_that_passed(tmp_path: Path) -> None:
    minute = 1 / (24 * 60)
    for number in range(10):
        put(tmp_path, number, (number + 1) * minute, 1000)
    use = disk_use([tmp_path], None, NOW)
    assert use is not None
    assert use.per_day == pytest.approx(24 * 60 * 1000, rel=0.01)


def test_a_disk_lasts_for_ever_where_the_limits_fit_on_it() -> None:
    assert days_left([]) is None
    assert days_left([DiskUse(10, 5, 100, 90)]) is None
    assert days_left([DiskUse(10, 5, 100, None)]) == 20
    assert days_left([DiskUse(10, 5, 50, 90)]) == 10
    assert days_left([DiskUse(10, 5, 100, 60), DiskUse(10, 10, 100, None)]) == 5


def test_images_below_the_limit_stay_however_often_their_folder_is_named(tmp_path: Path) -> None:
    for number in range(85):
        put(tmp_path, number, 1, 10_000)
    assert delete_expired([tmp_path, tmp_path], Retention(size=1_000_000), NOW) == {}


def test_kept_images_that_take_the_room_of_others_are_reported_with_numbers(tmp_path: Path) -> None:
    said: dict[str, str] = {}

    def report(topic: str, text: str) -> None:
        said[topic] = text

    names = [put(tmp_path, number, 10 - number) for number in range(4)]
    marks = Marks(tmp_path)
    shares = []
    for name in names:
        marks.change(name, "kept", True)
        delete_expired([tmp_path], Retention(size=4_000), NOW, report)
        shares.append("".join(said.values()))
    assert shares[0] == ""
    assert [
        f"{percent} % or more of the 0.004 MB" in text
        for percent, text in zip((50, 70, 100), shares[1:], strict=True)
    ] == [True] * 3
    for name in names:
        marks.change(name, "kept", False)
    delete_expired([tmp_path], Retention(size=10_000), NOW, report)
    assert not "".join(said.values())


def rows_of(path: Path, number: int, folder: Path) -> list[str]:
    """A table of so many events, and their images, which are all too old."""
    names = [put(folder, index, 100 + number - index) for index in range(1, number + 1)]
    table = EventTable(path)
    for index, name in enumerate(names, 1):
        table.add(asdict(Event("enter", index, 0, 0.0, 0, 0, 9, 9, 81, 0.0, 81, snapshot=name)))
        table.add(asdict(Event("leave", index, 0, 0.0, 0, 0, 9, 9, 81, 0.0, 81)))
    table.close()
    return names


def images_of(table: Path) -> list[str]:
    return [row["snapshot"] for row in read_events(table) if row["event"] == "enter"]


def live_run(table: Path, folder: Path, keep: Retention, frames: int = 1) -> None:
    """A part of a run that goes on after the rows and images that there are."""
    snapshots = Snapshots(folder, 10, live=True, append=True, keep=keep, keep_every=0.0)
    with EventSink(table, snapshots=snapshots, live=True, append=True) as sink:
        for index in range(frames):
            image, mask = np.full((48, 64, 3), 90, np.uint8), np.zeros((48, 64), np.uint8)
            sink.write(Frame(index, index / 10, image), Segmentation(index, index / 10, mask, ()))
            if (job := snapshots._retention) is not None:
                job.result()


def test_rows_are_marked_in_batches_and_the_table_keeps_its_link_and_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, folder = tmp_path / "gate.csv", tmp_path / "gate"
    names = rows_of(tmp_path / "disk.csv", 40, folder)
    (tmp_path / "disk.csv").chmod(0o640)
    table.symlink_to("disk.csv")

    class Limits(Retention):
        """One more image expires at each look."""

        def expired(self, files: object, retained: object, now: object) -> list[object]:  # type: ignore[override]
            return sorted(files, key=lambda each: each.path)[:1]  # type: ignore[call-overload, no-any-return]

    mark, rewritten = retention.note_deleted, []

    def note_deleted(path: Path, names: set[str]) -> None:
        rewritten.append(len(names))
        mark(path, names)

    monkeypatch.setattr("segue.events.table.note_deleted", note_deleted)
    monkeypatch.setattr(retention, "MARK_RATE", 1e-6)
    live_run(table, folder, Limits(), frames=30)
    assert rewritten == [30], "all at the end"
    assert images_of(table) == [DELETED] * 30 + names[30:]
    assert not (folder / JOURNAL).exists()
    assert table.is_symlink()
    assert stat.S_IMODE((tmp_path / "disk.csv").stat().st_mode) == 0o640
    monkeypatch.setattr(retention, "MARK_RATE", 1e12)
    rewritten.clear()
    live_run(table, folder, Limits(), frames=10)
    assert len(rewritten) > 5, "a rate that is high enough marks each at once"
    assert sum(rewritten) == 10


def test_what_was_deleted_before_a_crash_is_marked_by_the_next_run(tmp_path: Path) -> None:
    table, folder = tmp_path / "gate.csv", tmp_path / "gate"
    names = rows_of(table, 4, folder)
    gone = delete_expired([folder], Retention(seconds=DAY))
    assert gone == {folder: {*names}}
    (folder / JOURNAL).open("a").write("\n00099-ent")  # and the crash cut this one off
    assert DeletionJournal(folder).names() == {*names}
    assert names[0] in table.read_text(), "the run was killed"
    live_run(table, folder, Retention(seconds=DAY))
    assert images_of(table) == [DELETED] * 4
    assert not (folder / JOURNAL).exists()


def test_a_full_disk_stops_no_deletion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was deleted there is noted as soon as there is room."""
    names = [put(tmp_path, number, 9) for number in range(1, 4)]
    opened = Path.open

    def full(path: Path, mode: str = "r", *words: object, **options: object) -> object:
        if path.name == JOURNAL and "a" in mode:
            raise OSError(errno.ENOSPC, "no space")
        return opened(path, mode, *words, **options)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        assert delete_expired([tmp_path], Retention(seconds=DAY), NOW) == {tmp_path: {*names}}
    assert stored(tmp_path) == []
    assert not (tmp_path / JOURNAL).exists()
    assert DeletionJournal(tmp_path).names() == {*names}
    other = put(tmp_path, 4, 9)
    delete_expired([tmp_path], Retention(seconds=DAY), NOW)
    assert (tmp_path / JOURNAL).read_text().split()[1:] == [*names, other]
    DeletionJournal(tmp_path).remove({*names})
    assert DeletionJournal(tmp_path).names() == {other}


def test_a_table_of_another_part_is_marked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MARK_RATE", 1e12)
    earlier, folder = tmp_path / "gate.csv", tmp_path / "gate"
    names = rows_of(earlier, 4, folder)
    part = folder / "20261121T205300Z"
    table = tmp_path / "gate-20261121T205300Z.csv"
    snapshots = Snapshots(
        part, 10, live=True, keep=Retention(seconds=DAY), archive=EventArchive(earlier, folder)
    )
    with EventSink(table, snapshots=snapshots, live=True) as sink:
        sink.write(
            Frame(0, 0.0, np.zeros((48, 64, 3), np.uint8)),
            Segmentation(0, 0.0, np.zeros((48, 64), np.uint8), ()),
        )
    assert stored(folder) == []
    assert not {*names} & {row["snapshot"] for row in read_events(earlier)}


def test_a_large_table_is_written_anew_less_often(tmp_path: Path) -> None:
    table = tmp_path / "gate.csv"
    with table.open("wb") as stream:
        stream.truncate(66_000_000)
    journal = DeletionJournal(tmp_path)
    journal.add(["00001-enter-1.jpg"])
    begun = time.time()
    due = [journal.needs_update(table, begun + 3600 * hours) for hours in (0, 1, 18, 19)]
    assert due == [False, False, False, True]


def test_events_wait_where_a_marked_table_cannot_be_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = EventTable(tmp_path / "gate.csv")
    table.note_deleted({"00001-enter-1.jpg"})
    opened = Path.open

    def refuse(path: Path, *words: object, **options: object) -> object:
        raise OSError(24, "Too many open files")

    row = dict.fromkeys(COLUMNS, 1)
    table.add(row)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.raises(OSError, match="Too many"):
            table.flush()
    assert table.num_waiting == 1
    table.flush()
    table.close()
    assert Path.open is opened
    assert len([*read_events(tmp_path / "gate.csv")]) == 1
