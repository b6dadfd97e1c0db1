"""``segue train fgsegnet``: FgSegNet_v2 for one scene."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from segue.cli.film_options import Precision, Seed
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
    Workers,
    require_packages,
    run,
    say,
)
from segue.datasets.cdnet import read_training_frames
from segue.datasets.foreground import read_video
from segue.errors import DatasetError
from segue.training.recipes import fgsegnet as recipes


class LossName(str, Enum):
    """Losses of FgSegNet_v2."""

    bce = "bce"
    l1_as_run = "l1_as_run"


class ClassWeightName(str, Enum):
    """Weights of the classes."""

    balanced = "balanced"
    none = "none"


def fgsegnet(
    scene: Annotated[Path, typer.Argument(help="Folder of one film in CDnet's layout.")],
    out: Out,
    frames: Annotated[
        int, typer.Option(min=2, help="Labelled frames to learn from; published are 200 and 25.")
    ] = recipes.FRAMES,
    frame_list: Annotated[
        Path | None, typer.Option(help="JSON with the published numbers of 200 or 25 frames of each scene.")
    ] = None,
    init: Annotated[Path | None, typer.Option(help="VGG-16 of torchvision.")] = None,
    start: Start = None,
    loss: Annotated[LossName, typer.Option(help="As meant, or as the release ran.")] = LossName.bce,
    class_weight: Annotated[
        ClassWeightName, typer.Option(help="As meant, or none as the release ran.")
    ] = ClassWeightName.balanced,
    epochs: Annotated[int, typer.Option(min=1, help="Looks at each frame.")] = recipes.EPOCHS,
    until: Until = None,
    seed: Seed = 1,
    precision: Precision = PrecisionName.full,
    device: Device = "auto",
    devices: Devices = 1,
    workers: Workers = 0,
    save_every: SaveEvery = 1000,
    log_every: LogEvery = 50,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Train FgSegNet_v2 for one scene, from a few of its frames.

    Its score on these frames means nothing; the network knows no other scene.

    Examples:

        segue train fgsegnet CDNET/baseline/highway --frames 50 --init vgg16.pth --out runs/highway

        segue train fgsegnet CDNET/baseline/highway --start published.h5 --loss l1_as_run
        --class-weight none --out runs/highway
    """
    require_packages()
    film = read_video(scene, scene.resolve().parent.name)
    numbers = None
    if frame_list is not None:
        published = read_training_frames(frame_list, frames)
        if film.key not in published:
            raise DatasetError(f"{frame_list}: no list for {film.key}")
        numbers = published[film.key]
    split = recipes.split_frames(film, frames, numbers)
    recipe = recipes.FgSegNetRecipe(film, split, init, start, loss.value, class_weight.value)
    say(f"{film.key}: {len(split.train)} frames to learn from, {len(split.held_back)} to validate")
    run(
        recipe,
        out=out,
        steps=epochs * len(split.train),
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
        validate=recipe.validate,
        validate_every=len(split.train),
    )
