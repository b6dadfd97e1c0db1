"""``segue track``: follow objects through a video; ``segue demo`` does so with the bundled sample."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer
from annotated_types import Ge

from segue.api.track import track as follow
from segue.cli.detect import FINDING, chosen_finding
from segue.cli.options import Options, Values
from segue.cli.running import HOW, PART, SOURCE, job_command, outputs
from segue.errors import PromptError
from segue.jobs import Model, TrackJob, VideoSource
from segue.jobs.options import TrackOptions, checked
from segue.jobs.prompting import typed_prompts
from segue.registry import MODELS

TRACKERS = ", ".join(entry.name for entry in MODELS if entry.task == "track")


@dataclass(frozen=True, slots=True)
class What:
    """What the user wants followed, as given on the command line.

    Attributes:
        mask: mask file: indexed, or binary (several: one object each). [FRAME@][ID=]PATH
        box: box in pixels. [FRAME@][ID:]x0,y0,x1,y1
        point: point on the object, or with - beside it. [FRAME@][ID:][-]x,y
        remove: follow an object no longer. FRAME@ID
        auto: find the objects.
        auto_every: look for new objects every so many frames.  [default: never]
        prompter: what makes masks of boxes and points: segue-prompt, grabcut, sam2-tiny or another name of
            the registry, a weight file of one of them, or ENCODER.onnx,DECODER.onnx of SAM, SAM 2, MobileSAM
            or EfficientSAM.  [default: the model, if it takes boxes and points itself, else segue-prompt]
        fill: take whole boxes, as they are.
        fit: resize masks of another size.
        weights: weight file, converted or official.
    """

    mask: list[str] | None = None
    box: list[str] | None = None
    point: list[str] | None = None
    remove: list[str] | None = None
    auto: bool = False
    auto_every: Annotated[int | None, Ge(1)] = None
    prompter: str | None = None
    fill: bool = False
    fit: bool = False
    weights: Path | None = None

    def check(self, found: Values) -> None:
        """See that options of the search are given only where there is one."""
        if not self.auto and (self.auto_every is not None or any(x is not None for x in found.values())):
            raise PromptError("options of the search for objects go with --auto")


def _track(
    source: Values, what: Values, found: Values, memory: Values, part: Values, how: Values
) -> TrackJob:
    """Follow objects through a video of any length.

    Say what to follow with a mask, a box or points on any frame, or have the objects found with --auto; the
    result is an index mask for every frame and an overlay video.

    Examples:

        segue track dog.mp4 --box 120,80,310,260

        segue track dog.mp4 --mask first.png --format png --format overlay --side-by-side

        segue track frames/ --point 1:200,150 --point 1:-260,150 --point 2:400,90

        segue track dog.mp4 --point 200,150 --prompter mobile_sam.encoder.onnx,mobile_sam.decoder.onnx

        segue track long.mp4 --mask first.png --mask 900@again.png --remove 1500@2 --resume

        segue track street.mp4 --auto --with maskrcnn --classes person,car --auto-every 25

        segue track rtsp://camera/stream --box 100,100,200,200 --model stcn --weights stcn.safetensors
    """
    asked = What(**what)
    refine = found["refine"]
    # Without --auto, refine makes masks of boxes and points.
    asked.check(found if asked.auto else {**found, "refine": None})
    model, top_k = memory.pop("model"), memory.pop("top_k")
    options = checked(TrackOptions, {**memory, "top_k": "published" if top_k is None else (top_k or None)})
    typed = (asked.mask or (), asked.box or (), asked.point or (), asked.remove or ())
    return TrackJob(
        source=VideoSource(place=source["source"], **part),
        model=Model(name=model, weights=asked.weights),
        outputs=outputs(how),
        device=how["device"],
        fast=how["fast"],
        prompts=typed_prompts(*typed, fill=asked.fill),
        finding=chosen_finding(found, asked.auto_every) if asked.auto else None,
        prompter=asked.prompter,
        refine=None if asked.auto else refine,
        fit=asked.fit,
        options=options,
    )


track = job_command(
    _track,
    SOURCE,
    Options(What, "mask box point remove auto auto_every prompter fill fit weights"),
    replace(
        FINDING,
        names="name:with classes score max_objects features refine tiles weights:detector-weights",
        help={
            **FINDING.help,
            "refine": "What makes masks of boxes and points: network (segue-prompt) or grabcut; with --auto, "
            "what draws the mask to the edges.  [default: network; for lost crf, for nanodet network]",
        },
    ),
    Options(
        follow,
        "model mem_every top_k include_last memory_frames memory_policy max_jump:max-jump,reach short_side "
        "flip_tta:flip-tta,careful reverse settings:setting",
        {"top_k": None},
        {"model": str, "top_k": int | None, "settings": list[str] | None},
        {
            "model": f"{TRACKERS}.",
            "top_k": "Memory positions read; 0 for all.  [default: that of the network]",
            "settings": "Further setting of the network; `segue weights list MODEL` shows them. NAME=VALUE",
        },
    ),
    PART,
    HOW,
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
