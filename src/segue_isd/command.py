"""``segue synth``: render data sets."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from segue.errors import SegueError
from segue.utils.notices import notice

PresetName = Literal["tiny", "smoke", "isd-like", "hard"]

app = typer.Typer(
    help="Render labelled videos; needs the extra `synth`.", no_args_is_help=True, rich_markup_mode="markdown"
)


@app.command()
def isd(
    out: Annotated[Path, typer.Argument(help="Folder for the data set.")],
    frames: Annotated[
        int | None, typer.Option(min=1, help="Total number of frames.  [default: that of the preset]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random choices.")] = 0,
    preset: Annotated[
        PresetName, typer.Option(help="Clip length, size and content; see below.")
    ] = "isd-like",
    clip: Annotated[
        int | None, typer.Option(min=1, help="Frames per clip.  [default: those of the preset]")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Width x height, such as 320x240.  [default: that of the preset]")
    ] = None,
    rooms: Annotated[
        int | None,
        typer.Option(min=1, help="Number of rooms, shared by the clips.  [default: one per clip]"),
    ] = None,
    lights: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=3,
            help="Number of lighting conditions, shared by the clips; lamps then keep their state.  "
            "[default: one per clip]",
        ),
    ] = None,
    still: Annotated[bool, typer.Option("--still", help="Use only fixed cameras.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Number of rendering processes.")] = 1,
    preview: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a contact sheet of images and labels (PNG).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the data set in the folder.")] = False,
) -> None:
    """Render indoor surveillance scenes with labels, depth, normals, instances and flow.

    Presets: `tiny` 6 clips of 12 frames at 96x64, `smoke` 24 of 60 at 160x120, `isd-like` 600 of 250 at
    320x240 (150,000 frames), `hard` 200 of 400 at 320x240 with night, low frame rates, moving cameras,
    camouflage and stops.

    Examples:

        segue synth isd out/tiny --preset tiny --preview out/tiny.png

        segue synth isd out/isd --frames 150000 --seed 1 --workers 8

        segue synth isd out/paper --rooms 8 --lights 2 --still --workers 8     # the composition of ISD

        segue synth isd out/isd --frames 150000 --seed 1 --workers 8 --resume
    """
    from segue.reports.terminal import progress
    from segue_isd.presets import PRESETS, composed
    from segue_isd.render.gl import check_opengl
    from segue_isd.runner import generate
    from segue_isd.writer import write_sheet

    order = composed(PRESETS[preset], rooms, lights, still=still)
    if clip is not None:
        order = replace(order, length=clip)
    if size is not None:
        order = replace(order, size=_size(size))
    total = frames or PRESETS[preset].clips * PRESETS[preset].length
    check_opengl()
    started = time.perf_counter()
    with progress("frames", "interrupted; give the same command with --resume to go on") as show:
        clips = generate(
            out,
            order,
            frames=total,
            seed=seed,
            workers=workers,
            resume=resume,
            report=lambda done: show(done, total, ""),
        )
    seconds = time.perf_counter() - started
    notice(f"{out}: {total} frames in {len(clips)} clips, {seconds:.0f} s")
    if preview is not None:
        write_sheet(preview, clips)
        typer.echo(f"preview: {preview}")


@app.command()
def davis(
    root: Annotated[Path, typer.Argument(help="Output folder of `segue synth isd`, or one of its splits.")],
    out: Annotated[Path, typer.Argument(help="Folder for JPEGImages and Annotations.")],
) -> None:
    """Convert the clips of `segue synth isd` to the layout of DAVIS, to train tracking networks.

    Example:

        segue synth davis out/isd/train out/isd-davis
    """
    from segue.datasets.foreground.isd import export_davis, open_isd

    if out.exists() and any(out.iterdir()):
        raise SegueError(f"{out}: is not empty; give another folder")
    clips = open_isd(root)
    export_davis(clips, out)
    typer.echo(f"{out}: {len(clips)} clips")


def _size(text: str) -> tuple[int, int]:
    """Parse height and width from a text such as 320x240."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and 16 <= int(side) <= 4096 for side in sides):
        raise SegueError(f"--size {text}: give width x height between 16 and 4096, such as 320x240")
    return int(sides[1]), int(sides[0])
