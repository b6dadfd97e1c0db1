"""``segue train seqformer`` and ``msstsvis``, as published on YouTube-VIS and COCO."""

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
    ValidateEvery,
    Workers,
    require_packages,
    run,
    say,
)
from segue.datasets.coco import CocoImages
from segue.datasets.ytvis import YTVISDataset
from segue.errors import DatasetError, TrainingError
from segue.models.msstsvis import Parts
from segue.models.seqformer import backbones
from segue.models.seqformer.classes import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021, names_text
from segue.naming import first_few
from segue.sessions.clips import SHORT_SIDE
from segue.training.instance_augment import PUBLISHED, Sizes
from segue.training.instance_validation import ClipAP
from segue.training.recipes.seqformer import PublishedRecipe
from segue.training.ytvis_clips import COCO_TO_2019, COCO_TO_2021, ClipSource, StillClips, VideoClips
from segue.weights.instance_networks import instance_network

LAYOUTS = ("ytvis", "ovis", "isd", "coco")

CHANNELS = 42
"""Class channels of the published networks."""

R18_SHORT_SIDE = 180
"""Short side at which ``msstsvis-r18`` is validated; it learns from clips of half the published size."""


class BackboneName(str, Enum):
    """Trunks."""

    r50 = "r50"
    r101 = "r101"
    swin_l = "swin-l"


