"""The process that computes may end at any time: its callers get an error, and others are answered."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from segue.errors import PromptError, SegueError
from segue.prompts import Prompter, Prompts
from segue_web.video import Video
from segue_web.worker import DEFECT, STEPS_AHEAD, Tools, Worker, work
from tests.segue_web.videos import numbered, write_video

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills by signals")


def counting(tools: Any, count: int) -> Iterator[int]:
    """A job of so many short steps."""
    for i in range(count):
        time.sleep(0.01)
        yield i


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "video.mp4", numbered(12))


class Pipe:
    """A connection that takes everything and says nothing."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, message: Any) -> None:
        self.sent.append(message)


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
    yield tools.video.count


def test_a_video_that_was_moved_away_is_told_to_each_request(video: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone.mp4"
    use = ("ask", 0, "use", (gone, None))
    asking = Asking(use, ("ask", 1, "find", (0, "motion")), ("job", 2, frames_of, ()))
    work(asking, ("stcn-lite", None), "grabcut", "cpu")  # type: ignore[arg-type]
    reason = f"{gone}: no such file or folder"
    assert asking.sent[1:] == [(1, None, reason), ("job", 2, None, reason)]


def test_a_text_finds_what_it_names() -> None:
    with resources.as_file(resources.files("segue") / "assets" / "sample" / "video.mp4") as video:
        tools = Tools(None, ("stcn-lite", None), "grabcut", "cpu")
        tools.use(video, None)
        for name in ("motion", "nanodet"):
            assert tools.find(0, name, "person") == []
        with pytest.raises(PromptError, match="text"):
            tools.find(0, "nanodet", "the")


def test_a_click_where_the_pointer_rested_is_answered_already(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    with resources.as_file(resources.files("segue") / "assets" / "sample" / "video.mp4") as video:
        tools = Tools(None, ("stcn-lite", None), "segue-prompt", "cpu")
        tools.use(video, None)
        tools.prepare(0, (100.0, 60.0))
        answer = Prompter.answer
        monkeypatch.setattr(Prompter, "answer", lambda *given: asked.append(given) or answer(*given))
        assert tools.click(0, Prompts(points=[(100.0, 60.0)]), None).plane[60, 100]
        assert asked == []
        tools.click(0, Prompts(points=[(101.0, 60.0)]), None)
        assert asked


def test_the_process_uses_the_index_of_the_server(video: Path) -> None:
    """Of a long video without an index it would otherwise guess which frame a number means."""
    reports: list[Any] = []
    known = Video(video)
    assert known.index is not None
    known.index = replace(known.index, stamps=known.index.stamps[:7], keys=known.index.keys[:1])
    worker = Worker(known, ("stcn-lite", None), "grabcut", None, lambda *report: reports.append(report))

    async def run() -> None:
        worker.begin(frames_of)
        while not reports:
            await asyncio.sleep(0.01)
        worker.close()

    asyncio.run(asyncio.wait_for(run(), 60))
    assert reports[0] == (7, None)


def test_a_job_waits_until_its_steps_are_saved(video: Path) -> None:
    """Saving may be slower than tracking: masks of the frames between would fill the memory."""
    reports: list[Any] = []
    worker = Worker(
        Video(video), ("stcn-lite", None), "grabcut", None, lambda *report: reports.append(report)
    )

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


def test_a_defect_shows_no_exception_of_python(video: Path) -> None:
    asking = Asking(("job", 3, failing, ()))
    work(asking, ("stcn-lite", None), "grabcut", "cpu")  # type: ignore[arg-type]
    assert asking.sent == [("job", 3, None, DEFECT)]


def killed_again_and_again(video: Path, kills: int) -> None:
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

    worker = Worker(Video(video), ("stcn-lite", None), "segue-prompt", None, report)

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


def test_a_process_that_is_killed_is_replaced(video: Path) -> None:
    killed_again_and_again(video, 2)
