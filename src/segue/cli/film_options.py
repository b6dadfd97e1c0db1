"""What the commands that learn from labelled films share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from torch import nn

from segue.cli.training_options import PrecisionName, say
from segue.datasets.cdnet import FOLDS
from segue.errors import TrainingError
from segue.training.films import Films
from segue.training.foreground_material import LAYOUTS

Data = Annotated[
    list[str],
    typer.Option(
        help=f"Labelled films, LAYOUT=FOLDER with LAYOUT one of {', '.join(LAYOUTS)}; several may be given.",
        show_default=False,
    ),
]
LeaveOut = Annotated[
    str, typer.Option("--exclude", help="Scenes or categories to leave out, separated by commas.")
]
Fold = Annotated[
    int | None, typer.Option(min=0, max=FOLDS - 1, help="Leave out the scenes of this fold of CDnet 2014.")
]
Validate = Annotated[
    bool,
    typer.Option("--validate", help="Measure F on the scenes that are left out; the best is kept apart."),
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Precision = Annotated[PrecisionName, typer.Option(help="Number format.")]


def announce(films: Films) -> None:
    """Say how many films there are."""
    say(
        f"{len(films.real)} real and {len(films.rendered)} rendered films to learn from, "
        f"{len(films.left_out)} left out"
    )


def validation(
    films: Films, wanted: bool, wrap: Callable[[Any], nn.Module] | None = None
) -> Callable[[nn.Module], float] | None:
    """What measures F on the films that are left out.

    Raises:
        TrainingError: there is none.
    """
    if not wanted:
        return None
    if not films.left_out:
        raise TrainingError(
            "--validate measures F on scenes that are left out; name some with --exclude or --fold"
        )
    from segue.training.foreground_validation import FMeasure

    score = FMeasure(films.left_out)
    return score if wrap is None else lambda network: score(wrap(network))
