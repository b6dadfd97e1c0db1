"""``segue track``: follow objects through a video."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from segue.api.track import make_schedule
from segue.cli.job import DEFAULT_FORMATS, Formats, Job, run_settings
from segue.cli.prompting import NAMES, Finding, PromptTexts, by_frame, make_prompter, settled, to_prompts
from segue.errors import PromptError, SegueError
from segue.models.base import MemoryPolicy
from segue.models.dino import FeatureName
from segue.prompts import MakePrompter
from segue.prompts.detectors import Refinement
from segue.registry import MODELS, PromptKind
from segue.sessions import TrackSession
from segue.sessions.auto import AutoSession
from segue.types import Frame, Prompt, Segmentation
from segue.video import open_source
from segue.video.source import DamagePolicy
from segue.weights import load_for

EXAMPLES = """
Follow objects through a video of any length.

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


TRACKERS = ", ".join(entry.name for entry in MODELS if entry.task == "track")


def track(
    source: Annotated[str, typer.Argument(help="Video, image folder, glob, camera number or address.")],
    mask: Annotated[
        list[str] | None,
        typer.Option(help="Mask file: indexed, or binary (several: one object each). [FRAME@][ID=]PATH"),
    ] = None,
    box: Annotated[list[str] | None, typer.Option(help="Box in pixels. [FRAME@][ID:]x0,y0,x1,y1")] = None,
    point: Annotated[
        list[str] | None, typer.Option(help="Point on the object, or with - beside it. [FRAME@][ID:][-]x,y")
    ] = None,
    remove: Annotated[list[str] | None, typer.Option(help="Follow an object no longer. FRAME@ID")] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Find the objects.")] = False,
    with_: Annotated[
        str | None, typer.Option("--with", metavar="NAME", help=f"What finds them: {NAMES}.")
    ] = None,
    auto_every: Annotated[
        int | None, typer.Option(min=1, help="Look for newcomers every so many frames.  [default: never]")
    ] = None,
    classes: Annotated[str | None, typer.Option(help="Labels that are wanted, such as person,car.")] = None,
    score: Annotated[float | None, typer.Option(help="Least score of what is found.")] = None,
    max_objects: Annotated[int | None, typer.Option(help="Most objects that are found in a frame.")] = None,
    features: Annotated[
        FeatureName | None,
        typer.Option(help="For lost: what of the attention is compared.  [default: keys]"),
    ] = None,
    refine: Annotated[
        Refinement | None,
        typer.Option(
            help="What makes masks of boxes and points: network (segue-prompt) or grabcut; with --auto, what "
            "draws the mask to the edges.  [default: network; for lost crf, for nanodet network]"
        ),
    ] = None,
    tiles: Annotated[
        int | None,
        typer.Option(min=1, help="For nanodet: look at so many parts a side besides, for small objects."),
    ] = None,
    prompter: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Another network for boxes and points: weights of segue-prompt, or ENCODER.onnx,"
            "DECODER.onnx of SAM, SAM 2, MobileSAM or EfficientSAM.",
        ),
    ] = None,
    detector_weights: Annotated[Path | None, typer.Option(help="Weight file of the detector.")] = None,
    fill: Annotated[bool, typer.Option("--fill", help="Take whole boxes, as they are.")] = False,
    fit: Annotated[bool, typer.Option("--fit", help="Resize masks of another size.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Output folder.  [default: segue-out/NAME]")
    ] = None,
    format: Formats = None,
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="Put the plain frame beside the overlay.")
    ] = False,
    model: Annotated[str, typer.Option(help=f"{TRACKERS}.")] = "stcn-lite",
    weights: Annotated[Path | None, typer.Option(help="Weight file, converted or official.")] = None,
    mem_every: Annotated[int | None, typer.Option(help="Every n-th frame becomes memory.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Memory positions read; 0 for all.")] = None,
    include_last: Annotated[
        bool | None, typer.Option("--include-last/--no-include-last", help="Read the previous frame too.")
    ] = None,
    memory_frames: Annotated[int | None, typer.Option(help="Bound on the memory, in frames.")] = None,
    memory_policy: Annotated[MemoryPolicy | None, typer.Option(help="Which frame makes room.")] = None,
    reach: Annotated[
        float | None,
        typer.Option(help="Take away small pieces farther than this part of the diagonal; 0 never does."),
    ] = None,
    short_side: Annotated[
        int | None, typer.Option(help="Reduce pictures to this short side for the network; 0 never does.")
    ] = None,
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
    """Follow objects through a video; see ``EXAMPLES``, which is the help text."""
    asked = dict(locals())
    texts = (mask or [], box or [], point or [], remove or [])
    for name in ("mask", "box", "point", "remove"):
        del asked[name]
    given = {str(index): asdict(item) for index, item in by_frame(-1, *texts).items()}
    own = refine if auto else None
    finding = Finding(with_, detector_weights, classes, score, max_objects, features, own, tiles)
    if not auto and (finding.asked or auto_every is not None):
        raise PromptError("options of the search for objects go with --auto")
    if auto and (mask or box or point or remove or prompter):
        raise PromptError(
            "--auto finds the objects: leave out --mask, --box, --point, --remove and --prompter"
        )
    if not (auto or mask or box or point):
        raise PromptError("say what to follow: give --mask, --box or --point, or --auto to have it found")
    opened = open_source(source, start=start, end=end, stride=stride, max_size=max_size, on_damage=on_damage)
    network = load_for("track", model, weights)
    try:
        schedule = make_schedule(
            network.schedule,
            mem_every=mem_every,
            top_k="published" if top_k is None else (top_k or None),
            include_last=include_last,
            memory_frames=memory_frames,
            memory_policy=memory_policy,
            reach=reach,
            short_side=short_side,
        )
    except ValueError as error:
        raise SegueError(str(error)) from None
    make = None if auto else make_prompter(refine, prompter, device)
    tracker = TrackSession(network, schedule, device=device, fast=fast, fit=fit, prompter=make)
    finder = AutoSession(tracker, finding.detector(device), auto_every) if auto else None
    if auto and not quiet:
        finding.announce()
    job = Job(
        source=opened,
        session=finder or tracker,
        output=output or Path("segue-out") / opened.name,
        formats=tuple(format or DEFAULT_FORMATS),
        settings=run_settings(asked, schedule=asdict(schedule), prompts=given),
        side_by_side=side_by_side,
        overwrite=overwrite,
        resume=resume,
        quiet=quiet,
    )
    if finder is not None:
        _find(job, finder)
        return
    options = PromptOptions(texts, stride, fill, fit, make, tracker.native)
    with opened:
        first, frames = job.frames()
        plan = options.plan(first, opened.original_size or first.size)
        pending = set(plan)

        def note(result: Segmentation) -> str:
            pending.discard(result.index)
            return _note(result)

        job.run(frames, prompts=lambda frame: plan.get(frame.index), note=note)
    if pending:
        raise PromptError(f"there is a prompt for frame {min(pending)}, but the source has no such frame")


