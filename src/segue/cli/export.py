"""``segue export``: networks for programs without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from segue.errors import SinkError
from segue.export.onnx import export_onnx
from segue.weights import load


def export(
    name: Annotated[str, typer.Argument(help="stcn-lite, mustan-lite, mustan-slim or mustan-slim-isd.")],
    folder: Annotated[Path, typer.Argument(help="Where the files go; it must be empty.", show_default=False)],
    to: Annotated[Literal["onnx"], typer.Option(help="Format.")] = "onnx",
    weights: Annotated[Path | None, typer.Option(help="Weight file.  [default: the installed one]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files in the folder.")] = False,
) -> None:
    """Write a network as graphs that run without PyTorch.

    stcn-lite becomes `encode`, `read`, `decode` and `remember`, with the memory as inputs and outputs, and
    `follow.py`, which runs them with onnxruntime and numpy alone. Needs the extra `onnx`.

    Examples:

        segue export stcn-lite graphs

        segue export mustan-lite graphs/mustan --to onnx
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not overwrite:
        raise SinkError(f"{folder}: exists and is not empty; give --overwrite or another name")
    for path in export_onnx(load(name, weights), folder):
        typer.echo(path)
