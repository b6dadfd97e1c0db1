"""``segue instances``: every object of a video, or with ``--whole`` the published inference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from segue.api.instances import DEFAULT_MODEL, default_model
from segue.api.instances import instances as find_instances
from segue.cli.job import CANCEL, HOW, PART, SOURCE, WATCH, How, first_frame, run_job, run_settings
from segue.cli.options import Options, Values, command
from segue.cli.tables import progress
from segue.errors import SegueError, SinkError
from segue.inputs import printable
from segue.jobs.options import InstanceOptions, checked
from segue.reports import prepare
from segue.sessions.instances import InstanceSession
from segue.sessions.networks import instance_network
from segue.sessions.official import sure_results, whole_clip
from segue.types import Frame, Image, Segmentation
from segue.video import Source, open_source
from segue.video.outputs import output_paths
from segue.video.partial import write_complete


def _look(whole: bool = False, explain: Path | None = None) -> None:
    """How a film is looked at.

    Args:
        whole: look at the film as one clip, as published: its ten best pairs of query and class, as results
            of YouTube-VIS.
        explain: folder for a strip of pictures for each frame: the frame, and for each object where the
            network looks; not for detectors.
    """


def _instances(source: Values, options: Values, look: Values, part: Values, how: Values) -> None:
    """Find every instance of a video, say what it is, and follow it.

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
    run = How(**how)
    model = options["model"]
    if model is None:
        model = _default_model(options["weights"], detectors=not look["whole"], quiet=run.quiet)
    opened = open_source(**source, **part)
    if look["whole"]:
        _whole(opened, model, {**options, **look, **how})
        return
    found = find_instances(opened, **{**options, "model": model}, device=run.device, fast=run.fast)
    settings = run_settings({**source, **options, **look, **part, **how}, model=model)
    session, categories = found.session, {name: number for number, name in found.names.items()}
    explain = look["explain"]
    if explain is not None and not isinstance(session, InstanceSession):
        raise SegueError(f"--explain shows where a network's queries look; {model} has none")
    with opened:
        run_job(session, opened, opened, run, settings, _note, categories=categories, explain=explain)


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
            "short_side": "Resize pictures to this short side for the network.  "
            "[default: 360, for msstsvis-lite 320]",
        },
    ),
    Options(_look, "whole explain"),
    PART,
    HOW,
)


def _default_model(weights: Path | None, *, detectors: bool, quiet: bool) -> str:
    """The network that is taken where none is named, which is told."""
    found = default_model(weights, detectors=detectors)
    if not quiet and (weights is None or found != DEFAULT_MODEL):
        why = f"that of {weights}" if weights else "whose weights are at hand; --model chooses another"
        typer.echo(f"model: {found}, {why}", err=True)
    return found


def _note(result: Segmentation) -> str:
    visible = sum(item.area > 0 for item in result.objects)
    return f"{visible} objects"


WHOLE: dict[str, Any] = {
    **dict.fromkeys(("window", "score", "classes", "names", "format", "explain")),
    "overlap": 3,
    "top": 10,
    "side_by_side": False,
    "resume": False,
}
"""Options that mean nothing where the film is looked at as a whole, with their defaults."""


def _whole(source: Source, model: str, options: Values) -> None:
    """The published inference over a film, into a result file of YouTube-VIS."""
    given = [name for name, default in WHOLE.items() if options[name] != default]
    if given:
        raise SegueError(f"--{given[0].replace('_', '-')} means nothing with --whole; leave it out")
    checked(InstanceOptions, {"short_side": options["short_side"]})
    path = output_paths(options["output"] or Path("segue-out") / source.name, ["ytvis"])["ytvis"]
    if path.exists() and not options["overwrite"]:
        raise SinkError(f"{path}: exists already; give --overwrite, or another output")
    network, watch, cancel = instance_network(model, options["weights"]), WATCH.get(), CANCEL.get()
    seen: list[Frame] = []
    with source, progress("frames", "interrupted; a film that is one clip begins anew") as show:
        first, frames = first_frame(source.name, source)

        def pictures() -> Iterator[Image]:
            for count, frame in enumerate(frames, start=1):
                if cancel is not None and cancel.cancelled:
                    raise KeyboardInterrupt
                if watch is not None:
                    seen.append(frame)
                show(count, max(count, source.frame_count or 0), "")
                yield frame.image

        records = whole_clip(
            network,
            pictures(),
            source.original_size or first.size,
            short_side=options["short_side"] or network.short_side,
            device=options["device"],
            fast=options["fast"],
        )
    prepare(path)
    write_complete(path, json.dumps(records).encode())
    for frame, result in zip(seen, sure_results(records, seen, network.score), strict=True):
        assert watch is not None
        watch(frame, result)
    typer.echo(printable(f"ytvis: {path}"))
