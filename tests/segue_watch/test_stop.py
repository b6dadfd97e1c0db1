"""``segue watch`` ends soon after SIGTERM, whatever waits: clips of all cameras, messages for a broker."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("paho.mqtt.client")

from segue.utils.cancel import CancelToken
from segue_watch import cameras as cameras_module
from segue_watch.camera import Camera
from segue_watch.cameras import CameraSet
from segue_watch.configuration import read_cameras
from tests.cli.mjpeg import mjpeg_camera
from tests.events.stored import state_of
from tests.ports import free_port
from tests.segue_watch.test_camera_day import forked, wait_for_events
from tests.segue_watch.test_cameras import rows
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

SECONDS = 5.0
"""Within which it ends where little else runs."""

CAMERAS = [f"gate-{number}" for number in range(3)]


def test_cameras_end_within_seconds_while_clips_are_made_and_the_broker_is_away(tmp_path: Path) -> None:
    port, file = free_port(), tmp_path / "cameras.toml"
    with mjpeg_camera(pause=0.04) as address:
        file.write_text(
            '[defaults]\nmodel = "median"\ndevice = "cpu"\nfps = 5\n'
            + "".join(
                f'[cameras.{name}]\nsource = "{address}"\nnotify = "mqtt://127.0.0.1:9/segue/{name}"\n'
                for name in CAMERAS
            )
        )
        process = forked(file, port)
        try:
            wait_for_events(process, port, 3)
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 3, "messages wait for the next run"
            took = time.monotonic() - begun
            busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
            assert took < SECONDS * busy, f"{took:.1f} s"
            tables = {name: rows(tmp_path / "out" / f"{name}.csv") for name in CAMERAS}
            clips = {(name, row["clip"]) for name, table in tables.items() for row in table}
            assert clip_states(tmp_path, clips) <= {"pending", "complete"}

            process = forked(file, port)  # finishes them
            wait_for(lambda: clip_states(tmp_path, clips) == {"complete"})
        finally:
            process.kill()
            process.wait(60)


def clip_states(folder: Path, clips: set[tuple[str, str]]) -> set[str]:
    """What there is of clips, each with its camera."""
    return {state_of(folder / "out" / f"{name}.csv", clip) for name, clip in clips}


def camera_set(kind: type[Camera], folder: Path) -> CameraSet:
    """Cameras of a kind that opens no source."""
    file = folder / "cameras.toml"
    file.write_text("".join(f"[cameras.{name}]\nsource = 'http://127.0.0.1:9/'\n" for name in CAMERAS))
    jobs = read_cameras(file, folder / "out")
    return CameraSet(kind(name, job, lambda *_: None, lambda _: None) for name, job in jobs.items())


def test_watching_ends_with_the_last_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras_module, "LOOK_SECONDS", 60.0)

    class Brief(Camera):
        """Ends soon."""

        def watch(self, stop: CancelToken) -> None:
            stop.wait(0.1)

    cameras = camera_set(Brief, tmp_path)
    begin = time.monotonic()
    cameras.watch(CancelToken())
    assert time.monotonic() - begin < 30
    assert not cameras.unfinished


def test_a_camera_that_does_not_end_holds_up_no_other(tmp_path: Path) -> None:
    ended, leave = list[str](), threading.Event()

    class Held(Camera):
        """Ends late, as where other programs compute."""

        def watch(self, stop: CancelToken) -> None:
            stop.wait(60)
            ended.append(self.name)
            leave.wait(60)

    cameras, stop = camera_set(Held, tmp_path), CancelToken()
    threading.Timer(0.1, stop.cancel).start()
    cameras.watch(stop)
    took = time.monotonic() - (stop.cancel_time or 0.0)
    assert cameras.unfinished == CAMERAS == sorted(ended)
    assert took < SECONDS
    leave.set()
    wait_for(lambda: not cameras.unfinished)
