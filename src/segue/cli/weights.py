"""``segue weights`` and ``segue export``: networks, weight files and ONNX graphs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import DownloadColumn, TransferSpeedColumn

from segue.entries.networks import Entry
from segue.errors import ArgumentError, CheckpointError, SinkError
from segue.export import EXPORTED
from segue.models.hub import PREFIX
from segue.registry import MODELS
from segue.reports.terminal import bars, print_table
from segue.sinks.outputs import check_folder
from segue.utils.files import locked, remove_partial
from segue.utils.inputs import absolute_path, check_file
from segue.weights.available import weight_file
from segue.weights.download import installed

app = typer.Typer(help="Weight files: list, download, convert and verify.", no_args_is_help=True)


@app.command("list")
def list_networks(
    names: Annotated[
        list[str] | None, typer.Argument(help="Networks to show in full.", show_default=False)
    ] = None,
) -> None:
    """List the networks, and whether their weights are installed.

    With names, also print the source of the weights, their checksum, licence and paper.

    Examples:

        segue weights list

        segue weights list maskrcnn dino-s16
    """
    if not names:
        rows = [(entry.name, (state_of(entry), entry.licence)) for entry in MODELS if entry.signature]
        print_table(("network", "weights", "licence"), rows)
    for name in names or ():
        for field, value in details_of(MODELS.find(name)).items():
            if value is not None:
                typer.echo(f"{field}\t{value}")


@app.command("get")
def get_weights(
    name: Annotated[str, typer.Argument(help="Network, as `segue weights list` shows it, or hf:OWNER/NAME.")],
    sha256: Annotated[
        str | None, typer.Option("--sha256", help="Checksum of the file, if its publisher states none.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Accept a file without a published checksum.")
    ] = False,
) -> None:
    """Download the weights of a network once, check them, and convert them to safetensors.

    The weights are stored in the cache folder (SEGUE_HOME), where every command finds them. An interrupted
    download is continued. SEGUE_MIRROR names a server to try first; SEGUE_OFFLINE=1 forbids all downloads. If
    the publisher states no checksum, the command shows the SHA-256 of the file and asks whether you trust it.

    Examples:

        segue weights get maskrcnn

        segue weights get dino-s16

        segue weights get dino-s16 --sha256 THE_CHECKSUM_THAT_YOU_TRUST

        segue weights get dino-b16 --trust

        segue weights get hf:facebook/sam2.1-hiera-tiny
    """
    entry = MODELS.find(name)
    if entry.folder is not None:
        _get_repository(name)
        return
    from segue.weights.loading import get  # imports PyTorch

    with bars("note", DownloadColumn(), TransferSpeedColumn()) as bar:
        task = bar.add_task(name, total=None, note="")

        def report(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        def agreed(digest: str) -> bool:
            bar.stop()
            typer.echo(f"{name}: no checksum is published; SHA-256 of the file: {digest}", err=True)
            return trust or typer.confirm("Trust it?", err=True)

        confirm = agreed if trust or sys.stdin.isatty() else None
        path = get(entry, checksum=sha256, trust=confirm, report=report)
    typer.echo(f"{path}: weights of {name}, licence {entry.licence}")


def _get_repository(name: str) -> None:
    """Download a transformers video model into the Hub's cache."""
    from segue.weights.pretrained import download_repository  # imports PyTorch

    def report(licence: str, size: int) -> None:
        typer.echo(f"{name}: licence {licence}, {size / 1e6:.0f} MB", err=True)

    folder = download_repository(name.removeprefix(PREFIX), report)
    typer.echo(f"{folder}: use it with --model {name}")


