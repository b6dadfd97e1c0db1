"""Clips of a run that ends before they are written: the next one makes them, or their rows say "lost"."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from segue.errors import SinkError
from segue.events import EventSink
from segue.events.archive import EventArchive, pending_path
from segue.events.images import clips
from segue.events.images.clips import Clip, Moment, read_packets, write_packets
from segue.events.images.snapshots import Snapshots, SnapshotWarning
from segue.events.store.store import EventStore
from segue.events.table import Event
from tests.events.stored import clip_states, state_of
from tests.events.test_snapshots import FPS, images, seen
from tests.waiting import wait_for

NAME = "00001-enter-7.mp4"


class Camera:
    """Runs of a camera with events, each ended as a test says."""

    def __init__(self, folder: Path) -> None:
        self.table, self.images = folder / "gate.csv", folder / "gate"
        self.archive = EventArchive(self.table, self.images)

    def run(
        self, frames: range = range(12), *, stops: bool = True, closes: bool = True, **options: float
    ) -> EventSink:
        snapshots = Snapshots(
            self.images,
            FPS,
            append=True,
            live=True,
            stop_time=lambda: time.monotonic() if stops else None,
            **options,
        )
        sink = EventSink(
            self.table,
            snapshots=snapshots,
            live=True,
            append=True,
            stop_time=lambda: time.monotonic() if stops else None,
        )
        for index in frames:
            sink.write(*seen(index, index < 10))
        if closes:
            sink.close()
        return sink

    def states(self) -> list[str]:
        return clip_states(self.table)


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    return Camera(tmp_path)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Encoding a frame takes long, until it is set."""
    ready, result = threading.Event(), Moment.result

    def late(moment: Moment) -> Any:
        ready.wait(60)
        return result(moment)

    monkeypatch.setattr(Moment, "result", late)
    monkeypatch.setattr(clips, "END_SECONDS", 0.05)
    return ready


def test_a_run_that_is_to_stop_keeps_its_clips_and_the_next_one_finishes_them(
    camera: Camera, slow: threading.Event
) -> None:
    with pytest.warns(SnapshotWarning, match="the next run finishes 1 clips"):
        camera.run()
    assert not slow.is_set(), "it has not waited for the frame in work"
    assert camera.states() == ["pending", "pending"]
    assert state_of(camera.table, "00001-enter-7.jpg") == "complete"
    slow.set()
    sink = camera.run(range(0), closes=False)
    wait_for(lambda: camera.states() == ["complete", "complete"])
    sink.close()
    assert len(images(camera.images / NAME)) == 12
    wait_for(lambda: [*camera.images.glob(".*")] == [])


def test_a_run_that_fails_keeps_its_clips_too(camera: Camera) -> None:
    sink = camera.run(closes=False)
    sink.abort()
    assert camera.states() == ["pending", "pending"]
    sink = camera.run(range(0), closes=False)
    wait_for(lambda: camera.states() == ["complete", "complete"])
    sink.close()


def test_a_run_with_an_end_of_its_own_waits_for_its_clips(camera: Camera, slow: threading.Event) -> None:
    slow.set()
    camera.run(stops=False)
    assert camera.states() == ["complete", "complete"]


@pytest.mark.parametrize("left", [b"", b"{}", b'{"moments": [{"jpeg": 9}]}\n123', b"\x00\xff" * 50, None])
def test_a_clip_of_a_killed_run_is_lost(camera: Camera, left: bytes | None) -> None:
    sink = camera.run(closes=False)
    sink.abort()
    hidden = pending_path(camera.images / NAME)
    hidden.write_bytes(hidden.read_bytes()[:-1] if left is None else left)
    table = camera.table.read_bytes()
    assert camera.states() == ["pending", "pending"]
    sink = camera.run(range(0), closes=False)
    wait_for(lambda: camera.states() == ["lost", "lost"])
    sink.write(*seen(0, False))
    sink.close()
    assert camera.states() == ["lost", "lost"]
    assert camera.table.read_bytes() == table, "rows stay as they are"
    assert not hidden.exists()


