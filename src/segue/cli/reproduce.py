"""``segue reproduce``: the tables of the papers, one command each."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import typer

from segue.cli.options import Options, Values, command
from segue.cli.run import run_videos, score_videos
from segue.cli.running import show
from segue.errors import SegueError
from segue.registry import DATASETS, DETECTORS, MODELS
from segue.reports.terminal import Files, print_remarks, print_table, print_title
from segue.reproduce import SPEED, TABLES, Table, tables_of
from segue.reproduce.rows import Face, How, do_table


def _asked(paper: str | None = None, table: list[str] | None = None) -> None:
    """What is wanted.

    Args:
        paper: name of a paper.  [default: list all tables]
        table: names of its tables.  [default: all]
    """


def _reproduce(asked: Values, options: Values, written: Values) -> None:
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
    paper, files = asked["paper"], Files(**written)
    if paper is None:
        _list(TABLES)
        return
    tables = tables_of(paper, asked["table"] or ())
    files.check()
    folders = _pairs("data", options["data"] or [], DATASETS.names)
    read = {
        "data": {name: Path(folder) for name, folder in folders.items()},
        "weights": _pairs("weights", options["weights"] or [], _weighted(tables)),
        "output": options["output"] or Path("segue-out") / paper,
        "rows": _rows(tables, options["rows"]),
        "run": tuple(shlex.split(options["run"])),
        "train": tuple(shlex.split(options["train"])),
    }
    how = How(**{**options, **read})
    done = []
    for item in tables:
        with contextlib.redirect_stdout(sys.stderr):
            result = do_table(item, how, FACE)
        _print(item, result.cells(), result.remarks)
        done.append(result)
    files.save({"paper": paper, "tables": [result.values() for result in done]})
    if any(result.failed for result in done):
        raise typer.Exit(1)


FACE = Face(run_videos, score_videos, partial(show, quiet=True), partial(typer.echo, err=True))

_TEXTS = list[str] | None

reproduce = command(
    _reproduce,
    Options(_asked, "paper! table!"),
    Options(
        How,
        "data weights output:output,out,o rows:row model subset:set sequences:sequence run train workers "
        "resume quiet:quiet,q",
        {"data": None, "weights": None, "output": None, "run": "", "train": ""},
        {"data": _TEXTS, "weights": _TEXTS, "rows": _TEXTS, "output": Path | None, "run": str, "train": str},
    ),
    Options(Files, "json"),
)


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
