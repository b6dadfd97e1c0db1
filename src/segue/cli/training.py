"""``segue train``: train a network on folders of labelled pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from segue.cli import (
    training_fgsegnet,
    training_foreground,
    training_hofam,
    training_instances,
    training_lite,
    training_mustan,
)
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
    has_gpu,
    names_in,
    require_packages,
    run,
    say,
)
from segue.datasets.davis import DavisFolder
from segue.errors import DatasetError, TrainingError
from segue.naming import first_few
from segue.training.footage import DAVIS_VAL, Material, gather
from segue.training.recipes import stcn, stcn_lite

app = typer.Typer(
    help="Train a network; needs the extra `train`.", no_args_is_help=True, rich_markup_mode="markdown"
)
app.command("mustan-lite")(training_foreground.mustan_lite)
app.command("mustan-slim")(training_foreground.mustan_slim)
app.command("mustan1")(training_mustan.mustan1)
app.command("mustan2")(training_mustan.mustan2)
app.command("hofam")(training_hofam.hofam)
app.command("fgsegnet")(training_fgsegnet.fgsegnet)
app.command("seqformer")(training_instances.seqformer)
app.command("msstsvis")(training_instances.msstsvis)
app.command("msstsvis-lite")(training_lite.msstsvis_lite)
app.command("msstsvis-r18")(training_instances.msstsvis_r18)

Data = Annotated[
    list[str],
    typer.Option(
        help="Folder with JPEGImages/ and Annotations/ (videos) or images/ and masks/ (still images), or "
        "IMAGES:MASKS; several may be given. 5@FOLDER counts five times.",
        show_default=False,
    ),
]
Validate = Annotated[Path | None, typer.Option(help="DAVIS-style folder to measure J&F on while training.")]
ValidateOn = Annotated[
    str, typer.Option(help="Its sequences, separated by commas.  [default: those of DAVIS val, else all]")
]


@app.command("stcn")
def train_stcn(
    data: Data,
    stage: Annotated[
        int, typer.Option(min=0, max=3, help="0 still images, 1 BL30K, 2 and 3 videos after 1 and 0.")
    ],
    out: Out,
    start: Start = None,
    init: Annotated[Path | None, typer.Option(help="ResNet-50 of torchvision, for the key side.")] = None,
    init_value: Annotated[
        Path | None, typer.Option(help="ResNet-18 of torchvision, for the value side.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps in all.  [default: as published]")] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Clips of a batch, per device.  [default: as published]")
    ] = None,
    side: Annotated[int, typer.Option(help="Side of the square frames, a multiple of 16.")] = 384,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = stcn.SEED,
    exclude: Exclude = "",
    include_val: IncludeVal = False,
    validate: Validate = None,
    validate_on: ValidateOn = "",
    validate_every: ValidateEvery = 10_000,
    precision: Annotated[
        PrecisionName | None, typer.Option(help="[default: 16-mixed on a GPU, else 32-true]")
    ] = None,
    device: Device = "auto",
    devices: Devices = 1,
    workers: Workers = 4,
    save_every: SaveEvery = 5000,
    log_every: LogEvery = 50,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Train STCN by its published stages.

    Stage 0 turns still images into clips, stages 1 to 3 take videos; 0, 3 or 0, 1, 2 is a whole training.
    The first stage starts from ImageNet weights, the others from the stage before.

    Examples:

        segue train stcn --stage 0 --data DUTS --data ECSSD --init resnet50.pth --init-value resnet18.pth
        --out runs/s0

        segue train stcn --stage 3 --data 5@DAVIS --data YouTube/train --start runs/s0/stcn.safetensors
        --out runs/s03

        segue train stcn --stage 3 --data 5@DAVIS --data YouTube/train --start runs/s0/stcn.safetensors
        --out runs/s03 --resume
    """
    require_packages()
    if not resume and start is None and (init is None or init_value is None):
        raise TrainingError(
            "nothing to start from: give --start with weights of the stage before, or --init with a "
            "ResNet-50 and --init-value with a ResNet-18"
        )
    material = _material(data, exclude, include_val)
    footage, other = (material.stills, material.videos) if stage == 0 else (material.videos, material.stills)
    if other or not footage:
        kinds = ("still images", "videos") if stage == 0 else ("videos", "still images")
        found = f"there are {kinds[1]} among the data" if other else "the data hold none"
        raise DatasetError(f"stage {stage} trains on {kinds[0]} only, but {found}; see --data")
    trunks = (init, init_value) if init and init_value else None
    recipe = stcn.STCNRecipe(stage, footage, start, trunks, batch, side)
    if precision is None:
        precision = PrecisionName.fp16 if device != "cpu" and has_gpu() else PrecisionName.full
    _say_how_much(material)
    run(
        recipe,
        out=out,
        steps=steps or recipe.plan.steps,
        seed=seed,
        precision=precision.value,
        accelerator=device,
        devices=devices,
        workers=workers,
        save_every=save_every,
        log_every=log_every,
        overwrite=overwrite,
        resume=resume,
        validate=_validation(validate, validate_on, material),
        validate_every=validate_every,
    )


@app.command("stcn-lite")
def train_stcn_lite(
    data: Data,
    out: Out,
    init: Init = None,
    init_scaling: InitScaling = ScalingName.unit,
    start: Start = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps in all.")] = stcn_lite.STEPS,
    until: Until = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 1,
    exclude: Exclude = "",
    include_val: IncludeVal = False,
    validate: Validate = None,
    validate_on: ValidateOn = "",
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
    """Train stcn-lite on videos and still images together.

    torchvision's own MobileNetV2 needs `--init-scaling imagenet`.

    Examples:

        segue train stcn-lite --data DAVIS --data STILLS --init mobilenet_v2.safetensors --out runs/lite

        segue train stcn-lite --data DAVIS --data STILLS --init mobilenet_v2.safetensors --out runs/lite
        --resume
    """
    require_packages()
    if not resume and start is None and init is None:
        raise TrainingError("nothing to start from: give --init with a MobileNetV2, or --start")
    material = _material(data, exclude, include_val)
    recipe = stcn_lite.STCNLiteRecipe(material.videos, material.stills, init, start, init_scaling.value)
    _say_how_much(material)
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
        validate=_validation(validate, validate_on, material),
        validate_every=validate_every,
    )


def _material(data: list[str], exclude: str, include_val: bool) -> Material:
    return gather(data, exclude=names_in(exclude), include_val=include_val, report=say)


def _validation(folder: Path | None, names: str, material: Material) -> Callable[..., float] | None:
    """What measures J&F on sequences that are not trained on."""
    if folder is None:
        return None
    from segue.training.validation import JAndF

    davis = DavisFolder(folder)
    chosen = names_in(names) or [name for name in davis.names if name in DAVIS_VAL] or davis.names
    trained = {video.name for video in material.videos}.intersection(chosen)
    if trained:
        raise DatasetError(f"{first_few(sorted(trained))}: both trained on and validated on; --exclude them")
    return JAndF([davis[name] for name in chosen])


def _say_how_much(material: Material) -> None:
    say(f"{len(material.videos)} videos and {len(material.stills)} still images")