track.__doc__ = EXAMPLES


def _find(job: Job, session: AutoSession) -> None:
    with job.source:
        _, frames = job.frames()
        job.run(frames, note=_note)
    if session.found == 0:
        raise PromptError("no object was found in any frame; choose another detector, or give a box")


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """What the user wants followed, as given on the command line.

    Attributes:
        texts: masks, boxes, points and removals.
        stride: distance of the frames.
        fill: take whole boxes.
        fit: resize masks of another size.
        prompter: what turns boxes and points into masks; None is segue-prompt.
        native: kinds of prompts that the network takes as they are.
    """

    texts: tuple[list[str], list[str], list[str], list[str]]
    stride: int
    fill: bool
    fit: bool
    prompter: MakePrompter | None = None
    native: frozenset[PromptKind] = frozenset()

    def plan(self, first: Frame, size: tuple[int, int]) -> dict[int, list[Prompt]]:
        """The prompts of each frame; what can be checked beforehand is.

        Args:
            first: first frame of the run.
            size: height and width that coordinates refer to.
        """
        texts: dict[int, PromptTexts] = by_frame(first.index, *self.texts)
        for index in texts:
            if index < first.index or (index - first.index) % self.stride:
                steps = f"in steps of {self.stride} from {first.index} on"
                raise PromptError(f"there is a prompt for frame {index}, but the frames go {steps}")
        plan = {
            index: to_prompts(item, size, first.size, fill=self.fill, fit=self.fit)
            for index, item in texts.items()
        }
        if first.index in plan:
            plan[first.index] = settled(first, plan[first.index], self.prompter, self.native)
        return plan


def _note(result: Segmentation) -> str:
    visible = sum(item.area > 0 for item in result.objects)
    return f"{visible} of {len(result.objects)} visible"
