"""``segue weights``: what networks there are, and their files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from segue.errors import CheckpointError
from segue.weights import CATALOGUE, convert, load_strict, read_checkpoint
from segue.weights.catalogue import recognise

app = typer.Typer(help="Weight files: list, convert and verify.", no_args_is_help=True)


@app.command("list")
def list_networks() -> None:
    """List the networks that segue knows, and where their weights come from."""
    table = Table("network", "weights", "licence", "paper")
    for entry in CATALOGUE:
        table.add_row(entry.name, entry.source or "come with segue", entry.licence, entry.paper)
    Console().print(table)


@app.command("convert")
def convert_file(
    source: Annotated[Path, typer.Argument(help="Official file, such as stcn.pth or STM_weights.pth.")],
    target: Annotated[
        Path | None, typer.Argument(help="File to write.  [default: beside it, .safetensors]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Convert an official file to safetensors, without ever unpickling foreign objects.

    Examples:

        segue weights convert stcn.pth

        segue weights convert STM_weights.pth stm.safetensors
    """
    target = target or source.with_suffix(".safetensors")
    if target.exists() and not overwrite:
        raise CheckpointError(f"{target}: exists already; give --overwrite or another name")
    entry = convert(source, target)
    typer.echo(f"{target}: weights of {entry.name}; use them with --model {entry.name} --weights {target}")


@app.command("verify")
def verify(file: Annotated[Path, typer.Argument(help="Weight file, converted or official.")]) -> None:
    """Check that a file holds all weights of a network, and say of which.

    Example:

        segue weights verify stcn.safetensors
    """
    entry = recognise(read_checkpoint(file).tensors)
    if entry is None:
        raise CheckpointError(f"{file}: of no network that segue knows")
    load_strict(entry.build(), file)
    typer.echo(f"{file}: complete weights of {entry.name}")
