"""``segue train mustan-lite`` and ``mustan-slim``: foreground networks on artificial clips and films."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from segue.cli.training_options import (
    Device,
    Devices,
    Exclude,
    IncludeVal,
    Init,
    InitScaling,
    LogEvery,
    Out,
    Overwrite,
    PrecisionName,
    Resume,
    SaveEvery,
    ScalingName,
    Start,
    Until,
    ValidateEvery,
    Workers,
    names_in,
    require_packages,
    run,
    say,
)
from segue.datasets.foreground import open_plain
from segue.errors import TrainingError
from segue.models.mustan_lite import MustanLite
from segue.training.foreground_material import (
    LAYOUTS,
    ForegroundMaterial,
    fill_pool,
    gather_foreground,
    refuse_trained,
)
from segue.training.recipes import mustan_lite as recipes

Data = Annotated[
    list[str],
    typer.Option(
        help="What clips are made of: a folder with JPEGImages/ and Annotations/ (videos) or images/ and "
        "masks/ (still images). Films of still cameras: LAYOUT=FOLDER with LAYOUT one of "
        f"{', '.join(LAYOUTS)}. Several may be given.",
        show_default=False,
    ),
]
PoolFolder = Annotated[
    Path | None, typer.Option("--pool", help="Folder of the samples that are drawn.  [default: OUT/pool]")
]
Samples = Annotated[int, typer.Option(min=0, help="Samples of artificial clips; those of films come on top.")]
Validate = Annotated[
    Path | None, typer.Option(help="Folder of films in CDnet's layout to measure F on while training.")
]


def mustan_lite(
    data: Data,
    out: Out,
    init: Init = None,
    init_scaling: InitScaling = ScalingName.unit,
    start: Start = None,
    pool: PoolFolder = None,
    samples: Samples = recipes.SAMPLES,
    steps: Annotated[int, typer.Option(min=1, help="Steps in all.")] = recipes.STEPS,
    until: Until = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 1,
    exclude: Exclude = "",
    include_val: IncludeVal = False,
    validate: Validate = None,
    validate_every: ValidateEvery = 1000,
    precision: Annotated[PrecisionName, typer.Option(help="Number format.")] = PrecisionName.bf16,
    device: Device = "auto",
    devices: Devices = 1,
    workers: Workers = 0,
    save_every: SaveEvery = 250,
    log_every: LogEvery = 20,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Train mustan-lite: what moves, and its shadows.

    Objects are cut out of the data and move through its pictures. torchvision's own MobileNetV2 needs
    `--init-scaling imagenet`.

    Examples:

        segue train mustan-lite --data DAVIS --data STILLS --init mobilenet_v2.safetensors --out runs/lite

        segue train mustan-lite --data isd=ISD --data cdnet=CDNET --exclude highway,office --samples 0
        --init mobilenet_v2.safetensors --validate CDNET/baseline --out runs/lite
    """
    require_packages()
    if not resume and start is None and init is None:
        raise TrainingError("nothing to start from: give --init with a MobileNetV2, or --start")
    material = gather_foreground(data, exclude=names_in(exclude), include_val=include_val, report=say)
    score = _validation(validate, material)
    recipe = recipes.MustanLiteRecipe(pool or out / "pool", start, backbone=init, scaling=init_scaling.value)
    _claim(out, recipe.name, resume=resume, overwrite=overwrite)
    _fill(recipe.pool, material, samples, seed, workers)
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
        validate=score,
        validate_every=validate_every,
    )


def mustan_slim(
    data: Data,
    out: Out,
    teacher: Annotated[
        Path | None, typer.Option(help="Weights of mustan-lite whose soft masks are learned too.")
    ] = None,
    start: Start = None,
    pool: PoolFolder = None,
    samples: Samples = recipes.SAMPLES,
    steps: Annotated[int, typer.Option(min=1, help="Steps in all.")] = recipes.SLIM_STEPS,
    until: Until = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 1,
    exclude: Exclude = "",
    include_val: IncludeVal = False,
    validate: Validate = None,
    validate_every: ValidateEvery = 1000,
    precision: Annotated[PrecisionName, typer.Option(help="Number format.")] = PrecisionName.bf16,
    device: Device = "auto",
    devices: Devices = 1,
    workers: Workers = 0,
    save_every: SaveEvery = 250,
    log_every: LogEvery = 20,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Train mustan-slim: as mustan-lite, faster and not as good; it needs no weights to start from.

    Examples:

        segue train mustan-slim --data DAVIS --data STILLS --out runs/slim

        segue train mustan-slim --data DAVIS --data STILLS --pool runs/lite/pool
        --teacher runs/lite/mustan-lite.safetensors --out runs/slim
    """
    require_packages()
    material = gather_foreground(data, exclude=names_in(exclude), include_val=include_val, report=say)
    score = _validation(validate, material)
    recipe = recipes.MustanSlimRecipe(pool or out / "pool", start, teacher=teacher)
    _claim(out, recipe.name, resume=resume, overwrite=overwrite)
    _fill(recipe.pool, material, samples, seed, workers)
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
        validate=score,
        validate_every=validate_every,
    )


def _claim(out: Path, name: str, *, resume: bool, overwrite: bool) -> None:
    """See that the run may write into ``out`` before a pool is drawn for it, which takes minutes."""
    from segue.training.checkpoints import claim_folder

    claim_folder(out, name, resume=resume, overwrite=overwrite)


def _fill(pool: Path, material: ForegroundMaterial, samples: int, seed: int, workers: int) -> None:
    footage = material.footage
    films = sum(len(found) for found in material.films.values())
    say(
        f"{len(footage.videos)} videos and {len(footage.stills)} still images for clips, "
        f"{films} films of still cameras"
    )
    fill_pool(
        pool,
        material,
        MustanLite.offsets,
        recipes.SAMPLE_SIZE,
        samples=samples,
        seed=seed,
        workers=workers,
        report=say,
    )


def _validation(folder: Path | None, material: ForegroundMaterial) -> Callable[..., float] | None:
    """What measures F on films that are not trained on."""
    if folder is None:
        return None
    from segue.training.foreground_validation import FMeasure

    films = list(open_plain(folder))
    refuse_trained(material, [film.name for film in films])
    return FMeasure(films)
