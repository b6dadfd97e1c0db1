"""A prompter is downloaded from a server on this machine and chosen, while pages hear how far it is."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from segue.errors import DownloadError, PromptError, SegueError
from segue.models.dino import DINO
from segue.prompts import ImagePrompts
from segue.registry import MODELS, PROMPTERS, Entry, PrompterEntry
from segue.weights.download import cached
from segue_web.server.prompters import Prompters
from segue_web.server.worker import Worker
from segue_web.video import Video
from tests.segue_web.here import WorkerHere
from tests.segue_web.videos import numbered, write_video
from tests.weights.test_download import Behaviour, server
from tests.weights.test_get import dino_entry, served

__all__ = ["server"]


class Obedient(Worker):
    """Uses any prompter, without a process."""

    def __init__(self) -> None: ...

    async def use_prompter(self, name: str) -> None: ...


@pytest.fixture
def offered(server: tuple[str, Behaviour], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """A small network in the place of SAM 2, whose file is on the server."""
    for name in ("SEGUE_MIRROR", "SEGUE_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("segue_web.server.prompters.OFFERED", ("small", "Small"))
    monkeypatch.setattr("segue_web.server.prompters.PERIOD", 0)
    entry = served(dino_entry(), *server, DINO(64, depth=1).state_dict(), tmp_path)
    known = {"segue-prompt": MODELS.find("segue-prompt"), entry.name: entry}
    monkeypatch.setitem(vars(MODELS), "_entries", known)
    prompters = {
        name: PrompterEntry(name, lambda _: lambda _: None, network)
        for name, network in (("segue-prompt", "segue-prompt"), ("small", entry.name))
    }
    monkeypatch.setitem(vars(PROMPTERS), "_entries", prompters)
    return entry


@pytest.fixture
def events() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def prompters(offered: Entry, events: list[dict[str, Any]]) -> Prompters:
    return Prompters("segue-prompt", Obedient(), events.append)


def test_the_offered_prompter_is_downloaded_with_its_progress_and_can_be_used(
    prompters: Prompters, offered: Entry, events: list[dict[str, Any]], server: tuple[str, Behaviour]
) -> None:
    size = len(server[1].content)
    assert prompters.page_state()["choices"] == ["segue-prompt"]
    assert prompters.page_state()["offer"]["name"] == "small"
    with pytest.raises(PromptError):
        asyncio.run(prompters.use("small"))

    asyncio.run(prompters.download())

    assert cached(offered).exists()
    progress = [event["prompters"]["progress"] for event in events]
    assert {"done": size, "total": size} in progress
    assert progress[-1] is None
    assert events[-1]["prompters"]["choices"] == ["segue-prompt", "small"]
    assert events[-1]["prompters"]["offer"] is None
    asyncio.run(prompters.use("small"))
    assert events[-1]["prompters"]["used"] == "small"


def test_of_two_downloads_at_once_one_is_refused(prompters: Prompters) -> None:
    async def twice() -> list[Any]:
        return await asyncio.gather(prompters.download(), prompters.download(), return_exceptions=True)

    first, second = asyncio.run(twice())
    assert first == {"there": True}
    assert isinstance(second, SegueError)


def test_a_cancelled_download_leaves_nothing_but_what_the_next_one_goes_on_from(
    prompters: Prompters, offered: Entry, events: list[dict[str, Any]]
) -> None:
    prompters._send = lambda event: (events.append(event), setattr(prompters, "_cancelled", True))[0]
    assert asyncio.run(prompters.download()) == {"there": False}
    assert not cached(offered).exists()
    assert events[-1]["prompters"]["progress"] is None
    prompters._send = events.append
    assert asyncio.run(prompters.download()) == {"there": True}
    assert cached(offered).exists()


@pytest.mark.parametrize("trouble", ["other bytes", "no file", "offline"])
def test_a_download_that_fails_says_what_to_do_and_can_be_tried_again(
    prompters: Prompters,
    offered: Entry,
    events: list[dict[str, Any]],
    server: tuple[str, Behaviour],
    trouble: str,
) -> None:
    behaviour = server[1]
    right = behaviour.content
    with pytest.MonkeyPatch.context() as patch:
        if trouble == "other bytes":
            behaviour.content = bytes(len(right))
        elif trouble == "no file":
            behaviour.failures, behaviour.failure = 1, 404
        else:
            patch.setenv("SEGUE_OFFLINE", "1")
        with pytest.raises(DownloadError) as said:
            asyncio.run(prompters.download())
    assert "segue weights get small" in str(said.value)
    assert str(cached(offered).parent) in str(said.value)
    assert not cached(offered).exists()
    assert events[-1]["prompters"]["progress"] is None
    assert events[-1]["prompters"]["offer"]["name"] == "small"

    behaviour.content = right
    asyncio.run(prompters.download())
    assert cached(offered).exists()


def test_clicks_are_answered_by_the_chosen_prompter_also_in_a_new_process(tmp_path: Path) -> None:
    video = Video(write_video(tmp_path / "video.mp4", numbered(2)))
    with closing(WorkerHere(video, ("stcn-lite", None), "segue-prompt", "cpu")) as worker:
        prompts = ImagePrompts(points=[(20, 20)])
        first = asyncio.run(worker.ask("click", 0, prompts))[1]
        asyncio.run(worker.use_prompter("segue-prompt-free"))
        second = asyncio.run(worker.ask("click", 0, prompts))[1]
        with pytest.raises(PromptError):
            asyncio.run(worker.use_prompter("nothing"))
        assert asyncio.run(worker.ask("click", 0, prompts))[1] == second
        worker._replace(worker._pool)
        assert asyncio.run(worker.ask("click", 0, prompts))[1] == second
    assert first != second
