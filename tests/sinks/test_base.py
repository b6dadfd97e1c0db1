"""Sinks made of sinks, and files that appear only when they are complete."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segue.errors import SinkError
from segue.sinks import BackgroundSink, Sink
from segue.sinks.base import LenientSink, ShowingWarning
from segue.types import Frame, Segmentation
from segue.utils.files import write_complete
from tests.video.making import fill_disk_at, needs_full_disk, result
from tests.waiting import wait_for


class Recorder(Sink):
    """Notes what is asked of it; fails at the frame ``fail_at`` or at ``close``."""

    def __init__(self, fail_at: int | None = None, fail_close: bool = False) -> None:
        self.calls: list[object] = []
        self._fail_at = fail_at
        self._fail_close = fail_close

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        if frame.index == self._fail_at:
            raise SinkError(f"frame {frame.index}: the disk is full")
        self.calls.append(frame.index)

    def flush(self) -> None:
        self.calls.append("flush")

    def close(self) -> None:
        if self._fail_close:
            raise SinkError("cannot be completed")
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")


@pytest.mark.parametrize("depth", [1, 8])
def test_errors_of_the_background_thread_are_raised(depth: int) -> None:
    recorder = Recorder(fail_at=2)

    def run() -> None:
        with BackgroundSink(recorder, depth) as sink:
            for index in range(30):
                sink.write(*result(index))

    with pytest.raises(SinkError, match="frame 2: the disk is full"):
        run()
    assert recorder.calls == [0, 1, "abort"]


def test_close_writes_the_queue_in_the_calling_thread() -> None:
    """The thread has a low priority: where others compute it would take seconds for what is left."""
    writers = list[int]()

    class Slow(Sink):
        def write(self, frame: Frame, segmentation: Segmentation) -> None:
            writers.append(threading.get_ident())
            sink._ends.wait(60)

    sink = BackgroundSink(Slow(), depth=4)
    for index in range(4):
        sink.write(*result(index))
    wait_for(lambda: bool(writers))
    sink.close()
    assert len(writers) == 4
    assert writers[0] != threading.get_ident()
    assert {*writers[1:]} == {threading.get_ident()}


def test_few_large_images_wait() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Blocked(Sink):
        def write(self, frame: Frame, segmentation: Segmentation) -> None:
            begun.set()
            go_on.wait(60)

    frame, segmentation = result(0)
    large = replace(frame, image=np.zeros((2160, 3840, 3), np.uint8))
    sink, written = BackgroundSink(Blocked()), list[int]()

    def write() -> None:
        for index in range(6):
            sink.write(large, segmentation)
            written.append(index)

    thread = threading.Thread(target=write)
    thread.start()
    begun.wait(60)
    thread.join(0.3)
    assert len(written) <= 3, "one is written, and two wait"
    go_on.set()
    thread.join(60)
    sink.close()
    assert len(written) == 6


def test_a_sink_that_only_shows_ends_no_run() -> None:
    recorder = Recorder(fail_at=2, fail_close=True)
    sink = LenientSink(recorder)
    with pytest.warns(ShowingWarning) as warned:  # noqa: PT031
        for index in (0, 1, 2, 2, 3):
            sink.write(*result(index))
        sink.close()
    assert recorder.calls == [0, 1, 3]
    assert len(warned) == 3, "the first failure, the number, and the end"
    assert "2 frames" in str(warned[1].message)


@needs_full_disk
def test_a_whole_file_replaces_the_old_one_or_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    write_complete(path, b"old")
    write_complete(path, b"new")
    assert path.read_bytes() == b"new"
    fill_disk_at(path, monkeypatch)
    with pytest.raises(SinkError):
        write_complete(path, b"newer")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]
