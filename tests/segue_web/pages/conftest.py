"""A browser for all pages, and the servers of pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.segue_web.chromium import launched
from tests.segue_web.videos import cut_of_sample

if TYPE_CHECKING:
    from tests.segue_web.pages.desk import Desk
    from tests.segue_web.pages.page import Server

FRAMES = 9


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """A browser for all these tests: it takes seconds to start, and keeps the scripts of the page."""
    with launched() as chromium:
        yield chromium


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    """The browser; pages that a test leaves open would go on to draw, and to look for their server."""
    before = list(chromium.contexts)
    yield chromium
    for context in chromium.contexts:
        if context not in before:
            context.close()


@pytest.fixture(scope="package")
def tab(chromium: Any) -> Any:
    """A page for one test after the other; opening another one takes as long as most tests."""
    return chromium.new_page()


@pytest.fixture(scope="package")
def files() -> Iterator[str]:
    """The address of the files of the page, which the browser keeps."""
    from tests.segue_web.pages.desk import Files  # imported late: it needs playwright

    with Files() as files:
        yield files.address


@pytest.fixture
def desk(tab: Any, files: str) -> Iterator[Desk]:
    """A page whose server is the test; a test that had an error in its scripts fails."""
    from tests.segue_web.pages.desk import Desk  # imported late: it needs playwright

    desk = Desk(tab, files)
    yield desk
    desk.leave()
    assert desk.errors == []


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts processes that serve a page."""
    from tests.segue_web.pages.page import Server  # imported late: it needs playwright

    running: list[Server] = []

    def start(*arguments: str | Path) -> Server:
        running.append(Server.start(*arguments))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return cut_of_sample(tmp_path / "pond.mp4", FRAMES)


@pytest.fixture
def one(desk: Desk) -> Desk:
    """Object 1 has a mask of 20 pixels a side on frame 0, from (40, 40) on."""
    desk.open()
    desk.change(0, 1)
    desk.here("Object 1: corrected by you")
    return desk
