"""Runs on cameras: they end by Ctrl-C or after a time, and whatever was recorded is complete."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from segue.errors import SinkError
from segue.formats.mask_records import read_marker
from segue.formats.overlay import OverlayVideoSink
from segue.jobs.frame_loop import STATE
from segue.sessions import TrackSession
from segue.video import open_source
from segue.video.sources import live
from tests.cli.conftest import AtFrame
from tests.cli.running import FRAMES, Command


class Camera:
    """Gives the frames of the clip again and again; it stops answering, or is lost, at given frames."""

    blocks_at: int | None = None
    lost_at: int | None = None
    freed = threading.Event()
    given = 0

    def __init__(self, _: int) -> None: ...

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def read(self) -> tuple[bool, object]:
        cls = type(self)
        if cls.given == cls.blocks_at:
            cls.freed.wait(60)
        if cls.lost_at is not None and cls.given >= cls.lost_at:
            return False, None
        time.sleep(0.01)
        cls.given += 1
        return True, np.ascontiguousarray(FRAMES[(cls.given - 1) % len(FRAMES)][..., ::-1])

    def release(self) -> None: ...


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Camera]]:
    class Ours(Camera):
        freed = threading.Event()

    monkeypatch.setattr(live.cv2, "VideoCapture", Ours)
    yield Ours
    Ours.freed.set()


@pytest.fixture
def record(track: Command) -> Command:
    formats = (word for name in ("png", "overlay", "events") for word in ("--format", name))
    given = tuple(formats)
    return lambda *arguments: track(*given, "--when-late", "all", *arguments, source="0")


def is_complete(folder: Path, frames: int) -> None:
    marker = read_marker(folder / "masks")
    assert marker is not None
    assert marker["complete"]
    assert len(list((folder / "masks").glob("*.png"))) == frames
    assert not (folder / "masks" / STATE).exists(), "a camera cannot be resumed"
    with open_source(folder / "overlay.mp4") as video:
        times = [frame.time for frame in video]
    assert len(times) == frames
    assert (folder / "events.csv").read_text().startswith("event,")
    assert not list(folder.rglob("*.partial"))


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def interrupt_twice() -> None:
    interrupt()
    interrupt()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_completes_what_a_camera_gave(
    at_frame: AtFrame, record: Command, camera: type[Camera], tmp_path: Path, number: signal.Signals
) -> None:
    if number == signal.SIGTERM:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with at_frame(TrackSession, 5, partial(signal.raise_signal, number), before=True):
        outcome = record()
    assert outcome.code == 0, outcome
    assert "masks" in outcome.out
    is_complete(tmp_path / "out", 6)


def test_ctrl_c_is_heard_while_a_camera_says_nothing(
    at_frame: AtFrame, record: Command, camera: type[Camera], tmp_path: Path
) -> None:
    camera.blocks_at = 6
    begun: list[float] = []

    def soon() -> None:
        begun.append(time.monotonic())
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()

    with at_frame(TrackSession, 5, soon, before=True):
        outcome = record()
    assert outcome.code == 0, outcome
    assert time.monotonic() - begun[0] < 60
    is_complete(tmp_path / "out", 6)


def test_a_camera_that_is_lost_leaves_complete_outputs(
    record: Command, camera: type[Camera], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live.Reconnect, "delay", lambda *_: 0.0)
    camera.lost_at = 7
    outcome = record("--retry", 4)
    assert outcome.code == 2
    assert "camera 0: lost (no image arrives" in outcome.err
    assert "4 tries" in outcome.err
    assert outcome.err.count("camera lost") == 1
    is_complete(tmp_path / "out", 7)


def test_an_overlay_that_cannot_be_encoded_ends_no_run_on_a_camera(
    record: Command, camera: type[Camera], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise SinkError("overlay.mp4: cannot be encoded")

    monkeypatch.setattr(OverlayVideoSink, "_draw", refuse)
    outcome = record("--duration", "0.2s")
    assert outcome.code == 0, outcome
    assert outcome.err.count("cannot be encoded") == 1
    assert len(list((tmp_path / "out" / "masks").glob("*.png"))) > 1


def test_a_second_ctrl_c_ends_at_once(
    at_frame: AtFrame, record: Command, camera: type[Camera], tmp_path: Path
) -> None:
    with at_frame(TrackSession, 5, interrupt_twice, before=True):
        outcome = record()
    assert outcome.code == 130
    assert "interrupted again" in outcome.err
    assert not list((tmp_path / "out").rglob("*.partial"))


@pytest.mark.parametrize("policy", ["newest", "all"])
def test_a_slow_run_takes_the_newest_frames_or_all(
    at_frame: AtFrame, record: Command, camera: type[Camera], tmp_path: Path, policy: str
) -> None:
    with at_frame(TrackSession, None, partial(time.sleep, 0.05)):  # the camera gives up to five frames then
        outcome = record("--duration", "0.4s", "--when-late", policy, "--output", tmp_path / "out")
    assert outcome.code == 0, outcome
    taken = [int(path.stem) for path in sorted((tmp_path / "out" / "masks").glob("*.png"))]
    assert ("frames dropped" in outcome.err) == (policy == "newest")
    if policy == "all":
        assert taken == list(range(len(taken)))
    else:
        assert taken[-1] > 2 * len(taken)


def test_outputs_are_rotated_and_the_run_ends_after_its_time(
    record: Command, camera: type[Camera], tmp_path: Path
) -> None:
    outcome = record("--rotate", "0.1s", "--duration", "0.4s", "--output", tmp_path / "out")
    assert outcome.code == 0, outcome
    parts = sorted(path for path in (tmp_path / "out").iterdir() if path.name != "events.db")
    assert len(parts) >= 2
    for part in parts:
        is_complete(part, len(list((part / "masks").glob("*.png"))))
        with open_source(part / "overlay.mp4") as video:
            assert next(iter(video)).time < 0.2
    indices = [int(path.stem) for part in parts for path in sorted((part / "masks").glob("*.png"))]
    assert indices == list(range(len(indices)))


def test_a_part_that_is_rotated_out_survives_an_end_at_once(
    at_frame: AtFrame, record: Command, camera: type[Camera], tmp_path: Path
) -> None:
    with at_frame(TrackSession, 15, interrupt_twice, before=True):
        assert record("--rotate", "0.05s").code == 130
    first = min((tmp_path / "out").iterdir())
    is_complete(first, len(list((first / "masks").glob("*.png"))))


def test_a_stopped_camera_gives_no_more_frames(camera: type[Camera]) -> None:
    source = open_source(7)
    taken = 0
    for _ in source:
        taken += 1
        if taken == 3:
            source.stop()
    assert taken == 3
