"""The process that computes may end at any time: its callers get an error, and others are answered."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from segue.errors import PromptError, SegueError
from segue.prompts import ImagePrompts, Prompter
from segue_web.server.worker import Tools, Worker
from segue_web.video import Video
from tests.segue_web.videos import numbered, write_video

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills by signals")


def counting(tools: Any, count: int) -> Iterator[int]:
    """A job of so many short steps."""
    yield from range(count)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "video.mp4", numbered(12))


INDEXED = 7
"""Frames of the index that the process is given: fewer than those that it would find in the file."""


@pytest.fixture(scope="module")
def worker(video: Path) -> Iterator[Worker]:
    """A process that the tests share: it takes seconds to start."""
    known = Video(video)
    assert known.index is not None
    known.index = replace(known.index, stamps=known.index.stamps[:INDEXED], entries=known.index.entries[:1])
    worker = Worker(known, ("stcn-lite", None), "segue-prompt", "cpu")
    yield worker
    worker.close()


def failing(tools: Any) -> Iterator[int]:
    raise ValueError("operands could not be broadcast")
    yield 0


def frames_of(tools: Any) -> Iterator[int]:
    yield tools.video.count


def test_a_video_that_was_moved_away_is_told_to_each_request(video: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone.mp4"
    tools = Tools(gone, None, ("stcn-lite", None), "segue-prompt", "cpu")
    tools.begin(frames_of, ())
    for ask in (lambda: tools.find(0, "motion"), tools.step):
        with pytest.raises(SegueError, match=re.escape(f"{gone}: no such file or folder")):
            ask()


def test_a_text_finds_what_it_names() -> None:
    with resources.as_file(resources.files("segue") / "assets" / "sample" / "video.mp4") as video:
        tools = Tools(video, None, ("stcn-lite", None), "segue-prompt", "cpu")
        for name in ("motion", "nanodet"):
            assert tools.find(0, name, "person") == {"detector": "nanodet", "found": []}
        with pytest.raises(PromptError):
            tools.find(0, "nanodet", "the")


def test_a_click_where_the_pointer_rested_is_answered_already(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    with resources.as_file(resources.files("segue") / "assets" / "sample" / "video.mp4") as video:
        tools = Tools(video, None, ("stcn-lite", None), "segue-prompt", "cpu")
        tools.prepare(0, (100.0, 60.0))
        answer = Prompter.answer
        monkeypatch.setattr(Prompter, "answer", lambda *given: asked.append(given) or answer(*given))
        assert tools.click(0, ImagePrompts(points=[(100.0, 60.0)]))[0][60, 100]
        assert asked == []
        tools.click(0, ImagePrompts(points=[(101.0, 60.0)]))
        assert asked


def test_the_process_uses_the_index_of_the_server(worker: Worker) -> None:
    async def run() -> list[int]:
        return [value async for value in worker.steps(frames_of)]

    assert asyncio.run(asyncio.wait_for(run(), 60)) == [INDEXED]


def made(tools: Any, path: Path, count: int) -> Iterator[int]:
    """A job that makes a file for each step."""
    for i in range(count):
        (path / str(i)).touch()
        yield i


def test_a_job_computes_one_step_ahead_and_answers_between_steps(worker: Worker, tmp_path: Path) -> None:
    """Saving may be slower than tracking: masks of the frames between would fill the memory."""
    folder = tmp_path / "steps"
    folder.mkdir()

    async def run() -> None:
        steps = worker.steps(made, folder, 12)
        assert await anext(steps) == 0
        await asyncio.sleep(0)  # the next step is asked for
        assert len((await worker.ask("find", 0, "motion"))["found"]) == 1
        assert len(list(folder.iterdir())) == 2, "those that were asked for before"
        assert [value async for value in steps] == list(range(1, 12))

    asyncio.run(asyncio.wait_for(run(), 60))


def test_errors_of_the_process_reach_the_server(worker: Worker) -> None:
    async def run() -> None:
        with pytest.raises(ValueError, match="broadcast"):
            await anext(worker.steps(failing))
        with pytest.raises(SegueError, match="nothing"):
            await worker.ask("find", 0, "nothing")

    asyncio.run(asyncio.wait_for(run(), 60))


def exhausting(tools: Any) -> Iterator[int]:
    yield tools.video.count
    bytearray(1 << 60)


async def fails(worker: Worker, job: Any, said: str) -> None:
    """A job fails with its process, and the next one is done by another process."""
    first = worker._pool
    with pytest.raises(SegueError, match=said) as caught:
        _ = [value async for value in worker.steps(job)]
    assert "your edits are saved" in str(caught.value)
    assert worker._pool is not first


def test_a_process_whose_memory_runs_out_is_replaced_and_says_so(worker: Worker) -> None:
    async def run() -> None:
        await fails(worker, exhausting, "^out of memory")
        assert [value async for value in worker.steps(frames_of)] == [INDEXED]

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_process_that_is_killed_again_and_again_is_replaced(worker: Worker) -> None:
    """It dies in its work, then while it begins; everything ends, nothing waits."""

    async def count(number: int) -> int:
        return len([value async for value in worker.steps(counting, number)])

    async def run() -> None:
        for begun in (True, False):
            first = worker._pool
            job = asyncio.ensure_future(count(10**9))
            await asyncio.sleep(0)
            if begun:
                assert await worker.ask("step") is not None
            os.kill(next(iter(first._processes)), signal.SIGKILL)
            with pytest.raises(SegueError, match="probably out of memory") as caught:
                await job
            assert "your edits are saved" in str(caught.value)
            assert worker._pool is not first
        assert await count(5) == 5

    asyncio.run(asyncio.wait_for(run(), 120))


def test_requests_that_wait_when_a_project_is_closed_are_answered(video: Path) -> None:
    """Else the page that asked waits for ever."""

    async def run() -> None:
        worker = Worker(Video(video), ("stcn-lite", None), "segue-prompt", "cpu")
        waiting = [asyncio.ensure_future(worker.ask("find", 0, "motion")) for _ in range(6)]
        await asyncio.sleep(0)
        worker.close()
        for request in [*waiting, worker.ask("find", 0, "motion")]:
            with pytest.raises(SegueError, match="another video was opened in the meantime"):
                await request

    asyncio.run(asyncio.wait_for(run(), 60))
