"""Cameras that are removed, added, offline, or on a disk that was full: nothing of them is forgotten."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from segue.errors import SegueError
from segue.events.archive import EventArchive
from segue.events.store import upkeep
from segue.events.store.store import EventStore
from segue.events.store.upkeep import UPKEEP
from segue.utils.system import num_cores
from segue_watch import threads as module
from segue_watch.camera import Camera
from segue_watch.cameras import CameraSet, care_for_removed
from segue_watch.configuration import read_cameras
from segue_watch.threads import NetworkPool
from segue_watch.web.history import counts_of, visits_of
from segue_watch.web.query import Query
from tests.cli.mjpeg import mjpeg_camera
from tests.events.stored import store_of
from tests.segue_watch.test_command import QUICK, two_cameras, watched
from tests.segue_watch.test_full_disk import full as full
from tests.segue_watch.test_history import event
from tests.waiting import wait_for

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

OFFLINE = """
[defaults]
model = "median"
keep = "1h"
[cameras.gate]
source = "rtsp://127.0.0.1:9/none"
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with mjpeg_camera() as found:
        yield found


def offline_camera(folder: Path) -> Camera:
    """A camera that gives no frames, with an image of long ago."""
    (folder / "cameras.toml").write_text(OFFLINE)
    (folder / "gate").mkdir()
    name = "00001-enter-1.jpg"
    (folder / "gate" / name).write_bytes(bytes(10))
    store = store_of(folder / "gate.db", [event(1) | {"snapshot": name}], folder / "gate")
    with store.changing() as base:
        base.execute("update media set created = 1000")
    store.close()
    return Camera(
        "gate", read_cameras(folder / "cameras.toml", folder)["gate"], lambda *_: None, lambda _: None
    )


def images(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "gate").glob("0*"))


def test_images_of_a_camera_without_frames_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "KEEP_SECONDS", 0.05)
    gate = offline_camera(tmp_path)
    with watched(gate):
        gate.care()
        wait_for(lambda: images(tmp_path) == [])
    UPKEEP.leave(EventArchive(tmp_path / "gate.csv", tmp_path / "gate"))


def test_images_of_a_camera_that_is_no_longer_in_the_file_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, and in a later one, by what its file said."""
    monkeypatch.setattr(upkeep, "KEEP_SECONDS", 0.05)
    gate = offline_camera(tmp_path)
    gate.care()
    wait_for(lambda: images(tmp_path) == [])
    UPKEEP.leave(EventArchive(tmp_path / "gate.csv", tmp_path / "gate"))
    gate.close()
    (tmp_path / "other.db").write_bytes(b"of another program")
    name = "00002-enter-2.jpg"
    (tmp_path / "gate" / name).write_bytes(bytes(10))
    store = store_of(tmp_path / "gate.db", [event(2) | {"snapshot": name}], tmp_path / "gate")
    with store.changing() as base:
        base.execute("update media set created = 1000")
    store.close()
    care_for_removed(tmp_path, {"gate"})
    assert not UPKEEP.knows(tmp_path / "gate.db"), "one that is in the file cares for itself"
    care_for_removed(tmp_path, {"yard"})
    wait_for(lambda: images(tmp_path) == [])
    UPKEEP.leave(EventArchive(tmp_path / "gate.csv", tmp_path / "gate"))


def test_images_elsewhere_are_deleted_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "KEEP_SECONDS", 0.05)
    gate = offline_camera(tmp_path)
    elsewhere = tmp_path / "more" / "pictures"
    elsewhere.parent.mkdir()
    gate.change(gate.job.model_copy(update={"snapshots": elsewhere, "keep": ("99999d",)}))
    (tmp_path / "gate").rename(elsewhere)
    gate.care()
    archive = gate.archive
    assert archive is not None
    UPKEEP.leave(archive)
    gate.close()
    store = EventStore.open(tmp_path / "gate.db")
    store.set(keep="1h")
    store.close()
    care_for_removed(tmp_path, {"yard"})
    wait_for(lambda: not [*elsewhere.glob("0*")])
    UPKEEP.leave(archive)


def test_limits_that_were_lifted_delete_nothing_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "KEEP_SECONDS", 0.05)
    gate = offline_camera(tmp_path)
    gate.change(gate.job.model_copy(update={"keep": ("99999d",)}))
    gate.care()
    gate.change(gate.job.model_copy(update={"keep": ()}))
    gate.care()
    gate.close()
    care_for_removed(tmp_path, {"yard"})
    assert not UPKEEP.knows(tmp_path / "gate.db")
    assert images(tmp_path) == ["00001-enter-1.jpg"]


def test_a_camera_that_was_just_removed_is_an_error_that_people_understand() -> None:
    with pytest.raises(SegueError, match="there is no camera gate any more"):
        CameraSet([])["gate"]


def test_threads_of_networks_follow_the_number_of_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "num_cores", lambda: 8)
    pool = NetworkPool(1)
    assert pool.size == 1
    assert pool.submit(lambda: 1).result(30) == 1
    pool.resize(4)
    assert pool.size == 4
    assert pool.submit(lambda: 2).result(30) == 2
    pool.shutdown()
    assert num_cores() > 0


def test_a_run_that_ends_while_the_disk_is_full_leaves_no_trouble_behind(
    address: str, tmp_path: Path, full: list[bool]
) -> None:
    file = two_cameras(tmp_path, address, end=100_000)
    job = read_cameras(file, tmp_path / "out")["yard"]
    yard = Camera("yard", job, lambda *_: None, lambda _: None, patience=QUICK)
    with watched(yard):
        wait_for(lambda: yard.disk_problem)
        frames = yard.num_frames
        yard.change(job.model_copy(update={"source": job.source.model_copy(update={"max_size": 100})}))
        full[0] = False
        wait_for(lambda: yard.num_frames > frames + 30)
        wait_for(lambda: yard.state()["healthy"])
    store = EventStore.open(tmp_path / "out" / "yard.db")
    assert store.num_unsaved == 0
    store.close()


def test_two_thousand_parts_cost_an_answer_nothing(tmp_path: Path) -> None:
    """Twelve weeks by the hour."""
    store = store_of(tmp_path / "gate.db", [event(number, minutes=-number) for number in range(1, 200)])
    for number in range(2000):
        store.begin_part(
            f"20260101T{number // 3600:02d}{number // 60 % 60:02d}{number % 60:02d}Z", "gate.csv"
        )
    store.flush()
    begin = os.times()
    for _ in range(20):
        assert len(visits_of({"gate": store}, Query()).events) == 60
        counts_of({"gate": store}, Query(), [0.0])
    end = os.times()
    assert (end.user + end.system - begin.user - begin.system) / 20 < 0.1
    store.close()