Data = Annotated[
    list[str],
    typer.Option(
        help="ytvis=ROOT, ovis=ROOT or isd=ROOT (videos), coco=ROOT (pictures as clips); several may be "
        "given. ROOT may also be the annotation file.",
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
IntraAttention = Annotated[bool, typer.Option(help="Attention over time inside each scale, in the encoder.")]
InterAttention = Annotated[bool, typer.Option(help="Attention between neighbouring scales, in the encoder.")]
DecoderAttention = Annotated[bool, typer.Option(help="Attention of the box queries over the frames.")]
Separability = Annotated[bool, typer.Option(help="The discriminator and its adversarial loss.")]
Validate = Annotated[
    Path | None,
    typer.Option(
        help="Annotated videos to measure AP on while training: an annotation file, or a folder with a part "
        "valid."
    ),
]
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
    validate: Validate = None,
    validate_every: ValidateEvery = 5000,
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
        "seqformer", data, backbone.value, init, start, batch, steps, validate,
        validate_every=validate_every, out=out, until=until, seed=seed, precision=precision.value,
        accelerator=device, devices=devices, workers=workers, save_every=save_every, log_every=log_every,
        overwrite=overwrite, resume=resume,
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
    intra_attention: IntraAttention = True,
    inter_attention: InterAttention = True,
    decoder_attention: DecoderAttention = True,
    separability: Separability = True,
    seed: Seed = 1,
    validate: Validate = None,
    validate_every: ValidateEvery = 5000,
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
        "msstsvis", data, backbone.value, init, start, batch, steps, validate,
        parts=Parts(
            "position" if intra_attention else "none", "sequence" if inter_attention else "none",
            decoder_attention,
        ),
        separability=separability,
        validate_every=validate_every, out=out, until=until, seed=seed, precision=precision.value,
        accelerator=device, devices=devices, workers=workers, save_every=save_every, log_every=log_every,
        overwrite=overwrite, resume=resume,
    )  # fmt: skip


def msstsvis_r18(
    data: Data,
    out: Out,
    init: Trunk = None,
    start: StartFrom = None,
    steps: Steps = None,
    until: Until = None,
    batch: Batch = 4,
    seed: Seed = 1,
    validate: Validate = None,
    validate_every: ValidateEvery = 1000,
    precision: Precision = PrecisionName.full,
    device: Device = "auto",
    devices: Devices = 1,
    workers: Workers = 1,
    save_every: SaveEvery = 500,
    log_every: LogEvery = 20,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Train a small MS-STS VIS on ResNet-18 that a processor can train: half the layers and picture sizes.

    The rest is the recipe of `segue train msstsvis`.

    Examples:

        segue train msstsvis-r18 --data isd=isd --init resnet18.pth --validate isd/val/instances.json
        --out runs/r18
    """
    _train(
        "msstsvis", data, "r18", init, start, batch, steps, validate,
        parts=Parts(), separability=True, sizes=PUBLISHED.halved(), short_side=R18_SHORT_SIDE,
        validate_every=validate_every, out=out, until=until, seed=seed, precision=precision.value,
        accelerator=device, devices=devices, workers=workers, save_every=save_every, log_every=log_every,
        overwrite=overwrite, resume=resume,
    )  # fmt: skip


def opened(text: str) -> YTVISDataset:
    """The annotated data set that ``LAYOUT=ROOT`` names.

    Raises:
        DatasetError: the layout is unknown, or files are missing or wrong.
    """
    layout, _, root = text.partition("=")
    if layout not in LAYOUTS or not root:
        raise DatasetError(f"--data {text}: write LAYOUT=ROOT with LAYOUT one of {', '.join(LAYOUTS)}")
    dataset = CocoImages.open(root, "train2017") if layout == "coco" else YTVISDataset.open(root, "train")
    if not dataset.annotated:
        raise DatasetError(f"{dataset.path} has no annotations; give those of the training set")
    return dataset


def _train(
    kind: str,
    data: list[str],
    backbone: backbones.BackboneName,
    init: Path | None,
    start: Path | None,
    batch: int,
    steps: int | None,
    validate: Path | None,
    *,
    devices: int,
    resume: bool,
    parts: Parts | None = None,
    separability: bool = False,
    sizes: Sizes = PUBLISHED,
    short_side: int = SHORT_SIDE,
    **settings: object,
) -> None:
    require_packages()
    if not resume and init is None and start is None:
        raise TrainingError(
            "nothing to start from: give --start with weights, or --init with a classifier of the trunk"
        )
    sources, names = clip_sources(data, sizes)
    options = {"classes": names_text(names)} | ({} if parts is None else {"parts": parts.text()})
    recipe = PublishedRecipe(
        name=f"{kind}-{backbone}",
        build=partial(instance_network, kind, backbone, **options),
        sources=sources,
        batch=batch,
        separability=separability,
        trunk=None if resume else init,
        start=None if resume else start,
    )
    say(f"{sum(map(len, sources))} clips an epoch, {len(names)} classes")
    run(
        recipe,
        steps=steps or recipe.steps(devices),
        devices=devices,
        resume=resume,
        validate=validation(validate, sources, names, short_side),
        **settings,
    )


def validation(
    path: Path | None, sources: list[ClipSource], names: Mapping[int, str], short_side: int
) -> ClipAP | None:
    """What measures AP on videos that are not trained on.

    Raises:
        DatasetError: they are trained on, are not annotated, or have other categories.
    """
    if path is None:
        return None
    dataset = YTVISDataset.open(path, "valid")
    trained = {source.dataset.path.resolve() for source in sources if isinstance(source, VideoClips)}
    if dataset.path.resolve() in trained:
        raise DatasetError(f"{dataset.path}: both trained on and validated on; give other videos")
    if dataset.categories != names:
        raise DatasetError(f"{dataset.path} has other categories than the data that are trained on")
    return ClipAP(dataset, short_side)


def clip_sources(data: list[str], sizes: Sizes = PUBLISHED) -> tuple[list[ClipSource], dict[int, str]]:
    """What ``--data`` names, in clips of some sizes, and the class names of its videos.

    Raises:
        DatasetError: a layout is unknown, files are missing or wrong, or categories do not fit each other.
    """
    datasets = [opened(text) for text in data]
    stills = [dataset for dataset in datasets if isinstance(dataset, CocoImages)]
    videos = [dataset for dataset in datasets if not isinstance(dataset, CocoImages)]
    names = _names(videos)
    clips: list[ClipSource] = [VideoClips(dataset, sizes) for dataset in videos]
    clips += [StillClips(dataset, coco_channels(dataset.categories, names), sizes) for dataset in stills]
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
