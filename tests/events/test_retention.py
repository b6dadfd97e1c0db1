"""Images and clips of events are deleted in order, whatever the clock says, and kept ones stay."""

from __future__ import annotations

import os
import sqlite3
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from segue.errors import SegueError, SinkError
from segue.events.archive import EventArchive
from segue.events.store import retention
from segue.events.store.clock import MAX_PAUSE, TRUST_SECONDS, StoreClock
from segue.events.store.file import StoreFile
from segue.events.store.retention import (
    DiskUse,
    Retention,
    RetentionWarning,
    days_left,
    delete_expired,
    disk_use,
    warn_on_change,
)
from segue.events.store.store import EventStore
from segue.events.store.upkeep import Upkeep
from segue.events.table import Event
from tests.waiting import wait_for

DAY = 86400.0
NOW = 1_000_000_000.0


class Camera:
    """Images of a camera, with a clock that a test sets."""

    def __init__(self, folder: Path) -> None:
        self.archive = EventArchive(folder / "gate.csv", folder / "gate")
        self.folder = folder / "gate"
        self.wall = self.elapsed = NOW
        self.store = EventStore.open(self.archive.store)
        self.store.clock = StoreClock(None, lambda: self.wall, lambda: self.elapsed)
        self.visits: dict[str, int] = {}

    def put(self, number: int, days_ago: float, size: int = 1000, part: str = "", clip: str = "") -> str:
        """The image of a visit, of some days ago."""
        name = f"{number:05d}-enter-{number}.jpg"
        folder = self.archive.part(part).folder
        assert folder is not None
        folder.mkdir(parents=True, exist_ok=True)
        self.store.begin_part(part, "gate.csv")
        event = Event("enter", number, 0, 0.0, 0, 0, 9, 9, 81, 0.0, 81, snapshot=name, clip=clip)
        recorded = self.store.record(event, part)
        self.store.put(recorded)
        self.visits[name] = recorded.visit
        for each in filter(None, (name, clip)):
            (folder / each).write_bytes(bytes(size))
            self.store.set_media(part, each, "complete", size)
        self.store.flush()
        with self.store.changing() as base:
            base.execute(
                "update media set created = ? where name in (?, ?)", (NOW - days_ago * DAY, name, clip)
            )
        return name

    def keep(self, *names: str, value: bool = True) -> None:
        self.store.mark([self.visits[name] for name in names], "kept", value)

    def delete(self, limits: Retention) -> int:
        return delete_expired(self.store, self.archive, limits)

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.rglob("0*"))


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Camera]:
    made = Camera(tmp_path)
    yield made
    made.store.close()


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
def test_invalid_limits_of_keep_are_refused(texts: list[str]) -> None:
    with pytest.raises(SegueError, match="--keep"):
        Retention.parse(texts)


def test_expired_images_are_deleted_and_kept_ones_stay(camera: Camera) -> None:
    names = [camera.put(number, days) for number, days in enumerate((40, 31, 29, 1), 1)]
    (camera.folder / "mine.jpg").write_bytes(b"of somebody else")
    camera.keep(names[1])
    assert camera.delete(Retention(seconds=30 * DAY)) == 1
    assert camera.names == names[1:]
    assert (camera.folder / "mine.jpg").exists()


def test_the_oldest_of_all_parts_make_room(camera: Camera) -> None:
    part = "20261121T205300Z"
    [camera.put(number, 10 - number) for number in range(1, 4)]
    last = [camera.put(number, 7 - number, part=part) for number in range(4, 7)]
    assert camera.delete(Retention(size=4000)) == 3, "3 of 4 kB are left: less than ROOM of the limit"
    assert camera.names == last
    assert camera.delete(Retention(size=4000)) == 0


def test_a_clip_that_visits_share_stays_as_long_as_one_of_them_is_kept(camera: Camera) -> None:
    clip = "00001-enter-1.mp4"
    camera.put(1, 9, clip=clip)
    image = camera.put(2, 9, clip=clip)
    camera.keep(image)
    camera.delete(Retention(seconds=DAY))
    assert camera.names == [clip, image]
    camera.keep(image, value=False)
    camera.delete(Retention(seconds=DAY))
    assert camera.names == []


def test_later_images_of_a_kept_visit_are_kept_too(camera: Camera) -> None:
    """Its clips of loitering and leaving, hours later."""
    image = camera.put(1, 9)
    camera.keep(image)
    event = Event("leave", 1, 0, 0.0, 0, 0, 9, 9, 81, 0.0, 81, snapshot="00002-leave-1.jpg",
                  clip="00002-leave-1.mp4")  # fmt: skip
    camera.store.put(camera.store.record(event))
    for name in ("00002-leave-1.jpg", "00002-leave-1.mp4"):
        (camera.folder / name).write_bytes(bytes(10))
        camera.store.set_media("", name, "complete", 10)
    camera.store.flush()
    with camera.store.changing() as base:
        base.execute("update media set created = ?", (NOW - 9 * DAY,))
    assert camera.delete(Retention(seconds=DAY)) == 0
    assert len(camera.names) == 3


