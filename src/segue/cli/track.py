"""``segue track``: follow objects through a video; ``segue demo`` does so with the bundled sample."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer
from annotated_types import Ge

from segue.api.track import make_schedule
from segue.api.track import track as follow
from segue.cli.job import HOW, PART, SOURCE, How, first_frame, run_job, run_settings
from segue.cli.options import Options, Values, command
from segue.cli.prompting import FINDING, Texts, chosen_detector, make_prompter, settled, to_prompts
from segue.errors import PromptError
from segue.registry import MODELS
from segue.sessions import TrackSession
from segue.sessions.auto import AutoSession
from segue.types import Frame, Prompt, Segmentation
from segue.video import open_source
from segue.weights import load_for

_AT = re.compile(r"([0-9]{1,15})@(.+)", re.DOTALL)

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
        auto_every: look for newcomers every so many frames.  [default: never]
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
        """See that objects are either given or found."""
        if not self.auto and (self.auto_every is not None or any(x is not None for x in found.values())):
            raise PromptError("options of the search for objects go with --auto")
        given = self.mask or self.box or self.point
        if self.auto and (given or self.remove or self.prompter):
            raise PromptError(
                "--auto finds the objects: leave out --mask, --box, --point, --remove and --prompter"
            )
        if not (self.auto or given):
            raise PromptError("say what to follow: give --mask, --box or --point, or --auto to have it found")

    def by_frame(self, first: int) -> dict[int, Texts]:
        """What was typed for each frame, as ``[FRAME@]TEXT``; what names none is for ``first``."""
        given = {"masks": self.mask, "boxes": self.box, "points": self.point, "removals": self.remove}
        texts: dict[int, Texts] = defaultdict(lambda: {kind: [] for kind in given})
        for kind, values in given.items():
            for value in values or ():
                match = _AT.fullmatch(value)
                index, rest = (int(match[1]), match[2]) if match else (first, value)
                texts[index][kind].append(rest)
        return dict(texts)

    def plan(self, first: Frame, size: tuple[int, int], stride: int) -> dict[int, list[Prompt]]:
        """The prompts of each frame, typed in coordinates of ``size``."""
        texts = self.by_frame(first.index)
        for index in texts:
            if index < first.index or (index - first.index) % stride:
                steps = f"in steps of {stride} from {first.index} on"
                raise PromptError(f"there is a prompt for frame {index}, but the frames go {steps}")
        return {
            index: to_prompts(typed, size, first.size, fill=self.fill, fit=self.fit)
            for index, typed in texts.items()
        }


def _track(source: Values, what: Values, found: Values, memory: Values, part: Values, how: Values) -> None:
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
    if not asked.auto:
        found = {**found, "refine": None}  # it makes masks of boxes and points then
    asked.check(found)
    opened = open_source(**source, **part)
    model, top_k = memory.pop("model"), memory.pop("top_k")
    network = load_for("track", model, asked.weights)
    schedule = make_schedule(
        network.schedule, top_k="published" if top_k is None else (top_k or None), **memory
    )
    run = How(**how)
    make = None if asked.auto else make_prompter(refine, asked.prompter, run.device)
    tracker = TrackSession(
        network,
        schedule,
        device=run.device,
        fast=run.fast,
        fit=asked.fit,
        prompter=make,
        frames=opened.frame_count,
    )
    finder = None
    if asked.auto:
        find = chosen_detector(found, run.device, quiet=run.quiet)
        finder = AutoSession(tracker, find, asked.auto_every)
    others = {name: value for name, value in what.items() if name not in ("mask", "box", "point", "remove")}
    settings = run_settings(
        {**source, **part, **how, **others},
        model=model,
        finding=found,
        refine=refine,
        schedule=asdict(schedule),
        prompts={str(index): texts for index, texts in asked.by_frame(-1).items()},
    )
    with opened:
        first, frames = first_frame(opened.name, opened)
        size, stride = opened.original_size or first.size, part["stride"]
        plan = {} if asked.auto else asked.plan(first, size, stride)
        if first.index in plan:
            plan[first.index] = settled(first, plan[first.index], tracker.prompter, tracker.native)
        pending = set(plan)

        def note(result: Segmentation) -> str:
            pending.discard(result.index)
            visible = sum(item.area > 0 for item in result.objects)
            return f"{visible} of {len(result.objects)} visible"

        session = finder or tracker
        run_job(session, opened, frames, run, settings, note, prompts=lambda frame: plan.get(frame.index))
    if finder is not None and finder.found == 0:
        raise PromptError("no object was found in any frame; choose another detector, or give a box")
    if pending:
        raise PromptError(f"there is a prompt for frame {min(pending)}, but the source has no such frame")


track = command(
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
        "flip_tta:flip-tta,careful",
        {"top_k": None},
        {"model": str, "top_k": int | None},
        {"model": f"{TRACKERS}.", "top_k": "Memory positions read; 0 for all."},
    ),
    PART,
    HOW,
)


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Output folder.")] = Path("segue-out/demo"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing output.")] = False,
) -> None:
    """Follow the objects of the bundled sample video; needs no network and no files of yours.

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
