"""Fixtures that the tests of pages share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.running import Command

ServeHere = Callable[..., str]
"""Runs ``segue annotate`` or ``segue view`` with these arguments, and returns the address of its page."""


@pytest.fixture(autouse=True)
def _no_choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin each test without the keys and settings that somebody has chosen on this machine."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def serve_here(command: Command) -> Iterator[ServeHere]:
    """Serves pages in threads of the test's process; a process of their own takes seconds to start."""
    from tests.segue_web.here import ServerHere, WorkerHere  # imported late: they need the extra

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segue_web.annotate.Worker", WorkerHere)
        patch.setattr("segue_web.server.server.LocalServer", ServerHere)

        def start(*arguments: str | Path) -> str:
            ended = command(*arguments, "--no-browser")
            assert ended.code == 0, ended.err
            return ServerHere.running[-1].address

        yield start
    while ServerHere.running:
        ServerHere.running.pop().stop()