def test_reviewed_visits_stay_reviewed_when_their_images_expire(camera: Camera) -> None:
    for number in range(1, 101):
        camera.put(number, 9)
    camera.store.mark(camera.visits.values(), "reviewed", True, "anna")
    assert camera.delete(Retention(seconds=DAY)) == 100
    marks = camera.store.read("select distinct reviewed, reviewer from visits")
    assert marks == [(1, "anna")]
    without_image = camera.store.record(Event("enter", 900, 0, 0.0, 0, 0, 9, 9, 81, 0.0, 81))
    camera.store.put(without_image)
    changed = camera.store.mark([without_image.visit], "reviewed", True)
    assert changed[without_image.visit].reviewed, "also a visit that never had one"


def test_a_clock_of_another_year_for_a_minute_makes_nothing_old(camera: Camera) -> None:
    names = [camera.put(number, 0) for number in range(1, 101)]
    said = dict[str, str]()
    camera.wall += 10 * 365 * DAY
    assert delete_expired(camera.store, camera.archive, Retention(seconds=30 * DAY), said.__setitem__) == 0
    assert camera.names == names
    assert any("the clock was set by +87600 hours" in text for text in said.values())
    meanwhile = camera.put(101, 0)
    camera.wall, camera.elapsed = NOW + 60, NOW + 60
    assert delete_expired(camera.store, camera.archive, Retention(seconds=30 * DAY), said.__setitem__) == 0
    assert not any(said.values())
    camera.wall, camera.elapsed = NOW + 31 * DAY, NOW + 31 * DAY
    assert camera.delete(Retention(seconds=30 * DAY)) == 101, "also those of that minute, in time"
    assert meanwhile not in camera.names


def test_a_clock_that_says_the_same_for_a_day_is_right() -> None:
    wall, elapsed = NOW, 0.0
    clock = StoreClock(None, lambda: wall, lambda: elapsed)
    wall = NOW + 400 * DAY
    assert clock.now() == NOW
    assert clock.problem
    wall, elapsed = wall + TRUST_SECONDS + 1, TRUST_SECONDS + 1
    assert clock.now() == pytest.approx(wall)
    assert not clock.problem


@pytest.mark.parametrize(("pause", "trusted"), [(DAY, True), (-100 * DAY, False), (MAX_PAUSE + DAY, False)])
def test_a_clock_is_compared_with_that_of_the_process_before(pause: float, trusted: bool) -> None:
    before = StoreClock(None, lambda: NOW, lambda: 5.0)
    after = StoreClock(before.state(), lambda: NOW + pause, lambda: 1.0)
    assert after.now() == (NOW + pause if trusted else NOW)


def test_the_days_of_a_disk_follow_from_what_came_in_the_last_day(camera: Camera) -> None:
    assert disk_use(camera.store, camera.archive, None) is None
    camera.put(1, 0.5, 4000)
    camera.put(2, 1.5, 9000)
    use = disk_use(camera.store, camera.archive, None)
    assert use is not None
    assert (use.used, use.per_day, use.limit) == (13_000, 4000, None)
    bounded = disk_use(camera.store, camera.archive, Retention(seconds=10 * DAY, size=50_000))
    assert bounded is not None
    assert bounded.limit == 40_000


def test_the_rate_of_the_first_minutes_is_that_of_the_time_that_passed(camera: Camera) -> None:
    minute = 1 / (24 * 60)
    for number in range(10):
        camera.put(number + 1, (number + 1) * minute, 1000)
    use = disk_use(camera.store, camera.archive, None)
    assert use is not None
    assert use.per_day == pytest.approx(24 * 60 * 1000, rel=0.01)


def test_a_disk_lasts_for_ever_where_the_limits_fit_on_it() -> None:
    assert days_left([]) is None
    assert days_left([DiskUse(10, 5, 100, 90)]) is None
    assert days_left([DiskUse(10, 5, 100, None)]) == 20
    assert days_left([DiskUse(10, 5, 50, 90)]) == 10
    assert days_left([DiskUse(10, 5, 100, 60), DiskUse(10, 10, 100, None)]) == 5


