"""``segue train hofam``: HOFAM and STAM, on composites of the release or on labelled films."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from segue.cli.film_options import Data, Fold, LeaveOut, Precision, Seed, Validate, announce, validation
from segue.cli.training_options import (
    Device,
    Devices,
    LogEvery,
    Out,
    Overwrite,
    PrecisionName,
    Resume,
    SaveEvery,
    Start,
    Until,
    ValidateEvery,
    Workers,
    names_in,
    require_packages,
    run,
)
from segue.sessions.flow_network import FlowNetwork
from segue.training.films import gather_films
from segue.training.recipes import hofam as recipes


class ScaleName(str, Enum):
    """When rare foreground weighs more."""

    gated = "gated"
    as_run = "as_run"
    always = "always"


class FlowChoice(str, Enum):
    """Providers of optical flow."""

    dis = "dis"
    farneback = "farneback"
    raft = "raft"


class FlowModeName(str, Enum):
    """Flow pictures."""

    hierarchical = "hierarchical"
    single = "single"


class LevelsName(str, Enum):
    """Levels of HOFAM."""

    six = "6"
    eight = "8"


def hofam(
    data: Data,
    out: Out,
    flow_mode: Annotated[
        FlowModeName, typer.Option(help="Flow to three earlier frames, or to one (STAM).")
    ] = FlowModeName.hierarchical,
    flow: Annotated[FlowChoice, typer.Option(help="What computes the flow of films.")] = FlowChoice.dis,
    flow_weights: Annotated[Path | None, typer.Option(help="Weights of torchvision's raft_small.")] = None,
    gf: Annotated[int, typer.Option(min=1, max=64, help="Width; 16 is for computers without a GPU.")] = 64,
    levels: Annotated[
        LevelsName, typer.Option(help="6 takes other sizes than 256 x 256.")
    ] = LevelsName.eight,
    train_fusion: Annotated[
        bool, typer.Option(help="Let the fusion convolutions learn; the release does not.")
    ] = True,
    class_in_scale: Annotated[
        ScaleName,
        typer.Option(help="When rare foreground weighs more: as meant, as the release ran, always."),
    ] = ScaleName.gated,
    exclude: LeaveOut = "",
    fold: Fold = None,
    start: Start = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps in all.")] = recipes.STEPS,
    until: Until = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures of a batch, per device.")] = recipes.BATCH,
    seed: Seed = 1,
    validate: Validate = False,
    validate_every: ValidateEvery = 2000,
    precision: Precision = PrecisionName.full,
    device: Device = "auto",
    devices: Devices = 1,
    workers: Workers = 4,
    save_every: SaveEvery = 2000,
    log_every: LogEvery = 50,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Train HOFAM, or STAM with a single flow.

    Composite pictures of the release (`hofam=FOLDER`) bring their flow, that of films is computed.

    Examples:

        segue train hofam --data cdnet=CDNET --fold 0 --validate --out runs/hofam

        segue train hofam --data hofam=COMPOSITES --gf 16 --out runs/small

        segue train hofam --data cdnet=CDNET --flow-mode single --out runs/stam
    """
    require_packages()
    films = gather_films(data, exclude=names_in(exclude), fold=fold)
    recipe = recipes.HofamRecipe(
        "stam" if flow_mode is FlowModeName.single else "hofam",
        [*films.real, *films.rendered],
        gf=gf,
        levels=8 if levels is LevelsName.eight else 6,
        train_fusion=train_fusion,
        class_in_scale=class_in_scale.value,
        flow=flow.value,
        flow_weights=flow_weights,
        start=start,
        batch=batch,
    )
    announce(films)
    run(
        recipe,
        out=out,
        steps=steps,
        until=until,
        seed=seed,
        precision=precision.value,
        accelerator=device,
        devices=devices,
        workers=workers,
        save_every=save_every,
        log_every=log_every,
        overwrite=overwrite,
        resume=resume,
        validate=validation(films, validate, lambda network: FlowNetwork(network, recipe.provider())),
        validate_every=validate_every,
    )
