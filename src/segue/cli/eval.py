"""``segue eval`` and ``segue compare``: score results with the numbers of the official tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from segue.cli.options import Options, Values, command
from segue.metrics.compare import compare as compare_evaluations
from segue.metrics.data_sets import OPTIONS, DataSet, Request, data_sets
from segue.naming import distinct_ends
from segue.reports import comparison_values, evaluation_values, write_comparison, write_csv, write_report
from segue.reports.terminal import Files, print_comparison, print_evaluation, progress

app = typer.Typer(
    help="Score results of any program; the numbers equal those of the official tools.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


def _offered(names: str) -> str:
    """Attributes of a request with the names of their options."""
    return " ".join(f"{name}:{OPTIONS[name]}" if name in OPTIONS else name for name in names.split())


def _results(results: Path) -> None: ...


def _command(name: str, row: DataSet) -> Callable[..., None]:
    def score(given: Values, options: Values, output: Values) -> None:
        request, files = Request(dataset=name, **options), Files(**output)
        results = given["results"]
        files.check(results, request.data)
        with progress(results.name) as show:
            evaluation = request.score(results, show)
        print_evaluation(evaluation)
        if files.csv is not None:
            write_csv(files.csv, evaluation)
        if files.report is not None:
            about = {"results": str(results), "data": str(request.data)}
            write_report(evaluation, files.report, about=about)
        files.save(evaluation_values(evaluation))

    score.__doc__ = row.help(name)
    in_masks = "threshold" not in row.options
    return command(
        score,
        Options(_results, "results!", help={"results": row.results}),
        Options(
            Request,
            _offered(f"data {row.options}"),
            row.defaults or {},
            {"missing": Literal["error", "empty"]} if in_masks else {},
            row.texts or {},
        ),
        Options(Files, "json csv report" if row.csv else "json report"),
    )


for _name, _row in data_sets().items():
    app.command(_name)(_command(_name, _row))


def _compare(
    options: Values,
    output: Values,
    *,
    first: Annotated[Path, typer.Argument(help="Results, as for segue eval.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="Results to compare with.", show_default=False)],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
) -> None:
    """Score two results under one protocol, and say how much they differ, sequence by sequence.

    The mean difference comes with a paired bootstrap interval over the sequences.

    Examples:

        segue compare old/ new/ --data DAVIS

        segue compare old/ new/ --data CDnet2014 --dataset cdnet --sequence shadow --report difference.html
    """
    files, request = Files(**output), Request(**options)
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
    Options(
        Request,
        _offered("data dataset subset sequences task year seen threshold training_frames missing workers"),
    ),
    Options(Files, "json report"),
)
