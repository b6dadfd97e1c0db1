"""``segue train``: train a network on folders of labelled pictures."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segue.datasets.davis import DavisFolder, first_few
from segue.errors import DatasetError, TrainingError
from segue.training.footage import DAVIS_VAL, Material, gather
from segue.training.recipes import stcn, stcn_lite

if TYPE_CHECKING:
    from segue.training.loop import Recipe

app = typer.Typer(
    help="Train a network; needs the extra `train`.", no_args_is_help=True, rich_markup_mode="markdown"
)

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


Data = Annotated[
    list[str],
    typer.Option(
        help="Folder with JPEGImages/ and Annotations/ (videos) or images/ and masks/ (still images), or "
        "IMAGES:MASKS; several may be given. 5@FOLDER counts five times.",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for weights, checkpoints and logs.")]
Start = Annotated[Path | None, typer.Option(help="Weights of this network to start from.")]
Exclude = Annotated[str, typer.Option(help="Sequences to leave out, separated by commas.")]
IncludeVal = Annotated[
    bool, typer.Option("--include-val", help="Train on sequences of DAVIS val too; they score nothing then.")
]
Validate = Annotated[Path | None, typer.Option(help="DAVIS-style folder to measure J&F on while training.")]
ValidateOn = Annotated[
    str, typer.Option(help="Its sequences, separated by commas.  [default: those of DAVIS val, else all]")
]
ValidateEvery = Annotated[int, typer.Option(min=1, help="Steps between two validations.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Devices = Annotated[int, typer.Option(min=1, help="Number of GPUs, each with its own batches.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes that prepare batches.")]
SaveEvery = Annotated[int, typer.Option(min=1, help="Steps between two checkpoints.")]
LogEvery = Annotated[int, typer.Option(min=1, help="Steps between two lines of the log.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Throw away the run in the output folder.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in the output folder.")]


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
    _require_packages()
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
        precision = PrecisionName.fp16 if device != "cpu" and _has_gpu() else PrecisionName.full
    _run(
        recipe,
        material,
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
    init: Annotated[Path | None, typer.Option(help="MobileNetV2 in torchvision's layout.")] = None,
    init_scaling: Annotated[
        ScalingName, typer.Option(help="Input it was trained with: [-1, 1], or mean and deviation.")
    ] = ScalingName.unit,
    start: Start = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps in all.")] = stcn_lite.STEPS,
    until: Annotated[
        int | None, typer.Option(min=1, help="Stop after this step, to go on later with --resume.")
    ] = None,
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
    _require_packages()
    if not resume and start is None and init is None:
        raise TrainingError("nothing to start from: give --init with a MobileNetV2, or --start")
    material = _material(data, exclude, include_val)
    recipe = stcn_lite.STCNLiteRecipe(material.videos, material.stills, init, start, init_scaling.value)
    _run(
        recipe,
        material,
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


def _require_packages() -> None:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise TrainingError(f'training needs {" and ".join(missing)}: pip install "segue[train]"')


def _run(recipe: Recipe, material: Material, **settings: Any) -> None:
    """Train and say where the weights are; ends the program with 130 if it was interrupted."""
    from segue.training.loop import RunSettings, train

    _say(f"{len(material.videos)} videos and {len(material.stills)} still images")
    try:
        weights = train(recipe, RunSettings(report=_say, **settings))
    except KeyboardInterrupt:
        _say("interrupted; give the same command with --resume to go on")
        raise typer.Exit(130) from None
    typer.echo(f"weights: {weights}")


def _material(data: list[str], exclude: str, include_val: bool) -> Material:
    return gather(data, exclude=_names(exclude), include_val=include_val, report=_say)


def _validation(folder: Path | None, names: str, material: Material) -> Callable[..., float] | None:
    """What measures J&F on sequences that are not trained on."""
    if folder is None:
        return None
    from segue.training.validation import JAndF

    davis = DavisFolder(folder)
    chosen = _names(names) or [name for name in davis.names if name in DAVIS_VAL] or davis.names
    trained = {video.name for video in material.videos}.intersection(chosen)
    if trained:
        raise DatasetError(f"{first_few(sorted(trained))}: both trained on and validated on; --exclude them")
    return JAndF([davis[name] for name in chosen])


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _say(text: str) -> None:
    typer.echo(text, err=True)
