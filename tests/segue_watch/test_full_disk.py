"""A disk that takes nothing silences no alarm: messages go out at once, and the page says why rows wait."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from segue.events.store.file import StoreFile
from segue.events.table import Event, EventTable
from segue_watch.camera import Camera
from segue_watch.configuration import read_cameras
from segue_watch.web.metrics import metrics
from segue_watch.web.page import CameraPage
from tests.cli.mjpeg import mjpeg_camera
from tests.events.test_notify import Listener
from tests.segue_watch.small_disk import SmallDisk
from tests.segue_watch.test_cameras import DEAD, rows
from tests.segue_watch.test_command import QUICK, two_cameras, watched
from tests.waiting import wait_for

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def camera() -> Iterator[str]:
    with mjpeg_camera() as address:
        yield address


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """While its only item is true, neither tables nor stores can be written."""
    is_full = [True]
    write, transaction = EventTable._write, StoreFile.transaction

    def write_if_room(table: EventTable) -> None:
        if is_full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(table)

    @contextmanager
    def change_if_room(file: StoreFile) -> Iterator[sqlite3.Connection]:
        if is_full[0]:
            raise sqlite3.OperationalError("database or disk is full")
        with transaction(file) as base:
            yield base

    monkeypatch.setattr(EventTable, "_write", write_if_room)
    monkeypatch.setattr(StoreFile, "transaction", change_if_room)
    return is_full


def yard_of(folder: Path, camera: str, seen: list[Event], notify: str, **options: object) -> Camera:
    file = two_cameras(folder, camera, notify=notify, **{"end": 100_000, **options})
    job = read_cameras(file, folder / "out")["yard"]
    return Camera("yard", job, lambda *_: None, seen.append, patience=QUICK)


def test_alarms_go_out_while_the_disk_is_full_and_everybody_is_told(
    camera: str, listener: Listener, tmp_path: Path, full: list[bool]
) -> None:
    seen = list[Event]()
    yard = yard_of(tmp_path, camera, seen, listener.address)
    with CameraPage([yard], 0) as page, watched(yard):
        wait_for(lambda: len(listener.received) >= 2)
        with pytest.raises(HTTPError) as refused:
            urlopen(f"{page.address}health")
        assert refused.value.code == 503
        state = json.load(refused.value)["yard"]
        assert (state["well"], state["restarts"]) == (True, 0)
        assert "the disk is full" in state["disk_problem"]
        assert 'segue_disk_problem{camera="yard"} 1' in metrics({"yard": state})
        assert rows(tmp_path / "out/yard.csv") == []
        full[0] = False
        wait_for(lambda: not yard.disk_problem)
        wait_for(lambda: yard.state()["healthy"])
    assert yard.undelivered == 0
    assert [(row["event"], int(row["object"])) for row in rows(tmp_path / "out/yard.csv")] == [
        (event.event, event.object) for event in seen
    ]
    wait_for(lambda: len(listener.received) == len(seen))


def test_messages_waiting_at_the_end_are_delivered_although_the_disk_is_full(
    camera: str, listener: Listener, tmp_path: Path, full: list[bool]
) -> None:
    seen = list[Event]()
    yard = yard_of(tmp_path, camera, seen, listener.address)
    with watched(yard):
        wait_for(lambda: bool(seen))
    assert "end" in {event.event for event in seen} | {"end"}
    assert listener.kinds == [event.event for event in seen]
    assert yard.undelivered == 0


def test_messages_lost_on_a_full_disk_at_the_end_are_counted(
    camera: str, tmp_path: Path, full: list[bool]
) -> None:
    seen = list[Event]()
    yard = yard_of(tmp_path, camera, seen, DEAD)
    with watched(yard):
        wait_for(lambda: bool(seen))
    assert yard.undelivered == yard.num_unsaved == len(seen) > 0


def processor_time() -> float:
    """Seconds of processor time of all processes of this one that have ended."""
    return os.times().children_user + os.times().children_system


def test_a_camera_begins_on_a_full_disk(camera: str, listener: Listener, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    disk = SmallDisk(tmp_path / "out", 1 << 20)
    file = two_cameras(tmp_path, camera, notify=listener.address, end=100_000)
    disk.fill()
    earlier = processor_time()
    command = [
        *disk.command,
        sys.executable,
        "-m",
        "segue",
        "watch",
        str(file),
        "--output",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: len(listener.received) >= 4 or process.poll() is not None)
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        until_term = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        process.terminate()
        _, log = process.communicate(timeout=60)
    finally:
        process.kill()
        disk.close()
    assert len(listener.received) >= 4, log
    assert "the disk is full" in log
    assert "restarting" not in log
    # Where others compute it gets little of the processor, so that this is what the end takes.
    assert processor_time() - earlier - until_term < 1.5
