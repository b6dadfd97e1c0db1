"""``segue train seqformer`` and ``msstsvis``: the published training on YouTube-VIS and COCO."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from segue.cli.training_options import (
    Device,
    Devices,
    LogEvery,
    Out,
    Overwrite,
    PrecisionName,
    Resume,
    SaveEvery,
    Until,
    Workers,
    require_packages,
    run,
    say,
)
from segue.datasets.coco import CocoImages
from segue.datasets.ytvis import YTVISDataset
from segue.errors import DatasetError, TrainingError
from segue.models.seqformer.classes import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021, names_text
from segue.naming import first_few
from segue.training.recipes.seqformer import PublishedRecipe
from segue.training.ytvis_clips import COCO_TO_2019, COCO_TO_2021, ClipSource, StillClips, VideoClips
from segue.weights.instance_networks import instance_network

LAYOUTS = ("ytvis", "ovis", "coco")

CHANNELS = 42
"""Class channels of the published networks."""


class BackboneName(str, Enum):
    """Trunks."""

    r50 = "r50"
    r101 = "r101"
    swin_l = "swin-l"


Data = Annotated[
    list[str],
    typer.Option(
        help="ytvis=ROOT or ovis=ROOT (videos), coco=ROOT (pictures as clips); several may be given. ROOT "
        "may also be the annotation file.",
        show_default=False,
    ),
]
BackboneOption = Annotated[BackboneName, typer.Option("--backbone", help="Trunk.")]
Trunk = Annotated[
    Path | None, typer.Option("--init", help="Classifier of the trunk, in torchvision's layout.")
]
StartFrom = Annotated[
    Path | None, typer.Option("--start", help="Weights to start from, such as those of a training on COCO.")
]
Steps = Annotated[int | None, typer.Option(min=1, help="Steps in all.  [default: those of 12 epochs]")]
Batch = Annotated[int, typer.Option(min=1, help="Clips of a batch, per device.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Precision = Annotated[PrecisionName, typer.Option(help="Number format.")]


def seqformer(
    data: Data,
    out: Out,
    backbone: BackboneOption = BackboneName.r50,
    init: Trunk = None,
    start: StartFrom = None,
    steps: Steps = None,
    until: Until = None,
    batch: Batch = 2,
    seed: Seed = 1,
    precision: Precision = PrecisionName.full,
    device: Device = "auto",
    devices: Devices = 1,
    workers: Workers = 4,
    save_every: SaveEvery = 2000,
    log_every: LogEvery = 50,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Train SeqFormer on YouTube-VIS, and COCO beside it, by the published recipe.

    As published are 16 clips in all, 2 on each of 8 devices.

    Examples:

        segue train seqformer --data ytvis=youtube_vis_2019 --data coco=coco --start coco.safetensors
        --devices 8 --out runs/seqformer

        segue train seqformer --data ovis=ovis --init resnet50.pth --batch 1 --out runs/ovis
    """
    _train(
        "seqformer", data, backbone, init, start, batch, steps,
        out=out, until=until, seed=seed, precision=precision.value, accelerator=device, devices=devices,
        workers=workers, save_every=save_every, log_every=log_every, overwrite=overwrite, resume=resume,
    )  # fmt: skip


