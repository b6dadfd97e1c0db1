"""``segue weights``: what networks there are, and their files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from segue.errors import CheckpointError
from segue.weights import CATALOGUE, Entry, convert, find, load, read_checkpoint
from segue.weights.cache import cached, get
from segue.weights.catalogue import recognise
from segue.weights.download import Report

app = typer.Typer(help="Weight files: list, download, convert and verify.", no_args_is_help=True)


@app.command("list")
def list_networks() -> None:
    """List the networks that segue knows, which weights are there, and where the others come from."""
    table = Table("network", "weights", "from", "licence", "paper")
    for entry in CATALOGUE:
        table.add_row(entry.name, _state(entry), _origin(entry), entry.licence, entry.paper)
    Console().print(table)


def _state(entry: Entry) -> str:
    if entry.bundled:
        return "come with segue"
    if cached(entry).exists():
        return "downloaded"
    return f"segue weights get {entry.name}" if entry.remote else ""


def _origin(entry: Entry) -> str:
    if entry.remote:
        return entry.remote.address
    return entry.source or ("" if entry.bundled else f"none published; {entry.training}")


@app.command("get")
def get_weights(
    name: Annotated[str, typer.Argument(help="Network, as `segue weights list` shows it.")],
    sha256: Annotated[
        str | None, typer.Option("--sha256", help="Checksum of the file, where its publisher gives none.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Use no network.")] = False,
) -> None:
    """Download the weights of a network once, check them, and convert them to safetensors.

    They go to the cache folder (SEGUE_HOME), where every command finds them. An interrupted download is gone
    on with. SEGUE_MIRROR names a server to try first; SEGUE_OFFLINE=1 forbids all downloads.

    Examples:

        segue weights get maskrcnn

        segue weights get dino-s16 --sha256 THE_CHECKSUM_THAT_YOU_TRUST
    """
    entry = find(name)
    with _download_bar(name) as report:
        path = get(entry, checksum=sha256, offline=offline, report=report)
    typer.echo(f"{path}: weights of {name}, licence {entry.licence}")


@contextmanager
def _download_bar(title: str) -> Iterator[Report]:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


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
    load(entry.name, file)
    typer.echo(f"{file}: complete weights of {entry.name}")
