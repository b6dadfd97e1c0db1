"""``segue instances``: every object of a video, or with ``--whole`` the published inference."""

from __future__ import annotations

from pathlib import Path

import typer

from segue.api.instances import instances as find_instances
from segue.cli.options import Options, Values
from segue.cli.running import HOW, PART, SOURCE, job_command, outputs
from segue.jobs import InstancesJob, Model, VideoSource
from segue.jobs.instances import DEFAULT_MODEL, default_model
from segue.jobs.options import InstanceOptions, checked


def _look(whole: bool = False, explain: Path | None = None) -> None:
    """How a film is looked at.

    Args:
        whole: look at the film as one clip, as published: its ten best pairs of query and class, as results
            of YouTube-VIS.
        explain: folder for pictures of each frame: where the network looks for each object, where its encoder
            looks at each scale, and which frames it reads; not for detectors.
    """


def _instances(source: Values, options: Values, look: Values, part: Values, how: Values) -> InstancesJob:
    """Find, classify and follow every instance of a video.

    The result is an index mask for every frame, whose ids stay the same through the video, and an overlay
    video with the names of the classes.

    Examples:

        segue instances street.mp4

        segue instances street.mp4 --classes person,dog --score 0.5 --format ytvis --output street.json

        segue instances street.mp4 --model seqformer-r50 --weights seqformer-r50.safetensors

        segue instances street.mp4 --model maskrcnn+stcn-lite --window 25

        segue instances street.mp4 --explain why

        segue instances street.mp4 --whole --model seqformer-r50

        segue instances long.mp4 --window 20 --overlap 5 --resume
    """
    model, weights = options["model"], options["weights"]
    if model is None:
        model = _default_model(weights, detectors=not look["whole"], quiet=how["quiet"])
    classes = options["classes"]
    return InstancesJob(
        source=VideoSource(place=source["source"], **part),
        model=Model(name=model, weights=weights),
        outputs=outputs(how),
        device=how["device"],
        fast=how["fast"],
        names=options["names"],
        classes=None if classes is None else tuple(name.strip() for name in classes.split(",")),
        options=checked(InstanceOptions, {name: options[name] for name in InstanceOptions.model_fields}),
        **look,
    )


instances = job_command(
    _instances,
    SOURCE,
    Options(
        find_instances,
        "model weights names classes score top window overlap short_side",
        types={"model": str | None, "weights": Path | None, "names": str | None, "classes": str | None},
        help={
            "model": "seqformer-r50, msstsvis-r101, msstsvis-lite ...; or a detector and what follows its "
            "finds, as in nanodet+stcn-lite.  [default: that of --weights, or the best whose weights are "
            "available]",
            "weights": "Weight file, converted or official.",
            "names": "What the class channels are: ytvis2019, ytvis2021, or an annotation file.  "
            "[default: what the weights say]",
            "classes": "Classes to keep, separated by commas.  [default: all]",
            "score": "Least class score of an object.  [default: 0.3; msstsvis-lite 0.35, detectors 0.5]",
            "short_side": "Resize pictures to this short side for the network.  "
            "[default: 360, for msstsvis-lite 320]",
        },
    ),
    Options(_look, "whole explain"),
    PART,
    HOW,
)


def _default_model(weights: Path | None, *, detectors: bool, quiet: bool) -> str:
    """The network that is taken where none is named, which is reported."""
    found = default_model(weights, detectors=detectors)
    if not quiet and (weights is None or found != DEFAULT_MODEL):
        why = f"that of {weights}" if weights else "whose weights are available; --model chooses another"
        typer.echo(f"model: {found}, {why}", err=True)
    return found
