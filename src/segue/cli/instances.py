"""``segue instances``, and ``segue instances-official``: the published inference for its official server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segue.api.instances import DEFAULT_MODEL, default_model, instance_model, make_finder
from segue.cli.job import DEFAULT_FORMATS, Formats, Job, run_settings
from segue.cli.tables import progress
from segue.datasets.json_files import read_class_names
from segue.datasets.ytvis import YTVISDataset
from segue.errors import SegueError
from segue.models.seqformer.network import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from segue.sessions.official import write_official
from segue.types import Segmentation
from segue.video import open_source
from segue.video.source import DamagePolicy
from segue.weights.checkpoint import sha256

EXAMPLES = """
Find every instance of a video, say what it is, and follow it.

The result is an index mask for every frame, whose ids stay the same through the video, and an overlay video
with the names of the classes.

Examples:

    segue instances street.mp4

    segue instances street.mp4 --classes person,dog --score 0.5 --format ytvis --output street.json

    segue instances street.mp4 --model seqformer-r50 --weights seqformer-r50.safetensors

    segue instances street.mp4 --model maskrcnn+stcn-lite --window 25

    segue instances long.mp4 --window 20 --overlap 5 --resume
"""

EDITIONS = {"ytvis2019": YOUTUBE_VIS_2019, "ytvis2021": YOUTUBE_VIS_2021}
"""Class names that need no file."""


Model = Annotated[
    str | None,
    typer.Option(
        help="msstsvis-lite, seqformer-r50, msstsvis-r101 ...  [default: that of --weights, or the best "
        "whose weights are at hand]"
    ),
]
Weights = Annotated[Path | None, typer.Option(help="Weight file, converted or official.")]
Names = Annotated[
    str | None,
    typer.Option(
        help="What the class channels are: ytvis2019, ytvis2021, or an annotation file.  [default: what the "
        "weights say]"
    ),
]


def instances(
    source: Annotated[str, typer.Argument(help="Video, image folder, glob, camera number or address.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="seqformer-r50, msstsvis-r101, msstsvis-lite ...; or a detector and what follows its finds, "
            "as in nanodet+stcn-lite.  [default: that of --weights, or the best whose weights are at hand]"
        ),
    ] = None,
    weights: Weights = None,
    names: Names = None,
    classes: Annotated[
        str | None, typer.Option(help="Classes that are wanted, separated by commas.  [default: all]")
    ] = None,
    score: Annotated[
        float | None,
        typer.Option(
            help="Least class score of an object.  [default: 0.3; msstsvis-lite 0.35, detectors 0.5]"
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="Most objects at a time.")] = 10,
    window: Annotated[
        int | None,
        typer.Option(
            help="Frames that are looked at together, or from look to look of a detector.  "
            "[default: 10, detectors 5]",
        ),
    ] = None,
    overlap: Annotated[int, typer.Option(help="Frames that neighbouring windows share.")] = 3,
    short_side: Annotated[
        int | None,
        typer.Option(
            help="Resize pictures to this short side for the network.  [default: 360, for msstsvis-lite 240]"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Output folder.  [default: segue-out/NAME]")
    ] = None,
    format: Formats = None,
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="Put the plain frame beside the overlay.")
    ] = False,
    start: Annotated[str | None, typer.Option(help="First frame: 250, 12.5s or 1:30.")] = None,
    end: Annotated[str | None, typer.Option(help="First frame not wanted any more.")] = None,
    stride: Annotated[int, typer.Option(help="Take every n-th frame.")] = 1,
    max_size: Annotated[int | None, typer.Option(help="Reduce frames to this longer side.")] = None,
    on_damage: Annotated[DamagePolicy, typer.Option(help="What an unreadable frame does.")] = "stop",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="bfloat16 where the hardware has it.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing output.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Find all instances; see ``EXAMPLES``, which is the help text."""
    options = dict(locals())
    model = chosen_model(model, weights, quiet=quiet)
    opened = open_source(source, start=start, end=end, stride=stride, max_size=max_size, on_damage=on_damage)
    try:
        finder = make_finder(
            model,
            weights,
            names=read_names(names),
            classes=None if classes is None else [name.strip() for name in classes.split(",")],
            score=score,
            top=top,
            window=window,
            overlap=overlap,
            short_side=short_side,
            device=device,
            fast=fast,
        )
    except ValueError as error:
        raise SegueError(str(error)) from None
    job = Job(
        source=opened,
        session=finder.session,
        output=output or Path("segue-out") / opened.name,
        formats=tuple(format or DEFAULT_FORMATS),
        settings=run_settings(options, model=model),
        side_by_side=side_by_side,
        overwrite=overwrite,
        resume=resume,
        quiet=quiet,
        categories={name: number for number, name in finder.names.items()},
    )
    with opened:
        _, frames = job.frames()
        job.run(frames, note=_note)


instances.__doc__ = EXAMPLES


def chosen_model(
    model: str | None, weights: Path | None, *, detectors: bool = True, quiet: bool = False
) -> str:
    """The network that was named, or else the default, which is told.

    Raises:
        CheckpointError: the weights cannot be read.
    """
    if model is not None:
        return model
    found = default_model(weights, detectors=detectors)
    if not quiet and (weights is None or found != DEFAULT_MODEL):
        why = f"that of {weights}" if weights else "whose weights are at hand; --model chooses another"
        typer.echo(f"model: {found}, {why}", err=True)
    return found


def read_names(names: str | None) -> dict[int, str] | None:
    """Class names by channel of an edition or of a file.

    Raises:
        DatasetError: there is no such file, or it has no categories.
    """
    if names is None:
        return None
    return dict(EDITIONS[names]) if names in EDITIONS else read_class_names(names)


def _note(result: Segmentation) -> str:
    visible = sum(item.area > 0 for item in result.objects)
    return f"{visible} objects"


def instances_official(
    root: Annotated[Path, typer.Argument(help="Folder of YouTube-VIS or OVIS, or its annotation file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, .json.")],
    part: Annotated[str, typer.Option("--set", help="train, valid or test.")] = "valid",
    model: Model = None,
    weights: Weights = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="bfloat16 where the hardware has it.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing output.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
) -> None:
    """Run the published inference over a data set, and write the results for its official server.

    Every video is one clip, whatever its length; its ten best pairs of query and class count.

    Examples:

        segue instances-official youtube_vis_2019 --model seqformer-r50 --weights seqformer-r50.safetensors
        --output results.json

        segue eval ytvis results.json --data youtube_vis_2019 --set valid
    """
    dataset = YTVISDataset.open(root, part)
    model = chosen_model(model, weights, detectors=False)
    network = instance_model(model, weights)
    settings = {
        "annotations": sha256(dataset.path),
        "model": model,
        "weights": None if weights is None else sha256(weights),
        "fast": fast,
    }
    with progress("instances", "interrupted; the finished videos are kept, give --resume to go on") as show:
        write_official(
            network,
            dataset,
            output,
            settings=settings,
            overwrite=overwrite,
            resume=resume,
            device=device,
            fast=fast,
            report=show,
        )
    typer.echo(f"results: {output}")
