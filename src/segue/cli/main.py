"""The command ``segue``; it ends with 0 done, 1 defect, 2 something the user can repair, 130 interrupted."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup
from typer.main import get_group

import segue
from segue.errors import SegueError

COMMANDS = {
    "track": "Follow objects through a video of any length.",
    "foreground": "Find what moves or does not belong to the scene.",
    "instances": "Find every instance of a video, say what it is, and follow it.",
    "instances-official": (
        "Run the published inference over a data set, and write the results for its official server."
    ),
    "detect": "Find the objects of a picture, or of one frame of a video, and draw them.",
    "demo": "Follow the objects of the bundled sample video; needs no network and no files of yours.",
    "compare": "Score two results under one protocol, and say how much they differ, sequence by sequence.",
    "eval": "Score results of any program; the numbers equal those of the official tools.",
    "data": "Data sets: see what is there and what is missing.",
    "train": "Train a network; needs the extra `train`.",
    "synth": "Paint labelled videos; needs the extra `synth`.",
    "reproduce": "Repeat experiments of the papers.",
    "weights": "Weight files: list, download, convert and verify.",
}
"""The commands, and the first line of their help."""

MODULES = {"track": "tracking", "eval": "evaluation", "compare": "comparing", "train": "training"}
"""Modules of the commands that are called otherwise."""


class LazyGroup(TyperGroup):
    """Imports a command when it is run: most of them need PyTorch, which takes seconds."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments ask for."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, None if name is None else load_command(name), rest


def load_command(name: str) -> Any:
    """Import a command or group of commands: ``app`` of its module, or the function of its name."""
    function = name.replace("-", "_")
    module = import_module(f"segue.cli.{MODULES.get(name, function)}")
    loaded = typer.Typer(rich_markup_mode="markdown")
    if hasattr(module, "app"):
        loaded.add_typer(module.app, name=name)
    else:
        loaded.command(name)(getattr(module, function))
    return get_group(loaded).commands[name]


app = typer.Typer(
    name="segue",
    cls=LazyGroup,
    help="Video segmentation that carries context through time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _unloaded() -> None:
    """Stands for a command that :class:`LazyGroup` has not imported."""


for _name, _help in COMMANDS.items():
    app.command(_name, help=_help)(_unloaded)


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