def msstsvis(
    data: Data,
    out: Out,
    backbone: BackboneOption = BackboneName.r50,
    init: Trunk = None,
    start: StartFrom = None,
    steps: Steps = None,
    until: Until = None,
    batch: Batch = 1,
    seed: Seed = 1,
    precision: Precision = PrecisionName.full,
    device: Device = "auto",
    devices: Devices = 1,
    workers: Workers = 4,
    save_every: SaveEvery = 2000,
    log_every: LogEvery = 50,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Train MS-STS VIS with its discriminator; it may start from weights of SeqFormer.

    As published are 10 clips in all.

    Examples:

        segue train msstsvis --data ytvis=youtube_vis_2019 --data coco=coco --start seqformer-r50.safetensors
        --devices 10 --out runs/msstsvis
    """
    _train(
        "msstsvis", data, backbone, init, start, batch, steps,
        out=out, until=until, seed=seed, precision=precision.value, accelerator=device, devices=devices,
        workers=workers, save_every=save_every, log_every=log_every, overwrite=overwrite, resume=resume,
    )  # fmt: skip


def _train(
    kind: str,
    data: list[str],
    backbone: BackboneName,
    init: Path | None,
    start: Path | None,
    batch: int,
    steps: int | None,
    *,
    devices: int,
    resume: bool,
    **settings: object,
) -> None:
    require_packages()
    if not resume and init is None and start is None:
        raise TrainingError(
            "nothing to start from: give --start with weights, or --init with a classifier of the trunk"
        )
    sources, names = clip_sources(data)
    recipe = PublishedRecipe(
        name=f"{kind}-{backbone.value}",
        build=partial(instance_network, kind, backbone.value, names_text(names)),
        sources=sources,
        batch=batch,
        separability=kind == "msstsvis",
        trunk=None if resume else init,
        start=None if resume else start,
    )
    say(f"{sum(map(len, sources))} clips an epoch, {len(names)} classes")
    run(recipe, steps=steps or recipe.steps(devices), devices=devices, resume=resume, **settings)


def clip_sources(data: list[str]) -> tuple[list[ClipSource], dict[int, str]]:
    """What ``--data`` names, and the class names of its videos.

    Raises:
        DatasetError: a layout is unknown, files are missing or wrong, or categories do not fit each other.
    """
    videos: list[YTVISDataset] = []
    stills: list[YTVISDataset] = []
    for text in data:
        layout, _, root = text.partition("=")
        if layout not in LAYOUTS or not root:
            raise DatasetError(f"--data {text}: write LAYOUT=ROOT with LAYOUT one of {', '.join(LAYOUTS)}")
        if layout == "coco":
            stills.append(CocoImages.open(root, "train2017"))
        else:
            videos.append(YTVISDataset.open(root, "train"))
    for dataset in (*videos, *stills):
        if not dataset.annotated:
            raise DatasetError(f"{dataset.path} has no annotations; give those of the training set")
    names = _names(videos)
    clips: list[ClipSource] = [VideoClips(dataset) for dataset in videos]
    clips += [StillClips(dataset, coco_channels(dataset.categories, names)) for dataset in stills]
    return clips, names


def _names(videos: list[YTVISDataset]) -> dict[int, str]:
    """Categories of the videos; those of YouTube-VIS 2019 where there are only pictures."""
    if not videos:
        return dict(YOUTUBE_VIS_2019)
    names = videos[0].categories
    for dataset in videos[1:]:
        if dataset.categories != names:
            raise DatasetError(
                f"{dataset.path} has other categories than {videos[0].path}; train on one of them"
            )
    beyond = [name for channel, name in names.items() if not 0 < channel < CHANNELS]
    if beyond:
        raise DatasetError(
            f"{videos[0].path}: categories beyond numbers 1 to {CHANNELS - 1}: {first_few(beyond)}"
        )
    return dict(names)


def coco_channels(categories: Mapping[int, str], names: Mapping[int, str]) -> dict[int, int]:
    """Class channel of each COCO category that is among the classes.

    As published for YouTube-VIS; for other classes those of the same name.

    Args:
        categories: names of COCO's categories by number.
        names: class names by channel.

    Raises:
        DatasetError: there is none.
    """
    for edition, published in ((YOUTUBE_VIS_2019, COCO_TO_2019), (YOUTUBE_VIS_2021, COCO_TO_2021)):
        if names == edition:
            return dict(published)
    by_name = {_plain(name): channel for channel, name in names.items()}
    found = {number: by_name[_plain(name)] for number, name in categories.items() if _plain(name) in by_name}
    if not found:
        raise DatasetError("no category of COCO has the name of a class of the videos; leave it out")
    return found


def _plain(name: str) -> str:
    return name.lower().replace("_", " ")
