"""``segue track``: follow objects through a video; ``segue demo`` does so with the bundled sample."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from segue.cli.options import ChosenOptions, Options, Values
from segue.cli.running import job_command
from segue.errors import PromptError
from segue.jobs.values import TrackJob
from segue.prompts.parse import typed_prompts
from segue.registry import MODELS

TRACKERS = ", ".join(entry.name for entry in MODELS if entry.task == "track")


def _what(
    box: list[str] | None = None,
    point: list[str] | None = None,
    mask: list[str] | None = None,
    remove: list[str] | None = None,
    auto: bool = False,
    fill: bool = False,
) -> None:
    """The objects to follow, as typed.

    Args:
        box: box in pixels. [FRAME@][ID:]x0,y0,x1,y1
        point: point on the object, or with - beside it. [FRAME@][ID:][-]x,y
        mask: mask file: indexed, or binary (several: one object each). [FRAME@][ID=]PATH
        remove: follow an object no longer. FRAME@ID
        auto: find the objects.
        fill: take whole boxes, as they are.
    """


def _track(values: ChosenOptions, what: Values, *, quiet: bool) -> None:
    """Follow objects through a video of any length.

    Say what to follow with a mask, a box or points on any frame, or have the objects found with --text or
    --auto; the result is an index mask for every frame and an overlay video.

    Examples:

        segue track dog.mp4 --box 120,80,310,260

        segue track dog.mp4 --mask first.png --format png --format overlay --side-by-side

        segue track frames/ --point 1:200,150 --point 1:-260,150 --point 2:400,90

        segue track dog.mp4 --point 200,150 --prompter mobile_sam.encoder.onnx,mobile_sam.decoder.onnx

        segue track street.mp4 --text "person, red car"

        segue track long.mp4 --mask first.png --mask 900@again.png --remove 1500@2 --resume

        segue track street.mp4 --auto --with maskrcnn --classes person,car --auto-every 25

        segue track rtsp://camera/stream --box 100,100,200,200 --model stcn --weights stcn.safetensors
    """
    finding = {place for place in values if place[0] == "finding"}
    if what["auto"] or ("finding", "text") in finding:
        values["finding",] = {place[-1]: values.pop(place) for place in finding}
    else:
        if finding - {("finding", "refine")}:
            raise PromptError("options of the search for objects go with --text or --auto")
        if finding:  # then it makes masks of boxes and points
            values["refine",] = values.pop(("finding", "refine"))
    if values.get(("options", "top_k")) == 0:
        values["options", "top_k"] = None
    typed = (what[name] or () for name in ("mask", "box", "point", "remove"))
    values["prompts",] = typed_prompts(*typed, fill=what["fill"])


track = job_command(
    _track,
    TrackJob,
    Options(_what, "box point mask remove auto fill", panel="Objects and events"),
    model="stcn-lite",
    model_help=f"{TRACKERS}.",
)


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Output folder.")] = Path("segue-out/demo"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing output.")] = False,
) -> None:
    """Follow the objects of the bundled sample video; needs no network and no files of yours.

    The sample video and its first mask are copied into the output folder, for further trials.

    Example:

        segue demo --output out/demo
    """
    with resources.as_file(resources.files("segue") / "assets" / "sample") as sample:
        track(
            source=str(sample / "video.mp4"),
            mask=[str(sample / "first.png")],
            output=output,
            side_by_side=True,
            overwrite=overwrite,
        )
        for name in ("video.mp4", "first.png"):
            shutil.copyfile(sample / name, output / name)
