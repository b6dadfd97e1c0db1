"""``segue reproduce``: the tables of the papers, one command each."""

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
from segue.cli.running import check_training
from segue.reports.terminal import Files, interruptible, print_remarks, print_table, print_title
from segue.reproduce import TABLES, Table, tables_of
from segue.reproduce.asked import How, read
from segue.reproduce.here import rows_lack, runs_here
from segue.reproduce.planning import check_tables
from segue.reproduce.processes import train
from segue.reproduce.results import Result
from segue.reproduce.rows import Face, do_table


def _reproduce(
    options: Values,
    written: Values,
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
            help="List the tables with the rows that run here, and what the others lack, with the data and "
            "weights that are given.",
        ),
    ] = False,
) -> None:
    """Repeat the tables of the papers: one command a table, with the published numbers beside.

    Without PAPER, all tables are listed with the data and the weights that they need. A row whose data or
    weights are not there is left out, and a note says what brings them. Of a data set that is there in part,
    that part is run. Masks, an image a video and a page with the worst frames are kept in the output;
    --resume goes on after Ctrl-C or a crash.

    Examples:

        segue reproduce --list --data davis=DAVIS

        segue reproduce stm davis-2017 --data davis=DAVIS --weights stm=STM_weights.pth -o tables

        segue reproduce stm memory --data davis=DAVIS --model stcn-lite -o tables --resume --json memory.json

        segue reproduce stcn-report davis --data davis=DAVIS --weights stcn=stcn.safetensors
        --row "ground truth"
    """
    files, tables = Files(**written), TABLES if paper is None else tables_of(paper, table or ())
    options["output"] = options["output"] or Path("segue-out") / (paper or "")
    how = How(**{**options, **read(tables, options)})
    if paper is None or listed:
        _list(tables, how)
        return
    files.check()
    for problem in check_tables(tables, how, template_of, check_training):
        typer.echo(problem, err=True)
    done: list[Result] = []
    for item in tables:
        with contextlib.redirect_stdout(sys.stderr):
            done.append(do_table(item, how, FACE))
        _print(item, done[-1].cells(), done[-1].remarks)
        if done[-1].broken is not None:
            break
    files.save({"paper": paper, "tables": [result.values() for result in done]})
    if done[-1].broken is not None:
        raise done[-1].broken
    if any(result.failed for result in done):
        raise typer.Exit(1)


def _train(words: Sequence[str]) -> None:
    check_training(words)
    with interruptible():
        train(words)


FACE = Face(run_videos, score_videos, _train, partial(typer.echo, err=True))

reproduce = command(
    _reproduce,
    Options(
        How,
        "data weights output:output,out,o rows:row model subset:set sequences:sequence run train workers "
        "resume",
        {"data": None, "weights": None, "output": None, "run": None, "train": None},
        dict.fromkeys(("data", "weights", "rows", "run", "train"), list[str] | None)
        | {"output": Path | None},
    ),
    Options(Files, "json"),
)


def _list(tables: Iterable[Table], how: How) -> None:
    rows = []
    for table in tables:
        networks = dict.fromkeys(row.model or table.model for row in table.rows)
        about = (table.title, table.data, ", ".join(networks), runs_here(table, how), rows_lack(table, how))
        rows.append((f"{table.paper} {table.name}", about))
    print_table(("table", "what", "data", "networks", "runs here on", "other rows lack"), rows)


def _print(table: Table, cells: Mapping[str, Sequence[str]], remarks: Iterable[str]) -> None:
    print_title(f"{table.paper} {table.name}. {table.title}")
    headings = (*table.measures, *(f"published {name}" for name in table.headings))
    print_table(("", *headings), cells.items())
    print_remarks(remarks)
