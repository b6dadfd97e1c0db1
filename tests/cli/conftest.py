"""Fixtures of the command line's tests."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

from segue.masks import write_index_mask
from tests.cli.running import FRAMES, MASKS, Command, Outcome, command_in
from tests.lite import lively_lite
from tests.video.making import write_video

AtFrame = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def at_frame(monkeypatch: pytest.MonkeyPatch) -> AtFrame:
    """Does something in a block before or after the sessions of a class take a frame, or any frame."""

    @contextmanager
    def acting(
        session: Any, index: int | None, act: Callable[[], object], *, before: bool = False
    ) -> Iterator[None]:
        step = session.step

        def stepping(of: Any, frame: Any, *arguments: Any, **options: Any) -> Any:
            if before and index in (None, frame.index):
                act()
            result = step(of, frame, *arguments, **options)
            if not before and index in (None, frame.index):
                act()
            return result

        with monkeypatch.context() as patch:
            patch.setattr(session, "step", stepping)
            yield

    return acting


@pytest.fixture
def interrupt_at(at_frame: AtFrame) -> AtFrame:
    """Lets Ctrl-C come in a block, right after the sessions of a class have taken a frame."""

    def interrupting(session: Any, index: int, times: int = 1) -> AbstractContextManager[None]:
        def interrupt() -> None:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)

        return at_frame(session, index, interrupt)

    return interrupting


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs ``segue`` with the arguments it is given."""
    return command_in(capsys)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``clip.mp4`` (8 frames), ``first.png``, ``fifth.png`` and ``lite.safetensors``."""
    folder = tmp_path_factory.mktemp("inputs")
    write_video(folder / "clip.mp4", list(FRAMES), options={"qp": "4"})
    write_index_mask(folder / "first.png", MASKS[0])
    write_index_mask(folder / "fifth.png", np.where(MASKS[5] == 2, 4, 0).astype(np.uint8))
    save_file(lively_lite().state_dict(), folder / "lite.safetensors")
    return folder


@pytest.fixture
def track(command: Command, inputs: Path, tmp_path: Path) -> Command:
    """Runs ``segue track`` on the clip with the small weights, into ``tmp_path / "out"``."""

    def run(
        *arguments: object, source: object = inputs / "clip.mp4", mask: object = inputs / "first.png"
    ) -> Outcome:
        given = () if mask is None else ("--mask", mask)
        weights = () if "--weights" in arguments else ("--weights", inputs / "lite.safetensors")
        output = () if "--output" in arguments else ("--output", tmp_path / "out")
        return command("track", source, *given, *weights, *output, "--device", "cpu", *arguments)

    return run
