"""``segue train msstsvis-lite``: the small network that comes with segue."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from segue.cli.training_instances import Precision, Seed, opened
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
from segue.datasets.coco import CocoImages
from segue.errors import TrainingError
from segue.training.class_groups import group_channels
from segue.training.instance_clips import ClassedFootage, classed_footage
from segue.training.recipes.msstsvis import LITE_STEPS, lite

_TIMES = re.compile(r"([1-9][0-9]*)@(.+)")

Data = Annotated[
    list[str],
    typer.Option(
        help="coco=ROOT (still images), ytvis=ROOT, ovis=ROOT or isd=ROOT (videos); several may be given. "
        "5@coco=ROOT counts five times. ROOT may also be the annotation file.",
        show_default=False,
    ),
]


def msstsvis_lite(
    data: Data,
    out: Out,
    init: Annotated[
        Path | None, typer.Option("--init", help="DeepLabV3 on MobileNetV2, for the trunk.")
    ] = None,
    start: Start = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps in all.")] = LITE_STEPS,
    until: Until = None,
    seed: Seed = 1,
    precision: Precision = PrecisionName.bf16,
    device: Device = "auto",
    devices: Devices = 1,
    workers: Workers = 0,
    save_every: SaveEvery = 250,
    log_every: LogEvery = 20,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Train msstsvis-lite on videos and still images together.

    Its classes are person, animal, vehicle and object. Categories are grouped by their names; what is neither
    a being nor a vehicle is an object. The trunk is that of a DeepLabV3 and is not trained.

    Examples:

        segue train msstsvis-lite --data coco=coco --data ytvis=youtube_vis_2021 --data isd=isd
        --init deeplab.safetensors --out runs/lite
    """
    require_packages()
    if not resume and init is None and start is None:
        raise TrainingError("nothing to start from: give --init with a DeepLabV3, or --start")
    videos, stills = footage(data)
    say(f"{len(videos)} videos and {len(stills)} still images")
    recipe = lite(videos, stills, None if resume else init, None if resume else start)
    run(
        recipe, steps=steps,
        out=out, until=until, seed=seed, precision=precision.value, accelerator=device, devices=devices,
        workers=workers, save_every=save_every, log_every=log_every, overwrite=overwrite, resume=resume,
    )  # fmt: skip


def footage(data: list[str]) -> tuple[list[ClassedFootage], list[ClassedFootage]]:
    """Videos and still images that ``--data`` names.

    Raises:
        DatasetError: a layout is unknown, or files are missing or wrong.
    """
    videos: list[ClassedFootage] = []
    stills: list[ClassedFootage] = []
    for text in data:
        match = _TIMES.fullmatch(text)
        times, source = (int(match[1]), match[2]) if match else (1, text)
        dataset = opened(source)
        found = classed_footage(dataset, group_channels(dataset.categories))
        (stills if isinstance(dataset, CocoImages) else videos).extend(found * times)
    return videos, stills
