"""Lines that a command writes while it works."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import TextIO

from segue.utils import notices
from segue.utils.notices import LineWriter


@contextmanager
def pipe() -> Iterator[tuple[int, TextIO]]:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        yield reader, stream


def test_lines_arrive_in_order() -> None:
    with pipe() as (reader, stream):
        writer = LineWriter(stream)
        for number in range(100):
            writer.write(f"ä{number}")
        writer.close()
        assert os.read(reader, 1 << 16).decode() == "".join(f"ä{number}\n" for number in range(100))
        assert writer.lost == 0
    os.close(reader)


def test_writers_do_not_wait_for_readers() -> None:
    told: list[str] = []
    with pipe() as (reader, stream):
        writer = LineWriter(stream, told.append, max_lines=10, last_seconds=0.1)
        line = "x" * (1 << 20)  # more than a pipe holds
        for _ in range(20):
            writer.write(line)
        writer.close()
        assert writer.lost == 20, "the first one is half written"
        assert len(told) == 1
        print("more", file=stream, flush=True)  # waits for nobody, too
        os.close(reader)


def test_a_reader_that_is_gone_is_told_once() -> None:
    told: list[str] = []
    with pipe() as (reader, stream):
        os.close(reader)
        writer = LineWriter(stream, told.append)
        for _ in range(5):
            writer.write("x")
        writer.close()
        assert (writer.lost, len(told)) == (5, 1)


def test_lines_go_on_when_a_full_disk_has_room_again() -> None:
    class Disk:
        """Takes three bytes of the second line, and then all."""

        content, room = b"", 9

        def write(self, data: bytes) -> int:
            taken = data[: self.room]
            if not taken:
                self.room = 1000
                raise OSError(28, "No space left on device")
            self.content, self.room = self.content + taken, self.room - len(taken)
            return len(taken)

    class Stream:
        encoding, buffer = "utf-8", Disk()

    told: list[str] = []
    writer = LineWriter(Stream(), told.append)  # type: ignore[arg-type]
    for name in ("first", "second", "third"):
        writer.write(name)
    writer.close()
    assert Stream.buffer.content == b"first\nsec\nthird\n"
    assert (writer.lost, told) == (1, ["No space left on device"])


def test_a_stream_that_was_closed_from_the_start_takes_lines() -> None:
    writer = LineWriter(None)
    writer.write("x")
    writer.close()
    assert writer.lost == 0


def test_a_notice_for_a_terminal_that_is_gone_ends_nothing() -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    with redirect_stderr(Gone()):
        notices.notice("nobody hears it")
