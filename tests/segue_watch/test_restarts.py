"""A camera that fails begins again by itself, and goes on in what it has written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from segue.events import read_events
from segue.events.table import Event
from segue.jobs.values import ForegroundJob
from segue.utils.cancel import CancelToken
from segue.video import Reconnect
from segue_watch.camera import Camera
from segue_watch.configuration import read_cameras
from tests.cli.mjpeg import mjpeg_camera
from tests.events.stored import ask
from tests.events.test_scene_memory import sway
from tests.segue_watch.test_command import watched
from tests.waiting import wait_for

TEXT = """
[cameras.gate]
source = "ADDRESS"
model = "median"
device = "cpu"
when-late = "all"
"""

EVENTS = 4
"""Of each run, after which it fails."""


class FailingError(Exception):
    """A defect in what takes events."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with mjpeg_camera() as address:
        yield address


def watch_with_failures(job: ForegroundJob, runs: int) -> list[Event]:
    """The events of a camera whose runs fail one after the other."""
    stop, events = CancelToken(), list[Event]()

    def take(event: Event) -> None:
        events.append(event)
        if len(events) == runs * EVENTS:
            stop.cancel()
        elif len(events) in range(EVENTS, runs * EVENTS, EVENTS):
            raise FailingError("a defect")

    camera = Camera("gate", job, lambda *_: None, take, patience=Reconnect(first_delay=0.01))
    run_to_end(camera, stop)
    assert camera.state()["restarts"] == runs - 1
    return events


def run_to_end(camera: Camera, stop: CancelToken) -> None:
    """Watch a camera that fails; one that never comes to an end is stopped."""
    timer = threading.Timer(60, stop.cancel)
    timer.start()
    with pytest.warns(UserWarning, match="a defect; restarting"):
        camera.watch(stop)
    timer.cancel()


def job_of(address: str, folder: Path, options: str) -> ForegroundJob:
    file = folder / "cameras.toml"
    file.write_text(TEXT.replace("ADDRESS", address) + options)
    return read_cameras(file, folder / "out")["gate"]


def keys(events: list[Event]) -> set[tuple[str, int, str]]:
    return {(event.event, event.object, event.at) for event in events}


def rows_of(tables: list[Path]) -> set[tuple[str, int, str]]:
    return {(row["event"], int(row["object"]), row["at"]) for table in tables for row in read_events(table)}


@pytest.mark.parametrize("rotate", ["", 'rotate = "1h"\n'])
def test_overwrite_empties_what_is_there_at_the_start_and_at_no_restart(
    address: str, tmp_path: Path, rotate: str
) -> None:
    for _ in range(2):
        events = watch_with_failures(job_of(address, tmp_path, f"overwrite = true\n{rotate}"), 2)
    tables = [*(tmp_path / "out").glob("gate*.csv")]
    assert keys(events) <= rows_of(tables)
    for event in events:
        assert [*(tmp_path / "out" / "gate").rglob(event.snapshot)], "its image stays"
    if not rotate:
        first = [*read_events(tables[0])]
        assert min(row["at"] for row in first) == min(event.at for event in events), "all before is gone"


def test_masks_of_a_camera_go_on_in_another_folder_after_a_failure(address: str, tmp_path: Path) -> None:
    options = f'format = ["npz"]\noutput = "{tmp_path / "masks"}"\n'
    events = watch_with_failures(job_of(address, tmp_path, options), 2)
    assert keys(events) <= rows_of([tmp_path / "out" / "gate.csv"])
    assert len([*(tmp_path / "masks").rglob("*.npz")]) >= 1


def test_a_run_that_failed_before_its_first_frame_has_emptied_nothing_for_good(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there goes with the first frame, whenever that comes."""
    watch_with_failures(job_of(address, tmp_path, ""), 1 + 1)
    before = rows_of([tmp_path / "out" / "gate.csv"])
    job, tries = job_of(address, tmp_path, "overwrite = true\n"), list[int]()
    run = Camera._run

    def fail_first(camera: Camera, job: ForegroundJob, stop: CancelToken) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise FailingError("a defect")
        run(camera, job, stop)

    stop = CancelToken()
    camera = Camera(
        "gate", job, lambda *_: None, lambda _: stop.cancel(), patience=Reconnect(first_delay=0.01)
    )
    monkeypatch.setattr(Camera, "_run", fail_first)
    run_to_end(camera, stop)
    assert not before & rows_of([tmp_path / "out" / "gate.csv"])


def test_the_scene_of_a_camera_continues_in_another_process(address: str, tmp_path: Path) -> None:
    job = job_of(address, tmp_path, "")
    boxes = list[object]()

    def run() -> None:
        camera = Camera("gate", job, lambda *_: None, lambda _: None)
        with watched(camera):
            wait_for(lambda camera=camera: camera.num_frames > 0)
            if not boxes:
                sway(camera.memory)
            boxes.append([place["box"] for place in camera.state()["scene"]])

    run()
    run()
    assert boxes[0] == boxes[1] != []
    assert ask(tmp_path / "out" / "gate.csv", "select count(scene) from sources") == [(1,)]
