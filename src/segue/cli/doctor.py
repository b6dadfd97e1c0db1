"""``segue doctor``: what a bug report needs."""

from __future__ import annotations

from typing import Annotated

import typer

from segue.doctor import facts, self_test
from segue.inputs import printable


def doctor(
    device: Annotated[str | None, typer.Option(help="Where the self-test runs: cpu, cuda, mps.")] = None,
    test: Annotated[bool, typer.Option("--test/--no-test", help="Follow the bundled video.")] = True,
) -> None:
    """Show what a bug report needs: versions, devices, codecs, extras, layers, and a self-test.

    Example:

        segue doctor
        segue doctor --no-test
    """
    for name, value in facts():
        typer.echo(printable(f"{name}: {value}"))
    if not test:
        return
    try:
        typer.echo(f"self-test: {self_test(device)}")
    except (RuntimeError, ImportError, OSError) as error:  # also a library that cannot be loaded
        typer.echo(printable(f"self-test: FAILED ({error})"))
        raise typer.Exit(1) from None
