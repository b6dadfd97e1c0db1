"""``segue compare``: two results side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segue.cli.outcome import Files, progress
from segue.cli.scoring import DataSetName, ForegroundMissingName, Request, TaskName, YearName
from segue.cli.tables import print_comparison
from segue.metrics.compare import compare as compare_evaluations
from segue.reports import comparison_values, write_comparison, write_json


def compare(
    first: Annotated[Path, typer.Argument(help="Results, as for segue eval.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="Results to compare with.", show_default=False)],
    data: Annotated[Path, typer.Option(help="Folder of the data set.", show_default=False)],
    dataset: Annotated[DataSetName, typer.Option(help="What to score as.")] = DataSetName.davis,
    subset: Annotated[
        str | None, typer.Option("--set", help="Split, as for segue eval.", show_default=False)
    ] = None,
    sequence: Annotated[
        list[str] | None, typer.Option(help="Score only this sequence; may be given several times.")
    ] = None,
    task: Annotated[TaskName, typer.Option(help="Task of DAVIS.")] = TaskName.semi,
    year: Annotated[YearName, typer.Option(help="Edition of DAVIS.")] = YearName.y2017,
    seen: Annotated[Path | None, typer.Option(help="Categories of YouTube-VOS that were trained on.")] = None,
    threshold: Annotated[
        int | None, typer.Option(min=1, max=255, help="Results are foreground from this value on.")
    ] = None,
    training_frames: Annotated[
        str | None, typer.Option(help="Frames of CDnet2014 to leave out, COUNT@FILE.")
    ] = None,
    missing: Annotated[
        ForegroundMissingName, typer.Option(help="What a frame without a result is.")
    ] = ForegroundMissingName.error,
    workers: Annotated[int, typer.Option(min=1, help="Sequences to score side by side.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    json: Annotated[Path | None, typer.Option(help="File for all numbers in full precision.")] = None,
    report: Annotated[Path | None, typer.Option(help="File for a page with tables and charts.")] = None,
) -> None:
    """Score two results under one protocol, and say how much they differ, sequence by sequence.

    The mean difference comes with a paired bootstrap interval over the sequences.

    Examples:

        segue compare old/ new/ --data DAVIS

        segue compare old/ new/ --data CDnet2014 --dataset cdnet --sequence shadow --report difference.html
    """
    files = Files(json, report)
    files.check()
    request = Request(
        dataset=dataset,
        data=data,
        subset=subset,
        sequences=tuple(sequence or ()),
        task=task,
        year=year,
        seen=seen,
        threshold=threshold,
        training_frames=training_frames,
        missing=missing.value,
        workers=workers,
    )
    evaluations = []
    for results in (first, second):
        with progress(results.name) as show:
            evaluations.append(request.score(results, show))
    comparison = compare_evaluations(*evaluations, names=_distinct(first, second), seed=seed)
    print_comparison(comparison)
    if json is not None:
        write_json(json, comparison_values(comparison))
    if report is not None:
        write_comparison(comparison, report)
    files.tell()


def _distinct(first: Path, second: Path) -> tuple[str, str]:
    """The shortest ends of two paths that tell them apart; the whole paths if nothing does."""
    for length in range(1, min(len(first.parts), len(second.parts)) + 1):
        ends = tuple("/".join(path.parts[-length:]) for path in (first, second))
        if ends[0] != ends[1]:
            return ends[0], ends[1]
    return str(first), str(second)
