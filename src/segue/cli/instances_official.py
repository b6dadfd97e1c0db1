"""``segue instances-official``: the published inference over a data set, for its official server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segue.cli.instances import Model, Weights, chosen_model
from segue.cli.outcome import progress
from segue.datasets.ytvis import YTVISDataset
from segue.recognising import instance_model
from segue.sessions.official import write_official
from segue.weights.checkpoint import sha256


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