def test_clips_of_other_parts_are_finished_or_lost_too(tmp_path: Path) -> None:
    archive = EventArchive(tmp_path / "gate.csv", tmp_path / "gate")
    store, name = EventStore.open(archive.store), "20261121T205300Z"
    folder = archive.part(name).folder
    assert folder is not None

    def begun(part: str, images: Path) -> Snapshots:
        store.begin_part(part, "gate.csv")
        snapshots = Snapshots(images, FPS, append=True, live=True, stop_time=time.monotonic)
        snapshots.attach(store, part, images=tmp_path / "gate")
        return snapshots

    snapshots = begun(name, folder)
    snapshots.see(*seen(0, True))
    event = store.record(Event("enter", 7, 0, 0.0, 10, 20, 30, 40, 400, 0.0, 400), name)
    store.put(snapshots.describe(event))
    snapshots.abort()
    store.flush()
    assert clip_states(archive.table, name) == ["pending"]
    pending_path(folder / NAME).write_bytes(b"")
    snapshots = begun("", tmp_path / "gate")
    wait_for(lambda: clip_states(archive.table, name) == ["lost"])
    snapshots.close()
    store.close()


def test_a_clip_that_came_too_fast_is_not_said_to_come(camera: Camera) -> None:
    snapshots = Snapshots(camera.images, FPS, append=True, live=True, waiting=0)
    sink = EventSink(camera.table, snapshots=snapshots, live=True, append=True)
    for index in range(60):
        sink.write(*seen(index, index < 10))
    with pytest.warns(SnapshotWarning, match="faster"):
        sink.close()
    assert camera.states() == ["lost", "lost"]


def test_packets_are_read_as_they_were_written(tmp_path: Path) -> None:
    moments = [Moment.of(*seen(index, True)) for index in range(3)]
    write_packets(Clip(tmp_path / NAME, 0.0, 0.2, moments), None, Fraction(4, 3))
    clip, fps, aspect = read_packets(tmp_path / NAME)
    assert (fps, aspect, clip.moments) == (None, Fraction(4, 3), moments)


def test_a_full_disk_keeps_no_packets_and_says_so(
    camera: Camera, slow: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(clip: Clip, *_: object) -> None:
        raise SinkError(f"{clip.path}: cannot be written (the disk is full; free some space)")

    monkeypatch.setattr(clips, "write_packets", refuse)
    with pytest.warns(SnapshotWarning, match="1 images or clips left out .*disk is full"):
        camera.run()


def test_a_clip_is_complete_in_the_store_as_soon_as_it_is_there(camera: Camera) -> None:
    """Not with the next one, which may come hours later."""
    sink = camera.run(range(60), closes=False)
    wait_for(lambda: (camera.images / NAME).exists())

    def is_complete() -> bool:
        sink.write(*seen(60, False))
        return camera.states() == ["complete", "complete"]

    wait_for(is_complete)
    sink.close()


def test_a_camera_holds_no_frames_of_clips_that_are_written(camera: Camera) -> None:
    """The next clip may come hours later."""

    def num_held() -> int:
        gc.collect()
        return sum(type(each) is Moment and each.index < 20 for each in gc.get_objects())

    earlier = num_held()
    sink = camera.run(range(60), closes=False)
    wait_for(lambda: (camera.images / NAME).exists())
    wait_for(lambda: num_held() == earlier)
    sink.close()


GROWTH = """
import sys, threading
from fractions import Fraction
from pathlib import Path
from segue.utils.allocation import prepare_process, share_heap
prepare_process()
share_heap()
import numpy as np
from segue.events.images.clips import Clip, Moment, write_clip
from segue.types import Frame, ObjectInfo, Segmentation

def anonymous():
    return int(Path("/proc/self/smaps_rollup").read_text().partition("Anonymous:")[2].split()[0]) / 1024

moments = []
for index in range(20):
    mask = np.zeros((240, 320), np.uint8)
    mask[40:60, 2 * index : 2 * index + 20] = 1
    result = Segmentation(index, index / 5, mask, (ObjectInfo(1),))
    moments.append(Moment.of(Frame(index, index / 5, np.full((240, 320, 3), 90, np.uint8)), result))

def encode(number):
    write_clip(Clip(Path(sys.argv[1]) / f"{number}.mp4", 0, 4, moments), 5.0, Fraction(1), threading.Event())

def together(count):
    threads = [threading.Thread(target=encode, args=(number,)) for number in range(count)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

before = anonymous()
together(1)
print(anonymous() - before)
before = anonymous()
for turn in range(2): together(4)
print(anonymous() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs /proc")
def test_encoders_give_their_memory_back(tmp_path: Path) -> None:
    """MiB by which a process grows with its first clip, and while several are encoded at a time after it."""
    run = subprocess.run([sys.executable, "-c", GROWTH, tmp_path], capture_output=True, text=True, check=True)
    first, together = map(float, run.stdout.split())
    assert first < 6
    assert together < 4
