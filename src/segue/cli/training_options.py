"""What the commands of ``segue train`` share: options, checks, the run."""

from __future__ import annotations

from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segue.errors import TrainingError

if TYPE_CHECKING:
    from segue.training.loop import Recipe

PACKAGES = ("lightning", "tensorboard")
"""What the extra ``train`` brings."""


class PrecisionName(str, Enum):
    """Number formats of a training."""

    full = "32-true"
    bf16 = "bf16-mixed"
    fp16 = "16-mixed"


class ScalingName(str, Enum):
    """Input scaling of ImageNet weights."""

    unit = "unit"
    imagenet = "imagenet"


Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for weights, checkpoints and logs.")]
Start = Annotated[Path | None, typer.Option(help="Weights of this network to start from.")]
Init = Annotated[Path | None, typer.Option(help="MobileNetV2 in torchvision's layout.")]
InitScaling = Annotated[
    ScalingName, typer.Option(help="Input it was trained with: [-1, 1], or mean and deviation.")
]
Until = Annotated[int | None, typer.Option(min=1, help="Stop after this step, to go on later with --resume.")]
Exclude = Annotated[str, typer.Option(help="Sequences to leave out, separated by commas.")]
IncludeVal = Annotated[
    bool, typer.Option("--include-val", help="Train on sequences of DAVIS val too; they score nothing then.")
]
ValidateEvery = Annotated[int, typer.Option(min=1, help="Steps between two validations.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Devices = Annotated[int, typer.Option(min=1, help="Number of GPUs, each with its own batches.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes that prepare batches.")]
SaveEvery = Annotated[int, typer.Option(min=1, help="Steps between two checkpoints.")]
LogEvery = Annotated[int, typer.Option(min=1, help="Steps between two lines of the log.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Throw away the run in the output folder.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in the output folder.")]


def require_packages() -> None:
    """See that the packages of the extra are there.

    Raises:
        TrainingError: one is missing.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise TrainingError(f'training needs {" and ".join(missing)}: pip install "segue[train]"')


def run(recipe: Recipe, **settings: Any) -> None:
    """Train and say where the weights are; ends the program with 130 if it was interrupted."""
    from segue.training.loop import RunSettings, train

    try:
        weights = train(recipe, RunSettings(report=say, **settings))
    except KeyboardInterrupt:
        say("interrupted; give the same command with --resume to go on")
        raise typer.Exit(130) from None
    typer.echo(f"weights: {weights}")


def names_in(text: str) -> list[str]:
    """Names that commas separate."""
    return [name.strip() for name in text.split(",") if name.strip()]


def has_gpu() -> bool:
    """Whether PyTorch can use a GPU."""
    import torch

    return torch.cuda.is_available()


def say(text: str) -> None:
    """A line for the person at the keyboard."""
    typer.echo(text, err=True)
