"""``segue track``: follow objects through a video."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from segue.cli.prompting import PromptTexts, by_frame, settled, to_prompts
from segue.errors import PromptError, SegueError, SourceError
from segue.models.base import MemoryNetwork
from segue.sessions import TrackSession
from segue.sessions.resumable import forget_state, run
from segue.tracking import make_schedule
from segue.types import Frame, Prompt, Segmentation
from segue.video import Outputs, Source, open_sinks, open_source
from segue.weights import load

EXAMPLES = """
Follow objects through a video of any length.

Say what to follow with a mask, a box or points on any frame; the result is an index mask for every frame
and an overlay video.

Examples:

    segue track dog.mp4 --box 120,80,310,260

    segue track dog.mp4 --mask first.png --format png --format overlay --side-by-side

    segue track frames/ --point 1:200,150 --point 1:-260,150 --point 2:400,90

    segue track long.mp4 --mask first.png --mask 900@again.png --remove 1500@2 --resume

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


class DamageName(str, Enum):
    """What an unreadable frame does."""

    stop = "stop"
    skip = "skip"
    hold = "hold"


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
    if not (mask or box or point):
        raise PromptError("say what to follow: give --mask, --box or --point")
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
    job = TrackJob(
        source=opened,
        session=TrackSession(network, schedule, device=device, fast=fast, fit=fit),
        texts=(mask or [], box or [], point or [], remove or []),
        stride=stride,
        fill=fill,
        fit=fit,
        output=output or Path("segue-out") / opened.name,
        formats=tuple(item.value for item in format or (FormatName.png, FormatName.overlay)),
        side_by_side=side_by_side,
        settings={
            "source": source,
            "model": model,
            "weights": str(weights),
            "schedule": asdict(schedule),
            "fast": fast,
        },
        overwrite=overwrite,
        resume=resume,
        quiet=quiet,
    )
    job.run()


track.__doc__ = EXAMPLES


@dataclass(slots=True)
class TrackJob:
    """One run of ``segue track``: what it reads, what it writes, and how it shows progress."""

    source: Source
    session: TrackSession
    texts: tuple[list[str], list[str], list[str], list[str]]
    stride: int
    fill: bool
    fit: bool
    output: Path
    formats: tuple[Any, ...]
    side_by_side: bool
    settings: dict[str, Any]
    overwrite: bool
    resume: bool
    quiet: bool

    def run(self) -> None:
        """Do it.

        Raises:
            SegueError: something is wrong with source, prompts or output.
            typer.Exit: the run was interrupted.
        """
        with self.source:
            frames = iter(self.source)
            first = next(frames, None)
            if first is None:
                raise SourceError(f"{self.source.name}: there are no frames in the part that was asked for")
            plan = self._plan(first)
            outputs = self._open()
            try:
                missed = self._follow(itertools.chain([first], frames), plan, outputs)
            except KeyboardInterrupt:
                typer.echo(_how_to_go_on(outputs), err=True)
                raise typer.Exit(130) from None
        for name, path in outputs.paths.items():
            typer.echo(f"{name}: {path}")
        if missed:
            raise PromptError(f"there is a prompt for frame {missed[0]}, but the source has no such frame")

    def _follow(self, frames: Iterator[Frame], plan: dict[int, list[Prompt]], outputs: Outputs) -> list[int]:
        """Take all frames through the session; gives the indices of prompts whose frames never came."""
        console = Console(stderr=True, quiet=self.quiet, highlight=False, soft_wrap=True)
        begun, count, pending = time.perf_counter(), 0, set(plan)
        masks = outputs.paths.get("png")
        with outputs.sink as sink, _progress(console) as progress:
            task = progress.add_task("frames", total=self.source.frame_count, note="")

            def report(frame: Frame, result: Segmentation) -> None:
                nonlocal count
                count += 1
                pending.discard(frame.index)
                seconds = time.perf_counter() - begun
                visible = sum(item.area > 0 for item in result.objects)
                note = f"{count / seconds:.1f} frames/s, {visible} of {len(result.objects)} visible"
                progress.update(task, completed=count, note=note)

            run(
                self.session,
                frames,
                lambda frame: plan.get(frame.index),
                sink,
                folder=masks,
                resume=self.resume,
                report=report,
            )
        if masks:
            forget_state(masks)
        seconds = time.perf_counter() - begun
        console.print(f"{count} frames in {seconds:.1f} s ({count / seconds:.1f} frames/s)")
        return sorted(pending)

    def _plan(self, first: Frame) -> dict[int, list[Prompt]]:
        """The prompts of each frame; what can be checked beforehand is."""
        size = self.source.original_size or first.size
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

    def _open(self) -> Outputs:
        return open_sinks(
            self.output,
            self.formats,
            self.source,
            overwrite=self.overwrite,
            resume=self.resume,
            settings=self.settings,
            side_by_side=self.side_by_side,
        )


def _how_to_go_on(outputs: Outputs) -> str:
    if "png" in outputs.paths:
        return "interrupted; give the same command with --resume to go on"
    return "interrupted; without the format png there is nothing to resume from"


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
