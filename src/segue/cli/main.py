"""The command ``segue``; it ends with 0 done, 1 defect, 2 something the user can repair, 130 interrupted."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated

import typer
from rich.console import Console

import segue
from segue.cli import (
    comparing,
    data,
    demo,
    detect,
    evaluation,
    foreground,
    instances,
    instances_official,
    reproduce,
    synth,
    tracking,
    training,
    weights,
)
from segue.errors import SegueError

app = typer.Typer(
    name="segue",
    help="Video segmentation that carries context through time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("track")(tracking.track)
app.command("foreground")(foreground.foreground)
app.command("instances")(instances.instances)
app.command("instances-official")(instances_official.instances_official)
app.command("detect")(detect.detect)
app.command("demo")(demo.demo)
app.add_typer(evaluation.app, name="eval")
app.command("compare")(comparing.compare)
app.add_typer(data.app, name="data")
app.add_typer(training.app, name="train")
app.add_typer(synth.app, name="synth")
app.add_typer(reproduce.app, name="reproduce")
app.add_typer(weights.app, name="weights")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"segue {segue.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    """Options of the command itself."""


def main() -> None:
    """Run the command line; errors that a user can repair take one line and exit code 2."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    warnings.showwarning = lambda message, *_: console.print(f"warning: {message}", markup=False)
    try:
        app()
    except SegueError as error:
        console.print(f"error: {error}", markup=False)
        sys.exit(2)
