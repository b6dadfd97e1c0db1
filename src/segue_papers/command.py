"""Commands that reproduce the tables of the papers (``segue reproduce``)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from segue.cli.options import Options, Values, command
from segue.cli.run import run_videos, score_videos, template_of
from segue.errors import SegueError
from segue.jobs.values import checked
from segue.reports.terminal import Files, print_remarks, print_table, print_title
from segue.utils.naming import first_few
from segue.utils.notices import notice
from segue_papers import TABLES, Table, tables_of
from segue_papers.asked import How
from segue_papers.needs import request_of, row_lacks
from segue_papers.rows import Face, TableRun, plan_table


def _reproduce(
    options: Values,
    outputs: Values,
    *,
    paper: Annotated[
        str | None, typer.Argument(help="Name of a paper. [default: list all tables]", show_default=False)
    ] = None,
    table: Annotated[
        list[str] | None, typer.Argument(help="Names of its tables. [default: all]", show_default=False)
    ] = None,
    listed: Annotated[
        bool,
        typer.Option(
            "--list",
            help="List the tables, one per line; with PAPER also the rows that can run with the given data "
            "and weights, and missing data or weights of the rest.",
        ),
    ] = False,
    commands: Annotated[
        bool,
        typer.Option("--commands", help="Print the command of each row that can run, without running it."),
    ] = False,
) -> None:
    """Reproduce the tables of the papers, next to the published numbers.

    Without PAPER, the command lists all tables. If data, weights or a training are missing, the row is left
    out, and a note shows the command to get them. Incomplete data sets are evaluated on the available videos.
    The output has masks, an image per video and a page with the worst frames. --resume continues after Ctrl-C
    or a crash.

    Examples:

        segue reproduce --list --data davis=DAVIS

        segue reproduce stm davis-2017 --data davis=DAVIS --commands

        segue reproduce stm davis-2017 --data davis=DAVIS --weights stm=STM_weights.pth -o tables

        segue reproduce stm memory --data davis=DAVIS --model stcn-lite -o tables --resume --json memory.json

        segue reproduce stcn-report davis --data davis=DAVIS --weights stcn=stcn.safetensors
        --row "ground truth"
    """
    files, tables = checked(Files, outputs), TABLES if paper is None else tables_of(paper, table or ())
    how = checked(How, {"output": Path("segue-out") / (paper or ""), **options}).for_tables(tables)
    if listed or (paper is None and not commands):
        _list(tables, how, in_full=paper is not None)
        return
    files.check()
    runs = [plan_table(item, how, FACE) for item in tables]
    if commands:
        for run in runs:
            _print_commands(run)
        return
    for row in (row for run in runs for row in run.rows if row.ended is not None):
        notice(f"{row.row.name} cannot be done: {row.ended}")
    done: list[TableRun] = []
    for run in runs:
        with contextlib.redirect_stdout(sys.stderr):
            run.do()
        _print(run.table, run.cells(), run.remarks)
        done.append(run)
        if run.broken is not None:
            break
    files.save({"paper": paper, "tables": [run.values() for run in done]})
    if done[-1].broken is not None:
        raise done[-1].broken
    if any(row.failed or row.ended for run in done for row in run.rows):
        raise typer.Exit(1)


FACE = Face(template_of, run_videos, score_videos, partial(typer.echo, err=True))

reproduce = command(_reproduce, Options(How), Options(Files, only=["json_file"]))


def _print_commands(run: TableRun) -> None:
    """Print the command of each row; rows that cannot run become comments with the reason."""
    typer.echo(f"# {run.table.paper} {run.table.name}. {run.table.title}")
    for row in run.rows:
        if row.row.no_command is not None:
            typer.echo(f"# {row.row.name}: {row.row.no_command}")
            continue
        reason = row.ended or " and ".join(row.lacks) or ("" if run.request else "; ".join(run.missing))
        typer.echo(f"# {row.row.name}: needs {reason}" if reason else run.command_of(row))


def _list(tables: Iterable[Table], how: How, *, in_full: bool) -> None:
    rows = []
    for table in tables:
        networks = ", ".join(dict.fromkeys(row.model or table.model for row in table.runnable))
        lacking: dict[str, list[str]] = {}
        for row in table.runnable:
            lacking.setdefault(" and ".join(dict.fromkeys(row_lacks(row, table, how))), []).append(row.name)
        here = first_few(lacking.pop("", [])) or "no row"
        try:
            request, missing = request_of(table, how)
            place = f"on {request.data}" if request is not None else f"nothing: {missing[0]}"
        except SegueError as error:
            place = f"nothing: {error}"
        if table.dataset not in how.data:
            place = f"with --data {table.dataset}=FOLDER"
        here = place if place.startswith("nothing") else f"{here}, {place}"
        lacks = "; ".join(f"{first_few(names)}: {lacks}" for lacks, names in lacking.items())
        count = len(table.runnable) - sum(map(len, lacking.values()))
        can_run = count if table.dataset in how.data and not place.startswith("nothing") else 0
        full = (table.title, table.data, networks, here, lacks)
        short = (table.title, table.data, f"{can_run} of {len(table.runnable)}")
        rows.append((f"{table.paper} {table.name}", full if in_full else short))
    columns = ("networks", "runs here on", "other rows lack") if in_full else ("rows that run",)
    print_table(("table", "what", "data", *columns), rows)
    if not in_full:
        typer.echo("segue reproduce PAPER --list: which rows run here, and what the others lack", err=True)


def _print(table: Table, cells: Mapping[str, Sequence[str]], remarks: Iterable[str]) -> None:
    print_title(f"{table.paper} {table.name}. {table.title}")
    headings = (*table.measures, *(f"published {name}" for name in table.headings))
    print_table(("", *headings), cells.items())
    print_remarks(remarks)
