"""``segue instances``: every object of a video, or with ``--whole`` the published inference."""

from __future__ import annotations

from pathlib import Path

import typer

from segue.cli.options import ChosenOptions
from segue.cli.running import job_command
from segue.jobs.values import InstancesJob


def _instances(values: ChosenOptions, *, quiet: bool) -> None:
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
    if ("model", "name") not in values:
        weights, whole = values.get(("model", "weights")), values.get(("whole",), False)
        values["model", "name"] = _default_model(weights, detectors=not whole, quiet=quiet)


instances = job_command(
    _instances,
    InstancesJob,
    model_help="seqformer-r50, msstsvis-r101, msstsvis-lite ...; or a detector and a network that tracks its "
    "objects: nanodet+stcn-lite.  [default: that of --weights, or the best whose weights are available]",
)


def _default_model(weights: Path | None, *, detectors: bool, quiet: bool) -> str:
    """The network that is taken where none is named, which is reported."""
    from segue.weights.available import DEFAULT_INSTANCES, default_model

    found = default_model(weights, detectors=detectors)
    if not quiet and (weights is None or found != DEFAULT_INSTANCES):
        why = f"that of {weights}" if weights else "whose weights are available; --model chooses another"
        typer.echo(f"model: {found}, {why}", err=True)
    return found
