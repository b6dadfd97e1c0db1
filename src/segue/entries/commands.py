"""Entries of commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A command of ``segue``.

    Attributes:
        name: name after ``segue``.
        help: first line of its help; for commands of other packages the summary of the package.
        load: returns a function for Typer, or a :class:`typer.Typer` with several commands.
    """

    name: str
    help: str
    load: Callable[[], Any]