@app.command("convert")
def convert_file(
    source: Annotated[Path, typer.Argument(help="Official file, such as stcn.pth or STM_weights.pth.")],
    target: Annotated[
        Path | None, typer.Argument(help="File to write.  [default: the source with .safetensors]")
    ] = None,
    install: Annotated[
        bool,
        typer.Option("--install", help="Write into the cache folder, where commands find it by name."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Convert an official file to safetensors, without unpickling foreign objects.

    Examples:

        segue weights convert stcn.pth

        segue weights convert STM_weights.pth stm.safetensors

        segue weights convert SeqFormer_r50.pth --install
    """
    check_file(weight_file(source), CheckpointError)
    named = source if source.name else absolute_path(source)
    target = target or (None if install else named.with_suffix(".safetensors"))
    if install and target is not None:
        raise CheckpointError(f"{target}: --install has a place of its own; leave the file to write out")
    if target is not None and target.exists() and not overwrite:
        raise CheckpointError(f"{target}: exists already; give --overwrite or another name")
    from segue.weights import loading  # imports PyTorch

    if target is None:
        target, entry = loading.install(source, overwrite=overwrite)
        typer.echo(f"{target}: weights of {entry.name}; use them with --model {entry.name}")
        return
    entry = loading.convert(source, target)
    typer.echo(f"{target}: weights of {entry.name}; use them with --model {entry.name} --weights {target}")


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="Weight file, converted or official, or a saved folder.")],
) -> None:
    """Check that a file contains all weights of a network, and name the network.

    Examples:

        segue weights verify stcn.safetensors

        segue weights verify my-network
    """
    check_file(weight_file(file), CheckpointError)
    from segue.weights import load, read_checkpoint, recognise  # imports PyTorch

    checkpoint = read_checkpoint(file)
    if (entry := recognise(checkpoint.tensors, checkpoint.metadata)) is None:
        raise CheckpointError(f"{file}: of no network that segue knows")
    load(entry.name, file)
    typer.echo(f"{file}: complete weights of {entry.name}")


def export(
    name: Annotated[str, typer.Argument(help=f"{EXPORTED}.")],
    folder: Annotated[
        Path | None, typer.Argument(help="Folder for the files; it must be empty.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The same folder, as an option.")
    ] = None,
    to: Annotated[Literal["onnx"], typer.Option(help="Format.")] = "onnx",
    weights: Annotated[Path | None, typer.Option(help="Weight file.  [default: the installed one]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files in the folder.")] = False,
) -> None:
    """Export a network as graphs that run without PyTorch.

    stcn-lite and stcn become graphs that encode, read, decode and memorise, and `follow.py`, which manages
    the memory and runs the graphs with onnxruntime, NumPy and OpenCV. Needs the extra `onnx`.

    Examples:

        segue export stcn-lite graphs

        segue export mustan-lite graphs/mustan --to onnx
    """
    MODELS.find(name)
    places = [place for place in (folder, output) if place is not None]
    if len(places) != 1:
        raise ArgumentError("give one folder for the graphs, as FOLDER or by --output")
    (folder,) = places
    check_folder(folder)
    with locked([folder]):
        if folder.is_dir():
            remove_partial(folder)  # of an export that was killed
        elif folder.exists():
            raise SinkError(f"{folder}: is a file; graphs are written into a folder, give another name")
        if folder.is_dir() and any(folder.iterdir()) and not overwrite:
            raise SinkError(f"{folder}: exists and is not empty; give --overwrite or another name")
        from segue.export.onnx import export_onnx  # imports PyTorch
        from segue.weights import load

        for path in export_onnx(load(name, weights), folder):
            typer.echo(path)


def state_of(entry: Entry) -> str:
    """Whether the weights of a network are installed, or how to get them."""
    if entry.bundled:
        return "come with segue"
    if installed(entry) is not None:
        return "installed"
    if entry.remote:
        return entry.download_command
    return "get them yourself" if entry.source else "none published"


def details_of(entry: Entry) -> dict[str, object]:
    """All catalogue data of an entry; None is unknown."""
    remote = entry.remote
    return {
        "network": entry.name,
        "weights": state_of(entry),
        "from": remote.address if remote else entry.source,
        "sha256": remote.sha256 if remote else entry.sha256,
        "bytes": remote.size if remote else None,
        "installed": installed(entry),
        "training": None if entry.bundled or remote or entry.source else entry.training,
        "licence": entry.licence,
        "paper": entry.paper,
    }