def test_kept_images_that_take_the_room_of_others_are_reported_with_numbers(camera: Camera) -> None:
    said: dict[str, str] = {}
    names = [camera.put(number, 10 - number) for number in range(1, 5)]
    shares = []
    for name in names:
        camera.keep(name)
        delete_expired(camera.store, camera.archive, Retention(size=4_000), said.__setitem__)
        shares.append("".join(said.values()))
    assert shares[0] == ""
    assert [
        f"{percent} % or more of the 0.004 MB" in text
        for percent, text in zip((50, 70, 100), shares[1:], strict=True)
    ] == [True] * 3
    camera.keep(*names, value=False)
    delete_expired(camera.store, camera.archive, Retention(size=10_000), said.__setitem__)
    assert not "".join(said.values())


def test_a_mark_that_is_made_during_a_deletion_counts(
    camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person keeps the last of a hundred while the first ones are deleted."""
    names = [camera.put(number, 200 - number) for number in range(1, 101)]
    marked, unlink = threading.Event(), Path.unlink

    def first_marks(path: Path, missing_ok: bool = False) -> None:
        if not marked.is_set():
            marked.set()
            person = threading.Thread(target=camera.keep, args=(names[-1],))
            person.start()
            people.append(person)
        unlink(path, missing_ok=missing_ok)

    people: list[threading.Thread] = []
    monkeypatch.setattr(Path, "unlink", first_marks)
    monkeypatch.setattr(retention, "FILES_PER_BATCH", 10)
    camera.delete(Retention(seconds=DAY))
    people[0].join(30)
    kept = camera.store.read("select id from visits where kept = 1")
    assert kept == [(camera.visits[names[-1]],)]
    state = camera.store.read("select state from media where name = ?", names[-1])
    assert (camera.names == [names[-1]]) == (state == [("complete",)])


def test_a_file_that_cannot_be_deleted_stays_with_a_word_and_the_others_go(
    camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [camera.put(number, 9) for number in (1, 2, 3)]
    unlink, said = Path.unlink, dict[str, str]()

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.name == names[0]:
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert delete_expired(camera.store, camera.archive, Retention(seconds=DAY), said.__setitem__) == 2
    assert camera.names == names[:1]
    assert any("images and clips stay that are to be deleted" in text for text in said.values())


def test_upkeep_serves_a_camera_without_frames_until_it_is_left(camera: Camera) -> None:
    camera.put(1, 9)
    upkeep = Upkeep(lambda: 0.05)
    upkeep.care(camera.store, camera.archive, Retention(seconds=DAY))
    wait_for(lambda: camera.names == [])
    camera.put(2, 9)
    wait_for(lambda: camera.names == [])
    upkeep.leave(camera.archive)
    assert not upkeep.knows(camera.archive.store)


def test_upkeep_writes_what_waited_for_room(camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    transaction, full = StoreFile.transaction, [True]

    def refuse(file: StoreFile) -> object:
        if full[0]:
            raise sqlite3.OperationalError("database or disk is full")
        return transaction(file)

    camera.store.begin_part("", "gate.csv")
    monkeypatch.setattr(StoreFile, "transaction", refuse)
    camera.store.put(camera.store.record(Event("enter", 1, 0, 0.0, 0, 0, 9, 9, 81, 0.0, 81)))
    with pytest.raises(SinkError, match="disk is full"):
        camera.store.flush()
    full[0] = False
    upkeep = Upkeep(lambda: 0.05)
    upkeep.care(camera.store, camera.archive, None)
    wait_for(lambda: camera.store.num_unsaved == 0)
    upkeep.leave(camera.archive)
    assert camera.store.problem == ""


def test_warnings_are_repeated_only_after_a_change() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RetentionWarning)
        for text in ("damaged", "damaged", "", "", "damaged", "worse"):
            warn_on_change("marks in a", text)
        warn_on_change("marks in a", "")
    assert [str(each.message) for each in caught] == ["damaged", "damaged", "worse"]


def test_two_thousand_parts_cost_no_more_than_one(camera: Camera) -> None:
    """Twelve weeks by the hour: what is to be deleted is a question to the store, not a look at folders."""
    for number in range(1, 2001):
        part = f"20260101T{number // 3600:02d}{number // 60 % 60:02d}{number % 60:02d}Z"
        camera.store.begin_part(part, f"gate-{part}.csv")
        camera.store.put(camera.store.record(Event("enter", number, 0, 0.0, 0, 0, 9, 9, 81, 0.0, 81), part))
        camera.store.set_media(part, f"{number:05d}-enter-{number}.jpg", "complete", 10)
    camera.store.flush()
    camera.folder.mkdir()
    begin = os.times()
    for _ in range(10):
        camera.delete(Retention(seconds=DAY, size=10**6))
    end = os.times()
    assert (end.user + end.system) - (begin.user + begin.system) < 1.0
