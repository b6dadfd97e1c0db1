"""``segue reproduce``: experiments of the papers, one command each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from segue.cli.outcome import progress
from segue.cli.scoring import YearName
from segue.cli.tables import print_remarks, print_table
from segue.datasets.davis import DavisFolder
from segue.models.base import MemoryNetwork
from segue.sessions import TrackSession
from segue.stcn_report import compare_first_frames, first_frames
from segue.weights import load

app = typer.Typer(help="Repeat experiments of the papers.", no_args_is_help=True, rich_markup_mode="markdown")


@app.callback()
def group() -> None:
    """Keep the name of the experiment in the command, however many there are."""


@app.command("stcn-report")
def stcn_report(
    davis: Annotated[Path, typer.Option(help="Folder in the layout of DAVIS.", show_default=False)],
    subset: Annotated[
        str | None, typer.Option("--set", help="Split in ImageSets.  [default: all sequences]")
    ] = None,
    sequence: Annotated[
        list[str] | None, typer.Option(help="Follow only this sequence; may be given several times.")
    ] = None,
    year: Annotated[YearName, typer.Option(help="Edition; 2016 takes all objects as one.")] = YearName.y2017,
    model: Annotated[str, typer.Option(help="What follows the objects.")] = "stcn-lite",
    weights: Annotated[Path | None, typer.Option(help="Its weight file.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...")] = None,
) -> None:
    """Compare sources of first frames: ground truth, boxes, Mask R-CNN, PointRend, LOST + CRF, motion.

    Each is followed through all sequences and scored as DAVIS does. Sources whose weights are not there are
    left out, with a remark.

    Examples:

        segue reproduce stcn-report --davis DAVIS --set val --model stcn --weights stcn.safetensors

        segue reproduce stcn-report --davis my_videos --sequence dog
    """
    folder = DavisFolder(davis, sequence or subset)
    session = TrackSession(cast(MemoryNetwork, load(model, weights)), device=device)
    sources, remarks = first_frames(device)
    with progress("first frames") as show:
        rows = compare_first_frames(folder, sources, session, year.value, show)
    cells = [
        (
            row.name,
            (
                f"{100 * row.report.j_and_f:.1f}",
                f"{100 * row.report.region.mean:.1f}",
                f"{100 * row.report.contour.mean:.1f}",
                f"{row.fps:.1f}",
            ),
        )
        for row in rows
    ]
    console = Console(highlight=False, soft_wrap=True)
    print_table(console, ("first frame", "J&F", "J", "F", "frames/s"), cells)
    print_remarks((f"{len(folder)} sequences of {davis}, DAVIS {year.value}, {model}", *remarks))
