"""``segue reproduce``: experiments of the papers, one command each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from segue.cli.scoring import Year
from segue.cli.tables import print_remarks, print_table, progress
from segue.datasets import DavisFolder, SomethingElseFolder
from segue.errors import PromptError
from segue.metrics.davis import SemiSupervised
from segue.registry import DETECTORS
from segue.reproduce.stcn_report import Row, Truth, Videos, compare_first_frames, first_frames
from segue.sessions import TrackSession
from segue.weights import load_for

app = typer.Typer(help="Repeat experiments of the papers.", no_args_is_help=True, rich_markup_mode="markdown")


@app.callback()
def group() -> None:
    """Keep the name of the experiment in the command, however many there are."""


@app.command("stcn-report")
def stcn_report(
    davis: Annotated[Path | None, typer.Option(help="Folder in the layout of DAVIS.")] = None,
    something: Annotated[
        Path | None, typer.Option(help="Folder with annotations.json and videos of Something-Else.")
    ] = None,
    subset: Annotated[
        str | None, typer.Option("--set", help="Split in ImageSets of DAVIS.  [default: all sequences]")
    ] = None,
    sequence: Annotated[
        list[str] | None, typer.Option(help="Follow only this sequence; may be given several times.")
    ] = None,
    year: Annotated[Year, typer.Option(help="Edition of DAVIS; 2016 takes all objects as one.")] = "2017",
    source: Annotated[
        list[str] | None, typer.Option(help="Only this row; may be given several times.")
    ] = None,
    detector_weights: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="Weight file of a detector.")
    ] = None,
    model: Annotated[str, typer.Option(help="What follows the objects.")] = "stcn-lite",
    weights: Annotated[Path | None, typer.Option(help="Its weight file.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...")] = None,
) -> None:
    """Compare sources of first frames: ground truth, boxes, Mask R-CNN, PointRend, LOST + CRF, motion.

    Each is followed through all sequences and scored as DAVIS does. On DAVIS masks are followed; on
    Something-Else, whose objects are known by boxes, whole boxes. Sources whose weights are not there are
    left out, with a remark.

    Examples:

        segue reproduce stcn-report --davis DAVIS --set val --model stcn --weights stcn.safetensors

        segue reproduce stcn-report --davis my_videos --sequence dog --detector-weights deeplab=FILE

        segue reproduce stcn-report --something something_else
    """
    if davis is None and something is None:
        raise PromptError("give --davis FOLDER, --something FOLDER, or both")
    if davis is not None and something is not None and sequence:
        raise PromptError("--sequence names videos of one data set; give --davis or --something, not both")
    files = _files(detector_weights or [])
    session = TrackSession(load_for("track", model, weights), device=device)
    jobs: list[tuple[str, Videos, Truth, SemiSupervised]] = []
    if davis is not None:
        masks = DavisFolder(davis, sequence or subset)
        jobs.append((f"{len(masks)} sequences of {davis}, DAVIS {year}, {model}", masks, "masks", year))
    if something is not None:
        boxes = SomethingElseFolder(something, sequence)
        jobs.append((f"{len(boxes)} videos of {something}, Something-Else, {model}", boxes, "boxes", "2017"))
    for title, videos, truth, protocol in jobs:
        sources, remarks = first_frames(truth, rows=source, weights=files, device=device)
        with progress("first frames") as show:
            rows = compare_first_frames(videos, sources, session, protocol, show)
        _print(rows)
        print_remarks((title, *remarks))


def _files(texts: Iterable[str]) -> dict[str, str]:
    files = {}
    for text in texts:
        name, _, file = text.partition("=")
        if name not in DETECTORS or not file:
            raise PromptError(
                f"detector weights {text!r}: give NAME=FILE with NAME one of {', '.join(DETECTORS.names)}"
            )
        files[name] = file
    return files


def _print(rows: Iterable[Row]) -> None:
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
    print_table(Console(highlight=False, soft_wrap=True), ("first frame", "J&F", "J", "F", "frames/s"), cells)
