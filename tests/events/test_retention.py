"""Images and clips of events are deleted in order, and tables say so."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from segue.errors import SegueError
from segue.events import EventSink, read_events
from segue.events import snapshots as module
from segue.events.retention import (
    DELETED,
    DiskUse,
    Marks,
    Retention,
    days_left,
    delete_expired,
    disk_use,
    stored,
)
from segue.events.snapshots import Snapshots
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
    Marks(tmp_path / "a").change(names[1], "", reviewed=False, kept=True)
    gone = delete_expired([tmp_path / "a"], Retention(seconds=30 * DAY), NOW)
    assert gone == {tmp_path / "a": {names[0]}}
    assert sorted(each.path.name for each in stored(tmp_path / "a")) == names[1:]
    assert (tmp_path / "a" / "mine.jpg").exists()


def test_the_oldest_of_all_folders_make_room(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    first = [put(old, number, 10 - number) for number in range(3)]
    last = [put(new, number, 3 - number) for number in range(3)]
    gone = delete_expired([new, old], Retention(size=4000), NOW)
    assert gone == {old: {*first}}, "3 of 4 kB are left: less than ROOM of the limit"
    assert sorted(each.path.name for each in stored(new)) == last
    assert delete_expired([new, old], Retention(size=4000), NOW) == {}


def test_a_clip_that_events_share_stays_as_long_as_one_of_them_is_kept(tmp_path: Path) -> None:
    put(tmp_path, 1, 9)
    image = put(tmp_path, 2, 9)
    (tmp_path / "00001-enter-1.mp4").write_bytes(bytes(10))
    os.utime(tmp_path / "00001-enter-1.mp4", (NOW - 9 * DAY,) * 2)
    marks = Marks(tmp_path)
    marks.change(image, "00001-enter-1.mp4", reviewed=True, kept=True)
    delete_expired([tmp_path], Retention(seconds=DAY), NOW)
    assert sorted(each.path.name for each in stored(tmp_path)) == ["00001-enter-1.mp4", image]
    marks.change(image, "00001-enter-1.mp4", reviewed=True, kept=False)
    delete_expired([tmp_path], Retention(seconds=DAY), NOW)
    assert stored(tmp_path) == []
    assert Marks(tmp_path).of(image) == {"reviewed": False, "kept": False}, "it may not stay for ever"


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1, "00001-enter-1.jpg": 2}', "\0"])
def test_marks_that_are_damaged_mark_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "marks.json").write_text(text)
    assert Marks(tmp_path).kept == set()


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_a_table_says_what_is_deleted_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """Each frame looks at what is kept, with room for one image: earlier ones go, the others stay."""
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.0)
    table, folder = tmp_path / f"gate{suffix}", tmp_path / "gate"
    for keep in (Retention(size=1), None):
        snapshots = Snapshots(folder, 10, live=True, append=True, keep=keep)
        with EventSink(table, snapshots=snapshots, live=True, append=True) as sink:
            for index in range(60):
                number = 1 + index // 20
                image, mask = np.full((64, 96, 3), 90, np.uint8), np.zeros((64, 96), np.uint8)
                mask[20:40, 20:40] = number
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
    use = disk_use([tmp_path], None, NOW)
    assert use is not None
    assert (use.used, use.per_day, use.limit) == (13_000, 4000, None)
    bounded = disk_use([tmp_path], Retention(seconds=10 * DAY, size=50_000), NOW)
    assert bounded is not None
    assert bounded.limit == 40_000
    assert disk_use([tmp_path / "none"], None, NOW) is None


def test_a_disk_lasts_for_ever_where_the_limits_fit_on_it() -> None:
    assert days_left([]) is None
    assert days_left([DiskUse(10, 5, 100, 90)]) is None
    assert days_left([DiskUse(10, 5, 100, None)]) == 20
    assert days_left([DiskUse(10, 5, 50, 90)]) == 10
    assert days_left([DiskUse(10, 5, 100, 60), DiskUse(10, 10, 100, None)]) == 5


def test_marks_are_json_that_people_can_read(tmp_path: Path) -> None:
    Marks(tmp_path).change("00001-enter-1.jpg", "", reviewed=True, kept=False)
    known = json.loads((tmp_path / "marks.json").read_text())
    assert known == {"00001-enter-1.jpg": {"reviewed": True, "kept": False, "clip": ""}}
