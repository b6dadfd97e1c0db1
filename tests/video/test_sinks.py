"""Sinks made of sinks, and files that appear only when they are complete."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from segue.errors import SinkError
from segue.types import Frame, Segmentation
from segue.video import BackgroundSink, MultiSink, Sink
from segue.video.partial import PartialFile, write_complete
from tests.video.making import fill_disk_at, needs_full_disk, result


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


def test_a_with_block_completes_at_its_end_and_aborts_on_an_exception() -> None:
    with Recorder() as calm:
        calm.write(*result(0))
    assert calm.calls == [0, "close"]
    hurt = Recorder()
    with pytest.raises(KeyboardInterrupt), hurt:
        raise KeyboardInterrupt
    assert hurt.calls == ["abort"]


def test_several_sinks_get_the_same_in_order() -> None:
    sinks = [Recorder(), Recorder()]
    with MultiSink(sinks) as sink:
        for index in range(3):
            sink.write(*result(index))
        sink.flush()
    assert [sink.calls for sink in sinks] == [[0, 1, 2, "flush", "close"]] * 2


def test_sinks_after_one_that_cannot_be_completed_are_aborted() -> None:
    sinks = [Recorder(), Recorder(fail_close=True), Recorder()]
    with pytest.raises(SinkError, match="cannot be completed"):
        MultiSink(sinks).close()
    assert [sink.calls for sink in sinks] == [["close"], ["abort"], ["abort"]]


def test_a_background_sink_writes_everything_in_order() -> None:
    recorder = Recorder()
    with BackgroundSink(recorder, depth=2) as sink:
        for index in range(50):
            sink.write(*result(index))
    assert recorder.calls == [*range(50), "close"]


def test_a_background_sink_writes_in_another_thread() -> None:
    threads = []

    class Watcher(Sink):
        def write(self, frame: Frame, segmentation: Segmentation) -> None:
            threads.append(threading.current_thread())

    with BackgroundSink(Watcher()) as sink:
        sink.write(*result(0))
    assert threads != [threading.current_thread()]


def test_a_flush_waits_for_what_is_queued() -> None:
    recorder = Recorder()
    sink = BackgroundSink(recorder)
    for index in range(5):
        sink.write(*result(index))
    sink.flush()
    assert recorder.calls == [0, 1, 2, 3, 4, "flush"]
    sink.abort()


def test_an_abort_in_the_background_keeps_what_was_already_given() -> None:
    recorder = Recorder()
    sink = BackgroundSink(recorder)
    for index in range(5):
        sink.write(*result(index))
    sink.abort()
    assert recorder.calls == [0, 1, 2, 3, 4, "abort"]


@pytest.mark.parametrize("depth", [1, 8])
def test_what_goes_wrong_in_the_background_comes_back(depth: int) -> None:
    recorder = Recorder(fail_at=2)

    def run() -> None:
        with BackgroundSink(recorder, depth) as sink:
            for index in range(30):
                sink.write(*result(index))

    with pytest.raises(SinkError, match="frame 2: the disk is full"):
        run()
    assert recorder.calls == [0, 1, "abort"]


def test_a_failure_that_nobody_saw_comes_back_at_the_end() -> None:
    recorder = Recorder(fail_at=0)
    sink = BackgroundSink(recorder)
    sink.write(*result(0))
    with pytest.raises(SinkError, match="frame 0"):
        sink.close()
    assert recorder.calls == ["abort"]


@needs_full_disk
def test_a_whole_file_replaces_the_old_one_or_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    write_complete(path, b"old")
    write_complete(path, b"new")
    assert path.read_bytes() == b"new"
    fill_disk_at(path, monkeypatch)
    with pytest.raises(SinkError, match=r"a\.png: cannot be written \(the disk is full; free some space\)"):
        write_complete(path, b"newer")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_a_path_through_a_file_is_reported_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SinkError, match="cannot be written"):
        PartialFile(tmp_path / "file" / "out.mp4").prepare()
