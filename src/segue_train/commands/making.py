"""``segue train``: train a network on labelled pictures.

Each function below prepares the recipe of one network. Its options are those of the data, of the recipe and
of the run, which :mod:`segue.cli.options` makes from their dataclasses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from annotated_types import Ge

from segue.cli.options import Options, Values, command
from segue.errors import TrainingError
from segue.extras import missing_packages
from segue_train.origin import origin_of
from segue_train.recipe import Recipe, RunSettings

app = typer.Typer(
    help="Train a network; needs the extra `train`.", no_args_is_help=True, rich_markup_mode="markdown"
)

Prepared = tuple[Recipe, Values]
"""A recipe, and settings of its run that depend on the data."""

# Defaults of the runs of published networks, and of the small ones that come with segue.
PAPER: Values = {"seed": 1, "workers": 4, "log_every": 50}
LITE: Values = {"seed": 1, "precision": "bf16-mixed", "save_every": 250}


def training(
    name: str, data: Options, *options: Options, help: dict[str, str] | None = None, **run: Any
) -> Callable[[Callable[..., Prepared]], Callable[..., Prepared]]:
    """Make a command of a function that prepares a recipe; the docstring of the function is its help.

    The function is given an instance of the dataclass of ``data``, then the values of each of ``options``,
    then those of the run, whose defaults are ``run``. Without ``steps`` there is no such option; where it or
    ``accumulate`` is None, that is what the function gives unless the user does.
    """
    steps = "steps" if "steps" in run else ""
    validate = "validate_every" if "validate" in data.names.split() else ""
    names = (
        f"out:out,o {steps} until {validate} seed precision accelerator:device devices accumulate workers "
        "save_every log_every overwrite resume"
    )
    types: Values = dict.fromkeys(("steps", "accumulate"), Annotated[int | None, Ge(1)])
    settings = Options(RunSettings, names, run, types, help or {})

    def register(prepare: Callable[..., Prepared]) -> Callable[..., Prepared]:
        def start(source: Values, *values: Values) -> None:
            if missing := missing_packages("train"):
                raise TrainingError(f"training needs {missing}")
            recipe, more = prepare(data.of(**source), *values)
            train(recipe, origin=origin_of(source, *values[:-1]), **values[-1] | more)

        start.__doc__ = prepare.__doc__
        app.command(name)(command(start, data, *options, settings))
        return prepare

    return register


def train(recipe: Recipe, **settings: Any) -> None:
    """Run a recipe and say where the weights are; ends the program with 130 if it was interrupted."""
    from segue_train import loop

    try:
        weights = loop.train(recipe, RunSettings(report=say, **settings))
    except KeyboardInterrupt:
        say("interrupted; give the same command with --resume to go on")
        raise typer.Exit(130) from None
    typer.echo(f"weights: {weights}")


@dataclass(frozen=True, slots=True)
class Data:
    """What is trained on.

    Attributes:
        exclude: sequences to leave out, separated by commas.
        include_val: train on sequences of DAVIS val too; they score nothing then.
    """

    data: list[str]
    exclude: str = ""
    include_val: bool = False

    @property
    def choice(self) -> Values:
        """What is left out, for functions that list what folders hold."""
        return {"exclude": names_in(self.exclude), "include_val": self.include_val, "report": say}


def say(text: str) -> None:
    """A line for the person at the keyboard."""
    typer.echo(text, err=True)


def names_in(text: str) -> list[str]:
    """Names that commas separate."""
    return [name.strip() for name in text.split(",") if name.strip()]


def must_start(run: Values, wanted: str, *given: object) -> None:
    """See that a run that is not resumed has weights to start from: one of ``given``."""
    if not run["resume"] and not any(given):
        raise TrainingError(f"nothing to start from: give {wanted}")
