"""The command line run inside the test's own process, and small inputs for it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from segue.cli import main
from tests.clips import clip

FRAMES, MASKS = clip(5, 8, 48, 64, 2)
"""The video that all runs follow, and the true masks of its objects."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        code: exit code.
        out: what it wrote to the standard output.
        err: what it wrote to the standard error.
    """

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of an error that a user can repair."""
        assert self.code == 2, self
        assert self.err.startswith("error: "), self
        assert self.err.count("\n") == 1, self
        return self.err


Command = Callable[..., Outcome]


def command_in(capsys: pytest.CaptureFixture[str]) -> Command:
    """A function that runs ``segue`` with its arguments."""

    def command(*arguments: object) -> Outcome:
        capsys.readouterr()
        show = warnings.showwarning
        try:
            main([*map(str, arguments)])
            code: object = 0
        except SystemExit as end:
            code = end.code
        finally:
            warnings.showwarning = show
        written = capsys.readouterr()
        return Outcome(int(str(code or 0)), written.out, written.err)

    return command


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but for the log of frames, by its path there; nothing for no folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".segue.jsonl")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
