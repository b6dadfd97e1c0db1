"""The option ``--quiet`` of commands; :mod:`segue.utils.notices` obeys it, and needs no Typer."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from segue.utils.notices import be_quiet


def quiet_option() -> Any:
    """The option ``--quiet`` for a command that has none of its own."""
    alone = typer.Typer()
    alone.command()(_with_quiet)
    (option,) = (item for item in typer.main.get_command(alone).params if "--quiet" in item.opts)
    return option


def _hush(requested: bool) -> None:
    if requested:
        be_quiet()


def _with_quiet(
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", callback=_hush, expose_value=False, help="Hide progress and notices."),
    ] = False,
) -> None:
    """Has the option that :func:`quiet_option` takes."""
