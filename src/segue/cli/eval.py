"""``segue eval`` and ``segue compare``: scores equal to the official tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from segue.cli.options import Options, Values, command
from segue.datasets.catalogue import completed
from segue.entries.datasets import DatasetEntry, ScoreHelp
from segue.jobs.values import checked
from segue.metrics.compare import compare as compare_evaluations
from segue.metrics.data_sets import MaskRequest, Request, data_sets
from segue.options import FilePath, OptionModel, option
from segue.registry import DATASETS
from segue.reports import comparison_values, evaluation_values, write_comparison, write_csv, write_report
from segue.reports.terminal import Files, print_comparison, print_evaluation, progress
from segue.utils.naming import distinct_ends

app = typer.Typer(
    help="Score results of any program; the numbers match the official tools.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


class ResultArguments(OptionModel):
    """Results to score."""

    results: FilePath = option(argument=True)
    """Results in the format of the data set."""


_RESULTS: dict[str | None, str] = {
    "masks": "Folder or zip with masks SEQUENCE/FRAME.png, or annotations SEQUENCE.json, .xml ...",
    "videos": "Folder or zip with images VIDEO/*000001.png.",
    "instances": "Result file in the official format, JSON or zip.",
    None: "Folder or zip with masks or images, or a result file, as required by its labels.",
}
"""Scored results by the labels of the data set; None: those of another package, imported on use."""


def _help(name: str, about: ScoreHelp) -> str:
    """Help text of the command, above its options."""
    lines = [f"    segue eval {name} {example}" for example in about.examples]
    heading = ["Examples:" if len(lines) > 1 else "Example:"] if lines else []
    return "\n\n".join((about.about, *heading, *lines))


def _command(name: str, entry: DatasetEntry | None) -> Callable[..., None]:
    about = entry and entry.help
    about = about or ScoreHelp(
        f"{name}, of another package: J and F, AP, or F and related measures, depending on its labels."
    )

    def score(values: Values, options: Values, output: Values) -> None:
        request, files = checked(kind, {"dataset": name, **options}), checked(Files, output)
        results = checked(ResultArguments, values).results
        files.check(results, request.data)
        with progress(results.name) as show:
            evaluation = request.score(results, show)
        print_evaluation(evaluation)
        if files.csv is not None:
            write_csv(files.csv, evaluation)
        if files.report is not None:
            paths = {"results": str(results), "data": str(request.data)}
            write_report(evaluation, files.report, about=paths)
        files.save(evaluation_values(evaluation))

    score.__doc__ = _help(name, about)
    options = "sequences threshold missing workers" if entry is None else entry.options or ""
    part, kind = None if entry is None else entry.part, Request if "threshold" in options else MaskRequest
    return command(
        score,
        Options(ResultArguments, help={"results": _RESULTS[None if entry is None else entry.labels]}),
        Options(
            kind,
            only=["data", *options.split(), "metrics"],
            defaults={} if part is None else {"subset": part},
            help={} if about.part is None else {"subset": about.part},
        ),
        Options(Files, without=["submission"] if about.csv else ["csv", "submission"]),
    )


for _name in data_sets():
    _entry = None if _name in DATASETS.added else completed(DATASETS.find(_name))
    app.command(_name)(_command(_name, _entry))


def _compare(
    options: Values,
    output: Values,
    *,
    first: Annotated[Path, typer.Argument(help="Results, as for segue eval.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="Results to compare with.", show_default=False)],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
) -> None:
    """Score two results with one protocol, and show their difference for every sequence.

    The command also prints the mean difference with a paired bootstrap interval over the sequences.

    Examples:

        segue compare old/ new/ --data DAVIS

        segue compare old/ new/ --data CDnet2014 --dataset cdnet --sequence shadow --report difference.html
    """
    files, request = checked(Files, output), checked(Request, options)
    files.check(first, second, request.data)
    evaluations = []
    for results in (first, second):
        with progress(results.name) as show:
            evaluations.append(request.score(results, show))
    names = distinct_ends(first, second)
    comparison = compare_evaluations(*evaluations, names=names, seed=seed)
    print_comparison(comparison)
    if files.report is not None:
        write_comparison(comparison, files.report)
    files.save(comparison_values(comparison))


compare = command(
    _compare,
    Options(Request),
    Options(Files, without=["csv", "submission"]),
)
