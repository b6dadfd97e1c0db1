"""``segue train mustan1`` and ``mustan2``: the networks of the MUSTAN paper, on labelled films."""

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
from segue.datasets.isd import IsdClip
from segue.errors import TrainingError
from segue.training.films import Films, gather_films
from segue.training.recipes import mustan
from segue.weights.checkpoint import Option


class FrmName(str, Enum):
    """How context changes the features of a frame."""

    attention = "attention"
    concat = "concat"
    none = "none"


class ContextName(str, Enum):
    """When the frames of a window meet."""

    late = "late"
    early = "early"


class WindowName(str, Enum):
    """Frames of a window."""

    three = "3"
    five = "5"
    seven = "7"


Window = Annotated[WindowName, typer.Option("--frames", help="Frames of a window.")]
Causal = Annotated[bool, typer.Option("--causal", help="No frame after the current one.")]
Frm = Annotated[FrmName, typer.Option(help="How context changes the features; none is the ablation.")]
Rlim = Annotated[bool, typer.Option(help="Refine the localisation.")]
Scene = Annotated[bool, typer.Option("--background", help="Take a picture of the empty scene, too.")]
Depth = Annotated[
    bool, typer.Option("--depth", help="Take the depth map of the frame, too; rendered films bring some.")
]
Trunk = Annotated[Path | None, typer.Option("--init", help="ResNet-18 of torchvision, for all encoders.")]
Width = Annotated[float, typer.Option(help="Factor on all channels; the paper's network is 1.")]
Rate = Annotated[float, typer.Option(help="Learning rate; small networks from random weights want 1e-3.")]
Size = Annotated[str, typer.Option(help="Height and width that a window shows.")]


def mustan2(
    data: Data,
    out: Out,
    frames: Window = WindowName.three,
    causal: Causal = False,
    frm: Frm = FrmName.attention,
    background: Scene = False,
    depth: Depth = False,
    rlim: Rlim = True,
    width: Width = 1.0,
    share_encoders: Annotated[
        bool, typer.Option("--share-encoders", help="One encoder for all frames: smaller and faster.")
    ] = False,
    exclude: LeaveOut = "",
    fold: Fold = None,
    init: Trunk = None,
    start: Start = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps in all.")] = mustan.STEPS,
    until: Until = None,
    batch: Annotated[int, typer.Option(min=1, help="Windows of a batch, per device.")] = mustan.BATCH,
    size: Size = "240x320",
    rate: Rate = mustan.RATE,
    seed: Seed = 1,
    validate: Validate = False,
    validate_every: ValidateEvery = 1000,
    precision: Precision = PrecisionName.full,
    device: Device = "auto",
    devices: Devices = 1,
    workers: Workers = 4,
    save_every: SaveEvery = 1000,
    log_every: LogEvery = 50,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Train MUSTAN2: encoders for past, present and future, joined by fusion blocks.

    With films of several kinds, half of each batch is real and half rendered.

    Examples:

        segue train mustan2 --data cdnet=CDNET --data isd=ISD --init resnet18.pth --out runs/mustan2

        segue train mustan2 --data cdnet=CDNET --fold 0 --validate --init resnet18.pth --out runs/fold0

        segue train mustan2 --data cdnet=CDNET --frames 5 --frm none --init resnet18.pth --out runs/none
    """
    require_packages()
    films = gather_films(data, exclude=names_in(exclude), fold=fold)
    _check_depth(films, depth)
    options: dict[str, Option] = {
        "frames": int(frames.value),
        "causal": causal,
        "frm": frm.value,
        "background": background,
        "depth_channels": int(depth),
        "rlim": rlim,
        "share_encoders": share_encoders,
        "width": width,
    }
    recipe = mustan.MustanRecipe("mustan2", films.sources, options, init, start, batch, _size(size), rate)
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
        validate=validation(films, validate),
        validate_every=validate_every,
    )


def mustan1(
    data: Data,
    out: Out,
    frames: Window = WindowName.three,
    causal: Causal = False,
    frm: Frm = FrmName.attention,
    context: Annotated[
        ContextName, typer.Option(help="Frames meet after their encoding, which streams, or before.")
    ] = ContextName.late,
    background: Scene = False,
    depth: Depth = False,
    rlim: Rlim = True,
    width: Width = 1.0,
    exclude: LeaveOut = "",
    fold: Fold = None,
    init: Trunk = None,
    start: Start = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps in all.")] = mustan.STEPS,
    until: Until = None,
    batch: Annotated[int, typer.Option(min=1, help="Windows of a batch, per device.")] = mustan.BATCH,
    size: Size = "240x320",
    rate: Rate = mustan.RATE,
    seed: Seed = 1,
    validate: Validate = False,
    validate_every: ValidateEvery = 1000,
    precision: Precision = PrecisionName.full,
    device: Device = "auto",
    devices: Devices = 1,
    workers: Workers = 4,
    save_every: SaveEvery = 1000,
    log_every: LogEvery = 50,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Train MUSTAN1: a context network and a frame network, joined by attention.

    Examples:

        segue train mustan1 --data cdnet=CDNET --data isd=ISD --init resnet18.pth --out runs/mustan1

        segue train mustan1 --data cdnet=CDNET --exclude highway,office --validate --frm none --out runs/none
    """
    require_packages()
    films = gather_films(data, exclude=names_in(exclude), fold=fold)
    _check_depth(films, depth)
    options: dict[str, Option] = {
        "frames": int(frames.value),
        "causal": causal,
        "frm": frm.value,
        "context": context.value,
        "background": background,
        "depth_channels": int(depth),
        "rlim": rlim,
        "width": width,
    }
    recipe = mustan.MustanRecipe("mustan1", films.sources, options, init, start, batch, _size(size), rate)
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
        validate=validation(films, validate),
        validate_every=validate_every,
    )


def _check_depth(films: Films, wanted: bool) -> None:
    """See that there is depth to learn from, if it is wanted.

    Raises:
        TrainingError: there is none.
    """
    if wanted and not any(IsdClip.of(film).has_depth for film in (*films.real, *films.rendered)):
        raise TrainingError("--depth: no film brings depth maps; `segue synth isd` renders films that do")


def _size(text: str) -> tuple[int, int]:
    """Height and width.

    Raises:
        TrainingError: the text is not two numbers with an x between them.
    """
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise TrainingError(f"--size is {text}; it must be height and width, as 240x320")
    return int(height), int(width)
