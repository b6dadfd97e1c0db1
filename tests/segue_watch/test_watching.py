"""Cameras in a program: events from a loop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from segue.errors import ArgumentError, SegueError
from segue_watch import Watch, watching
from tests.cli.mjpeg import JPEGS, mjpeg_camera
from tests.segue_watch.test_cameras import rows
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def camera() -> Iterator[str]:
    with mjpeg_camera() as address:
        yield address


QUICK: dict[str, Any] = {"model": "median", "device": "cpu", "when_late": "all"}


def test_events_of_cameras_come_from_a_loop_and_stand_in_tables(camera: str, tmp_path: Path) -> None:
    zones = ["wall=0,0 127,0 127,95 0,95"]
    watch = Watch(
        {"gate": {"source": camera, "zone": zones}, "yard": camera},
        QUICK | {"end": 3 * len(JPEGS)},
        tmp_path,
    )
    events = [*watch]
    for name in ("gate", "yard"):
        mine = [event for event in events if event.source == name]
        assert [event.event for event in mine] == [row["event"] for row in rows(tmp_path / f"{name}.csv")]
        assert len(mine) > 4
    assert {event.source for event in events if event.event == "zone-enter"} == {"gate"}
    assert watch.states()["yard"]["frames"] == 3 * len(JPEGS)
    assert watch.image("gate")[:2] == b"\xff\xd8"
    watch.close()


def test_a_loop_ends_when_another_thread_closes_it(camera: str, tmp_path: Path) -> None:
    with Watch({"gate": camera}, QUICK, tmp_path) as watch:
        events = iter(watch)
        first = next(events)
        closing = threading.Thread(target=watch.close)
        closing.start()
        rest = [*events]
        closing.join()
    assert [first.event, *(event.event for event in rest)] == [
        row["event"] for row in rows(tmp_path / "gate.csv")
    ]


def test_threads_of_the_program_are_as_before_when_all_cameras_have_ended(
    camera: str, tmp_path: Path
) -> None:
    def of_new_thread() -> int:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(torch.get_num_threads).result()

    def counts() -> tuple[int, int, int]:
        return torch.get_num_threads(), of_new_thread(), cv2.getNumThreads()

    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(3)
    cv2.setNumThreads(3)
    try:
        ends = Watch({"gate": camera, "yard": camera}, QUICK | {"end": len(JPEGS)}, tmp_path / "1")
        with Watch({"gate": camera}, QUICK, tmp_path / "2"):  # longer than the first one
            assert [*ends]
        assert counts() == (3, 3, 3)
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def test_a_program_that_takes_no_events_does_not_stop_the_end(
    camera: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "WAITING", 1)
    with Watch({"gate": camera}, QUICK | {"end": 3 * len(JPEGS)}, tmp_path) as watch:
        wait_for(lambda: len(rows(tmp_path / "gate.csv")) > 1 if (tmp_path / "gate.csv").exists() else False)
    assert watch.states()["gate"]["status"] != "online"


def test_a_file_of_cameras_is_watched_too(camera: str, tmp_path: Path) -> None:
    path = tmp_path / "cameras.toml"
    path.write_text(
        f"""
        [defaults]
        model = "median"
        device = "cpu"
        when-late = "all"
        end = {len(JPEGS)}
        [cameras.gate]
        source = "{camera}"
        """
    )
    with pytest.raises(ArgumentError):
        Watch(path, {"end": 3}, tmp_path)
    assert {event.source for event in Watch(path, output=tmp_path)} == {"gate"}


@pytest.mark.parametrize(
    ("cameras", "match"),
    [
        ({}, "no camera"),
        ({"gate": {"zone": []}}, "gate.*source"),
        ({"a gate": "rtsp://127.0.0.1:9/"}, "a gate"),
        ({"gate": {"source": "rtsp://127.0.0.1:9/", "no_such": 1}}, "gate.*no-such"),
    ],
)
def test_cameras_that_mean_nothing_are_refused(cameras: dict[str, Any], match: str, tmp_path: Path) -> None:
    with pytest.raises(SegueError, match=match):
        Watch(cameras, output=tmp_path)
