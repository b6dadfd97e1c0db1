"""A command."""

from __future__ import annotations

from typing import Annotated

import typer


def blobs(count: Annotated[int, typer.Argument(help="How many.")]) -> None:
    """Print blobs."""
    typer.echo("o" * count)
