"""What a command says beside its results: lines on the standard error, which ``--quiet`` leaves out."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import Annotated, Any

import typer

from segue.inputs import printable

_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)


def notice(text: str) -> None:
    """Say something that the person at the terminal may want to know; not what is wrong, nor a result."""
    if not _QUIET.get():
        print(printable(text), file=sys.stderr)


def be_quiet() -> None:
    """Leave out notices and progress from now on, in this context (see :mod:`contextvars`)."""
    _QUIET.set(True)


def is_quiet() -> bool:
    """Whether notices and progress are left out."""
    return _QUIET.get()


def quiet_option() -> Any:
    """The option ``--quiet`` for a command that has none of its own."""
    alone = typer.Typer()
    alone.command()(_with_quiet)
    (option,) = (item for item in typer.main.get_command(alone).params if "--quiet" in item.opts)
    return option


def _hush(wanted: bool) -> None:
    if wanted:
        be_quiet()


def _with_quiet(
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", callback=_hush, expose_value=False, help="No progress and no notices."),
    ] = False,
) -> None:
    """Has the option that :func:`quiet_option` takes."""
