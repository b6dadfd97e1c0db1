"""The process that computes may end at any time: its callers get an error, and others are answered."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from segue.errors import SegueError
from segue_web.film import Film
from segue_web.worker import DEFECT, STEPS_AHEAD, Worker, _Process, work
from tests.segue_web.films import numbered, write_film

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills by signals")


def counting(tools: Any, count: int) -> Iterator[int]:
    """A job of so many short steps."""
    for i in range(count):
        time.sleep(0.01)
        yield i


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.mp4", numbered(12))


class Pipe:
    """A connection that takes everything and says nothing."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, message: Any) -> None:
        self.sent.append(message)


class Alive:
    def is_alive(self) -> bool:
        return True

    def terminate(self) -> None: ...

    def join(self, _: float) -> None: ...


class Asking(Pipe):
    """A connection that brings these messages, and ends."""

    def __init__(self, *messages: Any) -> None:
        super().__init__()
        self.coming = list(messages)

    def poll(self) -> bool:
        return bool(self.coming)

    def recv(self) -> Any:
        if not self.coming:
            raise EOFError
        return self.coming.pop(0)


def failing(tools: Any) -> Iterator[int]:
    raise ValueError("operands could not be broadcast")
    yield 0


def frames_of(tools: Any) -> Iterator[int]:
    yield tools.film.count


def test_a_film_that_was_moved_away_is_told_to_each_request(film: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone.mp4"
    use = ("ask", 0, "use", (gone, None))
    asking = Asking(use, ("ask", 1, "find", (0, "motion")), ("job", 2, frames_of, ()))
    work(asking, ("stcn-lite", None), "grabcut", "cpu")  # type: ignore[arg-type]
    reason = f"{gone}: no such file or folder"
    assert asking.sent[1:] == [(1, None, reason), ("job", 2, None, reason)]


def test_the_process_uses_the_index_of_the_server(film: Path) -> None:
    """Of a long film without an index it would otherwise guess which frame a number means."""
    reports: list[Any] = []
    known = Film(film)
    assert known.index is not None
    known.index = known.index[0][:7], known.index[1][:1]
    worker = Worker(known, ("stcn-lite", None), "grabcut", None, lambda *report: reports.append(report))

    async def run() -> None:
        worker.begin(frames_of)
        while not reports:
            await asyncio.sleep(0.01)
        worker.close()

    asyncio.run(asyncio.wait_for(run(), 60))
    assert reports[0] == (7, None)


def test_a_job_waits_until_its_steps_are_saved(film: Path) -> None:
    """Saving may be slower than tracking: masks of the frames between would fill the memory."""
    reports: list[Any] = []
    worker = Worker(Film(film), ("stcn-lite", None), "grabcut", None, lambda *report: reports.append(report))

    async def run() -> None:
        worker.begin(counting, 12)
        while len(reports) < STEPS_AHEAD:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        assert len(reports) == STEPS_AHEAD
        while reports[-1][0] is not None:
            worker.taken()
            await asyncio.sleep(0.01)
        assert reports == [*((i, None) for i in range(12)), (None, None)]
        worker.close()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_defect_shows_no_exception_of_python(film: Path) -> None:
    asking = Asking(("job", 3, failing, ()))
    work(asking, ("stcn-lite", None), "grabcut", "cpu")  # type: ignore[arg-type]
    assert asking.sent == [("job", 3, None, DEFECT)]


def test_the_end_of_a_process_is_reported_to_those_who_waited_for_it_alone(film: Path) -> None:
    """Its listener may come late: when another process is at work already."""
    reports: list[Any] = []
    worker = Worker(
        Film(film), ("stcn-lite", None), "segue-prompt", None, lambda *report: reports.append(report)
    )

    async def run() -> None:
        first, second = (_Process(Alive(), Pipe()) for _ in range(2))  # type: ignore[arg-type]
        worker._current = first
        old = asyncio.ensure_future(worker.ask("prepare", 0))
        await asyncio.sleep(0)
        worker._current = second
        new = asyncio.ensure_future(worker.ask("prepare", 1))
        worker.begin(counting, 3)
        await asyncio.sleep(0)
        worker._end(first)
        with pytest.raises(SegueError, match="has ended"):
            await old
        number = next(iter(second.waiting))
        worker._hear(first, (1, "late", None))
        worker._hear(second, (number, "answer", None))
        assert await new == "answer"
        assert second.job is not None
        worker._end(first)
        assert reports == []
        worker._end(second)
        assert reports == [
            (None, "the process that computes has ended, perhaps for lack of memory; do it again")
        ]

    asyncio.run(run())


def test_a_pipe_that_breaks_while_a_job_begins_ends_the_job(film: Path) -> None:
    reports: list[Any] = []
    worker = Worker(
        Film(film), ("stcn-lite", None), "segue-prompt", None, lambda *report: reports.append(report)
    )

    class Broken(Pipe):
        def send(self, message: Any) -> None:
            raise BrokenPipeError

    async def run() -> None:
        worker._current = _Process(Alive(), Broken())  # type: ignore[arg-type]
        worker.begin(counting, 3)
        assert len(reports) == 1
        worker._current = _Process(Alive(), Broken())  # type: ignore[arg-type]
        with pytest.raises(SegueError, match="has ended"):
            await worker.ask("prepare", 0)

    asyncio.run(run())


def killed_again_and_again(film: Path, kills: int) -> None:
    """Ask and begin jobs while the process is killed at random; everything ends, nothing waits."""
    chance = random.Random(kills)
    ended: list[tuple[Any, Any]] = []
    steps = 0

    def report(value: Any, error: str | None) -> None:
        nonlocal steps
        worker.taken()
        if value is None:
            ended.append((value, error))
        else:
            steps += 1

    worker = Worker(Film(film), ("stcn-lite", None), "segue-prompt", None, report)

    async def run() -> None:
        nonlocal steps
        for _ in range(kills):
            before = len(ended)
            asked = asyncio.ensure_future(worker.ask("find", 3, "no such detector"))
            worker.begin(counting, 5)
            await asyncio.sleep(chance.random() * chance.choice([0.05, 3.0]))
            process = worker._current.process  # type: ignore[union-attr]
            os.kill(process.pid, signal.SIGKILL)
            with pytest.raises(SegueError):
                await asyncio.wait_for(asked, 30)
            for _ in range(3000):
                if len(ended) > before:
                    break
                await asyncio.sleep(0.01)
            assert len(ended) == before + 1, "the job ended once"
        worker.begin(counting, 5)
        steps = 0
        while len(ended) == kills:
            await asyncio.sleep(0.01)
        assert ended[-1] == (None, None)
        assert steps == 5
        worker.close()

    asyncio.run(asyncio.wait_for(run(), 60 + 40 * kills))


def test_a_process_that_is_killed_is_replaced(film: Path) -> None:
    killed_again_and_again(film, 2)


@pytest.mark.slow
def test_a_process_that_is_killed_again_and_again_is_replaced(film: Path) -> None:
    killed_again_and_again(film, 30)
