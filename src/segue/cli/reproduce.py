"""``segue reproduce``: the tables of the papers, one command each."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from segue.cli.tables import Files, print_remarks, print_table, print_title
from segue.errors import SegueError
from segue.registry import DATASETS, DETECTORS, MODELS
from segue.reports import write_json
from segue.reproduce import SPEED, TABLES, Table, tables_of


def reproduce(
    paper: Annotated[str | None, typer.Argument(help="Name of a paper.  [default: list all tables]")] = None,
    table: Annotated[list[str] | None, typer.Argument(help="Names of its tables.  [default: all]")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FOLDER", help="Where a data set is; may be given several times."),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="Weight file of a network, a detector or a row."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "--out", "-o", help="Folder.  [default: segue-out/PAPER]")
    ] = None,
    row: Annotated[list[str] | None, typer.Option(help="Only this row; may be given several times.")] = None,
    model: Annotated[str | None, typer.Option(help="Run this network instead of the paper's.")] = None,
    subset: Annotated[
        str | None, typer.Option("--set", help="Part of the data set, instead of the paper's.")
    ] = None,
    sequence: Annotated[
        list[str] | None, typer.Option(help="Only this sequence, video or category; may be given several.")
    ] = None,
    run: Annotated[str, typer.Option(metavar="TEXT", help="Further options of the command of a row.")] = "",
    train: Annotated[
        str, typer.Option(metavar="TEXT", help="Further options of `segue train`, for rows that train.")
    ] = "",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of workers.  [default: one a core]")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    json: Annotated[Path | None, typer.Option(help="All numbers in full precision.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Repeat the tables of the papers: one command a table, with the published numbers beside.

    Without PAPER, all tables are listed with the data and the weights that they need. A row whose data or
    weights are not there is left out, and a note says what brings them. Of a data set that is there in part,
    that part is run. Masks, a picture a video and a page with the worst frames are kept in the output;
    --resume goes on after Ctrl-C or a crash.

    Examples:

        segue reproduce

        segue reproduce stm davis-2017 --data davis=DAVIS --weights stm=STM_weights.pth -o tables

        segue reproduce stm memory --data davis=DAVIS --model stcn-lite -o tables --resume --json memory.json

        segue reproduce stcn-report davis --data davis=DAVIS --weights stcn=stcn.safetensors
        --row "ground truth"
    """
    from segue.cli.reproducing import How, do_table

    if paper is None:
        _list(TABLES)
        return
    tables = tables_of(paper, table or ())
    Files(json=json).check()
    how = How(
        data={name: Path(folder) for name, folder in _pairs("data", data or [], DATASETS.names).items()},
        weights=_pairs("weights", weights or [], _weighted(tables)),
        output=output or Path("segue-out") / paper,
        rows=_rows(tables, row),
        model=model,
        subset=subset,
        sequences=sequence,
        run=tuple(shlex.split(run)),
        train=tuple(shlex.split(train)),
        workers=workers,
        resume=resume,
        quiet=quiet,
    )
    done = []
    for item in tables:
        with contextlib.redirect_stdout(sys.stderr):
            result = do_table(item, how)
        _print(item, result.cells(), result.remarks)
        done.append(result)
    if json is not None:
        write_json(json, {"paper": paper, "tables": [result.values() for result in done]})
        typer.echo(f"written: {json}", err=True)
    if any(result.failed for result in done):
        raise typer.Exit(1)


def _list(tables: Iterable[Table]) -> None:
    rows = []
    for table in tables:
        networks = dict.fromkeys(row.model or table.model for row in table.rows)
        rows.append((f"{table.paper} {table.name}", (table.title, table.data, ", ".join(networks))))
    print_table(("table", "what", "data", "networks"), rows)


def _pairs(kind: str, texts: Sequence[str], known: Iterable[str]) -> dict[str, str]:
    names, pairs = tuple(known), {}
    for text in texts:
        name, _, place = text.partition("=")
        if name not in names or not place:
            raise SegueError(f"--{kind} {text}: give NAME=PATH with NAME one of {', '.join(names)}")
        pairs[name] = place
    return pairs


def _weighted(tables: Iterable[Table]) -> dict[str, None]:
    """Names that ``--weights`` takes: rows that train, networks, detectors."""
    trained = (row.key for table in tables for row in table.rows if row.training)
    return dict.fromkeys((*trained, *MODELS.names, *DETECTORS.names))


def _rows(tables: Sequence[Table], wanted: Sequence[str] | None) -> frozenset[str] | None:
    if not wanted:
        return None
    known = {name: row.key for table in tables for row in table.rows for name in (row.name, row.key)}
    for name in wanted:
        if name not in known:
            raise SegueError(f"no row is called {name!r}; there are {'; '.join(dict.fromkeys(known))}")
    return frozenset(known[name] for name in wanted)


def _print(table: Table, cells: Mapping[str, Sequence[str]], remarks: Iterable[str]) -> None:
    print_title(f"{table.paper} {table.name}. {table.title}")
    headings = (*table.columns, SPEED, *(f"published {name}" for name in table.headings))
    print_table(("", *headings), cells.items())
    print_remarks(remarks)
