"""``segue instances``, and ``segue instances-official``: the published inference for its official server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segue.api.instances import DEFAULT_MODEL, default_model, instance_model, make_finder
from segue.api.instances import instances as find_instances
from segue.cli.job import HOW, PART, SOURCE, How, Job, Values, run_settings
from segue.cli.options import Options, command
from segue.cli.tables import progress
from segue.datasets.json_files import read_class_names
from segue.datasets.ytvis import YTVISDataset
from segue.errors import SegueError
from segue.models.seqformer.network import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from segue.sessions.official import write_official
from segue.types import Segmentation
from segue.video import open_source
from segue.weights.checkpoint import sha256

EDITIONS = {"ytvis2019": YOUTUBE_VIS_2019, "ytvis2021": YOUTUBE_VIS_2021}
"""Class names that need no file."""


def _instances(source: Values, options: Values, part: Values, how: Values) -> None:
    """Find every instance of a video, say what it is, and follow it.

    The result is an index mask for every frame, whose ids stay the same through the video, and an overlay
    video with the names of the classes.

    Examples:

        segue instances street.mp4

        segue instances street.mp4 --classes person,dog --score 0.5 --format ytvis --output street.json

        segue instances street.mp4 --model seqformer-r50 --weights seqformer-r50.safetensors

        segue instances street.mp4 --model maskrcnn+stcn-lite --window 25

        segue instances long.mp4 --window 20 --overlap 5 --resume
    """
    run = How(**how)
    weights, classes = options["weights"], options["classes"]
    model = chosen_model(options["model"], weights, quiet=run.quiet)
    opened = open_source(**source, **part)
    wanted = {
        "model": model,
        "names": read_names(options["names"]),
        "classes": None if classes is None else [name.strip() for name in classes.split(",")],
    }
    try:
        finder = make_finder(**{**options, **wanted}, device=run.device, fast=run.fast)
    except ValueError as error:
        raise SegueError(str(error)) from None
    settings = run_settings({**source, **options, **part, **how}, model=model)
    categories = {name: number for number, name in finder.names.items()}
    job = Job(opened, finder.session, settings, run, categories=categories)
    with opened:
        _, frames = job.frames()
        job.run(frames, note=_note)


instances = command(
    _instances,
    SOURCE,
    Options(
        find_instances,
        "model weights names classes score top window overlap short_side",
        types={"model": str | None, "weights": Path | None, "names": str | None, "classes": str | None},
        help={
            "model": "seqformer-r50, msstsvis-r101, msstsvis-lite ...; or a detector and what follows its "
            "finds, as in nanodet+stcn-lite.  [default: that of --weights, or the best whose weights are at "
            "hand]",
            "weights": "Weight file, converted or official.",
            "names": "What the class channels are: ytvis2019, ytvis2021, or an annotation file.  "
            "[default: what the weights say]",
            "classes": "Classes that are wanted, separated by commas.  [default: all]",
            "score": "Least class score of an object.  [default: 0.3; msstsvis-lite 0.35, detectors 0.5]",
            "window": "Frames that are looked at together, or from look to look of a detector.  "
            "[default: 10, detectors 5]",
            "short_side": "Resize pictures to this short side for the network.  "
            "[default: 360, for msstsvis-lite 240]",
        },
    ),
    PART,
    HOW,
)


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
    model: Annotated[
        str | None,
        typer.Option(
            help="msstsvis-lite, seqformer-r50, msstsvis-r101 ...  [default: that of --weights, or the best "
            "whose weights are at hand]"
        ),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Weight file, converted or official.")] = None,
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
