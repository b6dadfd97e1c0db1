"""``segue track``: follow objects through a video."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, cast

import typer

from segue.cli.finding import NAMES, FeatureChoice, Finding, RefineChoice
from segue.cli.job import DamageName, Job
from segue.cli.prompting import PromptTexts, by_frame, settled, to_prompts
from segue.errors import PromptError, SegueError
from segue.models.base import MemoryNetwork
from segue.sessions import TrackSession
from segue.sessions.auto import AutoSession
from segue.tracking import make_schedule
from segue.types import Frame, Prompt, Segmentation
from segue.video import open_source
from segue.weights import load

EXAMPLES = """
Follow objects through a video of any length.

Say what to follow with a mask, a box or points on any frame, or have the objects found with --auto; the
result is an index mask for every frame and an overlay video.

Examples:

    segue track dog.mp4 --box 120,80,310,260

    segue track dog.mp4 --mask first.png --format png --format overlay --side-by-side

    segue track frames/ --point 1:200,150 --point 1:-260,150 --point 2:400,90

    segue track long.mp4 --mask first.png --mask 900@again.png --remove 1500@2 --resume

    segue track street.mp4 --auto --with maskrcnn --classes person,car --auto-every 25

    segue track rtsp://camera/stream --box 100,100,200,200 --model stcn --weights stcn.safetensors
"""


class FormatName(str, Enum):
    """Formats of results."""

    png = "png"
    overlay = "overlay"
    coco = "coco"
    ytvis = "ytvis"
    npz = "npz"


class PolicyName(str, Enum):
    """Which memory frame makes room."""

    usage = "usage"
    fifo = "fifo"
    all = "all"


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
        FeatureChoice | None,
        typer.Option(help="For lost: what of the attention is compared.  [default: keys]"),
    ] = None,
    refine: Annotated[
        RefineChoice | None, typer.Option(help="For lost: what draws its mask to the edges.  [default: crf]")
    ] = None,
    detector_weights: Annotated[Path | None, typer.Option(help="Weight file of the detector.")] = None,
    fill: Annotated[bool, typer.Option("--fill", help="Take whole boxes, without GrabCut.")] = False,
    fit: Annotated[bool, typer.Option("--fit", help="Resize masks of another size.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Output folder.  [default: segue-out/NAME]")
    ] = None,
    format: Annotated[
        list[FormatName] | None, typer.Option(help="What to write.  [default: png and overlay]")
    ] = None,
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="Put the plain frame beside the overlay.")
    ] = False,
    model: Annotated[str, typer.Option(help="stcn-lite, stcn or stm.")] = "stcn-lite",
    weights: Annotated[Path | None, typer.Option(help="Weight file, converted or official.")] = None,
    mem_every: Annotated[int | None, typer.Option(help="Every n-th frame becomes memory.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Memory positions read; 0 for all.")] = None,
    include_last: Annotated[
        bool | None, typer.Option("--include-last/--no-include-last", help="Read the previous frame too.")
    ] = None,
    memory_frames: Annotated[int | None, typer.Option(help="Bound on the memory, in frames.")] = None,
    memory_policy: Annotated[PolicyName | None, typer.Option(help="Which frame makes room.")] = None,
    short_side: Annotated[
        int | None, typer.Option(help="Reduce pictures to this short side for the network; 0 never does.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="First frame: 250, 12.5s or 1:30.")] = None,
    end: Annotated[str | None, typer.Option(help="First frame not wanted any more.")] = None,
    stride: Annotated[int, typer.Option(help="Take every n-th frame.")] = 1,
    max_size: Annotated[int | None, typer.Option(help="Reduce frames to this longer side.")] = None,
    on_damage: Annotated[DamageName, typer.Option(help="What an unreadable frame does.")] = DamageName.stop,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="bfloat16 where the hardware has it.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing output.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Follow objects through a video; see ``EXAMPLES``, which is the help text."""
    finding = Finding(with_, detector_weights, classes, score, max_objects, features, refine)
    if not auto and (finding.asked or auto_every is not None):
        raise PromptError("options of the search for objects go with --auto")
    if auto and (mask or box or point or remove):
        raise PromptError("--auto finds the objects: leave out --mask, --box, --point and --remove")
    if not (auto or mask or box or point):
        raise PromptError("say what to follow: give --mask, --box or --point, or --auto to have it found")
    opened = open_source(
        source, start=start, end=end, stride=stride, max_size=max_size, on_damage=on_damage.value
    )
    network = cast(MemoryNetwork, load(model, weights))
    try:
        schedule = make_schedule(
            network.schedule,
            mem_every=mem_every,
            top_k="published" if top_k is None else (top_k or None),
            include_last=include_last,
            memory_frames=memory_frames,
            memory_policy=memory_policy.value if memory_policy else None,
            short_side=short_side,
        )
    except ValueError as error:
        raise SegueError(str(error)) from None
    follower = TrackSession(network, schedule, device=device, fast=fast, fit=fit)
    finder = AutoSession(follower, finding.detector(device), auto_every) if auto else None
    if auto and not quiet:
        finding.announce()
    job = Job(
        source=opened,
        session=finder or follower,
        output=output or Path("segue-out") / opened.name,
        formats=tuple(item.value for item in format or (FormatName.png, FormatName.overlay)),
        settings={
            "source": source,
            "model": model,
            "weights": str(weights),
            "schedule": asdict(schedule),
            "fast": fast,
            **({"auto": finding.settings(), "auto_every": auto_every} if auto else {}),
        },
        side_by_side=side_by_side,
        overwrite=overwrite,
        resume=resume,
        quiet=quiet,
    )
    if finder is not None:
        _find(job, finder)
        return
    wishes = Wishes((mask or [], box or [], point or [], remove or []), stride, fill, fit)
    with opened:
        first, frames = job.frames()
        plan = wishes.plan(first, opened.original_size or first.size)
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
class Wishes:
    """What the user wants followed, as given on the command line.

    Attributes:
        texts: masks, boxes, points and removals.
        stride: distance of the frames.
        fill: take whole boxes.
        fit: resize masks of another size.
    """

    texts: tuple[list[str], list[str], list[str], list[str]]
    stride: int
    fill: bool
    fit: bool

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
            plan[first.index] = settled(first, plan[first.index])
        return plan


def _note(result: Segmentation) -> str:
    visible = sum(item.area > 0 for item in result.objects)
    return f"{visible} of {len(result.objects)} visible"
